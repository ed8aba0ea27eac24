"""SW215: an even number of voters."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import Sight


@rule(
    id="SW215",
    name="even-voters",
    summary="An even number of members is asked for where members vote",
    why="The majority of four is three, as that of five is: the fourth member spares no failure that three did not, and is "
    "one more that can fail. Split in two halves, neither has a majority.",
    remedy="Ask for an odd number of members. Adding one at a time is the operator's work, not the spec's.",
    source="https://etcd.io/docs/v3.6/faq/#why-an-odd-number-of-cluster-members",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    about=("members",),
)
def even_voters(change: Change, see: Sight) -> Iterator[Finding]:
    """Services whose operator adds and removes members one at a time: elsewhere four is a step on the way to five."""
    service = change.new
    if service is None or service.engine is None or service.adapter.scale_down != "oneByOne":
        return
    for group in service.groups:
        count = group.members.value
        if type(count) is not int or count == 0 or count % 2 or not votes(service, group):
            continue
        spared = max(0, count // 2 - 1)
        yield Finding(
            field=group.members.path,
            text=f"{count} members of {service.engine.title} vote",
            why=f"{spared} of {count} may fail, and {spared} of {count - 1} as well",
            remedy=f"ask for {count + 1}"
            + (f" or {count - 1}" if count > 2 else ", or for 1 where nothing is lost with it"),
            subject=f"{group.name}: {count}",  # another even number is a new mistake
            on=group.on,
        )
