"""`stateward certs` for a folder of our own: the one that `stateward serve` uses, or one for GitOps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stateward.cli import inputs

if TYPE_CHECKING:
    from stateward.cli.certs_report import Report

SECRET: Final = "stateward-certs"  # noqa: S105 - its name
_SERVED_AT: Final = ("127.0.0.1", 8443)  # where `stateward serve` listens
_LAPTOP: Final = ("localhost", "127.0.0.1", "::1")


class Folder:
    """A folder of our own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def init(self, names: tuple[str, ...]) -> Report:
        """Makes or mends what is there."""
        return self._changed(lambda folder, now: folder.ensure(names or self._names() or _LAPTOP, now), first=True)

    def rotate(self, what: str, _wait: float) -> Report:
        """At once."""
        names = self._names()
        if not names:
            inputs.stop(f"{self.path}: there is no certificate to rotate; make one: stateward certs init --dir {self.path}")
        if what == "forget":
            return self._changed(_forgotten(names))
        return self._changed(lambda folder, now: folder.rotate(names, now, what))

    def status(self, at: tuple[str, int] | None) -> Report:
        """What is there, without touching it."""
        from stateward.certs.rotation import bundle
        from stateward.webhook.handshake import HandshakeError, handshake

        if not self.path.is_dir():
            inputs.stop(f"{self.path}: there is no such folder; make one: stateward certs init --dir {self.path}")
        report = self._report()
        names = self._names()
        host, port = at if at is not None else _SERVED_AT
        if names:
            try:
                handshake(host, port, names[0], bundle(report.kept, report.now))
                report.handshakes.append((f"{host}:{port}", names[0], ""))
            except HandshakeError as error:
                if error.trust or at is not None:
                    report.handshakes.append((f"{host}:{port}", names[0], str(error)))
                else:
                    report.notes.append(f"no handshake: nothing listens at {host}:{port}; --connect HOST:PORT tries another")
        return report.judge()

    def _changed(self, change: Callable[..., Any], *, first: bool = False) -> Report:
        from stateward.certs.errors import CertificateError
        from stateward.certs.folder import CertificateFolder

        try:
            served = change(CertificateFolder(self.path), datetime.now(UTC))
        except CertificateError as error:
            inputs.stop(str(error))
        report = self._report()
        report.notes += served.notes
        if first:
            entries = " ".join(f"--from-file={self.path / entry}" for entry in ("ca.crt", "ca.key", "tls.crt", "tls.key"))
            report.notes.append(f"into a cluster: kubectl create secret generic {SECRET} {entries}")
            report.notes.append(f"as a caBundle: base64 < {self.path / 'ca.crt'} | tr -d '\\n'")
        return report.judge()

    def _report(self) -> Report:
        from stateward.certs import stored
        from stateward.cli.certs_report import Report

        data = {}
        for entry in stored.ENTRIES:
            try:
                data[entry] = (self.path / entry).read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                inputs.stop(f"{self.path / entry}: cannot be read ({error.strerror}); see who owns it")
        return Report(
            f"folder {self.path}",
            stored.read(data, f"{self.path}/"),
            datetime.now(UTC),
            remedy=f"stateward certs init --dir {self.path} mends it",
        )

    def _names(self) -> tuple[str, ...]:
        from stateward.certs.errors import CertificateError
        from stateward.certs.names import names_of
        from stateward.certs.pem import read_certificates

        try:
            return names_of(read_certificates((self.path / "tls.crt").read_bytes(), "tls.crt")[0])
        except (OSError, CertificateError):
            return ()


def _forgotten(names: tuple[str, ...]) -> Callable[..., Any]:
    def change(folder: Any, now: datetime) -> Any:
        folder.forget()
        return folder.ensure(names, now)

    return change
