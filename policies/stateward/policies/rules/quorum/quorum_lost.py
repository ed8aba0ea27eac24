"""SW201: members leave a quorum that still counts them."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import MemberGroup, Service
from stateward.policies.paths import Path
from stateward.policies.rule import rule, services
from stateward.policies.view import Object, Sight


@rule(
    id="SW201",
    name="quorum-lost",
    summary="More voters leave at once than the quorum can lose",
    why="A consensus engine counts the voters that it knows, not the pods that run: those that are scaled away stay in "
    "the count, and what is left is no majority. No leader is elected and writes stop.",
    remedy="Take members out of the engine first (member remove, rs.remove, forget_cluster_node), one at a time, then "
    "scale by one.",
    source="etcd: https://etcd.io/docs/v3.6/op-guide/runtime-configuration/; the same arithmetic holds for every majority "
    "quorum: floor(n/2)+1",
    nature="transition",
    judges=services("UPDATE"),
    about=("members",),
)
def quorum_lost(change: Change, see: Sight) -> Iterator[Finding]:
    """Voters of a quorum: to none, below the old majority, or several at once."""
    old, new = change.old, change.new
    if old is None or new is None:
        return
    yield from _votes_taken(old, new)
    for name, was, wanted, at, on in _electorates(old, new):
        if wanted >= was or was < 2:
            continue
        title = "ZooKeeper" if name == "zookeeper" else old.engine.title if old.engine is not None else "this engine"
        leave = old.engine.quorum.leaving(old.mode) if old.engine is not None and name != "zookeeper" else ""
        majority = was // 2 + 1
        first = f"take each member out first ({leave})" if leave else "take each member out first"
        if wanted == 0:
            yield Finding(
                field=at,
                text=f"{was} → 0 stops all members of {title} at once",
                why="the whole service is down, and members that are unregistered on the way find no cluster to rejoin",
                remedy=f"keep {was}; for a planned full stop take a backup and waive this rule",
                subject=name,
                on=on,
            )
        elif wanted < majority:
            yield Finding(
                field=at,
                text=f"{was} → {wanted} leaves less than the majority of {was} ({majority})",
                why=f"{title} still counts {was} voters; {wanted} of them elect{'s' if wanted == 1 else ''} no leader and "
                "writes stop",
                remedy=f"{first}, and scale by one each time: {was} → {was - 1}",
                subject=name,
                on=on,
            )
        elif _taken_out_first(old, was - wanted) and wanted % 2 == 1:
            continue
        else:
            yield Finding(
                field=at,
                text=f"{was} → {wanted} takes {was - wanted} of {was} voters of {title}",
                why=(
                    "the operator refuses to take members away once this is stored, and carries out nothing else until it "
                    "is put back; "
                    if old.adapter.scale_down == "unsupported"
                    else ""
                )
                + f"until they are removed from the engine they count as failed: {was - wanted} more may not fail"
                + ("; an even number of voters tolerates no more failures than one less" if wanted % 2 == 0 else ""),
                remedy=f"{first}, then scale",
                subject=name,
                # Two voters tolerate no failure at all; an operator that refuses afterwards does nothing else either.
                weak=(wanted > 2 or bool(old.pod)) and old.adapter.scale_down != "unsupported",
                on=on,
            )


def _taken_out_first(old: Service, going: int) -> bool:
    """Whether the operator takes each member out of the engine before the next one goes."""
    return old.adapter.scale_down == "oneByOne" or (old.adapter.scale_down == "decommissions" and going == 1)


def _electorates(old: Service, new: Service) -> Iterator[tuple[str, int, int, Path, Object]]:
    """Quorums: (name, voters before, voters after, field, object), of a group each or of all that elect together."""
    kept = [(name, group, new.groups_by_name.get(name)) for name, group in old.groups_by_name.items() if votes(old, group)]
    counted = [(name, before, after, _voters(before), _voters(after)) for name, before, after in kept]
    if not old.adapter.one_quorum:
        for name, before, after, was, wanted in counted:
            if after is None or was is None or wanted is None or before.members.value == after.members.value:
                continue
            yield name, was, wanted, after.members.path, after.on
        return
    after_all = [_voters(group) for group in new.groups if votes(new, group)]
    was_all = [was for _, _, _, was, _ in counted]
    if not counted or None in was_all or None in after_all:
        return
    name, before, after, _, _ = max(counted, key=lambda row: (row[3] or 0) - (row[4] or 0))
    was_in_all, wanted_in_all = (sum(count or 0 for count in every) for every in (was_all, after_all))
    at = after.members.path if after is not None else before.path[:-1]
    yield name, was_in_all, wanted_in_all, at, (after or before).on


def _voters(group: MemberGroup | None) -> int | None:
    """How many members of a group vote; 0 of one that is gone."""
    return 0 if group is None else group.voting


def _votes_taken(old: Service, new: Service) -> Iterator[Finding]:
    """Members that stay and vote no longer."""
    for name, before in old.groups_by_name.items():
        after = new.groups_by_name.get(name)
        if after is None or not votes(old, before) or before.members.value != after.members.value:
            continue
        was, wanted = before.voting, after.voting
        if was is None or wanted is None or wanted >= was or was < 2:
            continue
        spared = (wanted - 1) // 2
        yield Finding(
            field=after.nonvoters.path,
            text=f"{was} → {wanted} of {before.members.value} members vote",
            why=f"with {wanted} voter{'s' if wanted != 1 else ''} "
            + (f"only {spared} of them may fail" if spared > 0 else "the first of them that fails stops all writes")
            + ", whatever the others hold",
            remedy=f"leave {was} voters; to change who votes give one vote and take another, one at a time",
            subject=name,
            weak=wanted > 2 and wanted >= was // 2 + 1,
            on=after.on,
        )


def votes(service: Service, group: MemberGroup) -> bool:
    """Whether a group's members vote in a majority quorum, as far as the object tells for certain."""
    if group.voters is not None:
        return group.voters
    engine = service.engine
    if engine is None or not service.engine_certain:
        return False
    if engine.quorum.model != "majority":
        return service.mode == "galera"
    return engine.name not in ("elasticsearch", "opensearch") or _master_eligible(service)


def _master_eligible(service: Service) -> bool:
    """Whether nodes may be elected: all may unless their roles say otherwise (Elasticsearch documentation, node roles)."""
    variables = service.environment
    roles = variables.get("node.roles", variables.get("NODE_ROLES"))
    if roles is not None:
        return any(role in roles for role in ("master", "cluster_manager"))
    return variables.get("node.master", "true") != "false"
