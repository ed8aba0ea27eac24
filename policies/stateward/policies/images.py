"""Container image references: registry, repository, name, tag, digest (distribution/reference grammar)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


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


@lru_cache(maxsize=4096)
def parse(reference: str) -> Image:
    """Any string; nothing is refused, what is missing is "" ."""
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
