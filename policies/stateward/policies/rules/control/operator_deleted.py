"""SW725: an operator goes while something of its kinds stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stateward.policies.change import Change
from stateward.policies.facts import name_of
from stateward.policies.finding import Finding
from stateward.policies.operators.move import (
    OPERANDS,
    WORKLOADS,
    Manager,
    Operand,
    counted,
    managers,
    operands_in,
    stopped,
    twin,
)
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Look, Object, Sight, accuses, mapping_of, metadata_of, text_of

ACCOUNT = "ServiceAccount"
MANAGERS: tuple[Look, ...] = tuple(
    accuses(kind, "spec.replicas", "spec.template.spec.containers", "spec.template.spec.serviceAccountName")
    for kind in WORKLOADS
)
WHY = "they run on, but nobody fails over, replaces members, renews certificates or takes backups until it is back"


@rule(
    id="SW725",
    name="operator-deleted",
    summary="The operator of services that stay is deleted",
    why="The services run on, so nothing seems to be wrong. The next node that dies, certificate that ends or volume that "
    "fills up finds nobody: no failover, no repair, no backup.",
    remedy="Install the next release over the one that runs, or delete the services first.",
    source="operators' documentation, Upgrade and Uninstall: custom resources go first, the operator last",
    nature="transition",
    action="warn",
    judges=objects(*WORKLOADS, "Namespace", ACCOUNT, on=("DELETE",)),
    looks_at=(*OPERANDS, *MANAGERS),
)
def operator_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """A workload of a known operator, its namespace or the account that it runs as; not where a twin takes over.

    It warns: to delete and make anew is a usual way to upgrade an operator.
    """
    gone = change.request.old
    if gone is None:
        return
    kind = change.request.kind
    namespace = name_of(gone) if kind == "Namespace" else text_of(metadata_of(gone), "namespace")
    for item in (gone,) if kind in WORKLOADS else _run_there(gone, kind, namespace, see):
        if stopped(item):
            continue
        for manager in managers(item).values():
            left = alone(item, manager, namespace, see, going=namespace if kind == "Namespace" else "")
            if left:
                yield Finding(
                    field=(),
                    text=_said(kind, manager.operator.title, left),
                    why=WHY,
                    remedy="install the next release over it instead; to be rid of it, delete what it runs first; if this "
                    "makes it anew, see that it comes back",
                    subject=manager.operator.name,
                )
                return


def alone(item: Object, manager: Manager, namespace: str, see: Sight, going: str = "") -> list[Operand]:
    """What nobody looks after once an operator's workload has gone, but for what lies in the namespace `going`.

    Needs OPERANDS and MANAGERS.
    """
    other = twin(item, manager, namespace, see, whole=True)
    if other is not None and (not going or text_of(metadata_of(other), "namespace") != going):
        return []
    return [
        operand
        for operand in operands_in(manager, namespace, see)
        if not operand.idle and (not going or text_of(metadata_of(operand.item), "namespace") != going)
    ]


def _run_there(gone: Object, kind: str, namespace: str, see: Sight) -> Iterator[Object]:
    """The workloads in a namespace that goes, or that run as an account that goes."""
    for workload in WORKLOADS:
        found = see.select(workload, namespace)
        for item in found if found is not UNKNOWN else ():
            pod = mapping_of(mapping_of(mapping_of(item, "spec"), "template"), "spec")
            if kind == "Namespace" or (text_of(pod, "serviceAccountName") or "default") == name_of(gone):
                yield item


def bereft(left: Sequence[Operand]) -> str:
    """`2 Kafkas (prod/events, prod/logs) without their operator`."""
    return f"{counted(left)} without {'its' if len(left) == 1 else 'their'} operator"


def _said(kind: str, title: str, left: Sequence[Operand]) -> str:
    if kind == ACCOUNT:
        return f"leaves {bereft(left)}: {title} runs as this account"
    return f"leaves {bereft(left)}, {title}" + (" in this namespace" if kind == "Namespace" else "")
