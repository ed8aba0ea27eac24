"""Certificates are renewed in time whatever else is in the way; they and passwords are made anew where that is asked for.

What is done next says `certs.members` from what is held and from what members say; nothing else is remembered. Pods that
read whom they trust at their start alone carry a mark of it, and are made anew like those of any other change.
"""

from __future__ import annotations

from stateward.certs import members
from stateward.certs.authority import Authority, Leaf
from stateward.certs.members import Held
from stateward.operator import tls
from stateward.operator.drivers.protocol import Result
from stateward.operator.objects import certificates
from stateward.operator.observe import ROTATED
from stateward.operator.operations.passwords import passwords
from stateward.operator.step import Step
from stateward.operator.tls import OPERATOR, SERVER, Tls
from stateward.operator.turn import Turn
from stateward.policies.view import mapping_of, metadata_of


def asked(turn: Turn) -> str:
    """The request that is not done yet; "" where none is."""
    value = turn.service.rotate
    return value if value != turn.stand.running.notes.get(ROTATED, "") else ""


def renew(turn: Turn) -> Step | None:
    """The next write of certificates; None where none is due now."""
    access = turn.stand.access.tls
    if access is None or not turn.stand.running.tls:
        return None
    found = _next(turn, access)
    if not isinstance(found, members.Write):
        return None
    return Step("Rotate", found.name, "", found.reason, lambda: _write(turn, access.held, found.held))


def rotate(turn: Turn) -> Step | None:
    """What was asked for, until it is done on all members."""
    value = asked(turn)
    if not value:
        return None
    if step := passwords(turn, value):
        return step
    waits = _waits(turn)
    change = ("", value)
    if waits:
        return Step("Rotate", "wait", "", waits, change=change)
    parts = ["certificates"] if turn.stand.running.tls else []
    if turn.driver.passwords:
        parts.append("passwords" if turn.driver.rotates else f"passwords stay, {turn.service.engine}'s are not changed yet")
    done = f"what {value} asked for is done: {', '.join(parts) or 'there is nothing that could be made anew'}"
    return Step("Rotate", "finish", "", done, lambda: turn.hand.note({ROTATED: value}), change)


def _waits(turn: Turn) -> str:
    """What the request still waits for; "" where it is done."""
    access = turn.stand.access.tls
    if not turn.stand.running.tls:
        return ""
    if access is None:
        return "there are no certificates yet"
    found = _next(turn, access)
    if found is not None:
        return found.reason
    return _showing(turn, access)


def _next(turn: Turn, access: Tls) -> members.Step:
    held, own = access.held, access.own
    if own is None and turn.service.authority:
        own = held.kept.authority  # theirs cannot be read now: what they gave before goes on
    return members.step(
        held, turn.now, tls.wanted(turn.service), lambda: _distrusting(turn, access), asked=asked(turn), own=own
    )


def _write(turn: Turn, before: Held, after: Held) -> Result:
    if turn.hand.hold(before, after):
        return Result("done")
    return Result("refused", "somebody else has written the Secret meanwhile; it is looked at again")


def _distrusting(turn: Turn, access: Tls) -> str:
    """Which members do not trust the next authority yet; "" where all do.

    Members have to serve, their pods to be made with the bundle of now, and they have to take a certificate that the next
    authority issued: what they do says more than what they should.
    """
    away = turn.away(turn.members())
    if away:
        return f"{', '.join(away)} must serve before another authority takes over"
    container = turn.driver.container(turn.stand.running.version, True)
    wanted = certificates.marks(container, turn.stand.running, turn.stand.access)
    for name in turn.members():
        has = mapping_of(metadata_of(turn.stand.pods[name]), "annotations")
        if any(has.get(mark) != value for mark, value in wanted.items()):
            return f"{name} was not made anew yet: it reads whom it trusts at its start alone"
    coming = access.held.kept.next
    return _refusing(turn, _shown_by(turn, coming)) if coming is not None else ""


def _refusing(turn: Turn, leaf: Leaf) -> str:
    for target in turn.stand.targets:
        found = turn.driver.shake(target, leaf)
        if not found.accepted:
            return f"{target.name} does not take a certificate of the next authority yet: {found.reason}"
    return ""


def _shown_by(turn: Turn, coming: Authority) -> Leaf:
    wanted = tls.wanted(turn.service)[OPERATOR]
    return coming.issue(wanted.names, turn.now, subject=wanted.subject, usages=wanted.usages)


def _showing(turn: Turn, access: Tls) -> str:
    """Which members do not show the certificate of now yet; "" where all do."""
    leaf = access.held.leaves.get(SERVER)
    if leaf is None:
        return "there is no certificate for members"
    for name in turn.members():
        target = next((one for one in turn.stand.targets if one.name == name), None)
        if target is None:
            return f"{name} must run before its certificate can be looked at"
        found = turn.driver.shake(target)
        if not found.accepted:
            return f"{name}: {found.reason}"
        if found.shown != tls.fingerprint(leaf):
            return f"{name} does not show its new certificate yet; a kubelet brings it within two minutes"
    return ""
