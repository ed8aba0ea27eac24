"""SW811: a setting that is decided when the data directory is made."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.operations import parameters
from stateward.policies.rule import rule, services
from stateward.policies.settings import config_files, properties
from stateward.policies.view import Sight, accuses


@rule(
    id="SW811",
    name="initial-setting-changed",
    summary="A setting that is decided when the data directory is made is changed",
    why="The engine compares it with what its disks say at every start. With another value it refuses to start, one member "
    "after the other, and the rollout stays stuck.",
    remedy="Take the old value back. For another one build a new service and move the data.",
    source="the engines' documentation; each row of a profile's `initial` says what happens",
    nature="transition",
    judges=services("UPDATE", configs=True),
    about=("settings", "mounts"),
    looks_at=(accuses("ConfigMap", "data"),),
)
def initial_setting_changed(change: Change, see: Sight) -> Iterator[Finding]:
    """Flags, and files that are mounted from ConfigMaps. What was not written before was a default: it passes."""
    old, new = change.old, change.new
    if old is None or new is None or new.engine is None or not new.engine.initial or not new.engine_certain:
        return
    if old.engine is not new.engine or not any(group.volumes for group in new.groups):
        return
    wanted = dict(new.engine.initial)
    if change.via == "operation":
        for name, path in parameters(change.request.object or {}):
            if name in wanted:
                yield Finding(
                    field=path,
                    text=f"{name} is asked to change; it was decided when the data was made",
                    why=wanted[name],
                    remedy=f"leave {name} out of the request",
                    subject=name,
                    on=change.request.object,
                )
        return
    before, after = _settings(old, see.on(old.view), wanted), _settings(new, see.on(new.view), wanted)
    for name, value in before.items():
        other = after.get(name)
        if other is None and not after and change.via != "config":
            continue  # no file of settings is known any more
        if other == value or (other is None and name not in _NEEDED):
            continue
        yield Finding(
            field=("data", name) if change.via == "config" else new.container_path("args"),
            text=f"{name} is {'changed' if other is not None else 'taken out'}; it was decided when the data was made",
            why=wanted[name],
            remedy=f"take the old value of {name} back",
            subject=name,
        )


_NEEDED = frozenset({"controller.quorum.voters"})
"""Settings without a default: taking them out is a change."""


def _settings(service: Service, see: Sight, wanted: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, text in config_files(service, see):
        for key, value in properties(text):
            name = key if key in wanted else key.replace("-", "_")
            if name in wanted:
                found.setdefault(name, value)
    for name in wanted:
        given = service.flag(f"--{name}") or service.flag(f"--{name.replace('_', '-')}")
        if given:
            found[name] = given
    return found
