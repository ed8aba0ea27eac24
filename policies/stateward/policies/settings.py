"""Settings of an engine as its pod gives them: mounted configuration files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from stateward.policies.model import Service
from stateward.policies.view import UNKNOWN, Sight, items_of, mapping_of, text_of

_WORDS: Final = frozenset(
    ("new", "existing", "true", "false", "yes", "no", "on", "off", "always", "never", "force", "none", "auto", "default")
)
_NUMBER: Final = re.compile(r"[+-]?\d{1,12}(\.\d{1,6})?( ?%|[kMGT]i?)?")
_PROPERTY: Final = re.compile(r"^\s*([A-Za-z0-9_.-]+)\s*[=:]\s*(.*?)\s*$")


def shown(value: str) -> str:
    """A setting's value in a message: a number, a word that many settings take, or no more than that there is one.

    What arguments, variables and files hold may be a password, whatever the setting is called. Data directories
    (what an engine profile lists under `data`) are the other values that may be shown.
    """
    return value if value.lower() in _WORDS or _NUMBER.fullmatch(value) else "another value"


def address(text: str) -> str:
    """Where something is, without the credentials that an address may carry: user, password, query."""
    scheme, sign, rest = text.partition("://")
    if not sign:
        return text if "@" not in text and "?" not in text else "another place"
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path if '@' not in path else '…'}"


def config_files(service: Service, see: Sight) -> Iterator[tuple[str, str]]:
    """The files that the engine's container mounts from ConfigMaps: (file name, text). Needs a look at ConfigMap."""
    volumes = {text_of(volume, "name"): volume for volume in items_of(service.pod, "volumes")}
    seen: set[str] = set()
    # Charts have an init container copy the files to where the engine reads them.
    mounts = items_of(service.container, "volumeMounts")
    for container in items_of(service.pod, "initContainers"):
        mounts += items_of(container, "volumeMounts")
    for mount in mounts:
        volume = volumes.get(text_of(mount, "name"), {})
        name = text_of(mapping_of(volume, "configMap"), "name")
        if not name or name in seen:
            continue
        seen.add(name)
        config = see.get("ConfigMap", service.namespace, name)
        if config is UNKNOWN or config is None:
            continue
        for file, text in mapping_of(config, "data").items():
            if isinstance(text, str) and len(text) <= 262_144:
                yield file, text


def properties(text: str) -> Iterator[tuple[str, str]]:
    """`key = value` and `key: value` lines; comments and sections are passed over."""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";", "[", "!")):
            continue
        match = _PROPERTY.match(line)
        if match is not None:
            yield match[1], match[2].strip("\"'")


def mounted_properties(service: Service, see: Sight, names: Iterable[str]) -> str | None:
    """The first of these settings that a mounted configuration file gives."""
    wanted = set(names)
    for _, text in config_files(service, see):
        for key, value in properties(text):
            if key in wanted:
                return value
    return None
