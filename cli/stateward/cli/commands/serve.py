"""`stateward serve`: the admission webhook, on a laptop as it is, on a cluster where one is named."""

from __future__ import annotations

import os
import shlex
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import click

from stateward.cli import extra, inputs
from stateward.cli.places import default_folder
from stateward.policies.policy import Policy
from stateward.policies.view import EMPTY_VIEW

if TYPE_CHECKING:
    from stateward.kube.client import Cluster
    from stateward.kube.events import Events
    from stateward.kube.watcher import ClusterWatch
    from stateward.webhook.app import App
    from stateward.webhook.certificates import Certificates

_DRAIN_REGISTERED: Final = 2.0
"""Seconds that an API server may go on asking once its configuration is gone: it watches, a second is plenty."""
_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - whoever listens everywhere


_MODE: Final = "With --in-cluster, of a policy that names none."

EPILOG = """\
\b
Examples:
  stateward serve                                            on this machine, with a certificate of its own
  stateward serve --kubeconfig ~/.kube/config --register     and at the door of that cluster, until it is stopped
  stateward serve --in-cluster --host 0.0.0.0                what the pods of an installation run
"""


@click.command("serve", epilog=EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8443, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@inputs.policy_option
@click.option("--certs", type=click.Path(path_type=Path), metavar="DIR", help="Certificates, made where missing.")
@click.option("--name", "names", multiple=True, metavar="DNS", help="One more name in the certificate.")
@click.option("--kubeconfig", metavar="FILE", help="Look into this cluster for what else exists.")
@click.option("--context", metavar="NAME", help="The context of the kubeconfig.")
@click.option("--register", is_flag=True, help="Have that cluster ask here, until the end.")
@click.option("--url", metavar="URL", help="Where it asks, if not at https://127.0.0.1:PORT/validate.")
@click.option(
    "--fail-policy",
    type=click.Choice(["Ignore", "Fail"]),
    help="What becomes of writes that nobody answers for. Default: Ignore; with --in-cluster Fail where the mode is deny.",
)
@click.option("--in-cluster", is_flag=True, help="As installed: registers itself, with the service account of its pod.")
@click.option("--mode", type=click.Choice(["audit", "warn", "deny"]), default="audit", show_default=True, help=_MODE)
@click.option("--namespace", envvar="POD_NAMESPACE", metavar="NAME", help="Of the installation; $POD_NAMESPACE.")
@click.option("--service", default="stateward", metavar="NAME[:PORT]", show_default=True, help="Where the API server asks.")
@click.option("--policy-name", default="stateward", metavar="NAME", show_default=True, help="The WardPolicy to follow.")
@click.option(
    "--client-ca", type=click.Path(path_type=Path), metavar="FILE", help="Admission only with a certificate of it."
)
@click.option("--client-name", "client_names", multiple=True, metavar="NAME", help="Of that certificate; more than one may.")
@click.option("--open-metrics", is_flag=True, help="With --in-cluster: /metrics without a token.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the log.")
@click.option("--drain", type=click.FloatRange(0, 600), metavar="SECONDS", help="Answer on for so long at the end.")
def command(
    host: str,
    port: int,
    policy_file: str | None,
    certs: Path | None,
    names: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    register: bool,
    url: str | None,
    fail_policy: Literal["Ignore", "Fail"] | None,
    in_cluster: bool,
    mode: Literal["audit", "warn", "deny"],
    namespace: str | None,
    service: str,
    policy_name: str,
    client_ca: Path | None,
    client_names: tuple[str, ...],
    open_metrics: bool,
    log_format: Literal["text", "json"],
    drain: float | None,
) -> None:
    """Serve the admission webhook.

    Needs nothing: certificates are made, and nothing but the request is looked at. With --kubeconfig it sees what else
    exists in a cluster; with --register that cluster asks it, and Ctrl+C ends both. Exit code 2 if it cannot start.

    With --in-cluster it is one replica of an installation: it follows a WardPolicy of its cluster, keeps its certificates
    in a Secret (with --certs DIR: takes them from there) and its configurations as they are wanted.
    """
    authorities = _authorities(client_ca, client_names)
    if in_cluster:
        from stateward.cli import installation

        refused = {"--register": register, "--url": url, "--policy": policy_file, "--name": names}
        asked = installation.Options(
            host=host,
            port=port,
            kubeconfig=kubeconfig,
            context=context,
            folder=certs,
            drain=drain,
            namespace=namespace,
            service=service,
            policy=policy_name,
            mode=mode,
            fail_policy=fail_policy,
            log_format=log_format,
            client_ca=authorities,
            client_names=client_names,
            open_metrics=open_metrics,
        )
        installation.serve(asked, [option for option, given in refused.items() if given])
        return
    if kubeconfig is None and (register or context is not None):
        inputs.stop(f"{'--register' if register else '--context'} is about a cluster; name it with --kubeconfig")
    policy = inputs.read_policy(policy_file)
    folder = certs if certs is not None else default_folder()
    try:
        from stateward.certs.errors import CertificateError
        from stateward.webhook import logs, server
        from stateward.webhook.certificates import Certificates
        from stateward.webhook.clients import Clients

        if kubeconfig is not None:
            import kubernetes  # noqa: F401,RUF100 - its use is deep inside

            from stateward.webhook import cluster as clusters
    except ImportError as error:
        extra.missing(error)
    # What is entered last ends first: the registration, then the server with its drain, then what that looks at.
    with ExitStack() as stack:
        ending = stack.enter_context(server.ending())
        stack.enter_context(logs.written(style=log_format))
        try:
            cluster = stack.enter_context(clusters.connected(kubeconfig, context)) if kubeconfig is not None else None
            certificates = stack.enter_context(
                Certificates(folder, [*_own_names(host), *names, *_host_of(url)], client_ca=authorities)
            )
            listening = stack.enter_context(server.listen(host, port))
            watch = stack.enter_context(clusters.watching(cluster)) if cluster is not None else None
            events = stack.enter_context(_events(cluster)) if cluster is not None and register else None
            app = _app(policy, watch, policy_file, cluster, events)
            door = server.Server(
                app,
                listening,
                context=certificates.hot.context,
                drain=_drain(drain, register),
                clients=Clients(client_names) if authorities else None,
            )
            stack.enter_context(door)
            base = f"https://{_bracketed(_REACHED_AT.get(host, host))}:{door.port}"
            _say(base, certificates, policy, policy_file, cluster, watch)
            if register and cluster is not None and watch is not None:
                registration = clusters.registered(
                    cluster,
                    watch,
                    base=base,
                    url=url or f"{base}/validate",
                    bundle=certificates.bundle,
                    failure_policy=fail_policy or "Ignore",
                    given_up=ending.asked.is_set,
                    say=click.echo,
                    warn=lambda text: click.echo(text, err=True),
                    user_rules=policy.user_rules,
                )
                stack.enter_context(registration)
        except (CertificateError, server.ServeError) as error:
            inputs.stop(str(error))
        server.settle()
        click.echo("  stop          Ctrl+C")
        ending.wait(door)
        if not ending.asked.is_set():
            inputs.stop("the server has ended by itself; its log above says why")


def _authorities(client_ca: Path | None, names: tuple[str, ...]) -> bytes:
    """Whose certificates callers must show, as PEM; b"" where none is wanted."""
    if client_ca is None:
        if names:
            inputs.stop("--client-name is about a certificate of --client-ca; name that file too")
        return b""
    try:
        found = client_ca.read_bytes()
    except OSError as error:
        inputs.stop(f"--client-ca {client_ca}: {error.strerror}")
    if b"-----BEGIN CERTIFICATE-----" not in found:
        inputs.stop(f"--client-ca {client_ca}: no PEM certificate in it; give the authority's certificate")
    return found


def _app(
    policy: Policy, watch: ClusterWatch | None, policy_file: str | None, cluster: Cluster | None, events: Events | None
) -> App:
    from stateward.policies.mutate import mutate
    from stateward.webhook.app import build
    from stateward.webhook.probes import Probes

    named = str(policy_file or "")
    if watch is None or cluster is None:
        return build(EMPTY_VIEW, policy, mutate=mutate, probes=Probes(policy_name=lambda: named))
    from stateward.kube.reviews import Reviews
    from stateward.webhook.auth import Guard
    from stateward.webhook.readiness import Readiness

    return build(
        watch.view,
        policy,
        ready=Readiness(watch),
        evicted=watch.view.leave,
        mutate=mutate,
        guard=Guard(Reviews(cluster), local=True),  # whoever is not on this machine shows a token of that cluster
        events=events,
        probes=Probes(ages=watch.view.ages, unknown=watch.unknown, policy_name=lambda: named),
    )


def _events(cluster: Cluster) -> Events:
    from stateward.kube.events import Events

    return Events(cluster, socket.gethostname())


def _drain(given: float | None, register: bool) -> float:
    """Seconds. On a laptop nobody else takes over, so that there is nothing to wait for."""
    from stateward.webhook.server import DRAIN_IN_CLUSTER

    if given is not None:
        return given
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return DRAIN_IN_CLUSTER
    return _DRAIN_REGISTERED if register else 0.0


def _say(
    base: str,
    certificates: Certificates,
    policy: Policy,
    policy_file: str | None,
    cluster: Cluster | None,
    watch: ClusterWatch | None,
) -> None:
    """What a person wants to know when it has started."""
    authority = shlex.quote(str(certificates.folder / "ca.crt"))
    for note in certificates.served.notes:
        click.echo(f"note: {note}")
    if cluster is None or watch is None:
        sees = "the request alone: rules that look further warn; --kubeconfig FILE shows it a cluster"
    else:
        sees = f"{len(watch.needed)} kinds of {cluster.host}"
    click.echo(f"Stateward answers at {base}/validate")
    click.echo(f"  policy        {policy.title}, {policy_file or 'built in'}")
    click.echo(f"  sees          {sees}")
    click.echo(f"  certificates  {certificates.folder}, authority {authority}")
    click.echo(f"  try           curl --cacert {authority} {base}/readyz")
    click.echo(
        f"                curl --cacert {authority} -H 'Content-Type: application/json' -d @review.json {base}/validate"
    )


def _own_names(host: str) -> list[str]:
    return [*([host] if host not in _REACHED_AT else []), "localhost", "127.0.0.1", "::1"]


def _host_of(url: str | None) -> list[str]:
    try:
        name = urlsplit(url or "").hostname
    except ValueError:
        return []  # said when it is registered
    return [name] if name else []


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
