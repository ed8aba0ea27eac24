"""The leader's side of a rotation: takes its steps in a store and in configurations, one write at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

from cryptography import x509

from stateward.certs.errors import CertificateError
from stateward.certs.pem import read_certificates
from stateward.certs.rotation import LAG, Kept, Publish, Published, Wait, Write, bundle, fingerprint, step

_STEPS: Final = 12
"""More than any turn takes: whatever is wrong, a turn ends."""

Bundles = Callable[[], "dict[str, bytes]"]
"""Who trusts what: the name of each place in a configuration → its caBundle as PEM."""


class Store(Protocol):
    """Where a rotation is kept. Both may raise what they like; the turn ends and the next one begins anew."""

    def read(self) -> Kept:
        """What is kept now; an empty Kept where there is nothing yet."""
        ...

    def write(self, kept: Kept) -> bool:
        """Keeps this instead of what was read last; False where somebody else has written since."""
        ...


class Keeper:
    """Takes the steps of one store. One thread at a time.

    `publish(bundle)` writes it into every configuration and reads it back. `published` says what is there now.
    `may_write` is asked before each write: leadership may end at any time. `monotonic`: seconds that never go back.
    """

    def __init__(
        self,
        store: Store,
        names: Iterable[str],
        *,
        publish: Callable[[bytes], bool],
        published: Bundles,
        may_write: Callable[[], bool],
        monotonic: Callable[[], float],
        say: Callable[[str], None] = lambda _: None,
        lag: timedelta = LAG,
    ) -> None:
        self._store = store
        self._names = tuple(names)
        self._publish = publish
        self._published = published
        self._may_write = may_write
        self._monotonic = monotonic
        self._say = say
        self._lag = lag
        self._held: tuple[bytes, float] | None = None
        self._seen_next: tuple[bytes, float] | None = None

    def turn(self, now: Callable[[], datetime]) -> str:
        """Everything that is due now; why more has to wait, "" if nothing does. Raises what store and publish raise.

        `now` is asked after each read: a store may know the time better.
        """
        tried: bytes | None = None
        for _ in range(_STEPS):
            kept = self._store.read()
            moment = now()
            wanted = bundle(kept, moment)
            published = Published(_certificates(self._published()), self._held_for(wanted), tried == wanted)
            following = step(kept, moment, self._names, published, waited=self._waited(kept), lag=self._lag)
            if not isinstance(following, Write | Publish):
                return following.reason if isinstance(following, Wait) else ""
            if not self._may_write():
                return "another replica leads"
            if isinstance(following, Publish):
                tried = following.bundle
                self._note_held(following.bundle, self._publish(following.bundle))
            elif self._store.write(following.kept):
                self._say(following.reason)
        return "more steps than expected; going on at the next turn"

    def _waited(self, kept: Kept) -> timedelta:
        if kept.next is None:
            self._seen_next = None
            return timedelta()
        key = fingerprint(kept.next.certificate)
        if self._seen_next is None or self._seen_next[0] != key:
            self._seen_next = (key, self._monotonic())
        return timedelta(seconds=self._monotonic() - self._seen_next[1])

    def _note_held(self, wanted: bytes, held: bool) -> None:
        if not held:
            self._held = None
        elif self._held is None or self._held[0] != wanted:
            self._held = (wanted, self._monotonic())

    def _held_for(self, wanted: bytes) -> timedelta | None:
        if self._held is None or self._held[0] != wanted:
            return None
        return timedelta(seconds=self._monotonic() - self._held[1])


def _certificates(bundles: dict[str, bytes]) -> tuple[x509.Certificate, ...]:
    found: list[x509.Certificate] = []
    for pem in bundles.values():
        found += readable(pem)
    return tuple(found)


@lru_cache(maxsize=64)  # the same few bundles, read again and again
def readable(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a bundle; none where it is empty or damaged, for then nobody trusts by it."""
    try:
        return read_certificates(pem, "caBundle")
    except CertificateError:
        return ()
