"""Edits: objects of manifests as created, changed or deleted, and the verdict on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stateward.cli import manifests
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.policy import Policy
from stateward.policies.request import Request, User
from stateward.policies.view import View, kind_of_object, metadata_of, text_of

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
    """Old and new manifests by kind, namespace and name. A changed apiVersion of the same group is no other object."""
    before = {key(one): one for one in old}
    for document in new:
        yield Edit(before.pop(key(document), None), document)
    if deletions:
        for document in before.values():
            yield Edit(document, None)


def key(document: manifests.Document) -> Key:
    """What makes an object the same in two sets of manifests."""
    metadata = metadata_of(document.object)
    return kind_of_object(document.object), text_of(metadata, "namespace"), text_of(metadata, "name")


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
