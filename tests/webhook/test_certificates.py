"""Certificates from a folder, ours or somebody else's, exchanged under real TLS; certificates of clients."""

import http.client
import shutil
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from stateward.certs.authority import Authority
from stateward.certs.errors import CertificateError
from stateward.certs.folder import CertificateFolder
from stateward.certs.pem import certificate_pem, key_pem
from stateward.policies.policy import DEFAULT
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook.app import build
from stateward.webhook.certificates import Certificates, MountedCertificates
from stateward.webhook.clients import Clients
from stateward.webhook.handshake import HandshakeError, handshake
from stateward.webhook.server import Server, listen

NAMES = ("stateward.stateward.svc", "localhost")
JSON = {"content-type": "application/json"}
RATE = 200.0  # calls a second that a load tries for


@contextmanager
def served(certificates, clients=None):
    app = build(EMPTY_VIEW, DEFAULT)
    with Server(app, listen("127.0.0.1", 0), context=certificates.hot.context, clients=clients) as server:
        yield server.port


def strict(bundle):
    """A client as Python 3.13 and later make it: stricter than any API server."""
    context = ssl.create_default_context(cadata=bundle.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


class Connection(http.client.HTTPSConnection):
    """To 127.0.0.1, asking for the Service's name, as an API server does."""

    def connect(self):
        plain = socket.create_connection((self.host, self.port), self.timeout)
        try:
            self.sock = self._context.wrap_socket(plain, server_hostname=NAMES[0])
        except BaseException:
            plain.close()
            raise


def post(port, context, body, connection=None):
    connection = connection or Connection("127.0.0.1", port, timeout=10, context=context)
    connection.request("POST", "/validate?timeout=5s", body, JSON)
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, content


class Load:
    """Calls that trust what is published at their moment and nothing else: half on new connections, half on kept ones."""

    def __init__(self, port, published, body, threads=4):
        self.port, self.published, self.body = port, published, body
        self.count, self.failures = 0, []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(threads)]
        self._pause = threads / RATE

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self, kept):
        trusted, connection = None, None
        while not self._done.is_set():
            began = time.monotonic()
            try:
                if not kept or connection is None or trusted != self.published():
                    trusted = self.published()
                    if connection:
                        connection.close()
                    connection = Connection("127.0.0.1", self.port, timeout=10, context=strict(trusted))
                status, _ = post(self.port, None, self.body, connection)
                assert status == 200
                self.count += 1
            except Exception as failure:
                self.failures.append(failure)
                if connection:
                    connection.close()
                connection = None
            self._done.wait(max(0.0, began + self._pause - time.monotonic()))
        if connection:
            connection.close()


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.02)


# --- a folder of our own ---------------------------------------------------------------------------------------------


def test_leaf_and_authority_rotate_under_load_without_a_failed_call(tmp_path, reviews):
    folder = CertificateFolder(tmp_path)
    published = []

    def publish(bundle):
        published.append(bundle)
        return True

    with Certificates(tmp_path, NAMES, every=0.05, lag=0.2) as certificates:
        published.append(certificates.bundle)
        certificates.bundle_changed = publish
        with served(certificates) as port, Load(port, lambda: published[-1], reviews.harmless()) as load:
            for what in ("leaf", "authority", "leaf", "authority"):
                wait_for(lambda before=load.count: load.count > before + 60)
                wanted = folder.rotate(NAMES, datetime.now(UTC), what).leaf.certificate
                wait_for(lambda wanted=wanted: certificates.hot.certificate == wanted)
            wait_for(lambda before=load.count: load.count > before + 60)
    assert load.failures == []
    assert len(published) == 3
    assert [bundle.count(b"BEGIN CERTIFICATE") for bundle in published] == [1, 2, 3]


def test_the_load_itself_sees_a_leaf_that_is_served_before_it_is_trusted(tmp_path, reviews):
    """Else the tests above could not fail."""
    with Certificates(tmp_path, NAMES, every=0.05) as certificates:
        published = certificates.bundle
        with served(certificates) as port, Load(port, lambda: published, reviews.harmless()) as load:
            CertificateFolder(tmp_path).rotate(NAMES, datetime.now(UTC), "authority")
            wait_for(lambda: load.failures)


