"""The one module that reads data files: adapters, engine profiles, the examples of rules.

What is plain YAML, as our own files are, is read without PyYAML, whose import and reading took a third of the time in
which `stateward lint` of one file is done.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from stateward.policies.plainyaml import Reader, Unusual

_HERE = Path(__file__).parent
_CERTAIN: Final = {"true": True, "false": False}
_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_UNCERTAIN: Final = re.compile(  # null, booleans, and what may be a number or a time in some version of YAML
    r"~|[yn]|yes|no|on|off|true|false|null|[-+.0-9][-+.:_0-9a-fxot z]*|[-+]?\.(?:inf|nan)|[=<].*", re.IGNORECASE
)


class DataError(Exception):
    """A data file that cannot be used: the message names file, place, reason and next step."""


DEEPEST: Final = 200
"""Levels of nesting in a file that a user hands in: far more than any has, far less than the parser's own stack takes."""


def read(path: Path, theirs: bool = False) -> Any:
    """One YAML file; `theirs` where it is a user's and not our own. Raises DataError with line and reason."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    return _parsed(path, content, theirs)


def _parsed(path: Path, content: bytes, theirs: bool = False) -> Any:
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


def folder(name: str) -> list[tuple[str, Any]]:
    """All YAML files of a folder below the package, by name: (file name, content)."""
    return [(path.name, read(path)) for path in sorted((_HERE / name).glob("*.yaml"))]


def parts(name: str, keys: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """As `folder`, but only some top-level keys of each file: cheap where the rest is long."""
    block = re.compile(rf"^(?:{'|'.join(keys)}):.*\n(?:(?:[ #-].*)?\n)*", re.MULTILINE)
    found = []
    for path in sorted((_HERE / name).glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        wanted = "".join(block.findall(text))
        found.append((path.name, _parsed(path, wanted.encode()) if wanted else {}))
    return found


def file(name: str) -> Any:
    """One YAML file below the package."""
    return read(_HERE / name)


@cache
def examples(rule_module: str) -> list[dict[str, Any]]:
    """The examples beside a rule's module (`stateward.policies.rules.storage.x` → `rules/storage/x.yaml`)."""
    relative = rule_module.removeprefix("stateward.policies.").replace(".", "/")
    path = _HERE / f"{relative}.yaml"
    if not path.exists():
        raise DataError(f"{path}: every rule has its examples beside it; write {path.name} with cases to deny and allow")
    content = read(path)
    if not isinstance(content, list):
        raise DataError(f"{path}: a list of cases is wanted")
    return content
