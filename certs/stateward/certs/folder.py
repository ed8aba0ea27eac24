"""A folder of certificates for a server without a cluster: made when missing, renewed when due, mended when damaged."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from stateward.certs.authority import LEAF_LIFETIME, Authority, Leaf
from stateward.certs.errors import CertificateError
from stateward.certs.files import PRIVATE_FILE, PUBLIC_FILE, locked, replace_file, sweep, tighten
from stateward.certs.names import general_names, listed, uncovered
from stateward.certs.pem import aware, certificate_pem, issued_by, lifetime, read_certificates, untimely
from stateward.certs.rotation import Asked, Former
from stateward.certs.stored import OLD, read_old, write_old

AUTHORITY_CERTIFICATE, AUTHORITY_KEY = "ca.crt", "ca.key"
LEAF_CERTIFICATE, LEAF_KEY = "tls.crt", "tls.key"
_KEYS = (AUTHORITY_KEY, LEAF_KEY)
_FILES = (AUTHORITY_CERTIFICATE, AUTHORITY_KEY, OLD, LEAF_CERTIFICATE, LEAF_KEY)


@dataclass(frozen=True, eq=False)
class Served:
    """What a folder holds after `ensure`; `notes` says, a sentence each, what was made or mended and why."""

    authority: Authority
    leaf: Leaf
    notes: tuple[str, ...]
    old: tuple[Former, ...] = ()

    @property
    def bundle(self) -> bytes:
        """What clients must trust, as PEM: the authority, and former ones while a leaf of theirs may be served."""
        former = (one.certificate for one in self.old if one.certificate != self.authority.certificate)
        return certificate_pem(*former, self.authority.certificate)


class CertificateFolder:
    """The folder at `path`; ca.crt, ca.key, tls.crt and tls.key in it are replaced when they cannot be used."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def ensure(self, names: Iterable[str], now: datetime) -> Served:
        """An authority and a leaf for `names`, both good at `now`, taken from the folder or made and kept there.

        The authority is made anew when missing, unusable or in the last tenth of its life; the leaf also when it misses
        a name, comes from another authority or is in the last third of its life. A former authority stays in the bundle,
        and in old-ca.crt, until its last leaf has expired. May be cut short at any instant and called from several
        processes at once. Raises CertificateError for unusable names or an unwritable folder.
        """
        return self._ensured(names, now, "")

    def rotate(self, names: Iterable[str], now: datetime, what: Literal["authority", "leaf"]) -> Served:
        """As `ensure`, with a new leaf in any case, and a new authority too if that is what is asked for."""
        return self._ensured(names, now, what)

    def forget(self) -> None:
        """Keeps no former authority any longer: a key got out. Raises CertificateError."""
        try:
            with locked(self.path):
                (self.path / OLD).unlink(missing_ok=True)
        except OSError as error:
            raise CertificateError(
                str(self.path / OLD), f"cannot be removed ({error.strerror})", "remove it by hand"
            ) from error

    def stamp(self) -> tuple[object, ...]:
        """Something that changes when a file here does. No error: a file that is not there has a stamp too."""
        return tuple(map(_stamp, (self.path / name for name in _FILES)))

    def _ensured(self, names: Iterable[str], now: datetime, asked: Asked) -> Served:
        wanted = listed(names)
        general_names(wanted)
        aware(now)
        try:
            with locked(self.path):
                notes = [*sweep(self.path, _FILES), *tighten(self.path, _FILES, _KEYS)]
                old = self._old(now)
                authority, old = self._authority(now, notes, old, anew=asked == "authority")
                leaf = self._leaf(authority, wanted, now, notes, anew=asked == "leaf")
        except OSError as error:
            raise CertificateError(
                str(error.filename or self.path),
                f"the certificate folder {self.path} cannot be written ({error.strerror or error})",
                "make it writable for this user, remove what is in the way, or name another folder",
            ) from error
        return Served(authority, leaf, tuple(notes), old)

    def _old(self, now: datetime) -> tuple[Former, ...]:
        """Former authorities; those whose last leaf has expired are removed."""
        path = self.path / OLD
        try:
            found = read_old(path.read_bytes())
        except FileNotFoundError:
            return ()
        except OSError:
            return ()  # what is in its way is said when it has to be written
        left = tuple(one for one in found if one.until > now)
        if left != found:
            if left:
                replace_file(path, write_old(left), PUBLIC_FILE)
            else:
                path.unlink()
        return left

    def _authority(
        self, now: datetime, notes: list[str], old: tuple[Former, ...], *, anew: bool
    ) -> tuple[Authority, tuple[Former, ...]]:
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
            if due is None and not anew:
                return authority, old
            reason = due or "a new one is asked for"
        old = self._retire(now, old)
        authority = Authority.create(now)
        self._write_pair(AUTHORITY_CERTIFICATE, AUTHORITY_KEY, authority.to_pem())
        notes.append(f"{where}: {reason}; made a new authority, which clients must trust anew")
        return authority, old

    def _retire(self, now: datetime, old: tuple[Former, ...]) -> tuple[Former, ...]:
        """The authority in the folder becomes a former one, before anything else is written, if it can still be one."""
        try:
            going = read_certificates(self._read(AUTHORITY_CERTIFICATE), AUTHORITY_CERTIFICATE)[0]
        except CertificateError:
            return old
        if untimely(going, now) is not None or any(one.certificate == going for one in old):
            return old
        old = (*old, Former(going, min(now + LEAF_LIFETIME, going.not_valid_after_utc)))
        replace_file(self.path / OLD, write_old(old), PUBLIC_FILE)
        return old

    def _leaf(self, authority: Authority, names: tuple[str, ...], now: datetime, notes: list[str], *, anew: bool) -> Leaf:
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
            if due is None and not anew:
                return leaf
            reason = due or "a new one is asked for"
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


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError as error:
        return error.errno
    return status.st_ino, status.st_mtime_ns, status.st_size


def _leaf_due(leaf: Leaf, authority: Authority, names: tuple[str, ...], now: datetime) -> str | None:
    """Why the leaf must be issued again, or None."""
    if not issued_by(leaf.certificate, authority.certificate):
        return "was not issued by the authority in this folder"
    if missing := uncovered(leaf.certificate, names):
        return f"does not cover {', '.join(missing)}"
    return untimely(leaf.certificate, now, spare=lifetime(leaf.certificate) / 3)
