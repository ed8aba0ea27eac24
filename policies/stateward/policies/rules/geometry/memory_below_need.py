"""SW806: a memory limit that the engine's own settings exceed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from stateward.policies import quantity
from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import rule, services
from stateward.policies.settings import config_files, properties, shown
from stateward.policies.view import Sight, accuses, mapping_of

_ENGINES: Final = frozenset(
    ("mysql", "mariadb", "rabbitmq", "elasticsearch", "opensearch", "kafka", "cassandra", "zookeeper", "redis", "valkey")
)
_HEAP: Final = re.compile(r"-Xmx(\d+[kKmMgG]?)")
_HEAP_VARIABLES: Final = (
    "ES_JAVA_OPTS", "OPENSEARCH_JAVA_OPTS", "KAFKA_HEAP_OPTS", "JVM_OPTS", "JVMFLAGS", "JAVA_OPTS", "SERVER_JVMFLAGS",
    "JAVA_TOOL_OPTIONS",
)  # fmt: skip
_SIZE: Final = re.compile(r"(\d{1,18})\s*([kKmMgGtT])?[bB]?")
_PER_CONNECTION: Final = {
    "sort_buffer_size": 2 * 2**20,
    "join_buffer_size": 256 * 2**10,
    "read_buffer_size": 128 * 2**10,
    "read_rnd_buffer_size": 256 * 2**10,
    "thread_stack": 292 * 2**10,
}
"""Defaults of the MariaDB server (documentation, server system variables), in bytes."""


@rule(
    id="SW806",
    name="memory-below-need",
    summary="The memory limit is below what the engine's settings allow it to use",
    why="The kernel kills a container at its limit: under load the engine takes what its settings allow and dies in the "
    "middle of a write, again and again.",
    remedy="Raise the limit, or lower the settings until they fit with room to spare.",
    source="MariaDB documentation, memory allocation; RabbitMQ documentation, memory threshold and limit",
    nature="state",
    action="warn",
    judges=services("CREATE", "UPDATE", configs=True),
    about=("settings", "mounts", "resources"),
    looks_at=(accuses("ConfigMap", "data"),),
)
def memory_below_need(change: Change, see: Sight) -> Iterator[Finding]:
    """MySQL and MariaDB buffers; RabbitMQ's relative watermark."""
    new = change.new
    if new is None or new.engine is None or new.engine.name not in _ENGINES or not new.engine_certain:
        return
    resources = mapping_of(new.container, "resources")
    limit = quantity.parse(mapping_of(resources, "limits").get("memory"))
    if limit is None:
        return
    path = new.container_path("resources", "limits", "memory")
    heap = _heap(new)
    if heap is not None and heap >= limit:
        yield Finding(
            field=path,
            text=f"{quantity.bytes_text(limit)} does not hold the {quantity.bytes_text(heap)} that {new.engine.title} is "
            "told to use",
            why="the kernel kills the engine as soon as it has filled what its settings allow, and again after each restart",
            remedy="raise the limit well above it (a Java heap needs about as much again), or lower the setting",
            subject="heap",
        )
        return
    settings = {key: value for _, text in config_files(new, see) for key, value in properties(text)}
    if not settings:
        return
    if new.engine.name in ("mysql", "mariadb"):
        yield from _buffers(new, limit, settings, path)
    elif new.engine.name == "rabbitmq":
        yield from _watermark(new, limit, settings, path)


def _heap(new: Service) -> Fraction | None:
    """What the engine is told to use, as far as its environment and command line say so in plain numbers."""
    if new.engine is not None and new.engine.name in ("redis", "valkey"):
        size = _bytes(new.flag("--maxmemory") or "")
        return Fraction(size) if size else None
    texts = [new.environment[name] for name in _HEAP_VARIABLES if name in new.environment]
    found = [match[1] for text in (*texts, *new.words) for match in _HEAP.finditer(text)]
    given = new.environment.get("MAX_HEAP_SIZE", "") if new.engine is not None and new.engine.name == "cassandra" else ""
    sizes = [size for size in (_bytes(text) for text in (*found, given)) if size]
    return Fraction(max(sizes)) if sizes else None


def _buffers(new: Service, limit: Fraction, settings: Mapping[str, str], path: tuple[str | int, ...]) -> Iterator[Finding]:
    pool = _bytes(settings.get("innodb_buffer_pool_size", ""))
    connections = settings.get("max_connections", "")
    if pool is None or not connections.isdecimal() or len(connections) > 9:
        return
    each = sum(
        given if (given := _bytes(settings.get(name, ""))) is not None else default
        for name, default in _PER_CONNECTION.items()
    )
    need = pool + int(connections) * each
    if need > limit:
        yield Finding(
            field=path,
            text=f"{quantity.bytes_text(limit)} is less than the {quantity.bytes_text(Fraction(need))} that the settings "
            "allow",
            why=f"{quantity.bytes_text(Fraction(pool))} buffer pool and {connections} connections of "
            f"{quantity.bytes_text(Fraction(each))} each: a storm of connections gets the server killed",
            remedy=f"raise the limit above {quantity.bytes_text(Fraction(need))}, or lower max_connections or the buffers",
            subject="buffers",
        )


def _watermark(new: Service, limit: Fraction, settings: Mapping[str, str], path: tuple[str | int, ...]) -> Iterator[Finding]:
    relative = settings.get("vm_memory_high_watermark.relative")
    version = new.version.version
    if relative is None or "total_memory_available_override_value" in settings or version is None:
        return
    yield Finding(
        field=path,
        text=f"{quantity.bytes_text(limit)} limits the container, but the high watermark is relative ({shown(relative)})",
        why="a relative mark may be taken of the node's memory, not of this limit: flow control begins too late and the "
        "kernel kills the broker first",
        remedy="set vm_memory_high_watermark.absolute to about 60 % of the limit",
        subject="watermark",
    )


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    return int(match[1]) * {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}[(match[2] or "").lower()]
