"""The Secret that a service's certificates are kept in: read once, and again when it is another. Never shown."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from stateward.certs import members
from stateward.certs.authority import LEAF_LIFETIME, Authority, Leaf
from stateward.certs.errors import CertificateError
from stateward.certs.keeper import readable
from stateward.certs.members import Held
from stateward.certs.pem import untimely
from stateward.certs.rotation import Former, Kept
from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.operator import tls
from stateward.operator.apply import MANAGER, RESOURCES, NotOursError, owned
from stateward.operator.informer import Informers
from stateward.operator.objects import secret
from stateward.operator.objects.common import authority, server_tls
from stateward.operator.service import Key, Service
from stateward.operator.tls import Tls
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

_AGAIN: Final = 300.0
"""Seconds after which an authority of the user's own is read again: its Secret carries no label to be heard of by."""
_MISSING: Final = 10.0
"""The same while it cannot be used."""
_TURNS: Final = timedelta(hours=1)
"""How long what is trusted is taken as the same: former authorities end by themselves."""


@dataclass(frozen=True, slots=True)
class _Known:
    version: str
    at: datetime
    tls: Tls | None


class Authorities:
    """Thread-safe. All of it may raise ClusterError."""

    def __init__(self, cluster: Cluster, look: Informers, now: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._look = look
        self._now = now
        self._known: dict[Key, _Known] = {}
        self._own: dict[Key, tuple[str, float, Authority | None, str]] = {}
        self._lock = threading.Lock()

    def of(self, service: Service) -> Tls | None:
        """What there is; None as long as none was made, or where nothing of it can be used."""
        seen = self._look.get("Secret", service.namespace, authority(service))
        if seen is None:
            return None  # or not heard of yet: `make` finds it
        version = text_of(metadata_of(seen), "resourceVersion")
        own, problem = self._own_of(service)
        now = self._now()
        with self._lock:
            known = self._known.get(service.key)
        if (
            known is not None
            and known.version == version
            and abs(now - known.at) < _TURNS
            and _same(known.tls, own, problem)
        ):
            return known.tls
        item = self._cluster.find(_path(service, authority(service)))
        found = self._read(service, item, own, problem, now) if item is not None else None
        with self._lock:
            # Under the version that was read, not the one that was heard of: an older one heard later reads again.
            version = text_of(metadata_of(item), "resourceVersion") if item is not None else ""
            self._known[service.key] = _Known(version, now, found)
        return found

    def make(self, service: Service) -> Tls:
        """Makes the Secret; whoever was first, the certificates are those that are there then.

        Where members have certificates and the Secret is gone (deleted, emptied), theirs is the beginning: whom they trust
        stays trusted, what they show stays shown, until another authority may take over.
        Raises CertificateError where the authority of the user's own cannot be used, and NotOursError.
        """
        now = self._now()
        own, problem = self._own_of(service)
        held = self._salvaged(service, now)
        if held is None:
            if problem:
                raise CertificateError("tls.authority", problem, "mend the Secret, or leave tls.authority out")
            held = members.first(tls.wanted(service), now, asked=service.rotate, own=own)
        path = RESOURCES["Secret"].path_to(service.namespace)
        try:
            item = self._cluster.create(path, secret.entries(service, authority(service), members.write(held)))
        except ClusterError as error:
            if error.status != 409:
                raise
            item = self._cluster.get(f"{path}/{authority(service)}")
            if not owned(item, service):
                name = f"Secret {service.namespace}/{authority(service)}"
                raise NotOursError(f"{name} is there and is not this service's; delete or rename it") from None
            found = self._read(service, item, own, problem, now)
            if found is not None:
                return found
            item = self._written(service, item, held)
        return tls.made(held, now, own, problem)

    def write(self, service: Service, before: Held, after: Held) -> bool:
        """Holds this instead of `before`; False where it is not that any more."""
        item = self._cluster.find(_path(service, authority(service)))
        if item is None or members.write(_held(item)) != members.write(before) or not owned(item, service):
            return False
        self._written(service, item, after)
        return True

    def forget(self, key: Key) -> None:
        """The service is no more."""
        with self._lock:
            self._known.pop(key, None)
            self._own.pop(key, None)

    # -----------------------------------------------------------------------------------------------------------------

    def _written(self, service: Service, item: Object, held: Held) -> Object:
        made = secret.entries(service, authority(service), members.write(held))["data"]
        gone = {name: None for name in mapping_of(item, "data") if name not in made}
        known = {"resourceVersion": text_of(metadata_of(item), "resourceVersion")}
        body = {"metadata": known, "data": {**gone, **made}}
        return self._cluster.patch(_path(service, authority(service)), body, field_manager=MANAGER)

    def _read(self, service: Service, item: Object, own: Authority | None, problem: str, now: datetime) -> Tls | None:
        if not owned(item, service):
            return None
        try:
            return tls.made(_held(item), now, own, problem)
        except CertificateError:
            return None

    def _salvaged(self, service: Service, now: datetime) -> Held | None:
        """What members were given last, where the authority is lost."""
        item = self._cluster.find(_path(service, server_tls(service)))
        if item is None or not owned(item, service):
            return None
        data = entries_of(item)
        roots = readable(data.get("ca.crt", b""))
        try:
            leaf = Leaf.from_pem(data.get("tls.crt", b""), data.get("tls.key", b""))
        except CertificateError:
            return None
        if untimely(leaf.certificate, now) is not None or not roots:
            return None
        old = tuple(Former(one, min(now + LEAF_LIFETIME, one.not_valid_after_utc)) for one in roots)
        return Held(Kept(old=old), {tls.SERVER: leaf})

    def _own_of(self, service: Service) -> tuple[Authority | None, str]:
        """The authority of the user's own, and why it cannot be used."""
        if not service.authority:
            return None, ""
        with self._lock:
            known = self._own.get(service.key)
        fresh = known is not None and time.monotonic() - known[1] < (_MISSING if known[3] else _AGAIN)
        if known is not None and fresh and known[0] == service.authority:
            return known[2], known[3]
        item = self._cluster.find(_path(service, service.authority))
        found, problem = _authority(item, f"Secret {service.authority}: ")
        with self._lock:
            self._own[service.key] = (service.authority, time.monotonic(), found, problem)
        return found, problem


def _authority(item: Object | None, where: str) -> tuple[Authority | None, str]:
    if item is None:
        return None, f"{where}there is none; make it with tls.crt and tls.key of an authority"
    data = entries_of(item)
    at = {"certificate_at": f"{where}tls.crt", "key_at": f"{where}tls.key"}
    try:
        return Authority.from_pem(data.get("tls.crt", b""), data.get("tls.key", b""), **at), ""
    except CertificateError as error:
        return None, f"{error.where} {error.problem}; give a self-signed authority with its key"


def entries_of(item: Object) -> Mapping[str, bytes]:
    """What a Secret holds, decoded; what is none is left out."""
    found: dict[str, bytes] = {}
    for name, value in mapping_of(item, "data").items():
        try:
            found[name] = base64.b64decode(value, validate=True)
        except (ValueError, TypeError):
            continue
    return found


def _held(item: Object) -> Held:
    return members.read(entries_of(item), f"Secret {text_of(metadata_of(item), 'name')}: ", tls.LEAVES)


def _same(known: Tls | None, own: Authority | None, problem: str) -> bool:
    return known is None or (known.own is own and known.problem == problem)


def _path(service: Service, name: str) -> str:
    return RESOURCES["Secret"].path_to(service.namespace, name)
