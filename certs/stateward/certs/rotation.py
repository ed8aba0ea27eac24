"""The next step of a rotation: what is kept, what is published and the time give one write, or none. Pure.

An authority comes in three writes, each whole and safe to repeat, with what callers trust always ahead of what is served:

1. `next` is made; the bundle of old and new is published and read back from every configuration.
2. After `LAG` (an API server hears of a change by a watch) the first leaf of `next` is issued, `next` takes over and the
   former authority stays in the bundle.
3. When its last leaf has expired, a bundle without the former one is published, and then it is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from stateward.certs.authority import LEAF_LIFETIME, Authority, Leaf, is_ours
from stateward.certs.names import uncovered
from stateward.certs.pem import certificate_pem, issued_by, lifetime, untimely

LAG: Final = timedelta(seconds=10)
"""From when every configuration holds a bundle until every API server is taken to use it: their watches take a second."""
IMPATIENCE: Final = timedelta(minutes=1)
"""How long a new authority waits for its publication where there is no usable one to serve from meanwhile."""
MOST: Final = 8
"""Former authorities taken in from what is published; a bundle that somebody fills without end must not fill the Secret."""

Asked = Literal["", "authority", "leaf", "forget"]
"""`forget`: trust former authorities no more, though leaves of theirs may be served yet: a key got out."""


@dataclass(frozen=True, eq=False)
class Former:
    """An authority that issues no more; trusted until its last leaf has expired."""

    certificate: x509.Certificate
    until: datetime


@dataclass(frozen=True, eq=False)
class Kept:
    """What a store holds. `loose`: certificates of authorities whose key is lost; `problems`: what could not be read."""

    authority: Authority | None = None
    next: Authority | None = None
    old: tuple[Former, ...] = ()
    leaf: Leaf | None = None
    asked: Asked = ""
    loose: tuple[x509.Certificate, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """What configurations hold.

    `certificates`: every one in any bundle. `held`: since when (as a duration) all of them are known to hold the bundle
    that is wanted, None if they are not. `tried`: whether that bundle was published just now, with or without success.
    """

    certificates: tuple[x509.Certificate, ...] = ()
    held: timedelta | None = None
    tried: bool = False


@dataclass(frozen=True, eq=False)
class Write:
    """Keep this, in one write."""

    kept: Kept
    reason: str


@dataclass(frozen=True)
class Publish:
    """Write this bundle (PEM) into every configuration and read it back."""

    bundle: bytes


@dataclass(frozen=True)
class Wait:
    """Nothing now, more later."""

    reason: str


Step = Write | Publish | Wait | None


def step(
    kept: Kept,
    now: datetime,
    names: Iterable[str],
    published: Published,
    *,
    waited: timedelta = timedelta(),
    lag: timedelta = LAG,
    create: Callable[[datetime], Authority] = Authority.create,
) -> Step:
    """What to do next; None: all is well. `waited`: how long this caller has seen `kept.next`."""
    names = tuple(names)
    found = _lost(kept, published.certificates, now)
    if found:
        until = now + LEAF_LIFETIME
        taken = tuple(Former(one, min(until, one.not_valid_after_utc)) for one in found)
        return Write(replace(kept, old=(*kept.old, *taken), loose=()), _taken_in(found))
    usable = kept.authority if kept.authority is not None and untimely(kept.authority.certificate, now) is None else None
    if usable is None and (kept.next is None or untimely(kept.next.certificate, now) is not None):
        return Write(replace(kept, next=create(now)), f"made an authority: {_why_none(kept, now)}")
    if kept.asked == "forget":
        # They stay known until the bundle without them is published, else they would be taken in again.
        ended = tuple(replace(one, until=min(one.until, now)) for one in kept.old)
        return Write(replace(kept, old=ended, asked=""), f"trusts no former authority: {len(ended)} forgotten, as asked for")
    if not published.tried:
        return Publish(bundle(kept, now))
    if usable is not None and kept.next is None:
        reason = "asked for" if kept.asked == "authority" else authority_due(usable, now)
        if reason:
            return Write(replace(kept, next=create(now), asked=""), f"made the next authority: {reason}")
    if kept.next is not None and _may_take_over(kept, usable, published, waited, lag):
        return Write(_taken_over(kept, kept.next, names, now), "the next authority takes over, with its first certificate")
    if usable is not None:
        reason = "asked for" if kept.asked == "leaf" else leaf_due(kept.leaf, usable, names, now)
        if reason:
            return Write(replace(kept, leaf=usable.issue(names, now), asked=""), f"issued a certificate: {reason}")
    if published.held is not None and (gone := [one for one in kept.old if one.until <= now]):
        left = tuple(one for one in kept.old if one.until > now)
        return Write(
            replace(kept, old=left), f"forgot {_named([one.certificate for one in gone])}: its last certificate is gone"
        )
    if kept.problems and kept.next is None:
        return Write(replace(kept, problems=()), f"removed what could not be read: {'; '.join(kept.problems)}")
    if kept.next is not None:
        return Wait(
            "the bundle with the next authority is not in every configuration yet"
            if published.held is None
            else "the bundle with the next authority is published; API servers are given time to hear of it"
        )
    return None


def bundle(kept: Kept, now: datetime) -> bytes:
    """What callers must trust at `now`, as PEM: current, next and former authorities, each once."""
    certificates = [one.certificate for one in (kept.authority, kept.next) if one is not None]
    certificates += [former.certificate for former in kept.old if former.until > now]
    good = {fingerprint(one): one for one in certificates if one.not_valid_after_utc > now}
    # By age, so that an authority that takes over changes nothing in what is published.
    return certificate_pem(*sorted(good.values(), key=lambda one: (one.not_valid_before_utc, fingerprint(one))))


def authority_due(authority: Authority, now: datetime) -> str | None:
    """Why a next authority is due, or None: in the last tenth of its life, and never with less than a leaf's left."""
    life = lifetime(authority.certificate)
    spare = max(life / 10, min(life / 3, LEAF_LIFETIME * 3 / 2))
    return untimely(authority.certificate, now, spare=spare)


