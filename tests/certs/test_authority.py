"""The authority and its leaves: every field a client checks, and clients that check."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.certs.authority import Authority, Leaf
from stateward.certs.errors import CertificateError
from stateward.certs.names import uncovered

SOME_DAY = datetime(2026, 11, 21, 9, 30, 15, 999_999, tzinfo=UTC)
NAMES = ("stateward.stateward.svc", "localhost", "127.0.0.1", "::1")


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def test_a_root_may_sign_leaves_and_nothing_deeper():
    root = Authority.create(SOME_DAY).certificate
    constraints, usage = extension(root, x509.BasicConstraints), extension(root, x509.KeyUsage)
    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(ca=True, path_length=0))
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    assert extension(root, x509.SubjectKeyIdentifier).value.digest
    assert isinstance(root.public_key(), ec.EllipticCurvePublicKey)
    assert root.public_key().curve.name == "secp256r1"
    root.verify_directly_issued_by(root)


def test_two_generations_of_one_day_have_different_subjects_and_serials():
    first, second = Authority.create(SOME_DAY).certificate, Authority.create(SOME_DAY).certificate
    assert first.subject != second.subject
    assert first.serial_number != second.serial_number
    name = first.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    key_id = extension(first, x509.SubjectKeyIdentifier).value.digest.hex()
    assert name == f"Stateward authority 2026-11-21 {key_id[:8]}"


def test_the_day_in_the_subject_is_the_day_in_utc():
    before_midnight_in_new_york = datetime(2026, 11, 21, 23, 0, tzinfo=timezone(timedelta(hours=-5)))
    assert " 2026-11-22 " in Authority.create(before_midnight_in_new_york).certificate.subject.rfc4514_string()


def test_serials_are_long_random_and_fit_in_20_octets():
    authority = Authority.create(SOME_DAY)
    serials = {authority.issue(["localhost"], SOME_DAY).certificate.serial_number for _ in range(30)}
    assert len(serials) == 30
    assert max(serials).bit_length() > 128
    assert all(0 < serial < 1 << 159 for serial in serials)


def test_validity_begins_five_minutes_early_and_ends_on_the_second():
    authority = Authority.create(SOME_DAY, lifetime=timedelta(days=10))
    leaf = authority.issue(NAMES, SOME_DAY + timedelta(days=1), lifetime=timedelta(days=2)).certificate
    second = SOME_DAY.replace(microsecond=0)
    assert authority.certificate.not_valid_before_utc == second - timedelta(minutes=5)
    assert authority.certificate.not_valid_after_utc == second + timedelta(days=10)
    assert leaf.not_valid_before_utc == second + timedelta(days=1, minutes=-5)
    assert leaf.not_valid_after_utc == second + timedelta(days=3)


def test_lifetimes_default_to_ten_years_and_ninety_days():
    authority = Authority.create(SOME_DAY)
    leaf = authority.issue(NAMES, SOME_DAY).certificate
    second = SOME_DAY.replace(microsecond=0)
    assert authority.certificate.not_valid_after_utc - second == timedelta(days=3650)
    assert leaf.not_valid_after_utc - second == timedelta(days=90)


def test_a_leaf_never_lives_outside_its_authority():
    authority = Authority.create(SOME_DAY, lifetime=timedelta(days=30))
    root = authority.certificate
    assert authority.issue(NAMES, SOME_DAY).certificate.not_valid_after_utc == root.not_valid_after_utc
    first_moment = root.not_valid_before_utc
    assert authority.issue(NAMES, first_moment).certificate.not_valid_before_utc == first_moment


@pytest.mark.parametrize("days", [-1, 31])
def test_an_authority_out_of_its_time_issues_nothing(days):
    authority = Authority.create(SOME_DAY, lifetime=timedelta(days=30))
    with pytest.raises(CertificateError, match=r"CN=Stateward authority .*(expired at|not valid before).*new authority"):
        authority.issue(NAMES, SOME_DAY + timedelta(days=days))


def test_a_leaf_carries_what_strict_clients_ask_for():
    authority = Authority.create(SOME_DAY)
    leaf = authority.issue(NAMES, SOME_DAY).certificate
    key_id = extension(authority.certificate, x509.SubjectKeyIdentifier).value.digest
    assert extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier == key_id
    assert extension(leaf, x509.SubjectKeyIdentifier).value.digest != key_id
    assert list(extension(leaf, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert extension(leaf, x509.BasicConstraints).value.ca is False
    usage = extension(leaf, x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert leaf.subject != leaf.issuer
    leaf.verify_directly_issued_by(authority.certificate)


def test_names_that_parse_as_addresses_become_addresses():
    san = extension(
        Authority.create(SOME_DAY).issue([*NAMES, "LOCALHOST"], SOME_DAY).certificate, x509.SubjectAlternativeName
    )
    assert san.value.get_values_for_type(x509.DNSName) == ["stateward.stateward.svc", "localhost"]
    assert san.value.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", "-a.b", "a..b", "localhost.", "x" * 64, ".".join(["x" * 60] * 5), "ä.de", "a.*.b", "*", "*."),
        *("10.0.0.256", "fe80::1%eth0", "[::1]", "https://a", "a:443"),
    ],
)
def test_a_name_no_client_can_verify_is_refused_by_name(name):
    with pytest.raises(CertificateError) as refused:
        Authority.create(SOME_DAY).issue(["localhost", name], SOME_DAY)
    assert refused.value.where == "names"
    assert repr(name) in str(refused.value)


@pytest.mark.parametrize("names", [(), "localhost"])
def test_no_names_or_one_string_for_a_list_is_refused(names):
    with pytest.raises(CertificateError, match="names: "):
        Authority.create(SOME_DAY).issue(names, SOME_DAY)


def test_a_time_without_zone_is_a_mistake_of_the_caller():
    local = datetime(2026, 11, 21)
    with pytest.raises(ValueError, match="no time zone"):
        Authority.create(local)
    with pytest.raises(ValueError, match="no time zone"):
        Authority.create(SOME_DAY).issue(NAMES, local)


def test_a_wildcard_covers_one_label_and_case_does_not_matter():
    leaf = Authority.create(SOME_DAY).issue(["*.example.org", "10.0.0.1"], SOME_DAY).certificate
    assert uncovered(leaf, ["a.example.org", "A.Example.ORG", "10.0.0.1", "*.example.org"]) == ()
    beyond = ("example.org", "a.b.example.org", "10.0.0.2", "org")
    assert uncovered(leaf, beyond) == beyond


def test_an_independent_web_verifier_accepts_the_chain_for_each_name():
    authority = Authority.create(SOME_DAY)
    leaf = authority.issue(NAMES, SOME_DAY).certificate
    builder = PolicyBuilder().store(Store([authority.certificate])).time(SOME_DAY + timedelta(days=1))
    for name in NAMES[:2]:
        assert len(builder.build_server_verifier(x509.DNSName(name)).verify(leaf, [])) == 2
    for name in NAMES[2:]:
        address = x509.IPAddress(ipaddress.ip_address(name))
        assert len(builder.build_server_verifier(address).verify(leaf, [])) == 2
    with pytest.raises(VerificationError):
        builder.build_server_verifier(x509.DNSName("other.svc")).verify(leaf, [])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_strict_python_client_accepts_a_leaf_by_name_and_by_address(now, tmp_path, serving, trusting, version):
    authority = Authority.create(now)
    leaf = authority.issue(NAMES, now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, content in zip(("tls.crt", "tls.key"), leaf.to_pem(), strict=True):
        (tmp_path / name).write_bytes(content)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    client = trusting(authority.bundle, minimum_version=version, maximum_version=version)
    with serving(context) as server:
        assert client.certificate(server.port, "localhost") == leaf.certificate
        assert client.certificate(server.port, "127.0.0.1") == leaf.certificate
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            client.certificate(server.port, "other.svc")
        with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed|unable to get local issuer"):
            trusting(Authority.create(now).bundle).certificate(server.port)


def test_authority_and_leaf_survive_pem():
    authority = Authority.create(SOME_DAY)
    again = Authority.from_pem(*authority.to_pem())
    assert again.certificate == authority.certificate
    assert again.bundle == authority.bundle == authority.to_pem()[0]
    leaf = again.issue(NAMES, SOME_DAY)
    leaf.certificate.verify_directly_issued_by(authority.certificate)
    assert Leaf.from_pem(*leaf.to_pem()).to_pem() == leaf.to_pem()


def test_an_rsa_root_made_elsewhere_issues_too(now):
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ours")])
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), 2 << 100, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(b"not a hash of the key"), critical=False)
        .sign(key, SHA256())
    )
    pkcs1 = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    leaf = Authority.from_pem(root.public_bytes(Encoding.PEM), pkcs1).issue(["localhost"], now).certificate
    leaf.verify_directly_issued_by(root)
    assert extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier == b"not a hash of the key"


def bad_authorities():
    authority = Authority.create(SOME_DAY)
    certificate, key = authority.to_pem()
    pkcs8 = PrivateFormat.PKCS8
    locked = authority.key.private_bytes(Encoding.PEM, pkcs8, BestAvailableEncryption(b"secret"))
    other = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ed25519")])
    ends = SOME_DAY + timedelta(days=1)
    foreign = x509.CertificateBuilder(name, name, other.public_key(), 2 << 100, SOME_DAY, ends).sign(other, None)
    leaf_pem = authority.issue(NAMES, SOME_DAY).to_pem()
    return {
        "an empty certificate": (b"", key, "ca.crt", "is empty"),
        "a blank key": (certificate, b" \n", "ca.key", "is empty"),
        "half a certificate": (certificate[: len(certificate) // 2], key, "ca.crt", "no readable PEM certificate"),
        "half a key": (certificate, key[: len(key) // 2], "ca.key", "no readable PEM private key"),
        "binary noise": (b"\x00\xff" * 99, key, "ca.crt", "no readable PEM certificate"),
        "an encrypted key": (certificate, locked, "ca.key", "encrypted"),
        "another key": (certificate, Authority.create(SOME_DAY).to_pem()[1], "ca.key", "does not belong"),
        "a leaf": (*leaf_pem, "ca.crt", "not a self-signed authority"),
        "an Ed25519 root": (
            foreign.public_bytes(Encoding.PEM),
            other.private_bytes(Encoding.PEM, pkcs8, NoEncryption()),
            "ca.key",
            "neither ECDSA nor RSA",
        ),
    }


@pytest.mark.parametrize("case", bad_authorities())
def test_what_is_no_authority_is_refused_with_the_file_at_fault(case):
    certificate, key, where, problem = bad_authorities()[case]
    with pytest.raises(CertificateError) as refused:
        Authority.from_pem(certificate, key)
    assert refused.value.where == where
    assert problem in refused.value.problem
    assert str(refused.value) == f"{where}: {refused.value.problem}; {refused.value.next_step}"


ROOT_PEM = Authority.create(SOME_DAY).to_pem()


@settings(deadline=None, max_examples=150)
@given(which=st.sampled_from([0, 1]), place=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_gives_the_same_authority_or_a_certificate_error(which, place, byte, cut):
    damaged = list(ROOT_PEM)
    place %= len(damaged[which])
    damaged[which] = damaged[which][:place] + bytes([byte]) + (b"" if cut else damaged[which][place + 1 :])
    try:
        authority = Authority.from_pem(*damaged)
    except CertificateError as error:
        assert error.where == ("ca.crt", "ca.key")[which] or "does not belong" in error.problem  # noqa: PT017
    else:
        assert authority.bundle == ROOT_PEM[0]
