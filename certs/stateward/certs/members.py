"""The certificates of a service: an authority of its own, what its members serve, what its clients show. Pure.

An authority comes in two writes, and whoever takes over after a crash finds in what is held how far it is:

1. `next` is made, and trusted beside the old one from then on. Nothing is issued by it as long as somebody does
   not trust it.
2. Once every member trusts both and clients had time to hear of it, `next` takes over and all leaves are its own. The
   former one stays trusted until the last leaf that it can have issued has expired.

Leaves are renewed when a third of their life is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from stateward.certs import stored
from stateward.certs.authority import LEAF_LIFETIME, Authority, Leaf, Usage, is_ours
from stateward.certs.errors import CertificateError
from stateward.certs.pem import untimely
from stateward.certs.rotation import Former, Kept, Wait, authority_due, bundle, fingerprint, leaf_due

SOON: Final = timedelta(minutes=2)
"""How long clients have to hear of an authority that somebody asked for: a kubelet brings a file to a pod in about that."""
PATIENCE: Final = timedelta(days=7)
"""The same of one that is only due: time enough to start clients again that read a bundle once."""
FORGET: Final = "forget"
"""What the value of a request begins with that has former authorities trusted no more: a key got out."""
_SINCE, _ASKED = "since", "rotate"
_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Wanted:
    """A leaf that there has to be."""

    subject: str
    names: tuple[str, ...]
    usages: tuple[Usage, ...]


@dataclass(frozen=True, eq=False)
class Held:
    """All that is kept of a service. `kept.leaf` is not used: there are several, by name."""

    kept: Kept = field(default_factory=Kept)
    leaves: Mapping[str, Leaf] = field(default_factory=dict)
    since: datetime | None = None
    """Since when the next authority is trusted."""
    asked: str = ""
    """The value of the last request that was begun."""

    def bundle(self, now: datetime) -> bytes:
        """Whom members and clients trust, as PEM."""
        return bundle(self.kept, now)


@dataclass(frozen=True, eq=False)
class Write:
    """Hold this instead, in one write."""

    held: Held
    name: str
    """`prepare`, `issue`, `forget`."""
    reason: str


Step = Write | Wait | None


def first(wanted: Mapping[str, Wanted], now: datetime, *, asked: str = "", own: Authority | None = None) -> Held:
    """What a service without any certificate begins with. Raises CertificateError where `own` cannot issue."""
    authority = own if own is not None else Authority.create(now)
    return Held(Kept(authority=authority), _issued(authority, wanted, now), None, asked)


def step(
    held: Held,
    now: datetime,
    wanted: Mapping[str, Wanted],
    trusted: Callable[[], str],
    *,
    asked: str = "",
    own: Authority | None = None,
    create: Callable[[datetime], Authority] = Authority.create,
) -> Step:
    """What to do next; None: all is well.

    `trusted` says who does not trust the bundle with the next authority yet, "" where all do; asked only where there is
    one. `asked`: the value of a request that is not done yet. `own`: an authority that is to be used instead of ours.
    """
    kept, fresh = held.kept, bool(asked) and asked != held.asked
    timely = kept.authority is not None and untimely(kept.authority.certificate, now) is None
    upkeep = _upkeep(held, kept.authority, now, wanted) if kept.authority is not None and timely else None
    if own is not None and (problem := untimely(own.certificate, now)) is not None:
        return upkeep or Wait(f"the authority that is given {problem}")
    if fresh and asked.startswith(FORGET):
        return Write(
            replace(held, kept=replace(kept, old=()), asked=asked), "forget", "former authorities are trusted no more"
        )
    if kept.next is not None and untimely(kept.next.certificate, now) is None:
        if timely or any(untimely(leaf.certificate, now) is None for leaf in held.leaves.values()):
            waits = trusted() or _patient(held, now, asked)
            if waits:
                return upkeep or Wait(waits)
        return _taken_over(held, kept.next, now, wanted, asked)
    reason = _why_another(held, now, fresh, own)
    if reason:
        coming = replace(kept, next=own if own is not None else create(now))
        return Write(
            replace(held, kept=coming, since=now, asked=asked or held.asked), "prepare", f"another authority: {reason}"
        )
    if fresh and kept.authority is not None:
        leaves = _issued(kept.authority, wanted, now)
        return Write(replace(held, leaves=leaves, asked=asked), "issue", "certificates are made anew: asked for")
    return upkeep


def _patient(held: Held, now: datetime, asked: str) -> str:
    """Why clients are given more time; "" where they had enough."""
    ends = (held.since or now) + (SOON if asked else PATIENCE)
    if now >= ends:
        return ""
    return f"members trust the next authority; clients have until {ends:%Y-%m-%d %H:%M} UTC to hear of it"


def _taken_over(held: Held, coming: Authority, now: datetime, wanted: Mapping[str, Wanted], asked: str) -> Write:
    kept = held.kept
    former = kept.authority.certificate if kept.authority is not None else None
    old = tuple(one for one in kept.old if one.until > now)
    if former is not None and former.not_valid_after_utc > now:
        # Counted from now: who knows which leaf a client still shows.
        old = (*old, Former(former, min(now + LEAF_LIFETIME, former.not_valid_after_utc)))
    after = replace(kept, authority=coming, next=None, old=old)
    reason = "certificates are issued by the next authority; the former one is trusted until its last one has expired"
    leaves = _issued(coming, wanted, now)
    return Write(replace(held, kept=after, leaves=leaves, since=None, asked=asked or held.asked), "issue", reason)


def _why_another(held: Held, now: datetime, fresh: bool, own: Authority | None) -> str:
    """Why there has to be another authority; "" where the one there is will do."""
    authority = held.kept.authority
    if own is not None:
        same = authority is not None and fingerprint(authority.certificate) == fingerprint(own.certificate)
        return "" if same else "the one that is given is another"
    if authority is None:
        return "; ".join(held.kept.problems) or "the one that there was is gone"
    if not is_ours(authority.certificate):
        return "none is given any more"
    return "asked for" if fresh else authority_due(authority, now) or ""


def _upkeep(held: Held, authority: Authority, now: datetime, wanted: Mapping[str, Wanted]) -> Step:
    due = {name: why for name, one in wanted.items() if (why := leaf_due(held.leaves.get(name), authority, one.names, now))}
    if due:
        fresh = _issued(authority, {name: wanted[name] for name in due}, now)
        several = ", ".join(f"{name} ({why})" for name, why in due.items())
        return Write(replace(held, leaves={**held.leaves, **fresh}), "issue", f"certificates are renewed: {several}")
    if any(one.until <= now for one in held.kept.old):
        left = replace(held.kept, old=tuple(one for one in held.kept.old if one.until > now))
        return Write(replace(held, kept=left), "forget", "the last certificate of a former authority has expired")
    return None


def _issued(authority: Authority, wanted: Mapping[str, Wanted], now: datetime) -> dict[str, Leaf]:
    return {name: authority.issue(one.names, now, subject=one.subject, usages=one.usages) for name, one in wanted.items()}


# --- as it is kept -------------------------------------------------------------------------------------------------


def read(data: Mapping[str, bytes], where: str, leaves: tuple[str, ...]) -> Held:
    """What is held in the entries of a Secret. What is damaged counts as missing and is named in `kept.problems`."""
    kept = stored.read({name: value for name, value in data.items() if name not in stored.LEAF}, where)
    found: dict[str, Leaf] = {}
    problems = list(kept.problems)
    for name in leaves:
        pair = data.get(f"{name}.crt", b""), data.get(f"{name}.key", b"")
        if not any(pair):
            continue
        try:
            found[name] = Leaf.from_pem(*pair, certificate_at=f"{where}{name}.crt", key_at=f"{where}{name}.key")
        except CertificateError as error:
            problems.append(f"{error.where} {error.problem}")
    # Without its key it issues no more; what it has issued is still shown.
    former = (*kept.old, *(Former(one, one.not_valid_after_utc) for one in kept.loose))
    since = _moment(data.get(_SINCE, b""))
    asked = data.get(_ASKED, b"").decode("utf-8", "replace")
    return Held(replace(kept, old=former, loose=(), problems=tuple(problems)), found, since, asked)


def write(held: Held) -> dict[str, bytes]:
    """Every entry that there is something of."""
    made = {name: value for name, value in stored.write(held.kept).items() if value}
    for name, leaf in held.leaves.items():
        made[f"{name}.crt"], made[f"{name}.key"] = leaf.to_pem()
    if held.since is not None:
        made[_SINCE] = f"{held.since.astimezone(UTC):{_FORMAT}}".encode()
    if held.asked:
        made[_ASKED] = held.asked.encode()
    return made


def _moment(text: bytes) -> datetime | None:
    try:
        return datetime.strptime(text.decode("ascii"), _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
