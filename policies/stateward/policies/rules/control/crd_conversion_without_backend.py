"""SW721: a CRD whose objects nobody can convert."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import Look, Sight, items_of, mapping_of, text_of
from stateward.policies.webhooks import SERVER_LOOKS, backend, port_of, said


@rule(
    id="SW721",
    name="crd-conversion-without-backend",
    summary="A CRD's conversion webhook names a Service that is absent or has nobody behind it",
    why="Conversion knows no failure policy. Without its server the API server can read no object that is stored in "
    "another version: lists and watches fail, with them the operator, garbage collection and the deletion of namespaces.",
    remedy="Install the conversion webhook first and wait for its pods, then the CRD.",
    source="Kubernetes documentation, Versions in CustomResourceDefinitions: webhook conversion",
    nature="state",
    judges=objects("CustomResourceDefinition.apiextensions.k8s.io", on=("UPDATE",)),
    looks_at=SERVER_LOOKS,
)
def crd_conversion_without_backend(change: Change, see: Sight) -> Iterator[Finding]:
    """A CRD with one version, or without objects, converts nothing. A Service without pods warns."""
    spec = mapping_of(change.new_object or {}, "spec")
    conversion = mapping_of(spec, "conversion")
    if conversion.get("strategy") != "Webhook" or len(items_of(spec, "versions")) < 2:
        return
    service = mapping_of(mapping_of(mapping_of(conversion, "webhook"), "clientConfig"), "service")
    namespace, name = text_of(service, "namespace"), text_of(service, "name")
    if not name:
        return
    port = port_of(service)
    state = backend((namespace, name), port, see, slices=False)
    kind = f"{text_of(mapping_of(spec, 'names'), 'kind')}.{text_of(spec, 'group')}"
    if state == "up" or not see.select_declared(Look(kind, True, ())):
        return
    yield Finding(
        field=("spec", "conversion", "webhook", "clientConfig", "service", "name"),
        text=f'"{name}" {said(state, namespace, port)}, and every object in another version has to be converted there',
        why="what cannot be converted cannot be read: lists and watches of the kind fail, and its operator with them",
        remedy="install the conversion webhook first and wait for its pods",
        subject=f"{namespace}/{name}",
        weak=state == "down",
    )
