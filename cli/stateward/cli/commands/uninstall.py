"""`stateward uninstall`: takes an installation away, so that nothing is left that holds anything up."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from stateward.cli import door
from stateward.policies.view import mapping_of, metadata_of, text_of

EPILOG = """\
\b
Examples:
  stateward uninstall --dry-run          what would be removed
  stateward uninstall                    all but your WardPolicies, WardWaivers and the namespace
  stateward uninstall --crds             these kinds and their objects too
"""


@click.command("uninstall", epilog=EPILOG)
@door.options
@click.option("--crds", is_flag=True, help="Also the CRDs, and with them every WardPolicy and WardWaiver.")
def command(kubeconfig: str | None, context: str | None, namespace: str, dry_run: bool, crds: bool) -> None:
    """Remove Stateward from a cluster: what the API server asks first, then the rest.

    Needs no pod of it, and may be repeated. Exit code 2 where something could not be removed.
    """
    with door.connected(kubeconfig, context) as cluster:
        from stateward.kube.errors import ClusterError
        from stateward.kube.record import DISABLED
        from stateward.kube.removal import remove_kinds, remove_rest, stop_asking

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
            click.echo("left     WardPolicies, WardWaivers and their CRDs: --crds removes them")
        click.echo(f"left     namespace/{namespace}: kubectl delete namespace {namespace}")
        release = text_of(mapping_of(metadata_of(found or {}), "annotations"), "meta.helm.sh/release-name")
        if release:
            click.echo(f"left     Helm's record of the release: helm uninstall {release} -n {namespace}")
        if not good:
            sys.exit(2)
