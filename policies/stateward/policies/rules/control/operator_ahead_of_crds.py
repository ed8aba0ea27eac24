"""SW724: an operator moves on and its CRDs stay behind."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies import version
from stateward.policies.change import Change
from stateward.policies.facts import labels_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.operators.move import OPERANDS, UPDATES, Move, counted, move, operands
from stateward.policies.rule import rule
from stateward.policies.version import Version
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, mapping_of, text_of

_CRD = "CustomResourceDefinition.apiextensions.k8s.io"


@rule(
    id="SW724",
    name="operator-ahead-of-crds",
    summary="An operator goes to a new release line while its CRDs are of the old one",
    why="Helm installs CRDs and never upgrades them. The API server drops the fields of the new release that the old schema "
    "does not know, so the operator writes settings and status that are gone when it reads them again.",
    remedy="Apply the CRDs of the new release first, then the operator.",
    source="Helm documentation, Custom Resource Definitions; Percona documentation, Upgrading the Operator and CRD",
    nature="transition",
    action="warn",
    judges=UPDATES,
    about=("version",),
    looks_at=(*OPERANDS, accuses(_CRD, "spec.group", "spec.names.kind")),
)
def operator_ahead_of_crds(change: Change, see: Sight) -> Iterator[Finding]:
    """CRDs whose labels say a release of the line that the operator leaves; without such a label nobody knows."""
    step = move(change)
    if step is None or step.downwards or _line(step.old) == _line(step.new):
        return
    crds = see.select(_CRD)
    for crd in crds if crds is not UNKNOWN else ():
        release = _release(crd)
        if release is None or not _of(crd, step) or _line(release) != _line(step.old):
            continue
        found = operands(step.after, change, see)
        if found:
            yield Finding(
                field=step.after.path,
                text=f"{step.operator.title} becomes {step.new.text}, but the CRD {name_of(crd)} is of {release.text}",
                why=f"the API server drops the new release's fields from {counted(found)}; Helm never upgrades CRDs",
                remedy=f"apply the CRDs of {step.new.text} first (kubectl apply --server-side), then the operator",
                subject=name_of(crd),
            )
        return


def _of(crd: Object, step: Move) -> bool:
    spec = mapping_of(crd, "spec")
    return f"{text_of(mapping_of(spec, 'names'), 'kind')}.{text_of(spec, 'group')}" in step.operator.runs


def _release(crd: Object) -> Version | None:
    labels = labels_of(crd)
    return version.parse(text_of(labels, "app.kubernetes.io/version"))


def _line(release: Version) -> tuple[int, ...]:
    return (*release.parts, 0)[:2]