def test_what_cannot_be_published_is_not_served_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("stateward.webhook.certificates.RETRY", 0.1)
    answers = [False, False, True]
    with Certificates(tmp_path, NAMES, every=0.05, lag=0.0) as certificates:
        before = certificates.hot.certificate
        certificates.bundle_changed = lambda _: answers.pop(0)
        wanted = CertificateFolder(tmp_path).rotate(NAMES, datetime.now(UTC), "authority")
        wait_for(lambda: len(answers) < 3)
        assert certificates.hot.certificate == before
        wait_for(lambda: certificates.hot.certificate == wanted.leaf.certificate)
        assert certificates.bundle == wanted.bundle
    assert answers == []


def test_expiries_are_seconds(tmp_path):
    with Certificates(tmp_path, NAMES) as certificates:
        found = certificates.expiries()
    assert 89 * 86400 < found["leaf"] <= 90 * 86400 < found["authority"] <= 3650 * 86400


# --- a folder that somebody else writes ------------------------------------------------------------------------------


class Mount:
    """Writes as a kubelet does: a new folder, then one link swapped; the files are links through it."""

    def __init__(self, path):
        self.path, self.turn = path, 0

    def write(self, **entries):
        self.turn += 1
        folder = self.path / f"..turn-{self.turn}"
        folder.mkdir()
        for name, content in entries.items():
            (folder / name.replace("_", ".")).write_bytes(content)
        (self.path / "..new").symlink_to(folder.name)
        (self.path / "..new").replace(self.path / "..data")
        for name in ("tls.crt", "tls.key", "ca.crt"):
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        shutil.rmtree(self.path / f"..turn-{self.turn - 1}", ignore_errors=True)


def issued(authority, names=NAMES):
    certificate, key = authority.issue(names, datetime.now(UTC)).to_pem()
    return {"tls_crt": certificate, "tls_key": key, "ca_crt": authority.bundle}


@pytest.fixture
def mount(tmp_path):
    return Mount(tmp_path)


@pytest.fixture
def authority():
    return Authority.create(datetime.now(UTC))


def test_a_mounted_pair_is_served_and_exchanged_under_load(mount, authority, reviews):
    mount.write(**issued(authority))
    with (
        MountedCertificates(mount.path, NAMES, every=0.02) as certificates,
        served(certificates) as port,
        Load(port, lambda: authority.bundle, reviews.harmless()) as load,
    ):
        assert certificates.bundle == authority.bundle
        for _ in range(10):
            pair = issued(authority)
            mount.write(**pair)
            wanted = x509.load_pem_x509_certificate(pair["tls_crt"])
            wait_for(lambda wanted=wanted: certificates.hot.certificate == wanted)
        wait_for(lambda: load.count > 100)
    assert load.failures == []


def test_a_new_mounted_authority_is_published_beside_the_former_one_before_it_is_served(mount, authority):
    mount.write(**issued(authority))
    told = []
    with MountedCertificates(mount.path, NAMES, every=0.02, lag=0.0) as certificates:
        before = certificates.hot.certificate
        certificates.bundle_changed = lambda bundle: told.append(bundle) or len(told) > 2
        other = Authority.create(datetime.now(UTC))
        mount.write(**issued(other))
        wait_for(lambda: len(told) >= 2)
        assert certificates.hot.certificate == before or len(told) > 2
        wait_for(lambda: certificates.hot.certificate != before)
        assert set(told) == {authority.bundle + other.bundle}
        assert certificates.bundle == authority.bundle + other.bundle
    assert len(told) == 3


def test_a_pair_written_file_by_file_is_survived(tmp_path, authority, caplog):
    """No kubelet: a script that copies one file after the other."""
    first, second = issued(authority), issued(authority)
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (tmp_path / name).write_bytes(first[name.replace(".", "_")])
    with MountedCertificates(tmp_path, NAMES, every=0.02) as certificates, served(certificates) as port:
        before = certificates.hot.certificate
        for half in (second["tls_crt"][:300], second["tls_crt"]):
            (tmp_path / "tls.crt").write_bytes(half)
            wait_for(lambda: 'served="the former one"' in caplog.text)
            caplog.clear()
            assert handshake("127.0.0.1", port, NAMES[0], authority.bundle) == before
        (tmp_path / "tls.key").write_bytes(second["tls_key"])
        wait_for(lambda: certificates.hot.certificate != before)
        handshake("127.0.0.1", port, NAMES[0], authority.bundle)
        (tmp_path / "tls.key").unlink()
        wait_for(lambda: "tls.key: is missing" in caplog.text)
        handshake("127.0.0.1", port, NAMES[0], authority.bundle)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, r"tls\.crt: is missing"),
        ({"tls_crt": b"", "tls_key": b""}, r"tls\.crt: is empty"),
        ("other names", r"tls\.crt: does not cover stateward\.stateward\.svc"),
    ],
)
def test_a_folder_without_a_usable_pair_is_waited_for_and_then_a_clear_error(mount, authority, entries, message):
    mount.write(**(issued(authority, ["other.svc"]) if entries == "other names" else entries))
    with pytest.raises(CertificateError, match=message):
        MountedCertificates(mount.path, NAMES, patience=0.3)


