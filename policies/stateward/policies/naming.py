"""Objects as kubectl takes them."""

from __future__ import annotations

from typing import Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.view import Object, kind_of_object, metadata_of, text_of

_SHORT: Final = {
    "StatefulSet.apps": "statefulset",
    "PersistentVolumeClaim": "pvc",
    "Namespace": "namespace",
    "Pod": "pod",
    "CustomResourceDefinition.apiextensions.k8s.io": "crd",
}


def kubectl_name(item: Object) -> str:
    """An object as kubectl takes it: `-n prod statefulset/db`, `kafkas.kafka.strimzi.io/events`."""
    kind = kind_of_object(item)
    adapter = ADAPTERS.get(kind)
    if kind in _SHORT:
        resource = _SHORT[kind]
    elif adapter is not None:
        resource = f"{adapter.resource}.{adapter.group}"
    else:
        resource = kind.lower()
    metadata = metadata_of(item)
    namespace = text_of(metadata, "namespace")
    where = f"-n {namespace} " if namespace else ""
    return f"{where}{resource}/{text_of(metadata, 'name')}"
