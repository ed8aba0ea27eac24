"""Edits: objects of manifests as created, changed or deleted, and the verdict on each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from stateward.cli import manifests
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.policy import Policy
from stateward.policies.request import Request, User
from stateward.policies.structs import dataclass
from stateward.policies.view import Kind, Object, View, kind_of_object, metadata_of, text_of

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Edit:
    """One object's way from old to new manifests."""

    old: manifests.Document | None
    new: manifests.Document | None

    @property
    def document(self) -> manifests.Document:
        """Where findings point: the new manifest, or the old one of what is gone."""
        found = self.new or self.old
        if found is None:
            raise ValueError("an edit of nothing")
        return found


def created(loaded: manifests.Loaded) -> Iterator[Edit]:
    """Every object as created."""
    for document in loaded.documents:
        yield Edit(None, document)


def pair(old: Iterable[manifests.Document], new: Iterable[manifests.Document], *, deletions: bool) -> Iterator[Edit]:
    """Old and new manifests by kind, namespace and name. A changed apiVersion of the same group is no other object.

    Where several are called the same (a folder an environment, no namespace written), those of the same file belong
    together, then those whose paths end alike.
    """
    before: dict[Key, list[manifests.Document]] = {}
    for one in old:
        before.setdefault(key(one), []).append(one)
    after: dict[Key, list[manifests.Document]] = {}
    documents = list(new)
    for one in documents:
        after.setdefault(key(one), []).append(one)
    was: dict[int, manifests.Document] = {}
    for which, those in after.items():
        for document, one in _nearest(before.get(which, []), those):
            was[id(document)] = one
    for document in documents:
        yield Edit(was.get(id(document)), document)
    if deletions:
        paired = {id(one) for one in was.values()}
        for those in before.values():
            yield from (Edit(one, None) for one in those if id(one) not in paired)


def _nearest(
    old: list[manifests.Document], new: list[manifests.Document]
) -> Iterator[tuple[manifests.Document, manifests.Document]]:
    """(new, old) of documents that are called the same; what stands twice in one set of one path is the later one's."""
    if (len(old) == 1 and len(new) == 1) or len(old) * len(new) > _MOST:
        yield from zip(new, old, strict=False)
        return
    ranked = sorted(
        ((-_alike(one.source, another.source), i, j) for i, another in enumerate(new) for j, one in enumerate(old)),
    )
    taken_new: set[int] = set()
    taken_old: set[int] = set()
    for _, i, j in ranked:
        if i not in taken_new and j not in taken_old:
            taken_new.add(i)
            taken_old.add(j)
            yield new[i], old[j]


def _alike(one: str, another: str) -> int:
    """How many steps, from their ends, two paths have in common."""
    count = 0
    for left, right in zip(reversed(_STEP.split(one)), reversed(_STEP.split(another)), strict=False):
        if left != right:
            break
        count += 1
    return count


_MOST: Final = 10_000
"""Pairs that are compared at most; beyond, documents belong together in their order."""
_STEP: Final = re.compile(r"[/:\\]")


def leaving(item: Object) -> Object:
    """An object that the same edit set deletes, as a cluster shows it from then on: with its deletion begun."""
    return {**item, "metadata": {**metadata_of(item), "deletionTimestamp": _BEGUN}}


_BEGUN: Final = "1970-01-01T00:00:00Z"
"""When: nobody asks."""


def key(document: manifests.Document) -> Key:
    """What makes an object the same in two sets of manifests."""
    metadata = metadata_of(document.object)
    return moved(kind_of_object(document.object)), text_of(metadata, "namespace"), text_of(metadata, "name")


_MOVED: Final = {
    "Deployment.extensions": "Deployment.apps",
    "DaemonSet.extensions": "DaemonSet.apps",
    "ReplicaSet.extensions": "ReplicaSet.apps",
}
"""Kinds that moved to another group, in which the API server serves the same objects (Kubernetes 1.9)."""


def moved(kind: Kind) -> Kind:
    """A kind in the group that it moved to."""
    return _MOVED.get(kind, kind)


def judge(edit: Edit, view: View, policy: Policy, now: float) -> Verdict:
    """The verdict on one edit, as if it were made by the author of the manifests."""
    kind, namespace, name = key(edit.document)
    request = Request(
        kind=kind,
        operation="CREATE" if edit.old is None else "DELETE" if edit.new is None else "UPDATE",
        name=name,
        namespace=name if kind == "Namespace" else namespace,
        object=edit.new.object if edit.new is not None else None,
        old=edit.old.object if edit.old is not None else None,
        user=User("lint"),
    )
    return evaluate(request, view, policy, now=now, unknown="deny" if policy.profile == "strict" else "silent")
