"""SW204: brokers leave with the partitions that lie on them."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW204",
    name="brokers-leave-with-data",
    summary="Brokers are scaled away while partitions may lie on them",
    why="A broker that goes takes its replicas along. If as many go at once as a partition has replicas, all copies of a "
    "partition may go together.",
    remedy="Reassign all partitions off the leaving brokers first, then scale, fewer at a time than the replication factor.",
    source="Strimzi documentation, scaling down a Kafka cluster; Apache Kafka documentation, kafka-reassign-partitions",
    nature="transition",
    judges=services("UPDATE", "DELETE"),
    about=("members",),
    loses_data=True,
)
def brokers_leave_with_data(change: Change, see: Sight) -> Iterator[Finding]:
    """Kafka groups that hold partitions; denies where a partition may lose all its replicas."""
    old, new = change.old, change.new
    if old is None or new is None or old.engine is None or old.engine.name != "kafka":
        return
    if old.adapter.group != "kafka.strimzi.io":
        return
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
