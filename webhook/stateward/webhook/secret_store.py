"""The Secret that keeps a rotation: read as it is, written only over what was read."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from stateward.certs import stored
from stateward.certs.rotation import Asked, Kept
from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.policies.view import mapping_of, metadata_of, text_of
from stateward.webhook.logs import line

ROTATE: Final = "stateward.dev/rotate"
"""The annotation that asks for a rotation: `authority`, `leaf`, or `forget` (former authorities). Taken away with the write
that begins it."""
_LABELS: Final = {"app.kubernetes.io/managed-by": "stateward", "app.kubernetes.io/name": "stateward"}
_SKEW: Final = timedelta(minutes=5)
_READ_SECONDS: Final = 5.0

_log = logging.getLogger("stateward.webhook")


class SecretStore:
    """One Secret as the store of a rotation (`stateward.certs.keeper.Store`). One thread at a time.

    `now` is the API server's time, from the answer last read: it is the one that verifies what is issued, and a node whose
    clock is wrong must not rotate anything away. Raises ClusterError.
    """

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self.where = f"Secret {namespace}/{name}"
        self._cluster = cluster
        self._collection = path_of("api", "v1", "namespaces", namespace, "secrets")
        self._path = f"{self._collection}{path_of(name)}"
        self._metadata = {"name": name, "namespace": namespace, "labels": _LABELS}
        self._found: dict[str, Any] | None = None
        self._ahead = timedelta()
        self._warned = False

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC) + self._ahead

    @property
    def exists(self) -> bool:
        """Whether there was one when it was read last."""
        return self._found is not None

    @property
    def version(self) -> str:
        """The resourceVersion read last."""
        return text_of(metadata_of(self._found or {}), "resourceVersion")

    def read(self) -> Kept:
        """What the Secret holds; an empty Kept where there is none."""
        try:
            with self._cluster.open("GET", self._path, read_seconds=_READ_SECONDS) as answer:
                self._set_clock(answer.date)
                found = answer.json(_READ_SECONDS)
        except ClusterError as error:
            if error.status != 404:
                raise
            self._found = None
            return Kept()
        if type(found) is not dict:
            raise ClusterError(0, "Broken", f"{self.where}: an object is wanted, got {type(found).__name__}")
        self._found = found
        return replace(stored.read(_decoded(mapping_of(found, "data")), f"{self.where} "), asked=asked(found))

    def write(self, kept: Kept) -> bool:
        """Creates it or writes over what was read last; False where somebody else has written since."""
        data = {key: base64.b64encode(value).decode("ascii") for key, value in stored.write(kept).items()}
        try:
            if self._found is None:
                self._create(data)
            elif self._found.get("immutable") is True:
                self._replace(self._found, data)
            else:
                self._update(self._found, data, kept.asked)
        except ClusterError as error:
            gone = error.status == 404 and self._found is not None  # else the namespace is missing
            if gone or error.status == 409:
                return False
            raise
        return True

    def _create(self, data: Mapping[str, str]) -> None:
        item = {"apiVersion": "v1", "kind": "Secret", "metadata": self._metadata, "type": "Opaque", "data": data}
        self._found = self._cluster.create(self._collection, item)

    def _update(self, found: Mapping[str, Any], data: Mapping[str, str], wish: Asked) -> None:
        metadata = dict(metadata_of(found))
        annotations = {key: value for key, value in mapping_of(metadata, "annotations").items() if key != ROTATE}
        metadata["annotations"] = {**annotations, **({ROTATE: wish} if wish else {})}
        metadata.pop("managedFields", None)
        # The resourceVersion in the metadata is the precondition. Entries of others stay.
        item = {**found, "metadata": metadata, "data": {**mapping_of(found, "data"), **data}}
        self._found = self._cluster.call("PUT", self._path, {"fieldManager": "stateward"}, body=item)

    def _replace(self, found: Mapping[str, Any], data: Mapping[str, str]) -> None:
        """Somebody made it immutable: nothing but a new one can be written."""
        metadata = metadata_of(found)
        preconditions = {"uid": metadata.get("uid"), "resourceVersion": metadata.get("resourceVersion")}
        self._cluster.delete(self._path, {"preconditions": preconditions})
        self._create(data)

    def _set_clock(self, date: str) -> None:
        try:
            theirs = parsedate_to_datetime(date)
        except (TypeError, ValueError):
            return
        if theirs.tzinfo is None:
            return
        ahead = theirs - datetime.now(UTC)
        wrong = abs(ahead) > _SKEW
        # A second or two is the answer's way here, not a clock.
        self._ahead = ahead if wrong else timedelta()
        if wrong and not self._warned:
            _log.warning(
                line(
                    "clock", note=f"this node's clock and the API server's are {abs(ahead)} apart; the API server's is used"
                )
            )
        self._warned = wrong


def asked(found: Mapping[str, Any]) -> Asked:
    """What the annotation asks for. Anything else than the three means the authority: who writes `yes` wants a rotation."""
    wish = text_of(mapping_of(metadata_of(found), "annotations"), ROTATE)
    if wish in ("leaf", "forget"):
        return "leaf" if wish == "leaf" else "forget"
    return "authority" if wish else ""


def _decoded(data: Mapping[str, Any]) -> dict[str, bytes]:
    """The entries of ours; one that is no base64 counts as empty."""
    found = {}
    for entry in stored.ENTRIES:
        try:
            found[entry] = base64.b64decode(text_of(data, entry), validate=True)
        except (binascii.Error, ValueError):
            found[entry] = b""
    return found
