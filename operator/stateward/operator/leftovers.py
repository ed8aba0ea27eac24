"""What an engine itself keeps in its namespace. It speaks of the data: it stays with it, and goes with it."""

from __future__ import annotations

from stateward.kube.client import Cluster
from stateward.operator import deletion
from stateward.operator.apply import MANAGER, RESOURCES, owned
from stateward.operator.drivers import template
from stateward.operator.drivers.protocol import Driver
from stateward.operator.objects.common import LABEL, credentials
from stateward.operator.service import Service
from stateward.policies.view import mapping_of, metadata_of, text_of


def end(cluster: Cluster, service: Service, driver: Driver) -> None:
    """Of a service that ends: with its data all of it goes, and stays with it. Raises ClusterError.

    Passwords are of the data too: a later service that takes the claims on could not open it with others.
    """
    if service.claims == "Delete":
        clear(cluster, service, driver)
    path = RESOURCES["Secret"].path_to(service.namespace, credentials(service))
    item = cluster.find(path) if driver.passwords else None
    if item is None or text_of(mapping_of(metadata_of(item), "labels"), LABEL) != service.name:
        return
    if service.claims == "Delete":
        deletion.delete(cluster, "Secret", item, "Background")
    elif owned(item, service):
        uid = text_of(metadata_of(item), "uid")
        cluster.patch(path, {"metadata": {"uid": uid, "ownerReferences": None}}, field_manager=MANAGER)


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
