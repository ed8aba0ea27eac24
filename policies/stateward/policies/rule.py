"""Rules: their metadata, their declarations, their registration.

A rule is one function in one file:

    @rule(
        id="SW102",
        name="volume-shrink",
        ...
    )
    def volume_shrink(change: Change, see: Sight) -> Iterator[Finding]: ...

It is pure: everything that it looks at is an argument. A *transition* rule judges old against new; a *state* rule
judges `change.new` alone and is asked about the old object too, so that only what is new counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from stateward.policies.change import Change
from stateward.policies.finding import Action, Finding
from stateward.policies.structs import dataclass, field
from stateward.policies.view import Kind, Look, Sight

Check = Callable[[Change, Sight], Iterator[Finding]]
Nature: TypeAlias = Literal["state", "transition"]

SCALE: Final = "Scale.autoscaling"
"""The kind of a request on `<resource>/scale`; it says of which resource, and no more."""

OWN: Final = "SW9"
"""What the ids of a user's own rules begin with."""

SERVICES: Final = "services"
"""In `judges`: every kind with an adapter, and what resolves to one (scale, joined objects)."""


class RuleFault(Exception):  # noqa: N818 - the rule is at fault
    """A rule that could not be carried out, in words that may be shown: no value of an object is in them."""


@dataclass(frozen=True, slots=True)
class Judges:
    """Which requests a rule is asked about."""

    operations: frozenset[str]
    kinds: tuple[Kind, ...] = ()
    """Kinds judged as themselves; with `services` also every service."""
    services: bool = False
    subresources: frozenset[str] = frozenset({""})
    operators: bool = False
    """Whether only workloads that run the operator of a stateful service concern it."""
    metadata: bool = False
    """Whether an update of nothing but metadata concerns it (an annotation that means something to Kubernetes)."""
    configs: bool = False
    """Whether an update of a ConfigMap that a service reads reaches it too."""


def services(*operations: str, configs: bool = False) -> Judges:
    """Every stateful service, in these operations; an UPDATE also reaches it through `scale`.

    `configs`: an UPDATE also reaches it through a ConfigMap that its pods read.
    """
    return Judges(frozenset(operations), services=True, subresources=frozenset({"", "scale"}), configs=configs)


def objects(*kinds: Kind, on: tuple[str, ...], subresource: str = "", metadata: bool = False) -> Judges:
    """Objects of these kinds as they are."""
    return Judges(frozenset(on), kinds=kinds, subresources=frozenset({subresource}), metadata=metadata)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule with everything that is said about it. A missing field fails at import."""

    id: str
    name: str
    summary: str
    why: str
    remedy: str
    source: str
    since: str
    nature: Nature
    action: Action
    judges: Judges
    check: Check
    module: str
    about: frozenset[str] = frozenset()
    """Parts of the model that it depends on: an update that leaves all of them equal is not judged. Empty: any."""
    looks_at: Mapping[Kind, Look] = field(default_factory=dict)
    loses_data: bool = False
    """Whether what it stops loses data: such rules deny in every profile."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters with their defaults."""
    waivable: bool = True
    forestalls: bool = False
    """Whether the API server's own validation refuses what it refuses, a moment later and without the recipe: at the
    door it is asked in `/mutate`, which runs before that, and never in `/validate`, which runs after."""

    @property
    def own(self) -> bool:
        """Whether it is a rule of the policy, written by its user."""
        return self.id.startswith(OWN)


_ID: Final = re.compile(r"SW[1-9]\d\d")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def said(kind: str, id: str, name: str, **texts: str) -> None:  # noqa: A002 - the field's own word
    """Raises ValueError where a rule or a mutation is not named as one is, or leaves one of these texts empty."""
    if not _NAME.fullmatch(name):
        raise ValueError(f'{kind} name "{name}": lower-case words joined by dashes are wanted')
    for what, text in texts.items():
        if not text.strip():
            raise ValueError(f"{kind} {id}: {what} is empty")


def rule(
    *,
    id: str,  # noqa: A002 - the field's own word
    name: str,
    summary: str,
    why: str,
    remedy: str,
    source: str,
    nature: Nature,
    judges: Judges,
    action: Action = "deny",
    since: str = "0.1.0",
    about: tuple[str, ...] = (),
    looks_at: tuple[Look, ...] = (),
    loses_data: bool = False,
    params: Mapping[str, Any] | None = None,
    forestalls: bool = False,
) -> Callable[[Check], Rule]:
    """Turns a check into a Rule. Raises ValueError where the metadata is not complete."""
    if not _ID.fullmatch(id):
        raise ValueError(f'rule id "{id}": SW and three digits are wanted')
    said("rule", id, name, summary=summary, why=why, remedy=remedy, source=source)

    def register(check: Check) -> Rule:
        return Rule(
            id=id,
            name=name,
            summary=summary,
            why=why,
            remedy=remedy,
            source=source,
            since=since,
            nature=nature,
            action=action,
            judges=judges,
            check=check,
            module=check.__module__,
            about=frozenset(about),
            looks_at={look.kind: look for look in looks_at},
            loses_data=loses_data,
            params=dict(params or {}),
            forestalls=forestalls,
        )

    return register
