"""What a rotation keeps as named texts: the data of a Secret, the files of a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from stateward.certs.authority import Authority, Leaf
from stateward.certs.errors import CertificateError
from stateward.certs.pem import certificate_pem, read_certificates
from stateward.certs.rotation import Former, Kept

AUTHORITY: Final = ("ca.crt", "ca.key")
NEXT: Final = ("next-ca.crt", "next-ca.key")
LEAF: Final = ("tls.crt", "tls.key")
OLD: Final = "old-ca.crt"
ENTRIES: Final = (*AUTHORITY, *NEXT, OLD, *LEAF)

# Text between certificates is no part of PEM (RFC 7468 5.2): openssl reads the file as it is.
_FORMER: Final = re.compile(
    rb"(?:# trusted until (\S+)\s+)?(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----)", re.DOTALL
)


def read(data: Mapping[str, bytes], where: str) -> Kept:
    """What is kept in these entries. What is damaged counts as missing and is named in `problems`, `where` before it."""
    reading = _Reading(data, where)
    return Kept(
        authority=reading.authority(*AUTHORITY),
        next=reading.authority(*NEXT),
        old=read_old(data.get(OLD, b"")),
        leaf=reading.leaf(),
        loose=tuple(reading.loose),
        problems=tuple(reading.problems),
    )


def write(kept: Kept) -> dict[str, bytes]:
    """Every entry; b"" for what there is none of."""
    blank = (b"", b"")
    pairs = {
        AUTHORITY: kept.authority.to_pem() if kept.authority else blank,
        NEXT: kept.next.to_pem() if kept.next else blank,
        LEAF: kept.leaf.to_pem() if kept.leaf else blank,
    }
    found = {name: pem for names, pems in pairs.items() for name, pem in zip(names, pems, strict=True)}
    return {**found, OLD: write_old(kept.old)}


def read_old(text: bytes) -> tuple[Former, ...]:
    """Former authorities; one without a readable date is trusted until it expires, one that is damaged is left out."""
    found = []
    for until, pem in _FORMER.findall(text):
        try:
            certificate = read_certificates(pem, OLD)[0]
        except CertificateError:
            continue
        found.append(Former(certificate, min(_moment(until) or _LAST, certificate.not_valid_after_utc)))
    return tuple(found)


def write_old(old: tuple[Former, ...]) -> bytes:
    """Each former authority under the date until which it is trusted."""
    return b"".join(
        f"# trusted until {one.until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n".encode() + certificate_pem(one.certificate)
        for one in old
    )


_LAST: Final = datetime.max.replace(tzinfo=UTC)


def _moment(text: bytes) -> datetime | None:
    try:
        return datetime.strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


@dataclass
class _Reading:
    data: Mapping[str, bytes]
    where: str
    problems: list[str] = field(default_factory=list)
    loose: list[x509.Certificate] = field(default_factory=list)

    def authority(self, certificate: str, key: str) -> Authority | None:
        pems = self._pair(certificate, key)
        if pems is None:
            return None
        try:
            return Authority.from_pem(*pems, certificate_at=self._at(certificate), key_at=self._at(key))
        except CertificateError as error:
            self.problems.append(f"{error.where} {error.problem}")
        with suppress(CertificateError):
            self.loose += read_certificates(pems[0], certificate)[:1]
        return None

    def leaf(self) -> Leaf | None:
        pems = self._pair(*LEAF)
        if pems is None:
            return None
        try:
            return Leaf.from_pem(*pems, certificate_at=self._at(LEAF[0]), key_at=self._at(LEAF[1]))
        except CertificateError as error:
            self.problems.append(f"{error.where} {error.problem}")
            return None

    def _pair(self, certificate: str, key: str) -> tuple[bytes, bytes] | None:
        """The two texts; None where there is neither."""
        pems = self.data.get(certificate, b""), self.data.get(key, b"")
        return pems if any(pems) else None

    def _at(self, entry: str) -> str:
        return f"{self.where}{entry}"
