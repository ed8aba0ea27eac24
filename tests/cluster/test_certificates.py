"""Certificates in a cluster: a Secret on a real API server, replicas that serve, and the API server itself as the caller."""

from __future__ import annotations

import base64
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cluster_kit
import pytest
from click.testing import CliRunner, Result
from cluster_kit import Kubectl, eventually
from cryptography import x509

from stateward.certs import stored
from stateward.certs.authority import Authority
from stateward.certs.keeper import readable
from stateward.certs.names import service_names
from stateward.certs.rotation import fingerprint, trusts
from stateward.cli.main import cli
from stateward.kube import bundles
from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.kube.lease import Leader, Terms
from stateward.policies.policy import DEFAULT
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook.app import App, build
from stateward.webhook.certificates_in_cluster import ClusterCertificates
from stateward.webhook.handshake import HandshakeError, handshake
from stateward.webhook.secret_store import ROTATE, SecretStore
from stateward.webhook.server import Server, listen

SECRET = "stateward-certs"
SERVICE = "stateward"
QUICK = Terms(lease=3, renew=2.0, retry=0.2, request=1.5)
NEVER = 1e9


@pytest.fixture
def api(cluster: cluster_kit.Cluster) -> Iterator[Cluster]:
    found = Cluster.from_kubeconfig(cluster.kubeconfig)
    yield found
    found.close()


@dataclass
class Place:
    """A namespace, and webhooks that ask the Service in it."""

    api: Cluster
    kubectl: Kubectl
    namespace: str
    made: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        return service_names(SERVICE, self.namespace)

    def publish(self, pem: bytes) -> bool:
        return bundles.publish(self.api, self.namespace, SERVICE, pem)

    def published(self) -> dict[str, bytes]:
        return {one.name: one.bundle for one in bundles.trusting(self.api, self.namespace, SERVICE)}

    def register(self, kind: str, port: int, *, resource: str = "nothings") -> str:
        """A webhook of this Service, about ConfigMaps of this namespace or about nothing at all."""
        name = f"{self.namespace}-{kind}"
        rule = {"apiGroups": ["" if resource == "configmaps" else "none.example"], "apiVersions": ["*"]}
        self.kubectl.must(
            "create",
            "-f",
            "-",
            stdin={
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": f"{kind}WebhookConfiguration",
                "metadata": {"name": name.lower()},
                "webhooks": [
                    {
                        "name": "other.example.org",
                        "clientConfig": {"url": "https://other.example.org/x"},
                        "rules": [{**rule, "apiGroups": ["none.example"], "operations": ["CREATE"], "resources": ["x"]}],
                        "sideEffects": "None",
                        "admissionReviewVersions": ["v1"],
                        "failurePolicy": "Ignore",
                    },
                    {
                        "name": "validate.stateward.test",
                        "clientConfig": {
                            "service": {
                                "namespace": self.namespace,
                                "name": SERVICE,
                                "port": port,
                                "path": "/validate",
                            }
                        },
                        "rules": [{**rule, "operations": ["CREATE"], "resources": [resource]}],
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                        "sideEffects": "None",
                        "admissionReviewVersions": ["v1"],
                        "failurePolicy": "Fail",
                        "timeoutSeconds": 5,
                    },
                ],
            },
        )
        self.made.append(f"{kind.lower()}webhookconfiguration/{name.lower()}")
        return f"{kind}WebhookConfiguration/{name.lower()} validate.stateward.test"

    def secret(self) -> dict[str, Any]:
        return self.kubectl.get("secret", SECRET)

    def kept(self) -> stored.Kept:
        return SecretStore(self.api, self.namespace, SECRET).read()

    def data(self) -> dict[str, str]:
        return dict(self.secret().get("data", {}))

    def overwrite(self, data: dict[str, str]) -> None:
        """As a GitOps tool does: the whole of it, labels and all."""
        item = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "Opaque", "data": data}
        self.kubectl.must("replace", "-f", "-", stdin=item)


@pytest.fixture
def place(api: Cluster, cluster: cluster_kit.Cluster, namespace: str) -> Iterator[Place]:
    found = Place(api, cluster.kubectl.at(namespace), namespace)
    yield found
    if found.made:
        cluster.kubectl.past("delete", *found.made, "--wait=false")


