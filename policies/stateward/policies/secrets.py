"""What changes inside a Secret: names of keys alone; values are compared and never kept, shown or logged."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from stateward.policies.adapters.adapter import Adapter
from stateward.policies.change import Change
from stateward.policies.model import Service
from stateward.policies.request import Request
from stateward.policies.view import Object, items_of, mapping_of, metadata_of

RELEASE: Final = "helm.sh/release.v1"
"""The type of the Secrets in which Helm keeps what it has installed: no service lives by them."""

_CREDENTIAL: Final = re.compile(
    r"pass(word|wd|phrase)?|secret|token|cookie|credential|cluster[._-]?id|access[._-]?key|private[._-]?key|user(name)?|"
    r"(^|[._-])(key|auth|pwd)([._-]|$)|keyfile|\.crt$|\.pem$|\.key$|\.p12$|\.jks$",
    re.IGNORECASE,
)
_LINE: Final = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*?)\s*$")
_LIMIT: Final = 65_536
"""Bytes: a larger value is compared whole."""


def is_credential(name: str) -> bool:
    """Whether a key or a variable is named like a credential."""
    return _CREDENTIAL.search(name) is not None


def contents(item: Object | None) -> dict[str, bytes]:
    """The values of a Secret by key; `stringData` (in files) wins over `data`, as in the API server."""
    found: dict[str, bytes] = {}
    for key, value in mapping_of(item or {}, "data").items():
        if isinstance(value, str):
            try:
                found[key] = base64.b64decode(value, validate=False)
            except (binascii.Error, ValueError):
                found[key] = value.encode()
    for key, value in mapping_of(item or {}, "stringData").items():
        if isinstance(value, str):
            found[key] = value.encode()
    return found


def changed_credentials(old: Object | None, new: Object | None) -> list[str]:
    """The keys whose credential differs or is gone; of a file of `NAME=value` lines the names of those lines.

    A key that is added changes nothing for what runs.
    """
    before, after = contents(old), contents(new)
    found: list[str] = []
    for key, value in before.items():
        other = after.get(key)
        if other == value:
            continue
        lines = _lines(value)
        if lines is not None and other is not None and (others := _lines(other)) is not None:
            differs = [name for name, line in lines.items() if others.get(name) != line and is_credential(name)]
            found += [f"{key}:{name}" for name in differs]
        elif is_credential(key):
            found.append(key)
    return found


def _lines(value: bytes) -> dict[str, str] | None:
    """The variables of a file that holds nothing but `NAME=value` lines and comments."""
    if len(value) > _LIMIT:
        return None
    try:
        rows = value.decode().splitlines()
    except UnicodeDecodeError:
        return None
    found: dict[str, str] = {}
    for row in rows:
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        match = _LINE.match(row)
        if match is None:
            return None
        found[match[1]] = match[2].strip("\"'")
    return found or None


def live(service: Service) -> bool:
    """Whether members run that hold the present value: not scaled to none, not stopped."""
    return service.members != 0 and not service.stopped and any(group.volumes for group in service.groups)


def by_its_operator(change: Change) -> bool:
    """Whether the operator itself writes: a service account of an operator, on what its own resource owns or names.

    It changes the Secret and the database together; what a person changes in the Secret alone, it does not.
    """
    return change.service is not None and is_operator_of(change.service, change.request)


def is_operator_of(service: Service, request: Request) -> bool:
    """Whether who asks is the operator of a service: by its account, and where that is a guess by whose the object is."""
    owners = items_of(dict(metadata_of(request.subject)), "ownerReferences")
    owned = any(one.get("kind") == service.adapter.match_kind and one.get("name") == service.name for one in owners)
    return (owned or bool(service.adapter.accounts)) and is_account_of(service.adapter, request)


def is_account_of(adapter: Adapter, request: Request) -> bool:
    """Whether a service account asks that the adapter names, or, where it names none, one that is called an operator's."""
    name = request.user.name
    if not name.startswith("system:serviceaccount:"):
        return False
    account = name.rpartition(":")[2]
    return account in adapter.accounts if adapter.accounts else "operator" in account


def annotation(item: Mapping[str, Any] | None, name: str) -> Any:
    """An annotation's value."""
    return mapping_of(metadata_of(item or {}), "annotations").get(name)
