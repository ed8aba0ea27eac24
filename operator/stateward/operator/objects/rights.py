"""What an engine may ask of the API server: only where it has to, only in its own namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stateward.operator.drivers import template
from stateward.operator.drivers.protocol import Container
from stateward.operator.objects.common import Item, named
from stateward.operator.service import Service

_RBAC: Final = "rbac.authorization.k8s.io"


def of(service: Service, container: Container, members: Sequence[str]) -> list[Item]:
    """A Role and who has it; nothing where the engine asks nothing."""
    if not container.rights:
        return []
    role = {"apiGroup": _RBAC, "kind": "Role", "name": service.name}
    subject = {"kind": "ServiceAccount", "name": service.name, "namespace": service.namespace}
    return [
        named(
            service, f"{_RBAC}/v1", "Role", service.name, rules=[_rule(service, one, members) for one in container.rights]
        ),
        named(service, f"{_RBAC}/v1", "RoleBinding", service.name, roleRef=role, subjects=[subject]),
    ]


def _rule(service: Service, rule: Mapping[str, Any], members: Sequence[str]) -> Item:
    return {field: list(_texts(service, texts, members)) for field, texts in rule.items()}


def _texts(service: Service, texts: Sequence[str], members: Sequence[str]) -> Iterator[str]:
    scope = {"service.name": service.name, "service.namespace": service.namespace}
    for text in texts:
        for member in members if "{member.name}" in text else [""]:
            yield str(template.render(text, {**scope, "member.name": member}))
