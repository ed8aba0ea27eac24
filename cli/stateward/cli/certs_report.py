"""What is to be said of certificates: as a table for people, as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stateward.certs.keeper import readable
from stateward.certs.names import names_of
from stateward.certs.rotation import Kept, authority_due, fingerprint, leaf_due, trusts
from stateward.cli.table import table

FORMAT: Final = "stateward-certs/v1"
_SOON: Final = timedelta(days=14)
"""A leaf is renewed 30 days before its end: with less than this left, whoever renews it does not."""


@dataclass
class Report:
    """What was found at one place.

    `problems`: what somebody has to see to; `handshakes`: (at, name, why not or ""); `remedy`: what mends what is kept.
    """

    where: str
    kept: Kept
    now: datetime
    remedy: str = ""
    bundles: list[tuple[str, bytes]] | None = None
    """Who trusts what: name of a webhook → PEM; None where there is no cluster."""
    handshakes: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def judge(self) -> Report:
        """Finds the problems that can be told from what was read."""
        kept = self.kept
        self.problems += [f"{problem}; {self.remedy}" for problem in kept.problems]
        if kept.leaf is None and not any("tls." in problem for problem in kept.problems):
            self.problems.append(f"{self.where}: there is no certificate; {self.remedy}")
        for name, certificate in self._parts():
            ends = certificate.not_valid_after_utc
            if ends <= self.now:
                self.problems.append(f"{name}: expired at {_when(ends)}; {self.remedy}")
            elif name == "leaf" and ends - self.now < _SOON:
                self.problems.append(f"leaf: only {_left(ends - self.now)} left, and it was not renewed; {self.remedy}")
        for name, pem in self.bundles or ():
            if kept.leaf is not None and not self._trusts(pem):
                found = "an empty caBundle" if not pem else "a caBundle that does not trust the leaf"
                self.problems.append(f"{name}: {found}, so that every call by it fails; {self.remedy}")
        self.problems += [f"handshake as {name}: {reason}" for _, name, reason in self.handshakes if reason]
        return self

    def text(self) -> Iterator[str]:
        """Lines for people."""
        yield click.style(self.where, bold=True)
        rows = [self._row(name, certificate) for name, certificate in self._parts()]
        if rows:
            yield ""
            yield table(("PART", "NAME", "KEY", "VALID UNTIL", "LEFT", "SHA-256"), rows)
        yield ""
        if self.kept.leaf is not None:
            yield f"names      {', '.join(names_of(self.kept.leaf.certificate)) or 'none'}"
        yield from (
            (f"asked      {self.kept.asked} is to be rotated; the replica that leads does it",) if self.kept.asked else ()
        )
        yield from (f"{'due':<11}{reason}" for reason in self._due())
        if self.bundles is not None:
            yield from self._trusted_by()
        for at, name, reason in self.handshakes:
            yield f"handshake  {at} as {name}: {'fails' if reason else 'verified'}"
        yield from (f"note       {note}" for note in self.notes)
        for problem in self.problems:
            yield click.style(f"problem    {problem}", fg="red")
        if not self.problems:
            yield click.style("ok         nothing to do", fg="green")

    def json(self) -> dict[str, Any]:
        """The same, for programs."""
        return {
            "format": FORMAT,
            "where": self.where,
            "good": not self.problems,
            "parts": [self._values(name, certificate) for name, certificate in self._parts()],
            "names": list(names_of(self.kept.leaf.certificate)) if self.kept.leaf else [],
            "asked": self.kept.asked,
            "due": list(self._due()),
            "trustedBy": [
                {"webhook": name, "authorities": len(readable(pem)), "trustsLeaf": self._trusts(pem)}
                for name, pem in self.bundles or ()
            ],
            "handshakes": [
                {"at": at, "name": name, "verified": not reason, "reason": reason} for at, name, reason in self.handshakes
            ],
            "notes": self.notes,
            "problems": self.problems,
        }

    def _parts(self) -> Iterator[tuple[str, x509.Certificate]]:
        kept = self.kept
        for name, one in (("leaf", kept.leaf), ("authority", kept.authority), ("next", kept.next)):
            if one is not None:
                yield name, one.certificate
        yield from (("former", one.certificate) for one in kept.old if one.until > self.now)

    def _ends(self, name: str, certificate: x509.Certificate) -> datetime:
        former = {fingerprint(one.certificate): one.until for one in self.kept.old} if name == "former" else {}
        return former.get(fingerprint(certificate), certificate.not_valid_after_utc)

    def _row(self, name: str, certificate: x509.Certificate) -> tuple[str, ...]:
        ends = self._ends(name, certificate)
        left = _left(ends - self.now) if ends > self.now else "expired"
        return name, _subject(certificate), _key(certificate), _when(ends), left, fingerprint(certificate).hex()[:16]

    def _values(self, name: str, certificate: x509.Certificate) -> dict[str, Any]:
        ends = self._ends(name, certificate)
        return {
            "part": name,
            "subject": _subject(certificate),
            "issuer": certificate.issuer.rfc4514_string().removeprefix("CN="),
            "key": _key(certificate),
            "serial": f"{certificate.serial_number:x}",
            "sha256": fingerprint(certificate).hex(),
            "notBefore": certificate.not_valid_before_utc.isoformat(),
            "notAfter": certificate.not_valid_after_utc.isoformat(),
            **({"trustedUntil": ends.isoformat()} if name == "former" else {}),
            "secondsLeft": round((ends - self.now).total_seconds()),
        }

    def _due(self) -> Iterator[str]:
        authority = self.kept.authority
        if authority is None:
            return
        if self.kept.next is None and (reason := authority_due(authority, self.now)):
            yield f"authority: {reason}"
        names = names_of(self.kept.leaf.certificate) if self.kept.leaf else ()
        if self.kept.leaf is not None and (reason := leaf_due(self.kept.leaf, authority, names, self.now)):
            yield f"leaf: {reason}"

    def _trusts(self, pem: bytes) -> bool:
        return self.kept.leaf is not None and trusts(readable(pem), self.kept.leaf.certificate, self.now)

    def _trusted_by(self) -> Iterator[str]:
        if not self.bundles:
            yield "trusted by no webhook configuration asks this Service"
            return
        yield ""
        rows = [(name, str(len(readable(pem))), "yes" if self._trusts(pem) else "NO") for name, pem in self.bundles]
        yield table(("WEBHOOK", "AUTHORITIES", "TRUSTS THE LEAF"), rows)
        yield ""


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string().removeprefix("CN=") or "(no name)"


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "ECDSA P-256", "secp384r1": "ECDSA P-384"}.get(key.curve.name, f"ECDSA {key.curve.name}")
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").removeprefix("_")


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _left(left: timedelta) -> str:
    if left >= timedelta(days=2):
        return f"{left.days} days"
    hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
    return f"{hours} h" if hours >= 2 else f"{60 * hours + minutes} min"
