"""SW401: a service that holds data is deleted."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies import times
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.consequence import owner_of
from stateward.policies.facts import (
    BACKUP_LOOKS,
    CLAIM,
    annotations_of,
    backup_way,
    being_deleted,
    fresh_backup,
    owned_by,
)
from stateward.policies.finding import Finding
from stateward.policies.model import MemberGroup, Service
from stateward.policies.naming import kubectl_name
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, kind_of_object, mapping_of, text_of
from stateward.policies.waiver import CONFIRM_DELETE


@rule(
    id="SW401",
    name="service-deleted",
    summary="A stateful service is deleted without confirmation",
    why="Deletion takes the service down at once; with most operators it takes the volumes too. One wrong context, one "
    "pruned folder, one renamed release is enough.",
    remedy="Take a backup, then confirm the deletion by name in an edit of its own.",
    source="operators' defaults on deletion: claims are owned by the custom resource unless the operator is told otherwise",
    nature="transition",
    judges=services("DELETE"),
    looks_at=BACKUP_LOOKS,
    params={"backupMaxAgeHours": 24},
    loses_data=True,
)
def service_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """What has no members and no volumes may go; an orphaning deletion leaves pods and data as they are.

    A Deployment's deletion takes the process and never the claim: it only warns, and only where an engine is known that
    keeps data there. So does that of what nobody knows, unless its claims are known to go with it.
    """
    request = change.request
    old = change.old
    if old is None or change.via == "scale":
        return
    subject = request.old or old.object
    name = text_of(mapping_of(subject, "metadata"), "name")
    if annotations_of(subject).get(CONFIRM_DELETE) == name and name:
        return
    if request.options.get("propagationPolicy") == "Orphan" or request.options.get("orphanDependents") is True:
        return
    groups = (
        old.groups
        if change.via != "pool"
        else tuple(group for group in old.groups if change.new is None or group.name not in change.new.groups_by_name)
    )
    stores = any(volume for group in groups for volume in group.volumes) or old.engine is not None
    if not stores or (old.adapter.name == "statefulset" and old.members == 0 and not old.deletes_claims):
        return
    if old.adapter.shares_claims and not _keeps_data(old):
        return
    recreated = _recreated_by_operator(change, old, see)
    if recreated is None:
        return
    hours = see.params["backupMaxAgeHours"]
    age = fresh_backup(old, see, hours)
    backed = age is not None and age is not UNKNOWN
    own = ADAPTERS.get(kind_of_object(subject), old.adapter)  # a node pool says it itself
    deletes = (
        own.read("deletesClaims", Service(own, subject, old.view)).value is True
        or _joined_go_too(old, groups)
        or _owns_its_claims(old, see)
    )
    members = sum(group.members.value for group in groups if type(group.members.value) is int)
    yield Finding(
        field=(),
        text=f"deletes {members} member{'s' if members != 1 else ''} of {_engine(old)}; {_of_its_data(old, deletes)}",
        why=(
            f"no backup of the last {hours} hours is recorded"
            if not backed
            else f"a backup {times.ago(float(age or 0))} old exists, but nobody confirmed the deletion"
        ),
        remedy=(
            f"take a backup first ({way}), then confirm: "
            if not backed and (way := backup_way(old))
            else "confirm it in an edit of its own: "
        )
        + f"kubectl annotate {kubectl_name(subject)} {CONFIRM_DELETE}={name}, then delete again",
        subject=name,
        weak=recreated or _never_came_up(old, see) or old.adapter.shares_claims or (old.engine is None and not deletes),
    )


def _keeps_data(service: Service) -> bool:
    """Whether an engine that is known to keep data has a claim to keep it on."""
    engine = service.engine
    claims = any(group.volumes for group in service.groups)
    return engine is not None and service.engine_certain and not engine.volatile and claims


def _owns_its_claims(service: Service, see: Sight) -> bool:
    """Whether a claim is known that the garbage collector deletes with the service."""
    claims = see.select(CLAIM, service.namespace)
    return any(owned_by(claim, service.object) for claim in (claims if claims is not UNKNOWN else ()))


def _of_its_data(service: Service, deletes: bool) -> str:
    if deletes:
        return "its volumes go with it"
    if service.adapter.name == "shape":
        return "whether its volumes go with it is not known, the service is down at once"
    return "its claims stay, the service is down at once"


def _joined_go_too(old: Service, groups: tuple[MemberGroup, ...]) -> bool:
    """Whether an object that is joined to the service (a node pool) says that its claims go with it."""
    for on in {id(group.on): group.on for group in groups if group.on is not old.object}.values():
        adapter = ADAPTERS.get(kind_of_object(on))
        if adapter is not None and adapter.read("deletesClaims", Service(adapter, on, old.view)).value is True:
            return True
    return False


def _never_came_up(old: Service, see: Sight) -> bool:
    """Whether it is known that no claim was ever made for a service that asks for some: there is nothing to lose."""
    claims = see.select(CLAIM, old.namespace, whole=True)
    if claims is UNKNOWN or not any(volume.ephemeral.value is not True for group in old.groups for volume in group.volumes):
        return False
    return not any(old.adapter.owns_claim(old, claim) for claim in claims)


def _recreated_by_operator(change: Change, old: Service, see: Sight) -> bool | None:
    """Whether a set's own operator deletes it to make it anew: its resource demands other volumes than the set has.

    None: its resource is gone or going, and the set goes with it. A deletion that the resource gives no reason for (an
    operator that acts on a stale read) is judged like anyone's.
    """
    if old.adapter.name != "statefulset" or "system:serviceaccounts" not in change.request.user.groups:
        return False
    owner, known = owner_of(old.object, old.view)
    if not known:
        return False
    if owner is None or being_deleted(owner):
        return None
    adapter = ADAPTERS.get(kind_of_object(owner))
    if adapter is None:
        return False
    wanted = Service(adapter, owner, old.view).asked_volumes
    return bool(wanted) and not old.asked_volumes <= wanted


def _engine(service: Service) -> str:
    if service.engine is not None:
        return service.engine.title
    return "a stateful set" if service.adapter.name == "statefulset" else "a service that keeps data"
