"""The objects that a service is made of."""

from __future__ import annotations

from stateward.operator.drivers.protocol import Access, Driver, Place
from stateward.operator.objects import certificates, fingerprint, network, quorum, rights, secret, workload
from stateward.operator.objects.common import PRIMARY, Item
from stateward.operator.objects.workload import Running
from stateward.operator.service import Service


def all_of(
    service: Service,
    running: Running,
    driver: Driver,
    place: Place,
    access: Access,
    namespace: str,
    primary: str = PRIMARY,
    parked: bool = False,
) -> list[Item]:
    """All of them, what pods need before the pods; the StatefulSet is the last.

    `namespace`: the operator's own. `primary`: the label of the member that leads. `parked`: without pods for a moment.
    """
    container = driver.container(running.version, running.tls)
    files = driver.secret_files(place, access)
    known = driver.clients(place, access)
    return [
        workload.account(service),
        *rights.of(service, container, place.members),
        workload.configuration(service, running, driver.configuration(place)),
        *([secret.rendered(service, files)] if files else []),
        *(certificates.of(service, access.tls) if running.tls and access.tls is not None else []),
        *([secret.clients(service, known)] if known else []),
        *network.services(service, container, driver.routed, primary),
        *network.addresses(service, container, place.members),
        network.policy(service, container, namespace),
        quorum.budget(service, running.replicas),
        workload.stateful_set(
            service,
            container,
            running,
            fingerprint.of(service, running, driver, place, access),
            parked,
            certificates.marks(container, running, access),
        ),
    ]
