"""Backups by an engine's own tools: the commands of its folder, and how much data a member says that it has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from stateward.operator.drivers import reading, template
from stateward.operator.drivers.http import NoAnswerError, RefusedError, ask
from stateward.operator.drivers.protocol import Copying, Extent, Place, Result, Target
from stateward.operator.drivers.schema import Engine, Variant

WORK: Final = "/stateward/backup"
"""What can be written in the pods of Jobs, and is lost with them."""
DUMP: Final = f"{WORK}/dump"
"""The folder that a dump is written to, and read from."""
IMAGE: Final = "/stateward/image"
"""Where a copy of a member's volume is mounted, to be read."""
KNOWN: Final = ("dump", "data", "token")


def check(data: Engine) -> None:
    """Raises TemplateError where a command names what nobody knows."""
    for number, variant in enumerate(data.backup):
        for name in ("take", "restore"):
            template.check(getattr(variant, name), f"backup.{number}.{name}", KNOWN)
        template.check(variant.adopt, f"backup.{number}.adopt", ("image", "data", "token"))
        template.check(variant.tls, f"backup.{number}.tls", KNOWN)
    if data.wal is not None:
        template.check(data.wal.restore, "wal.restore", KNOWN)
    if data.extent is not None:
        template.check(data.extent.at, "extent.at", ("position",))


def of(data: Engine, place: Place, member: str, token: str) -> Copying | None:
    """The commands for a version, for a member; None where the folder names none."""
    variant = next((one for one in data.backup if one.before is None or _older(place.version, one.before)), None)
    if variant is None:
        return None
    scope = {
        "service.name": place.service,
        "service.namespace": place.namespace,
        "service.version": place.version,
        "member.name": member,
        "member.host": place.host(member),
        "version": place.version,
        "dump": DUMP,
        "data": data.run.data,
        "image": IMAGE,
        "token": token,
        "tls.scheme": "https" if place.tls else "http",
        "tls.folder": data.tls.folder if data.tls is not None else "",
    }
    more = template.render(data.wal.restore, scope) if data.wal is not None and place.wal else []
    return _rendered(variant, scope, place.tls, more)


def extent(data: Engine, target: Target) -> Extent | None:
    """How far a member's data reaches now; None: no answer."""
    if data.extent is None:
        return Extent()
    try:
        answer = ask(target, data.extent.http, data.extent.http.body)
    except (NoAnswerError, RefusedError):
        return None
    return _read(data, answer)


def proves(data: Engine, target: Target, wanted: Extent) -> Result:
    """Whether a member has what a backup of that extent holds, by its own word."""
    if data.extent is None:
        return Result("done")
    body: Any = data.extent.http.body
    if data.extent.at and wanted.position:
        body = {**(body or {}), **template.render(data.extent.at, {"position": wanted.position})}
    try:
        found = _read(data, ask(target, data.extent.http, body))
    except NoAnswerError as error:
        return Result("unknown", str(error))
    except RefusedError as error:
        return Result("refused", str(error))
    if wanted.position.isdecimal() and not (found.position.isdecimal() and int(found.position) >= int(wanted.position)):
        said = found.position or "none"
        return Result("refused", f"position {said}: the backup reaches to {wanted.position}")
    if wanted.count is not None and found.count != wanted.count:
        return Result("refused", f"{found.count} {data.extent.what}: the backup has {wanted.count}")
    return Result("done")


def _read(data: Engine, answer: Any) -> Extent:
    found = data.extent
    if found is None:
        return Extent()
    # A gateway leaves out what is zero.
    count = (reading.text_at(answer, found.count) or "0") if found.count is not None else ""
    return Extent(reading.text_at(answer, found.position), int(count) if count.isdecimal() else None, found.what)


def _rendered(variant: Variant, scope: dict[str, str], tls: bool, more: Sequence[str]) -> Copying:
    """`more`: arguments of the last command that restores."""

    def made(commands: list[list[str]]) -> list[list[str]]:
        found: list[list[str]] = template.render(commands, scope)
        return [*found[:-1], *([[*found[-1], *more]] if found else [])]

    return Copying(
        take=template.render(variant.take, scope),
        restore=made(variant.restore),
        environment={**variant.environment, **(template.render(variant.tls, scope) if tls else {})},
        adopt=made(variant.adopt),
        settles=variant.settles,
    )


def _older(version: str, than: str) -> bool:
    """By numbers: 3.4.23 is older than 3.5."""
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("-")[0])]
    return numbers < [int(part) for part in than.split(".")]