def test_a_pair_that_comes_a_little_late_is_no_error(mount, authority):
    writing = threading.Timer(0.3, lambda: mount.write(**issued(authority)))
    writing.start()
    with MountedCertificates(mount.path, NAMES) as certificates:
        assert certificates.hot.certificate is not None
    writing.join()


def test_nothing_is_written_into_a_mounted_folder(mount, authority):
    pair = issued(authority)
    del pair["ca_crt"]
    mount.write(**pair)
    before = sorted(path.name for path in mount.path.rglob("*"))
    with MountedCertificates(mount.path, NAMES, every=0.02) as certificates:
        assert certificates.bundle == b""
        assert list(certificates.expiries()) == ["leaf"]
        time.sleep(0.1)
    assert sorted(path.name for path in mount.path.rglob("*")) == before


def rsa_pair(names=NAMES):
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "theirs")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 2 << 100, now - timedelta(days=1), now + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    pem = certificate_pem(certificate)
    return {"tls_crt": pem, "tls_key": key_pem(key), "ca_crt": pem}


def test_an_rsa_pair_is_followed_by_an_ecdsa_one_and_never_served_beside_it(mount, authority):
    theirs = rsa_pair()
    mount.write(**theirs)
    with MountedCertificates(mount.path, NAMES, every=0.02) as certificates, served(certificates) as port:
        assert isinstance(handshake("127.0.0.1", port, NAMES[0], theirs["ca_crt"]).public_key(), rsa.RSAPublicKey)
        rsa_only = ssl.create_default_context(cadata=theirs["ca_crt"].decode())
        rsa_only.maximum_version = ssl.TLSVersion.TLSv1_2
        rsa_only.set_ciphers("aRSA")
        mount.write(**issued(authority))
        wait_for(lambda: isinstance(certificates.hot.certificate.public_key(), ec.EllipticCurvePublicKey))
        handshake("127.0.0.1", port, NAMES[0], authority.bundle)
        with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", port), 5) as plain:
            rsa_only.wrap_socket(plain, server_hostname=NAMES[0])


# --- bundles ---------------------------------------------------------------------------------------------------------


