"""The closed grammar of adapter files, compiled once to plain Python functions.

An expression is a path (`spec.instances`) or a mapping with one source and modifiers:

    {path: P}                       a value below the item
    {root: P}                       a value of the whole object, from inside a list
    {firstOf: [E, …]}               the first that is there
    {const: V}                      a constant
    {key: true}                     the item's own key in its mapping, or its place in its list
    {condition: TYPE}               when a condition of the item's status became true (its time, as text)
    {find: P, where: {K: V}, value: P}    a value of the list item whose keys have these values
    {every: P, value: P}            the values of all items of a list that have one, as a list; nothing where none has
    {path: P, within: L}            a value below the item of the list L that this item lies inside
    {all: [E, …], between: T}       the texts of those that are there, with T between them

    default: V                      where the source gives nothing
    transform: NAME                 a registered function of the value
    map: {V: W, …}                  another value for each value; nothing for the others
    prefix: T, suffix: T            put before or behind a text
    equals: V | in: [V, …] | contains: V | above: N | exists: true|false
                                    turn it into true or false; `not: true` turns it round
    when: E                         nothing, unless E is true

Lists are `{each: PATH, …}`, with `[]` where a list lies inside a list (`spec.zones[].pools`) and `{}` where it lies
inside the mappings of a mapping (`spec.kinds{}.disks`); `{eachOf: PATH}` goes over the mappings in a mapping. The other
expressions of the same mapping are then relative to each item.
There are no expressions inside strings: what the grammar cannot say is a transform.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from stateward.policies import paths
from stateward.policies.adapters.transforms import TRANSFORMS, Transform
from stateward.policies.model import Field
from stateward.policies.paths import Path
from stateward.policies.view import UNKNOWN, items_of, mapping_of


class Reader(Protocol):
    """A compiled expression: (item, path of the item, the whole object) → Field."""

    def __call__(self, item: Any, base: Path, root: Any = None, /) -> Field:
        """The value, and where it stands."""
        ...


Check = Callable[[Any], bool]

_SOURCES: Final = ("path", "root", "firstOf", "all", "const", "key", "condition", "find", "every")
_TESTS: Final = ("equals", "in", "contains", "above", "exists")
_MODIFIERS: Final = ("default", "transform", "map", "prefix", "suffix", "when", "not", "where", "value", "within", "between")
_KNOWN: Final = frozenset((*_SOURCES, *_TESTS, *_MODIFIERS))


class GrammarError(ValueError):
    """An expression that the grammar does not have. The message names the place and the reason."""


_field: Final = tuple.__new__
"""Makes a Field in half the time: each review has dozens."""


def nothing(_: Any, base: Path, root: Any = None) -> Field:  # noqa: ARG001,RUF100 - a Reader
    """The reader of a slot that an adapter leaves out."""
    return Field(None, base)


def compile_path(text: str) -> tuple[Callable[[Any], Any], Path]:
    """A path as a function that digs, and as keys."""
    try:
        steps = paths.parse(text)
    except ValueError as error:
        raise GrammarError(str(error)) from None
    if not steps:
        raise GrammarError("an empty path")
    return digger(steps), steps


def digger(steps: Path) -> Callable[[Any], Any]:
    """What `paths.dig` does along these keys of mappings, at least one, as a function of its own: it is called often."""
    if len(steps) == 1:
        only = steps[0]

        def one(item: Any) -> Any:
            return item.get(only) if type(item) is dict else None

        return one

    first, rest = steps[0], steps[1:]
    if len(rest) == 1:
        second = rest[0]

        def two(item: Any) -> Any:
            if type(item) is not dict:
                return None
            item = item.get(first)
            return item.get(second) if type(item) is dict else None

        return two

    def dig(item: Any) -> Any:
        if type(item) is not dict:
            return None
        item = item.get(first)
        for step in rest:
            if type(item) is not dict:
                return None
            item = item.get(step)
        return item

    return dig


def compile_expression(spec: Any, where: str, wanted: type | None = None) -> Reader:
    """An expression as a reader. `wanted`: the type of value that the slot holds; another type becomes UNKNOWN."""
    if isinstance(spec, str):
        spec = {"path": spec}
    if not isinstance(spec, Mapping):
        raise GrammarError(f"{where}: an expression is a path or a mapping, not {type(spec).__name__}")
    stray = sorted(set(spec) - _KNOWN)
    if stray:
        raise GrammarError(f'{where}: unknown word "{stray[0]}"; an expression has {", ".join(sorted(_KNOWN))}')
    sources = [name for name in _SOURCES if name in spec]
    if len(sources) != 1:
        raise GrammarError(f"{where}: one of {', '.join(_SOURCES)} is wanted, here are {len(sources)}")
    if sources == ["path"] and spec.keys() <= _PLAIN:
        return _plain(spec["path"], spec.get("default"), wanted, where)
    reader = _source(spec, sources[0], where)
    transform = spec.get("transform")
    if transform is not None:
        reader = _changed(reader, _transform(transform, where))
    if "map" in spec:
        reader = _changed(reader, _mapped(spec["map"], where))
    if "prefix" in spec or "suffix" in spec:
        reader = _changed(reader, _framed(str(spec.get("prefix", "")), str(spec.get("suffix", ""))))
    if "default" in spec:
        reader = _defaulted(reader, spec["default"])
    tests = [name for name in _TESTS if name in spec]
    if tests:
        reader = _tested(reader, _test(tests, spec, where), bool(spec.get("not")))
    if "when" in spec:
        reader = _guarded(reader, compile_expression(spec["when"], f"{where}.when"))
    return _typed(reader, wanted) if wanted is not None and not tests else reader


def _source(spec: Mapping[str, Any], source: str, where: str) -> Reader:
    if source == "const":
        constant = spec["const"]
        return lambda _, base, root=None: _field(Field, (constant, base))
    if source == "path":
        return _within(spec, where) if "within" in spec else _at(spec["path"], where)
    if source == "all":
        return _all(spec, where)
    if source == "root":
        below = _at(spec["root"], where)
        return lambda item, base, root=None: below(item if root is None else root, ())
    if source == "key":
        return lambda _, base, root=None: Field(str(base[-1]) if base else None, base)
    if source == "condition":
        return _condition(str(spec["condition"]))
    if source == "find":
        return _find(spec, where)
    if source == "every":
        return _every(spec, where)
    readers = _several(spec["firstOf"], f"{where}.firstOf")

    def first(item: Any, base: Path, root: Any = None) -> Field:
        for reader in readers:
            found = reader(item, base, root)
            if found.value is not None:
                return found
        return readers[0](item, base, root)

    return first


def _at(path: Any, where: str) -> Reader:
    if not isinstance(path, str):
        raise GrammarError(f"{where}: a path is a text, not {type(path).__name__}")
    dig, steps = compile_path(path)

    def read(item: Any, base: Path, root: Any = None) -> Field:  # noqa: ARG001,RUF100
        return Field(dig(item), base + steps if base else steps)

    return read


_PLAIN: Final = frozenset(("path", "default"))


def _plain(path: Any, default: Any, wanted: type | None, where: str) -> Reader:
    """The most common expression in one function: what `_typed(_defaulted(_at(path)))` is, in half the time."""
    if not isinstance(path, str):
        raise GrammarError(f"{where}: a path is a text, not {type(path).__name__}")
    dig, steps = compile_path(path)
    if wanted is not None and not _is(default, wanted):
        default = UNKNOWN

    def read(item: Any, base: Path, root: Any = None) -> Field:  # noqa: ARG001,RUF100
        value = dig(item)
        if value is None:
            value = default
        elif wanted is not None and type(value) is not wanted and not _is(value, wanted):
            value = UNKNOWN
        return _field(Field, (value, base + steps if base else steps))

    return read


def _several(specs: Any, where: str) -> list[Reader]:
    if not isinstance(specs, list):
        raise GrammarError(f"{where}: a list of expressions is wanted")
    if not specs:
        raise GrammarError(f"{where}: an empty list")
    return [compile_expression(one, f"{where}[{position}]") for position, one in enumerate(specs)]


def _within(spec: Mapping[str, Any], where: str) -> Reader:
    below = _at(spec["path"], where)
    levels = [compile_path(part.removeprefix("."))[1] for part in str(spec["within"]).removesuffix("[]").split("[]")]

    def read(_: Any, base: Path, root: Any = None) -> Field:
        outer: Path = ()
        for steps in levels:
            depth = len(outer) + len(steps)
            if base[:depth] != (*outer, *steps) or len(base) <= depth:
                return Field(None, base)
            outer = base[: depth + 1]
        return below(paths.dig(root, outer), outer)

    return read


def _all(spec: Mapping[str, Any], where: str) -> Reader:
    readers = _several(spec["all"], f"{where}.all")
    between = str(spec.get("between", ""))

    def read(item: Any, base: Path, root: Any = None) -> Field:
        found = [reader(item, base, root) for reader in readers]
        texts = [str(field.value) for field in found if type(field.value) in (str, int)]
        return Field(between.join(texts) if texts else None, found[0].path)

    return read


def _condition(kind: str) -> Reader:
    def read(item: Any, base: Path, root: Any = None) -> Field:  # noqa: ARG001,RUF100
        rows = items_of(mapping_of(item, "status"), "conditions") if type(item) is dict else []
        for row in rows:
            if row.get("type") == kind and row.get("status") == "True":
                return Field(row.get("lastTransitionTime"), (*base, "status", "conditions"))
        return Field(None, (*base, "status", "conditions"))

    return read


def _find(spec: Mapping[str, Any], where: str) -> Reader:
    dig, steps = compile_path(str(spec["find"]))
    wanted = spec.get("where")
    if not isinstance(wanted, Mapping) or not wanted or "value" not in spec:
        raise GrammarError(f"{where}: find wants `where` (keys and their values) and `value` (a path)")
    keys = [(compile_path(str(key))[0], value) for key, value in wanted.items()]
    value, further = compile_path(str(spec["value"]))

    def read(item: Any, base: Path, root: Any = None) -> Field:  # noqa: ARG001,RUF100
        rows = dig(item)
        for position, row in enumerate(rows if type(rows) is list else ()):
            if all(key(row) == value_of_key for key, value_of_key in keys):
                return Field(value(row), (*base, *steps, position, *further))
        return Field(None, (*base, *steps))

    return read


def _every(spec: Mapping[str, Any], where: str) -> Reader:
    dig, steps = compile_path(str(spec["every"]))
    if "value" not in spec:
        raise GrammarError(f"{where}: every wants `value` (a path)")
    value, _ = compile_path(str(spec["value"]))

    def read(item: Any, base: Path, root: Any = None) -> Field:  # noqa: ARG001,RUF100
        rows = dig(item)
        values = [value(row) for row in (rows if type(rows) is list else ())]
        return Field([one for one in values if one is not None] or None, (*base, *steps))

    return read


def _transform(name: object, where: str) -> Transform:
    transform = TRANSFORMS.get(str(name))
    if transform is None:
        raise GrammarError(f'{where}: no transform "{name}" is registered; there are {", ".join(sorted(TRANSFORMS))}')
    return transform


def _mapped(rows: Any, where: str) -> Transform:
    if not isinstance(rows, Mapping):
        raise GrammarError(f"{where}.map: a mapping is wanted")
    return lambda value: rows.get(value) if isinstance(value, str | int) else None


def _framed(prefix: str, suffix: str) -> Transform:
    return lambda value: f"{prefix}{value}{suffix}" if isinstance(value, str) else value


def _changed(reader: Reader, transform: Transform) -> Reader:
    def read(item: Any, base: Path, root: Any = None) -> Field:
        found = reader(item, base, root)
        return found if found.value is None else Field(transform(found.value), found.path)

    return read


def _defaulted(reader: Reader, default: Any) -> Reader:
    def read(item: Any, base: Path, root: Any = None) -> Field:
        found = reader(item, base, root)
        return found if found.value is not None else Field(default, found.path)

    return read


def _test(tests: Sequence[str], spec: Mapping[str, Any], where: str) -> Check:
    if "exists" in spec:
        wanted = bool(spec["exists"])
        return lambda value: (value is not None) is wanted
    if "in" in spec:
        if not isinstance(spec["in"], list):
            raise GrammarError(f"{where}.in: a list is wanted")
        choices = list(spec["in"])
        return lambda value: value in choices
    if "contains" in spec:
        member = spec["contains"]
        return lambda value: isinstance(value, list) and member in value
    if "above" in spec:
        bound = spec["above"]
        if not isinstance(bound, int):
            raise GrammarError(f"{where}.above: a whole number is wanted")
        return lambda value: type(value) is int and value > bound
    equal = spec["equals"]
    return lambda value: bool(value == equal)


def _tested(reader: Reader, check: Check, inverted: bool) -> Reader:
    def read(item: Any, base: Path, root: Any = None) -> Field:
        found = reader(item, base, root)
        return Field(check(found.value) is not inverted, found.path)

    return read


def _guarded(reader: Reader, guard: Reader) -> Reader:
    def read(item: Any, base: Path, root: Any = None) -> Field:
        found = reader(item, base, root)
        return found if guard(item, base, root).value is True else Field(None, found.path)

    return read


def _typed(reader: Reader, wanted: type) -> Reader:
    def read(item: Any, base: Path, root: Any = None) -> Field:
        found = reader(item, base, root)
        return found if _is(found.value, wanted) else Field(UNKNOWN, found.path)

    return read


def _is(value: Any, wanted: type) -> bool:
    """Whether a value is missing or of a type; bool is an int in Python and is none in a manifest."""
    return value is None or (isinstance(value, wanted) and (wanted is bool or type(value) is not bool))


Items = Callable[..., list[tuple[Any, Path]]]
"""(item, its path, the whole object) → the items of a list inside it, each with its path."""


def each_item(spec: Mapping[str, Any], where: str) -> Items:
    """The items that a mapping with `each` or `eachOf` goes over. Without either the item itself."""
    guard = compile_expression(spec["when"], f"{where}.when") if "when" in spec else None
    if "each" in spec and "eachOf" in spec:
        raise GrammarError(f"{where}: either each (a list) or eachOf (a mapping), not both")
    word = "each" if "each" in spec else "eachOf"
    path = spec.get(word)
    if path is not None and not isinstance(path, str):
        raise GrammarError(f"{where}.{word}: a path is wanted, not {type(path).__name__}")
    # "a{}.b[].c" → a (a mapping), b (a list), c (what the word says)
    parts = re.split(r"(\[\]|\{\})", path.removesuffix("[]")) if path else []
    levels = [
        (*compile_path(part.removeprefix(".")), (parts[at + 1] == "{}" if at + 1 < len(parts) else word == "eachOf"))
        for at, part in enumerate(parts)
        if at % 2 == 0
    ]

    def over(item: Any, base: Path, root: Any = None) -> list[tuple[Any, Path]]:
        if guard is not None and guard(item, base, root).value is not True:
            return []
        found = [(item, base)]
        for dig, steps, mapping in levels:
            found = [
                (inner, (*at, *steps, key))
                for outer, at in found
                for key, inner in _inside(dig(outer), mapping)
                if type(inner) is dict
            ]
        return found

    return over


def _inside(value: Any, mapping: bool) -> list[tuple[str | int, Any]]:
    if mapping:
        # A key whose value says nothing by name (a list of flags, null) is an item all the same.
        rows = value.items() if type(value) is dict else ()
        return [(key, {} if inner is None or type(inner) is list else inner) for key, inner in rows]
    return list(enumerate(value)) if type(value) is list else []
