"""Certificates and private keys to and from PEM, and the questions asked of any pair of them."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from stateward.certs.errors import CertificateError

_PUT_BOTH = "put certificate and key of one issue there"


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    """The certificates as one PEM text, in the order given."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def key_pem(key: PrivateKeyTypes) -> bytes:
    """The private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_certificates(pem: bytes, at: str) -> tuple[x509.Certificate, ...]:
    """Every certificate in the PEM, at least one, parsed to the last extension. Raises CertificateError naming `at`."""
    _refuse_blank(pem, at)
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem))
        for certificate in certificates:
            # Parsed lazily: a damaged extension, date or key would otherwise surface far from here.
            _ = (certificate.extensions, certificate.public_key(), certificate.not_valid_before_utc)
            _ = certificate.not_valid_after_utc
    except (
        Exception
    ) as error:  # arbitrary bytes: the parser raises ValueError, DuplicateExtension, UnsupportedAlgorithm, ...
        raise CertificateError(at, f"holds no readable PEM certificate ({error})", _PUT_BOTH) from error
    return certificates


def read_key(pem: bytes, at: str) -> PrivateKeyTypes:
    """The first private key in the PEM (PKCS#8, PKCS#1 or SEC 1, unencrypted). Raises CertificateError naming `at`."""
    _refuse_blank(pem, at)
    try:
        return load_pem_private_key(pem, password=None)
    except TypeError as error:  # how cryptography says "encrypted"
        raise CertificateError(at, "the key is encrypted", "store it without a passphrase, with mode 0600") from error
    except Exception as error:  # the text of a parser's error never holds key bytes, but is long: its kind is enough
        raise CertificateError(at, f"holds no readable PEM private key ({type(error).__name__})", _PUT_BOTH) from error


def _refuse_blank(pem: bytes, at: str) -> None:
    if not pem.strip():
        raise CertificateError(at, "is empty", _PUT_BOTH)


def read_pair(
    certificate: bytes, key: bytes, certificate_at: str, key_at: str
) -> tuple[tuple[x509.Certificate, ...], PrivateKeyTypes]:
    """The chain (leaf first) and its key, known to belong together. CertificateError names the file at fault."""
    chain, private_key = read_certificates(certificate, certificate_at), read_key(key, key_at)
    if _spki(chain[0].public_key()) != _spki(private_key.public_key()):
        raise CertificateError(key_at, f"the key does not belong to the certificate in {certificate_at}", _PUT_BOTH)
    return chain, private_key


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the certificate carries the issuer's name and the signature of its key; dates are not looked at."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # wrong name, wrong signature, or an algorithm this build cannot check: not known to be issued
        return False
    return True


def untimely(certificate: x509.Certificate, now: datetime, spare: timedelta = timedelta()) -> str | None:
    """Why the certificate is out of its time at `now`, or within `spare` of the end; None if it is well inside.

    Both ends of the validity count as inside (RFC 5280 4.1.2.5). Raises ValueError if `now` has no time zone.
    """
    instant = aware(now)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if instant < begins:
        return f"not valid before {begins.isoformat()}, and it is {instant.isoformat()}"
    if instant > ends:
        return f"expired at {ends.isoformat()}"
    if instant > ends - spare:
        return f"expires soon, at {ends.isoformat()}"
    return None


def lifetime(certificate: x509.Certificate) -> timedelta:
    """From the first to the last instant of validity."""
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


def aware(now: datetime) -> datetime:
    """The instant itself; ValueError if it has no time zone, for a local time taken as UTC would move every date."""
    if now.utcoffset() is None:
        raise ValueError(f"now: {now.isoformat()} has no time zone; pass datetime.now(UTC)")
    return now
