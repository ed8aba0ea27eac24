"""The certificates of a door without a cluster's secrets: a folder of our own, or one that somebody else writes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from stateward.certs.context import HotContext, days_left
from stateward.certs.errors import CertificateError
from stateward.certs.folder import CertificateFolder, Served
from stateward.certs.mounted import MountedFolder, Pair
from stateward.certs.rotation import LAG
from stateward.webhook.logs import line

EVERY: Final = 3600.0
"""Seconds between two thorough looks at the folder. A leaf is renewed in the last 30 of its 90 days."""
RETRY: Final = 30.0
"""Seconds until a bundle that could not be published is tried again."""
GLANCE: Final = 2.0
"""Seconds between two glances at whether its files changed: `stateward certs rotate` is obeyed at once."""
MOUNTED: Final = 5.0
"""Seconds between two looks at a mounted folder. A kubelet takes a minute or so to bring a change there."""
_DAY: Final = 86400.0

_log = logging.getLogger("stateward.webhook")

BundleChanged = Callable[[bytes], bool]
"""Told of a new bundle before anything that needs it is served; True once every caller trusts it."""


class Certificates:
    """Serves what a folder of ours holds, through `hot`, and keeps it good until `stop`.

    Raises CertificateError where the folder cannot be used at the start; later the former certificate is served on.
    """

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        *,
        every: float = EVERY,
        lag: float = LAG.total_seconds(),
        client_ca: bytes = b"",
    ) -> None:
        self.hot = HotContext(client_ca)
        self.folder = folder
        self.names = tuple(dict.fromkeys(names))
        self.bundle_changed: BundleChanged | None = None
        """Set by whoever publishes the bundle; without it nobody is waited for."""
        self._every, self._lag = every, lag
        self._stopping = threading.Event()
        self._folder = CertificateFolder(folder)
        self._unpublished = False
        self._served: Served | None = None
        self.look()
        self._thread = threading.Thread(target=self._run, name="certificates", daemon=True)
        self._thread.start()

    @property
    def served(self) -> Served:
        """What is served."""
        assert self._served is not None  # noqa: S101 - the first look has served something, or raised
        return self._served

    @property
    def bundle(self) -> bytes:
        """What callers must trust, as PEM."""
        return self.served.bundle

    def expiries(self) -> dict[str, float]:
        """Seconds until `leaf` and `authority` expire, negative afterwards."""
        found = {"leaf": self.served.leaf.certificate, "authority": self.served.authority.certificate}
        now = datetime.now(UTC)
        return {name: days_left(certificate, now) * _DAY for name, certificate in found.items()}

    def look(self) -> Served:
        """Renews what is due and serves it, once its bundle is published; what the folder holds. Raises CertificateError."""
        now = datetime.now(UTC)
        found = self._folder.ensure(self.names, now)
        before = self._served
        self._unpublished = before is not None and before.bundle != found.bundle and not self._announced(found.bundle)
        if not self._unpublished:
            self.hot.swap(*found.leaf.to_pem(), names=self.names, now=now)
            self._served = found
        return found

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()
        self._thread.join()

    def __enter__(self) -> Certificates:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _announced(self, bundle: bytes) -> bool:
        """Whether callers trust the bundle by now. Waits for what an API server takes to hear of it."""
        if self.bundle_changed is None:
            return True
        if not self.bundle_changed(bundle):
            _log.error(line("certificate", error="the new bundle is not published; the former certificate is served on"))
            return False
        return not self._stopping.wait(self._lag)

    def _run(self) -> None:
        left, seen = self._every, self._folder.stamp()
        while not self._stopping.wait(min(GLANCE, self._every)):
            left -= GLANCE
            if left > 0 and self._folder.stamp() == seen:
                continue
            try:
                for note in self.look().notes:
                    _log.warning(line("certificate", note=note))
            except CertificateError as error:
                _log.error(_said(error))
            left, seen = RETRY if self._unpublished else self._every, self._folder.stamp()


class MountedCertificates:
    """Serves what somebody else writes into a folder (tls.crt, tls.key, and ca.crt if it is there), until `stop`.

    cert-manager's Secret mounted, or a pair of one's own. Never written to. At the start it waits `patience` seconds for a
    whole pair and then raises CertificateError; later a pair that is half-written, does not fit or is not for `names` is
    logged, and the former one is served on. `bundle` is ca.crt, after a change of it the former one as well; b"" without:
    then callers know already whom to trust.
    """

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        *,
        every: float = MOUNTED,
        patience: float = 10.0,
        lag: float = LAG.total_seconds(),
        client_ca: bytes = b"",
    ) -> None:
        self.hot = HotContext(client_ca)
        self.folder = folder
        self.names = tuple(dict.fromkeys(names))
        self.bundle_changed: BundleChanged | None = None
        self._every, self._lag = every, lag
        self._stopping = threading.Event()
        self._folder = MountedFolder(folder)
        self._said = ""
        self._served: Pair | None = None
        self._former = b""
        self._first(patience)
        self._thread = threading.Thread(target=self._run, name="certificates", daemon=True)
        self._thread.start()

    @property
    def bundle(self) -> bytes:
        """What callers must trust, as PEM; b"" where the folder does not say."""
        return self._former + (self._served.authorities if self._served else b"")

    def expiries(self) -> dict[str, float]:
        """Seconds until `leaf` expires, negative afterwards, and `authority`: the first of ca.crt to go, if there is one."""
        now = datetime.now(UTC)
        ends = self._served.ends() if self._served else {}
        return {name: days_left(certificate, now) * _DAY for name, certificate in ends.items()}

    def look(self) -> bool:
        """Serves what is new; whether anything was. Raises CertificateError for what cannot be served."""
        found, before = self._folder.read(), self._served
        if found == before:
            return False
        # Built before anything is published: what cannot be served changes nothing anywhere.
        HotContext().swap(*self._pair(found), **self._checks())
        if before is not None and before.authorities != found.authorities:
            self._announce(before.authorities, found.authorities)
        self.hot.swap(*self._pair(found), **self._checks())
        self._served = found
        return True

    def _announce(self, former: bytes, authorities: bytes) -> None:
        """Has callers trust both, for other replicas serve the former pair yet."""
        both = former + authorities if authorities else b""
        if self.bundle_changed is not None and not self.bundle_changed(both):
            where, then = str(self.folder / "ca.crt"), "it is tried again"
            raise CertificateError(where, "the new authority is not in every webhook configuration yet", then)
        if self.bundle_changed is not None:
            self._stopping.wait(self._lag)
        self._former = former if authorities else b""

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()
        self._thread.join()

    def __enter__(self) -> MountedCertificates:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    def _pair(found: Pair) -> tuple[bytes, bytes]:
        return found.certificate, found.key

    def _checks(self) -> dict[str, Any]:
        at = {"certificate_at": str(self.folder / "tls.crt"), "key_at": str(self.folder / "tls.key")}
        return {"names": self.names, "now": datetime.now(UTC), **at}

    def _first(self, patience: float) -> None:
        pause = min(0.2, self._every)
        for _ in range(int(patience / pause)):
            try:
                self.look()
            except CertificateError:
                self._stopping.wait(pause)
            else:
                return
        self.look()

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                if self.look():
                    _log.info(line("certificate", note=f"{self.folder}: a new certificate is served"))
                self._said = ""
            except CertificateError as error:
                if str(error) != self._said:
                    self._said = str(error)
                    _log.error(_said(error))


def _said(error: CertificateError) -> str:
    """In fields of their own, for a long one is cut."""
    return line("certificate", served="the former one", error=f"{error.where}: {error.problem}", then=error.next_step)
