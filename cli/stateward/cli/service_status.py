"""`stateward status NAMESPACE/NAME`: one StatefulService, as its object tells of it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from stateward.cli import inputs, picture, replicas, standing
from stateward.cli.replicas import Whom
from stateward.policies import quantity
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

if TYPE_CHECKING:
    from stateward.kube.client import Cluster

EVERY: Final = 2.0
"""Seconds between two looks of --watch."""
USUAL_WIDTH: Final = 100
_ZONE: Final = "topology.kubernetes.io/zone"
_CLEAR: Final = "\x1b[H\x1b[2J"
_STATISTICS: Final = 3.0
_SLACK: Final = 1.1
"""A driver may round the size of a volume up."""
_NOT_ASKED: Final = frozenset({401, 403, 404})


def show(whom: Whom, namespace: str | None, name: str, *, style: str, watch: bool) -> None:
    """Prints it; with `watch` again and again, until Ctrl+C. Exit code 2 where it cannot be had."""
    with replicas.connected(whom) as cluster:
        if namespace is None:
            from stateward.kube import configure

            namespace = configure.namespace(whom.kubeconfig, whom.context)
        _show(cluster, namespace, name, style)
        while watch:
            try:
                time.sleep(EVERY)
                _show(cluster, namespace, name, style, again=True)
            except KeyboardInterrupt:
                return


def _show(cluster: Cluster, namespace: str, name: str, style: str, *, again: bool = False) -> None:
    from stateward.kube.errors import ClusterError

    now = time.time()
    try:
        item = _read(cluster, namespace, name)
        found = standing.document(item, _used(cluster, item), _zones(cluster, item), now)
    except ClusterError as error:
        if not again:
            raise
        # It may come back: who watches is told, and goes on watching.
        click.echo(f"warning: {error}", err=True)
        return
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(dumps(found), nl=False)
        return
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else USUAL_WIDTH
    text = picture.drawn(found, now, width)
    click.echo(f"{_CLEAR}{text}" if again and terminal else f"\n{text}" if again else text)


def _read(cluster: Cluster, namespace: str, name: str) -> Object:
    from stateward.kube.client import path_of

    item = cluster.find(path_of("apis", "stateward.dev", "v1beta1", "namespaces", namespace, "statefulservices", name))
    if item is None:
        inputs.stop(f"{namespace}/{name}: there is no such StatefulService; kubectl get statefulservices -A lists them")
    return item


def _nodes(item: Object) -> list[str]:
    members = items_of(mapping_of(item, "status"), "members")
    return sorted({node for one in members if (node := text_of(one, "node"))})


def _zones(cluster: Cluster, item: Object) -> Mapping[str, str]:
    """Node → zone, of nodes that may be read, where the status does not say it."""
    from stateward.kube.client import path_of
    from stateward.kube.errors import ClusterError

    members = items_of(mapping_of(item, "status"), "members")
    if all(text_of(one, "zone") for one in members if text_of(one, "node")):
        return {}
    found: dict[str, str] = {}
    for node in _nodes(item):
        try:
            labels = mapping_of(metadata_of(cluster.get(path_of("api", "v1", "nodes", node))), "labels")
        except ClusterError as error:
            if error.status == 404:
                continue
            return found
        found[node] = text_of(labels, _ZONE)
    return found


def _used(cluster: Cluster, item: Object) -> Mapping[str, int]:
    """Member → bytes on its volume, by its node's kubelet; of nodes that this user may not ask, nothing."""
    from stateward.kube.client import path_of
    from stateward.kube.errors import ClusterError

    namespace, volumes = text_of(metadata_of(item), "namespace"), items_of(mapping_of(item, "status"), "volumes")
    whole = quantity.parse(volumes[0].get("size")) if volumes else None
    found: dict[str, int] = {}
    for node in _nodes(item):
        path = path_of("api", "v1", "nodes", node, "proxy", "stats", "summary")
        try:
            told = cluster.call("GET", path, read_seconds=_STATISTICS)
        except ClusterError as error:
            if error.status in _NOT_ASKED:
                return found
            continue
        for pod in items_of(told, "pods"):
            _add(found, pod, namespace, float(whole) * _SLACK if whole is not None else 0)
    return found


def _add(found: dict[str, int], pod: Mapping[str, Any], namespace: str, largest: float) -> None:
    """Storage that is a folder of its node's disk tells of that disk: it is larger than what was asked for, and left out."""
    reference = mapping_of(pod, "podRef")
    if text_of(reference, "namespace") != namespace:
        return
    for volume in items_of(dict(pod), "volume"):
        bytes_, capacity = volume.get("usedBytes"), volume.get("capacityBytes")
        its_own = type(capacity) is int and capacity <= largest
        if mapping_of(volume, "pvcRef") and volume.get("name") == "data" and type(bytes_) is int and its_own:
            found[text_of(reference, "name")] = bytes_
