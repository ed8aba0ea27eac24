"""`stateward operate`: the reconciler of StatefulServices."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import ExitStack
from typing import Final, Literal

import click

from stateward.cli import extra, inputs

_FILES: Final = 16384

EPILOG = """\
\b
Examples:
  stateward operate --kubeconfig ~/.kube/config     from this machine, where it reaches the pods' addresses
  stateward operate                                 in a pod, with its service account
  kubectl get statefulservices -A                   what it looks after
"""


@click.command("operate", epilog=EPILOG)
@click.option(
    "--kubeconfig", metavar="FILE", help="Of the cluster; without it: $KUBECONFIG, ~/.kube/config, the pod's account."
)
@click.option("--context", metavar="NAME", help="The context of the kubeconfig.")
@click.option(
    "--namespace", envvar="POD_NAMESPACE", metavar="NAME", help="Of the Lease; $POD_NAMESPACE, --watch, else default."
)
@click.option(
    "--watch", default="", metavar="NAMESPACE", help="Look after the services of this namespace alone; without it, of all."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address of /metrics, /livez and /readyz.")
@click.option(
    "--port", default=8081, show_default=True, type=click.IntRange(0, 65535), help="Their port; 0 takes a free one."
)
@click.option("--workers", default=16, show_default=True, type=click.IntRange(1, 64), help="Services looked at at a time.")
@click.option(
    "--policy-name",
    default="stateward",
    metavar="NAME",
    show_default=True,
    help="The WardPolicy that changes are judged by.",
)
@click.option(
    "--restic-image",
    envvar="STATEWARD_RESTIC_IMAGE",
    metavar="IMAGE",
    help="Writes and reads backups; $STATEWARD_RESTIC_IMAGE, else restic's own.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the log.")
def command(
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    watch: str,
    host: str,
    port: int,
    workers: int,
    policy_name: str,
    restic_image: str | None,
    log_format: Literal["text", "json"],
) -> None:
    """Run the StatefulServices of a cluster: make them what they ask for, one step at a time.

    Several may run: one leads, the others wait. It asks members by their pods' addresses, so it has to reach those.
    Exit code 2 if it cannot start.
    """
    try:
        from stateward.kube.client import Cluster
        from stateward.kube.errors import ClusterError
        from stateward.operator.backup.hub import RESTIC
        from stateward.operator.operate import Options, operating
        from stateward.webhook import logs, server
    except ImportError as error:
        extra.missing(error)
    options = Options(
        identity=f"{os.environ.get('POD_NAME') or socket.gethostname()}-{secrets.token_hex(4)}",
        namespace=namespace or watch or "default",
        watch=watch,
        inside="POD_NAMESPACE" in os.environ,
        host=host,
        port=port,
        workers=workers,
        policy=policy_name,
        restic=restic_image or RESTIC,
    )
    _open_files()
    with ExitStack() as stack:
        ending = stack.enter_context(server.ending())
        stack.enter_context(logs.written(style=log_format))
        try:
            cluster = Cluster.connect(kubeconfig, context, patience_seconds=0.0)  # its queue asks again
            stack.callback(cluster.close)
            running = stack.enter_context(operating(cluster, options))
        except ClusterError as error:
            inputs.stop(str(error))
        except OSError as error:
            inputs.stop(f"--host {host} --port {port}: {error.strerror or error}; name another port with --port")
        click.echo(f"Stateward operates the StatefulServices of {f'namespace {watch} of ' if watch else ''}{cluster.host}")
        click.echo(f"  lease    {options.namespace}/stateward-operator, as {options.identity}")
        click.echo(f"  metrics  http://{host}:{running.page.port}/metrics")
        click.echo("  stop     Ctrl+C")
        ending.asked.wait()


def _open_files() -> None:
    """As many as the system lets it have: a connection to each member stays open, and the usual first limit is 1024."""
    try:
        import resource
    except ImportError:
        return  # not a Unix
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