def named(name):
    """An authority whose subject says nothing of its key, as those of others are."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    root = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 2 << 100, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Authority(key, root)


@pytest.mark.parametrize("order", [1, -1])
def test_two_authorities_of_one_name_in_one_bundle_are_told_apart(tmp_path, order):
    one, two = named("same"), named("same")
    bundle = b"".join([one.bundle, two.bundle][::order])
    for authority in (one, two):
        leaf = authority.issue(NAMES, datetime.now(UTC))
        (tmp_path / "tls.crt").write_bytes(leaf.to_pem()[0])
        (tmp_path / "tls.key").write_bytes(leaf.to_pem()[1])
        with MountedCertificates(tmp_path, NAMES) as certificates, served(certificates) as port:
            assert handshake("127.0.0.1", port, NAMES[0], bundle) == leaf.certificate
            with socket.create_connection(("127.0.0.1", port), 5) as plain:
                strict(bundle).wrap_socket(plain, server_hostname=NAMES[0]).close()


def test_a_handshake_says_what_is_wrong(tmp_path, authority):
    with Certificates(tmp_path, NAMES) as certificates, served(certificates) as port:
        for name, bundle, reason in (
            (NAMES[0], authority.bundle, "is not trusted as stateward.stateward.svc"),
            ("other.svc", certificates.bundle, "is not trusted as other.svc: Hostname mismatch"),
            (NAMES[0], b"no PEM", "the bundle cannot be used"),
            (NAMES[0], b"", "is not trusted as"),
        ):
            with pytest.raises(HandshakeError, match=reason) as refused:
                handshake("127.0.0.1", port, name, bundle)
            assert refused.value.trust
    with pytest.raises(HandshakeError, match="is not reached") as refused:
        handshake("127.0.0.1", port, NAMES[0], authority.bundle)
    assert not refused.value.trust


# --- client certificates ---------------------------------------------------------------------------------------------


def ask(port, bundle, path, body=b"", pair=None):
    context = ssl.create_default_context(cadata=bundle.decode())
    if pair:
        context.load_cert_chain(*pair)
    connection = Connection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("POST" if body else "GET", path, body, JSON)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_admission_asks_for_a_client_certificate_and_health_does_not(tmp_path, authority, reviews, client_of):
    kube = client_of(authority, "kube-apiserver", tmp_path)
    with (
        Certificates(tmp_path / "certs", NAMES, client_ca=authority.bundle) as certificates,
        served(certificates, Clients(["kube-apiserver"])) as port,
    ):
        trust, body = certificates.bundle, reviews.harmless()
        for path in ("/livez", "/readyz", "/metrics"):
            assert ask(port, trust, path)[0] == 200
        for path in ("/validate", "/validate?timeout=3s", "/mutate"):
            status, text = ask(port, trust, path, body)
            assert status == 401
            assert b"a client certificate is wanted here" in text
        assert ask(port, trust, "/validate", body, kube)[0] == 200
        (tmp_path / "other").mkdir()
        other = client_of(authority, "jane", tmp_path / "other")
        status, text = ask(port, trust, "/validate", body, other)
        assert (status, text) == (401, b'{"error":"the client certificate is for nobody who may ask here"}')
        assert ask(port, trust, "/livez", pair=other)[0] == 200
        (tmp_path / "foreign").mkdir()
        foreign = client_of(Authority.create(datetime.now(UTC)), "kube-apiserver", tmp_path / "foreign")
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask(port, trust, "/validate", body, foreign)


def test_the_authorities_of_clients_are_exchanged_while_it_serves_and_the_former_go(tmp_path, authority, reviews, client_of):
    first = client_of(authority, "kube-apiserver", tmp_path)
    other = Authority.create(datetime.now(UTC))
    (tmp_path / "second").mkdir()
    second = client_of(other, "kube-apiserver", tmp_path / "second")
    with (
        Certificates(tmp_path / "certs", NAMES, client_ca=authority.bundle) as certificates,
        served(certificates, Clients()) as port,
    ):
        trust, body = certificates.bundle, reviews.harmless()
        assert ask(port, trust, "/validate", body, first)[0] == 200
        with pytest.raises(CertificateError, match="client authorities"):
            certificates.hot.trust_clients(b"no PEM")
        certificates.hot.trust_clients(other.bundle)
        assert ask(port, trust, "/validate", body, second)[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask(port, trust, "/validate", body, first)
        CertificateFolder(tmp_path / "certs").rotate(NAMES, datetime.now(UTC), "leaf")
        before = certificates.hot.certificate
        wait_for(lambda: certificates.hot.certificate != before)
        assert ask(port, trust, "/validate", body, second)[0] == 200


def test_nobody_is_asked_for_a_certificate_where_it_is_off(tmp_path, reviews):
    with Certificates(tmp_path, NAMES) as certificates, served(certificates) as port:
        assert ask(port, certificates.bundle, "/validate", reviews.harmless())[0] == 200
        with pytest.raises(ValueError, match="none was given at the start"):
            certificates.hot.trust_clients(certificates.bundle)


@pytest.mark.parametrize(
    ("peer", "names", "allowed"),
    [
        (None, (), False),
        ({}, ("a",), False),
        ({"subject": ((("commonName", "a"),),)}, (), True),
        ({"subject": ((("commonName", "a"),),)}, ("a", "b"), True),
        ({"subject": ((("organizationName", "a"),),)}, ("a",), False),
        ({"subject": (), "subjectAltName": (("DNS", "a.svc"), ("IP Address", "::1"))}, ("a.svc",), True),
        ({"subject": (), "subjectAltName": (("URI", "spiffe://x/kube"),)}, ("spiffe://x/kube",), True),
        ({"subject": (), "subjectAltName": (("IP Address", "10.0.0.1"),)}, ("10.0.0.1",), False),
    ],
)
def test_a_client_is_known_by_common_name_dns_name_or_uri(peer, names, allowed):
    assert (Clients(names).refusal(peer) == "") == allowed
