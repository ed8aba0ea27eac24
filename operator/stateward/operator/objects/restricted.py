"""What every pod of ours keeps to: the profile `restricted` of the Pod Security Standards. Each call makes its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stateward.operator.objects.common import Item


def of_pod(user: int) -> Item:
    """The securityContext of a pod whose programs run as this user."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def of_container() -> Item:
    """The securityContext of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def failures(containers: Iterable[str], hopeless: Sequence[int]) -> Item:
    """The podFailurePolicy of a Job: a node that is drained is nobody's fault; what is hopeless now will be so again."""
    rules: list[Item] = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    for name in containers:
        codes = {"containerName": name, "operator": "In", "values": list(hopeless)}
        rules.append({"action": "FailJob", "onExitCodes": codes})
    return {"rules": rules}
