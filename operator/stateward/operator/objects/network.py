"""How a service is reached, and by whom."""

from __future__ import annotations

from collections.abc import Sequence

from stateward.operator.drivers.protocol import Container, own
from stateward.operator.objects.common import PRIMARY, REPLICA, ROLE, Item, headless, named, selector
from stateward.operator.service import Service


def services(service: Service, container: Container, routed: bool, primary: str = PRIMARY) -> list[Item]:
    """The headless Service that members find each other by, and those that clients use.

    `routed`: clients have to reach the member that leads, labelled `primary`; the others have a Service of their own,
    for reading.
    """
    members = {
        "clusterIP": "None",
        # Members find each other before they are ready: they become ready by finding each other.
        "publishNotReadyAddresses": True,
        "selector": selector(service),
        "ports": [_port(name, number) for name, number in container.ports.items()],
    }

    def clients(**labels: str) -> Item:
        return {
            "type": "ClusterIP",
            "selector": {**selector(service), **labels},
            "ports": [_port(container.serves, container.ports[container.serves])],
        }

    found = [named(service, "v1", "Service", headless(service), spec=members)]
    if not routed:
        return [*found, named(service, "v1", "Service", service.name, spec=clients())]
    return [
        *found,
        named(service, "v1", "Service", service.name, spec=clients(**{ROLE: primary})),
        named(service, "v1", "Service", f"{service.name}-replicas", spec=clients(**{ROLE: REPLICA})),
    ]


def addresses(service: Service, container: Container, members: Sequence[str]) -> list[Item]:
    """A Service for each member alone: an address that stays while its pods come and go, ready or not."""
    ports = {**container.ports, **{name: port for one in container.beside for name, port in one.ports.items()}}
    return [
        named(
            service,
            "v1",
            "Service",
            own(member),
            spec={
                "type": "ClusterIP",
                "publishNotReadyAddresses": True,
                "selector": {**selector(service), "statefulset.kubernetes.io/pod-name": member},
                "ports": [_port(name, number) for name, number in ports.items()],
            },
        )
        for member in (members if container.addresses else ())
    ]


def policy(service: Service, container: Container, operator_namespace: str) -> Item:
    """Clients of the same namespace reach the port that serves; the others are for members. The operator reaches all."""
    among = {"podSelector": {"matchLabels": selector(service)}}
    name = {"kubernetes.io/metadata.name": operator_namespace}
    operator: list[Item] = [{"namespaceSelector": {"matchLabels": name}}] if operator_namespace else []
    ports = {**container.ports, **{name: port for one in container.beside for name, port in one.ports.items()}}
    open_ = {container.serves, *(name for one in container.beside if one.open for name in one.ports)}
    outer = [{"port": port, "protocol": "TCP"} for name, port in ports.items() if name in open_]
    inner = [{"port": port, "protocol": "TCP"} for name, port in ports.items() if name not in open_]
    ingress = [{"from": [{"podSelector": {}}, *operator], "ports": outer}]
    if inner:
        ingress.append({"from": [among, *operator], "ports": inner})
    spec = {"podSelector": {"matchLabels": selector(service)}, "policyTypes": ["Ingress"], "ingress": ingress}
    return named(service, "networking.k8s.io/v1", "NetworkPolicy", service.name, spec=spec)


def _port(name: str, number: int) -> Item:
    return {"name": name, "port": number, "targetPort": name, "protocol": "TCP"}
