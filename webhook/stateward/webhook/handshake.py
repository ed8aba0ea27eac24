"""A handshake with a server as the API server does it: its bundle, the Service's name, nothing else trusted."""

from __future__ import annotations

import socket
import ssl

from cryptography import x509

from stateward.certs.errors import CertificateError
from stateward.certs.pem import certificate_pem, read_certificates

SECONDS = 5.0


class HandshakeError(Exception):
    """A server was not reached, or not trusted: `trust` says which."""

    def __init__(self, message: str, *, trust: bool) -> None:
        super().__init__(message)
        self.trust = trust


def handshake(host: str, port: int, name: str, bundle: bytes, *, seconds: float = SECONDS) -> x509.Certificate:
    """The certificate that is served at host:port to somebody who trusts `bundle` (PEM) and asks for `name`.

    Raises HandshakeError.
    """
    context = _context(bundle)
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            found = secured.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as error:
        raise HandshakeError(f"{host}:{port} is not trusted as {name}: {error.verify_message}", trust=True) from None
    except ssl.SSLError as error:
        raise HandshakeError(f"{host}:{port}: the handshake fails: {error.reason or error}", trust=True) from None
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise HandshakeError(f"{host}:{port} is not reached: {reason}", trust=False) from None
    if not found:
        raise HandshakeError(f"{host}:{port} shows no certificate", trust=True)
    return x509.load_der_x509_certificate(found)


def _context(bundle: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As Go verifies: an authority is any certificate of the bundle, and RFC 5280's finer points are not insisted on.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not bundle:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        context.load_verify_locations(cadata=certificate_pem(*read_certificates(bundle, "caBundle")).decode("ascii"))
    except (CertificateError, ssl.SSLError) as error:
        raise HandshakeError(f"the bundle cannot be used: {error}", trust=True) from None
    return context
