"""`stateward enable`: has the API server ask an installed Stateward, also where somebody took its configurations away."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from stateward.cli import door, inputs
from stateward.policies.view import mapping_of, metadata_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stateward.kube.client import Cluster

EPILOG = """\
\b
Examples:
  stateward enable                       after a configuration was deleted, or after `stateward disable`
  stateward enable --dry-run             what would be done
"""


@click.command("enable", epilog=EPILOG)
@door.options
@click.option("--wait", default=30.0, show_default=True, metavar="SECONDS", help="How long to wait until it asks.")
def command(kubeconfig: str | None, context: str | None, namespace: str, dry_run: bool, wait: float) -> None:
    """Have the API server ask an installed Stateward (again).

    Its leader makes the configurations, so that nothing is held up for a door that does not answer. Exit code 2 where
    none does in time.
    """
    with door.connected(kubeconfig, context) as cluster:
        found = door.deployment(cluster, namespace)
        if found is None:
            inputs.stop(f"namespace {namespace}: no Deployment stateward; install it, or name another with --namespace")
        already = _there(cluster)
        if dry_run:
            click.echo(f"would enable the door of namespace {namespace}; {_replicas(found)}")
            return
        from stateward.kube.record import ENABLED

        # What is there is found again; what is not there was taken away, and may come back.
        door.write(cluster, namespace, lambda record: replace(record, door=ENABLED, made={}))
        until = time.monotonic() + wait
        while not _there(cluster):
            if time.monotonic() > until:
                now = door.deployment(cluster, namespace) or {}
                inputs.stop(
                    f"enabled, but nobody has made the configurations within {wait:g} s: {_replicas(now)}; they are made as "
                    f"soon as one is ready: kubectl -n {namespace} get pods"
                )
            time.sleep(0.3)
        click.echo(f"enabled: the API server asks{' already' if already else ''}")


def _there(cluster: Cluster) -> bool:
    from stateward.kube.installed import NAME, PATHS, VALIDATING
    from stateward.kube.registration import MANAGED_BY, MANAGER

    found = cluster.find(f"{PATHS[VALIDATING]}/{NAME}")
    if found is None:
        return False
    manager = text_of(mapping_of(metadata_of(found), "labels"), MANAGED_BY)
    if manager != MANAGER:
        inputs.stop(
            f"validatingwebhookconfiguration {NAME}: {MANAGED_BY} is {manager or 'absent'}, so it is somebody else's; "
            "delete or rename it"
        )
    return True


def _replicas(found: Mapping[str, Any]) -> str:
    status, spec = mapping_of(found, "status"), mapping_of(found, "spec")
    return f"{status.get('readyReplicas', 0)} of {spec.get('replicas', 0)} replicas are ready"
