"""TLS handshakes with members: what a member shows, whether it accepts what is shown to it, and why one failed."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from stateward.certs.authority import Leaf
from stateward.certs.context import client_context
from stateward.certs.errors import CertificateError
from stateward.operator.drivers.protocol import Shake, Target

_SECONDS: Final = 2.0
_ALERTS: Final = {
    "UNKNOWN_CA": "it does not trust the authority of our certificate",
    "BAD_CERTIFICATE": "it does not accept our certificate",
    "CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "CERTIFICATE_EXPIRED": "it finds our certificate expired",
    "CERTIFICATE_REQUIRED": "it wants a certificate of ours",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "HTTP_REQUEST": "it does not speak TLS",
}


def shake(target: Target, port: str, leaf: Leaf | None = None) -> Shake:
    """Connects, shakes hands and goes. `leaf`: shown instead of the operator's own."""
    tls = target.access.tls
    if tls is None:
        return Shake(False, reason="there are no certificates yet to ask it with")
    try:
        context = client_context(tls.bundle, *(leaf or tls.leaf).to_pem())
    except CertificateError as error:
        return Shake(False, reason=str(error))
    # With 1.3 a client's handshake is over before the server has looked at its certificate.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with (
            socket.create_connection((target.host, target.ports[port]), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=target.known) as secured,
        ):
            return Shake(True, hashlib.sha256(secured.getpeercert(True) or b"").digest())
    except OSError as error:
        return Shake(False, reason=why(error) or f"no answer ({type(error).__name__})")


def why(error: BaseException) -> str:
    """What was wrong with certificates, in plain words; "" where it was something else."""
    for one in _causes(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {one.verify_message}"
        if isinstance(one, ssl.SSLEOFError):
            continue  # it closed without a word, or before its word has come
        if isinstance(one, ssl.SSLError):
            said = one.reason or ""
            found = next((text for name, text in _ALERTS.items() if said.endswith(name)), "")
            return f"no TLS with it: {found or said or type(one).__name__}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was made of: urllib3 wraps what ssl says."""
    seen: list[BaseException] = [error]
    while seen:
        one = seen.pop(0)
        yield one
        seen += [inner for inner in (*one.args, one.__cause__, one.__context__) if isinstance(inner, BaseException)]
