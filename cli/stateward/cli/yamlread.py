"""YAML text to JSON values, read the way Kubernetes reads it: sigs.k8s.io/yaml v1.6, see `scalars` for the source.

The values are built from the parser's events without recursion, so no text, however deep or however aliased, can
exhaust the stack; PyYAML's own composer crashes the interpreter there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from stateward.cli.limits import MAX_DEPTH, Budget
from stateward.cli.scalars import SPECIAL, TAG, Event, Fault, Json, at, is_merge, key_of, tagged, value_of
from stateward.cli.yamlevents import events


class Parsed(NamedTuple):
    """One document: its JSON value, and whether a key may appear twice in one of its mappings (False is certain)."""

    value: Json
    repeats: bool


class _Anchor:
    """What an anchor names: a scalar's event, or the value of a collection once it is closed."""

    __slots__ = ("closed", "event", "size", "value")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.closed = type(event) is ScalarEvent
        self.value: Json = None
        self.size = 1


_NO_KEY: Final = object()
_MERGE: Final = object()


def documents(text: str, budget: Budget) -> Iterator[Parsed]:
    """Every document of a YAML text, one after the other; the first thing that cannot be read raises Fault.

    Refused, though sigs.k8s.io/yaml takes them: tags that are not of plain data (it ignores them), binary, and more
    than MAX_DEPTH levels. As there, a later key wins over an earlier one, and `<<` over the keys above it.
    """
    if "*" in text:
        budget.settle()
    root: Json = None
    current: Any = None
    slot: Any = _NO_KEY
    repeats = False
    anchors: dict[str, _Anchor] = {}
    stack: list[tuple[Any, Any, _Anchor | None, int]] = []
    for event in events(text):
        kind = type(event)
        value: Json
        if kind is ScalarEvent:
            budget.written += 1
            budget.total += 1
            if event.anchor is not None:
                anchors[event.anchor] = _Anchor(event)
            if slot is _NO_KEY and type(current) is dict:
                slot = _MERGE if is_merge(event) else key_of(event)
                continue
            value = event.value
            if event.tag is not None or (event.implicit[0] and (not value or value[0] in SPECIAL)):
                value = value_of(event)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            budget.written += 1
            budget.total += 1
            value = _opened(event, len(stack), slot is _NO_KEY and type(current) is dict)
            anchor = None
            if event.anchor is not None:
                anchor = anchors[event.anchor] = _Anchor(event)
            stack.append((current, slot, anchor, budget.total))
            current, slot = value, _NO_KEY
            continue
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            value = current
            current, slot, anchor, before = stack.pop()
            if anchor is not None:
                anchor.closed, anchor.value, anchor.size = True, value, budget.total - before + 1
        elif kind is AliasEvent:
            anchor = _named(event, anchors)
            budget.spend(anchor.size, at(event))
            if slot is _NO_KEY and type(current) is dict:
                slot = _key_by_alias(event, anchor)
                continue
            scalar = type(anchor.event) is ScalarEvent
            value = value_of(anchor.event) if scalar else _copy(anchor.value, MAX_DEPTH - len(stack), at(event))
        elif kind is DocumentStartEvent:
            root, repeats, anchors = None, False, {}
            continue
        elif kind is DocumentEndEvent:
            yield Parsed(root, repeats)
            continue
        else:
            continue
        if type(current) is dict:
            if slot is _MERGE:
                _merge(current, value, event)
            else:
                repeats = repeats or slot in current
                current[slot] = value
            slot = _NO_KEY
        elif current is None:
            root = value
        else:
            current.append(value)


def _opened(event: Event, depth: int, is_key: bool) -> dict[str, Any] | list[Any]:
    mapping = type(event) is MappingStartEvent
    if is_key:
        kind = "mapping" if mapping else "list"
        advice = "If it is a template, render it first (helm template)" if mapping else "Put it in quotes"
        raise Fault(f"a {kind} is used as a key; the keys of a JSON object are text. {advice}.", at(event))
    if event.tag not in (None, "!", TAG + ("map" if mapping else "seq")):
        raise tagged(event)
    if depth >= MAX_DEPTH:
        raise _too_deep(at(event))
    return {} if mapping else []


def _too_deep(index: int) -> Fault:
    return Fault(f"more than {MAX_DEPTH} mappings and lists lie inside each other. Flatten the document.", index)


def _named(event: Event, anchors: dict[str, _Anchor]) -> _Anchor:
    anchor = anchors.get(event.anchor)
    if anchor is None:
        # Not named: it may be a password that begins with an asterisk.
        raise Fault(
            "an alias has no anchor before it. Define it in this document, or put a text that begins with * in quotes.",
            at(event),
        )
    if not anchor.closed:
        raise Fault(f"anchor &{event.anchor} contains itself; JSON cannot say that. Write the value out.", at(event))
    return anchor


def _key_by_alias(event: Event, anchor: _Anchor) -> str:
    if type(anchor.event) is ScalarEvent:
        return key_of(anchor.event)
    raise Fault(
        f"alias *{event.anchor} is a key but no text; the keys of a JSON object are text. Write the key out.", at(event)
    )


def _copy(value: Json, room: int, index: int) -> Json:
    """A copy for an alias, so that no edit of one place shows in another; it may be `room` levels deep."""
    if type(value) is dict:
        if room <= 0:
            raise _too_deep(index)
        return {k: _copy(v, room - 1, index) for k, v in value.items()}
    if type(value) is list:
        if room <= 0:
            raise _too_deep(index)
        return [_copy(v, room - 1, index) for v in value]
    return value


def _merge(into: dict[str, Any], value: Json, event: Event) -> None:
    """Lay a merged mapping over what is there; of several the first wins, so it comes last."""
    parts = value if type(value) is list else [value]
    if not all(type(part) is dict for part in parts):
        raise Fault("the merge key << has a value that is no mapping. Give it a mapping or a list of mappings.", at(event))
    for part in reversed(parts):
        into.update(part)
