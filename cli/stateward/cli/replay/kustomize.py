"""Which files are patches of a kustomization: they hold pieces of objects, not objects."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Any, Final

from stateward.cli.files import Problem, decoded
from stateward.cli.limits import Budget
from stateward.cli.scalars import Fault
from stateward.cli.yamlread import documents
from stateward.policies.view import items_of, text_of, texts_of

_NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""The names that kustomize itself looks for."""


def is_kustomization(path: str) -> bool:
    """Whether kustomize takes a file for a kustomization."""
    return path.rpartition("/")[2] in _NAMES


def patches(data: bytes) -> frozenset[str]:
    """The files that a kustomization names as patches, relative to its folder; none where it cannot be read."""
    text = decoded("", data) if b"atches" in data else None
    if text is None or isinstance(text, Problem):
        return frozenset()
    try:
        return frozenset(name for document in documents(text.raw, Budget()) for name in _named(document.value))
    except Fault:
        return frozenset()


def _named(value: Any) -> Iterator[str]:
    if type(value) is not dict:
        return
    # The oldest kustomizations give plain names under `patches`; a strategic merge may also stand there as YAML.
    plain = [*texts_of(value, "patchesStrategicMerge"), *texts_of(value, "patches")]
    yield from (name for name in plain if "\n" not in name and ":" not in name)
    for key in ("patches", "patchesJson6902"):
        yield from (text_of(item, "path") for item in items_of(value, key) if text_of(item, "path"))


def places(path: str, names: Iterable[str]) -> frozenset[str]:
    """Names inside the kustomization at a path, as paths from the top of the repository."""
    folder = posixpath.dirname(path)
    return frozenset(posixpath.normpath(posixpath.join(folder, name)) for name in names)
