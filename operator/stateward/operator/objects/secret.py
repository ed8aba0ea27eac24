"""The Secrets of a service: generated passwords, and the files that have them in them."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Mapping
from typing import Final

from stateward.operator.objects.common import Item, applications, credentials, named, secret_config
from stateward.operator.service import Service

_LETTERS: Final = string.ascii_letters + string.digits
"""What needs no quoting in any engine's configuration."""


def generated(service: Service, lengths: Mapping[str, int]) -> Item:
    """The Secret of passwords, new ones with each call."""
    return _secret(service, credentials(service), passwords(lengths))


def passwords(lengths: Mapping[str, int]) -> dict[str, str]:
    """New ones with each call."""
    return {name: "".join(secrets.choice(_LETTERS) for _ in range(length)) for name, length in lengths.items()}


def rendered(service: Service, files: Mapping[str, str]) -> Item:
    """The Secret of files."""
    return _secret(service, secret_config(service), files)


def clients(service: Service, found: Mapping[str, str]) -> Item:
    """The Secret of what applications connect with."""
    return _secret(service, applications(service), found)


def entries(service: Service, name: str, found: Mapping[str, bytes], kind: str = "Opaque") -> Item:
    """A Secret of these entries."""
    data = {key: base64.b64encode(value).decode() for key, value in found.items()}
    return named(service, "v1", "Secret", name, type=kind, data=data)


def _secret(service: Service, name: str, found: Mapping[str, str]) -> Item:
    return entries(service, name, {key: value.encode() for key, value in found.items()})
