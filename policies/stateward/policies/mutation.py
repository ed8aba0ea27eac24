"""Mutations: defaults that are filled in where an object says nothing, each a rule of its own.

A mutation is one function in one file:

    @mutation(
        id="SW001",
        name="members-spread",
        ...
    )
    def members_spread(change: Change, see: Sight) -> Iterator[Fill]: ...

It is asked on CREATE alone, and is pure: everything that it looks at is an argument. Ids are SW001 to SW099: the same
grammar as of rules, so that policies, audit logs and tools that read them need no second one, and the digit before
every area of rules, because an object is filled in before it is judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.paths import Path
from stateward.policies.rule import Judges, said
from stateward.policies.structs import dataclass, field
from stateward.policies.view import Kind, Look, Sight

OWN_GROUP: Final = ".stateward.dev"
"""What our own kinds end with: their defaults are on unless somebody says off."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One field that gets a JSON value where nothing stands. Missing mappings on the way are made."""

    path: tuple[str, ...]
    value: Any
    text: str
    """What the value means, for a warning: `zones and hosts preferred`."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A field that was filled in, and by which mutation."""

    id: str
    name: str
    path: Path
    text: str


Filler = Callable[[Change, Sight], Iterator[Fill]]


@dataclass(frozen=True, slots=True, eq=False)
class Mutation:
    """A mutation with everything that is said about it."""

    id: str
    name: str
    summary: str
    why: str
    safe: str
    """Why it can do no harm."""
    source: str
    since: str
    judges: Judges
    fills: Filler
    module: str
    looks_at: Mapping[Kind, Look] = field(default_factory=dict)
    """What it looks at; what of it is unknown may not be guessed: then nothing is filled in."""

    @property
    def own(self) -> bool:
        """Whether a user wrote it: none is."""
        return False


_ID: Final = re.compile(r"SW0\d[1-9]|SW0[1-9]0")


def mutation(
    *,
    id: str,  # noqa: A002 - the field's own word
    name: str,
    summary: str,
    why: str,
    safe: str,
    source: str,
    kinds: tuple[Kind, ...],
    since: str = "0.1.0",
    looks_at: tuple[Look, ...] = (),
) -> Callable[[Filler], Mutation]:
    """Turns a filler into a Mutation. Raises ValueError where the metadata is not complete."""
    if not _ID.fullmatch(id):
        raise ValueError(f'mutation id "{id}": SW001 to SW099 is wanted')
    said("mutation", id, name, summary=summary, why=why, safe=safe, source=source)
    if not kinds:
        raise ValueError(f"mutation {id}: kinds are missing")

    def register(fills: Filler) -> Mutation:
        return Mutation(
            id=id,
            name=name,
            summary=summary,
            why=why,
            safe=safe,
            source=source,
            since=since,
            judges=Judges(frozenset({"CREATE"}), kinds=kinds),
            fills=fills,
            module=fills.__module__,
            looks_at={look.kind: look for look in looks_at},
        )

    return register
