"""`stateward uninstall`: takes an installation away, so that nothing is left that holds anything up."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import click

from stateward.cli import door, inputs
from stateward.policies.view import mapping_of, metadata_of, text_of

_SHOWN: Final = 5

EPILOG = """\
\b
Examples:
  stateward uninstall --dry-run          what would be removed
  stateward uninstall                    all but your objects of its kinds and the namespace; services run on
  stateward uninstall --crds             these kinds and their objects too; refused while there are StatefulServices
"""


@click.command("uninstall", epilog=EPILOG)
@door.options
@click.option("--crds", is_flag=True, help="Also the CRDs, and with them every object of Stateward's kinds.")
@click.option(
    "--services", is_flag=True, help="With --crds: also where StatefulServices exist. Their pods end; their claims stay."
)
def command(kubeconfig: str | None, context: str | None, namespace: str, dry_run: bool, crds: bool, services: bool) -> None:
    """Remove Stateward from a cluster: what the API server asks first, then the rest.

    Needs no pod of it, and may be repeated. Exit code 2 where something could not be removed.
    """
    with door.connected(kubeconfig, context) as cluster:
        from stateward.kube import removal
        from stateward.kube.errors import ClusterError
        from stateward.kube.record import DISABLED
        from stateward.kube.removal import remove_kinds, remove_rest, stop_asking

        known = removal.services(cluster)
        if crds and known and not services:
            inputs.stop(refused(known))
        found = door.deployment(cluster, namespace)
        if not dry_run and found is not None:
            try:
                door.write(cluster, namespace, lambda record: replace(record, door=DISABLED, made={}))
            except ClusterError as error:
                click.echo(f"warning: {error}", err=True)
        stop_asking(cluster, click.echo, dry_run)
        good = remove_rest(cluster, namespace, click.echo, lambda text: click.echo(text, err=True), dry_run)
        if not dry_run:
            stop_asking(cluster, click.echo, dry_run)  # what somebody made between the two
        if crds:
            remove_kinds(cluster, click.echo, dry_run)
        else:
            click.echo(
                "left     WardPolicies, WardWaivers, StatefulServices, their backups and all CRDs: --crds removes them"
            )
            if known:
                click.echo(f"left     {told(known)}: they run on, and nobody looks after them")
        click.echo(f"left     namespace/{namespace}: kubectl delete namespace {namespace}")
        release = text_of(mapping_of(metadata_of(found or {}), "annotations"), "meta.helm.sh/release-name")
        if release:
            click.echo(f"left     Helm's record of the release: helm uninstall {release} -n {namespace}")
        if not good:
            sys.exit(2)


def told(known: Sequence[str]) -> str:
    """`3 StatefulServices (prod/orders, prod/users, …)`."""
    several = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return f"{len(known)} StatefulService{'s' if len(known) > 1 else ''} ({several})"


def refused(known: Sequence[str]) -> str:
    """Why the CRDs are not removed."""
    return (
        f"--crds: there {'are' if len(known) > 1 else 'is'} {told(known)}, and all of their pods end with their CRD; "
        "nothing was removed. Delete them first, while the operator runs; or leave out --crds, and they run on; "
        "or say --crds --services: claims and archives of backups stay, whatever the services say"
    )
