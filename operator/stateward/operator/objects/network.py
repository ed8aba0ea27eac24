"""How a service is reached, and by whom."""

from __future__ import annotations

from stateward.operator.drivers.protocol import Container
from stateward.operator.objects.common import Item, headless, named, selector
from stateward.operator.service import Service


def services(service: Service, container: Container) -> list[Item]:
    """The headless Service that members find each other by, and the one that clients use."""
    members = {
        "clusterIP": "None",
        # Members find each other before they are ready: they become ready by finding each other.
        "publishNotReadyAddresses": True,
        "selector": selector(service),
        "ports": [_port(name, number) for name, number in container.ports.items()],
    }
    clients = {
        "type": "ClusterIP",
        "selector": selector(service),
        "ports": [_port(container.serves, container.ports[container.serves])],
    }
    return [
        named(service, "v1", "Service", headless(service), spec=members),
        named(service, "v1", "Service", service.name, spec=clients),
    ]


def policy(service: Service, container: Container, operator_namespace: str) -> Item:
    """Clients of the same namespace and the operator reach the port that serves; the others are for members alone."""
    among = {"podSelector": {"matchLabels": selector(service)}}
    anybody: list[Item] = [{"podSelector": {}}]
    if operator_namespace:
        name = {"kubernetes.io/metadata.name": operator_namespace}
        anybody.append({"namespaceSelector": {"matchLabels": name}})
    serves = {"port": container.ports[container.serves], "protocol": "TCP"}
    inner = [{"port": port, "protocol": "TCP"} for name, port in container.ports.items() if name != container.serves]
    ingress = [{"from": anybody, "ports": [serves]}]
    if inner:
        ingress.append({"from": [among], "ports": inner})
    spec = {"podSelector": {"matchLabels": selector(service)}, "policyTypes": ["Ingress"], "ingress": ingress}
    return named(service, "networking.k8s.io/v1", "NetworkPolicy", service.name, spec=spec)


def _port(name: str, number: int) -> Item:
    return {"name": name, "port": number, "targetPort": name, "protocol": "TCP"}