def leaf_due(leaf: Leaf | None, authority: Authority, names: Iterable[str], now: datetime) -> str | None:
    """Why the leaf must be issued again by this authority, or None."""
    if leaf is None:
        return "there is none"
    if not issued_by(leaf.certificate, authority.certificate):
        return "the one there was not issued by the authority"
    if missing := uncovered(leaf.certificate, names):
        return f"the one there does not cover {', '.join(missing)}"
    due = untimely(leaf.certificate, now, spare=lifetime(leaf.certificate) / 3)
    # One that ends with its authority is as long as can be: the next authority is on its way.
    if due is not None and leaf.certificate.not_valid_after_utc >= authority.certificate.not_valid_after_utc > now:
        return None
    return due


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the certificate."""
    return certificate.fingerprint(SHA256())


def trusts(certificates: Iterable[x509.Certificate], leaf: x509.Certificate, now: datetime) -> bool:
    """Whether somebody who trusts these accepts the leaf at `now`, its name aside."""
    return untimely(leaf, now) is None and any(issued_by(leaf, one) and untimely(one, now) is None for one in certificates)


def _may_take_over(kept: Kept, usable: Authority | None, published: Published, waited: timedelta, lag: timedelta) -> bool:
    if published.held is not None:
        # Where nobody trusts anything yet there is nobody to wait for.
        return published.held >= lag or (kept.authority is None and not kept.old)
    return usable is None and waited >= IMPATIENCE


def _taken_over(kept: Kept, coming: Authority, names: tuple[str, ...], now: datetime) -> Kept:
    old = kept.old
    if kept.authority is not None and kept.authority.certificate.not_valid_after_utc > now:
        going = kept.authority.certificate
        # Whatever it issued, the last of it ends then: counted from now, for who knows which leaf a replica holds.
        old = (*old, Former(going, min(now + LEAF_LIFETIME, going.not_valid_after_utc)))
    return replace(kept, authority=coming, next=None, old=old, leaf=coming.issue(names, now), asked="")


def _lost(kept: Kept, certificates: tuple[x509.Certificate, ...], now: datetime) -> list[x509.Certificate]:
    """Authorities of ours that are trusted somewhere, or were until their key was lost, and that are not kept."""
    known = {fingerprint(one.certificate) for one in (kept.authority, kept.next, *kept.old) if one is not None}
    found = {fingerprint(one): one for one in (*kept.loose, *certificates) if one.not_valid_after_utc > now and is_ours(one)}
    return [one for key, one in found.items() if key not in known][: max(0, MOST - len(kept.old))]


def _why_none(kept: Kept, now: datetime) -> str:
    if kept.authority is not None:
        return f"{_named([kept.authority.certificate])} {untimely(kept.authority.certificate, now)}"
    return "; ".join(kept.problems) or "there is none"


def _taken_in(found: list[x509.Certificate]) -> str:
    return f"{_named(found)}: trusted by somebody but not kept; taken in as a former authority until its last leaf is gone"


def _named(certificates: Iterable[x509.Certificate]) -> str:
    return ", ".join(one.subject.rfc4514_string().removeprefix("CN=") for one in certificates)
