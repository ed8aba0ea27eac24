"""Our data classes do what those of the standard library do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from stateward.policies import structs

KINDS: list[dict[str, Any]] = [
    {"frozen": True},
    {},
    {"eq": False},
    {"frozen": True, "eq": False},
    {"frozen": True, "order": True},
    {"order": True},
]


def pair(**how: Any) -> tuple[Any, Any]:
    """The same class made here and by the standard library."""
    return structs.dataclass(slots=True, **how)(body(structs.field)), dataclasses.dataclass(slots=True, **how)(
        body(dataclasses.field)
    )


def body(field: Any) -> type:
    class Sample:
        """A sample."""

        one: int
        two: str = "b"
        three: list[int] = field(default_factory=list)
        four: int = field(default=4, repr=False)
        five: int = field(default=5, compare=False)
        six: int = field(init=False, default=6)
        seven: dict[str, int] = field(init=False, default_factory=dict)

        @property
        def double(self) -> int:
            return self.one * 2

    return Sample


def done(action: Any) -> Any:
    """What comes of an action: its value, or the type of what it raises."""
    try:
        return action()
    except Exception as error:
        return type(error)


CALLS = [
    ((1,), {}),
    ((1, "x"), {"three": [1]}),
    ((), {"one": 2, "five": 7}),
    ((), {}),
    ((1,), {"one": 1}),
    ((1,), {"other": 1}),
    ((1,), {"six": 1}),
    ((1, "2", [3], 4, 5, 6), {}),
]


@pytest.mark.parametrize("how", KINDS, ids=str)
@pytest.mark.parametrize(("args", "named"), CALLS)
def test_an_object_is_made_as_the_standard_library_makes_it(how, args, named):
    ours, theirs = pair(**how)
    assert repr(done(lambda: ours(*args, **named))) == repr(done(lambda: theirs(*args, **named)))
    if "eq" not in how:
        assert dataclasses.asdict(ours(1)) == dataclasses.asdict(theirs(1))


def behaviour(sample: Any, hashed: bool) -> list[Any]:
    first, same, other, beside = sample(1), sample(1), sample(2), sample(1, five=9)
    return [
        first == same,
        first == other,
        first == beside,
        first == 1,
        first != same,
        done(lambda: first < other),
        done(lambda: first >= other),
        done(lambda: first <= 1),
        done(lambda: hash(first)) if hashed else None,
        done(lambda: setattr(first, "one", 3)),
        done(lambda: delattr(first, "two")),
        first.one,
        first.double,
        sample.__match_args__,
        sample.__slots__,
        [(one.name, one.init, one.repr, one.compare, one.default) for one in dataclasses.fields(sample)][:2],
    ]


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_it_is_compared_hashed_and_changed_as_there(how):
    ours, theirs = pair(**how)
    assert behaviour(ours, "eq" not in how) == behaviour(theirs, "eq" not in how)


@structs.dataclass(slots=True, frozen=True)
class Kept:
    name: str
    of: tuple[Any, ...] = ()
    order: int = structs.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", len(self.name))

    def __lt__(self, other: Kept) -> bool:
        return self.order < other.order


@structs.dataclass(slots=True)
class Loose:
    kept: Kept
    rest: list[Any] = structs.field(default_factory=list)


def pickled(one: Any) -> Any:
    return pickle.loads(pickle.dumps(one))  # noqa: S301 - written on this line


def test_it_is_copied_pickled_and_replaced():
    loose = Loose(Kept("abc", (1, 2)), [1])
    for again in (copy.copy(loose), copy.deepcopy(loose), pickled(loose), dataclasses.replace(loose)):
        assert again == loose
        assert again is not loose
        assert again.kept.order == 3
    assert dataclasses.replace(loose.kept, name="x") == Kept("x", (1, 2))
    assert dataclasses.replace(loose.kept, name="x").order == 1
    assert hash(Kept("a")) == hash(Kept("a"))
    assert {Kept("a"): 1}[Kept("a")] == 1
    assert Kept("a") < Kept("ab")


def test_a_value_that_objects_would_share_is_no_default():
    class Sample:
        one: list[int] = []  # noqa: RUF012

    for dataclass in (structs.dataclass, dataclasses.dataclass):
        with pytest.raises(ValueError, match="default"):
            dataclass(slots=True)(Sample)


def test_a_class_without_slots_is_left_to_the_standard_library():
    with pytest.raises(TypeError, match="slots"):
        structs.dataclass(slots=False)(type("Sample", (), {}))
