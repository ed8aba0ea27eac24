"""Data classes that are ready at once: `@dataclass(slots=True)` of the standard library, without its start.

The standard library writes, compiles and runs the source of six methods for each class when it is imported: 0.6 ms, and
for the classes that one run of the command line imports a third of its start. Here only `__init__` is compiled, when the
first object is made; the other methods are shared. Type checkers see the standard library's, and `replace`, `fields` and
`asdict` of it work. What is not supported: no slots, keyword-only fields, InitVar, ClassVar, inheritance of fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dataclasses import dataclass, field
else:
    from collections.abc import Callable
    from operator import attrgetter

    _NONE: Final = object()

    class _Field:
        """What a class says of one field."""

        __slots__ = ("compare", "default", "factory", "init", "shown")

        def __init__(self, default: Any, factory: Any, init: bool, shown: bool, compare: bool) -> None:
            self.default = default
            self.factory = factory
            self.init = init
            self.shown = shown
            self.compare = compare

    def field(
        *,
        default: Any = _NONE,
        default_factory: Any = None,
        init: bool = True,
        repr: bool = True,  # noqa: A002 - so the standard library calls it
        compare: bool = True,
    ) -> Any:
        """As `dataclasses.field`."""
        return _Field(default, default_factory, init, repr, compare)

    def dataclass(*, slots: bool, frozen: bool = False, eq: bool = True, order: bool = False) -> Any:
        """As `dataclasses.dataclass`."""
        if not slots:
            raise TypeError("use the standard library's for a class without slots")

        def made(cls: type) -> type:
            return _made(cls, frozen, eq, order)

        return made

    def _made(cls: type, frozen: bool, eq: bool, order: bool) -> type:
        space = dict(cls.__dict__)
        fields = {name: _specified(space.pop(name, _NONE)) for name in cls.__annotations__}
        compared = [name for name, one in fields.items() if one.compare]
        space.pop("__dict__", None)
        space.pop("__weakref__", None)
        space["__slots__"] = tuple(fields)
        space["__match_args__"] = tuple(name for name, one in fields.items() if one.init)
        space["_fields_"] = fields
        space["__dataclass_fields__"] = _StandardFields()
        space["__init__"] = _late_init(lambda: made)
        space.setdefault("__repr__", _repr)
        if eq:
            if len(compared) == 1:
                compared *= 2  # of one name attrgetter gives no tuple
            space["_compared_"] = attrgetter(*compared) if compared else staticmethod(_nothing)
            space.setdefault("__eq__", _eq)
            if cls.__dict__.get("__hash__") is None:  # Python puts None there beside an __eq__
                space["__hash__"] = _hash if frozen else None
        if order:
            space |= {"__lt__": _lt, "__le__": _le, "__gt__": _gt, "__ge__": _ge}
        if frozen:
            space |= {
                "__setattr__": _no_setattr,
                "__delattr__": _no_delattr,
                "__getstate__": _getstate,
                "__setstate__": _setstate,
            }
        made: type = type(cls)(cls.__name__, cls.__bases__, space)
        made.__qualname__ = cls.__qualname__
        return made

    def _specified(default: Any) -> _Field:
        if type(default) is _Field:
            return default
        if default is not _NONE and type(default).__hash__ is None:
            raise ValueError(f"a {type(default).__name__} as a default would be shared: use default_factory")
        return _Field(default, None, True, True, True)

    def _late_init(made: Callable[[], type]) -> Any:
        """What stands for `__init__` until the first object is made."""

        def __init__(self: Any, *args: Any, **named: Any) -> None:  # noqa: N807 - so it is called in errors
            cls = made()
            cls.__init__ = _init_of(cls)
            cls.__init__(self, *args, **named)

        return __init__

    def _init_of(cls: type) -> Any:
        """The `__init__` of a class. Where it is frozen, slots are set by their descriptors."""
        frozen = cls.__setattr__ is _no_setattr
        given: dict[str, Any] = {"_NONE_": _NONE}
        parameters = ["self"]
        lines = []
        for name, one in cls._fields_.items():
            given[f"_set_{name}"] = cls.__dict__[name].__set__
            value = name
            if one.factory is not None:
                given[f"_make_{name}"] = one.factory
                value = f"_make_{name}() if {name} is _NONE_ else {name}" if one.init else f"_make_{name}()"
                parameters += [f"{name}=_NONE_"] * one.init
            elif one.default is not _NONE:
                given[f"_default_{name}"] = one.default
                parameters += [f"{name}=_default_{name}"] * one.init
                value = name if one.init else f"_default_{name}"
            elif one.init:
                parameters.append(name)
            else:
                continue  # __post_init__ sets it
            lines.append(f"  _set_{name}(self, {value})" if frozen else f"  self.{name} = {value}")
        if "__post_init__" in cls.__dict__:
            lines.append("  self.__post_init__()")
        source = f"def __init__({', '.join(parameters)}):\n" + ("\n".join(lines) or "  pass")
        exec(source, given)  # noqa: S102 - written above, from the names of the fields alone
        init = given["__init__"]
        init.__qualname__ = f"{cls.__qualname__}.__init__"
        return init

    class _StandardFields:
        """What `dataclasses.replace`, `fields` and `asdict` look for, made by the standard library when they do."""

        def __get__(self, found: Any, cls: type) -> Any:
            import dataclasses

            space: dict[str, Any] = {"__annotations__": cls.__annotations__}
            for name, one in cls._fields_.items():
                what = {"default": one.default} if one.default is not _NONE else {}
                if one.factory is not None:
                    what = {"default_factory": one.factory}
                space[name] = dataclasses.field(init=one.init, repr=one.shown, compare=one.compare, **what)
            fields = dataclasses.dataclass(type(cls.__name__, (), space)).__dataclass_fields__
            cls.__dataclass_fields__ = fields
            return fields

    def _nothing(_: Any) -> Any:
        return ()

    def _eq(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self._compared_(self) == other._compared_(other)

    def _hash(self: Any) -> int:
        return hash(self._compared_(self))

    def _lt(self: Any, other: Any) -> Any:
        return self._compared_(self) < other._compared_(other) if other.__class__ is self.__class__ else NotImplemented

    def _le(self: Any, other: Any) -> Any:
        return self._compared_(self) <= other._compared_(other) if other.__class__ is self.__class__ else NotImplemented

    def _gt(self: Any, other: Any) -> Any:
        return self._compared_(self) > other._compared_(other) if other.__class__ is self.__class__ else NotImplemented

    def _ge(self: Any, other: Any) -> Any:
        return self._compared_(self) >= other._compared_(other) if other.__class__ is self.__class__ else NotImplemented

    def _repr(self: Any) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name, one in self._fields_.items() if one.shown)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _no_setattr(self: Any, name: str, value: Any) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _no_delattr(self: Any, name: str) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _getstate(self: Any) -> list[Any]:
        return [getattr(self, name) for name in self._fields_]

    def _setstate(self: Any, state: list[Any]) -> None:
        for name, value in zip(self._fields_, state, strict=True):
            object.__setattr__(self, name, value)


__all__ = ["dataclass", "field"]
