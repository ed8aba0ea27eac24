"""What all objects of a service have in common: names, labels, the owner."""

from __future__ import annotations

from typing import Any, Final

from stateward.kube.definition import GROUP
from stateward.operator.service import Service

Item = dict[str, Any]

LABEL: Final = f"{GROUP}/service"
ROLE: Final = f"{GROUP}/role"
"""Label of a pod: the role that its member has, where clients have to reach the one that leads."""
RUNS: Final = f"{GROUP}/runs"
"""Annotation of a pod: a hash of all that it was made with and reads as it starts."""
VERSION: Final = f"{GROUP}/version"
"""Annotation of a pod and of the StatefulSet: the version that pods are made with."""
PRIMARY: Final = "primary"
REPLICA: Final = "replica"
VOLUME: Final = "data"
WAL: Final = "wal"
"""The second volume, where a service has one."""
CONTAINER: Final = "engine"
TLS: Final = "tls"
"""The volume of the members' certificate."""
SPEAKS_TLS: Final = f"{GROUP}/tls"
"""Annotation of a claim: the data on it is of members that speak TLS."""


def labels(service: Service) -> dict[str, str]:
    """The recommended labels of Kubernetes, and the one that everything of a service is found by."""
    return {
        "app.kubernetes.io/name": service.engine,
        "app.kubernetes.io/instance": service.name,
        "app.kubernetes.io/managed-by": "stateward",
        **selector(service),
    }


def selector(service: Service) -> dict[str, str]:
    """What selects the pods of a service. It never changes: a StatefulSet's selector cannot."""
    return {LABEL: service.name}


def owner(service: Service) -> Item:
    """The reference by which the garbage collector takes an object along with its service."""
    return {
        "apiVersion": service.api_version,
        "kind": "StatefulService",
        "name": service.name,
        "uid": service.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def named(service: Service, api_version: str, kind: str, name: str, **more: Any) -> Item:
    """An object of a service, with labels and owner."""
    metadata = {
        "name": name,
        "namespace": service.namespace,
        "labels": labels(service),
        "ownerReferences": [owner(service)],
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def headless(service: Service) -> str:
    """The Service that gives each member its name in DNS."""
    return f"{service.name}-members"


def credentials(service: Service) -> str:
    """The Secret of generated passwords: made once, never written again but to rotate them."""
    return f"{service.name}-credentials"


def applications(service: Service) -> str:
    """The Secret of what applications connect with."""
    return f"{service.name}-app"


def secret_config(service: Service) -> str:
    """The Secret of the members' files that have passwords in them."""
    return f"{service.name}-secrets"


def authority(service: Service) -> str:
    """The Secret of the service's certificates and their authority, for the operator alone."""
    return f"{service.name}-authority"


def server_tls(service: Service) -> str:
    """The Secret that members mount."""
    return f"{service.name}-tls"


def client_tls(service: Service) -> str:
    """The Secret that applications may mount: a certificate of theirs, its key, and whom to trust."""
    return f"{service.name}-client"


def trusted(service: Service) -> str:
    """The ConfigMap of whom clients are to trust."""
    return f"{service.name}-ca"


def config(service: Service) -> str:
    """The ConfigMap of the members' files."""
    return f"{service.name}-config"
