"""SW803: an engine switched to another mode over data of the first."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW803",
    name="engine-mode-switched",
    summary="An engine is switched to another mode over the data of the first",
    why="The metadata of ZooKeeper mode is not that of KRaft: brokers that start in the other mode find disks that do not "
    "match, and none of them starts.",
    remedy="Go through the documented migration: controllers beside ZooKeeper, migration, then finalise.",
    source="Apache Kafka 3.9 documentation, ZooKeeper to KRaft Migration",
    nature="transition",
    judges=services("UPDATE"),
    about=("settings",),
)
def engine_mode_switched(change: Change, see: Sight) -> Iterator[Finding]:
    """From what the environment of the engine's container shows, before and after."""
    old, new = change.old, change.new
    if old is None or new is None or not new.pod or not old.mode or not new.mode or old.mode == new.mode:
        return
    if old.members == 0 or new.engine is None or new.engine.name != "kafka":
        return
    yield Finding(
        field=new.container_path("env"),
        text=f"switches {new.engine.title} from {old.mode} to {new.mode} mode in one step",
        why="the disks were formatted for the other mode; no broker starts on them",
        remedy="3.9 first; then KRaft controllers as a set of their own, migrate the metadata, finalise, remove ZooKeeper"
        if new.mode == "kraft"
        else "keep KRaft: there is no way back once the migration is finalised",
    )
