"""SW305: a feature that cannot be switched off again, on a version where it does harm."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.version import parse_range
from stateward.policies.view import Sight


@rule(
    id="SW305",
    name="one-way-flag",
    summary="A feature that cannot be switched off again is switched on where it does harm",
    why="Such flags change what is on disk for good. Experimental ones bar the way to the next release.",
    remedy="Leave the flag off until the version that supports it.",
    source="RabbitMQ documentation, Feature Flags",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    about=("settings", "version"),
)
def one_way_flag(change: Change, see: Sight) -> Iterator[Finding]:
    """The flags that the engine's profile lists, in the environment of its container."""
    new = change.new
    if new is None or new.engine is None or not new.engine.flags or not new.engine_certain:
        return
    version = new.version.version
    if version is None:
        return
    variables = new.environment
    for flag in new.engine.flags:
        if flag["holds"] not in variables.get(flag["name"], ""):
            continue
        if not parse_range(flag["versions"]).holds(version):
            continue
        yield Finding(
            field=new.container_path("env"),
            text=f"{flag['name']} enables {flag['holds']} on {new.engine.title} {version.text}",
            why=flag["reason"],
            remedy=f"leave {flag['holds']} off here",
            subject=flag["holds"],
        )
