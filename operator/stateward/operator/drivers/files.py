"""The files of a member, as a folder has them: what they may name, and what is laid over what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stateward.operator.drivers import template
from stateward.operator.drivers.protocol import Place
from stateward.operator.drivers.schema import MUTATING, Engine

Files = Mapping[str, dict[str, Any] | str]


def check(data: Engine) -> None:
    """Raises TemplateError where one of them names what nobody knows."""
    given = [f"parameters.{name}" for name in data.parameters]
    template.check(data.image, "image")
    for name, content in data.files.items():
        template.check({name: content}, f"files.{name}", given)
    for name, content in data.secret_files.items():
        template.check({name: content}, f"secret_files.{name}", [f"password.{one}" for one in data.passwords])
    template.check(data.clients, "clients", [f"password.{one}" for one in data.passwords])
    for where in ("labels", "rights", "leaves"):
        template.check(getattr(data.run, where), f"run.{where}")
    if data.tls is not None:
        for name, content in {**data.tls.files, **data.tls.secret_files}.items():
            template.check({name: content}, f"tls.files.{name}", [f"password.{one}" for one in data.passwords])
        template.check(data.tls.clients, "tls.clients", [f"password.{one}" for one in data.passwords])
    if data.wal is not None:
        for name, content in {**data.wal.files, **data.wal.secret_files}.items():
            template.check({name: content}, f"wal.files.{name}", [f"password.{one}" for one in data.passwords])
    for name in MUTATING:
        command = getattr(data.commands, name)
        if command is not None:
            template.check(command.http.body, f"commands.{name}.http.body")


def scope(place: Place) -> dict[str, str]:
    """What every file may name of its service."""
    return {
        "service.name": place.service,
        "service.namespace": place.namespace,
        "service.version": place.version,
        "service.major": place.major,
        "service.state": "existing" if place.joins else "new",
    }


def over(files: Files, more: Files) -> dict[str, dict[str, Any] | str]:
    """The files with what is laid over them."""
    made = dict(files)
    for name, content in more.items():
        before = made.get(name)
        if isinstance(before, dict) and isinstance(content, dict):
            made[name] = laid(before, content)
        else:
            made[name] = f"{before}{content}" if isinstance(before, str) and isinstance(content, str) else content
    return made


def laid(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with another laid over it; of lists the later one counts."""
    made = dict(before)
    for name, value in more.items():
        under = made.get(name)
        made[name] = laid(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return made
