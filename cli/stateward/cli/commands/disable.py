"""`stateward disable`: has the API server ask no more, and leaves the rest as it is."""

from __future__ import annotations

from dataclasses import replace

import click

from stateward.cli import door

EPILOG = """\
\b
Examples:
  stateward disable                      nothing is judged from now on; works with every pod dead
  stateward enable                       and back
"""


@click.command("disable", epilog=EPILOG)
@door.options
def command(kubeconfig: str | None, context: str | None, namespace: str, dry_run: bool) -> None:
    """Turn the door off: nothing is asked any more. Pods, policies and certificates stay."""
    with door.connected(kubeconfig, context) as cluster:
        from stateward.kube.errors import ClusterError
        from stateward.kube.record import DISABLED
        from stateward.kube.removal import stop_asking

        if not dry_run:
            try:
                # First: whoever runs must not make them again.
                door.write(cluster, namespace, lambda record: replace(record, door=DISABLED, made={}))
            except ClusterError as error:
                click.echo(f"warning: {error}; what runs there may make the configurations again", err=True)
        count = stop_asking(cluster, click.echo, dry_run)
        if dry_run:
            click.echo(f"would disable the door of namespace {namespace}")
        else:
            click.echo(f"disabled: {'the API server asks no more' if count else 'the API server did not ask'}")
