"""SW711: a webhook that fails closed is asked about everything."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule
from stateward.policies.view import Sight
from stateward.policies.webhooks import WRITES, Asked, asked, closed

_NEEDED = frozenset(("*", "", "coordination.k8s.io", "discovery.k8s.io"))


@rule(
    id="SW711",
    name="webhook-matches-everything",
    summary="A webhook that fails closed is asked about every resource or subresource",
    why="A wildcard also means status, leases, endpoints and whatever is added later. The webhook's own controller has to "
    "pass it before it is ready, and when it is away the control plane cannot write what would bring it back.",
    remedy="Name the resources, without subresources, or let it fail open. The API server does not ask webhooks about "
    "their own configurations: this rule speaks in lint, audit and tests.",
    source="Kubernetes documentation, Admission webhook good practices; cert-manager/approver-policy issue 907",
    nature="state",
    judges=WRITES,
)
def webhook_matches_everything(change: Change, see: Sight) -> Iterator[Finding]:
    """`*` in a group of its own names its kinds alone and no subresources: that is left to the author."""
    for hook in closed(change):
        for one in asked(hook):
            what = too_much(one)
            if what:
                yield Finding(
                    field=(*one.path, "resources"),
                    text=f'"{what}" of {_groups(one)} in webhook {hook.name}, which fails closed',
                    why="it is asked about status and lease writes too, those of its own controller among them: where it "
                    "does not answer, nothing can bring it back",
                    remedy="name the resources and leave out subresources, or set failurePolicy: Ignore",
                    subject=f"{hook.name}:{what}",
                    weak=hook.narrowed or not _all_of(what),
                )
                break


def too_much(one: Asked) -> str:
    """The wildcard of an entry that means more than a list of kinds; "" where there is none."""
    if not one.writes:
        return ""
    for resource in one.resources:
        plural, _, sub = resource.partition("/")
        if (plural == "*" and sub in ("*", "status")) or (plural == "*" and not sub and not _NEEDED.isdisjoint(one.groups)):
            return resource
        if sub == "*":
            return resource
    return ""


def _all_of(resource: str) -> bool:
    return resource.startswith("*")


def _groups(one: Asked) -> str:
    return "all groups" if "*" in one.groups else ", ".join(group or "the core group" for group in one.groups)
