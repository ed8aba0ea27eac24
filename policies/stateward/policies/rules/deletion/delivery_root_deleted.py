"""SW408: the root of a delivery is deleted with the stateful services that it delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import annotations_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.naming import kubectl_name
from stateward.policies.rule import objects, rule
from stateward.policies.view import Kind, Object, Sight, items_of, mapping_of, metadata_of, text_of, texts_of
from stateward.policies.waiver import CONFIRM_DELETE

_APPLICATION: Final = "Application.argoproj.io"
_KUSTOMIZATION: Final = "Kustomization.kustomize.toolkit.fluxcd.io"
_FINALIZER: Final = "resources-finalizer.argocd.argoproj.io"
_KEEPS_DATA: Final = frozenset(("PersistentVolumeClaim", "Namespace", "CustomResourceDefinition.apiextensions.k8s.io"))
_STATELESS: Final = frozenset(("Deployment.apps", "ReplicaSet.apps"))


@rule(
    id="SW408",
    name="delivery-root-deleted",
    summary="A GitOps root is deleted together with the stateful services that it delivered",
    why="The root looks small, and everything below it goes with it: a renamed folder, a moved app of apps, one helm "
    "release too many, and databases with their claims are pruned in seconds.",
    remedy="Take the services out of the root's care first (no finalizer, prune: false), or confirm by name.",
    source="Argo CD documentation, App Deletion: cascading deletion by finalizer; Flux documentation, Kustomization: prune",
    nature="transition",
    judges=objects(_APPLICATION, _KUSTOMIZATION, on=("DELETE",)),
    loses_data=True,
)
def delivery_root_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """What the root's own status lists: Argo CD's resources, Flux's inventory; only where its deletion cascades."""
    root = change.request.old
    if root is None or annotations_of(root).get(CONFIRM_DELETE) == name_of(root):
        return
    stateful = sorted({f"{kind.partition('.')[0]} {name}" for kind, name in _delivered(root) if _holds_data(kind)})
    if not stateful:
        return
    shown = ", ".join(stateful[:3]) + (f" and {len(stateful) - 3} more" if len(stateful) > 3 else "")
    yield Finding(
        field=(),
        text=f"deletes what it delivered: {shown}",
        why="their deletion follows from this one, and is not asked about again",
        remedy="let go of them first (remove the finalizer, or set prune: false, and wait until it is reconciled); or "
        f"confirm in an edit of its own: kubectl annotate {kubectl_name(root)} {CONFIRM_DELETE}={name_of(root)}, then "
        "delete again",
        subject=name_of(root),
    )


def _delivered(root: Object) -> Iterator[tuple[Kind, str]]:
    status = mapping_of(root, "status")
    if _FINALIZER in {text.partition("/")[0] for text in texts_of(dict(metadata_of(root)), "finalizers")}:
        for row in items_of(status, "resources"):
            yield _kind(row), f"{text_of(row, 'namespace')}/{text_of(row, 'name')}".lstrip("/")
    if mapping_of(root, "spec").get("prune") is True:
        for row in items_of(mapping_of(status, "inventory"), "entries"):
            # `shop_db_apps_StatefulSet`: namespace, name, group, kind (Flux documentation, inventory).
            parts = text_of(row, "id").split("_")
            if len(parts) == 4:
                yield (f"{parts[3]}.{parts[2]}" if parts[2] else parts[3]), f"{parts[0]}/{parts[1]}".lstrip("/")


def _kind(row: Mapping[str, Any]) -> Kind:
    group = text_of(row, "group")
    return f"{text_of(row, 'kind')}.{group}" if group else text_of(row, "kind")


def _holds_data(kind: Kind) -> bool:
    return kind in _KEEPS_DATA or (kind in ADAPTERS and kind not in _STATELESS)
