"""How a StatefulService stands, read from its object alone: what a picture of it shows, and JSON says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stateward.policies import times
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

PAUSED: Final = "stateward.dev/paused"
DRY_RUN: Final = "stateward.dev/dry-run"
_GOOD: Final = {"Degraded": "False", "Blocked": "False", "Progressing": None}
"""Type of a condition → the status that it has while all is well (None: either is); of all others it is True."""
_ORDER: Final = ("Blocked", "Ready", "Degraded")


def document(item: Object, used: Mapping[str, int], zones: Mapping[str, str], now: float) -> dict[str, Any]:
    """Everything that is shown, as JSON values. `used`: member → bytes on its volume; `zones`: node → zone."""
    metadata, spec, status = metadata_of(item), mapping_of(item, "spec"), mapping_of(item, "status")
    volumes = items_of(status, "volumes")
    return {
        "format": "stateward-service/v1",
        "namespace": text_of(metadata, "namespace"),
        "name": text_of(metadata, "name"),
        "created": text_of(metadata, "creationTimestamp") or None,
        "engine": text_of(spec, "engine"),
        "version": {
            "wanted": text_of(spec, "version"),
            "running": text_of(status, "runningVersion") or None,
            "finalised": text_of(status, "finalisedVersion") or None,
        },
        "quorum": quorum(spec, status),
        "members": [_member(one, used, zones) for one in items_of(status, "members")],
        "volume": _volume(volumes[:1]),
        "wal": _volume(volumes[1:]),
        "seen": _number(status.get("observedGeneration")) == _number(metadata.get("generation")),
        "deleting": text_of(metadata, "deletionTimestamp") or None,
        "paused": text_of(mapping_of(metadata, "annotations"), PAUSED) == "true",
        "dryRun": text_of(mapping_of(metadata, "annotations"), DRY_RUN) == "true",
        "operation": dict(mapping_of(status, "operation")) or None,
        "wrong": wrong(status),
        "backup": dict(mapping_of(status, "backup")) or None,
        "backups": bool(mapping_of(spec, "backup")),
        "drill": dict(mapping_of(status, "drill")) or None,
        "decisions": [dict(one) for one in items_of(status, "decisions")][:5],
        "next": next_steps(item),
        "time": times.render(now),
    }


def _volume(found: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    return {"class": found[0].get("class"), "size": found[0].get("size")} if found else None


def quorum(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, int]:
    """How many members are wanted, are there, serve, and must; `spare`: how many more may go, below 0 how many lack."""
    count, ready = len(items_of(status, "members")), _number(status.get("readyMembers"))
    must = count // 2 + 1 if count else 0
    return {"wanted": _number(spec.get("members")), "present": count, "ready": ready, "must": must, "spare": ready - must}


def wrong(status: Mapping[str, Any]) -> list[dict[str, str]]:
    """The conditions that are not as they should be, the one that needs somebody first."""
    found = [
        {
            "type": text_of(one, "type"),
            "status": text_of(one, "status"),
            "reason": text_of(one, "reason"),
            "message": text_of(one, "message"),
            "since": text_of(one, "lastTransitionTime"),
        }
        for one in items_of(status, "conditions")
        if (good := _GOOD.get(text_of(one, "type"), "True")) is not None and one.get("status") != good
    ]
    return sorted(found, key=lambda one: _ORDER.index(one["type"]) if one["type"] in _ORDER else len(_ORDER))


def next_steps(item: Object) -> list[str]:
    """What a person can do now, as commands or in words; empty where nothing is in the way."""
    metadata, status = metadata_of(item), mapping_of(item, "status")
    namespace, name = text_of(metadata, "namespace"), text_of(metadata, "name")
    annotations = mapping_of(metadata, "annotations")
    service = f"-n {namespace} statefulservice/{name}"
    found: list[str] = []
    if not status:
        return ["nobody has looked at it yet: see whether stateward operate runs, and watches this namespace"]
    for annotation, what in ((PAUSED, "go on"), (DRY_RUN, "carry out what is said")):
        if text_of(annotations, annotation) == "true":
            found.append(f"kubectl annotate {service} {annotation}-   ({what})")
    for one in wrong(status):
        if one["type"] == "Blocked" and one["reason"] == "Denied":
            found.append(f"kubectl edit {service}   (set the change back, or do it as the message says)")
    for member in items_of(status, "members"):
        if member.get("ready") is not True:
            found.append(
                f"kubectl describe -n {namespace} pod/{text_of(member, 'name')}   (events say why it does not serve)"
            )
            break
    backup = mapping_of(status, "backup")
    if text_of(backup, "lastFailure"):
        found.append(f"kubectl get -n {namespace} servicebackups   (the last one failed)")
    return found


def _member(one: Mapping[str, Any], used: Mapping[str, int], zones: Mapping[str, str]) -> dict[str, Any]:
    node = text_of(one, "node")
    kept = ("name", "role", "version", "ready", "lag", "lagUnit", "node", "zone", "message")
    found = {name: one.get(name) for name in kept}
    found["ready"] = one.get("ready") is True
    found["zone"] = text_of(one, "zone") or zones.get(node)
    found["used"] = used.get(text_of(one, "name"))
    return found


def _number(value: object) -> int:
    return value if type(value) is int else 0


def length(seconds: float) -> str:
    """`40 s`, `4 min`, `3 h 20 min`, `12 days`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 2 * 86400:
        minutes = whole % 3600 // 60
        return f"{whole // 3600} h" + (f" {minutes} min" if minutes and whole < 36000 else "")
    return f"{whole // 86400} days"


def since(moment: object, now: float) -> str:
    """How long ago a time of the API was; "" where it is none."""
    then = times.parse(moment)
    return "" if then is None else length(now - then)


def size(count: float) -> str:
    """`1.2 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def several(words: Sequence[str]) -> str:
    """Words that are there, joined."""
    return ", ".join(word for word in words if word)
