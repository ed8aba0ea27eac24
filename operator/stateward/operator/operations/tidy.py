"""What single members had for themselves goes after them: their Services, where the engine gives them such.

Not before the others have forgotten them: a Service's address is given to another one later.
"""

from __future__ import annotations

from stateward.operator.apply import owned
from stateward.operator.drivers.protocol import own
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies.view import Object, metadata_of, text_of


def tidy(turn: Turn) -> Step | None:
    """Deletes the Service of a member that has left, one at a time; None where there is none, or somebody knows it still."""
    stand, driver = turn.stand, turn.driver
    left = next(iter(_left(turn)), None)
    if left is None or not stand.formed:
        return None
    if driver.unsettled(list(stand.seen.values()), turn.asked(), turn.place()) != []:
        return None  # somebody may go there still, or nobody can say
    name = text_of(metadata_of(left), "name")
    why = f"Service {name}: its member has left, and nobody knows it any more"
    return Step("Configure", "tidy", "", why, lambda: turn.hand.take("Service", left))


def _left(turn: Turn) -> list[Object]:
    """Services of members that there are not to be, and whose pods are gone."""
    service, stand = turn.service, turn.stand
    if service.members > stand.replicas:
        return []  # the next one is on its way
    kept = {own(name) for name in (*service.names(stand.replicas), *stand.pods)}
    return [
        item
        for item in turn.look.of("Service", service.key)
        if "deletionTimestamp" not in metadata_of(item)
        and owned(item, service)
        and _is_own(service.name, text_of(metadata_of(item), "name"))
        and text_of(metadata_of(item), "name") not in kept
    ]


def _is_own(service: str, name: str) -> bool:
    """Whether a Service of this name is of one member alone: `orders-3-own`."""
    number = name.removeprefix(f"{service}-").removesuffix("-own")
    return number.isdecimal() and name == own(f"{service}-{number}")
