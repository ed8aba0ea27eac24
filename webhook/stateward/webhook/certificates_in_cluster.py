"""The certificates of a door inside a cluster: kept in a Secret, rotated by the leader, served by every replica."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from stateward.certs.authority import Authority
from stateward.certs.choosing import Choice
from stateward.certs.context import HotContext
from stateward.certs.errors import CertificateError
from stateward.certs.keeper import Keeper, readable
from stateward.certs.rotation import LAG, Kept, bundle, fingerprint, trusts
from stateward.kube import bundles
from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.webhook.handshake import HandshakeError, handshake
from stateward.webhook.logs import line
from stateward.webhook.secret_store import SecretStore

EVERY: Final = 5.0
"""Seconds between two looks at the Secret: how soon a replica hears of a new certificate."""
CHECK: Final = 60.0
"""Seconds between two handshakes with ourselves."""
REISSUE: Final = 600.0
"""Seconds between two certificates issued because a handshake failed: whatever is wrong, it is no loop."""
PATIENCE: Final = 20.0
"""Seconds that a new replica waits to be trusted. Then it is ready all the same: by the bundle of one configuration that
cannot be mended nobody must be kept from another's."""

_log = logging.getLogger("stateward.webhook")

Publish = Callable[[bytes], bool]
Published = Callable[[], "dict[str, bytes]"]


