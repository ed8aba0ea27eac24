"""Where backups lie: a restic repository for each service, on a claim or in a bucket, and what a pod needs to open it."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.operator.api.parts import Destination
from stateward.operator.apply import RESOURCES
from stateward.operator.objects.common import LABEL, Item
from stateward.operator.repository import generated_password
from stateward.policies.view import mapping_of

PASSWORD: Final = "password"  # noqa: S105 - the key of a Secret
ACCESS: Final[Mapping[str, str]] = {"AWS_ACCESS_KEY_ID": "accessKeyId", "AWS_SECRET_ACCESS_KEY": "secretAccessKey"}
_REPOSITORY: Final = "/stateward/repository"
_KEY: Final = "/stateward/key"
_AUTHORITY: Final = "/stateward/authority"
_LETTERS: Final = string.ascii_letters + string.digits
_LENGTH: Final = 40


@dataclass(frozen=True, slots=True)
class Archive:
    """The backups of one service: all of them in one repository, `NAMESPACE/NAME` at the destination."""

    destination: Destination
    secret: str
    """Of the password, in the namespace where it is opened."""
    folder: str
    """`prod/orders`."""

    def location(self, snapshot: str) -> str:
        """What a restore is given beside the destination."""
        return f"{self.folder}#{snapshot}"

    def environment(self) -> list[Item]:
        """What restic is told. Credentials come from Secrets; the password by a file."""
        found: list[Item] = [
            {"name": "RESTIC_REPOSITORY", "value": self._repository()},
            {"name": "RESTIC_PASSWORD_FILE", "value": f"{_KEY}/{PASSWORD}"},
        ]
        s3 = self.destination.s3
        if s3 is None:
            return found
        for name, key in ACCESS.items():
            found.append({"name": name, "valueFrom": {"secretKeyRef": {"name": s3.credentials, "key": key}}})
        if s3.region:
            found.append({"name": "AWS_DEFAULT_REGION", "value": s3.region})
        if s3.authority:
            found.append({"name": "RESTIC_CACERT", "value": f"{_AUTHORITY}/ca.crt"})
        return found

    def volumes(self) -> list[Item]:
        """Of the pod."""
        found: list[Item] = [
            {
                "name": "key",
                "secret": {"secretName": self.secret, "defaultMode": 0o440, "items": [{"key": PASSWORD, "path": PASSWORD}]},
            }
        ]
        if self.destination.claim is not None:
            found.append({"name": "repository", "persistentVolumeClaim": {"claimName": self.destination.claim.name}})
        if self.destination.s3 is not None and self.destination.s3.authority:
            items = [{"key": "ca.crt", "path": "ca.crt"}]
            found.append({"name": "authority", "secret": {"secretName": self.destination.s3.authority, "items": items}})
        return found

    def mounts(self) -> list[Item]:
        """Of the container that opens it."""
        paths = {"key": _KEY, "repository": _REPOSITORY, "authority": _AUTHORITY}
        return [
            {"name": one["name"], "mountPath": paths[one["name"]], "readOnly": one["name"] != "repository"}
            for one in self.volumes()
        ]

    def _repository(self) -> str:
        if self.destination.claim is not None:
            steps = [_REPOSITORY, *_steps(self.destination.claim.path), self.folder]
            return "/".join(steps)
        s3 = self.destination.s3
        if s3 is None:
            return ""
        endpoint = s3.endpoint or (f"https://s3.{s3.region}.amazonaws.com" if s3.region else "https://s3.amazonaws.com")
        return "/".join([f"s3:{endpoint.rstrip('/')}", s3.bucket, *_steps(s3.prefix), self.folder])

    # --- what has to be there ------------------------------------------------------------------------------------

    def missing(self, cluster: Cluster, namespace: str) -> str:
        """What is not there to open it with; "" where all is. Raises ClusterError."""
        claim, s3 = self.destination.claim, self.destination.s3
        if claim is not None and cluster.find(RESOURCES["PersistentVolumeClaim"].path_to(namespace, claim.name)) is None:
            return f"destination.claim.name: {claim.name}: there is no such claim in {namespace}; make it"
        wanted = [(self.secret, PASSWORD, "encryption.secret")]
        if s3 is not None:
            wanted += [(s3.credentials, key, "destination.s3.credentials") for key in ACCESS.values()]
            wanted += [(s3.authority, "ca.crt", "destination.s3.authority")] if s3.authority else []
        for name, key, field in wanted:
            item = cluster.find(RESOURCES["Secret"].path_to(namespace, name))
            if item is None:
                return f"{field}: {name}: there is no such Secret in {namespace}; make it, with the key {key}"
            if not mapping_of(item, "data").get(key):
                return f"{field}: {name}: the Secret has no key {key}; add it"
        return ""


def generated(service: str) -> str:
    """The Secret of a password that nobody has given."""
    return generated_password(service)


def make_password(cluster: Cluster, namespace: str, service: str) -> None:
    """Makes a password where there is none: without an owner, since backups outlive their service. Raises ClusterError."""
    made = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    labels = {"app.kubernetes.io/managed-by": "stateward", LABEL: service}
    metadata = {"name": generated(service), "namespace": namespace, "labels": labels}
    item: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}
    try:
        cluster.create(RESOURCES["Secret"].path_to(namespace), {**item, "stringData": {PASSWORD: made}})
    except ClusterError as error:
        if error.status != 409:
            raise


def _steps(path: str) -> list[str]:
    """Without what leads out of it."""
    return [step for step in path.split("/") if step not in ("", ".", "..")]
