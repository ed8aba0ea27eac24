"""A TLS server context whose certificate can be exchanged while it serves, and a client's context."""

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from stateward.certs.errors import CertificateError
from stateward.certs.names import uncovered
from stateward.certs.pem import aware, certificate_pem, key_pem, read_certificates, read_pair, untimely

_FOR_SERVERS = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


@dataclass(frozen=True, eq=False)
class _Serving:
    context: ssl.SSLContext
    certificate: x509.Certificate
    pair: tuple[bytes, bytes]


class HotContext:
    """Give `context` to the server once, then call `swap` whenever the certificate changes, from any thread.

    Each handshake takes the context that is current when its client hello arrives, with or without SNI; open
    connections keep theirs. Loading a new pair into a live context instead leaves it broken after a mismatched pair
    and keeps an RSA certificate beside a new ECDSA one (tried on OpenSSL 3). Before the first swap handshakes fail.

    With `client_ca` (PEM) clients are asked for a certificate. One of another authority fails the handshake; none at all
    is let in, for probes have none: whoever needs one asks the connection. Raises CertificateError if it is unreadable.
    """

    def __init__(self, client_ca: bytes = b"") -> None:
        self._serving: _Serving | None = None
        self._client_ca = _client_authorities(client_ca) if client_ca else ""
        self._base = _server_context(self._client_ca)
        self._base.sni_callback = self._choose

    @property
    def context(self) -> ssl.SSLContext:
        """The base context: holds no certificate itself; its protocol settings (TLS 1.2 or newer) apply to all."""
        return self._base

    @property
    def certificate(self) -> x509.Certificate | None:
        """The certificate that new handshakes get; None before the first swap."""
        serving = self._serving
        return serving.certificate if serving else None

    def swap(
        self,
        certificate: bytes,
        key: bytes,
        *,
        names: Iterable[str],
        now: datetime,
        certificate_at: str = "tls.crt",
        key_at: str = "tls.key",
    ) -> x509.Certificate:
        """Serve this PEM pair (a chain with the leaf first, and its key) from the next handshake on; returns the leaf.

        `names` are the DNS names and IP addresses clients will ask for (none: not checked); the `_at` names stand in
        errors. Raises CertificateError, and goes on serving as before, if a part does not parse, if the key is not the
        certificate's, if that is not valid at `now`, not for servers or not for a name, or if OpenSSL refuses the pair.
        """
        chain, private_key = read_pair(certificate, key, certificate_at, key_at)
        reason = _unfit(chain[0], names, now)
        if reason is not None:
            raise CertificateError(
                certificate_at, reason, "issue a new certificate; the former one, if any, is still served"
            )
        # Encoded again, so that OpenSSL loads what was checked: the parsers differ, on indented PEM for one.
        pair = certificate_pem(*chain), key_pem(private_key)
        context = _loaded(*pair, certificate_at, self._client_ca)
        # One reference: a handshake sees the old pair or the new, never a mixture.
        self._serving = _Serving(context, chain[0], pair)
        return chain[0]

    def trust_clients(self, client_ca: bytes) -> None:
        """Exchange the authorities of clients, from the next handshake on. Not from the thread of another `swap`.

        Raises CertificateError, and goes on as before, if the PEM is unreadable; ValueError if there were none at the
        start, for then no client is asked.
        """
        if not self._client_ca:
            raise ValueError("client_ca: none was given at the start, so that no client is asked for a certificate")
        self._client_ca = _client_authorities(client_ca)
        serving = self._serving
        if serving is not None:
            context = _loaded(*serving.pair, "client certificates", self._client_ca)
            self._serving = _Serving(context, serving.certificate, serving.pair)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _base: ssl.SSLContext) -> int | None:
        serving = self._serving
        if serving is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = serving.context
        return None


def days_left(certificate: x509.Certificate, now: datetime) -> float:
    """Days of 24 h from `now` until the certificate expires, negative afterwards; ValueError if `now` has no zone."""
    return (certificate.not_valid_after_utc - aware(now)) / timedelta(days=1)


def _server_context(client_ca: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_ca:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=client_ca)
    return context


def _client_authorities(pem: bytes) -> str:
    return certificate_pem(*read_certificates(pem, "client authorities")).decode("ascii")


def _unfit(certificate: x509.Certificate, names: Iterable[str], now: datetime) -> str | None:
    if reason := untimely(certificate, now):
        return reason
    if not _FOR_SERVERS & _usages(certificate):
        return "extended key usage does not include serverAuth"
    if missing := uncovered(certificate, names):
        return f"does not cover {', '.join(missing)}"
    return None


def _usages(certificate: x509.Certificate) -> frozenset[x509.ObjectIdentifier]:
    try:
        return frozenset(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return _FOR_SERVERS  # without the extension every use is allowed (RFC 5280 4.2.1.12)


def client_context(authorities: bytes, certificate: bytes, key: bytes) -> ssl.SSLContext:
    """A client's context: trusts these authorities alone, checks the name that is asked for, shows this pair (PEM).

    Raises CertificateError where a part cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=certificate_pem(*read_certificates(authorities, "authorities")).decode("ascii"))
    return _with_pair(context, certificate, key, "client certificate")


def _loaded(certificate: bytes, key: bytes, certificate_at: str, client_ca: str) -> ssl.SSLContext:
    """A fresh server context with this pair."""
    return _with_pair(_server_context(client_ca), certificate, key, certificate_at)


def _with_pair(context: ssl.SSLContext, certificate: bytes, key: bytes, certificate_at: str) -> ssl.SSLContext:
    """Loads a pair by way of a private folder, for Python's ssl loads from files only."""
    try:
        with TemporaryDirectory(prefix="stateward-") as folder:  # mode 0700; removed on every way out
            certificate_file, key_file = Path(folder, "tls.crt"), Path(folder, "tls.key")
            for path, content in ((certificate_file, certificate), (key_file, key)):
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(content)
            context.load_cert_chain(certificate_file, key_file)
    except ssl.SSLError as error:  # a key below OpenSSL's security level, for one
        raise CertificateError(certificate_at, f"OpenSSL refuses it ({error})", "issue it with ECDSA P-256") from error
    except OSError as error:
        raise CertificateError(
            str(error.filename or "temporary folder"),
            f"cannot be written ({error.strerror or error}), and TLS keys are loaded from there",
            "set TMPDIR to a writable folder (in a pod: mount an emptyDir)",
        ) from error
    return context
