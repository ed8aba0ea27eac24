"""A line to a member or its Sentinel: bounded in time, never retried, never raising anything else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from stateward.operator.drivers.http import NoAnswerError, RefusedError
from stateward.operator.drivers.protocol import Target

MASTER: Final = "mymaster"
"""What Sentinels call the service: the name that every client's example has."""
SECONDS: Final = 2.0
_CONNECT: Final = 1.0

Fields = dict[str, str]


class Line:
    """An open connection."""

    def __init__(self, where: str, connection: Any) -> None:
        self._where = where
        self._connection = connection

    def ask(self, *words: str | int) -> Any:
        """What it answers, as the protocol has it. Raises NoAnswerError and RefusedError."""
        return self.several(words)[0]

    def several(self, *commands: Sequence[str | int]) -> list[Any]:
        """The same of several commands, sent together."""
        from redis.exceptions import RedisError, ResponseError

        try:
            for words in commands:
                self._connection.send_command(*words, check_health=False)
            return [self._connection.read_response() for _ in commands]
        except ResponseError as error:
            raise RefusedError(f"{self._where}: {commands[0][0]}: {_line(error)}") from None
        except (RedisError, OSError, ValueError, AttributeError) as error:
            raise NoAnswerError(f"{self._where}: {commands[0][0]}: no answer ({type(error).__name__})") from None

    def fields(self, *words: str | int) -> Fields:
        """An answer of names and values in turn."""
        return pairs(self.ask(*words))


@contextmanager
def opened(target: Target, port: str, seconds: float = SECONDS) -> Iterator[Line]:
    """A connection, authenticated; whatever is asked by it, `seconds` are all that there are."""
    from redis.backoff import NoBackoff
    from redis.connection import Connection
    from redis.exceptions import AuthenticationError, RedisError
    from redis.retry import Retry

    where = f"{target.name}: {port}"
    made: Any = Connection  # untyped there
    connection = made(
        host=target.host,
        port=target.ports[port],
        password=target.access.passwords.get("password") or None,
        socket_timeout=seconds,
        socket_connect_timeout=min(_CONNECT, seconds),
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        encoding_errors="replace",
        protocol=2,
    )
    # A timeout is of each read; one that sends a byte a second must not hold a look up for long.
    end = threading.Timer(seconds, _cut, (connection,))
    end.daemon = True
    end.start()
    try:
        try:
            connection.connect()
        except AuthenticationError:
            raise RefusedError(f"{where}: it does not take the service's password") from None
        except (RedisError, OSError, ValueError, AttributeError) as error:
            raise NoAnswerError(f"{where}: no answer ({type(error).__name__})") from None
        yield Line(where, connection)
    finally:
        end.cancel()
        connection.disconnect()


def pairs(answer: Any) -> Fields:
    """Names and values in turn → a mapping; anything else is empty."""
    if not isinstance(answer, list):
        return {}
    texts = [str(one) for one in answer]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def information(answer: Any) -> Fields:
    """What INFO says."""
    lines = answer.splitlines() if isinstance(answer, str) else ()
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


def _cut(connection: Any) -> None:
    line = getattr(connection, "_sock", None)
    if line is not None:
        try:
            line.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
