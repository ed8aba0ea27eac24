"""SW306: a tag that the official image does not publish."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.images import Image, parse
from stateward.policies.rule import rule, services
from stateward.policies.version import parse as parse_version
from stateward.policies.view import Sight, text_of


@rule(
    id="SW306",
    name="unreleased-image",
    summary="A rollout asks for a tag that the official image does not publish",
    why="The first member that is replaced cannot be started; with OrderedReady the rollout then waits for it, even after "
    "the edit is taken back, until its pod is deleted by hand.",
    remedy="Use a published tag; try it on one member first (updateStrategy.rollingUpdate.partition).",
    source="Kubernetes documentation, StatefulSet: forced rollback; docker-library/official-images",
    nature="transition",
    action="warn",
    judges=services("CREATE", "UPDATE"),
    about=("version",),
)
def unreleased_image(change: Change, see: Sight) -> Iterator[Finding]:
    """Official images alone: what their tags look like is known."""
    new = change.new
    if new is None or new.engine is None or not new.engine.variants or not new.container:
        return
    reference = text_of(new.container, "image")
    if change.old is not None and text_of(change.old.container, "image") == reference:
        return
    image = parse(reference)
    if image.registry != "docker.io" or "/" in image.repository or image.digest or _published(image, new.engine.variants):
        return
    yield Finding(
        field=new.container_path("image"),
        text=f'"{image.tag}" is no tag that the official image {image.name} publishes',
        why="the member that is replaced first hangs in ImagePullBackOff, and the rollout with it",
        remedy="check the tag; roll out to one member first with updateStrategy.rollingUpdate.partition",
    )


@lru_cache(maxsize=256)
def _published(image: Image, variants: str) -> bool:
    version = parse_version(image.tag)
    if version is None:
        return True  # no version at all: another rule's matter
    return re.fullmatch(variants, image.tag.removeprefix("v").removeprefix(version.text)) is not None
