"""Passwords are made anew in an order in which nobody is cut off, as far as the engine can take two at a time.

1. New ones are kept beside those that everybody uses (`next-NAME` in the Secret).
2. The engine is told to take both. One that takes only one takes the new one, and clients fail until the next write.
3. The new ones take the place of the old, which stay as `previous-NAME`. Files with passwords in them follow, and members
   that read theirs at their start alone are made anew like for any other change.
4. Clients had time to read them: the engine takes the new ones alone, and the old ones are forgotten.

Each write has the one before it as its condition, so that whoever takes over goes on where it stands.
"""

from __future__ import annotations

from dataclasses import replace

from stateward.certs.members import SOON
from stateward.operator.drivers.protocol import Access, Result, Rotation
from stateward.operator.objects import secret
from stateward.operator.step import Step
from stateward.operator.turn import Turn


def passwords(turn: Turn, value: str) -> Step | None:
    """The next step of this request; None where it is done, or the engine has none that can be changed."""
    driver, access = turn.driver, turn.stand.access
    if not driver.passwords or not driver.rotates:
        return None
    rotation = access.rotation or Rotation("")
    change = ("", value)
    away = turn.away(turn.members())
    if away and (rotation.coming or rotation.previous or rotation.asked != value):
        return Step("Rotate", "wait", away[0], f"{', '.join(away)} must serve before passwords are changed", change=change)
    if rotation.coming:
        why = "the engine takes the new passwords beside the old, and they take their place"
        return Step("Rotate", "tell", "", why, lambda: _tell(turn, access, rotation), change)
    if rotation.previous:
        ends = (rotation.since or turn.now) + SOON
        if turn.now < ends:
            why = f"clients have until {ends:%Y-%m-%d %H:%M} UTC to read the new passwords"
            return Step("Rotate", "wait", "", why, change=change)
        why = "the engine takes the new passwords alone"
        return Step("Rotate", "end", "", why, lambda: _end(turn, access, rotation), change)
    if rotation.asked != value:
        why = "new passwords are made, that nobody uses yet"
        return Step("Rotate", "prepare", "", why, lambda: _prepare(turn, access, value), change)
    return None


def _prepare(turn: Turn, access: Access, value: str) -> Result:
    coming = secret.passwords({name: length for name, length in turn.driver.passwords.items() if name in access.passwords})
    return _keep(turn, access, replace(access, rotation=Rotation(value, coming=coming)))


def _tell(turn: Turn, access: Access, rotation: Rotation) -> Result:
    both = {name: (access.passwords[name], new) for name, new in rotation.coming.items() if name in access.passwords}
    told = turn.driver.set_passwords(both, turn.serving(), turn.place())
    if told.outcome != "done":
        return told
    before = {name: old for name, (old, _) in both.items()}
    after = replace(
        access,
        passwords={**access.passwords, **rotation.coming},
        rotation=Rotation(rotation.asked, turn.now, {}, before),
    )
    return _keep(turn, access, after)


def _end(turn: Turn, access: Access, rotation: Rotation) -> Result:
    alone = {name: (access.passwords[name],) for name in rotation.previous if name in access.passwords}
    told = turn.driver.set_passwords(alone, turn.serving(), turn.place())
    if told.outcome != "done":
        return told
    return _keep(turn, access, replace(access, rotation=Rotation(rotation.asked)))


def _keep(turn: Turn, before: Access, after: Access) -> Result:
    if turn.hand.rekey(before, after):
        return Result("done")
    return Result("refused", "somebody else has written the Secret meanwhile; it is looked at again")
