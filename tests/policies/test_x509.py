"""Validity of certificates, beside what a real library says of the same ones."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime

import pytest
from cryptography import x509 as real
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from stateward.policies import x509

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = real.Name([real.NameAttribute(real.NameOID.COMMON_NAME, "authority " * 6)])


def certificate(begins: datetime, ends: datetime) -> real.Certificate:
    builder = real.CertificateBuilder(NAME, NAME, KEY.public_key(), 4711, begins, ends)
    return builder.sign(KEY, hashes.SHA256())


def pem(*certificates: real.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


OLD = certificate(datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 10, 2, 8, 30, tzinfo=UTC))
LONG = certificate(datetime(2026, 1, 1, tzinfo=UTC), datetime(2099, 6, 1, 12, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize("one", [OLD, LONG], ids=["two-digit years", "four-digit years"])
def test_the_times_are_those_that_a_library_reads(one: real.Certificate) -> None:
    found = x509.validity(one.public_bytes(serialization.Encoding.DER))
    assert found.begins == one.not_valid_before_utc.timestamp()
    assert found.ends == one.not_valid_after_utc.timestamp()


def test_a_bundle_holds_several_with_text_between() -> None:
    text = pem(OLD) + b"# the next authority\n" + pem(LONG)
    assert x509.certificates(text) == [x509.certificates(pem(OLD))[0], x509.certificates(pem(LONG))[0]]
    assert len(x509.bundle(base64.b64encode(text).decode())) == 2


@pytest.mark.parametrize("text", ["", "Cg==", "IAo="])
def test_an_empty_bundle_is_none(text: str) -> None:
    assert x509.bundle(text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no base64!", "no base64"),
        ("ü", "no base64"),
        (base64.b64encode(b"hello").decode(), "no PEM certificate"),
        (base64.b64encode(pem(OLD).replace(b"MII", b"AAA")).decode(), "is no certificate"),
        (base64.b64encode(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----").decode(), "is no certificate"),
        (base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----").decode(), "is no certificate"),
    ],
)
def test_what_is_no_certificate_says_why(text: str, problem: str) -> None:
    with pytest.raises(x509.NotACertificate, match=problem):
        x509.bundle(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_certificate_or_none(data: bytes) -> None:
    with contextlib.suppress(x509.NotACertificate):
        x509.validity(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_certificate_is_read_or_refused(place: int, value: int) -> None:
    data = bytearray(OLD.public_bytes(serialization.Encoding.DER))
    data[place % len(data)] = value
    with contextlib.suppress(x509.NotACertificate):
        x509.validity(bytes(data))