@dataclass
class Replica:
    certificates: ClusterCertificates
    server: Server
    app: App

    def reviews(self) -> int:
        """How many it has answered."""
        return sum(self.app.metrics._requests.values())

    def answer(self, path: str) -> tuple[int, str]:
        """Without looking at the certificate, as a kubelet asks."""
        import http.client
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=5, context=context)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@contextlib.contextmanager
def replica(place: Place, *, leads: Callable[[], bool] = lambda: True, **more: Any) -> Iterator[Replica]:
    """A door in this process: real TLS, a look each fifth of a second."""
    options: dict[str, Any] = {"every": 0.2, "lag": 1.5, "check": 0.5, **more}
    with ClusterCertificates(
        place.api, place.namespace, SECRET, place.names, is_leader=leads, publish=place.publish, **options
    ) as certificates:
        app = build(EMPTY_VIEW, DEFAULT, ready=certificates.ready)
        with Server(app, listen("127.0.0.1", 0), context=certificates.hot.context) as server:
            certificates.at = ("127.0.0.1", server.port)
            yield Replica(certificates, server, app)


def is_good(place: Place) -> bool:
    """Whether the Secret is whole, quiet, and trusted by every webhook."""
    kept = place.kept()
    if kept.problems or kept.next or kept.asked or kept.leaf is None or kept.authority is None:
        return False
    now = SecretStore(place.api, place.namespace, SECRET).now()
    return all(trusts(readable(pem), kept.leaf.certificate, now) for pem in place.published().values())


def serves(one: Replica, place: Place) -> bool:
    leaf = place.kept().leaf
    return leaf is not None and one.certificates.served == leaf.certificate


# --- who writes, and when --------------------------------------------------------------------------------------------


def test_a_leader_makes_the_secret_and_another_replica_waits_and_says_why(place: Place) -> None:
    place.register("Validating", 443)
    leads = threading.Event()
    with replica(place, leads=lambda: False) as follower:
        status, text = follower.answer("/readyz")
        assert status == 503
        assert f"Secret {place.namespace}/{SECRET} holds no certificate yet; the replica that leads makes it" in text
        assert follower.answer("/livez")[0] == 200
        assert place.secret() == {}
        with replica(place, leads=leads.is_set) as leader:
            leads.set()
            for one in (follower, leader):
                eventually(lambda one=one: one.answer("/readyz")[0] == 200, "it is ready")
            assert is_good(place)
            assert follower.certificates.served == leader.certificates.served == place.kept().leaf.certificate
            expiries = follower.certificates.expiries()
    assert 89 * 86400 < expiries["leaf"] < 90 * 86400
    assert 3649 * 86400 < expiries["authority"] < 3651 * 86400
    assert place.secret()["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "stateward"


def test_of_two_replicas_the_one_with_the_lease_writes_and_the_other_takes_over(place: Place, api: Cluster) -> None:
    place.register("Validating", 443)
    writes: Counter[str] = Counter()

    class Counting(Place):
        who = ""

        def publish(self, pem: bytes) -> bool:
            writes[self.who] += 1
            return super().publish(pem)

    with contextlib.ExitStack() as stack:
        leaders = []
        for who in ("one", "two"):
            mine = Counting(api, place.kubectl, place.namespace)
            mine.who = who
            leader = Leader(api, place.namespace, "stateward", who, terms=QUICK)
            stack.enter_context(leader)
            leaders.append(leader)
            stack.enter_context(replica(mine, leads=leader.is_leader))
        eventually(lambda: is_good(place), "the Secret is made")
        eventually(lambda: sum(writes.values()) > 3, "the leader works")
        [first] = [one for one in leaders if one.is_leader()]
        [second] = [one for one in leaders if one is not first]
        assert set(writes) == {first.identity}
        assert place.kubectl.get("lease", "stateward")["spec"]["holderIdentity"] == first.identity
        first.stop()
        eventually(second.is_leader, "the other leads", 10)
        eventually(lambda: second.identity in writes, "the other works")
        uid = place.secret()["metadata"]["uid"]
        place.kubectl.must("delete", "secret", SECRET)
        eventually(lambda: is_good(place) and place.secret()["metadata"]["uid"] != uid, "the other makes it anew")


def test_two_that_both_think_they_lead_agree_on_one_authority(place: Place) -> None:
    place.register("Validating", 443)
    with replica(place) as one, replica(place) as two, replica(place) as three:
        eventually(lambda: is_good(place), "the Secret is made")
        for each in (one, two, three):
            eventually(lambda each=each: serves(each, place), "all serve it")
        [pem] = place.published().values()
        assert [fingerprint(found) for found in readable(pem)] == [fingerprint(place.kept().authority.certificate)]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("asked", ["", "authority"])
def test_a_leader_that_dies_at_any_write_is_followed_by_one_that_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch, after: bool, asked: str
) -> None:
    place.register("Validating", 443)
    place.register("Mutating", 443)
    if asked:
        with replica(place):
            eventually(lambda: is_good(place), "the Secret is made")
    calls = Cluster.call

    def dying(number: int) -> Callable[..., Any]:
        left = itertools.count(1)

        def call(self: Cluster, method: str, path: str, *rest: Any, **more: Any) -> Any:
            dies = method != "GET" and next(left) == number
            if dies and not after:
                raise Killed
            found = calls(self, method, path, *rest, **more)
            if dies:
                raise Killed
            return found

        return call

    for number in itertools.count(1):
        if asked:
            place.kubectl.must("annotate", "secret", SECRET, f"{ROTATE}={asked}", "--overwrite")
        elif number > 1:
            place.kubectl("delete", "secret", SECRET)
        with monkeypatch.context() as patched:
            patched.setattr(Cluster, "call", dying(number))
            finished = _until_killed(place)
        with _certificates(place) as again:
            eventually(lambda again=again: again.look() or is_good(place), "the next leader has gone on")
        if finished:
            break
    assert number >= 4, "an authority, two configurations, the leaf"


