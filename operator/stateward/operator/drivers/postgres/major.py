"""Another major by dump and restore, on the volume of the member that led last; the others start anew from it.

It works with images that hold one major each: the older server runs in a container of the older image, the newer one beside
it, and the new data lies beside the old on the same volume. The old data stays until the upgrade is final. What Patroni has
noted of the cluster is of the old one: its number is exchanged, so that a member without data never founds another one
(https://patroni.readthedocs.io/en/latest/existing_data.html, "Major Upgrade of PostgreSQL Version").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stateward.operator.drivers.protocol import Chore, Place, Source, Stage, Store, Task

MODES: Final = frozenset({"DumpAndRestore"})
_HERE: Final = Path(__file__).parent
_WORK: Final = "/work"
_ONE: Final = re.compile(r"(led|followed|empty) (\d+) ([0-9A-F]+)/([0-9A-F]+) (\d+)")
_STORES: Final = ("leader", "sync", "failover", "failsafe")
"""Of Patroni's ConfigMaps, those that tell of positions and of who is synchronous: with them no member could lead."""


def chore(stage: Stage, place: Place, before: str, leads: bool, attempt: str, data: str, wal: str) -> Chore:
    """What is done to the volume of one member. `wal`: where its log is, where that has a volume of its own."""
    environment = {
        "DATA": data,
        "WAL": wal if place.wal else "",
        "WORK": _WORK,
        "OLD": before.partition(".")[0],
        "NEW": place.major,
        "LEADS": "yes" if leads else "no",
        "ATTEMPT": attempt,
    }
    if stage == "carry":
        tasks = [Task("old", "before", _script("old")), Task("new", "after", _script("new"))]
    else:
        tasks = [Task(stage, "before" if stage in ("look", "back") else "after", _script(stage))]
    return Chore(tasks, environment, (_WORK, "/tmp"))  # noqa: S108 - a volume of the pod's own


def source(said: Mapping[str, str]) -> Source:
    """Whose data counts: of those that led on the last timeline, the one that came furthest.

    Whoever was promoted has all that was acknowledged before, and whoever led before has no more than it.
    """
    found = {member: match.groups() for member, text in said.items() if (match := _ONE.fullmatch(text.strip()))}
    unread = sorted(set(said) - set(found))
    if unread:
        return Source(reason=f"{', '.join(unread)}: what its volume holds cannot be told")
    data = {member: one for member, one in found.items() if one[0] != "empty"}
    if len({one[4] for one in data.values()}) > 1:
        return Source(reason="its members have data of different clusters")
    last = max((int(one[1]) for one in data.values()), default=0)
    led = {member: one for member, one in data.items() if one[0] == "led" and int(one[1]) == last}
    if not led:
        return Source(reason=f"no member that led on the last timeline ({last}) has its data")
    member = max(sorted(led), key=lambda name: (int(led[name][2], 16), int(led[name][3], 16)))
    return Source(member, word=led[member][4])


def stores(place: Place, word: str) -> list[Store]:
    """What Patroni is to know of the cluster of this number, and nothing else of any other."""
    scope = f"{place.service}-patroni"
    return [
        *(Store(f"{scope}-{name}", None) for name in _STORES),
        Store(f"{scope}-config", {"initialize": word, "history": None}),
    ]


def unled(place: Place) -> Store:
    """Patroni makes its lock when a member first leads, and leaves it there."""
    return Store(f"{place.service}-patroni-leader", None)


def _script(name: str) -> list[str]:
    return ["sh", "-c", (_HERE / f"{name}.sh").read_text(encoding="utf-8")]
