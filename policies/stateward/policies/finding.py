"""What a rule says is wrong: data, made text only at the edge."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Literal

from stateward.policies import structs
from stateward.policies.paths import Path, render
from stateward.policies.structs import dataclass
from stateward.policies.view import Kind, Object

Action = Literal["deny", "warn", "audit", "off"]


class Remove(Enum):
    """The value of a field that a patch takes out."""

    REMOVE = "remove"


REMOVE: Final = Remove.REMOVE


@dataclass(frozen=True, slots=True)
class SetField:
    """One step of a ready patch: a field gets a JSON value, or (REMOVE) is taken out. Missing mappings are made."""

    path: Path
    value: Any


@dataclass(slots=True)
class Finding:
    """One thing that is wrong.

    `field`, `text`, `why` and `remedy` make the message: field, what is wrong with its value, why it hurts this
    engine, what to do instead. `subject` names what it is about (a volume, a group): a state rule's finding is new if
    the old object has none with the same subject.
    """

    field: Path
    text: str
    why: str = ""
    remedy: str = ""
    subject: str = ""
    weak: bool = False
    """Resting on weaker evidence or a lesser harm: it warns where the rule would deny."""
    on: Object | None = structs.field(default=None, repr=False)
    """The object that the field is in, where it is not the request's own (a joined node pool, the scaled parent)."""
    waits: bool = False
    """Waiting helps: an eviction that is refused now may pass later."""
    patch: tuple[SetField, ...] = ()
    """What puts the object right (the one of `on`): only where there is one safe answer, such as the value before."""

    @property
    def headline(self) -> str:
        """`spec.storage.class: "gp3" cannot replace "gp2" on bound volumes`."""
        return f"{render(self.field)}: {self.text}" if self.field else self.text


@dataclass(slots=True)
class Judged:
    """A finding with the rule that made it and what the policy made of it."""

    rule: str
    name: str
    action: Action
    finding: Finding
    unknown: tuple[str, ...] = ()
    """Kinds that might have excused it and were unknown."""
    waiver: Waived | None = None
    details: dict[str, Any] = structs.field(default_factory=dict)
    would: Action | None = None
    """What it would do in mode `deny`, where the mode of the policy or the namespace makes less of it."""


@dataclass(frozen=True, slots=True)
class Waived:
    """The waiver that a finding falls under."""

    until: str
    reason: str


def shown(value: object, otherwise: str = "another value", limit: int = 60) -> str:
    """A value as the text of a finding shows it: `"gp3"`, `"3"`, `false`; what is long or no scalar is not shown."""
    if isinstance(value, bool):
        return str(value).lower()  # as it is written: "false" in quotes is another value
    text = str(value)
    return f'"{text}"' if isinstance(value, str | int | float) and len(text) <= limit else otherwise


def fingerprint(rule: str, kind: Kind, namespace: str, name: str, field: str, about: str) -> str:
    """What makes a finding the same in two runs: rule, object, field, and the part of the object it is about.

    Neither file nor line nor any value: it survives every move of a manifest and every edit of the value.
    """
    import hashlib  # takes a while, and text needs none

    return hashlib.sha256("\0".join((rule, kind, namespace, name, field, about)).encode(errors="replace")).hexdigest()[:32]
