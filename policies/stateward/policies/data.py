"""The one module that reads data files: adapters, engine profiles, operators, the examples of rules.

Reading YAML took a third of the time in which `stateward lint` of one file is done. So what every run needs is read when
Stateward is built (`build`), into one file of JSON beside the package. It says of each file of which text it was made, and
counts only where that is the text still; any other file is read here, without PyYAML where it is plain YAML.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from stateward.policies.plainyaml import Reader, Unusual

if TYPE_CHECKING:
    from pathlib import Path

_HERE = os.path.dirname(__file__)
_CERTAIN: Final = {"true": True, "false": False}
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_UNCERTAIN: Final = re.compile(  # null, booleans, and what may be a number or a time in some version of YAML
    r"~|[yn]|yes|no|on|off|true|false|null|[-+.0-9][-+.:_0-9a-fxot z]*|[-+]?\.(?:inf|nan)|[=<].*", re.IGNORECASE
)


class DataError(Exception):
    """A data file that cannot be used: the message names file, place, reason and next step."""


DEEPEST: Final = 200
"""Levels of nesting in a file that a user hands in: far more than any has, far less than the parser's own stack takes."""


def read(path: str | Path, theirs: bool = False) -> Any:
    """One YAML file; `theirs` where it is a user's and not our own. Raises DataError with line and reason."""
    try:
        with open(path, "rb") as opened:
            content = opened.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    return _parsed(path, content, theirs)


def _parsed(path: str | Path, content: bytes, theirs: bool = False) -> Any:
    try:
        return _READER.read(content.decode())
    except (Unusual, UnicodeDecodeError):
        from stateward.policies import wholeyaml  # PyYAML, which most runs need not import

    try:
        return wholeyaml.load(content, DEEPEST if theirs else None)
    except wholeyaml.Broken as broken:
        raise DataError(f"{path}{broken.place}: {broken}") from None


def _unquoted(text: str) -> Any:
    """Unquoted text that every version of YAML takes alike; numbers but whole ones, times and the like are unusual."""
    if text in _CERTAIN:
        return _CERTAIN[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _UNCERTAIN.fullmatch(text):
        raise Unusual
    return text


_READER: Final = Reader(_unquoted, anchors=True)


FOLDERS: Final = ("adapters/data", "engines/data", "operators/data")
"""The folders that are read at the build."""
BUILT: Final = "data.json"
"""What the build makes of them, beside this module: name below the package → checksum of the text, value."""


def build() -> bytes:
    """What BUILT is to hold. A value that JSON would not give back as it is stays YAML alone."""
    made = {}
    for name in FOLDERS:
        for path in _names(name):
            content, value = _text(path), read(f"{_HERE}/{path}")
            if repr(orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))) == repr(value):
                made[path] = (zlib.crc32(content), value)
    return orjson.dumps(made)


@cache
def _built() -> dict[str, tuple[int, Any]]:
    try:
        found: dict[str, tuple[int, Any]] = orjson.loads(_text(BUILT))
    except (OSError, ValueError):  # it is not there in a checkout that was never built: YAML is read then
        return {}
    return found


def _built_of(name: str, content: bytes) -> Any:
    """The value that the build has read from this very text; None where it has not."""
    checksum, value = _built().get(name, (None, None))
    return value if checksum == zlib.crc32(content) else None


def _text(name: str) -> bytes:
    with open(f"{_HERE}/{name}", "rb") as file:
        return file.read()


def _names(folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in sorted(os.listdir(f"{_HERE}/{folder}")) if name.endswith(".yaml")]


def folder(name: str) -> list[tuple[str, Any]]:
    """All YAML files of a folder below the package, by name: (file name, content)."""
    return [(os.path.basename(path), file(path)) for path in _names(name)]


def parts(name: str, keys: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """As `folder`, but only some top-level keys of each file: cheap where the rest is long."""
    found = []
    for path in _names(name):
        content = _text(path)
        value = _built_of(path, content)
        if value is None:
            value = _part(path, content, keys)
        found.append((os.path.basename(path), {key: value[key] for key in value if key in keys}))
    return found


def _part(path: str, content: bytes, keys: Sequence[str]) -> Any:
    block = re.compile(rf"^(?:{'|'.join(keys)}):.*\n(?:(?:[ #-].*)?\n)*", re.MULTILINE)
    wanted = "".join(block.findall(content.decode()))
    return _parsed(f"{_HERE}/{path}", wanted.encode()) if wanted else {}


def file(name: str) -> Any:
    """One YAML file below the package. What is given may be given again: nobody changes it."""
    content = _text(name)
    value = _built_of(name, content)
    return _parsed(f"{_HERE}/{name}", content) if value is None else value


@cache
def examples(rule_module: str) -> list[dict[str, Any]]:
    """The examples beside a rule's module (`stateward.policies.rules.storage.x` → `rules/storage/x.yaml`)."""
    relative = rule_module.removeprefix("stateward.policies.").replace(".", "/")
    path = f"{_HERE}/{relative}.yaml"
    if not os.path.exists(path):
        name = os.path.basename(path)
        raise DataError(f"{path}: every rule has its examples beside it; write {name} with cases to deny and allow")
    content = read(path)
    if not isinstance(content, list):
        raise DataError(f"{path}: a list of cases is wanted")
    return content
