"""SW204: members leave with the data that lies on them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from stateward.policies.change import Change
from stateward.policies.facts import BACKUP_LOOKS, fresh_backup
from stateward.policies.finding import Finding
from stateward.policies.model import MemberGroup, Service
from stateward.policies.rule import rule, services
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import UNKNOWN, Sight

_NATIVE: Final = frozenset(("kafka", "cassandra", "elasticsearch", "opensearch"))
_FACTORS: Final = ("KAFKA_CFG_DEFAULT_REPLICATION_FACTOR", "KAFKA_DEFAULT_REPLICATION_FACTOR")


@rule(
    id="SW204",
    name="members-leave-with-data",
    summary="Members that hold a part of the data are scaled away",
    why="A broker or data node that goes takes what it holds along. If as many go at once as there are copies, all copies "
    "of a piece may go together.",
    remedy="Empty the members that leave first (reassign, decommission, exclude from allocation), then scale one by one.",
    source="Strimzi documentation, scaling down a Kafka cluster; Apache Kafka documentation, kafka-reassign-partitions",
    nature="transition",
    judges=services("UPDATE", "DELETE"),
    about=("members",),
    looks_at=BACKUP_LOOKS,
    params={"backupMaxAgeHours": 24},
    loses_data=True,
)
def members_leave_with_data(change: Change, see: Sight) -> Iterator[Finding]:
    """Brokers and data nodes; denies where a piece of data may lose all its copies."""
    old, new = change.old, change.new
    if old is None or new is None or old.engine is None or not old.engine_certain:
        return
    if old.adapter.group == "kafka.strimzi.io":
        yield from _strimzi(old, new)
    elif old.adapter.name == "statefulset":
        if old.engine.name in _NATIVE:
            yield from _native(old, new)
    elif not old.adapter.shares_claims:
        yield from _deleted_at_once(old, new)
        yield from _managed(old, new, see)


def _deleted_at_once(old: Service, new: Service) -> Iterator[Finding]:
    """Groups that are left out while the operator's check that nobody uses them is off."""
    for name, before in old.groups_by_name.items():
        if name in new.groups_by_name or before.at_once.value is not True or before.members.value == 0:
            continue
        yield Finding(
            field=before.path[:-1],
            text=f'"{name}" goes with its data at once',
            why="the operator has been told not to look whether it still serves anybody",
            remedy="set the policy back first, wait until the operator calls it idle, then take it out",
            subject=name,
            on=before.on if before.on is not old.object else None,
        )


def _strimzi(old: Service, new: Service) -> Iterator[Finding]:
    factor = old.field("replicationFactor").value
    factor = factor if type(factor) is int and factor > 0 else 1
    for name, before in old.groups_by_name.items():
        after = new.groups_by_name.get(name)
        roles = before.roles.value
        if name == "zookeeper" or (type(roles) is list and "broker" not in roles):
            continue
        was, wanted = before.members.value, after.members.value if after is not None else 0
        if type(was) is not int or type(wanted) is not int or wanted >= was:
            continue
        going = was - wanted
        on = after.on if after is not None else before.on
        skip = "strimzi.io/skip-broker-scaledown-check"
        yield Finding(
            field=after.members.path if after is not None else before.members.path,
            text=f"{was} → {wanted} takes {going} broker{'s' if going != 1 else ''} away; partitions have {factor} "
            f"replica{'s' if factor != 1 else ''}",
            why="all replicas of a partition may lie on the brokers that go"
            if going >= factor
            else "their replicas are lost unless every partition was moved off them before",
            remedy="reassign the partitions off the leaving brokers (kafka-reassign-partitions.sh, or a KafkaRebalance with "
            f"mode remove-brokers), then scale down by at most {max(1, factor - 1)} at a time"
            + (f"; remove the annotation {skip}" if skip in old.annotations else ""),
            subject=name,
            weak=going < factor,
            on=on,
        )


