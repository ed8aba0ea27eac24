"""When certificates are valid: PEM and just enough DER for two times (RFC 5280, 4.1; X.690)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

from stateward.policies import times

_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.{1,65536}?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC: Final = 0x17
_GENERALIZED: Final = 0x18


class Validity(NamedTuple):
    """Seconds since the epoch."""

    begins: float
    ends: float


class NotACertificate(ValueError):  # noqa: N818 - it is one or it is none
    """What is no certificate."""


def bundle(text: str) -> list[Validity]:
    """The certificates of a `caBundle` (base64 of PEM), in its order; none where it is empty or blank.

    Raises NotACertificate where something stands there that is none.
    """
    try:
        pem = base64.b64decode(re.sub(r"\s", "", text), validate=True)
    except (binascii.Error, ValueError):
        raise NotACertificate("is no base64") from None
    return certificates(pem)


def certificates(pem: bytes) -> list[Validity]:
    """The certificates in a PEM text; none where it is blank. Raises NotACertificate."""
    if not pem.strip():
        return []
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise NotACertificate("holds no PEM certificate")
    found = []
    for block in blocks:
        try:
            found.append(validity(base64.b64decode(re.sub(rb"\s", b"", block), validate=True)))
        except (binascii.Error, ValueError):
            raise NotACertificate("holds a PEM block that is no certificate") from None
    return found


def validity(der: bytes) -> Validity:
    """From when to when a certificate is valid. Raises NotACertificate."""
    certificate = _inside(der, _SEQUENCE)
    rest = _inside(certificate, _SEQUENCE)
    tag, _, after = _element(rest)
    if tag == _VERSION:
        rest = after
    for _ in ("serial number", "signature algorithm", "issuer"):
        _, _, rest = _element(rest)
    span = _inside(rest, _SEQUENCE)
    first, begins, rest = _element(span)
    second, ends, _ = _element(rest)
    return Validity(_time(first, begins), _time(second, ends))


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """(tag, content, what follows) of the first element."""
    if len(data) < 2:
        raise NotACertificate("ends too early")
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or len(data) < 2 + count:
            raise NotACertificate("a length cannot be read")
        length, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    if len(data) < start + length:
        raise NotACertificate("ends too early")
    return tag, data[start : start + length], data[start + length :]


def _inside(data: bytes, wanted: int) -> bytes:
    tag, content, _ = _element(data)
    if tag != wanted:
        raise NotACertificate("is built otherwise")
    return content


def _time(tag: int, content: bytes) -> float:
    text = content.decode("ascii", "replace")
    if tag == _UTC and re.fullmatch(r"\d{12}Z", text):
        text = ("20" if int(text[:2]) < 50 else "19") + text
    elif tag != _GENERALIZED or not re.fullmatch(r"\d{14}Z", text):
        raise NotACertificate("a time cannot be read")
    moment = times.parse(f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:14]}Z")
    if moment is None:
        raise NotACertificate("a time cannot be read")
    return moment
