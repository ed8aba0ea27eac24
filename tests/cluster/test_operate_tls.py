"""Certificates before a real API server: real handshakes with members that are stood in for, and processes that die."""

from __future__ import annotations

import base64
import contextlib
import itertools
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import Cluster, Kubectl, eventually
from cryptography import x509
from operate_kit import (
    KIND,
    NAME,
    annotate,
    client,
    condition,
    create,
    kubectl,
    lives,
    operator,
    scale,
    served,
    settle,
    settled,
    status,
)
from standin_etcd import StandIn

from stateward.certs.authority import Authority
from stateward.kube.client import Cluster as Client
from stateward.kube.client import path_of

__all__ = ["client", "kubectl", "operator", "served"]
TLS = {"enabled": True}


class Secured(StandIn):
    """Members that speak TLS as etcd does: what they show is read anew each time, whom they trust once, at their start."""

    def __init__(self, cluster: Client, namespace: str, service: str) -> None:
        self.trusts: dict[str, str] = {}
        self.since: dict[str, str] = {}
        """Member → uid of the pod that it reads as."""
        self.shows: dict[str, tuple[str, str]] = {}
        self.contexts: dict[str, ssl.SSLContext] = {}
        self.refused: list[str] = []
        self._folder = tempfile.TemporaryDirectory()
        super().__init__(cluster, namespace, service)

    def __exit__(self, *unused: object) -> None:
        super().__exit__(*unused)
        self._folder.cleanup()

    def _server(self, number: int) -> ThreadingHTTPServer:
        made = super()._server(number)
        member, plainly = f"{self._service}-{number}", made.finish_request

        def secured(connection: Any, address: Any) -> None:
            context = self.contexts.get(member)
            if context is None:
                return
            connection.settimeout(5)
            try:
                connection = context.wrap_socket(connection, server_side=True)
            except OSError as error:
                self.refused.append(f"{member}: {error}")
                return
            with contextlib.suppress(OSError):
                plainly(connection, address)
            connection.close()

        made.finish_request = secured  # type: ignore[method-assign]
        return made

    def _tend(self, pod: Mapping[str, Any]) -> None:
        member, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        found = self._cluster.find(path_of("api", "v1", "namespaces", self._namespace, "secrets", f"{self._service}-tls"))
        if found is not None:
            files = {name: base64.b64decode(value).decode() for name, value in found["data"].items()}
            pair = files["tls.crt"], files["tls.key"]
            if self.since.get(member) != uid:
                self.since[member], self.trusts[member] = uid, files["ca.crt"]
                self.shows.pop(member, None)
            if self.shows.get(member) != pair:
                self.contexts[member] = self._context(member, pair)
                self.shows[member] = pair
            self._compare()
        super()._tend(pod)

    def _context(self, member: str, pair: tuple[str, str]) -> ssl.SSLContext:
        file = Path(self._folder.name, member)
        file.write_text("".join(pair))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self.trusts[member])
        return context

    def _compare(self) -> None:
        """Whether each member would still be taken by each other, and by clients that have what there is for them now."""
        running = [name for name in self.shows if name in self.engine.running]
        for one, other in itertools.permutations(running, 2):
            if not trusted(self.trusts[one], self.shows[other][0]):
                self.engine.wrongs.append(f"{one} does not trust what {other} shows")
        known = self._cluster.find(path_of("api", "v1", "namespaces", self._namespace, "configmaps", f"{self._service}-ca"))
        for member in running:
            if known is not None and not trusted(known["data"]["ca.crt"], self.shows[member][0]):
                self.engine.wrongs.append(f"clients do not trust what {member} shows")


def trusted(bundle: str, certificate: str) -> bool:
    leaf = x509.load_pem_x509_certificate(certificate.encode())
    for root in x509.load_pem_x509_certificates(bundle.encode()):
        with contextlib.suppress(Exception):
            leaf.verify_directly_issued_by(root)
            return True
    return False


