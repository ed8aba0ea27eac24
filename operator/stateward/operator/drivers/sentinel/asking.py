"""A line to a member or its Sentinel: bounded in time, never retried, never raising anything else."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from stateward.operator.drivers import handshake
from stateward.operator.drivers.http import NoAnswerError, RefusedError
from stateward.operator.drivers.protocol import Access, Rotation, Target

PASSWORD: Final = "password"  # noqa: S105 - its name
"""Of members and Sentinels, as the folders call it."""
MASTER: Final = "mymaster"
"""What Sentinels call the service: the name that every client's example has."""
SECONDS: Final = 2.0
_CONNECT: Final = 1.0

Fields = dict[str, str]


class Line:
    """An open connection."""

    def __init__(self, where: str, connection: Any) -> None:
        self.where = where
        self._connection = connection

    def ask(self, *words: str | int) -> Any:
        """What it answers, as the protocol has it. Raises NoAnswerError and RefusedError."""
        return self.several(words)[0]

    def several(self, *commands: Sequence[str | int]) -> list[Any]:
        """The same of several commands, sent together."""
        from redis.exceptions import AuthenticationError, RedisError, ResponseError

        try:
            for words in commands:
                self._connection.send_command(*words, check_health=False)
            return [self._connection.read_response() for _ in commands]
        except (ResponseError, AuthenticationError) as error:
            raise RefusedError(f"{self.where}: {commands[0][0]}: {_line(error)}") from None
        except (RedisError, OSError, ValueError, AttributeError) as error:
            raise NoAnswerError(f"{self.where}: {commands[0][0]}: no answer ({type(error).__name__})") from None

    def tried(self, *words: str | int) -> Any:
        """The same; None where it refuses. Raises NoAnswerError."""
        try:
            return self.ask(*words)
        except RefusedError:
            return None

    def fields(self, *words: str | int) -> Fields:
        """An answer of names and values in turn."""
        return pairs(self.ask(*words))


@contextmanager
def opened(target: Target, port: str, seconds: float = SECONDS) -> Iterator[Line]:
    """A connection, authenticated; whatever is asked by it, `seconds` are all that there are."""
    connections: list[Any] = []
    # A timeout is of each read; one that sends a byte a second must not hold a look up for long.
    end = threading.Timer(seconds, _cut, (connections,))
    end.daemon = True
    end.start()
    try:
        yield Line(f"{target.name}: {port}", _opened(target, port, seconds, connections))
    finally:
        end.cancel()
        for connection in connections:
            connection.disconnect()


def _opened(target: Target, port: str, seconds: float, connections: list[Any]) -> Any:
    """By the password of now; while another takes its place, by that one, and by the one before."""
    from redis.exceptions import AuthenticationError, RedisError

    where = f"{target.name}: {port}"
    for password in passwords_of(target.access) or [""]:
        connection = _connection(target, port, seconds, password)
        connections.append(connection)
        try:
            connection.connect()
        except AuthenticationError:
            continue
        except (RedisError, OSError, ValueError, AttributeError) as error:
            said = handshake.why(error) or f"no answer ({type(error).__name__})"
            raise NoAnswerError(f"{where}: {said}") from None
        return connection
    raise RefusedError(f"{where}: it does not take the service's password")


def passwords_of(access: Access) -> list[str]:
    """Every password that a member may take now, that of now first."""
    rotation = access.rotation or Rotation("")
    found = [several.get(PASSWORD, "") for several in (access.passwords, rotation.coming, rotation.previous)]
    return [one for one in found if one]


def _connection(target: Target, port: str, seconds: float, password: str) -> Any:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    tls = target.access.tls if port in target.secured else None
    if port in target.secured and tls is None:
        raise NoAnswerError(f"{target.name}: {port}: there are no certificates yet to ask it with")
    made = _plain() if tls is None else _secured(tls.context, target.known)
    return made(
        host=target.host,
        port=target.ports[port],
        password=password or None,
        socket_timeout=seconds,
        socket_connect_timeout=min(_CONNECT, seconds),
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        encoding_errors="replace",
        protocol=2,
    )


def _plain() -> Any:
    from redis.connection import Connection

    return Connection


def _secured(context: ssl.SSLContext, known: str) -> Any:
    """A connection by an address that verifies the member's name. The library's own wants files, and the address's name."""
    from redis.connection import Connection

    class Secured(Connection):
        def _connect(self) -> Any:
            line = super()._connect()  # type: ignore[no-untyped-call]
            try:
                return context.wrap_socket(line, server_hostname=known)
            except BaseException:
                line.close()
                raise

    return Secured


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


def _cut(connections: list[Any]) -> None:
    for connection in connections:
        line = getattr(connection, "_sock", None)
        if line is not None:
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
