"""The certificates of one service: which there are, for whom, and what of them the operator itself uses."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from stateward.certs.authority import Authority, Leaf
from stateward.certs.context import client_context
from stateward.certs.errors import CertificateError
from stateward.certs.members import Held, Wanted
from stateward.operator.service import Service

SERVER: Final = "server"
"""The leaf of the members: they show it to clients and to each other."""
CLIENT: Final = "client"
"""The leaf of applications."""
OPERATOR: Final = "operator"
"""The leaf of the operator itself. It is in no other Secret than the authority's."""
LEAVES: Final = (SERVER, CLIENT, OPERATOR)


@dataclass(frozen=True, slots=True, repr=False)
class Tls:
    """What is held, and the context that the operator asks members with. It has no text of its own: keys are in it."""

    held: Held
    bundle: bytes
    leaf: Leaf
    """What the operator shows."""
    context: ssl.SSLContext
    own: Authority | None = field(default=None)
    """The user's own authority, where the service names one that can be used."""
    problem: str = ""
    """Why the one that it names cannot be used."""

    def trust(self) -> str:
        """A mark of whom members trust; it changes with the bundle alone."""
        return _mark(self.bundle)

    def shown(self) -> str:
        """A mark of what members show."""
        return _mark(*(leaf.certificate.public_bytes(Encoding.PEM) for leaf in (self.held.leaves.get(SERVER),) if leaf))

    def ends(self) -> dict[str, datetime]:
        """When each certificate ends: `authority`, and the leaves by name."""
        found = {name: leaf.certificate.not_valid_after_utc for name, leaf in self.held.leaves.items()}
        if self.held.kept.authority is not None:
            found["authority"] = self.held.kept.authority.certificate.not_valid_after_utc
        return found


def made(held: Held, now: datetime, own: Authority | None = None, problem: str = "") -> Tls:
    """Raises CertificateError where there is nothing that members could be asked with."""
    bundle = held.bundle(now)
    # Without one of its own (its Secret was lost) the operator shows that of the members.
    leaf = held.leaves.get(OPERATOR) or held.leaves.get(SERVER)
    if leaf is None:
        raise CertificateError("certificates", "no leaf is left", "the next authority issues others")
    return Tls(held, bundle, leaf, client_context(bundle, *leaf.to_pem()), own, problem)


def wanted(service: Service) -> Mapping[str, Wanted]:
    """The leaves of a service.

    A client's names lead nowhere: engines that look the address of a peer up by its certificate's names (etcd) refuse a
    client's among members.
    """
    client: Final = ("client",)
    return {
        SERVER: Wanted(_subject(service.name), names(service), ("server", "client")),
        CLIENT: Wanted(_subject(f"{service.name}-client"), (f"client.{service.name}.{service.namespace}.svc",), client),
        OPERATOR: Wanted("stateward-operator", (f"operator.{service.name}.{service.namespace}.svc",), client),
    }


def names(service: Service) -> tuple[str, ...]:
    """What members are called: each by its own name, all of them by the Services, and localhost."""
    found: list[str] = []
    members = f"{service.name}-members"
    # Those of the members first: etcd looks up one after the other where a peer connects.
    for one in (members, f"*.{members}", service.name, f"{service.name}-replicas"):
        found += [f"{one}.{service.namespace}.svc", f"{one}.{service.namespace}.svc.cluster.local"]
        found.append(f"{one}.{service.namespace}")
    return (*found, service.name, f"{service.name}-replicas", "localhost", "127.0.0.1", "::1")


def _subject(name: str) -> str:
    return name[:64]  # as long as a common name may be


def _mark(*pems: bytes) -> str:
    return hashlib.sha256(b"".join(pems)).hexdigest()[:16]


def fingerprint(leaf: Leaf) -> bytes:
    """SHA-256 of a leaf as it is shown."""
    return hashlib.sha256(leaf.certificate.public_bytes(Encoding.DER)).digest()