@pytest.fixture
def standin(client: Client, kubectl: Kubectl) -> Iterator[Secured]:
    with Secured(client, kubectl.namespace, NAME) as one:
        yield one
    assert one.engine.wrongs == []


def secret(kubectl: Kubectl, name: str) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in kubectl.get("secret", name).get("data", {}).items()}


def leaf(kubectl: Kubectl) -> x509.Certificate:
    return x509.load_pem_x509_certificate(secret(kubectl, "db-tls")["tls.crt"].encode())


def roots(kubectl: Kubectl) -> int:
    found: str = kubectl.get("configmap", "db-ca")["data"]["ca.crt"]
    return found.count("BEGIN CERTIFICATE")


def uids(kubectl: Kubectl) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in kubectl.get("pods")["items"]}


def noted(kubectl: Kubectl) -> str:
    found: str = kubectl.get("statefulset", NAME)["metadata"]["annotations"].get("stateward.dev/rotated", "")
    return found


def test_a_service_speaks_tls_unless_it_is_told_otherwise_and_keeps_its_keys_to_itself(
    kubectl: Kubectl, operator: object, standin: Secured, tmp_path: Path
) -> None:
    create(kubectl, tls={}, deletionPolicy={"claims": "Delete"})
    for members in (3, 5, 3):
        scale(kubectl, members)
        settle(kubectl, members)
    assert standin.refused == []
    held = secret(kubectl, "db-authority")
    assert {"ca.crt", "ca.key", "operator.crt", "operator.key", "server.key", "client.key"} <= set(held)
    for name in ("db-tls", "db-client"):
        assert sorted(secret(kubectl, name)) == ["ca.crt", "tls.crt", "tls.key"]
    keys = [line for name, text in held.items() if name.endswith(".key") for line in text.splitlines()[1:-1]]
    shown = {kind: kubectl("get", kind, "-o", "yaml").out for kind in (KIND, "events", "statefulsets", "pods", "configmaps")}
    shown["log"] = (tmp_path / "operator.log").read_text()
    assert len(keys) > 8
    assert [name for name, text in shown.items() for key in keys if key in text] == []
    mounted = {one["secret"]["secretName"] for one in kubectl.get("pod", "db-0")["spec"]["volumes"] if "secret" in one}
    assert mounted == {"db-tls"}
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--timeout=60s", seconds=90)


def test_what_members_show_is_set_back_and_tls_is_neither_turned_off_nor_on_for_a_service_that_runs(
    kubectl: Kubectl, operator: object, standin: Secured
) -> None:
    create(kubectl, tls=TLS)
    settle(kubectl, 3)
    before = secret(kubectl, "db-tls")
    kubectl.must("patch", "secret", "db-tls", "--type=merge", "-p", '{"data":{"ca.crt":"eA=="}}')
    eventually(lambda: secret(kubectl, "db-tls") == before, "it is set back")
    kubectl.must("delete", "configmap", "db-ca")
    eventually(lambda: kubectl.get("configmap", "db-ca"), "it is made again")
    spec = kubectl.get("statefulset", NAME)["spec"]
    kubectl.must("patch", KIND, NAME, "--type=merge", "-p", '{"spec":{"tls":{"enabled":false}}}')
    eventually(lambda: condition(kubectl, "Blocked").get("reason") == "TlsNotChanged", "it says so")
    assert "members speak TLS" in condition(kubectl, "Blocked")["message"]
    assert kubectl.get("statefulset", NAME)["spec"] == spec
    kubectl.must("patch", KIND, NAME, "--type=merge", "-p", '{"spec":{"tls":{"enabled":true}}}')
    settle(kubectl, 3)


