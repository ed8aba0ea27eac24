"""What an adapter file may hold: every field, its type, what it is for. Checks a file whole and tells every mistake.

Our own files are checked by a test, a user's when they are loaded. The tables of docs/adding-an-adapter.md are these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from string import Formatter
from typing import Any, Final, NamedTuple

from stateward.policies import paths
from stateward.policies.adapters import derive
from stateward.policies.adapters.transforms import TRANSFORMS
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.paths import Path


class Mistake(NamedTuple):
    """What is wrong at a place of a file."""

    path: Path
    text: str


Check = Callable[[Any, Path], Iterator[Mistake]]


class Word(NamedTuple):
    """A field that a mapping may have."""

    check: Check
    type: str
    what: str
    needed: bool = False


Words = Mapping[str, Word]

DEEPEST: Final = 40
"""Levels of nesting: more than any adapter has, less than Python's own stack takes."""


def mistakes(content: Any) -> list[Mistake]:
    """Everything that is wrong with the content of an adapter file, in the order of the file. Never raises."""
    if _depth(content) > DEEPEST:
        return [Mistake((), f"it is nested deeper than {DEEPEST} levels; no adapter needs that")]
    return list(_record(FIELDS, "an adapter")(content, ()))


def _depth(value: Any) -> int:
    found, level = 0, [value]
    while level and found <= DEEPEST:
        found += 1
        level = [
            inner
            for one in level
            if isinstance(one, Mapping | list)
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
    return found


# --- values ------------------------------------------------------------------------------------------------------


def named(value: Any) -> str:
    """What a value is, for a message: its type, and a text itself."""
    if isinstance(value, str):
        return f'"{value[:60]}"'
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)[:24]
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, Mapping) else type(value).__name__


def _wrong(wanted: str, value: Any, path: Path) -> Iterator[Mistake]:
    yield Mistake(path, f"{wanted} is wanted, not {named(value)}")


def _text(value: Any, path: Path) -> Iterator[Mistake]:
    if not isinstance(value, str) or not value.strip():
        yield from _wrong("a text", value, path)


def _any_text(value: Any, path: Path) -> Iterator[Mistake]:
    if not isinstance(value, str):
        yield from _wrong("a text", value, path)


def _flag(value: Any, path: Path) -> Iterator[Mistake]:
    if not isinstance(value, bool):
        yield from _wrong("true or false", value, path)


def _number(value: Any, path: Path) -> Iterator[Mistake]:
    if type(value) is not int:
        yield from _wrong("a whole number", value, path)


def _any(value: Any, path: Path) -> Iterator[Mistake]:  # noqa: ARG001,RUF100 - a Check
    return iter(())


def _true(value: Any, path: Path) -> Iterator[Mistake]:
    if value is not True:
        yield from _wrong("true", value, path)


def _one_of(*names: str) -> Check:
    def check(value: Any, path: Path) -> Iterator[Mistake]:
        if not isinstance(value, str) or value not in names:
            yield Mistake(path, f"{named(value)} is none of {', '.join(names)}{_near(value, names)}")

    return check


