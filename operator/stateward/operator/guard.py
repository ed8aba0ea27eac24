"""The rules inside: no change of a spec is carried out that they refuse, also where no webhook was asked.

What was accepted is kept in the cluster (`accepted`). A spec that is another is judged as the door judges the edit from
the one to the other, by the same engine. Until it passes, what was accepted goes on being looked after: drift is set
back, members that are lost come back, what was begun is ended. A spec that was accepted is never judged again, so neither
a restart nor a member that is down takes an approval back; and setting a change back needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from stateward.kube.client import Cluster
from stateward.operator import accepted
from stateward.operator.accepted import Accepted
from stateward.operator.api.spec import StatefulServiceSpec
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.apply import MANAGER, RESOURCES, NotOursError, owned
from stateward.operator.context import Context
from stateward.operator.objects.common import VERSION, VOLUME, WAL
from stateward.operator.observe import MEMBERS
from stateward.operator.refusals import Refusal
from stateward.operator.service import KIND, Service, read
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.naming import kubectl_name
from stateward.policies.policy import Policy
from stateward.policies.request import Request
from stateward.policies.view import Object, View, items_of, mapping_of, metadata_of, text_of
from stateward.policies.waiver import WAIVE

REASON: Final = "Denied"
"""Of the condition Blocked."""
_SHOWN: Final = 3
"""Findings that a message tells of."""
_GONE: Final = ("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is carried out of what an object asks for."""

    model: StatefulService | None
    """The object with the spec that is carried out; None: nothing is."""
    blocked: Refusal | None = None
    decisions: tuple[str, ...] = ()
    behind: bool = False
    """What was heard of the object is older than what was accepted: nothing is decided by it."""


class Judge(Protocol):
    """Says what is carried out."""

    def __call__(self, item: Object, model: StatefulService, found: Object | None, *, write: bool, now: float) -> Ruling:
        """`found`: the StatefulSet. `write`: whether what is accepted is kept. Raises ClusterError and NotOursError."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The judge that asks the engine of policies."""

    cluster: Cluster
    kept: Callable[[str, str, str], Object | None]
    """The informers' cache, by kind, namespace and name."""
    context: Context
    refused: Callable[[StatefulService], Refusal | None]
    """Why nobody could carry out a spec."""

    def __call__(self, item: Object, model: StatefulService, found: Object | None, *, write: bool, now: float) -> Ruling:
        """See `Judge`."""
        service = read(model)
        record = self.kept("ConfigMap", service.namespace, accepted.name_of(service))
        before = _of(record, service)
        if before is not None and before.same(item, model):
            return Ruling(model)
        # The cache may be from before our own last write: what is there decides.
        record = self.cluster.find(_path(service))
        if record is not None and not owned(record, service):
            whose = f"ConfigMap {service.namespace}/{accepted.name_of(service)} is there and belongs to somebody else"
            raise NotOursError(f"{whose}; delete or rename it, or give the service another name")
        before = _of(record, service)
        if before is not None and before.generation > _generation(item):
            return Ruling(None, behind=True)
        if before is not None and before.same(item, model):
            return Ruling(model)
        old = before.spec if before is not None else what_runs(item, found)
        problem = self.refused(model)
        if problem is not None:
            return Ruling(_carried_out(model, old), problem)
        verdict = judge(item, old, self.context.view(service.key), self.context.policy(), now)
        if verdict.denied:
            return Ruling(_carried_out(model, old), (REASON, told(verdict)))
        if write and old is not None:
            # Until something runs it is a creation, whatever is edited: nothing can be lost by it.
            made = accepted.record(service, mapping_of(item, "spec"), _generation(item))
            self.cluster.apply(_path(service), made, field_manager=MANAGER)
        return Ruling(model, decisions=_decision(before, item, verdict))


def _decision(before: Accepted | None, item: Object, verdict: Verdict) -> tuple[str, ...]:
    """What was accepted, and what the rules say of it all the same; nothing of a service that is made."""
    changes = accepted.changed(before.spec, mapping_of(item, "spec")) if before is not None else ""
    if not changes:
        return ()
    warned = "; ".join(f"{one.rule} {one.name} warns: {one.finding.headline}" for one in verdict.warned[:_SHOWN])
    return (f"accepted: {changes}" + (f"; {warned}" if warned else ""),)


