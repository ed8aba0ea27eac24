"""SW205: replication that the members cannot satisfy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import rule, services
from stateward.policies.settings import mounted_properties
from stateward.policies.view import Sight, accuses

_KAFKA: Final = (
    ("replicationFactor", "default.replication.factor"),
    ("minInsync", "min.insync.replicas"),
    ("offsetsReplicationFactor", "offsets.topic.replication.factor"),
    ("transactionReplicationFactor", "transaction.state.log.replication.factor"),
    ("transactionMinIsr", "transaction.state.log.min.isr"),
)
_MASTERS: Final = ("discovery.zen.minimum_master_nodes", "minimum_master_nodes")


@rule(
    id="SW205",
    name="replication-over-members",
    summary="More copies are demanded than there are members to hold them, or too few to be safe",
    why="A write that must reach more copies than exist waits for ever; a quorum setting below the majority lets two "
    "halves of a cluster elect a leader each.",
    remedy="Keep replication factors at or below the number of members, and leave one member to spare.",
    source="Apache Kafka documentation, min.insync.replicas; PostgreSQL documentation, synchronous_standby_names; "
    "Elasticsearch 6.8 documentation, minimum_master_nodes",
    nature="state",
    judges=services("CREATE", "UPDATE", configs=True),
    about=("members", "values.replicationFactor", "values.minInsync", "values.syncStandbys", "settings", "version"),
    looks_at=(accuses("ConfigMap", "data"),),
)
def replication_over_members(change: Change, see: Sight) -> Iterator[Finding]:
    """Kafka's factors against its brokers, PostgreSQL's synchronous standbys, Elasticsearch's masters before 7."""
    new = change.new
    if new is None or new.engine is None or not new.engine_certain:
        return
    name = new.engine.name
    if name == "kafka":
        yield from _kafka(new)
    elif name == "postgresql":
        yield from _postgresql(new)
    elif name == "elasticsearch":
        yield from _elasticsearch(new, see)


def _kafka(new: Service) -> Iterator[Finding]:
    brokers = 0
    for group in new.groups:
        roles = group.roles.value
        if group.name == "zookeeper" or (type(roles) is list and "broker" not in roles):
            continue
        if type(group.members.value) is not int:
            return
        brokers += group.members.value
    if not brokers:
        return
    for slot, setting in _KAFKA:
        value, path = new.field(slot)
        if type(value) is not int or value <= brokers:
            continue
        yield Finding(
            field=path,
            text=f"{value} is more than the {brokers} broker{'s' if brokers != 1 else ''} of {new.title}",
            why="producers with acks=all stop at once"
            if "min" in setting
            else f"so few brokers cannot hold {value} replicas; topics stay under-replicated and no broker can be "
            "restarted without stopping writers",
            remedy=f"keep at least {value} brokers, or lower {setting} first and let the topics follow",
            subject=setting,
        )


def _postgresql(new: Service) -> Iterator[Finding]:
    value, path = new.field("syncStandbys")
    members = new.members
    if type(value) is not int or value <= 0 or members is None or value < members:
        return
    yield Finding(
        field=path,
        text=f"{value} synchronous standby{'s are' if value != 1 else ' is'} demanded of {members} "
        f"instance{'s' if members != 1 else ''}",
        why=f"beside the primary {max(0, members - 1) or 'none'} can exist, so every COMMIT waits for ever",
        remedy=f"keep at least {value + 1} instances (better {value + 2}), or lower the number first",
        subject="synchronous",
    )


def _elasticsearch(new: Service, see: Sight) -> Iterator[Finding]:
    version, members = new.version.version, new.members
    if version is None or version.parts[0] >= 7 or members is None or members < 2:
        return
    variables = new.environment
    if variables.get("node.master") == "false":
        return
    given = next((variables[key] for key in _MASTERS if key in variables), None) or mounted_properties(new, see, _MASTERS)
    majority = members // 2 + 1
    if given is not None and (not given.isdecimal() or len(given) > 9 or int(given) >= majority):
        return
    yield Finding(
        field=new.container_path("env"),
        text=f"discovery.zen.minimum_master_nodes is {given or 'not set (1)'}; the majority of {members} is {majority}",
        why="before version 7 each part of a divided cluster elects a master of its own and accepts writes",
        remedy=f"set discovery.zen.minimum_master_nodes to {majority}",
        subject="minimum_master_nodes",
    )
