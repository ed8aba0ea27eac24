"""What members and clients get of a service's certificates."""

from __future__ import annotations

from typing import Final

from stateward.kube.definition import GROUP
from stateward.operator.drivers.protocol import Access, Container
from stateward.operator.objects.common import Item, client_tls, named, server_tls, trusted
from stateward.operator.objects.secret import entries
from stateward.operator.objects.workload import Running
from stateward.operator.service import Service
from stateward.operator.tls import CLIENT, SERVER, Tls

_KIND: Final = "kubernetes.io/tls"


def marks(container: Container, running: Running, access: Access) -> dict[str, str]:
    """Annotations of a pod: of what its engine reads once, at its start. A pod with other ones has to be made anew."""
    if not running.tls or access.tls is None:
        return {}
    marks: dict[str, str] = {"trust": access.tls.trust(), "certificate": access.tls.shown()}
    return {f"{GROUP}/{name}": marks[name] for name in container.read_once}


def of(service: Service, tls: Tls) -> list[Item]:
    """Whom to trust, then what is shown: in this order nobody is shown what nobody trusts."""
    found = [named(service, "v1", "ConfigMap", trusted(service), data={"ca.crt": tls.bundle.decode()})]
    for leaf, name in ((SERVER, server_tls(service)), (CLIENT, client_tls(service))):
        if leaf in tls.held.leaves:
            certificate, key = tls.held.leaves[leaf].to_pem()
            files = {"ca.crt": tls.bundle, "tls.crt": certificate, "tls.key": key}
            found.append(entries(service, name, files, _KIND))
    return found
