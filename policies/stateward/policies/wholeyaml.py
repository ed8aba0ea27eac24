"""Data files that are not plain YAML, by PyYAML."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, in C where there is one, that leaves times as text, as JSON would."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
    for first, rows in _Loader.yaml_implicit_resolvers.items()
}


class Broken(Exception):  # noqa: N818 - the file is broken
    """A text that cannot be read; `place` is `:line:column` or less."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


def load(text: bytes, deepest: int | None) -> Any:
    """The value of a text, with at most `deepest` levels of nesting. Raises Broken."""
    try:
        if deepest is not None:
            _check_depth(text, deepest)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.constructor.ConstructorError as error:
        # Its own words quote the tag: in a user's file that may be a password that begins with an exclamation mark.
        raise Broken(
            "a tag or a key that is not of plain data; write it out, or put the text in quotes", _place(error)
        ) from None
    except UnicodeDecodeError:
        raise Broken("it is not UTF-8; save it as UTF-8", "") from None
    except (ValueError, AttributeError):  # the parser's own constructors, of a value that is not of its tag
        raise Broken("a value is not of its tag (!!int, !!float, !!timestamp); correct it or remove the tag", "") from None
    except yaml.YAMLError as error:
        raise Broken(str(getattr(error, "problem", None) or error), _place(error)) from None


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""


def _check_depth(text: bytes, deepest: int) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > deepest:
                line = event.start_mark.line + 1 if event.start_mark is not None else 1
                raise Broken(f"nested more than {deepest} levels deep; no such file is written by hand", f":{line}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
