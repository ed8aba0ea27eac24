"""SCRAM-SHA-256 verifiers, as PostgreSQL keeps them: made here, so that no server is ever told a password.

The format: https://www.postgresql.org/docs/current/catalog-pg-authid.html; how it is made: RFC 5802 and RFC 7677.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

ITERATIONS: Final = 4096
_SALT: Final = 16
_METHOD: Final = "SCRAM-SHA-256"


def verifier(password: str, salt: bytes = b"", iterations: int = ITERATIONS) -> str:
    """What a server needs to let in who knows the password, and nothing that lets anybody in.

    The password is of ASCII letters and digits, which SASLprep leaves as they are.
    """
    salt = salt or secrets.token_bytes(_SALT)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"{_METHOD}${iterations}:{_text(salt)}${_text(stored)}:{_text(server)}"


def fits(password: str, kept: str) -> bool:
    """Whether a verifier is of this password; one of another format, or none, is of no password."""
    method, _, rest = kept.partition("$")
    count, _, salt = rest.partition("$")[0].partition(":")
    if method != _METHOD or not count.isdecimal() or not 0 < int(count) < 10**7:
        return False
    try:
        raw = base64.b64decode(salt, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(raw) and hmac.compare_digest(verifier(password, raw, int(count)), kept)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
