"""The one module that reads data files: adapters, engine profiles, the examples of rules."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

_HERE = Path(__file__).parent


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, in C where there is one, that leaves times as text, as JSON would."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
    for first, rows in _Loader.yaml_implicit_resolvers.items()
}


class DataError(Exception):
    """A data file that cannot be used: the message names file, place, reason and next step."""


DEEPEST: Final = 200
"""Levels of nesting in a file that a user hands in: far more than any has, far less than the parser's own stack takes."""


def read(path: Path, theirs: bool = False) -> Any:
    """One YAML file; `theirs` where it is a user's and not our own. Raises DataError with line and reason."""
    try:
        text = path.read_bytes()
        if theirs:
            _check_depth(path, text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except yaml.constructor.ConstructorError as error:
        # Its own words quote the tag: in a user's file that may be a password that begins with an exclamation mark.
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        raise DataError(
            f"{where}: a tag or a key that is not of plain data; write it out, or put the text in quotes"
        ) from None
    except (ValueError, AttributeError) as error:  # the parser's own constructors, of a value that is not of its tag
        if isinstance(error, UnicodeDecodeError):
            raise DataError(f"{path}: it is not UTF-8; save it as UTF-8") from None
        raise DataError(
            f"{path}: a value is not of its tag (!!int, !!float, !!timestamp); correct it or remove the tag"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        raise DataError(f"{where}: {getattr(error, 'problem', None) or error}") from None


def _check_depth(path: Path, text: bytes) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark is not None else 1
                raise DataError(f"{path}:{line}: nested more than {DEEPEST} levels deep; no such file is written by hand")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def folder(name: str) -> list[tuple[str, Any]]:
    """All YAML files of a folder below the package, by name: (file name, content)."""
    return [(path.name, read(path)) for path in sorted((_HERE / name).glob("*.yaml"))]


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
