"""`stateward status`: the installation; `stateward status NAMESPACE/NAME`: one service."""

from __future__ import annotations

import click

from stateward.cli import inputs, options, replicas
from stateward.cli.replicas import Whom

EPILOG = """\
\b
Examples:
  stateward status                                   the installation in namespace stateward
  stateward status prod/orders                       the StatefulService orders: members, what is done, what is in the way
  stateward status orders -n prod --watch            the same, drawn anew every two seconds until Ctrl+C
  stateward status prod/orders -f json | jq .next    what to do where something is in the way
  stateward status --url https://127.0.0.1:8443      the door on this machine
  stateward status -f json | jq '.counts.findings'   how often each rule spoke in each namespace

Exit codes: 0 it could be asked, 2 nobody answered, or there is no such service.
"""


@click.command("status", epilog=EPILOG)
@click.argument("service", metavar="[NAMESPACE/NAME]", required=False)
@click.option("--namespace", "-n", metavar="NAMESPACE", help="Of the service; then the argument is its name.")
@click.option("--watch", "-w", is_flag=True, help="Of a service: draw it anew every two seconds.")
@replicas.options
@options.format_option("text", "json")
def command(
    service: str | None,
    namespace: str | None,
    watch: bool,
    kubeconfig: str | None,
    context: str | None,
    installed_in: str,
    url: str | None,
    token: str | None,
    ca: str | None,
    style: str,
) -> None:
    """Show what Stateward does: mode, replicas, registration, what would have been refused. Or how one service stands.

    Of a service: its version, members, how many more may go, what is being done and for how long, what is in the way and
    what to do about it, backups, the last decisions. All of that its status says; nothing but the API server is asked.
    Of the installation, counts are those of the replicas that run now, since each began; dry runs are not counted.
    """
    whom = Whom(kubeconfig, context, installed_in, url, token, ca)
    if service is None:
        if watch or namespace is not None:
            inputs.stop("--watch and --namespace are about one service; name it: stateward status NAMESPACE/NAME")
        from stateward.cli import installed

        installed.show(whom, style)
        return
    if url is not None:
        inputs.stop("--url asks a door, which knows of no service's members; leave it out, the API server is asked")
    from stateward.cli import service_status

    service_status.show(whom, *_named(service, namespace), style=style, watch=watch)


def _named(service: str, namespace: str | None) -> tuple[str | None, str]:
    """(namespace, None for the kubeconfig's own; name)."""
    parts = service.split("/")
    if len(parts) == 2 and all(parts) and namespace in (None, parts[0]):
        return parts[0], parts[1]
    if len(parts) != 1 or not service:
        inputs.stop(f"{service}: a service is named NAMESPACE/NAME, or NAME with --namespace")
    return namespace, service
