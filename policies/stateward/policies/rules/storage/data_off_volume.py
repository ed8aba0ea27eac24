"""SW105: the engine's data must lie on a volume that outlives the pod."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.engines.profile import DataPath, Profile
from stateward.policies.facts import CLAIM, is_bound, name_of
from stateward.policies.finding import Finding
from stateward.policies.images import parse as parse_image
from stateward.policies.model import Service
from stateward.policies.rule import rule, services
from stateward.policies.settings import mounted_properties
from stateward.policies.view import UNKNOWN, Sight, accuses, items_of, text_of

_TEMPORARY: Final = frozenset(("emptyDir", "configMap", "secret", "projected", "downwardAPI"))


@rule(
    id="SW105",
    name="data-off-volume",
    summary="An engine writes its data where nothing survives the pod",
    why="What is not on a persistent volume is deleted with the pod: every restart, upgrade or node loss starts empty, "
    "and a consensus member that comes back without its identity cannot rejoin.",
    remedy="Mount a claim (volumeClaimTemplates) at, or above, the directory that the engine writes to.",
    source="Kubernetes documentation, Volumes: emptyDir is deleted when the pod is removed from its node",
    nature="state",
    judges=services("CREATE", "UPDATE", configs=True),
    about=("settings", "mounts", "volumes", "version"),
    looks_at=(accuses("ConfigMap", "data"), accuses(CLAIM, "spec.volumeName", "status.phase")),
    loses_data=True,
)
def data_off_volume(change: Change, see: Sight) -> Iterator[Finding]:
    """Where the data directory is known it must be covered; where it is not, some persistent mount must be there.

    A Deployment that has no claim, and had none, was made to keep nothing: it only warns, unless one of its name is there.
    """
    new = change.new
    if new is None or new.engine is None or not new.engine_certain or not new.pod:
        return
    profile = new.engine
    if _same_place(change, profile) or new.members == 0 or _kept_nothing(change.old):
        return
    if _is_cache(profile, new):
        return
    persistent = new.persistent_mounts
    scratch = _is_scratch(change, new, see)
    known = False
    version = new.version.version
    for data in profile.data:
        if data.versions is not None and (version is None or not data.versions.holds(version)):
            continue
        where, source = _directory(data, new, see)
        if where is None:
            continue
        known = True
        if any(_covers(mount, where) for mount in persistent):
            continue
        temporary = next((mount for mount in _mounts(new) if mount not in persistent and _covers(mount, where)), None)
        yield Finding(
            field=new.container_path("volumeMounts"),
            text=f"{where} ({data.what} of {profile.title}{source}) lies on no persistent volume"
            + (f"; {temporary} is a temporary one" if temporary else ""),
            why="the directory is deleted with the pod"
            + (
                "; a member that comes back without it has lost its identity and cannot rejoin"
                if profile.quorum.model == "majority"
                else ""
            ),
            remedy=f"add a volumeClaimTemplate and mount it at {where}",
            subject=data.what,
            weak=profile.volatile or scratch,
        )
    if not known and not persistent:
        yield _temporary(new, "any", weak=profile.volatile or scratch)


def _temporary(service: Service, subject: str, weak: bool = False) -> Finding:
    title = service.engine.title if service.engine is not None else ""
    return Finding(
        field=("spec", "volumeClaimTemplates"),
        text=f"{title} runs without a persistent volume",
        why="everything that it stores is deleted with the pod",
        remedy="add a volumeClaimTemplate and mount it where the engine keeps its data",
        subject=subject,
        weak=weak,
    )


def _kept_nothing(old: Service | None) -> bool:
    """Whether there was a pod before that had nothing to keep data on, whatever ran in it: then none is lost now."""
    if old is None or not old.pod or any(group.volumes for group in old.groups):
        return False
    return all(_TEMPORARY.intersection(volume) for volume in items_of(old.pod, "volumes"))


def _same_place(change: Change, profile: Profile) -> bool:
    """Whether only the version changes, and all versions of this image write to the same place."""
    touched, old, new = change.touched, change.old, change.new
    if touched is None or old is None or new is None or not touched.isdisjoint(("settings", "mounts", "volumes")):
        return False
    for row in profile.data:
        if row.versions is not None:
            return False
    before, after = text_of(old.container, "image"), text_of(new.container, "image")
    return parse_image(before).repository == parse_image(after).repository


def _is_scratch(change: Change, service: Service, see: Sight) -> bool:
    """Whether a Deployment never had a claim, as far as anybody sees."""
    old = change.old
    if not service.adapter.shares_claims or service.persistent_mounts or (old is not None and old.persistent_mounts):
        return False
    claims = see.select(CLAIM, service.namespace)
    return not any(is_bound(claim) and name_of(claim) == service.name for claim in (claims if claims is not UNKNOWN else ()))


def _mounts(service: Service) -> list[str]:
    return [text_of(mount, "mountPath") for mount in items_of(service.container, "volumeMounts")]


def _covers(mount: str, directory: str) -> bool:
    mount, directory = mount.rstrip("/"), directory.rstrip("/")
    return bool(mount) and (directory == mount or directory.startswith(f"{mount}/"))


def _directory(data: DataPath, service: Service, see: Sight) -> tuple[str | None, str]:
    """Where this image writes, and how that is known."""
    image = parse_image(text_of(service.container, "image"))
    for pattern, path in data.fixed.items():
        if re.search(rf"(?:^|/)(?:{pattern})$", image.repository):
            return path, ", fixed by the image"
    for name in data.flags:
        found = service.flag(name)
        if found and found.startswith("/"):
            return found, f", {name}"
    variables = service.environment
    for name in data.env:
        found = variables.get(name, "")
        if found.startswith("/"):
            return found, f", {name}"
    for word in service.words:
        name, sign, value = word.partition("=")  # kafka: --override log.dirs=DIR, postgres: -c data_directory=DIR
        if sign and name in data.properties and value.startswith("/"):
            return value, f", {name}"
    if data.properties:
        found = mounted_properties(service, see, data.properties)
        if found and found.startswith("/"):
            return found, ", in its configuration"
    runs_default = not service.container.get("command")
    default = data.defaults.get(image.repository) or (data.defaults.get(image.name) if "/" not in image.repository else None)
    return (default, "") if default and runs_default else (None, "")


def _is_cache(profile: Profile, service: Service) -> bool:
    """Whether the engine is told that nothing of it needs to survive."""
    return bool(profile.cache_flags) and all(service.flag(name) == value for name, value in profile.cache_flags)