def test_an_authority_of_ones_own_is_waited_for_and_trusted_alone(
    kubectl: Kubectl, operator: object, standin: Secured
) -> None:
    create(kubectl, tls={**TLS, "authority": "ours"})
    eventually(lambda: condition(kubectl, "Blocked").get("reason") == "AuthorityUnusable", "it waits for it")
    assert "Secret ours: there is none" in condition(kubectl, "Blocked")["message"]
    assert kubectl.get("statefulset", NAME) == {}
    own = Authority.create(datetime.now(UTC))
    certificate, key = (base64.b64encode(one).decode() for one in own.to_pem())
    item = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ours"}}
    kubectl.must("apply", "-f", "-", stdin={**item, "data": {"tls.crt": certificate, "tls.key": key}})
    settle(kubectl, 3)
    assert kubectl.get("configmap", "db-ca")["data"]["ca.crt"] == own.bundle.decode()
    leaf(kubectl).verify_directly_issued_by(own.certificate)


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_a_process_that_dies_after_each_write_makes_a_service_with_certificates(
    served: Cluster, kubectl: Kubectl, standin: Secured
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, tls=TLS)
    assert lives(served.kubeconfig, key, lambda: settled(kubectl, 3)) > 8
    assert standin.refused == []


def test_certificates_are_renewed_in_time_and_nothing_restarts(served: Cluster, kubectl: Kubectl, standin: Secured) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, tls=TLS)
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3), timedelta(days=-61))
    before, old = uids(kubectl), leaf(kubectl)
    assert old.not_valid_after_utc < datetime.now(UTC) + timedelta(days=30)
    died = lives(served.kubeconfig, key, lambda: leaf(kubectl) != old and settled(kubectl, 3))
    assert died > 1
    eventually(lambda: all(leaf_of(pem) == leaf(kubectl) for pem, _ in standin.shows.values()), "all show it")
    assert leaf(kubectl).not_valid_after_utc > datetime.now(UTC) + timedelta(days=89)
    assert (uids(kubectl), roots(kubectl), standin.refused) == (before, 1, [])


def leaf_of(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def test_a_process_that_dies_after_each_write_rotates_what_was_asked_for_and_every_handshake_holds(
    served: Cluster, kubectl: Kubectl, standin: Secured
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, tls=TLS)
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3))
    before, old = uids(kubectl), leaf(kubectl)
    annotate(kubectl, "stateward.dev/rotate=first")

    def prepared() -> bool:
        return "clients have until" in status(kubectl).get("operation", {}).get("message", "")

    lives(served.kubeconfig, key, prepared)
    # Everybody trusts both, and nobody shows anything of the next one yet.
    assert roots(kubectl) == 2
    assert leaf(kubectl) == old
    assert not set(before.values()) & set(uids(kubectl).values())
    # A member that does not answer may trust nobody: it is waited for, however long.
    standin.engine.silent.add("db-2")
    later = timedelta(minutes=3)
    lives(served.kubeconfig, key, lambda: "db-2" in status(kubectl).get("operation", {}).get("message", ""), later)
    assert leaf(kubectl) == old
    standin.engine.silent.clear()
    lives(served.kubeconfig, key, lambda: noted(kubectl) == "first" and settled(kubectl, 3), later)
    assert roots(kubectl) == 2
    assert leaf(kubectl).issuer != old.issuer
    assert standin.refused == []
    annotate(kubectl, "stateward.dev/rotate=forget-first")
    lives(served.kubeconfig, key, lambda: noted(kubectl) == "forget-first" and settled(kubectl, 3), timedelta(minutes=3))
    eventually(lambda: roots(kubectl) == 1, "the former authority is trusted no more")


def test_an_authority_that_is_lost_is_followed_by_another_and_every_handshake_holds(
    served: Cluster, kubectl: Kubectl, standin: Secured
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, tls=TLS)
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3))
    old = leaf(kubectl)
    kubectl.must("delete", "secret", "db-authority")
    lives(served.kubeconfig, key, lambda: "next-ca.crt" in secret(kubectl, "db-authority"))
    assert leaf(kubectl) == old
    annotate(kubectl, "stateward.dev/rotate=now")
    lives(served.kubeconfig, key, lambda: noted(kubectl) == "now" and settled(kubectl, 3), timedelta(minutes=3))
    assert leaf(kubectl).issuer != old.issuer
    assert standin.refused == []
