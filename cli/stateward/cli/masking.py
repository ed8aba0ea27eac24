"""Values that no report may show: of Secrets, environment variables, arguments, and the credentials in a URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from stateward.policies.wording import CREDENTIALS, HIDDEN
from stateward.policies.wording import readable as readable
from stateward.policies.wording import text as text

if TYPE_CHECKING:
    from stateward.cli.manifests import Document
    from stateward.cli.nodes import Node

Range = tuple[int, int]

_WORDS: Final = frozenset(("args", "command"))
"""Keys whose lists hold a program's arguments, wherever they stand (containers, probes, hooks)."""
_VARIABLES: Final = frozenset(("env", "envVars", "extraEnv", "environment"))
_NAMED: Final = re.compile(
    r"(?:pass(?:word|wd|phrase)|token|api_?key|(?:private|secret|access|encryption)_?key)", re.IGNORECASE | re.ASCII
)
"""Keys that say of themselves that their value is no one else's business."""
_ASSIGNED: Final = re.compile(
    rf"{_NAMED.pattern}[\w.-]*[\"']?[ \t]*[:=][ \t]*[\"']?(?P<value>[^\s,;\"'{{}}\[\]|>&*][^\s,;\"'}}\]]*)",
    re.IGNORECASE | re.ASCII,
)
"""The same in any text: a configuration in a block of text, a comment."""
_COMMENT: Final = re.compile(r"\s*#\s*(?P<value>\S.*)")
_CARRIERS: Final = frozenset(("kubectl.kubernetes.io/last-applied-configuration",))
"""Annotations that hold a whole object, its secrets with it."""


class Shown(NamedTuple):
    """A line as it may be shown; `hidden` says where values of it are left out, in columns of the file from 0."""

    text: str
    hidden: list[Range]

    def column(self, column: int) -> int:
        """Where a column of the file (from 0) is in the text."""
        gone = 0
        for first, last in self.hidden:
            if column < last:
                return max(first - gone, 0) if column >= first else min(column - gone, len(self.text))
            gone += last - first - len(HIDDEN)
        return min(column - gone, len(self.text))


class Lines:
    """The lines of one document as they may be shown."""

    def __init__(self, document: Document) -> None:
        self._text = document.text
        root, offset = document.tree
        self._first = offset + root.start
        self._last = offset + root.end
        # The object knows its kind where the text has it from a list or a merged mapping.
        whole = "Secret" in str(document.object.get("kind"))
        self._hidden = _joined((start + offset, end + offset) for start, end in _secret(self._text, root, offset, whole))

    def line(self, start: int, end: int) -> Shown:
        """The line between two characters of the file, what is secret in it hidden."""
        pieces: list[str] = []
        hidden: list[Range] = []
        at = start
        for first, last in self._within(start, end):
            pieces += [self._text[at:first], HIDDEN]
            hidden.append((first - start, last - start))
            at = last
        rest = self._text[at:end]
        if at > start:  # a comment behind a secret may say what it was
            rest = rest.partition(" #")[0]
        return Shown(readable("".join([*pieces, rest]).replace("\t", " ")), hidden)

    def holds(self, start: int, end: int) -> bool:
        """Whether a line belongs to this document at all."""
        return start < max(self._last, self._first + 1) and end >= self._first

    def _within(self, start: int, end: int) -> list[Range]:
        """What is hidden of a line; several documents may share one, and the others are not ours to show."""
        found = [(max(first, start), min(last, end)) for first, last in self._hidden if first < end and last > start]
        if start < self._first and self._text[start : self._first].strip(" \t-"):
            found.append((start, min(self._first, end)))
        if self._last < end and self._text[self._last : end].lstrip().startswith(("{", "[")):
            found.append((max(self._last, start), end))
        if comment := _COMMENT.fullmatch(self._text, start, end):
            found.append(comment.span("value"))
        found += [(match.start(), match.end() - 1) for match in CREDENTIALS.finditer(self._text, start, end)]
        found += [match.span("value") for match in _ASSIGNED.finditer(self._text, start, end)]
        return _joined(iter(found))


def _joined(ranges: Iterator[Range]) -> list[Range]:
    joined: list[Range] = []
    for start, end in sorted(ranges):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif end > start:
            joined.append((start, end))
    return joined


def _secret(raw: str, root: Node, offset: int, whole: bool) -> list[Range]:
    """Where the values are that may not be shown, in characters of the document."""
    found: list[Range] = []
    waiting: list[tuple[Node, bool, bool, bool]] = [(root, False, False, whole)]
    seen: set[tuple[int, bool, bool, bool]] = set()
    while waiting:
        node, secret, variables, in_secret = waiting.pop()
        if (target := node.target) is not None:
            aliased = (id(target), secret, variables, in_secret)
            if aliased not in seen:  # an alias may come again and again
                seen.add(aliased)
                waiting.append((target, secret, variables, in_secret))
        if node.items is not None:
            waiting.extend([(item, secret, variables, in_secret) for item in node.items])
        elif node.pairs is not None:
            in_secret = in_secret or _is_secret(raw, node, offset)
            for name, _, value in node.pairs:
                real = value.target or value
                plain = real.pairs is None and real.items is None
                hidden = (
                    secret
                    or (in_secret and name in ("data", "stringData"))
                    or name in _WORDS
                    or name in _CARRIERS
                    or (variables and name == "value")
                    or (plain and name is not None and _is_named(name))
                )
                # `env` as a mapping of names to values is how many charts and operators write it
                hidden = hidden or (variables and plain and name not in ("name", "key"))
                if not plain or value is not real:
                    waiting.append((value, hidden, name in _VARIABLES, in_secret))
                elif hidden:
                    found.append((value.start, value.end))
        elif secret:
            found.append((node.start, node.end))
    return found


@lru_cache(maxsize=4096)
def _is_named(key: str) -> bool:
    return _NAMED.search(key) is not None


def _is_secret(raw: str, node: Node, offset: int) -> bool:
    for name, _, value in node.pairs or ():
        if name == "kind" and "Secret" in raw[offset + value.real.start : offset + value.real.end]:
            return True
    return False
