"""SW403: a namespace that holds stateful services is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, annotations_of, is_bound, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Sight, accuses
from stateward.policies.waiver import CONFIRM_DELETE, DISPOSABLE

_KINDS: Final = (CLAIM, *ADAPTERS)


@rule(
    id="SW403",
    name="namespace-deleted",
    summary="A namespace that holds stateful services or bound claims is deleted",
    why="Everything in it is deleted at once, claims and their volumes included, and nothing of it can be stopped once it "
    "has begun.",
    remedy="Delete the services first, one by one, each confirmed; or confirm the namespace by name.",
    source="Kubernetes documentation, Namespaces: deletion removes everything under the namespace",
    nature="transition",
    judges=objects("Namespace", on=("DELETE",)),
    looks_at=tuple(accuses(kind, "spec.volumeName", "status.phase") for kind in _KINDS),
    loses_data=True,
)
def namespace_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Counts what would go. A disposable namespace is let pass by the engine."""
    namespace = change.request.old
    if namespace is None:
        return
    name = name_of(namespace)
    if annotations_of(namespace).get(CONFIRM_DELETE) == name:
        return
    held: list[str] = []
    for kind in _KINDS:
        found = see.select(kind, name)
        if found is UNKNOWN:
            continue
        count = sum(1 for one in found if kind != CLAIM or is_bound(one))
        if count:
            word = "bound claim" if kind == CLAIM else kind.partition(".")[0]
            held.append(f"{count} {word}{'s' if count != 1 else ''}")
    if held:
        yield Finding(
            field=(),
            text=f"deletes {', '.join(held)} with it",
            why="a namespace takes everything in it along at once: services, claims and their volumes",
            remedy="delete the services first; or confirm in an edit of its own: "
            f"kubectl annotate namespace/{name} {CONFIRM_DELETE}={name}, then delete again "
            f"(a namespace that never holds anything worth keeping: label it {DISPOSABLE}=true)",
            subject=name,
        )