def _near(value: Any, names: Any) -> str:
    near = get_close_matches(value[:64], list(names), 1) if isinstance(value, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _list(of: Check) -> Check:
    def check(value: Any, path: Path) -> Iterator[Mistake]:
        if not isinstance(value, list):
            yield from _wrong("a list", value, path)
            return
        for index, one in enumerate(value):
            yield from of(one, (*path, index))

    return check


def _filled(of: Check) -> Check:
    def check(value: Any, path: Path) -> Iterator[Mistake]:
        if value == []:
            yield Mistake(path, "the list is empty; write at least one item")
        yield from of(value, path)

    return check


def _mapping(of: Check, empty: bool = True) -> Check:
    def check(value: Any, path: Path) -> Iterator[Mistake]:
        if not isinstance(value, Mapping) or not (empty or value):
            yield from _wrong("a mapping" if empty else "a mapping with at least one key", value or None, path)
            return
        for key, one in value.items():
            if not isinstance(key, str):
                yield Mistake(path, f"the key {named(key)} is no text; put it in quotes")
            else:
                yield from of(one, (*path, key))

    return check


def _record(words: Words, what: str, kinds: tuple[tuple[str, ...], ...] = ()) -> Check:
    """A mapping of known words. `kinds`: groups of which exactly one word is wanted."""

    def check(value: Any, path: Path) -> Iterator[Mistake]:
        if not isinstance(value, Mapping):
            yield from _wrong(f"a mapping ({what})", value, path)
            return
        for key, one in value.items():
            word = words.get(key) if isinstance(key, str) else None
            if word is None:
                known = _near(key, words) or f"; {what} has {', '.join(sorted(words))}"
                yield Mistake(
                    (*path, key) if isinstance(key, str) else path,
                    f"unknown word {named(key)}{known}",
                )
            else:
                yield from word.check(one, (*path, key))
        for name, word in words.items():
            if word.needed and name not in value:
                yield Mistake(path, f'"{name}" is missing: {word.what}')
        for names in kinds:
            given = [name for name in names if name in value]
            if len(given) != 1:
                yield Mistake(path, f"{what} needs one of {', '.join(names)}; here {_many(given)}")

    return check


def _many(given: list[str]) -> str:
    return f"are {' and '.join(given)}" if given else "is none"


def _either(text: Check, mapping: Check, wanted: str) -> Check:
    """A text, or a mapping."""

    def check(value: Any, path: Path) -> Iterator[Mistake]:
        if isinstance(value, str):
            yield from text(value, path)
        elif isinstance(value, Mapping):
            yield from mapping(value, path)
        else:
            yield from _wrong(wanted, value, path)

    return check


def _path(value: Any, path: Path) -> Iterator[Mistake]:
    if not isinstance(value, str) or not value:
        yield from _wrong("a path such as spec.replicas", value, path)
        return
    try:
        paths.parse(value)
    except ValueError as error:
        yield Mistake(path, str(error))


def _items(value: Any, path: Path) -> Iterator[Mistake]:
    """The path of a list, perhaps inside lists (`a[].b`) and mappings (`a{}.b`)."""
    if not isinstance(value, str) or not value:
        yield from _wrong("the path of a list, such as spec.pools,", value, path)
        return
    for part in re.split(r"\[\]|\{\}", value.removesuffix("[]")):
        for mistake in _path(part.removeprefix("."), path):
            yield Mistake(path, f'"{value}": {mistake.text}')


def _within(value: Any, path: Path) -> Iterator[Mistake]:
    if not isinstance(value, str) or not value:
        yield from _wrong("the path of a list, such as spec.pools,", value, path)
        return
    for part in value.removesuffix("[]").split("[]"):
        for mistake in _path(part.removeprefix("."), path):
            yield Mistake(path, f'"{value}": {mistake.text}')


def _pattern(value: Any, path: Path) -> Iterator[Mistake]:
    if not isinstance(value, str):
        yield from _wrong("a regular expression", value, path)
        return
    try:
        found = re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        yield Mistake(path, f'"{value[:60]}" is no regular expression: {error}')
        return
    if not found.groups:
        yield Mistake(path, f'"{value[:60]}" has no group; put parentheses around the version')


def _template(*names: str) -> Check:
    """A text with places for these names in braces."""

    def check(value: Any, path: Path) -> Iterator[Mistake]:
        if not isinstance(value, str) or not value:
            yield from _wrong("a text", value, path)
            return
        try:
            parts = list(Formatter().parse(value))
        except ValueError as error:
            yield Mistake(path, f'"{value[:60]}": {error}')
            return
        for _, name, form, conversion in parts:
            if name is not None and (name not in names or form or conversion):
                known = ", ".join("{" + one + "}" for one in names)
                yield Mistake(path, f'"{value[:60]}": in braces stands one of {known}')

    return check


def _engine(value: Any, path: Path) -> Iterator[Mistake]:
    if value not in PROFILES:
        yield Mistake(path, f"{named(value)} is no engine{_near(value, PROFILES) or '; `stateward engines` lists them'}")


_KIND: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?")
_BARE_KIND: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_GROUP: Final = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?")
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def _spelled(pattern: re.Pattern[str], wanted: str) -> Check:
    def check(value: Any, path: Path) -> Iterator[Mistake]:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            yield from _wrong(wanted, value, path)

    return check


_kind = _spelled(_KIND, "a kind with its group, such as StatefulSet.apps,")
_bare_kind = _spelled(_BARE_KIND, "a kind without its group, such as Ledger,")
_group = _spelled(_GROUP, "an API group, such as db.example.com,")
_name = _spelled(_NAME, "lower-case words joined by dashes")


def _groups(value: Any, path: Path) -> Iterator[Mistake]:
    yield from _filled(_list(_group))(value, path) if isinstance(value, list) else _group(value, path)


def _texts(value: Any, path: Path) -> Iterator[Mistake]:
    yield from _filled(_list(_text))(value, path) if isinstance(value, list) else _text(value, path)


def _look(value: Any, path: Path) -> Iterator[Mistake]:
    yield from _filled(_list(_text))(value, path)
    if isinstance(value, list) and value:
        yield from _kind(value[0], (*path, 0))


# --- expressions -------------------------------------------------------------------------------------------------


def expression(value: Any, path: Path) -> Iterator[Mistake]:
    """A path, or a mapping with one source and modifiers (grammar.py)."""
    yield from _either(_path, _expression_mapping, "an expression (a path or a mapping)")(value, path)


def _expression_mapping(value: Any, path: Path) -> Iterator[Mistake]:
    yield from _record(EXPRESSION, "an expression", (SOURCES,))(value, path)
    if not isinstance(value, Mapping):
        return
    for source, further in (("find", ("where", "value")), ("every", ("value",))):
        for name in further if source in value else ():
            if name not in value:
                yield Mistake(path, f'"{source}" needs "{name}": {EXPRESSION[name].what}')
    for name, needs in (("where", ("find",)), ("value", ("find", "every")), ("within", ("path",)), ("between", ("all",))):
        if name in value and not any(one in value for one in needs):
            yield Mistake((*path, name), f'"{name}" goes with {" or ".join(needs)}, which is not here')
    tests = [name for name in TESTS if name in value]
    if len(tests) > 1:
        yield Mistake(path, f"one test is taken; here are {' and '.join(tests)}")
    if "not" in value and not tests:
        yield Mistake((*path, "not"), f'"not" turns a test round, and there is none of {", ".join(TESTS)}')


def _where(value: Any, path: Path) -> Iterator[Mistake]:
    yield from _mapping(_any, empty=False)(value, path)
    for key in value if isinstance(value, Mapping) else ():
        if isinstance(key, str):
            yield from _path(key, path)


def _map(value: Any, path: Path) -> Iterator[Mistake]:
    if not isinstance(value, Mapping):
        yield from _wrong("a mapping from a value to another", value, path)


SOURCES: Final = ("path", "root", "firstOf", "all", "const", "key", "condition", "find", "every")
TESTS: Final = ("equals", "in", "contains", "above", "exists")

EXPRESSION: Final[Words] = {
    "path": Word(_path, "path", "a value below the item"),
    "root": Word(_path, "path", "a value of the whole object, from inside a list"),
    "firstOf": Word(_filled(_list(expression)), "list of expressions", "the first that is there"),
    "all": Word(
        _filled(_list(expression)), "list of expressions", "the texts of those that are there, with `between` between"
    ),
    "const": Word(_any, "any", "a constant"),
    "key": Word(_true, "true", "the item's own key in its mapping, or its place in its list"),
    "condition": Word(_text, "text", "when a condition of this type in the status became true"),
    "find": Word(_path, "path", "the `value` of the list item whose keys are as in `where`"),
    "every": Word(_path, "path", "the `value` of all items of a list, as a list"),
    "where": Word(_where, "mapping", "with `find`: keys and their values"),
    "value": Word(_path, "path", "with `find` and `every`: what is read of an item"),
    "within": Word(_within, "path of a list", "with `path`: read from the item of that list which this item lies inside"),
    "between": Word(_any_text, "text", "with `all`"),
    "transform": Word(_one_of(*TRANSFORMS), "name", "a registered function of the value"),
    "map": Word(_map, "mapping", "another value for each value; nothing for the others"),
    "prefix": Word(_text, "text", "put before a text"),
    "suffix": Word(_text, "text", "put behind a text"),
    "default": Word(_any, "any", "where there is nothing"),
    "equals": Word(_any, "any", "true where the value is this"),
    "in": Word(_list(_any), "list", "true where the value is one of these"),
    "contains": Word(_any, "any", "true where the value is a list with this in it"),
    "above": Word(_number, "whole number", "true where the value is a number above it"),
    "exists": Word(_flag, "true or false", "true where there is a value (or is none)"),
    "not": Word(_flag, "true or false", "turns a test round"),
    "when": Word(expression, "expression", "nothing, unless this is true"),
}
"""The words of an expression. Source: grammar.py."""

_OVER: Final[Words] = {
    "each": Word(_items, "path of a list", "goes over its items; the other expressions are then relative to each"),
    "eachOf": Word(_items, "path of a mapping", "goes over the values of a mapping"),
}
_WHEN: Final[Words] = {"when": Word(expression, "expression", "the row counts only where this is true")}


def _over_one(check: Check) -> Check:
    def both(value: Any, path: Path) -> Iterator[Mistake]:
        yield from check(value, path)
        if isinstance(value, Mapping) and "each" in value and "eachOf" in value:
            yield Mistake((*path, "eachOf"), "either each (a list) or eachOf (a mapping), not both")

    return both


def _rows(words: Words, what: str, kinds: tuple[tuple[str, ...], ...] = ()) -> Check:
    return _list(_over_one(_record(words, what, kinds)))


_VERSION_ROW: Final[Words] = {
    "image": Word(expression, "expression", "an image, whose tag tells it"),
    "text": Word(expression, "expression", "the version itself"),
    "catalog": Word(expression, "expression", "a reference to a CloudNativePG image catalogue"),
    "pattern": Word(_pattern, "regular expression", "whose first group is the version in the value"),
}
_version_row = _record(_VERSION_ROW, "a version", (("image", "text", "catalog"),))


def _versions(value: Any, path: Path) -> Iterator[Mistake]:
    yield from _filled(_list(_version_row))(value, path) if isinstance(value, list) else _version_row(value, path)


VOLUME: Final[Words] = {
    "name": Word(expression, "expression", "the volume's name", needed=True),
    "class": Word(expression, "expression", "its storage class"),
    "size": Word(expression, "expression", "what it asks for"),
    "modes": Word(expression, "expression", "its access modes, a list"),
    "ephemeral": Word(expression, "expression", "true where nothing of it survives the pod"),
    "labels": Word(expression, "expression", "labels that its claims will carry"),
    "leaves": Word(
        expression,
        "expression",
        "what becomes of its data when it is taken out: `moved` by the operator, `emptied` first by hand",
    ),
    "only": Word(expression, "expression", "items for which it is not true are passed over"),
    **_OVER,
    **_WHEN,
}
GROUP: Final[Words] = {
    "name": Word(expression, "expression", "the group's name; `{const: members}` where there is one group", needed=True),
    "members": Word(expression, "expression", "how many are wanted"),
    "ready": Word(expression, "expression", "how many are ready, from the status"),
    "voters": Word(expression, "expression", "whether its members vote in a quorum of their own"),
    "nonvoters": Word(expression, "expression", "the numbers of its members that have no vote, a list"),
    "atOnce": Word(expression, "expression", "whether the operator deletes it with its data as soon as it is left out"),
    "roles": Word(expression, "expression", "their roles, a list"),
    "volumes": Word(_rows(VOLUME, "a volume"), "list of volumes", "the kinds of volumes of each member"),
    "join": Word(_text, "name", "the group is in the objects of this `join`"),
    **_OVER,
    **_WHEN,
}
_ARCHIVE: Final[Words] = {
    "store": Word(expression, "expression", "the destination: a path, a bucket, the name of a store", needed=True),
    "server": Word(expression, "expression", "the name below it; the service's own without"),
    "only": Word(expression, "expression", "of the whole object: only items whose `named` is this count"),
    "named": Word(expression, "expression", "what is compared with `only`"),
    "live": Word(_flag, "true or false", "of a source: whether one that is added to a running service is restored over it"),
    **_OVER,
    **_WHEN,
}
_SECRET: Final[Words] = {
    "name": Word(expression, "expression", "the field that names the Secret"),
    "named": Word(_template("service", "key"), "text", "how its name is made, of {service} and {key}"),
    "role": Word(
        _one_of("credentials", "ca", "certificate", "key", "cluster", "backup"),
        "credentials, ca, certificate, key, cluster or backup",
        "what it holds",
    ),
    "made": Word(_one_of("operator", "user"), "operator or user", "who makes it"),
    "applied": Word(_flag, "true or false", "whether the operator carries a changed value into the engine"),
    **_OVER,
    **_WHEN,
}
_FIXED: Final[Words] = {
    "field": Word(expression, "expression", "the field", needed=True),
    "name": Word(expression, "expression", "in a list: what tells items apart"),
    "what": Word(_text, "text", "what it is", needed=True),
    "why": Word(_text, "text", "why it stays", needed=True),
    "onceSet": Word(_flag, "true or false", "whether it may still be set where it was not"),
    "mayGo": Word(_flag, "true or false", "whether its item may leave the list"),
    **_OVER,
    **_WHEN,
}
_UNSAFE: Final[Words] = {
    "test": Word(expression, "expression", "true where the safeguard is off", needed=True),
    "name": Word(expression, "expression", "in a list: what tells items apart"),
    "what": Word(_text, "text", "what the safeguard is", needed=True),
    "why": Word(_text, "text", "why it matters", needed=True),
    "denies": Word(_flag, "true or false", "whether switching it off is refused, not only warned of"),
    **_OVER,
}
_PAIR: Final[Words] = {
    "one": Word(expression, "expression", "a field", needed=True),
    "other": Word(expression, "expression", "the other field", needed=True),
    "what": Word(_text, "text", "what is wrong with them together", needed=True),
    "why": Word(_text, "text", "why", needed=True),
    "do": Word(_text, "text", "what to do instead", needed=True),
}
_RESTS_ON: Final[Words] = {
    "each": Word(_items, "path of a list", "the VolumeSnapshots in the record's status"),
    "name": Word(expression, "expression", "the name of each"),
    "label": Word(_text, "label", "of VolumeSnapshots, with the record's name"),
    "when": Word(expression, "expression", "true where they hold it"),
}
_BACKUP: Final[Words] = {
    "kind": Word(_kind, "kind", "the kind that records a backup; the service's own for its status", needed=True),
    "at": Word(expression, "expression", "when it was taken", needed=True),
    "done": Word(expression, "expression", "true where it is complete"),
    "of": Word(expression, "expression", "the name of the service that it is of"),
    "ofGroup": Word(expression, "expression", "the name of the group that it is of"),
    "label": Word(_text, "label", "that names the service"),
    "each": Word(_items, "path of a list", "the service's own status lists them"),
    "snapshots": Word(
        _record(_RESTS_ON, "snapshots", (("each", "label"),)),
        "mapping",
        "the VolumeSnapshots that hold it: `each` and `name` (its status lists them, all are needed), or `label` "
        "(in which they name the record, each is a whole backup); `when`: where they do",
    ),
    "takenBy": Word(_kind, "kind", "what a person creates to have one taken, where it is not `kind`"),
}
_JOIN: Final[Words] = {
    "kind": Word(_kind, "kind", "the kind of the joined objects", needed=True),
    "label": Word(_text, "label", "in which they name the service"),
    "of": Word(_path, "path", "where they name the service"),
}
_HUB: Final[Words] = {
    "kind": Word(_kind, "kind", "the kind that it belongs to", needed=True),
    "label": Word(_text, "label", "in which it names its hub", needed=True),
    "name": Word(_text, "name", "the `join` of the hub's adapter", needed=True),
}
_ROLE: Final[Words] = {
    "label": Word(_text, "label", "that tells which volume a claim is of", needed=True),
    "of": Word(_mapping(_text), "mapping", "volume → the label's value; `*` for the others", needed=True),
    "missing": Word(_text, "text", "the volume whose claims lack the label"),
}
_PLACES: Final = ("service", "group", "volume")


def _claim_names(value: Any, path: Path) -> Iterator[Mistake]:
    beginning = _template(*_PLACES)
    yield from _mapping(beginning)(value, path) if isinstance(value, Mapping) else _filled(_list(beginning))(value, path)


CLAIMS: Final[Words] = {
    "names": Word(
        _claim_names,
        "list of texts",
        "how claims' names begin, before the member's number, of {volume}, {service}, {group}; or group → beginning",
    ),
    "label": Word(_text, "label", "in which claims name the service"),
    "group": Word(_texts, "label, or list of labels", "in which claims name their group"),
    "like": Word(_list(_template(*_PLACES)), "list of texts", "whole names with `*` for anything; needs `label`"),
    "role": Word(_record(_ROLE, "a role"), "mapping", "a label that tells which volume a claim is of"),
    "named": Word(_one_of("volume"), "volume", "the claim's name is the volume's"),
}


def _claims(value: Any, path: Path) -> Iterator[Mistake]:
    yield from _record(CLAIMS, "claims")(value, path)
    if isinstance(value, Mapping) and "like" in value and "label" not in value:
        yield Mistake((*path, "like"), "a label is wanted too; a pattern alone takes the claims of others")


def _placed() -> Words:
    what = {
        "pod": "the pod's specification, which says all of it",
        "nodeSelector": "labels of nodes",
        "nodeAffinity": "affinity to nodes",
        "antiAffinity": "true where members avoid each other",
        "antiAffinityRequired": "true where they must",
        "topologyKey": "over which they are spread",
    }
    return {name: Word(expression, "expression", text) for name, text in what.items()}


PLACEMENT: Final[Words] = _placed()


def _valued() -> Words:
    what = {
        "syncStandbys": "PostgreSQL: how many standbys have to confirm a write",
        "memoryLimit": "the memory limit of a member",
        "replicationFactor": "Kafka: `default.replication.factor`",
        "minInsync": "Kafka: `min.insync.replicas`",
        "offsetsReplicationFactor": "Kafka: `offsets.topic.replication.factor`",
        "transactionReplicationFactor": "Kafka: `transaction.state.log.replication.factor`",
        "transactionMinIsr": "Kafka: `transaction.state.log.min.isr`",
    }
    return {name: Word(expression, "expression", text) for name, text in what.items()}


VALUES: Final[Words] = _valued()
"""What single rules ask for beside the model."""

_MATCH: Final[Words] = {
    "group": Word(_groups, "group, or list of groups", "the API group; several where it was renamed"),
    "kind": Word(_bare_kind, "text", "the kind", needed=True),
}

FIELDS: Final[Words] = {
    "adapter": Word(_name, "name", "its name, for `stateward adapters`", needed=True),
    "match": Word(_record(_MATCH, "match"), "mapping", "`group` and `kind` of the objects", needed=True),
    "resource": Word(_name, "text", "the kind's plural, as kubectl takes it", needed=True),
    "scale": Word(_path, "path", "the number that the scale subresource sets; leave out where there is none"),
    "engine": Word(
        _either(_engine, expression, "an engine's name, or an expression that gives it,"),
        "name or expression",
        "which engine it runs; without, image and command of `pod` tell",
    ),
    "upgrades": Word(
        _either(
            _one_of("image", "operator", "done", *derive.CARRIERS), expression, "image, operator, done or an expression"
        ),
        "image, operator, done",
        "who carries a new major over to the data: nobody (`image`, default), the operator, or it was `done` before",
    ),
    "pod": Word(expression, "expression", "the pod's specification, where the object holds one"),
    "template": Word(expression, "expression", "the metadata of the pod's template"),
    "version": Word(_versions, "version, or list of versions", "the version that is asked for; the first that is there"),
    "running": Word(_versions, "version, or list of versions", "the version that runs, from the status"),
    "finalised": Word(expression, "expression", "the level that the data is finalised at"),
    "mode": Word(
        _either(_one_of(*derive.MODES), expression, "a registered mode or an expression"),
        "name or expression",
        "the engine's mode (kraft, galera)",
    ),
    "groups": Word(_rows(GROUP, "a group"), "list of groups", "the member groups, with their volumes"),
    "join": Word(
        _mapping(_record(_JOIN, "a join", (("label", "of"),))),
        "mapping",
        "name → other objects that belong to it (node pools)",
    ),
    "joins": Word(_record(_HUB, "joins"), "mapping", "set where this kind is such a part: the kind that it belongs to"),
    "claims": Word(_claims, "mapping", "how its claims are told"),
    "deletesClaims": Word(expression, "expression", "true where deleting the object deletes its data"),
    "deletesBackups": Word(expression, "expression", "true where deleting the object deletes its backups"),
    "oneClaim": Word(expression, "expression", "true where all members mount one claim"),
    "oneQuorum": Word(_flag, "true or false", "whether the voters of all groups elect together"),
    "rolling": Word(expression, "expression", "true while an earlier change is still being carried out"),
    "placement": Word(_record(PLACEMENT, "placement"), "mapping", "where members may run"),
    "values": Word(_record(VALUES, "values"), "mapping", "what single rules ask for beside the rest"),
    "archives": Word(_rows(_ARCHIVE, "an archive"), "list", "where backups are written to"),
    "sources": Word(_rows(_ARCHIVE, "a source"), "list", "what it is restored from"),
    "backup": Word(expression, "expression", "true where the object asks for backups"),
    "backups": Word(_rows(_BACKUP, "a backup record"), "list", "how backups that were taken are recorded"),
    "secrets": Word(_rows(_SECRET, "a secret", (("name", "named"),)), "list", "the Secrets that it lives by"),
    "fixed": Word(_rows(_FIXED, "a fixed field"), "list", "fields that are decided at creation"),
    "unsafe": Word(_rows(_UNSAFE, "an unsafe setting"), "list", "safeguards that can be switched off"),
    "agree": Word(_rows(_PAIR, "a pair"), "list of pairs", "fields that must say the same"),
    "apart": Word(_rows(_PAIR, "a pair"), "list of pairs", "fields that must not change in one edit"),
    "together": Word(_rows(_PAIR, "a pair"), "list of pairs", "fields that should change together"),
    "growth": Word(
        _record(
            {
                "carried": Word(expression, "expression", "true where a larger size reaches the claims", needed=True),
                "how": Word(_text, "text", "what to do where it does not", needed=True),
            },
            "growth",
        ),
        "mapping",
        "`carried`: whether a larger size reaches the claims; `how`: what to do where it does not",
    ),
    "stopped": Word(expression, "expression", "true where it is stopped on purpose"),
    "paused": Word(expression, "expression", "true where its operator looks away"),
    "ready": Word(expression, "expression", "whether it is ready, from the status"),
    "scaleDown": Word(
        _one_of("plain", "deletesClaims", "decommissions", "oneByOne", "unsupported"),
        "plain, deletesClaims, decommissions, oneByOne, unsupported",
        "what becomes of members that are scaled away; `plain`: their claims stay; `oneByOne`: one after the other, each "
        "after it has left the engine",
    ),
    "classChange": Word(
        _one_of("ignored", "newGroup", "replaces"),
        "ignored, newGroup, replaces",
        "what a change of class does; `ignored`: the volumes stay as they are",
    ),
    "unpinned": Word(
        _one_of("kept", "operator"), "kept, operator", "whether a version that is not set follows the operator's"
    ),
    "pods": Word(
        _record({"label": Word(_text, "label", "in which pods name the service", needed=True)}, "pods"),
        "mapping",
        "`label`: in which its pods name it",
    ),
    "accounts": Word(_list(_text), "list of texts", "the service accounts that its operator runs as"),
    "looksAt": Word(_list(_look), "list of lists", "other kinds that its own expressions need: [kind, field, …]"),
    "only": Word(
        _either(_one_of(*derive.TESTS), expression, "a registered test or an expression"),
        "name or expression",
        "objects for which it is not true are no service",
    ),
    "sharesClaims": Word(_flag, "true or false", "whether all members mount the same claims"),
    "cached": Word(_flag, "true or false", "false: its objects are not kept in memory by the service (default true)"),
}
"""The fields of an adapter file."""

SECTIONS: Final[Mapping[str, Words]] = {
    "match": _MATCH,
    "version": _VERSION_ROW,
    "groups": GROUP,
    "groups[].volumes": VOLUME,
    "claims": CLAIMS,
    "claims.role": _ROLE,
    "placement": PLACEMENT,
    "values": VALUES,
    "secrets": _SECRET,
    "fixed": _FIXED,
    "unsafe": _UNSAFE,
    "agree, apart, together": _PAIR,
    "archives, sources": _ARCHIVE,
    "backups": _BACKUP,
    "join": _JOIN,
    "joins": _HUB,
}
"""The words of the parts of a file."""
