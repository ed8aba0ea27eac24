"""A folder of certificates for a server without a cluster: made when missing, renewed when due, mended when damaged."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stateward.certs.authority import Authority, Leaf
from stateward.certs.errors import CertificateError
from stateward.certs.files import PRIVATE_FILE, PUBLIC_FILE, locked, replace_file, sweep, tighten
from stateward.certs.names import general_names, listed, uncovered
from stateward.certs.pem import aware, issued_by, lifetime, untimely

AUTHORITY_CERTIFICATE, AUTHORITY_KEY = "ca.crt", "ca.key"
LEAF_CERTIFICATE, LEAF_KEY = "tls.crt", "tls.key"
_KEYS = (AUTHORITY_KEY, LEAF_KEY)
_FILES = (AUTHORITY_CERTIFICATE, AUTHORITY_KEY, LEAF_CERTIFICATE, LEAF_KEY)


@dataclass(frozen=True, eq=False)
class Served:
    """What a folder holds after `ensure`; `notes` says, a sentence each, what was made or mended and why."""

    authority: Authority
    leaf: Leaf
    notes: tuple[str, ...]

    @property
    def bundle(self) -> bytes:
        """What clients must trust, as PEM."""
        return self.authority.bundle


class CertificateFolder:
    """The folder at `path`; ca.crt, ca.key, tls.crt and tls.key in it are replaced when they cannot be used."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def ensure(self, names: Iterable[str], now: datetime) -> Served:
        """An authority and a leaf for `names`, both good at `now`, taken from the folder or made and kept there.

        The authority is made anew when missing, unusable or in the last tenth of its life; the leaf also when it misses
        a name, comes from another authority or is in the last third of its life. May be cut short at any instant and
        called from several processes at once. Raises CertificateError for unusable names or an unwritable folder.
        """
        wanted = listed(names)
        general_names(wanted)
        aware(now)
        try:
            with locked(self.path):
                notes = [*sweep(self.path, _FILES), *tighten(self.path, _FILES, _KEYS)]
                authority = self._authority(now, notes)
                leaf = self._leaf(authority, wanted, now, notes)
        except OSError as error:
            raise CertificateError(
                str(error.filename or self.path),
                f"the certificate folder {self.path} cannot be written ({error.strerror or error})",
                "make it writable for this user, remove what is in the way, or name another folder",
            ) from error
        return Served(authority, leaf, tuple(notes))

    def _authority(self, now: datetime, notes: list[str]) -> Authority:
        where = str(self.path / AUTHORITY_CERTIFICATE)
        try:
            authority = Authority.from_pem(
                self._read(AUTHORITY_CERTIFICATE),
                self._read(AUTHORITY_KEY),
                certificate_at=where,
                key_at=str(self.path / AUTHORITY_KEY),
            )
        except CertificateError as error:
            where, reason = error.where, error.problem
        else:
            due = untimely(authority.certificate, now, spare=lifetime(authority.certificate) / 10)
            if due is None:
                return authority
            reason = due
        authority = Authority.create(now)
        self._write_pair(AUTHORITY_CERTIFICATE, AUTHORITY_KEY, authority.to_pem())
        notes.append(f"{where}: {reason}; made a new authority, which clients must trust anew")
        return authority

    def _leaf(self, authority: Authority, names: tuple[str, ...], now: datetime, notes: list[str]) -> Leaf:
        where = str(self.path / LEAF_CERTIFICATE)
        try:
            leaf = Leaf.from_pem(
                self._read(LEAF_CERTIFICATE),
                self._read(LEAF_KEY),
                certificate_at=where,
                key_at=str(self.path / LEAF_KEY),
            )
        except CertificateError as error:
            where, reason = error.where, error.problem
        else:
            due = _leaf_due(leaf, authority, names, now)
            if due is None:
                return leaf
            reason = due
        leaf = authority.issue(names, now)
        self._write_pair(LEAF_CERTIFICATE, LEAF_KEY, leaf.to_pem())
        notes.append(f"{where}: {reason}; issued a new certificate")
        return leaf

    def _read(self, name: str) -> bytes:
        path = self.path / name
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise CertificateError(str(path), "is missing", "nothing to do, it will be made") from error
        except OSError as error:
            raise CertificateError(str(path), f"cannot be read ({error.strerror})", "it will be made anew") from error

    def _write_pair(self, certificate: str, key: str, pem: tuple[bytes, bytes]) -> None:
        """Key first, then certificate. Cut short in between they do not match, which the next `ensure` mends."""
        replace_file(self.path / key, pem[1], PRIVATE_FILE)
        replace_file(self.path / certificate, pem[0], PUBLIC_FILE)


def _leaf_due(leaf: Leaf, authority: Authority, names: tuple[str, ...], now: datetime) -> str | None:
    """Why the leaf must be issued again, or None."""
    if not issued_by(leaf.certificate, authority.certificate):
        return "was not issued by the authority in this folder"
    if missing := uncovered(leaf.certificate, names):
        return f"does not cover {', '.join(missing)}"
    return untimely(leaf.certificate, now, spare=lifetime(leaf.certificate) / 3)
