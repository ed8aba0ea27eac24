"""Jobs that do something to the volume of one member. Their pods are no members, and carry no label of the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from stateward.kube.definition import GROUP
from stateward.operator.drivers.protocol import Chore, Container
from stateward.operator.objects import restricted
from stateward.operator.objects.common import VOLUME, WAL, Item, named
from stateward.operator.service import Service

WORKS_ON: Final = f"{GROUP}/works-on"
"""Label of a Job: the service whose volumes it uses. Its pod has none of the service's: it is no member."""
LONGEST: Final = 24 * 3600
"""Seconds that a Job may take."""
KEPT: Final = 3600
"""Seconds that it can be looked at once it has ended. One that is gone is made again, and finds its work done."""
_HOPELESS: Final = (1, 2, 3)
"""Exit codes of what would fail the next time too."""
_MEMBER: Final = "statefulset.kubernetes.io/pod-name"


def job(
    service: Service,
    container: Container,
    chore: Chore,
    images: tuple[str, str],
    name: str,
    claims: Sequence[str],
    beside: str = "",
) -> Item:
    """`images`: of the version before, and of the one after. `claims`: of the data, and of the log where it has its own.

    `beside`: a member that runs, on the node of its volumes.
    """
    scratch = {f"scratch-{number}": path for number, path in enumerate(chore.scratch)}
    paths = zip((VOLUME, WAL), (container.data, container.wal), claims, strict=False)
    mounts: list[Item] = []
    volumes: list[Item] = []
    for volume, path, claim in paths:
        mounts.append({"name": volume, "mountPath": path})
        volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
    mounts += [{"name": volume, "mountPath": path} for volume, path in scratch.items()]
    environment = [{"name": key, "value": value} for key, value in sorted(chore.environment.items())]
    requests = dict(service.resources) or {"requests": dict(container.requests)}
    containers: list[Item] = [
        {
            "name": task.name,
            "image": images[0] if task.image == "before" else images[1],
            "imagePullPolicy": "IfNotPresent",
            "command": list(task.command),
            "env": environment,
            "resources": requests,
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": restricted.of_container(),
            "volumeMounts": mounts,
        }
        for task in chore.tasks
    ]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": restricted.of_pod(container.user),
        "containers": containers,
        "volumes": [*volumes, *({"name": volume, "emptyDir": {}} for volume in scratch)],
        **service.placement,
    }
    if beside:
        term = {"labelSelector": {"matchLabels": {_MEMBER: beside}}, "topologyKey": "kubernetes.io/hostname"}
        pod["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    labels = {"app.kubernetes.io/managed-by": "stateward", "app.kubernetes.io/component": "upgrade"}
    made = named(
        service,
        "batch/v1",
        "Job",
        name,
        spec={
            "backoffLimit": 2,
            "activeDeadlineSeconds": LONGEST,
            "ttlSecondsAfterFinished": KEPT,
            "podFailurePolicy": restricted.failures((task.name for task in chore.tasks), _HOPELESS),
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    )
    made["metadata"]["labels"] = {**labels, WORKS_ON: service.name}
    return made
