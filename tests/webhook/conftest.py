"""What the tests of the webhook share: reviews, calls without a server, and doors that serve over TLS on 127.0.0.1."""

import asyncio
import copy
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stateward.certs.authority import Leaf
from stateward.policies.policy import DEFAULT
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook.app import build
from stateward.webhook.certificates import Certificates
from stateward.webhook.server import Server, listen

NOW = 1_800_000_000.0  # seconds since the epoch: waivers and messages do not change from run to run
JSON = {"content-type": "application/json"}

_SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db", "namespace": "prod", "labels": {"app": "db"}},
    "spec": {
        "replicas": 3,
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {
                "containers": [
                    {
                        "name": "db",
                        "image": "registry.example/in-house:1",
                        "env": [{"name": "PASSWORD", "value": "hunter2"}],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ]
            },
        },
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "fast",
                    "resources": {"requests": {"storage": "10Gi"}},
                },
            }
        ],
    },
}


class Reviews:
    """AdmissionReviews as bytes."""

    def of(self, uid="uid-1", old=None, new=None, **request):
        kind = request.pop("kind", {"group": "apps", "version": "v1", "kind": "StatefulSet"})
        return orjson.dumps(
            {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "request": {
                    "uid": uid,
                    "kind": kind,
                    "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
                    "name": "db",
                    "namespace": "prod",
                    "operation": "UPDATE",
                    "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
                    "object": new if new is not None else _SET,
                    "oldObject": old if old is not None else _SET,
                    "dryRun": False,
                    "options": None,
                    **request,
                },
            }
        )

    def harmless(self, uid="uid-1", **request):
        """A label is added."""
        new = copy.deepcopy(_SET)
        new["metadata"]["labels"]["tier"] = "one"
        return self.of(uid, new=new, **request)

    def harmful(self, uid="uid-1", **request):
        """The class of a claim template is swapped, which SW103 refuses."""
        new = copy.deepcopy(_SET)
        new["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = "slow"
        return self.of(uid, new=new, **request)


@pytest.fixture(scope="session")
def reviews():
    """`reviews.harmless(uid)`, `reviews.harmful(uid)`: bodies."""
    return Reviews()


@pytest.fixture
def app():
    """An application that sees nothing but the request."""
    return build(EMPTY_VIEW, DEFAULT, clock=lambda: NOW)


def _ask(app, *parts, path="/validate", method="POST", headers=JSON, query=b"", then=None):
    """One call without a server: the body in `parts`, then what `then` says. None where nothing was answered."""
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if then is None:
        waiting[-1]["more_body"] = False
    else:
        waiting += then
    sent = []

    async def receive():
        if not waiting:
            await asyncio.sleep(3600)
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "https",
        "server": ("127.0.0.1", 1),
        "client": ("127.0.0.1", 2),
        "root_path": "",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def call():
        await app(scope, receive, send)

    asyncio.run(call())
    if not sent:
        return None
    start, *bodies = sent
    body = b"".join(one.get("body", b"") for one in bodies)
    given = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(given["content-length"]) == len(body)
    return SimpleNamespace(status=start["status"], headers=given, body=body, left=waiting)


@pytest.fixture(scope="session")
def ask():
    """`ask(app, body)`: one call without a server."""
    return _ask


class Door:
    """A server on 127.0.0.1 with its certificates, and clients that trust it."""

    def __init__(self, app, certificates, server):
        self.app, self.certificates, self.server = app, certificates, server
        self.base = f"https://127.0.0.1:{server.port}"
        self.trust = ssl.create_default_context(cadata=certificates.bundle.decode())

    def client(self, **options):
        return httpx.Client(base_url=self.base, verify=self.trust, trust_env=False, timeout=10, **options)

    def post(self, body, path="/validate?timeout=5s", headers=JSON):
        """On a connection of its own."""
        with self.client() as client:
            return client.post(path, content=body, headers=headers)

    def get(self, path):
        with self.client() as client:
            return client.get(path)


@contextmanager
def _serving(folder, app=None, drain=0.0) -> Iterator[Door]:
    app = app if app is not None else build(EMPTY_VIEW, DEFAULT, clock=lambda: NOW)
    with Certificates(folder, ["localhost", "127.0.0.1"]) as certificates:
        server = Server(app, listen("127.0.0.1", 0), context=certificates.hot.context, drain=drain)
        with server:
            yield Door(app, certificates, server)


@pytest.fixture(scope="session")
def serving():
    """`with serving(folder) as door:` serves over TLS."""
    return _serving


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """One door for the tests of a file."""
    with _serving(tmp_path_factory.mktemp("certs")) as door:
        yield door


@pytest.fixture
def client_of():
    """Makes the certificate of a TLS client: (authority, its name, folder) → paths of certificate and key."""

    def made(authority, name, folder):
        folder.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(authority.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(authority.key, SHA256())
        )
        leaf = Leaf(key, certificate)
        for entry, pem in zip(("c.crt", "c.key"), leaf.to_pem(), strict=True):
            (folder / entry).write_bytes(pem)
        return folder / "c.crt", folder / "c.key"

    return made
