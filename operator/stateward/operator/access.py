"""What opens a service's endpoints: its passwords, read from its Secret, kept in memory alone and never shown."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from stateward.certs.members import Held
from stateward.kube.client import Cluster
from stateward.kube.definition import GROUP
from stateward.kube.errors import ClusterError
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.authorities import Authorities
from stateward.operator.drivers.protocol import Access, Driver, Rotation
from stateward.operator.informer import Informers
from stateward.operator.objects import secret
from stateward.operator.objects.common import Item, credentials
from stateward.operator.service import Key, Service
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

_NEXT: Final = "next-"
_PREVIOUS: Final = "previous-"
_ASKED: Final = f"{GROUP}/rotating"
"""Annotation of the Secret: the last request to rotate that was begun with it."""
_SINCE: Final = f"{GROUP}/rotating-since"
"""Annotation of the Secret: since when new passwords stand in it."""
_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


class Accesses:
    """Reads each Secret once, and again when it is another. Thread-safe."""

    def __init__(self, cluster: Cluster, look: Informers, now: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._look = look
        self._known: dict[Key, tuple[str, Access]] = {}
        """Service → resourceVersion of its Secret, and what was in it."""
        self._lock = threading.Lock()
        self._authorities = Authorities(cluster, look, now)

    def of(self, service: Service, driver: Driver) -> Access:
        """What there is to open it with; nothing as long as none was made. Raises ClusterError."""
        found = self._passwords(service, driver)
        return replace(found, tls=self._authorities.of(service)) if driver.encrypts else found

    def _passwords(self, service: Service, driver: Driver) -> Access:
        if not driver.passwords:
            return Access()
        seen = self._look.get("Secret", service.namespace, credentials(service))
        version = text_of(metadata_of(seen), "resourceVersion") if seen is not None else ""
        with self._lock:
            known = self._known.get(service.key)
        if known is not None and known[0] == version:
            return known[1]
        item = self._cluster.find(RESOURCES["Secret"].path_to(service.namespace, credentials(service)))
        access = opened(item) if item is not None else Access()
        with self._lock:
            # Under the version that was read, not the one that was heard of: an older one heard later reads again.
            self._known[service.key] = (text_of(metadata_of(item), "resourceVersion") if item is not None else "", access)
        return access

    def missing(self, driver: Driver, access: Access, tls: bool) -> bool:
        """Whether there are passwords or certificates to be made."""
        return bool(set(driver.passwords) - set(access.passwords)) or (tls and access.tls is None)

    def make(self, service: Service, driver: Driver, tls: bool) -> Access:
        """Makes what is missing. Raises ClusterError, CertificateError and NotOursError."""
        found = self._made(service, driver) if driver.passwords else Access()
        return replace(found, tls=self._authorities.make(service)) if tls else found

    def hold(self, service: Service, before: Held, after: Held) -> bool:
        """Holds these certificates instead of those; False where those were not held any more. Raises ClusterError."""
        return self._authorities.write(service, before, after)

    def rekey(self, service: Service, before: Access, after: Access) -> bool:
        """Keeps these passwords instead of those, in one write; False where those were not kept any more."""
        path = RESOURCES["Secret"].path_to(service.namespace, credentials(service))
        live = self._cluster.find(path)
        if live is None or _kept(opened(live)) != _kept(before):
            return False
        made = _kept(after)
        gone = {name: None for name in _kept(before) if name not in made}
        data = {name: base64.b64encode(value.encode()).decode() for name, value in made.items()}
        rotation = after.rotation or Rotation("")
        since = f"{rotation.since.astimezone(UTC):{_FORMAT}}" if rotation.since is not None else None
        metadata = {
            "resourceVersion": text_of(metadata_of(live), "resourceVersion"),
            "annotations": {_ASKED: rotation.asked, _SINCE: since},
        }
        self._cluster.patch(path, {"metadata": metadata, "data": {**gone, **data}}, field_manager=MANAGER)
        return True

    def _made(self, service: Service, driver: Driver) -> Access:
        """Makes the Secret; whoever was first, the passwords are those that are there then. Raises ClusterError.

        A Secret that is there and lacks one gets that one alone: what an engine was founded with is never made anew.
        """
        made = secret.generated(service, driver.passwords)
        path = RESOURCES["Secret"].path_to(service.namespace)
        try:
            item = self._cluster.create(path, made)
        except ClusterError as error:
            if error.status != 409:
                raise
            item = self._completed(f"{path}/{credentials(service)}", made)
        return opened(item)

    def _completed(self, path: str, made: Item) -> Object:
        live = self._cluster.get(path)
        lacking = {name: value for name, value in made["data"].items() if name not in mapping_of(live, "data")}
        if not lacking:
            return live
        version = text_of(metadata_of(live), "resourceVersion")
        return self._cluster.patch(path, {"metadata": {"resourceVersion": version}, "data": lacking}, field_manager=MANAGER)

    def forget(self, key: Key) -> None:
        """The service is no more."""
        self._authorities.forget(key)
        with self._lock:
            self._known.pop(key, None)


def opened(item: Object) -> Access:
    """What a Secret of passwords opens, and how far other ones are on their way."""
    found = texts(item)
    coming = {name.removeprefix(_NEXT): value for name, value in found.items() if name.startswith(_NEXT)}
    previous = {name.removeprefix(_PREVIOUS): value for name, value in found.items() if name.startswith(_PREVIOUS)}
    now = {name: value for name, value in found.items() if not name.startswith((_NEXT, _PREVIOUS))}
    notes = mapping_of(metadata_of(item), "annotations")
    asked = text_of(notes, _ASKED)
    if not (asked or coming or previous):
        return Access(now)
    try:
        since = datetime.strptime(text_of(notes, _SINCE), _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        since = None
    return Access(now, Rotation(asked, since, coming, previous))


def _kept(access: Access) -> dict[str, str]:
    """Every entry of the Secret."""
    rotation = access.rotation or Rotation("")
    coming = {f"{_NEXT}{name}": value for name, value in rotation.coming.items()}
    return {**access.passwords, **coming, **{f"{_PREVIOUS}{name}": value for name, value in rotation.previous.items()}}


def texts(item: Object) -> Mapping[str, str]:
    """What a Secret holds, decoded; what is no text is left out."""
    found: dict[str, str] = {}
    for name, value in mapping_of(item, "data").items():
        try:
            found[name] = base64.b64decode(value, validate=True).decode()
        except (ValueError, TypeError):
            continue
    return found
