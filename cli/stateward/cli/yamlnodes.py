"""The tree of a YAML text, from PyYAML's events."""

from __future__ import annotations

import re
from typing import Final

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

from stateward.cli.nodes import Builder, Node
from stateward.cli.scalars import Event, at, is_merge, key_of
from stateward.cli.yamlevents import events


def yaml_tree(text: str, nth: int) -> Node | None:
    """The nodes of the nth document (from 0) of a YAML text that `yamlread` has read without a Fault up to there."""
    build = Builder()
    anchors: dict[str, tuple[Node, Event]] = {}
    rest = events(text)
    for _ in range(nth + 1):
        for event in rest:
            if type(event) is DocumentStartEvent:
                break
    for event in rest:
        kind = type(event)
        if kind is ScalarEvent:  # first, for most events are
            start = event.start_mark.index
            if text[start : start + 1] in _PROPERTY:
                start = _past_properties(text, start)
            node = Node(start, event.end_mark.index)
            if event.anchor is not None:
                anchors[event.anchor] = (node, event)
            if build.wants_key:
                build.key(None if is_merge(event) else key_of(event), node)
            else:
                build.add(node)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            build.close(event.end_mark.index)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            node = Node(at(event), event.end_mark.index)
            if event.anchor is not None:
                anchors[event.anchor] = (node, event)
            build.open(node, mapping=kind is MappingStartEvent)
        elif kind is AliasEvent:
            node = Node(at(event), event.end_mark.index)
            node.target, named = anchors[event.anchor]
            if build.wants_key:
                build.key(key_of(named), node)
            else:
                build.add(node)
        elif kind is DocumentEndEvent:  # what comes after it need not be YAML
            break
    return build.root


_PROPERTY: Final = ("&", "!")
_PROPERTIES: Final = re.compile(r"(?:[&!]\S*[ \t]+)+")


def _past_properties(text: str, start: int) -> int:
    """Where a scalar itself starts, behind its anchor and its tag."""
    match = _PROPERTIES.match(text, start)
    return match.end() if match else start
