"""The registered transforms of adapter files: small typed functions of one value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from stateward.policies import version

Transform = Callable[[Any], Any]


def strip_default_suffix(value: Any) -> Any:
    """`3.9-IV0` → `3.9`: the release of a Kafka metadata or protocol version."""
    return value.partition("-")[0] if isinstance(value, str) else value


def as_text(value: Any) -> Any:
    """A number as text: `major: 17` → "17"."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def negate(value: Any) -> Any:
    """True ↔ false."""
    return (not value) if isinstance(value, bool) else value


def count(value: Any) -> Any:
    """How many items a list has."""
    return len(value) if isinstance(value, list) else value


def highest_version(value: Any) -> Any:
    """The highest of a list of versions; nothing where one of them cannot be read."""
    if not isinstance(value, list):
        return value
    read = [(version.parse(one), one) for one in value if isinstance(one, str)]
    known = [(found.key(), one) for found, one in read if found is not None]
    return max(known)[1] if known and len(known) == len(value) else None


def first(value: Any) -> Any:
    """The first item of a list."""
    return (value[0] if value else None) if isinstance(value, list) else value


def engine_of_definition(value: Any) -> Any:
    """The engine that the name of a KubeBlocks definition tells (`apecloud-mysql`, `redis-7-1.0.0`); of a list the first."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            words = re.split(r"[-_.\d]+", one.lower())
            found = next((_DEFINED[word] for word in words if word in _DEFINED), None)
            if found is not None:
                return found
    return None


_DEFINED: Final = {
    name: name
    for name in (
        *("cassandra", "elasticsearch", "etcd", "kafka", "mariadb", "minio", "mongodb", "mysql", "nats", "opensearch"),
        *("postgresql", "rabbitmq", "redis", "tidb", "valkey", "zookeeper"),
    )
} | {"mongo": "mongodb", "postgres": "postgresql", "pg": "postgresql"}


def all_stopped(value: Any) -> Any:
    """Whether every item of a list is stopped (`stopped: true`, `stop: true`); an empty list is not."""
    if not isinstance(value, list):
        return value
    return bool(value) and all(
        isinstance(item, dict) and (item.get("stopped") is True or item.get("stop") is True) for item in value
    )


TRANSFORMS: Final[dict[str, Transform]] = {
    "kafka-release": strip_default_suffix,
    "text": as_text,
    "not": negate,
    "count": count,
    "highest-version": highest_version,
    "first": first,
    "all-stopped": all_stopped,
    "engine-of-definition": engine_of_definition,
}