def _certificates(place: Place) -> ClusterCertificates:
    return ClusterCertificates(
        place.api,
        place.namespace,
        SECRET,
        place.names,
        is_leader=lambda: True,
        publish=place.publish,
        every=NEVER,
        lag=0.05,
    )


def _until_killed(place: Place) -> bool:
    """Whether the turns of a leader came to an end."""
    try:
        with _certificates(place) as certificates:
            for _ in range(4):
                time.sleep(0.06)
                certificates.look()
    except Killed:
        return False
    return is_good(place)


# --- a Secret that others write to -----------------------------------------------------------------------------------

DAMAGE: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "emptied": lambda _: {},
    "keys lost": lambda data: {**data, "ca.key": "", "tls.key": ""},
    "half-written": lambda data: {key: value[: len(value) // 8 * 4] for key, value in data.items()},
    "noise": lambda data: dict.fromkeys(data, base64.b64encode(b"\x00\xff" * 40).decode()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_secret_is_refilled_and_what_is_served_stays_trusted(place: Place, damage: str) -> None:
    place.register("Validating", 443)
    with replica(place) as one:
        eventually(lambda: is_good(place) and serves(one, place), "it is served")
        [before] = readable(next(iter(place.published().values())))
        place.overwrite(DAMAGE[damage](place.data()))
        always = Trusted(place, one)
        with always:
            eventually(lambda: is_good(place) and serves(one, place), "it is refilled and served")
        assert always.failures == []
        kept = place.kept()
        assert before in [former.certificate for former in kept.old], "trusted on while a leaf of it may be served"
        assert one.certificates.handshake_failures == 0


@dataclass
class Trusted:
    """Handshakes all the while, each with what is published at that moment."""

    place: Place
    one: Replica
    failures: list[str] = field(default_factory=list)
    count: int = 0

    def __enter__(self) -> Trusted:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.is_set():
            for name, pem in self.place.published().items():
                try:
                    handshake("127.0.0.1", self.one.server.port, self.place.names[0], pem)
                    self.count += 1
                except HandshakeError as error:
                    self.failures.append(f"{name}: {error}")


def test_a_secret_overwritten_with_another_good_one_is_published_before_it_is_served(place: Place) -> None:
    """A GitOps tool brings back what it was a year ago."""
    place.register("Validating", 443)
    now = SecretStore(place.api, place.namespace, SECRET).now()
    other = Authority.create(now)
    theirs = stored.write(stored.Kept(authority=other, leaf=other.issue(place.names, now)))
    with replica(place) as one:
        eventually(lambda: is_good(place) and serves(one, place), "it is served")
        with Trusted(place, one) as always:
            place.overwrite({key: base64.b64encode(value).decode() for key, value in theirs.items()})
            eventually(lambda: is_good(place) and serves(one, place), "theirs is served")
        assert always.failures == []
        assert always.count > 3
        assert one.certificates.served.issuer == other.certificate.subject
        assert len(place.kept().old) == 1


def test_an_immutable_secret_is_made_anew(place: Place) -> None:
    place.register("Validating", 443)
    with replica(place) as one:
        eventually(lambda: is_good(place), "the Secret is made")
        place.kubectl.must("patch", "secret", SECRET, "-p", '{"immutable": true}')
        place.kubectl.must("annotate", "secret", SECRET, f"{ROTATE}=leaf")
        eventually(lambda: is_good(place) and serves(one, place), "a leaf was issued")
        assert "immutable" not in place.secret()


def test_entries_and_labels_of_others_stay(place: Place) -> None:
    place.kubectl.must(
        "create", "-f", "-", stdin={
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "labels": {"team": "a"}, "annotations": {"note": "b"}},
            "data": {"more": "eA=="},
        },
    )  # fmt: skip
    with replica(place):
        eventually(lambda: is_good(place), "the Secret is filled")
    found = place.secret()
    assert (found["metadata"]["labels"]["team"], found["metadata"]["annotations"]["note"]) == ("a", "b")
    assert found["data"]["more"] == "eA=="


def test_a_bundle_that_somebody_overwrote_fails_our_handshake_and_is_mended(place: Place) -> None:
    place.register("Validating", 443)
    mends = threading.Event()
    with replica(place, leads=lambda: not mends.is_set()) as one:
        eventually(lambda: is_good(place) and one.certificates.ready()[0], "it is served")
        mends.set()  # nobody leads: only then can the failure be seen for certain
        bundles.publish(
            place.api, place.namespace, SERVICE, Authority.create(SecretStore.now(one.certificates._store)).bundle
        )
        eventually(lambda: "is not trusted as" in one.certificates.trouble, "our handshake fails")
        assert one.certificates.handshake_failures > 0
        assert one.answer("/readyz")[0] == 200, "an alert, never readiness"
        mends.clear()
        eventually(lambda: is_good(place), "the leader mends it")
        eventually(lambda: one.certificates.trouble == "", "our handshake succeeds")


def test_a_leaf_that_no_longer_verifies_is_issued_again(place: Place) -> None:
    """What is loaded is not what is kept: memory that went bad, or a fault of ours."""
    place.register("Validating", 443)
    with replica(place) as one:
        eventually(lambda: is_good(place) and one.certificates.ready()[0], "it is served")
        now = SecretStore(place.api, place.namespace, SECRET).now()
        bad = Authority.create(now).issue(place.names, now)
        one.certificates.hot.swap(*bad.to_pem(), names=place.names, now=now)
        eventually(lambda: one.certificates.trouble, "our handshake fails")
        assert one.certificates.handshake_failures > 0
        eventually(lambda: one.certificates.trouble == "", "our handshake succeeds")
        [pem] = place.published().values()
        handshake("127.0.0.1", one.server.port, place.names[0], pem)


def test_what_asks_somebody_else_is_left_alone(place: Place) -> None:
    place.register("Mutating", 443)
    with replica(place):
        eventually(lambda: is_good(place), "published")
    [found] = place.kubectl.get("mutatingwebhookconfiguration", f"{place.namespace}-mutating")["webhooks"][:1]
    assert found["clientConfig"] == {"url": "https://other.example.org/x"}


def test_without_the_right_to_read_the_secret_it_says_so_and_waits(place: Place, cluster: cluster_kit.Cluster) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ClusterError(403, "Forbidden", "GET secrets: 403 Forbidden: no")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SecretStore, "read", refused)
        with replica(place) as one:
            status, text = one.answer("/readyz")
    assert status == 503
    assert "403 Forbidden" in text


# --- under load ------------------------------------------------------------------------------------------------------


class Creates:
    """Dry-run creates of ConfigMaps, which the API server asks the replica about: failurePolicy Fail."""

    def __init__(self, place: Place, threads: int = 4) -> None:
        self.place, self.failures, self.count = place, [], 0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]

    def __enter__(self) -> Creates:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        path = f"/api/v1/namespaces/{self.place.namespace}/configmaps"
        while not self._done.is_set():
            item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"x{number}"}}
            try:
                self.place.api.call("POST", path, {"dryRun": "All"}, body=item)
                self.count += 1
            except ClusterError as error:
                self.failures.append(str(error))
            time.sleep(0.01)


