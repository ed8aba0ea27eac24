"""`stateward certs`: the webhook's certificates, in a folder or in a cluster: made, shown, rotated."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from stateward.cli import inputs
from stateward.cli.places import default_folder

if TYPE_CHECKING:
    from stateward.certs.rotation import Kept
    from stateward.cli.certs_report import Report
    from stateward.kube.client import Cluster
    from stateward.webhook.secret_store import SecretStore

SECRET: Final = "stateward-certs"  # noqa: S105 - its name
_SERVED_AT: Final = "127.0.0.1:8443"  # where `stateward serve` listens
_EXTRA: Final = ("cryptography", "kubernetes", "urllib3", "uvicorn", "fastapi", "prometheus_client")
_LAPTOP: Final = ("localhost", "127.0.0.1", "::1")
_STEP: Final = 1.0

_Command = TypeVar("_Command", bound=Callable[..., Any])

EPILOG = """\
\b
Examples:
  stateward certs status                            the folder that `stateward serve` uses
  stateward certs status --namespace stateward      the Secret in the cluster, and who trusts it
  stateward certs rotate --namespace stateward      a new authority, with overlap: no call fails
  stateward certs init --dir certs --name stateward.stateward.svc
                                                    files for GitOps or an air-gapped cluster
"""


def _place_options(command: _Command) -> _Command:
    options = (
        click.option("--dir", "folder", type=click.Path(path_type=Path), metavar="DIR", help="A folder of certificates."),
        click.option("--kubeconfig", metavar="FILE", help="A cluster, as kubectl finds it where none is named."),
        click.option("--context", metavar="NAME", help="The context of the kubeconfig."),
        click.option(
            "--namespace", "-n", metavar="NAME", help="Where Stateward is installed; stateward where none is named."
        ),
        click.option("--secret", default=SECRET, show_default=True, metavar="NAME", help="The Secret of the certificates."),
        click.option(
            "--service", default="stateward", show_default=True, metavar="NAME", help="The Service of the webhook."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


_format_option: Final = click.option(
    "--format", "-f", "style", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group("certs", epilog=EPILOG)
def command() -> None:
    """Make, show and rotate the webhook's certificates.

    In a cluster where --kubeconfig, --context or --namespace says so, else in a folder (--dir; by default the one that
    `stateward serve` uses). Neither needs it: both make and rotate their certificates by themselves.
    """


@command.command("init")
@_place_options
@click.option("--name", "names", multiple=True, metavar="DNS", help="A DNS name or address to be in the certificate.")
@_format_option
def init(names: tuple[str, ...], style: str, **place: Any) -> None:
    """Make an authority and a certificate where there are none.

    In a cluster: the Secret, and the caBundle of every webhook that asks the Service. What is good stays as it is.
    """
    where = _place(**place)
    _show(where.init(names), style)


@command.command("status")
@_place_options
@click.option("--connect", metavar="HOST:PORT", help="Where a handshake is tried, with what callers trust.")
@_format_option
def status(connect: str | None, style: str, **place: Any) -> None:
    """Show what there is, days left, and who trusts it.

    Authority, certificate, names, the webhook configurations that trust it, and whether a handshake verifies. Exit code
    1 where something has to be seen to.
    """
    where = _place(**place)
    at = _address(connect) if connect is not None else None
    _show(where.status(at), style)


@command.command("rotate")
@_place_options
@click.option("--leaf", is_flag=True, help="The certificate alone; the authority stays.")
@click.option("--forget", is_flag=True, help="Trust former authorities no more, for a key got out. Rotate first.")
@click.option("--wait", default=90.0, show_default=True, metavar="SECONDS", help="In a cluster: how long it may take.")
@_format_option
def rotate(leaf: bool, forget: bool, wait: float, style: str, **place: Any) -> None:
    """Ask for a new authority and certificate now. The former authority stays trusted: no call fails.

    In a cluster the replica that leads does it, within seconds. In a folder it is done at once, and a server that runs
    takes it up.
    """
    if leaf and forget:
        inputs.stop("--leaf issues a certificate, --forget ends the trust in former authorities; give one of both")
    where = _place(**place)
    _show(where.rotate("forget" if forget else "leaf" if leaf else "authority", wait), style)


def _place(
    folder: Path | None, kubeconfig: str | None, context: str | None, namespace: str | None, secret: str, service: str
) -> _Folder | _Namespace:
    in_cluster = kubeconfig is not None or context is not None or namespace is not None
    if folder is not None and in_cluster:
        inputs.stop("--dir is about a folder, --kubeconfig, --context and --namespace about a cluster; give one of both")
    try:
        if not in_cluster:
            import cryptography  # noqa: F401,RUF100 - its use is deep inside

            return _Folder(folder if folder is not None else default_folder())
        import urllib3

        from stateward.kube.client import Cluster
        from stateward.kube.errors import ClusterError
        from stateward.webhook.secret_store import SecretStore  # noqa: F401,RUF100
    except ImportError as error:
        _missing(error)
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        cluster = Cluster.connect(kubeconfig, context, connect_seconds=5.0, read_seconds=10.0)
    except ClusterError as error:
        inputs.stop(str(error))
    return _Namespace(cluster, namespace or "stateward", secret, service)


def _missing(error: ImportError) -> NoReturn:
    if (error.name or "").partition(".")[0] not in _EXTRA:
        raise error
    inputs.stop(f"{error.name} is missing; install it with: pip install 'stateward[serve]'")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        inputs.stop(f'--connect "{text}": HOST:PORT is wanted, such as 127.0.0.1:8443')
    return host.strip("[]"), int(port)


def _show(report: Report, style: str) -> None:
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(dumps(report.json()), nl=False)
    else:
        for line in report.text():
            click.echo(line)
    if report.problems:
        raise SystemExit(1)


class _Folder:
    """A folder of our own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def init(self, names: tuple[str, ...]) -> Report:
        """Makes or mends what is there."""
        return self._changed(lambda folder, now: folder.ensure(names or self._names() or _LAPTOP, now), first=True)

    def rotate(self, what: str, _wait: float) -> Report:
        """At once."""
        names = self._names()
        if not names:
            inputs.stop(f"{self.path}: there is no certificate to rotate; make one: stateward certs init --dir {self.path}")
        if what == "forget":
            return self._changed(_forgotten(names))
        return self._changed(lambda folder, now: folder.rotate(names, now, what))

    def status(self, at: tuple[str, int] | None) -> Report:
        """What is there, without touching it."""
        from stateward.certs.rotation import bundle
        from stateward.webhook.handshake import HandshakeError, handshake

        if not self.path.is_dir():
            inputs.stop(f"{self.path}: there is no such folder; make one: stateward certs init --dir {self.path}")
        report = self._report()
        names = self._names()
        host, port = at if at is not None else _address(_SERVED_AT)
        if names:
            try:
                handshake(host, port, names[0], bundle(report.kept, report.now))
                report.handshakes.append((f"{host}:{port}", names[0], ""))
            except HandshakeError as error:
                if error.trust or at is not None:
                    report.handshakes.append((f"{host}:{port}", names[0], str(error)))
                else:
                    report.notes.append(f"no handshake: nothing listens at {host}:{port}; --connect HOST:PORT tries another")
        return report.judge()

    def _changed(self, change: Callable[..., Any], *, first: bool = False) -> Report:
        from stateward.certs.errors import CertificateError
        from stateward.certs.folder import CertificateFolder

        try:
            served = change(CertificateFolder(self.path), datetime.now(UTC))
        except CertificateError as error:
            inputs.stop(str(error))
        report = self._report()
        report.notes += served.notes
        if first:
            entries = " ".join(f"--from-file={self.path / entry}" for entry in ("ca.crt", "ca.key", "tls.crt", "tls.key"))
            report.notes.append(f"into a cluster: kubectl create secret generic {SECRET} {entries}")
            report.notes.append(f"as a caBundle: base64 < {self.path / 'ca.crt'} | tr -d '\\n'")
        return report.judge()

    def _report(self) -> Report:
        from stateward.certs import stored
        from stateward.cli.certs_report import Report

        data = {}
        for entry in stored.ENTRIES:
            try:
                data[entry] = (self.path / entry).read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                inputs.stop(f"{self.path / entry}: cannot be read ({error.strerror}); see who owns it")
        return Report(
            f"folder {self.path}",
            stored.read(data, f"{self.path}/"),
            datetime.now(UTC),
            remedy=f"stateward certs init --dir {self.path} mends it",
        )

    def _names(self) -> tuple[str, ...]:
        from stateward.certs.errors import CertificateError
        from stateward.certs.names import names_of
        from stateward.certs.pem import read_certificates

        try:
            return names_of(read_certificates((self.path / "tls.crt").read_bytes(), "tls.crt")[0])
        except (OSError, CertificateError):
            return ()


def _forgotten(names: tuple[str, ...]) -> Callable[..., Any]:
    def change(folder: Any, now: datetime) -> Any:
        folder.forget()
        return folder.ensure(names, now)

    return change


class _Namespace:
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
