"""SW813: less memory than one member of the engine starts with."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies import quantity
from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Field, Service
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight, mapping_of


@rule(
    id="SW813",
    name="memory-below-floor",
    summary="A member is given less memory than its engine starts with",
    why="The first member that restarts is killed before it is ready, and stays in that loop. A StatefulSet's rollout that "
    "is stuck so does not heal when the limit is raised again: the broken pod has to be deleted by hand.",
    remedy="Leave the limit where it was, or above the engine's floor.",
    source="engines' documentation on memory; Kubernetes documentation, StatefulSet: forced rollback",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    about=("resources", "values.memoryLimit"),
)
def memory_below_floor(change: Change, see: Sight) -> Iterator[Finding]:
    """The limit of the engine's container. Where nothing runs yet it only warns."""
    new = change.new
    if new is None or new.engine is None or not new.engine.memory or not new.engine_certain or new.members == 0:
        return
    field = _limit(new)
    limit, floor = quantity.parse(field.value), quantity.parse(new.engine.memory)
    if limit is None or floor is None or limit >= floor:
        return
    title = new.engine.title
    yield Finding(
        field=field.path,
        text=f'"{field.value}" is less than the {new.engine.memory} that a member of {title} starts with',
        why="the kernel kills it before it is ready; the rollout stays stuck there, also when the limit is raised again",
        remedy=f"give it {new.engine.memory} at least"
        + ("; if a pod is in the loop already, raise the limit and delete that pod" if change.old is not None else ""),
        subject="memory",
        weak=change.old is None,
    )


def _limit(service: Service) -> Field:
    if service.pod:
        limits = mapping_of(mapping_of(service.container, "resources"), "limits")
        return Field(limits.get("memory"), service.container_path("resources", "limits", "memory"))
    return service.field("memoryLimit")