def test_leaf_and_authority_rotate_under_the_api_servers_own_calls_without_a_failed_one(place: Place) -> None:
    with replica(place, lag=3.0) as one:
        place.kubectl.must(
            "create", "-f", "-", stdin={
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": SERVICE},
                # The API server follows an ExternalName, and asks for the Service's name all the same.
                "spec": {"type": "ExternalName", "externalName": "localhost"},
            },
        )  # fmt: skip
        place.register("Validating", one.server.port, resource="configmaps")
        eventually(lambda: is_good(place) and serves(one, place), "it is served")
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}}
        eventually(lambda: place.kubectl("create", "--dry-run=server", "-f", "-", stdin=probe).passed, "it is asked")
        seen: set[x509.Certificate] = set()
        with Creates(place) as creates:
            for what in ("leaf", "authority", "authority"):
                before = one.certificates.served
                place.kubectl.must("annotate", "secret", SECRET, f"{ROTATE}={what}")
                eventually(lambda before=before: one.certificates.served != before and is_good(place), "it is rotated", 60)
                seen.add(one.certificates.served.issuer)
                time.sleep(0.5)
            assert len(place.kept().old) == 2
            place.kubectl.must("annotate", "secret", SECRET, f"{ROTATE}=forget")
            eventually(lambda: not place.kept().old and is_good(place), "former authorities are forgotten")
            assert [len(readable(pem)) for pem in place.published().values()] == [1]
        assert creates.failures == []
        assert creates.count > 100
        assert len(seen) == 3
        assert one.reviews() >= creates.count, "the API server did ask"


