"""A private certificate authority of one root, and the certificates it issues."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stateward.certs.errors import CertificateError
from stateward.certs.names import general_names
from stateward.certs.pem import aware, certificate_pem, issued_by, key_pem, read_pair, untimely
from stateward.certs.profile import builder, common_name, key_usage

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=90)
_NAMED = "Stateward authority"
CLOCK_SKEW = timedelta(minutes=5)  # certificates begin this much early, for clients whose clock is behind

Usage = Literal["server", "client"]
_USAGES: Final = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, eq=False)
class Leaf:
    """A certificate and its private key."""

    key: PrivateKeyTypes
    certificate: x509.Certificate

    def to_pem(self) -> tuple[bytes, bytes]:
        """(certificate, key) as PEM, the key as unencrypted PKCS#8."""
        return certificate_pem(self.certificate), key_pem(self.key)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes, *, certificate_at: str = "tls.crt", key_at: str = "tls.key") -> Self:
        """The leaf of a PEM pair; the `_at` names stand in errors. CertificateError if unreadable or not a pair."""
        chain, private_key = read_pair(certificate, key, certificate_at, key_at)
        return cls(private_key, chain[0])


@dataclass(frozen=True, eq=False)
class Authority:
    """A self-signed root and its private key."""

    key: SigningKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, now: datetime, lifetime: timedelta = AUTHORITY_LIFETIME) -> Self:
        """A new ECDSA P-256 root, valid from five minutes before `now` until `now + lifetime`.

        The subject carries the day and the first 8 hex digits of the key id, so no two generations share one: with two
        roots of one name in a bundle OpenSSL may try the wrong one. Raises ValueError if `now` has no time zone.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        day = aware(now).astimezone(UTC).date().isoformat()
        subject = common_name(f"{_NAMED} {day} {identifier.digest.hex()[:8]}")
        certificate = (
            builder(subject, subject, key, now - CLOCK_SKEW, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)  # RFC 5280 4.2.1.9
            .add_extension(key_usage(signs_certificates=True), critical=True)
            .sign(key, SHA256())
        )
        return cls(key, certificate)

    def issue(
        self,
        names: Iterable[str],
        now: datetime,
        lifetime: timedelta = LEAF_LIFETIME,
        *,
        subject: str = "Stateward server",
        usages: Iterable[Usage] = ("server",),
    ) -> Leaf:
        """A new ECDSA P-256 certificate for the names (DNS names and IP addresses as strings).

        `subject`: its common name. `usages`: what it may be shown as (RFC 5280 4.2.1.12). Valid from
        five minutes before `now` until `now + lifetime`, but never outside the authority's own validity.
        Raises CertificateError for unusable names or when the authority is not valid at `now`.
        """
        entries = general_names(names)
        root = self.certificate
        reason = untimely(root, now)
        if reason is not None:
            raise CertificateError(
                f"authority {root.subject.rfc4514_string()}", reason, "create a new authority, then issue from that one"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        begins = max(now - CLOCK_SKEW, root.not_valid_before_utc)
        ends = min(now + lifetime, root.not_valid_after_utc)
        identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            builder(common_name(subject), root.subject, key, begins, ends)
            .add_extension(x509.SubjectAlternativeName(entries), critical=False)
            # Compulsory (RFC 5280 4.2.1.1): Python 3.13 and later (VERIFY_X509_STRICT) refuse a leaf without it.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_USAGES[one] for one in usages]), critical=False)
            .sign(self.key, SHA256())
        )
        return Leaf(key, certificate)

    @property
    def bundle(self) -> bytes:
        """The root as PEM: what a client trusts, and what goes (base64) into a caBundle."""
        return certificate_pem(self.certificate)

    def to_pem(self) -> tuple[bytes, bytes]:
        """(certificate, key) as PEM, the key as unencrypted PKCS#8."""
        return self.bundle, key_pem(self.key)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes, *, certificate_at: str = "ca.crt", key_at: str = "ca.key") -> Self:
        """The authority of a PEM pair; the `_at` names stand in errors. Its dates are not judged here.

        Raises CertificateError if unreadable, not a pair, not a self-signed root, or not able to sign.
        """
        chain, private_key = read_pair(certificate, key, certificate_at, key_at)
        if not isinstance(private_key, SigningKey):
            raise CertificateError(key_at, "the key is neither ECDSA nor RSA", "create a new authority")
        if not _is_root(chain[0]):
            raise CertificateError(certificate_at, "is not a self-signed authority", "create a new authority")
        return cls(private_key, chain[0])


def is_ours(certificate: x509.Certificate) -> bool:
    """Whether this is an authority that Stateward made, as far as its subject and constraints say."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return bool(names) and str(names[0].value).startswith(_NAMED) and _is_root(certificate)


def _is_root(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)  # what a leaf's AKI points at
    except x509.ExtensionNotFound:
        return False
    return constraints.ca and issued_by(certificate, certificate)