def judge(item: Object, old: Mapping[str, Any] | None, view: View, policy: Policy, now: float) -> Verdict:
    """The verdict on the edit that led from a spec to the one that an object has; without an old one on its creation.

    Annotations and status are those of now on both sides: waivers count once they are there.
    """
    metadata = {name: value for name, value in metadata_of(item).items() if name not in _GONE}
    new = {**item, "metadata": metadata}
    if old is None:
        new.pop("status", None)
    request = Request(
        kind=KIND,
        operation="CREATE" if old is None else "UPDATE",
        name=text_of(metadata, "name"),
        namespace=text_of(metadata, "namespace"),
        object=new,
        old={**new, "spec": dict(old)} if old is not None else None,
        resource="statefulservices",
    )
    return evaluate(request, view, policy, now=now)


def told(verdict: Verdict) -> str:
    """Why a change is not carried out: of each rule its id, field, value, reason and next step.

    It holds no time of day: a message that changes with the clock would be written again and again.
    """
    found = []
    for one in verdict.denied[:_SHOWN]:
        parts = (f"{one.rule} {one.name}: {one.finding.headline}", one.finding.why, one.finding.remedy)
        found.append("; ".join(part for part in parts if part))
    if len(verdict.denied) > _SHOWN:
        found.append(f"and {len(verdict.denied) - _SHOWN} more: stateward plan says them all")
    rules = dict.fromkeys(one.rule for one in verdict.denied)
    waived = "; ".join(f'{rule} until=TIME reason="…"' for rule in rules)
    waive = f"kubectl annotate {kubectl_name(verdict.subject)} {WAIVE}='{waived}'"
    found.append(f"Set it back, or waive it: {waive}")
    return ". ".join(found)


def what_runs(item: Object, found: Object | None) -> dict[str, Any] | None:
    """The spec that a StatefulSet of ours was made from, as far as it tells; None where there is none."""
    if found is None:
        return None
    spec = {**mapping_of(item, "spec")}
    notes, claim = mapping_of(metadata_of(found), "annotations"), _claim(found)
    labels = mapping_of(metadata_of(found), "labels")
    wal = _claim(found, WAL)
    members = text_of(notes, MEMBERS)
    asked = mapping_of(spec, "storage")
    storage = {name: value for name, value in _volume(claim, asked).items() if name != "wal"}
    if wal:
        storage["wal"] = _volume(wal, mapping_of(asked, "wal"))
    known = {
        "engine": text_of(labels, "app.kubernetes.io/name"),
        "version": text_of(notes, VERSION),
        "members": int(members) if members.isdecimal() else 0,
        "storage": storage,
    }
    return {**spec, **{name: value for name, value in known.items() if value}}


def _volume(claim: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a spec says of a volume, by its claim; `asked`: as it says now."""
    size = mapping_of(mapping_of(claim, "resources"), "requests").get("storage")
    found = {**asked, **({"size": size} if isinstance(size, str) else {})}
    if text_of(claim, "storageClassName") and "class" in found:
        found["class"] = text_of(claim, "storageClassName")
    return found


def _claim(found: Object, volume: str = VOLUME) -> Mapping[str, Any]:
    for one in items_of(mapping_of(found, "spec"), "volumeClaimTemplates"):
        if text_of(metadata_of(one), "name") == volume:
            return mapping_of(one, "spec")
    return {}


def _carried_out(model: StatefulService, old: Mapping[str, Any] | None) -> StatefulService | None:
    """The object with the spec that was accepted. A brake is heeded whatever else is asked for with it."""
    if old is None:
        return None
    spec = StatefulServiceSpec.model_validate(old)
    if model.spec.upgrade.paused:
        spec = spec.model_copy(update={"upgrade": spec.upgrade.model_copy(update={"paused": True})})
    return model.model_copy(update={"spec": spec})


def _of(record: Object | None, service: Service) -> Accepted | None:
    return Accepted.of(record) if record is not None and owned(record, service) else None


def _path(service: Service) -> str:
    return RESOURCES["ConfigMap"].path_to(service.namespace, accepted.name_of(service))


def _generation(item: Object) -> int:
    number = metadata_of(item).get("generation")
    return number if type(number) is int else 0
