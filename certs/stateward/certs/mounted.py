"""A folder that somebody else writes: a kubelet's mount of a Secret, or a pair of one's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from stateward.certs.errors import CertificateError
from stateward.certs.pem import read_certificates

_LINK: Final = "..data"  # what a kubelet swaps, whole, when a Secret changes (kubernetes, pkg/volume/util/atomic_writer.go)
_WHO: Final = "see who writes it: cert-manager's Certificate, or the Secret that is mounted here"


@dataclass(frozen=True)
class Pair:
    """A certificate (a chain, leaf first), its key and the authorities behind it, as PEM, as they were read."""

    certificate: bytes
    key: bytes
    authorities: bytes

    def __repr__(self) -> str:
        return "Pair(…)"

    def ends(self) -> dict[str, x509.Certificate]:
        """`leaf`, and `authority`: the one of `authorities` that expires first. Without what cannot be read."""
        found: dict[str, x509.Certificate] = {}
        for name, pem in (("leaf", self.certificate), ("authority", self.authorities)):
            try:
                certificates = read_certificates(pem, name)
            except CertificateError:
                continue
            if name == "leaf":
                certificates = certificates[:1]
            found[name] = min(certificates, key=lambda one: one.not_valid_after_utc)
        return found


class MountedFolder:
    """tls.crt, tls.key and, where it exists, ca.crt of the folder at `path`. Nothing is ever written there."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def read(self) -> Pair:
        """All three of one moment where a kubelet writes them. Raises CertificateError, naming the file."""
        # The link once, so that no swap comes between two files. Not the files' own links: they go through this one.
        link = self.path / _LINK
        folder = link.resolve() if link.is_symlink() else self.path
        return Pair(self._file(folder, "tls.crt"), self._file(folder, "tls.key"), self._file(folder, "ca.crt", b""))

    def _file(self, folder: Path, name: str, missing: bytes | None = None) -> bytes:
        try:
            return (folder / name).read_bytes()
        except FileNotFoundError:
            if missing is not None:
                return missing
            raise CertificateError(str(self.path / name), "is missing", _WHO) from None
        except OSError as error:
            raise CertificateError(str(self.path / name), f"cannot be read ({error.strerror})", _WHO) from None
