"""A field of a manifest changed in its text: everything else stays as it is, byte for byte.

Each change is read again and compared: a text that would not say exactly what is intended is never given back.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from stateward.cli import manifests
from stateward.cli.files import Given
from stateward.cli.manifests import Document
from stateward.cli.nodes import Node
from stateward.cli.positions import Text
from stateward.cli.scalars import plain
from stateward.policies.finding import REMOVE, SetField
from stateward.policies.paths import render

Which = tuple[int, tuple[str | int, ...]]
"""Which object of a file: the index of its document, and its place in a list there."""


class PatchError(Exception):
    """Why a text cannot be changed so; the message names the field and the reason."""


def patched(text: str, which: Which, steps: Sequence[SetField], source: str = "manifest") -> str:
    """A file's text with the steps of a patch applied to one of its objects. Raises PatchError."""
    for step in steps:
        documents = _read(text, source)
        document = next((one for one in documents if (one.index, one.prefix) == which), None)
        if document is None:
            raise PatchError("the object is no longer there")
        changed = _Change(document, step).text()
        _check(documents, document, step, _read(changed, source))
        text = changed
    return text


def applied(item: Any, step: SetField) -> Any:
    """A copy of an object with one step of a patch applied. Raises PatchError."""
    result = copy.deepcopy(item)
    above: list[Any] = list(step.path[:-1])
    last: Any = step.path[-1]
    node: Any = result
    for place in above:
        if type(node) is dict and isinstance(place, str):
            if node.get(place) is None:
                if step.value is REMOVE:
                    return result
                node[place] = {}
            node = node[place]
        elif type(node) is list and isinstance(place, int) and place < len(node):
            node = node[place]
        else:
            raise _misplaced(step)
    if step.value is REMOVE and type(node) is dict:
        node.pop(last, None)
    elif step.value is REMOVE:
        raise _misplaced(step)
    elif type(node) is dict or (type(node) is list and last in range(len(node))):
        node[last] = copy.deepcopy(step.value)
    else:
        raise _misplaced(step)
    return result


def _misplaced(step: SetField) -> PatchError:
    return PatchError(f"{render(step.path)}: the manifest has no place for it")


def _read(text: str, source: str) -> list[Document]:
    loaded = manifests.Loaded([], [], [])
    manifests.take(Given(source, named=True), Text(text), loaded)
    return loaded.documents


def _check(before: list[Document], changed: Document, step: SetField, after: list[Document]) -> None:
    """Nothing but the intended may differ."""
    wanted = [applied(one.object, step) if one is changed else one.object for one in before]
    if not same(wanted, [one.object for one in after]) or [_which(one) for one in before] != [_which(one) for one in after]:
        reason = "other places share its text (an anchor), or it is written in an unusual way"
        raise PatchError(f"{render(step.path)}: it cannot be changed alone; {reason}")


def _which(document: Document) -> Which:
    return document.index, document.prefix


def same(one: Any, another: Any) -> bool:
    """Whether two JSON values are equal, and of equal types: true is no 1, and 1 no 1.0."""
    if type(one) is not type(another):
        return False
    if type(one) is dict:
        return one.keys() == another.keys() and all(same(value, another[key]) for key, value in one.items())
    if type(one) is list:
        return len(one) == len(another) and all(map(same, one, another))
    return bool(one == another)