def test_a_rotation_survives_an_authority_of_another_key_type(place: Place) -> None:
    """RSA, of somebody's own making, put into the Secret; then ours, ECDSA, by rotation."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import NameOID

    place.register("Validating", 443)
    now = SecretStore(place.api, place.namespace, SECRET).now().replace(microsecond=0)
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme root")])
    days = Authority.create(now).certificate
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), 2 << 100, days.not_valid_before_utc, days.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    theirs = Authority(key, root)
    data = stored.write(stored.Kept(authority=theirs, leaf=theirs.issue(place.names, now)))
    encoded = {entry: base64.b64encode(value).decode() for entry, value in data.items()}
    place.kubectl.must(
        "create", "-f", "-", stdin={
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": encoded,
        },
    )  # fmt: skip
    with replica(place) as one:
        eventually(lambda: is_good(place) and one.certificates.ready()[0], "theirs is served")
        assert one.certificates.served.issuer == name
        with Trusted(place, one) as always:
            place.kubectl.must("annotate", "secret", SECRET, f"{ROTATE}=authority")
            eventually(lambda: is_good(place) and serves(one, place), "ours is served")
        assert always.failures == []
        assert isinstance(place.kept().authority.key, ec.EllipticCurvePrivateKey)
        assert [former.certificate for former in place.kept().old] == [root]


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command_line_makes_shows_and_rotates(place: Place, cluster: cluster_kit.Cluster) -> None:
    def certs(what: str, *more: str) -> Result:
        options = ["--kubeconfig", str(cluster.kubeconfig), "--namespace", place.namespace, *more]
        return CliRunner().invoke(cli, ["certs", what, *options])

    missing = certs("status")
    assert missing.exit_code == 2
    assert f"Secret {place.namespace}/{SECRET}: there is none" in missing.stderr
    name = place.register("Validating", 443)
    untrusted = place.published()
    assert list(untrusted) == [name]
    made = certs("init")
    assert made.exit_code == 0, made.output
    assert is_good(place)
    refused = certs("rotate", "--wait", "0.5")
    assert refused.exit_code == 1
    assert "no replica obeyed; see whether one runs and leads" in refused.stdout
    with replica(place) as one:
        eventually(lambda: is_good(place) and serves(one, place), "what was asked for is done")
        for more in (["--leaf"], [], ["--forget"]):
            before = place.secret()["metadata"]["resourceVersion"]
            done = certs("rotate", *more)
            assert done.exit_code == 0, done.output
            assert place.secret()["metadata"]["resourceVersion"] != before
        eventually(lambda: serves(one, place), "it is served")
        seen = certs("status", "--connect", f"127.0.0.1:{one.server.port}")
        assert seen.exit_code == 0, seen.output
        assert f"{name}  1            yes" in seen.stdout
        assert "verified" in seen.stdout
    bundles.publish(place.api, place.namespace, SERVICE, b"")
    bad = certs("status")
    assert bad.exit_code == 1
    assert f"problem    {name}: an empty caBundle, so that every call by it fails" in bad.stdout
    assert "PRIVATE" not in "".join(one.output for one in (made, refused, seen, bad))
