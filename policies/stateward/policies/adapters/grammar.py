"""The closed grammar of adapter files, compiled once to plain Python functions.

An expression is a path (`spec.instances`) or a mapping with one source and modifiers:

    {path: P}  {firstOf: [E, …]}  {const: V}          the source
    default: V          where the source gives nothing
    transform: NAME     a registered function of (value, service)
    equals: V | in: [V, …] | contains: V | exists: true|false     turn it into true or false; `not: true` turns it round
    when: E             nothing, unless E is true

Lists are `{each: PATH, …}`; the other expressions of the same mapping are then relative to each item.
There are no expressions inside strings: what the grammar cannot say is a transform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stateward.policies import paths
from stateward.policies.adapters.transforms import TRANSFORMS, Transform
from stateward.policies.model import Field
from stateward.policies.paths import Path
from stateward.policies.view import UNKNOWN

Reader = Callable[[Any, Path], Field]
"""(item, path of the item) → Field."""

Check = Callable[[Any], bool]

_SOURCES: Final = ("path", "firstOf", "const")
_TESTS: Final = ("equals", "in", "contains", "exists")
_KNOWN: Final = frozenset((*_SOURCES, *_TESTS, "default", "transform", "when", "not"))


class GrammarError(ValueError):
    """An expression that the grammar does not have. The message names the place and the reason."""


def nothing(_: Any, base: Path) -> Field:
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
    if len(steps) == 1:
        only = steps[0]

        def one(item: Any) -> Any:
            return item.get(only) if type(item) is dict else None

        return one, steps

    first, rest = steps[0], steps[1:]

    def dig(item: Any) -> Any:
        if type(item) is not dict:
            return None
        item = item.get(first)
        for step in rest:
            if type(item) is not dict:
                return None
            item = item.get(step)
        return item

    return dig, steps


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
        raise GrammarError(f"{where}: one of path, firstOf and const is wanted, here are {len(sources)}")
    reader = _source(spec, sources[0], where)
    transform = spec.get("transform")
    if transform is not None:
        reader = _transformed(reader, _transform(transform, where))
    if "default" in spec:
        reader = _defaulted(reader, spec["default"])
    tests = [name for name in _TESTS if name in spec]
    if tests:
        reader = _tested(reader, _test(tests, spec), bool(spec.get("not")))
    if "when" in spec:
        reader = _guarded(reader, compile_expression(spec["when"], f"{where}.when"))
    return _typed(reader, wanted) if wanted is not None and not tests else reader


def _source(spec: Mapping[str, Any], source: str, where: str) -> Reader:
    if source == "const":
        constant = spec["const"]
        return lambda _, base: Field(constant, base)
    if source == "path":
        dig, steps = compile_path(spec["path"])

        def read(item: Any, base: Path) -> Field:
            return Field(dig(item), base + steps if base else steps)

        return read
    readers = [compile_expression(one, f"{where}.firstOf[{position}]") for position, one in enumerate(spec["firstOf"])]
    if not readers:
        raise GrammarError(f"{where}.firstOf: an empty list")

    def first(item: Any, base: Path) -> Field:
        for reader in readers:
            found = reader(item, base)
            if found.value is not None:
                return found
        return readers[0](item, base)

    return first


def _transform(name: object, where: str) -> Transform:
    transform = TRANSFORMS.get(str(name))
    if transform is None:
        raise GrammarError(f'{where}: no transform "{name}" is registered; there are {", ".join(sorted(TRANSFORMS))}')
    return transform


def _transformed(reader: Reader, transform: Transform) -> Reader:
    def read(item: Any, base: Path) -> Field:
        found = reader(item, base)
        return found if found.value is None else Field(transform(found.value), found.path)

    return read


def _defaulted(reader: Reader, default: Any) -> Reader:
    def read(item: Any, base: Path) -> Field:
        found = reader(item, base)
        return found if found.value is not None else Field(default, found.path)

    return read


def _test(tests: Sequence[str], spec: Mapping[str, Any]) -> Check:
    if "exists" in spec:
        wanted = bool(spec["exists"])
        return lambda value: (value is not None) is wanted
    if "in" in spec:
        choices = list(spec["in"])
        return lambda value: value in choices
    if "contains" in spec:
        member = spec["contains"]
        return lambda value: isinstance(value, list) and member in value
    equal = spec["equals"]
    return lambda value: bool(value == equal)


def _tested(reader: Reader, check: Check, inverted: bool) -> Reader:
    def read(item: Any, base: Path) -> Field:
        found = reader(item, base)
        return Field(check(found.value) is not inverted, found.path)

    return read


def _guarded(reader: Reader, guard: Reader) -> Reader:
    def read(item: Any, base: Path) -> Field:
        found = reader(item, base)
        return found if guard(item, base).value is True else Field(None, found.path)

    return read


def _typed(reader: Reader, wanted: type) -> Reader:
    def read(item: Any, base: Path) -> Field:
        found = reader(item, base)
        value = found.value
        # bool is an int in Python and is none in a manifest
        if value is None or (isinstance(value, wanted) and (wanted is bool or type(value) is not bool)):
            return found
        return Field(UNKNOWN, found.path)

    return read


def each_item(spec: Mapping[str, Any], where: str) -> Callable[[Any, Path], list[tuple[Any, Path]]]:
    """The items that a mapping with `each` goes over: (item, its path). Without `each` the item itself."""
    guard = compile_expression(spec["when"], f"{where}.when") if "when" in spec else None
    if "each" not in spec:

        def self_only(item: Any, base: Path) -> list[tuple[Any, Path]]:
            return [(item, base)] if guard is None or guard(item, base).value is True else []

        return self_only
    dig, steps = compile_path(spec["each"])

    def over(item: Any, base: Path) -> list[tuple[Any, Path]]:
        if guard is not None and guard(item, base).value is not True:
            return []
        found = dig(item)
        if type(found) is not list:
            return []
        return [(one, (*base, *steps, index)) for index, one in enumerate(found) if type(one) is dict]

    return over
