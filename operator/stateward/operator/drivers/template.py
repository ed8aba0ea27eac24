"""Templates of an engine's folder: `{member.name}` in strings, and lists made of members. No expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

PLACEHOLDER: Final = re.compile(r"\{([a-z]+(?:\.[a-z][a-z0-9-]*)?)\}")
MEANINGS: Final = {
    "service.name": ("files", "the service's name"),
    "service.namespace": ("files", "its namespace"),
    "service.version": ("files", "the version that its members are made with"),
    "service.major": ("files", "the first number of it"),
    "service.state": ("files", "`new` while its members found their cluster, `existing` from then on"),
    "tls.scheme": ("files, clients", "`https` with TLS, `http` without"),
    "tls.folder": ("files", "where the certificates are mounted"),
    "member.name": ("files, their names, commands", "the member's pod"),
    "member.host": ("files, commands", "the name that other members reach it by"),
    "member.identity": ("commands", "what the engine calls it, by its own list"),
    "other.identity": ("commands", "the same of a member that it may hand over to"),
    "version": ("image, finalise", "the version"),
}
"""Placeholder → where it may stand, what it is."""
KNOWN: Final = frozenset(MEANINGS)
ELSEWHERE: Final = {
    "password.NAME": ("secret_files, clients", "a generated password"),
    "parameters.NAME": ("everywhere", "what the service gives for that parameter, or its default"),
}
"""Of those that have a name of the folder's own in them."""


class TemplateError(ValueError):
    """A template names something that nobody knows. It is in the engine's folder, not in a user's input."""


def render(template: Any, scope: Mapping[str, str], each: Mapping[str, list[Mapping[str, str]]] | None = None) -> Any:
    """The template with its placeholders replaced.

    A mapping {each: members, as: "{member.name}=…", separator: ","} is a text, made of one piece a member. A string that
    is nothing but `{parameters}` is not handled here: parameters are laid over a file's content by who renders it.
    """
    if isinstance(template, str):
        return PLACEHOLDER.sub(lambda found: _value(found[1], scope), template)
    if isinstance(template, list):
        return [render(one, scope, each) for one in template]
    if isinstance(template, dict):
        if "each" in template:
            rows = (each or {}).get(template["each"], [])
            pieces = [render(template["as"], {**scope, **row}) for row in rows]
            return str(template.get("separator", ",")).join(pieces)
        return {render(key, scope): render(value, scope, each) for key, value in template.items()}
    return template


def check(template: Any, where: str, more: Iterable[str] = ()) -> None:
    """Raises TemplateError where a placeholder is unknown, or a list has another shape than it should have."""
    known = KNOWN.union(more)
    for text in _texts(template, where):
        for name in PLACEHOLDER.findall(text):
            if name not in known:
                raise TemplateError(f"{where}: {{{name}}} is unknown; known are {', '.join(sorted(known))}")


def _texts(template: Any, where: str) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, list):
        for one in template:
            yield from _texts(one, where)
    elif isinstance(template, dict):
        if "each" in template:
            _check_each(template, where)
        for key, value in template.items():
            yield str(key)
            yield from _texts(value, where)


def _check_each(template: Mapping[str, Any], where: str) -> None:
    good = template["each"] == "members" and isinstance(template.get("as"), str)
    if not good or not set(template) <= {"each", "as", "separator"}:
        raise TemplateError(f"{where}: a list is written {{each: members, as: TEXT, separator: TEXT}}, got {dict(template)}")


def _value(name: str, scope: Mapping[str, str]) -> str:
    if name not in scope:
        raise TemplateError(f"{{{name}}} means nothing here")
    return scope[name]
