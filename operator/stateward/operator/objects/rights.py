"""What an engine may ask of the API server: only where it has to, only in its own namespace."""

from __future__ import annotations

from typing import Final

from stateward.operator.drivers.protocol import Container
from stateward.operator.objects.common import Item, named
from stateward.operator.service import Service

_RBAC: Final = "rbac.authorization.k8s.io"


def of(service: Service, container: Container) -> list[Item]:
    """A Role and who has it; nothing where the engine asks nothing."""
    if not container.rights:
        return []
    role = {"apiGroup": _RBAC, "kind": "Role", "name": service.name}
    subject = {"kind": "ServiceAccount", "name": service.name, "namespace": service.namespace}
    return [
        named(service, f"{_RBAC}/v1", "Role", service.name, rules=[dict(one) for one in container.rights]),
        named(service, f"{_RBAC}/v1", "RoleBinding", service.name, roleRef=role, subjects=[subject]),
    ]
