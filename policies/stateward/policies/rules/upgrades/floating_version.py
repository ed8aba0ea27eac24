"""SW308: a version that moves by itself."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW308",
    name="floating-version",
    summary="A service is given a version that moves by itself",
    why="A tag such as latest is another release next month: the next pod that is rescheduled, or the next update of the "
    "operator, upgrades the engine without anybody having asked, past stepping stones and without a backup.",
    remedy="Name the release: a tag that holds at least the series, the version field of the operator.",
    source="docker-library/official-images: floating tags move across majors; Strimzi: unset follows the operator",
    nature="state",
    action="warn",
    judges=services("CREATE", "UPDATE"),
    about=("version",),
)
def floating_version(change: Change, see: Sight) -> Iterator[Finding]:
    """No version at all, or one that names less than the engine's series. An unreadable tag is not called floating."""
    new = change.new
    if new is None or new.engine is None or not new.engine_certain or not new.groups:
        return
    asked, title = new.version, new.engine.title
    native = new.adapter.name == "statefulset"
    if asked.state == "unset" and not asked.text and not native and new.adapter.unpinned != "operator":
        return
    if (
        asked.state == "unset"
        and asked.text
        and not native
        and change.old is not None
        and change.old.version.state == "known"
    ):
        return  # the version that it replaces is known: SW304 speaks
    if asked.state == "unset":
        text = f'"{asked.text}" is whatever is newest' if asked.text else "no version is named"
    elif asked.version is not None and len(asked.version.parts) < new.engine.series_parts(asked.version):
        text = f'"{asked.version.text}" names no series of {title}'
    else:
        return
    yield Finding(
        field=asked.path,
        text=text,
        why=f"the next update of the operator upgrades {title} along with itself"
        if not native and not asked.text
        else f"the next pod that is rescheduled may start another release of {title} than the others run",
        remedy="name the release" + (f", for example {new.running.text}, which runs now" if new.running is not None else ""),
        subject="version",
    )
