"""The certificates of a door without a cluster's secrets: a folder, served and renewed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from stateward.certs.context import HotContext
from stateward.certs.errors import CertificateError
from stateward.certs.folder import CertificateFolder, Served
from stateward.webhook.logs import line

EVERY: Final = 3600.0
"""Seconds between two looks at the folder. A leaf is renewed in the last 30 of its 90 days; each look reads four files."""

_log = logging.getLogger("stateward.webhook")


class Certificates:
    """Serves what a folder holds, through `hot`, and looks again every hour until `stop`.

    Raises CertificateError where the folder cannot be used at the start; later the former certificate is served on.
    """

    def __init__(self, folder: Path, names: Iterable[str], *, every: float = EVERY) -> None:
        self.hot = HotContext()
        self.folder = folder
        self.names = tuple(dict.fromkeys(names))
        self._every = every
        self._stopping = threading.Event()
        self.served = self.look()
        self._thread = threading.Thread(target=self._run, name="certificates", daemon=True)
        self._thread.start()

    @property
    def bundle(self) -> bytes:
        """What callers must trust, as PEM."""
        return self.served.bundle

    def look(self) -> Served:
        """Renews what is due and serves it. Raises CertificateError."""
        now = datetime.now(UTC)
        served = CertificateFolder(self.folder).ensure(self.names, now)
        self.hot.swap(*served.leaf.to_pem(), names=self.names, now=now)
        self.served = served
        return served

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()
        self._thread.join()

    def __enter__(self) -> Certificates:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                for note in self.look().notes:
                    _log.warning(line("certificate", note=note))
            except CertificateError as error:
                _log.error(line("certificate", error=str(error)))
