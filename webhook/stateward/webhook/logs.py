"""Log lines: one an event, `name key=value …` or a JSON object, nothing in them that an object holds but its name."""

from __future__ import annotations

import json
import logging
import queue
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import Final, Literal, TextIO

_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/@,+-]+")
_LONGEST: Final = 253
"""Characters of a value: the longest name of a Kubernetes object (DNS subdomain)."""
_FRAMES: Final = 30
"""Of a traceback, the innermost: a recursion without end has a thousand."""
_WAITING: Final = 10_000
"""Lines that may wait for a slow reader; what comes then is dropped rather than held against requests."""
_FIELDS: Final = "stateward_fields"

_LAST: Final = 1.0


Style = Literal["text", "json"]


class Line(str):
    """A line, and what it is made of."""

    __slots__ = ("fields",)
    fields: dict[str, str]


def line(event: str, **fields: object) -> Line:
    """`denied uid=705ab4f5 user="jane doe" rules=SW103`. What is empty is left out; what is not plain is quoted."""
    given = {key: _bounded(str(value)) for key, value in fields.items() if value not in ("", None)}
    found = Line(" ".join([event, *(f"{key}={_shown(value)}" for key, value in given.items())]))
    found.fields = {"event": event, **given}
    return found


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _shown(text: str) -> str:
    # JSON's escapes: a user name with a newline in it must not write a line of its own.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def frames(error: BaseException) -> str:
    """Where an exception came from: a traceback without the messages, for those repeat what objects hold."""
    chain: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        chain.append(f"{type(one).__name__} at\n{''.join(traceback.format_tb(one.__traceback__, -_FRAMES))}".rstrip())
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "\nfrom ".join(chain)


class _Dropping(QueueHandler):
    """Hands lines to a thread; one too many is dropped."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        args = record.args if isinstance(record.args, tuple) else ()
        said = next((one for one in (record.msg, *args) if isinstance(one, Line)), None)
        rest = [one for one in args if one is not said and isinstance(one, str)]
        prepared: logging.LogRecord = super().prepare(record)
        if said is not None:
            prepared.__dict__[_FIELDS] = {**said.fields, **({"trace": rest[0]} if rest else {})}
        return prepared

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):
            self.queue.put_nowait(record)


class _Json(logging.Formatter):
    """One JSON object a line: time, level, logger, event and its fields; of others' lines the message."""

    def format(self, record: logging.LogRecord) -> str:
        fields = record.__dict__.get(_FIELDS) or {"message": record.getMessage()}
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"time": moment, "level": record.levelname, "logger": record.name, **fields}, ensure_ascii=False)


@contextmanager
def written(stream: TextIO | None = None, level: int = logging.INFO, style: Style = "text") -> Iterator[None]:
    """Writes the lines of this process to `stream` (standard error) inside a `with`, from a thread of their own.

    Standard error may be a pipe that nobody reads: neither a request nor the end of the process may wait for it. Lines
    that are still unwritten `_LAST` seconds after the `with` are lost.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(_Json() if style == "json" else text)
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(_WAITING)

    def write() -> None:
        while (record := waiting.get()) is not None:
            handler.handle(record)

    writer = threading.Thread(target=write, name="log", daemon=True)
    entrance = _Dropping(waiting)
    root, ours = logging.getLogger(), logging.getLogger("stateward")
    before = ours.level
    ours.setLevel(level)
    root.addHandler(entrance)
    writer.start()
    try:
        yield
    finally:
        root.removeHandler(entrance)
        ours.setLevel(before)
        with suppress(queue.Full):
            waiting.put(None, timeout=_LAST)
        writer.join(_LAST)