def _managed(old: Service, new: Service, see: Sight) -> Iterator[Finding]:
    """Members of a custom resource that hold a part of the data each: shards, data nodes, Cassandra nodes."""
    profile, way = old.engine, old.adapter.scale_down
    if profile is None or new.stopped or not _in_parts(old):
        return
    for name, before in old.groups_by_name.items():
        after = new.groups_by_name.get(name)
        was, wanted = before.members.value, after.members.value if after is not None else 0
        if type(was) is not int or type(wanted) is not int or wanted >= was or not _holds_data(old, before):
            continue
        going = was - wanted
        rolls = after is not None and after.settings != before.settings
        moved = way in ("decommissions", "oneByOne") and not rolls
        risky = profile.name in ("redis", "valkey") and going > 1
        crowded = _crowded(old, new, before) if after is None and moved else ""
        backed = False
        if moved and risky:
            age = fresh_backup(old, see, see.params["backupMaxAgeHours"])
            backed = age is not None and age is not UNKNOWN
        yield Finding(
            field=after.members.path if after is not None else before.path[:-1],
            text=(f"{was} → {wanted} takes" if after is not None else f'"{name}" goes and takes')
            + f" {going} member{'s' if going != 1 else ''} of {profile.title} away with what lies on "
            + ("it" if going == 1 else "them"),
            why="the operator moves the data off first"
            + (", for several at once, and what fails half way leaves slots without an owner" if risky else "")
            + (crowded or ("; afterwards nothing can be looked up on their disks" if not risky else ""))
            if moved
            else "the same edit rolls the members that stay: one goes down before the data of those that leave was moved off"
            if rolls
            else "nobody moves the data off them first",
            remedy=("first add members with at least as much disk, wait until they hold the data, then take these out")
            if crowded
            else ("take one away at a time, when all are ready, with a backup of today")
            if moved
            else "make two edits: let the members leave first, and change the rest when all are ready"
            if rolls
            else f"empty each member first ({profile.quorum.leave})"
            if profile.quorum.leave
            else "move the data off them first",
            subject=name,
            on=after.on if after is not None else before.on,
            weak=moved and not crowded and (not risky or backed),
        )


def _crowded(old: Service, new: Service, leaving: MemberGroup) -> str:
    """Why what a whole group holds finds no room on the groups that stay; "" where it does, or nobody can tell."""
    if old.engine is None or old.engine.name not in ("elasticsearch", "opensearch"):
        return ""
    staying = [group for group in new.groups if _holds_data(new, group) and group.members.value != 0]
    if not staying:
        return ", but no member that holds data is left to take it: the operator waits for ever"
    needed, room = _disk(leaving), [_disk(group) for group in staying]
    if needed is None or None in room or sum(size for size in room if size is not None) >= needed:
        return ""
    return ", but those that stay have less disk than those that leave: where it does not fit the operator waits for ever"


def _disk(group: MemberGroup) -> Fraction | None:
    """The bytes that all members of a group have together."""
    sizes = [volume.bytes for volume in group.volumes if volume.ephemeral.value is not True]
    members = group.members.value
    if type(members) is not int or not sizes or None in sizes:
        return None
    return members * sum((size for size in sizes if size is not None), Fraction(0))


def _in_parts(service: Service) -> bool:
    """Whether each member holds a part of the data only."""
    name = service.engine.name if service.engine is not None else ""
    return name in ("cassandra", "elasticsearch", "opensearch") or (
        name in ("redis", "valkey") and service.mode in ("cluster", "sharded")
    )


def _holds_data(service: Service, group: MemberGroup) -> bool:
    """Whether a group's members hold parts of the data; followers hold copies of what their leaders hold."""
    if group.name in ("follower", "followers", "replicas"):
        return False
    roles = group.roles.value
    if type(roles) is not list or service.engine is None or service.engine.name not in ("elasticsearch", "opensearch"):
        return True
    return any(isinstance(role, str) and role.startswith("data") for role in roles)


def _native(old: Service, new: Service) -> Iterator[Finding]:
    was, wanted = old.members, new.members
    if old.engine is None or was is None or wanted is None or wanted >= was or wanted == 0:
        return
    profile, going = old.engine, was - wanted
    if votes(old, old.groups[0]) and profile.name != "cassandra":
        return  # voters that leave are judged as such
    roles = old.environment.get("KAFKA_CFG_PROCESS_ROLES", old.environment.get("KAFKA_PROCESS_ROLES", "broker"))
    if profile.name == "kafka" and "broker" not in roles:
        return
    given = next((old.environment[name] for name in _FACTORS if name in old.environment), "")
    # Elasticsearch and OpenSearch keep one replica of each shard unless an index says otherwise.
    told = int(given) if given.isdecimal() and len(given) < 10 else 0
    copies = told or (2 if profile.name in ("elasticsearch", "opensearch") else 1)
    yield Finding(
        field=new.groups[0].members.path,
        text=f"{was} → {wanted} takes {going} member{'s' if going != 1 else ''} of {profile.title} away with what lies on "
        + ("them" if going != 1 else "it"),
        why="a set stops pods without asking the engine: what they hold is not moved to the others"
        + ("; all copies of a piece may lie on the members that go" if going >= copies else ""),
        remedy=f"empty each member first ({profile.quorum.leave}), then scale by one"
        if profile.quorum.leave
        else "move what they hold to the others first, then scale by one",
        subject="members",
        weak=going < copies,
    )
