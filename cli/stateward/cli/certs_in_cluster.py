"""`stateward certs` for a cluster: the Secret of an installation, and the webhooks that ask the Service beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from stateward.cli import inputs

if TYPE_CHECKING:
    from stateward.certs.rotation import Kept
    from stateward.cli.certs_report import Report
    from stateward.kube.client import Cluster
    from stateward.webhook.secret_store import SecretStore

_STEP: Final = 1.0


class Namespace:
    """A Secret in a cluster, and the webhooks that ask the Service beside it."""

    def __init__(self, cluster: Cluster, namespace: str, secret: str, service: str) -> None:
        self.cluster, self.namespace, self.secret, self.service = cluster, namespace, secret, service

    def init(self, names: tuple[str, ...]) -> Report:
        """The leader's steps, taken here."""
        from stateward.certs.keeper import Keeper
        from stateward.certs.names import service_names
        from stateward.kube import bundles

        store = self._store()
        notes: list[str] = []
        keeper = Keeper(
            store,
            (*service_names(self.service, self.namespace), *names),
            publish=lambda pem: bundles.publish(self.cluster, self.namespace, self.service, pem),
            published=lambda: dict(self._bundles()),
            may_write=lambda: True,
            monotonic=time.monotonic,
            say=notes.append,
        )
        until = time.monotonic() + 120
        while (waiting := self._asked(lambda: keeper.turn(store.now))) and time.monotonic() < until:
            click.echo(f"waiting: {waiting}", err=True)
            time.sleep(5 * _STEP)
        report = self._report(store)
        report.notes += notes
        return report.judge()

    def rotate(self, what: str, wait: float) -> Report:
        """Leaves word for the leader, and waits for it."""
        from stateward.webhook.secret_store import ROTATE

        store = self._store()
        before = self._asked(store.read)
        if not store.exists:
            self._no_secret()
        patch = {"metadata": {"annotations": {ROTATE: what}}}
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{self.secret}"
        self._asked(lambda: self.cluster.patch(path, patch))
        click.echo(f"asked for: {ROTATE}={what} on {store.where}; waiting for the replica that leads", err=True)
        until = time.monotonic() + wait
        while True:
            kept = self._asked(store.read)
            if _done(what, before, kept):
                return self._report(store).judge()
            if time.monotonic() > until:
                break
            time.sleep(min(_STEP, wait))
        report = self._report(store)
        report.problems.append(
            f"not rotated within {wait:.0f} s: "
            + (
                f"no replica obeyed; see whether one runs and leads: kubectl get pods,leases -n {self.namespace}"
                if kept.asked
                else "the next authority is not in every webhook configuration; see the log of the replica that leads"
            )
        )
        return report.judge()

    def status(self, at: tuple[str, int] | None) -> Report:
        """The Secret, the configurations, and a handshake where one can be tried."""
        from stateward.webhook.handshake import HandshakeError, handshake

        store = self._store()
        report = self._report(store)
        if not store.exists:
            self._no_secret()
        name = f"{self.service}.{self.namespace}.svc"
        if at is None:
            report.notes.append(
                f"no handshake: the Service is reached inside the cluster; kubectl port-forward -n {self.namespace} "
                f"service/{self.service} 8443:443, and --connect 127.0.0.1:8443"
            )
            return report.judge()
        for pem in dict.fromkeys(pem for _, pem in report.bundles or ()):
            try:
                handshake(*at, name, pem)
                reason = ""
            except HandshakeError as error:
                reason = str(error)
            report.handshakes.append((f"{at[0]}:{at[1]}", name, reason))
        return report.judge()

    def _store(self) -> SecretStore:
        from stateward.webhook.secret_store import SecretStore

        return SecretStore(self.cluster, self.namespace, self.secret)

    def _bundles(self) -> list[tuple[str, bytes]]:
        from stateward.kube import bundles

        return [(one.name, one.bundle) for one in bundles.trusting(self.cluster, self.namespace, self.service)]

    def _report(self, store: SecretStore) -> Report:
        from stateward.cli.certs_report import Report

        kept = self._asked(store.read)
        return Report(
            store.where,
            kept,
            store.now(),
            bundles=self._asked(self._bundles),
            remedy=f"the replica that leads mends it; see whether one does: kubectl get pods,leases -n {self.namespace}",
        )

    def _no_secret(self) -> NoReturn:
        inputs.stop(
            f"Secret {self.namespace}/{self.secret}: there is none in {self.cluster.host}; the replica that leads makes it, "
            f"or: stateward certs init --namespace {self.namespace} (another namespace or name: --namespace, --secret)"
        )

    @staticmethod
    def _asked(call: Callable[[], Any]) -> Any:
        """The answer; a clear end of the command where the cluster does not give one."""
        from stateward.certs.errors import CertificateError
        from stateward.kube.errors import ClusterError

        try:
            return call()
        except (ClusterError, CertificateError) as error:
            inputs.stop(str(error))


def _done(what: str, before: Kept, kept: Kept) -> bool:
    """Whether what was asked for is done."""
    if kept.asked or kept.next is not None or kept.leaf is None:
        return False
    if what == "forget":
        return not kept.old
    return before.leaf is None or kept.leaf.certificate != before.leaf.certificate