class ClusterCertificates:
    """Serves what a Secret holds, through `hot`, and as the leader keeps it good, until `stop`.

    `names`: what callers ask for, the Service's name first. `publish(bundle)` writes the caBundle into every configuration
    of ours, where another one is, and reads it back; True once every one holds it. `published()` says what they hold: a
    name of each → its caBundle (PEM); by default those of every webhook that asks the Service that `names` begins with.
    Starts before there is any Secret: until there is a certificate to serve, one that nobody trusts answers `/readyz`.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        secret: str,
        names: Iterable[str],
        *,
        is_leader: Callable[[], bool],
        publish: Publish,
        published: Published | None = None,
        at: tuple[str, int] | None = None,
        client_ca: bytes = b"",
        every: float = EVERY,
        check: float = CHECK,
        lag: float = LAG.total_seconds(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hot = HotContext(client_ca)
        self.names = tuple(names)
        self.at = at
        """Where this server itself is reached (host, port), for the handshakes; set when it listens."""
        self.handshake_failures = 0
        """How often a handshake with ourselves has failed, for any reason."""
        self.trouble = ""
        """Why the last handshakes with ourselves failed, "" if they did not."""
        self._store = SecretStore(cluster, namespace, secret)
        self._is_leader = is_leader
        self._published = published if published is not None else _asking(cluster, namespace, self.names)
        self._monotonic = monotonic
        self._keeper = Keeper(
            self._store,
            self.names,
            publish=publish,
            published=self._read_published,
            may_write=is_leader,
            monotonic=monotonic,
            say=lambda note: _log.warning(line("certificate", note=note)),
            lag=timedelta(seconds=lag),
        )
        self._choice = Choice(lag)
        self._served: x509.Certificate | None = None
        self._served_since = 0.0
        self._kept = Kept()
        self._bundles: dict[str, bytes] = {}
        self._ready = False
        self._waiting = f"{self._store.where} was not read yet"
        self._said: dict[str, str] = {}
        self._every, self._check_every = every, check
        self._checked = self._reissued = float("-inf")
        self._stopping = threading.Event()
        self._stand_in()
        self.look()
        self._thread = threading.Thread(target=self._run, name="certificates", daemon=True)
        self._thread.start()

    # --- what others ask -----------------------------------------------------------------------------------------

    @property
    def bundle(self) -> bytes:
        """What callers must trust, as PEM; b"" before there is any."""
        return bundle(self._kept, self._store.now())

    @property
    def served(self) -> x509.Certificate | None:
        """The certificate of the Secret that is served; None while there is none."""
        return self._served

    def ready(self) -> tuple[bool, str]:
        """(whether there is a certificate to serve that somebody trusts, why not). Once ready always ready. No I/O."""
        return self._ready, "" if self._ready else self._waiting

    def expiries(self) -> dict[str, float]:
        """Seconds until `leaf` (what is served) and `authority` expire, negative afterwards; without what there is not."""
        now = self._store.now()
        found = {"leaf": self._served, "authority": self._kept.authority.certificate if self._kept.authority else None}
        return {name: (one.not_valid_after_utc - now).total_seconds() for name, one in found.items() if one is not None}

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()
        self._thread.join(10)

    def __enter__(self) -> ClusterCertificates:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- a look --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """As the leader what is due, then what there is to serve, then a handshake with ourselves. Never raises."""
        for turn in (self._lead, self._follow, self._check):
            try:
                turn()
                self._said.pop(turn.__name__, None)
            except (ClusterError, CertificateError) as error:
                self._complain(turn.__name__, str(error))
            except Exception as error:  # noqa: BLE001,RUF100 - a thread that ends in silence lets certificates expire
                self._complain(turn.__name__, f"a fault in {turn.__name__}: {type(error).__name__}")

    def _lead(self) -> None:
        if self._is_leader():
            self._keeper.turn(self._store.now)

    def _follow(self) -> None:
        self._kept = self._store.read()
        self._bundles = self._read_published()
        leaf, now = self._kept.leaf, self._store.now()
        if leaf is None:
            self._waiting = f"{self._store.where} holds no certificate yet; the replica that leads makes it"
            if self._served is None and self._kept.problems:
                self._waiting = f"{self._waiting} ({'; '.join(self._kept.problems)})"
            return
        allowed = self._choice.allows(leaf.certificate, self._served, self._bundles, now, self._monotonic())
        if allowed and not self._serves(leaf.certificate):
            self._serve(*leaf.to_pem(), now)
        self._ready = self._ready or self._may_be_ready()

    def _serves(self, certificate: x509.Certificate) -> bool:
        return self._served is not None and fingerprint(self._served) == fingerprint(certificate)

    def _serve(self, certificate: bytes, key: bytes, now: datetime) -> None:
        where = self._store.where
        served = self.hot.swap(
            certificate, key, names=self.names, now=now, certificate_at=f"{where} tls.crt", key_at=f"{where} tls.key"
        )
        if self._served is None:
            self._served_since = self._monotonic()
        self._served = served
        _log.info(line("certificate", note=f"serving one that is valid until {served.not_valid_after_utc.isoformat()}"))
        self._checked = float("-inf")

    def _may_be_ready(self) -> bool:
        if self._served is None:
            return False
        trusted = not self._bundles or bool(self._choice.trusted())
        self._waiting = (
            "the certificate is not trusted by any webhook configuration yet; the replica that leads publishes it"
        )
        return trusted or self._monotonic() >= self._served_since + PATIENCE

    # --- a handshake with ourselves ------------------------------------------------------------------------------

    def _check(self) -> None:
        if self.at is None or self._served is None or self._monotonic() < self._checked + self._check_every:
            return
        self._checked = self._monotonic()
        reasons = []
        for name, pem in self._bundles.items():
            try:
                handshake(*self.at, self.names[0], pem)
            except HandshakeError as error:
                self.handshake_failures += 1
                reasons.append(f"{name}: {error}")
                if error.trust:
                    self._repair(pem)
        if reasons and reasons != self.trouble.split("; "):
            _log.error(line("handshake", error="; ".join(reasons)))
        self.trouble = "; ".join(reasons)

    def _repair(self, pem: bytes) -> None:
        """What can be done here. A bundle that is wrong is mended by the leader's next turn, in seconds."""
        leaf, now = self._kept.leaf, self._store.now()
        if leaf is None or not trusts(readable(pem), leaf.certificate, now):
            return
        # By this bundle the handshake had to succeed. What is loaded is no good, or what is kept.
        if self._serves(leaf.certificate) and self._is_leader() and self._monotonic() >= self._reissued + REISSUE:
            self._reissued = self._monotonic()
            self._store.write(replace(self._kept, asked="leaf"))
        self._serve(*leaf.to_pem(), now)
        self._checked = self._monotonic()

    # --- the rest ------------------------------------------------------------------------------------------------

    def _read_published(self) -> dict[str, bytes]:
        try:
            found = self._published()
            self._said.pop("published", None)
            return found
        except ClusterError as error:
            if error.status != 403:
                raise
            # Not known, and it will not be: the leader's order of writes has to do.
            self._complain("published", str(error))
            return {}

    def _stand_in(self) -> None:
        """A certificate that nobody trusts, so that probes are answered, with the reason, before there is a real one."""
        now = self._store.now()
        self.hot.swap(*Authority.create(now).issue(self.names, now).to_pem(), names=self.names, now=now)

    def _complain(self, where: str, text: str) -> None:
        """Once, and again when it is another reason."""
        if self._served is None:
            self._waiting = text
        if self._said.get(where) != text:
            self._said[where] = text
            _log.error(line("certificate", error=text))

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            self.look()


def _asking(cluster: Cluster, namespace: str, names: tuple[str, ...]) -> Published:
    service = names[0].removesuffix(f".{namespace}.svc")
    return lambda: {one.name: one.bundle for one in bundles.trusting(cluster, namespace, service)}
