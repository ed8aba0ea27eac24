"""What an engine itself keeps in its namespace. It speaks of the data: it stays with it, and goes with it."""

from __future__ import annotations

from stateward.kube.client import Cluster
from stateward.operator import deletion
from stateward.operator.apply import RESOURCES
from stateward.operator.drivers import template
from stateward.operator.drivers.protocol import Driver
from stateward.operator.service import Service
from stateward.policies.view import mapping_of, metadata_of


def clear(cluster: Cluster, service: Service, driver: Driver) -> None:
    """Deletes the engine's own ConfigMaps; only for a service without data. Raises ClusterError.

    One of such a name that does not carry the engine's labels is somebody else's.
    """
    scope = {"service.name": service.name, "service.namespace": service.namespace}
    labels = template.render(dict(driver.container(service.version).labels), scope)
    for name in driver.leaves:
        path = RESOURCES["ConfigMap"].path_to(service.namespace, str(template.render(name, scope)))
        item = cluster.find(path)
        if item is not None and labels.items() <= dict(mapping_of(metadata_of(item), "labels")).items():
            deletion.delete(cluster, "ConfigMap", item, "Background")
