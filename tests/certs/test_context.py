"""The hot context under real handshakes: what it serves, what it refuses to load; neither may disturb a client."""

import ssl
import stat
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stateward.certs.authority import Authority, Leaf
from stateward.certs.context import HotContext, days_left
from stateward.certs.errors import CertificateError

NAMES = ("localhost", "127.0.0.1")
# asyncio closes after a failed handshake without always sending the alert: the client sees the alert or the end.
REFUSED, REFUSAL = (ssl.SSLError, ConnectionError), r"INTERNAL_ERROR|HANDSHAKE_FAILURE|EOF occurred|reset by peer"
BOTH_VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture
def authority(now):
    return Authority.create(now)


@pytest.fixture
def leaf(authority, now):
    return authority.issue(NAMES, now)


@pytest.fixture
def hot(leaf, now):
    """A hot context that serves `leaf`."""
    context = HotContext()
    context.swap(*leaf.to_pem(), names=NAMES, now=now)
    return context


def signed_by(issuer, now, key, *, usage=ExtendedKeyUsageOID.SERVER_AUTH, is_authority=False):
    """A leaf (or an intermediate) for localhost with a key of another kind, signed by the issuer."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "intermediate" if is_authority else "leaf")])
    issuer_id = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder(issuer.certificate.subject, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if is_authority:
        root_usage = issuer.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        builder = builder.add_extension(root_usage, critical=True)
    else:
        san = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        builder = builder.add_extension(san, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Leaf(key, builder.sign(issuer.key, SHA256()))


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


@BOTH_VERSIONS
def test_before_the_first_swap_every_handshake_is_refused_and_the_first_swap_cures_it(
    authority, leaf, now, serving, trusting, version
):
    hot = HotContext()
    client = trusting(authority.bundle, minimum_version=version, maximum_version=version)
    with serving(hot.context) as server:
        assert hot.certificate is None
        for name in NAMES:
            with pytest.raises(REFUSED, match=REFUSAL):
                client.certificate(server.port, name)
        assert hot.swap(*leaf.to_pem(), names=NAMES, now=now) == leaf.certificate == hot.certificate
        assert client.certificate(server.port) == leaf.certificate


@BOTH_VERSIONS
def test_a_swap_is_seen_by_the_next_handshake_and_not_by_open_connections(
    authority, leaf, hot, now, serving, trusting, say, version
):
    client = trusting(authority.bundle, minimum_version=version, maximum_version=version)
    renewed = authority.issue(NAMES, now)
    with serving(hot.context) as server, client.connected(server.port) as open_connection:
        assert say(open_connection, b"before\n") == b"before\n"
        hot.swap(*renewed.to_pem(), names=NAMES, now=now)
        assert client.certificate(server.port) == renewed.certificate
        assert say(open_connection, b"after\n") == b"after\n"
        assert x509.load_der_x509_certificate(open_connection.getpeercert(binary_form=True)) == leaf.certificate


def test_no_handshake_fails_while_another_thread_swaps(authority, hot, now, serving, trusting):
    leaves = [authority.issue(NAMES, now) for _ in range(60)]
    known = {hot.certificate, *(leaf.certificate for leaf in leaves)}
    seen, failures, stop = [], [], threading.Event()

    def keep_connecting(name):
        client = trusting(authority.bundle)
        while not stop.is_set():
            try:
                seen.append(client.certificate(server.port, name))
            except Exception as error:
                failures.append(error)

    with serving(hot.context) as server:
        clients = [threading.Thread(target=keep_connecting, args=(name,)) for name in (*NAMES, *NAMES)]
        for thread in clients:
            thread.start()
        observer = trusting(authority.bundle)
        for leaf in leaves:
            hot.swap(*leaf.to_pem(), names=NAMES, now=now)
            assert observer.certificate(server.port) == leaf.certificate
        stop.set()
        for thread in clients:
            thread.join(5)
    assert failures == []
    assert set(seen) <= known
    assert len(set(seen)) > 10, "the clients did not run beside the swaps"


def test_swaps_from_many_threads_end_in_one_whole_pair(authority, hot, now, serving, trusting):
    leaves = [authority.issue(NAMES, now) for _ in range(16)]
    threads = [threading.Thread(target=hot.swap, args=leaf.to_pem(), kwargs={"names": NAMES, "now": now}) for leaf in leaves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert hot.certificate in [leaf.certificate for leaf in leaves]
    with serving(hot.context) as server:
        assert trusting(authority.bundle).certificate(server.port) == hot.certificate


def unusable_pairs(authority, now):
    """What a mounted Secret or a folder may hold for a while, with the file and the reason the error must name."""
    certificate, key = authority.issue(NAMES, now).to_pem()
    weak_key = rsa.generate_private_key(65537, 1024)  # noqa: S505
    client_only = signed_by(authority, now, ec.generate_private_key(ec.SECP256R1()), usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    expired = authority.issue(NAMES, now, lifetime=timedelta(seconds=-1))
    future = Authority.create(now + timedelta(days=1)).issue(NAMES, now + timedelta(days=1))
    elsewhere = authority.issue(["localhost"], now)
    return {
        "a mismatched pair": (certificate, authority.issue(NAMES, now).to_pem()[1], "tls.key", "does not belong"),
        "an empty certificate": (b"", key, "tls.crt", "is empty"),
        "an empty key": (certificate, b"", "tls.key", "is empty"),
        "half a certificate": (certificate[:300], key, "tls.crt", "no readable"),
        "half a key": (certificate, key[:100], "tls.key", "no readable"),
        "a certificate for a key": (certificate, certificate, "tls.key", "no readable"),
        "an expired certificate": (*expired.to_pem(), "tls.crt", "expired at"),
        "one of tomorrow": (*future.to_pem(), "tls.crt", "not valid before"),
        "one without the address": (*elsewhere.to_pem(), "tls.crt", "does not cover 127.0.0.1"),
        "a root": (*authority.to_pem(), "tls.crt", "does not cover localhost, 127.0.0.1"),
        "one for clients": (*client_only.to_pem(), "tls.crt", "serverAuth"),
        "a key OpenSSL thinks weak": (*signed_by(authority, now, weak_key).to_pem(), "tls.crt", "OpenSSL refuses"),
    }


def test_an_unusable_pair_is_named_and_leaves_the_old_one_serving(authority, leaf, hot, now, serving, trusting):
    client = trusting(authority.bundle)
    with serving(hot.context) as server:
        for case, (certificate, key, where, problem) in unusable_pairs(authority, now).items():
            names = ["localhost"] if case == "a key OpenSSL thinks weak" else NAMES
            with pytest.raises(CertificateError) as refused:
                hot.swap(certificate, key, names=names, now=now)
            assert refused.value.where == where, case
            assert problem in refused.value.problem, case
            assert hot.certificate == leaf.certificate, case
            for name in NAMES:
                assert client.certificate(server.port, name) == leaf.certificate, case


def test_the_error_names_the_files_the_caller_read(hot, leaf, now):
    places = {"certificate_at": "/certs/tls.crt", "key_at": "/certs/tls.key"}
    with pytest.raises(CertificateError, match=r"^/certs/tls\.key: is empty"):
        hot.swap(leaf.to_pem()[0], b"", names=NAMES, now=now, **places)
    with pytest.raises(CertificateError, match=r"^/certs/tls\.crt: does not cover other\.svc; issue"):
        hot.swap(*leaf.to_pem(), names=["other.svc"], now=now, **places)


def test_a_file_cut_at_any_length_never_disturbs_the_old_pair(authority, leaf, hot, now, serving, trusting):
    certificate, key = authority.issue(NAMES, now).to_pem()
    # The end is left out: without its last newline a PEM text is still whole.
    halves = [(certificate[:length], key) for length in range(0, len(certificate) - 1, 37)]
    halves += [(certificate, key[:length]) for length in range(0, len(key) - 1, 17)]
    with serving(hot.context) as server:
        for pair in halves:
            with pytest.raises(CertificateError):
                hot.swap(*pair, names=NAMES, now=now)
        assert trusting(authority.bundle).certificate(server.port) == leaf.certificate


def test_from_rsa_to_ecdsa_nothing_of_the_rsa_pair_stays(authority, now, serving, trusting, rsa_key):
    hot = HotContext()
    old, new = signed_by(authority, now, rsa_key), authority.issue(NAMES, now)
    hot.swap(*old.to_pem(), names=["localhost"], now=now)
    any_client = trusting(authority.bundle)
    rsa_client = trusting(authority.bundle, maximum_version=ssl.TLSVersion.TLSv1_2)
    rsa_client.context.set_ciphers("aRSA")
    with serving(hot.context) as server:
        assert any_client.certificate(server.port) == rsa_client.certificate(server.port) == old.certificate
        hot.swap(*new.to_pem(), names=NAMES, now=now)
        assert any_client.certificate(server.port) == new.certificate
        with pytest.raises(REFUSED, match=REFUSAL):
            rsa_client.certificate(server.port)
        hot.swap(*old.to_pem(), names=["localhost"], now=now)
        assert any_client.certificate(server.port) == rsa_client.certificate(server.port) == old.certificate


def test_an_address_is_served_and_verified_without_sni(authority, leaf, hot, serving, trusting):
    asked = []
    choose = hot.context.sni_callback
    hot.context.sni_callback = lambda connection, name, base: (asked.append(name), choose(connection, name, base))[1]
    with serving(hot.context) as server:
        assert trusting(authority.bundle).certificate(server.port, "127.0.0.1") == leaf.certificate
        assert trusting(authority.bundle).certificate(server.port, "localhost") == leaf.certificate
    assert asked == [None, "localhost"]


@pytest.mark.parametrize("old_first", [True, False])
def test_with_both_authorities_in_the_bundle_a_rotation_is_not_noticed(
    authority, leaf, hot, now, serving, trusting, old_first
):
    successor = Authority.create(now)
    bundles = (authority.bundle, successor.bundle)
    client = trusting(b"".join(bundles if old_first else reversed(bundles)))
    with serving(hot.context) as server:
        assert client.certificate(server.port) == leaf.certificate
        renewed = successor.issue(NAMES, now)
        hot.swap(*renewed.to_pem(), names=NAMES, now=now)
        assert client.certificate(server.port) == renewed.certificate
        with pytest.raises(ssl.SSLCertVerificationError):
            trusting(authority.bundle).certificate(server.port)


def test_intermediates_in_the_file_are_sent_along(now, serving, trusting):
    root = Authority.create(now)
    name = root.certificate.subject
    deep = (  # our own roots have path length 0
        x509.CertificateBuilder(name, name, root.key.public_key(), 2 << 100, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(root.certificate.extensions.get_extension_for_class(x509.KeyUsage).value, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root.key.public_key()), critical=False)
        .sign(root.key, SHA256())
    )
    root = Authority(root.key, deep)
    between = signed_by(root, now, ec.generate_private_key(ec.SECP256R1()), is_authority=True)
    leaf = signed_by(between, now, ec.generate_private_key(ec.SECP256R1()))
    hot = HotContext()
    with serving(hot.context) as server:
        hot.swap(leaf.to_pem()[0], leaf.to_pem()[1], names=["localhost"], now=now)
        with pytest.raises(ssl.SSLCertVerificationError):
            trusting(root.bundle).certificate(server.port)
        hot.swap(leaf.to_pem()[0] + between.to_pem()[0], leaf.to_pem()[1], names=["localhost"], now=now)
        assert trusting(root.bundle).certificate(server.port) == leaf.certificate


@pytest.mark.parametrize("kind", ["RSA", "ECDSA"])
def test_keys_in_the_older_formats_are_served(authority, now, serving, trusting, rsa_key, kind):
    key = rsa_key if kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
    leaf = signed_by(authority, now, key)
    older = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    if kind == "ECDSA":  # as `openssl ecparam -genkey` writes it
        older = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + older
    hot = HotContext()
    hot.swap(leaf.to_pem()[0], older, names=["localhost"], now=now)
    with serving(hot.context) as server:
        assert trusting(authority.bundle).certificate(server.port) == leaf.certificate


def test_a_certificate_indented_by_a_slip_in_yaml_is_served(authority, leaf, now, serving, trusting):
    hot = HotContext()
    certificate, key = leaf.to_pem()
    hot.swap(b"  " + certificate.replace(b"\n", b"\n  "), key, names=NAMES, now=now)
    with serving(hot.context) as server:
        assert trusting(authority.bundle).certificate(server.port) == leaf.certificate


def test_the_key_is_on_disk_only_while_it_is_loaded_and_only_for_its_owner(hot, leaf, now, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes = []
    load = ssl.SSLContext.load_cert_chain

    def spy(context, certificate, key):
        modes.extend(stat.S_IMODE(Path(path).stat().st_mode) for path in (Path(key).parent, key))
        load(context, certificate, key)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy, raising=False)
    hot.swap(*leaf.to_pem(), names=NAMES, now=now)
    assert modes == [0o700, 0o600]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fault", [ssl.SSLError("ca md too weak"), OSError(28, "No space left on device"), KeyboardInterrupt()]
)
def test_a_load_that_fails_leaves_no_key_behind_and_the_old_pair_serving(
    hot, authority, leaf, now, tmp_path, monkeypatch, serving, trusting, fault
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail(context, certificate, key):
        assert Path(key).read_bytes().startswith(b"-----BEGIN PRIVATE KEY")
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(ssl.SSLContext, "load_cert_chain", fail, raising=False)
        with pytest.raises(KeyboardInterrupt if isinstance(fault, KeyboardInterrupt) else CertificateError):
            hot.swap(*authority.issue(NAMES, now).to_pem(), names=NAMES, now=now)
    assert list(tmp_path.iterdir()) == []
    with serving(hot.context) as server:
        assert trusting(authority.bundle).certificate(server.port) == leaf.certificate


def test_without_a_writable_temporary_folder_the_error_says_what_to_do(hot, leaf, now, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(CertificateError, match=r"file/stateward-.*cannot be written \(Not a directory\).*TMPDIR.*emptyDir"):
        hot.swap(*leaf.to_pem(), names=NAMES, now=now)


def test_no_names_means_names_are_not_checked(hot, authority, now):
    elsewhere = authority.issue(["stateward.stateward.svc"], now)
    assert hot.swap(*elsewhere.to_pem(), names=(), now=now) == elsewhere.certificate
    with pytest.raises(CertificateError, match="one string 'localhost' instead of a list"):
        hot.swap(*elsewhere.to_pem(), names="localhost", now=now)


def test_the_instant_of_the_check_is_the_callers(hot, leaf):
    later = leaf.certificate.not_valid_after_utc
    hot.swap(*leaf.to_pem(), names=NAMES, now=later)
    with pytest.raises(CertificateError, match="expired at"):
        hot.swap(*leaf.to_pem(), names=NAMES, now=later + timedelta(seconds=1))
    with pytest.raises(ValueError, match="no time zone"):
        hot.swap(*leaf.to_pem(), names=NAMES, now=later.replace(tzinfo=None))


def test_nothing_older_than_tls_1_2_is_spoken():
    assert HotContext().context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_days_left_counts_down_through_zero():
    begin = datetime(2026, 11, 21, tzinfo=UTC)
    certificate = Authority.create(begin, lifetime=timedelta(days=2)).certificate
    assert days_left(certificate, begin) == 2
    assert days_left(certificate, begin + timedelta(hours=36)) == 0.5
    assert days_left(certificate, begin + timedelta(days=5)) == -3
    with pytest.raises(ValueError, match="no time zone"):
        days_left(certificate, datetime(2026, 11, 21))
