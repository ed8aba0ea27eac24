"""What becomes of an object when its manifest goes: Flux and Argo CD delete it, unless they are told not to."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Final

from stateward.cli.manifests import Document
from stateward.policies.view import Kind, Object, items_of, kind_of_object, mapping_of, metadata_of, text_of

FLUX: Final[Kind] = "Kustomization.kustomize.toolkit.fluxcd.io"
ARGO: Final[Kind] = "Application.argoproj.io"
KINDS: Final = (FLUX, ARGO)
"""The kinds that say which folder is deployed, and whether what goes from it is deleted."""
_FLUX_LABEL: Final = "kustomize.toolkit.fluxcd.io/prune"
_ARGO_OPTIONS: Final = "argocd.argoproj.io/sync-options"


def stays(document: Document, deployers: Iterable[Object]) -> bool:
    """Whether the object of a manifest that goes stays: by its own annotations, or by what deploys its folder.

    Of several deployers the one with the longest path counts. Sources: Flux, Kustomization `prune`; Argo CD,
    automated pruning and sync options.
    """
    return _says_so(document.object) or _deployed_without_pruning(document.source, deployers)


def _says_so(item: Object) -> bool:
    metadata = metadata_of(item)
    annotations, labels = mapping_of(metadata, "annotations"), mapping_of(metadata, "labels")
    if "disabled" in (text_of(annotations, _FLUX_LABEL), text_of(labels, _FLUX_LABEL)):
        return True
    return "Prune=false" in {option.strip() for option in text_of(annotations, _ARGO_OPTIONS).split(",")}


def _deployed_without_pruning(path: str, deployers: Iterable[Object]) -> bool:
    nearest, found = -1, False
    for item in deployers:
        for folder in _folders(item):
            if (path.startswith(f"{folder}/") or folder == ".") and len(folder) > nearest:
                nearest, found = len(folder), _keeps(item)
    return found


def _folders(item: Object) -> list[str]:
    spec = mapping_of(item, "spec")
    if kind_of_object(item) == FLUX:
        paths = [text_of(spec, "path") or "."]
    else:
        sources = [mapping_of(spec, "source"), *items_of(spec, "sources")]
        paths = [path for source in sources if (path := text_of(source, "path"))]
    return [posixpath.normpath(path.lstrip("/") or ".") for path in paths]


def _keeps(item: Object) -> bool:
    """Whether it is told not to delete. What Argo CD does not sync by itself, a person does, and may prune."""
    spec = mapping_of(item, "spec")
    if kind_of_object(item) == FLUX:
        return spec.get("prune") is False
    policy = mapping_of(spec, "syncPolicy")
    return "automated" in policy and mapping_of(policy, "automated").get("prune") is not True
