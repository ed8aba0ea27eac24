"""What `enable`, `disable` and `uninstall` share: the cluster, the installation in it, its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stateward.cli import extra, inputs

if TYPE_CHECKING:
    from stateward.kube.client import Cluster
    from stateward.kube.record import Record

Command = TypeVar("Command", bound=Callable[..., Any])


def options(command: Command) -> Command:
    """`--kubeconfig`, `--context`, `--namespace` and `--dry-run`."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
        click.option("--namespace", "-n", default="stateward", show_default=True, help="Where Stateward is installed."),
        click.option("--context", metavar="NAME", help="The context of the kubeconfig."),
        click.option("--kubeconfig", metavar="FILE", help="The cluster; as kubectl finds it without."),
    ):
        command = option(command)
    return command


@contextmanager
def connected(kubeconfig: str | None, context: str | None) -> Iterator[Cluster]:
    """The cluster. What it refuses or does not answer ends the command."""
    try:
        from stateward.kube.client import Cluster
        from stateward.kube.errors import ClusterError
    except ImportError as error:
        extra.missing(error)
    cluster = None
    try:
        cluster = Cluster.connect(kubeconfig, context)
        yield cluster
    except ClusterError as error:
        inputs.stop(str(error))
    except ImportError as error:
        extra.missing(error)
    finally:
        if cluster is not None:
            cluster.close()


def deployment(cluster: Cluster, namespace: str) -> Mapping[str, Any] | None:
    """The installation's Deployment, None where there is none. Raises ClusterError."""
    from stateward.kube.client import path_of
    from stateward.kube.installed import NAME

    return cluster.find(path_of("apis", "apps", "v1", "namespaces", namespace, "deployments", NAME))


def write(cluster: Cluster, namespace: str, change: Callable[[Record], Record]) -> None:
    """Changes the record, against whoever writes it meanwhile. Raises ClusterError."""
    from stateward.kube import record
    from stateward.kube.errors import ClusterError

    for last in (False, False, False, False, True):
        found = record.read(cluster, namespace)
        try:
            record.write(cluster, namespace, change(found if found is not None else record.Record()))
            return
        except ClusterError as error:
            if error.status != 409 or last:
                raise
