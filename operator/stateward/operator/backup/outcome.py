"""What became of a Job, by what its pods say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from stateward.kube.client import Cluster
from stateward.operator.apply import RESOURCES
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

_LONGEST: Final = 500
_CREDENTIALS: Final = re.compile(r"://[^/\s@]+@")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a Job is. `said`: container → what it reported, of the pod that succeeded."""

    state: Literal["running", "done", "failed"]
    reason: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


def of(cluster: Cluster, job: Object) -> Outcome:
    """Raises ClusterError."""
    ended = {
        text_of(one, "type"): one
        for one in items_of(mapping_of(job, "status"), "conditions")
        if text_of(one, "status") == "True"
    }
    namespace, name = text_of(metadata_of(job), "namespace"), text_of(metadata_of(job), "name")
    query = {"labelSelector": f"batch.kubernetes.io/job-name={name}"}
    found = cluster.get(RESOURCES["Pod"].path_to(namespace), query).get("items")
    pods = [pod for pod in found if isinstance(pod, dict)] if isinstance(found, list) else []
    pods.sort(key=lambda pod: text_of(metadata_of(pod), "creationTimestamp"))
    if "Complete" in ended:
        good = [pod for pod in pods if text_of(mapping_of(pod, "status"), "phase") == "Succeeded"]
        return Outcome("done", said=_said(good[-1]) if good else {})
    why = next((why for pod in reversed(pods) if (why := _why(pod))), "")
    if "Failed" in ended:
        return Outcome("failed", why or text_of(ended["Failed"], "message") or "its Job has failed")
    return Outcome("running", why or next((_waits(pod) for pod in reversed(pods)), "its pod is to come"))


def last_line(text: str) -> str:
    """Why a tool has ended: its last line, without what might open anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    try:
        said = orjson.loads(lines[-1])
        line = str(said["message"]) if isinstance(said, dict) and "message" in said else lines[-1]
    except orjson.JSONDecodeError:
        line = next((one for one in reversed(lines) if one.startswith("Fatal:")), lines[-1])
    return _CREDENTIALS.sub("://", line)[:_LONGEST]


def _ended(pod: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    status = mapping_of(pod, "status")
    for several in ("initContainerStatuses", "containerStatuses"):
        for one in items_of(status, several):
            ended = mapping_of(mapping_of(one, "state"), "terminated")
            if ended:
                yield text_of(one, "name"), ended


def _said(pod: Object) -> dict[str, str]:
    return {name: text_of(ended, "message") for name, ended in _ended(pod)}


def _why(pod: Object) -> str:
    """Which container of a pod has failed, and why; "" if none has."""
    for name, ended in _ended(pod):
        if ended.get("exitCode"):
            said = last_line(text_of(ended, "message")) or text_of(ended, "reason") or f"exit code {ended['exitCode']}"
            return f"{name}: {said}"
    return text_of(mapping_of(pod, "status"), "reason")


def _waits(pod: Object) -> str:
    status = mapping_of(pod, "status")
    for several in ("initContainerStatuses", "containerStatuses"):
        for one in items_of(status, several):
            waiting = mapping_of(mapping_of(one, "state"), "waiting")
            if text_of(waiting, "reason") not in ("", "PodInitializing"):
                return f"its pod waits: {text_of(waiting, 'reason')}"
            if mapping_of(mapping_of(one, "state"), "running"):
                return f"{text_of(one, 'name')} runs"
    for one in items_of(status, "conditions"):
        if text_of(one, "type") == "PodScheduled" and text_of(one, "status") == "False":
            return f"its pod finds no node: {text_of(one, 'message')}"[:_LONGEST]
    return f"its pod is {text_of(status, 'phase') or 'new'}"
