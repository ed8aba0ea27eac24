"""What the API server refuses by itself, in CEL, also where no webhook is: rules of fields, beside the fields in `spec`.

Most are said at the door too, by rules that know more (docs/stateful-service.md has the table). A message is the value, the
reason and the next step; the API server puts the field before it. They run on `/scale` as well, where a webhook sees no
StatefulService. Those of a whole mapping compare with what was there: the API server asks them at every edit beside them.
"""

from __future__ import annotations

from typing import Any, Final

from stateward.operator.api.model import cel
from stateward.policies.engines.recognise import PROFILES

Rule = dict[str, Any]

VOTING: Final = sorted(name for name, profile in PROFILES.items() if profile.quorum.model == "majority")
"""Engines whose members elect by majority."""

ENGINE: Final = (
    cel(
        "self == oldSelf",
        "oldSelf + ' → ' + self + ': one engine does not read the data of another;"
        " make a new StatefulService and move the data over'",
    ),
)

MEMBERS: Final = (
    cel(
        "oldSelf < 3 || self == 0 || self >= oldSelf / 2 + 1",
        "'%d → %d: fewer than the majority of %d would be left; keep %d or more'"
        ".format([oldSelf, self, oldSelf, oldSelf / 2 + 1])",
    ),
)

EVEN: Final = (
    cel(
        f"!(self.engine in {VOTING!r}) || self.members % 2 == 1 || self.members == 0"
        " || (oldSelf.hasValue() && oldSelf.value().members == self.members)",
        "'%d members of %s: an even number of voters spares no more failures than one less; ask for %d'"
        ".format([self.members, self.engine, self.members + 1])",
        at=".members",
        creation=True,
    ),
)

CLASS: Final = (
    cel(
        "has(self.class) == has(oldSelf.class) && (!has(self.class) || self.class == oldSelf.class)",
        "(has(oldSelf.class) ? oldSelf.class : 'the default class') + ' → ' + (has(self.class) ? self.class :"
        " 'the default class') + ': volumes that exist keep their class; restore a backup into a new service of that class'",
        at=".class",
    ),
)

SIZE: Final = (
    cel(
        "quantity(self).compareTo(quantity(oldSelf)) >= 0",
        "oldSelf + ' → ' + self + ': a volume cannot shrink; restore a backup into a new service of that size'",
    ),
    cel(
        "quantity(self).isGreaterThan(quantity('0'))",
        "self + ': a member needs room for its data; give a size such as 20Gi'",
    ),
)

WAL: Final = (
    cel(
        "has(self.wal) == has(oldSelf.wal)",
        "'the write-ahead log ' + (has(self.wal) ? 'moves to a volume of its own' : 'leaves its volume')"
        " + ': members look for it where it was; restore a backup into a new service'",
        at=".wal",
    ),
)

_PARTS: Final = "{0}.replace('v', '').split('-')[0].split('+')[0].split('.')"
_WANTED: Final = _PARTS.format("self.spec.version")
_WAS: Final = _PARTS.format("oldSelf.spec.version")
_FINAL: Final = _PARTS.format("oldSelf.status.finalisedVersion")

OBJECT: Final = (
    # Until an upgrade is final the data of before may be there still: whether there is a way back says the operator.
    cel(
        f"int({_WANTED}[0]) >= int({_WAS}[0]) || (has(oldSelf.status) && has(oldSelf.status.finalisedVersion)"
        f" && int({_WANTED}[0]) >= int({_FINAL}[0]) && int({_WAS}[0]) > int({_FINAL}[0]))",
        "oldSelf.spec.version + ' → ' + self.spec.version + ': an older major does not read the data of a newer one;"
        " restore a backup of that version into a new service'",
        at=".spec.version",
    ),
    cel(
        "self.spec.version == oldSelf.spec.version || !has(oldSelf.status) || !has(oldSelf.status.finalisedVersion)"
        f" || int({_WANTED}[0]) > int({_FINAL}[0]) || (int({_WANTED}[0]) == int({_FINAL}[0])"
        f" && ({_WANTED}.size() < 2 || {_FINAL}.size() < 2 || int({_WANTED}[1]) >= int({_FINAL}[1])))",
        "oldSelf.spec.version + ' → ' + self.spec.version + ': the data is finalised at ' + oldSelf.status.finalisedVersion"
        " + ', and older members cannot read it; restore a backup of that version into a new service'",
        at=".spec.version",
    ),
    cel(
        "self.metadata.name.size() <= 40",
        "'metadata.name: %s has %d characters: names of pods and claims are made of it; take at most 40'"
        ".format([self.metadata.name, self.metadata.name.size()])",
    ),
    cel(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "'metadata.name: %s: Services are called after it; take lower-case letters, digits and dashes, a letter first'"
        ".format([self.metadata.name])",
    ),
)


def fixed(why: str) -> Rule:
    """A spec that never changes."""
    return cel("self == oldSelf", f"'spec was changed: {why}'")


ONE_SOURCE: Final = cel(
    "has(self.backup) != has(self.archive)",
    "(has(self.backup) ? 'two sources' : 'no source') + ': one backup is restored; give either backup or archive'",
)
