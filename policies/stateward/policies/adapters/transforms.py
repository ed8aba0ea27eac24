"""The registered transforms of adapter files: small typed functions of one value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import orjson

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


def nonzero(value: Any) -> Any:
    """0 and "" as nothing: what a status holds before its operator has written it."""
    return value if value or value is False else None


_PERCONA_BUILD: Final = re.compile(r":main-[a-z]*(\d+\.\d+)")


def percona_image(value: Any) -> Any:
    """`…-operator:main-pxc8.4` → `…-operator:8.4`: Percona's builds of a branch name the engine before its series."""
    return _PERCONA_BUILD.sub(r":\1", value) if isinstance(value, str) else value


def feature_version(value: Any) -> Any:
    """`8.0.4-1` → `8.0`: the feature compatibility version of a MongoDB release."""
    return ".".join(value.split(".")[:2]) if isinstance(value, str) else value


def applied_feature_version(value: Any) -> Any:
    """The `featureCompatibilityVersion` of a specification kept as JSON text; nothing where it is missing or unreadable."""
    try:
        kept = orjson.loads(value) if isinstance(value, str) else None
    except orjson.JSONDecodeError:
        return None
    level = kept.get("featureCompatibilityVersion") if type(kept) is dict else None
    return level if isinstance(level, str) and level else None


def mongodb_nonvoters(value: Any) -> Any:
    """The places in a `memberConfig` whose members have no vote."""
    if type(value) is not list:
        return None
    return [place for place, row in enumerate(value) if type(row) is dict and str(row.get("votes", 1)) == "0"]


def key_range(value: Any) -> Any:
    """`{start: "80"}` → `80-x`: a Vitess shard as its labels name it (vitess-operator, keyrange.go: SafeName)."""
    return f"{value.get('start') or 'x'}-{value.get('end') or 'x'}" if type(value) is dict else None


_LITE: Final = re.compile(r"vitess/lite:(?:.*-)?mysql(\d)(\d)$")


def vitess_image(value: Any) -> Any:
    """`vitess/lite:v24.0.0-mysql84` → `mysql:8.4`: the mysqld in Vitess's own images, as far as their tags tell."""
    found = _LITE.search(value) if isinstance(value, str) else None
    return f"mysql:{found[1]}.{found[2]}" if found is not None else value


def etcd_of_endpoints(value: Any) -> Any:
    """The cluster that endpoints of its client service name: `http://NAME-client.shop.svc:2379` → NAME."""
    for one in value if isinstance(value, list) else [value]:
        found = re.search(r"(?:^|//)([a-z0-9.-]+?)-client(?:[.:/]|$)", one) if isinstance(one, str) else None
        if found is not None:
            return found[1]
    return None


TRANSFORMS: Final[dict[str, Transform]] = {
    "kafka-release": strip_default_suffix,
    "text": as_text,
    "not": negate,
    "count": count,
    "highest-version": highest_version,
    "first": first,
    "all-stopped": all_stopped,
    "engine-of-definition": engine_of_definition,
    "etcd-of-endpoints": etcd_of_endpoints,
    "nonzero": nonzero,
    "percona-image": percona_image,
    "feature-version": feature_version,
    "applied-feature-version": applied_feature_version,
    "mongodb-nonvoters": mongodb_nonvoters,
    "key-range": key_range,
    "vitess-image": vitess_image,
}
