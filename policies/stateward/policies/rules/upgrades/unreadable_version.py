"""SW304: a version that nobody can read."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight, accuses


@rule(
    id="SW304",
    name="unreadable-version",
    summary="A service that runs a known version is given one that cannot be read",
    why="A tag such as latest or a branch can hold any version: an upgrade that skips a hop, or a downgrade, looks like "
    "nothing, and the operator cannot tell either.",
    remedy="Name the version: a tag that begins with it, or the version field of the operator.",
    source="CloudNativePG documentation, image requirements: the tag must tell the version",
    nature="transition",
    judges=services("UPDATE"),
    about=("version",),
    looks_at=(accuses("ControllerRevision.apps", "data"),),
)
def unreadable_version(change: Change, see: Sight) -> Iterator[Finding]:
    """Known before, opaque or gone now. Where the image's name no longer tells the engine it warns."""
    old, new = change.old, change.new
    if old is None or new is None or old.engine is None or not old.engine_certain:
        return
    before, after = old.version, new.version
    runs = old.running
    if before.state != "known" and runs is None:
        return
    if after.state == "known" and new.engine is not None:
        return
    if before.text == after.text and old.engine is new.engine:
        return
    title = old.engine.title
    was = before.version.text if before.version is not None else (runs.text if runs is not None else before.text)
    if new.engine is None:
        yield Finding(
            field=old.version.path,
            text=f"the image no longer says that it is {title} ({before.text or was} before)",
            why="a name that is mistyped cannot be pulled, the member that is replaced first never comes back and the "
            "rollout stays stuck even when it is corrected",
            remedy=f"check the image's name; an image of {title} is known by the last part of its repository",
            weak=True,
        )
        return
    adapter = new.adapter
    follows = after.state == "unset" and adapter.unpinned == "operator"
    # An operator acts on the version that it reads; a plain set, and an image by its digest, are told.
    acted_on = adapter.carrier(new) == "operator" or follows or (after.state == "opaque" and adapter.names_version)
    yield Finding(
        field=after.path,
        text=(f'"{after.text}" cannot replace {was}' if after.text else f"nothing replaces {was}")
        + f": no version of {title} can be read from it",
        why=f"the operator runs the {title} that it was released with: its own next release is then an upgrade of {title} "
        "that nobody decided on"
        if follows
        else f"it may be any version of {title}; an unplanned major upgrade or a downgrade would start without a word",
        remedy=f"keep {was}" if follows else f"name the version, for example {was}",
        weak=not acted_on,
    )
