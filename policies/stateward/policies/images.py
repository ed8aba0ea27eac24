"""Container image references: registry, repository, name, tag, digest (distribution/reference grammar)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from stateward.policies.structs import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    """One parsed reference."""

    registry: str
    """`docker.io` where none is written."""
    repository: str
    """Without the registry: `bitnami/postgresql`; `library/` is left out."""
    name: str
    """The last part of the repository: `postgresql`."""
    tag: str
    """ "" where none is written."""
    digest: str


LONGEST: Final = 1024
"""Characters of a reference that any registry could serve; what is longer is read, and never kept."""


def parse(reference: str) -> Image:
    """Any string; nothing is refused, what is missing is "" ."""
    return _parse(reference) if len(reference) <= LONGEST else _read(reference)


def _read(reference: str) -> Image:
    rest, _, digest = reference.partition("@")
    head, slash, tail = rest.rpartition("/")
    name, _, tag = tail.partition(":")
    repository = f"{head}/{name}" if slash else name
    first, slash, remainder = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, remainder
    else:
        registry = "docker.io"
    return Image(registry, repository.removeprefix("library/"), name, tag, digest)


_parse: Final = lru_cache(maxsize=4096)(_read)
