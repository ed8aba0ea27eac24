"""What is not carried out, and why: said in the condition Blocked, with nothing touched."""

from __future__ import annotations

from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Driver
from stateward.operator.observe import Stand, image_says_other
from stateward.operator.service import Service, not_carried_out

Refusal = tuple[str, str]
"""One word, and a message."""


def of_spec(model: StatefulService, one: Service, driver: Driver | None) -> Refusal | None:
    """Why this spec cannot be carried out."""
    if driver is None:
        known = ", ".join(catalogue.names())
        return "UnknownEngine", f"engine: {one.engine}: nobody here knows how to run it; known are {known}"
    if one.tls and not driver.encrypts:
        why = f"tls.enabled: true: {one.engine} is not run with TLS yet"
        return "NotCarriedOut", f"{why}; set it to false, and let NetworkPolicy keep others away"
    problems = [*_members(one, driver), *driver.problems(one.version, one.parameters), *_backup(model, one, driver)]
    if not problems and not one.image and not driver.container(one.version).image:
        problems = [f"image: {one.engine} has none of its own; give one in spec.image"]
    if problems:
        return "UnsupportedSpec", "; ".join(problems)
    if other := image_says_other(one.engine, one.image, one.version) if one.image else "":
        why = f"image: {one.image}: its tag says {other}, and version says {one.version}; give the image of that version"
        return "ImageOfAnotherVersion", why
    missing = not_carried_out(model, bool(driver.container(one.version).wal))
    return ("NotCarriedOut", missing) if missing else None


def of_change(one: Service, stand: Stand) -> Refusal | None:
    """A change of the spec that is not carried out: it is said, and the rest goes on as it is."""
    running = stand.running
    if one.tls != running.tls:
        now = "speak TLS" if running.tls else "speak no TLS"
        why = (
            f"tls.enabled: {str(one.tls).lower()}: its members {now}, and members of both kinds do not understand each other"
        )
        return "TlsNotChanged", f"{why}; set it back, or restore a backup into a new service that is made so"
    if bool(one.wal) != bool(running.wal):
        now = "has a volume of its own" if running.wal else "is on the volume of the data"
        why = f"storage.wal: {one.wal or 'none'}: its members' log {now}, and they look for it there"
        return "LogNotMoved", f"{why}; set it back, or restore a backup into a new service that is made so"
    return None


def _backup(model: StatefulService, one: Service, driver: Driver) -> list[str]:
    """Members of an engine that archives its log write to its destination themselves, each from its node."""
    plan = model.spec.backup
    if plan is None or not driver.archives:
        return []
    if plan.destination.claim is not None:
        why = "archives its log from each node, and a claim that is gone or hangs would keep members from starting"
        return [f"backup.destination.claim: {plan.destination.claim.name}: {one.engine} {why}; give a bucket (s3)"]
    problem = driver.unfit(one.repository, one.tls) if one.repository is not None else ""
    return [problem] if problem else []


def _members(one: Service, driver: Driver) -> list[str]:
    most = driver.most_members
    if most is None or one.members <= most:
        return []
    return [
        f"members: {one.members}: members of {one.engine} know nothing of each other, so {most} is the most; set it back"
    ]
