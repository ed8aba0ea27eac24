"""What `lint` judges: the manifests given, what was there before them, and what else exists."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import BinaryIO, Final

from stateward.cli import inputs, manifests
from stateward.cli.asked import Asked, Rendering
from stateward.cli.edits import Edit, created, leaving, pair
from stateward.cli.files import MARKERS, STDIN, Choice, Problem, choose
from stateward.policies import waiver
from stateward.policies.structs import dataclass, field
from stateward.policies.view import MemoryView, Object, View, kind_of_object, metadata_of, nothing_complete, text_of


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is to be judged, and what was met on the way to it."""

    edits: list[Edit]
    view: View
    """What the rules may look at: every manifest given, and the cluster where one is asked."""
    home: dict[int, manifests.Document]
    """id of an object → its document: findings may point at another object than the edit's own."""
    problems: list[manifests.Problem]
    skipped: list[str]
    notes: list[str] = field(default_factory=list)
    """What the user should know of how the input was read; each is one line."""
    unwritable: frozenset[str] = frozenset()
    """Sources of manifests that are no files: they were rendered, or came from standard input."""


@dataclass(slots=True)
class _Set:
    """Manifests that were read together."""

    loaded: manifests.Loaded
    notes: list[str] = field(default_factory=list)
    rendered: set[str] = field(default_factory=set)


def gather(asked: Asked, stdin: BinaryIO | None, reading: manifests.Reading | None = None) -> Gathered:
    """The edits that the options mean. Ends with exit code 2 where they contradict each other.

    `reading`: the manifests of `asked.paths`, which are being read already.
    """
    asked.check()
    how = asked.rendering
    notes: list[str] = []
    before, gone = _before(asked, how, notes)
    after = (
        _read(reading) if reading and not gone else collect([path for path in asked.paths if path not in gone], how, stdin)
    )
    others = collect(asked.context, how)
    notes = [*after.notes, *others.notes, *notes]
    if asked.namespace:
        for loaded in (after.loaded, before, others.loaded):
            for document in loaded.documents:
                settle(document.object, asked.namespace)
    unwritable = frozenset({STDIN, *after.rendered})
    if asked.cluster:
        from stateward.cli import live

        return live.gather(asked, after.loaded, others.loaded, notes, unwritable)
    both = [*before.documents, *after.loaded.documents]
    judged_against = bool(asked.old) or asked.base is not None
    # What is broken is not gone: without every new manifest a missing one means nothing.
    deletions = not after.loaded.problems
    edits = list(
        pair(before.documents, after.loaded.documents, deletions=deletions) if judged_against else created(after.loaded)
    )
    # A waiver that comes with the edit that needs it waives nothing: what was there before does, and the context.
    late = {id(one) for one in after.loaded.documents if judged_against and kind_of_object(one.object) == waiver.KIND}
    going = {id(edit.old): leaving(edit.old.object) for edit in edits if edit.old is not None and edit.new is None}
    seen = [(one, going.get(id(one), one.object)) for one in both]
    there = [*(one.object for one in others.loaded.documents), *(item for one, item in seen if id(one) not in late)]
    return Gathered(
        edits=edits,
        view=MemoryView(there, nothing_complete),
        home={id(item): one for one, item in seen},
        problems=[*after.loaded.problems, *before.problems, *others.loaded.problems],
        skipped=[*after.loaded.skipped, *before.skipped],
        notes=notes,
        unwritable=unwritable,
    )


def _before(asked: Asked, how: Rendering, notes: list[str]) -> tuple[manifests.Loaded, set[str]]:
    """What was there, and the paths given that are only there any longer."""
    if asked.base is None:
        found = collect(asked.old, how)
        notes += found.notes
        return found.loaded, set()
    from stateward.cli import gitbase
    from stateward.cli.git import GitError

    try:
        base = gitbase.load(asked.base, asked.paths, how)
    except GitError as error:
        inputs.stop(f"--base: {error}")
    notes += base.notes
    # What is committed cannot be mended by the edit that is judged: it is told, and refuses nobody.
    for problem in base.loaded.problems:
        notes.append(f"{inputs.where(problem)}: not compared: {problem.message}")
    base.loaded.problems.clear()
    base.loaded.skipped.clear()
    return base.loaded, base.gone


def collect(paths: Iterable[str], how: Rendering, stdin: BinaryIO | None = None) -> _Set:
    """The manifests of files, folders and standard input; charts and kustomizations among them rendered."""
    choice = choose(paths)
    if any(os.path.basename(file.source) in MARKERS for file in choice.files):
        result = _rendered(choice, how, stdin)
    else:
        result = _Set(manifests.read(choice, stdin))
    _templates(result.loaded)
    return result


def _read(reading: manifests.Reading) -> _Set:
    result = _Set(reading.result())
    _templates(result.loaded)
    return result


def _rendered(choice: Choice, how: Rendering, stdin: BinaryIO | None) -> _Set:
    """The same where there are charts or kustomizations among the files."""
    from stateward.cli import rendered

    found = rendered.find(choice)
    choice.files[:] = found.plain
    result = _Set(manifests.read(choice, stdin), list(found.notes))
    for folder in found.folders:
        objects, problems = len(result.loaded.documents), len(result.loaded.problems)
        result.rendered |= rendered.render(folder, how, result.loaded)
        if len(result.loaded.problems) == problems:
            count = len(result.loaded.documents) - objects
            result.notes.append(f"{folder.path}: rendered by {folder.tool}, {count} object{'s' if count != 1 else ''}")
    return result


def _templates(loaded: manifests.Loaded) -> None:
    """Takes out what reads as YAML and is a template still: its name says so. Judged as it stands it would mislead."""
    kept = []
    for document in loaded.documents:
        metadata = metadata_of(document.object)
        key = next((key for key in ("name", "namespace") if "{{" in text_of(metadata, key)), None)
        if key is None:
            kept.append(document)
            continue
        span = document.locate(("metadata", key))
        message = (
            f"metadata.{key} holds {{{{ … }}}}: this is a template and no manifest yet. Give the folder of its chart, "
            "or what it renders (helm template CHART | stateward lint -)."
        )
        loaded.problems.append(Problem(document.source, span.line, span.column, message))
    loaded.documents[:] = kept


CLUSTER_SCOPED: Final = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeSnapshotClass",
        "VolumeSnapshotContent",
    }
)
"""Kinds that live in no namespace, as far as they can be known without a cluster."""


def settle(item: Object, namespace: str) -> None:
    """Puts an object that names no namespace into one, as `kubectl --namespace` does."""
    metadata = item.setdefault("metadata", {})
    if type(metadata) is dict and not metadata.get("namespace") and item.get("kind") not in CLUSTER_SCOPED:
        metadata["namespace"] = namespace