class _Change:
    """One step of a patch on the text of one document."""

    def __init__(self, document: Document, step: SetField) -> None:
        self._raw = document.text
        self._root, self._offset = document.tree
        self._json = document.is_json
        self._step = step
        self._path = (*document.prefix, *step.path)
        newline = re.search(r"\r\n?|\n", self._raw)
        self._newline = newline[0] if newline else "\n"

    def text(self) -> str:
        node, above = self._root, None
        for position, step in enumerate(self._path):
            if node.target is not None:
                raise self._shared()
            found = self._child(node, step)
            if found is None:
                return self._add(node, above, self._path[position:])
            above, node = (node, found[0]), found[1]
        if self._step.value is REMOVE:
            if above is None or above[0].pairs is None:
                raise _misplaced(self._step)
            return self._remove(above[0], above[1])
        if node.target is not None:
            raise self._shared()
        return self._put(node, above, self._step.value)

    def _shared(self) -> PatchError:
        return PatchError(f"{render(self._step.path)}: its text is an alias; what it stands for is used elsewhere too")

    def _child(self, node: Node, step: str | int) -> tuple[int, Node] | None:
        """A child: its place in the parent, its value."""
        if node.items is not None and isinstance(step, int):
            return (step, node.items[step]) if 0 <= step < len(node.items) else None
        found = [(number, value) for number, (name, _, value) in enumerate(node.pairs or ()) if name == step]
        if len(found) > 1:
            raise PatchError(f'{render(self._step.path)}: the key "{step}" appears twice')
        if not found and any(name is None for name, _, _ in node.pairs or ()):
            raise PatchError(f"{render(self._step.path)}: a merge key (<<) may give it; what it names is used elsewhere too")
        return found[0] if found else None

    # --- the text ------------------------------------------------------------------------------------------------

    def _slice(self, start: int, end: int) -> str:
        return self._raw[self._offset + start : self._offset + end]

    def _splice(self, start: int, end: int, new: str) -> str:
        return self._raw[: self._offset + start] + new + self._raw[self._offset + end :]

    def _colon(self, key: Node) -> int:
        """Behind the colon of a key."""
        return self._raw.index(":", self._offset + key.end) - self._offset + 1

    def _is_flow(self, node: Node) -> bool:
        if node.items is None and node.pairs is None:
            return False
        body = _PROPERTIES.sub("", self._slice(node.start, node.end))
        return body.startswith(("{", "["))

    def _end(self, node: Node, key: Node | None = None) -> int:
        """Behind the last character of a value; the parser's own ends take in what follows a block."""
        if node.start == node.end:
            return self._colon(key) if key is not None else node.end
        if node.target is None and not self._is_flow(node):
            if node.pairs:
                _, last, value = node.pairs[-1]
                return self._end(value, last)
            if node.items:
                return self._end(node.items[-1])
        return node.end

    def _line_end(self, index: int) -> int:
        """Before the line end at or behind a character."""
        match = _LINE_END.search(self._raw, self._offset + index)
        return (match.start() if match else len(self._raw)) - self._offset

    def _line_start(self, index: int) -> int:
        at = self._offset + index
        return max(self._raw.rfind("\n", 0, at), self._raw.rfind("\r", 0, at)) + 1 - self._offset

    # --- putting -------------------------------------------------------------------------------------------------

    def _put(self, node: Node, above: tuple[Node, int] | None, value: Any) -> str:
        parent, place = above if above else (None, 0)
        key = parent.pairs[place][1] if parent is not None and parent.pairs else None
        flow = self._json or (parent is not None and self._is_flow(parent))
        if node.start == node.end:
            if key is None:
                raise _misplaced(self._step)
            at = self._colon(key)
            return self._splice(at, at, f" {self._inline(value, '', flow)}")
        if key is not None and (node.pairs or node.items) and not (flow or self._is_flow(node)):
            # A block begins below its key; what stands in its place begins beside it.
            return self._splice(self._colon(key), self._end(node), f" {self._inline(value, '', flow)}")
        old = self._slice(node.start, node.end)
        new = self._inline(value, old, flow)
        if old[0] in "|>" and old.endswith(("\n", "\r")):  # a block of text takes the line end behind it
            new += self._newline
        return self._splice(node.start, self._end(node), new)

    def _inline(self, value: Any, old: str, flow: bool) -> str:
        """A value on one line, in the quotes of the one that it replaces."""
        if type(value) is not str or self._json:
            return _json(value)
        if old.startswith("'") and _PRINTABLE.fullmatch(value):
            return "'" + value.replace("'", "''") + "'"
        if not old.startswith('"') and _is_plain(value, flow):
            return value
        return _json(value)

    # --- adding --------------------------------------------------------------------------------------------------

    def _add(self, node: Node, above: tuple[Node, int] | None, missing: Sequence[str | int]) -> str:
        if self._step.value is REMOVE:
            return self._raw
        if not all(isinstance(step, str) for step in missing):
            raise _misplaced(self._step)
        value = self._step.value
        for step in reversed(missing[1:]):
            value = {step: value}
        key = str(missing[0])
        if node.pairs is None:
            if node.items is not None or plain(self._slice(node.start, node.end)) is not None:
                raise _misplaced(self._step)
            return self._put(node, above, {key: value})
        if self._json or self._is_flow(node):
            return self._add_flow(node, key, value)
        return self._add_line(node, key, value)

    def _add_line(self, node: Node, key: str, value: Any) -> str:
        pairs = node.pairs or []
        first = pairs[0][1]
        before = self._slice(self._line_start(first.start), first.start)
        indent = " " * len(before)
        if before.strip(" -"):  # `--- a: b`, `? a`, an anchor
            raise PatchError(f"{render(self._step.path)}: the line before it is written in an unusual way")
        lines = self._block(key, value, indent)
        end = self._end(pairs[-1][2], pairs[-1][1])
        if end and self._slice(end - 1, end) in ("\n", "\r"):  # behind a block of text
            return self._splice(end, end, "".join(f"{line}{self._newline}" for line in lines))
        at = self._line_end(end)
        return self._splice(at, at, "".join(f"{self._newline}{line}" for line in lines))

    def _block(self, key: str, value: Any, indent: str) -> list[str]:
        name = key if _is_plain(key, flow=False) else _json(key)
        if type(value) is dict and value:
            return [f"{indent}{name}:", *(line for k, v in value.items() for line in self._block(k, v, f"{indent}  "))]
        return [f"{indent}{name}: {self._inline(value, '', flow=False)}"]

    def _add_flow(self, node: Node, key: str, value: Any) -> str:
        pairs = node.pairs or []
        if not pairs:
            at = self._raw.index("{", self._offset + node.start) - self._offset + 1
            return self._splice(at, at, f"{self._key(key, '')}: {self._inline(value, '', flow=True)}")
        last = pairs[-1]
        end = self._end(last[2], last[1])
        begin = self._end(pairs[-2][2], pairs[-2][1]) if len(pairs) > 1 else None
        between = self._slice(begin, last[1].start) if begin is not None else ", "
        if begin is None and (gap := re.search(r"\{(\s*)$", self._slice(node.start, last[1].start))) and _has_line(gap[1]):
            between = f",{gap[1]}"
        between = between if re.fullmatch(r",\s*", between) else ", "
        colon = self._slice(last[1].end, last[2].start)
        colon = colon if re.fullmatch(r" *: *", colon) else ": "
        new = (
            f"{between}{self._key(key, self._slice(last[1].start, last[1].end))}{colon}{self._inline(value, '', flow=True)}"
        )
        return self._splice(end, end, new)

    def _key(self, key: str, sibling: str) -> str:
        if self._json or sibling.startswith('"') or not _is_plain(key, flow=True):
            return _json(key)
        return key

    # --- removing ------------------------------------------------------------------------------------------------

    def _remove(self, parent: Node, number: int) -> str:
        pairs = parent.pairs or []
        _, key, value = pairs[number]
        end = self._end(value, key)
        following = pairs[number + 1][1] if number + 1 < len(pairs) else None
        if self._json or self._is_flow(parent):
            if following is not None:
                return self._splice(key.start, following.start, "")
            start = self._end(pairs[number - 1][2], pairs[number - 1][1]) if number else key.start
            return self._splice(start, end, "")
        if len(pairs) == 1:
            return self._splice(key.start, end, "{}")
        line = self._line_start(key.start)
        if not self._slice(line, key.start).strip(" "):
            at = self._offset + (end if self._slice(end - 1, end) in ("\n", "\r") else self._line_end(end))
            match = _LINE_END.match(self._raw, at) if self._raw[at - 1] not in "\n\r" else None
            return self._splice(line, (match.end() if match else at) - self._offset, "")
        if following is None or self._slice(end, following.start).strip():  # `- key: …`, and a comment below it
            raise PatchError(f"{render(self._step.path)}: a comment stands between it and what would move into its place")
        return self._splice(key.start, following.start, "")


_LINE_END: Final = re.compile(r"\r\n?|\n")
_PROPERTIES: Final = re.compile(r"^(?:[&!]\S*\s+)+")
_PRINTABLE: Final = re.compile("[ -~\xa0-\u2027\u2030-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")
_SAFE: Final = re.compile(r"[A-Za-z0-9_./](?:[\w./@+:-]*[\w./@+-])?")


def _has_line(text: str) -> bool:
    return _LINE_END.search(text) is not None


def _is_plain(text: str, flow: bool) -> bool:
    """Whether a text can stand without quotes and is a text then."""
    safe = _SAFE.fullmatch(text) is not None and text.isascii() and not (flow and ":" in text)
    return safe and plain(text) == text and not text.startswith(("---", "..."))


def _json(value: Any) -> str:
    """A value as JSON that YAML reads alike: what YAML takes for a line end, or not at all, is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if _PRINTABLE.fullmatch(one) else f"\\u{ord(one):04x}" for one in text)
