"""`stateward certs`: the webhook's certificates, in a folder or in a cluster: made, shown, rotated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from stateward.cli import inputs
from stateward.cli.certs_in_cluster import Namespace
from stateward.cli.certs_in_folder import SECRET, Folder
from stateward.cli.places import default_folder

if TYPE_CHECKING:
    from stateward.cli.certs_report import Report

_EXTRA: Final = ("cryptography", "kubernetes", "urllib3", "uvicorn", "fastapi", "prometheus_client")

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
) -> Folder | Namespace:
    in_cluster = kubeconfig is not None or context is not None or namespace is not None
    if folder is not None and in_cluster:
        inputs.stop("--dir is about a folder, --kubeconfig, --context and --namespace about a cluster; give one of both")
    try:
        if not in_cluster:
            import cryptography  # noqa: F401,RUF100 - its use is deep inside

            return Folder(folder if folder is not None else default_folder())
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
    return Namespace(cluster, namespace or "stateward", secret, service)


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
