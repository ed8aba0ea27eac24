"""How single members stand while others are restarted: since when one is away, whether it ever started, why it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from stateward.operator.objects.common import CONTAINER
from stateward.operator.observe import is_ready, no_node
from stateward.operator.turn import Turn
from stateward.policies import times
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

HOPELESS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CrashLoopBackOff"}
)
"""What a kubelet says of a container that does not start by waiting."""
LAG: Final[Mapping[str, int]] = {"bytes": 16 << 20, "entries": 10_000, "seconds": 10}
"""How far a member may be behind before another one goes, or it takes over, by unit."""
_SOON: Final = timedelta(minutes=2)
_LEAST: Final = timedelta(minutes=1)


def pod_of(turn: Turn, member: str) -> Object | None:
    """Its pod; None where there is none, or one that ends."""
    pod = turn.stand.pods.get(member)
    return pod if pod is not None and "deletionTimestamp" not in metadata_of(pod) else None


def serves(turn: Turn, member: str) -> bool:
    """Whether the engine says so, and the kubelet too: clients are sent to it."""
    pod = pod_of(turn, member)
    return pod is not None and is_ready(pod) and bool(turn.stand.healthy([member]))


def behind(turn: Turn, member: str) -> str:
    """How far it is behind, where that is too far for others to rely on it; "" where it is not."""
    seen = turn.stand.seen.get(member)
    if seen is None or seen.lag is None or seen.lag_unit is None or seen.lag <= LAG[seen.lag_unit]:
        return ""
    return f"it is {seen.lag} {seen.lag_unit} behind"


def started(pod: Object) -> bool:
    """Whether its engine has passed its startup probe and runs; one that has not serves nothing and has no vote."""
    return any(one.get("started") is True for one in _containers(pod))


def ran(pod: Object) -> bool:
    """Whether its engine ever ran in this pod, as far as anybody knows: one that never did has touched no data."""
    several = list(_containers(pod))
    waits = all("waiting" in mapping_of(one, "state") and one.get("restartCount") == 0 for one in several)
    return not (waits and (several or text_of(mapping_of(pod, "status"), "phase") == "Pending"))


def hopeless(pod: Object) -> str:
    """Why it does not start, as the kubelet says; "" where it may just be slow."""
    waiting = (mapping_of(mapping_of(one, "state"), "waiting") for one in _containers(pod))
    return next((f"{text_of(one, 'reason')}" for one in waiting if text_of(one, "reason") in HOPELESS), "")


def away_since(turn: Turn, member: str) -> datetime:
    """Since when a member does not serve; now where nobody knows.

    Of one that the kubelet takes for ready nothing tells since when its engine does not answer, but since when it is
    waited for.
    """
    pod = turn.stand.pods.get(member)
    if pod is None or (is_ready(pod) and "deletionTimestamp" not in metadata_of(pod)):
        begun = turn.status.operation
        same = begun is not None and begun.member == member
        return begun.step_started if same and begun is not None and begun.step_started is not None else turn.now
    metadata = metadata_of(pod)
    ready = next((one for one in items_of(mapping_of(pod, "status"), "conditions") if one.get("type") == "Ready"), {})
    unready = text_of(ready, "lastTransitionTime") if ready.get("status") == "False" else ""
    found = [
        _time(text) for text in (text_of(metadata, "deletionTimestamp"), unready, text_of(metadata, "creationTimestamp"))
    ]
    return max((one for one in found if one is not None), default=turn.now)


def bound(turn: Turn, member: str) -> timedelta:
    """How long a member may take to come back: as long as its engine may take to start, less where that is hopeless."""
    startup = turn.driver.container(turn.stand.running.version).startup
    allowed = timedelta(seconds=_number(startup, "periodSeconds", 10) * _number(startup, "failureThreshold", 3))
    pod = pod_of(turn, member)
    return min(_SOON, allowed) if pod is not None and hopeless(pod) else max(_LEAST, allowed)


def why_away(turn: Turn, member: str) -> str:
    """What is wrong with a member, in a few words."""
    pod, seen = turn.stand.pods.get(member), turn.stand.seen.get(member)
    if pod is None:
        return "it has no pod"
    if pod_of(turn, member) is None:
        return "its pod ends"
    if why := hopeless(pod):
        return f"its pod waits: {why}"
    if why := no_node(pod):
        return why
    if seen is not None and seen.healthy is not True:
        return seen.reason.removeprefix(f"{member}: ") or "it does not answer"
    return (
        "its pod is not ready" if seen is not None else f"its pod is {text_of(mapping_of(pod, 'status'), 'phase') or 'new'}"
    )


def _containers(pod: Object) -> Iterator[Mapping[str, Any]]:
    for one in items_of(mapping_of(pod, "status"), "containerStatuses"):
        if one.get("name") == CONTAINER:
            yield one


def _time(text: str) -> datetime | None:
    seconds = times.parse(text)
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


def _number(probe: Mapping[str, Any], name: str, default: int) -> int:
    value = probe.get(name)
    return value if type(value) is int else default
