"""Which files a command line means, and their text: folders, standard input, encodings, limits."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

from stateward.cli.positions import Text
from stateward.policies.structs import dataclass

if TYPE_CHECKING:
    from pathlib import Path

STDIN: Final = "<stdin>"
"""The source of what comes from standard input."""
MAX_BYTES: Final = 64 * 2**20
"""Larger files are not read; the API server itself takes 3 MiB a request."""
_USUAL_BYTES: Final = 64 * 2**10
SUFFIXES: Final = (".yaml", ".yml", ".json")
"""The files that are read inside a folder."""
CHART: Final = "Chart.yaml"
KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
MARKERS: Final = (CHART, *KUSTOMIZATIONS)
"""The files that make their folder one that is rendered; see `rendered`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An input that cannot be read as it stands; line and column count from 1, None where there is no place."""

    source: str
    line: int | None
    column: int | None
    message: str


@dataclass(slots=True)
class Given:
    """A file to read; `named` says that the user named it, and not only a folder around it."""

    source: str
    named: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The files to read, in order, each once; what cannot be found; what was left out inside folders."""

    files: list[Given]
    problems: list[Problem]
    skipped: list[str]


_Identity = tuple[int, int] | str  # device and file number, or standard input
_Seen = dict[_Identity, Given]


def choose(paths: Iterable[str | Path]) -> Choice:
    """The files that paths mean: "-" is standard input, a folder every manifest below it in the order of the names.

    Hidden folders are left out, and so are linked ones (as kubectl does), so no loop of links is ever followed.
    """
    choice = Choice([], [], [])
    seen: _Seen = {}
    for path in map(str, paths):
        if path == "-":
            _take(choice, seen, STDIN, Given(STDIN, named=True))
            continue
        try:
            info = os.stat(path)
            if stat.S_ISDIR(info.st_mode):
                for source, identity in _below(path, choice):
                    _take_found(choice, seen, source, identity)
            else:
                _take(choice, seen, (info.st_dev, info.st_ino), Given(path, named=True))
        except FileNotFoundError:
            message = 'the path does not exist. Correct it, or give "-" to read standard input.'
            choice.problems.append(Problem(path, None, None, message))
        except (OSError, ValueError) as error:
            choice.problems.append(_unreadable(path, error))
    return choice


def _take(choice: Choice, seen: _Seen, identity: _Identity, new: Given) -> None:
    """Add a file unless it is there under this or another name: a finding twice helps no one."""
    if identity in seen:
        seen[identity].named |= new.named
    else:
        seen[identity] = new
        choice.files.append(new)


def _take_found(choice: Choice, seen: _Seen, source: str, identity: _Identity | None) -> None:
    if identity is None:
        try:
            info = os.stat(source)
        except OSError as error:  # a link to nothing, or to itself
            choice.problems.append(_unreadable(source, error))
            return
        if not stat.S_ISREG(info.st_mode):  # reading a pipe would wait for ever
            choice.skipped.append(source)
            return
        identity = (info.st_dev, info.st_ino)
    _take(choice, seen, identity, Given(source, named=False))


def _below(folder: str, choice: Choice) -> Iterator[tuple[str, _Identity | None]]:
    """The files that may be manifests, in the order of their names, folder by folder; see `_inside`."""
    waiting = _inside(folder, choice)
    while waiting:
        _, path, is_folder, identity = waiting.pop()
        if is_folder:
            waiting.extend(_inside(path, choice))
        else:
            yield path, identity


def _inside(folder: str, choice: Choice) -> list[tuple[str, str, bool, _Identity | None]]:
    """Name, path, whether it is a folder, and identity of what counts in a folder, the last name first.

    A plain file is known by its entry alone, which spares a look at each of thousands.
    """
    found: list[tuple[str, str, bool, _Identity | None]] = []
    try:
        device = os.stat(folder).st_dev
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    if not name.startswith("."):
                        found.append((name, entry.path, True, None))
                elif name.lower().endswith(SUFFIXES) or name in MARKERS:
                    plain = entry.is_file(follow_symlinks=False)
                    found.append((name, entry.path, False, (device, entry.inode()) if plain else None))
                elif entry.is_symlink() and entry.is_dir() and not name.startswith("."):
                    choice.skipped.append(entry.path)
    except OSError as error:
        choice.problems.append(_unreadable(folder, error))
    found.sort(reverse=True)
    return found


def _unreadable(source: str, error: OSError | ValueError) -> Problem:
    reason = getattr(error, "strerror", None) or str(error)
    return Problem(source, None, None, f"the input cannot be read: {reason}. Check the path and its permissions.")


def content(file: Given, stdin: BinaryIO | None) -> Text | Problem:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark; at most MAX_BYTES."""
    try:
        data = _read_file(file.source) if file.source != STDIN else _read(stdin) if stdin else b""
    except (OSError, ValueError) as error:
        return _unreadable(file.source, error)
    return decoded(file.source, data)


def _read(handle: BinaryIO) -> bytes:
    """At most MAX_BYTES and one; in two steps, for a reader makes room at once for all that it is asked to read."""
    data = handle.read(_USUAL_BYTES) or b""
    return data if len(data) < _USUAL_BYTES else data + (handle.read(MAX_BYTES + 1 - len(data)) or b"")


_READING: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def _read_file(path: str) -> bytes:
    """At most MAX_BYTES and one, without the layers of `open`, which take as long as reading a manifest does."""
    handle = os.open(path, _READING)
    try:
        pieces = []
        room = MAX_BYTES + 1
        while room and (piece := os.read(handle, _USUAL_BYTES)):  # a pipe gives what is there, so only b"" is the end
            pieces.append(piece)
            room -= min(room, len(piece))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(handle)


def decoded(source: str, data: bytes) -> Text | Problem:
    """The text of a file's bytes; longer than MAX_BYTES it is a Problem."""
    if data.isascii() and len(data) <= MAX_BYTES:  # as nearly all are
        return Text(data.decode("ascii"))
    if len(data) > MAX_BYTES:
        message = f"the input is larger than {MAX_BYTES >> 20} MiB; no manifest is. Split it, or leave it out."
        return Problem(source, None, None, message)
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return Problem(source, 1, 1, "the text is UTF-32; Kubernetes reads UTF-8. Save the file as UTF-8.")
    encoding, body = "utf-8", data.removeprefix(b"\xef\xbb\xbf")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding, body = ("utf-16-le" if data[0] == 0xFF else "utf-16-be"), data[2:]
    try:
        return Text(body.decode(encoding))
    except UnicodeDecodeError as error:
        before = Text(body[: error.start].decode(encoding, "replace"))
        line, column = before.where(len(before.raw))
        what = f"byte 0x{body[error.start]:02x} is not {encoding.upper()}"
        return Problem(source, line, column, f"{what}; Kubernetes reads UTF-8. Save the file as UTF-8.")
