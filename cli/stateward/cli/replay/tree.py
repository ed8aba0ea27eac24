"""The manifests of one commit: which objects there are, how the next commit changes them, what each of them sees.

The rule of identity is told in docs/replay.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from stateward.cli.edits import Edit, Key, leaving
from stateward.cli.edits import key as key_as_written
from stateward.cli.manifests import Document
from stateward.cli.replay import kustomize, pruning
from stateward.cli.replay.contents import Content, Contents, Why, is_encrypted, is_judged, is_partial, is_seen, is_stencil
from stateward.cli.replay.folders import Clusters, nearness, nested
from stateward.cli.replay.history import Changed
from stateward.policies.structs import dataclass, field
from stateward.policies.view import UNKNOWN, Kind, Object, Unknown, kind_of_object, metadata_of, text_of

_NO_NAMESPACE: Final = frozenset(
    {
        "CustomResourceDefinition.apiextensions.k8s.io",
        "MutatingWebhookConfiguration.admissionregistration.k8s.io",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass.scheduling.k8s.io",
        "StorageClass.storage.k8s.io",
        "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
    }
)
"""Of the kinds that rules know, those that are in no namespace. An object of another kind gets its own elsewhere."""


def key(document: Document) -> Key:
    """What makes an object the same, but for its file. A namespace that its kind does not have is written by mistake."""
    kind, namespace, name = key_as_written(document)
    return kind, "" if kind in _NO_NAMESPACE else namespace, name


_Sign = Callable[[Document], object]
_Accept = Callable[[Document, Document], bool]


@dataclass(slots=True)
class Step:
    """What a commit does to objects."""

    edits: list[Edit] = field(default_factory=list)
    copies: int = 0
    """Objects whose manifest is gone while another file holds the same object: no deletion that is certain."""
    patches: int = 0
    """Changes of patches: what they make of their objects is not known without building."""
    unreadable: dict[str, Why] = field(default_factory=dict)
    """Changed files that cannot be read, wholly or in part."""


class Tree:
    """The objects of a commit, changed from commit to commit."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._files: dict[str, tuple[Document, ...]] = {}
        self._kustomizations: dict[str, frozenset[str]] = {}
        self._patches: frozenset[str] = frozenset()
        self._shown: dict[Kind, dict[tuple[str, str], dict[str, Document]]] = {}
        self._clusters = Clusters()
        self._leaving: list[Document] = []

    def __len__(self) -> int:
        return sum(map(len, self._files.values()))

    def move(self, changed: Iterable[Changed]) -> Step:
        """Take the next commit's files. What it deletes is still seen, as it is while it goes, until the next move."""
        for document in self._leaving:
            self._hide(document)
        self._leaving = []
        step = Step()
        before: dict[str, tuple[Document, ...]] = {}
        after: dict[str, tuple[Document, ...]] = {}
        patches_before = self._patches
        for each in changed:
            content = self._contents.read(each.path, each.oid) if each.oid is not None else Content()
            if kustomize.is_kustomization(each.path):
                self._kustomizations[each.path] = kustomize.places(each.path, content.patches)
            known = self._files.get(each.path, ())
            documents = content.documents
            if content.why:
                step.unreadable[each.path] = content.why
                read = set(map(key, documents))
                documents += tuple(document for document in known if key(document) not in read)
            if known or documents:
                before[each.path], after[each.path] = known, documents
        self._name_patches()
        gone, fresh, held = self._pools(before, after, patches_before, step)
        self._replace(before, after, patches_before)
        self._pair(gone, fresh, held, step)
        return step

    def _name_patches(self) -> None:
        self._kustomizations = {path: names for path, names in self._kustomizations.items() if names}
        self._patches = frozenset[str]().union(*self._kustomizations.values())

    def _pools(
        self,
        before: dict[str, tuple[Document, ...]],
        after: dict[str, tuple[Document, ...]],
        patches_before: frozenset[str],
        step: Step,
    ) -> tuple[list[Document], list[Document], set[Key]]:
        """Whole objects that were in the changed files, those that are, and the keys that only patches have now."""
        gone: list[Document] = []
        fresh: list[Document] = []
        held: set[Key] = set()
        for path, documents in before.items():
            gone += [one for one in documents if path not in patches_before and not is_partial(one.object)]
        for path, documents in after.items():
            for one in documents:
                if path in self._patches or is_partial(one.object):
                    held.add(key(one))
                    step.patches += one not in before[path]
                else:
                    fresh.append(one)
        return gone, fresh, held

    def _replace(
        self,
        before: dict[str, tuple[Document, ...]],
        after: dict[str, tuple[Document, ...]],
        patches_before: frozenset[str],
    ) -> None:
        """Show what is there now."""
        for path in (patches_before ^ self._patches) - before.keys():
            for document in self._files.get(path, ()):
                (self._hide if path in self._patches else self._show)(document)
        for path, documents in after.items():
            for document in before[path]:
                self._hide(document)
            if documents:
                self._files[path] = documents
            else:
                self._files.pop(path, None)
            for document in documents:
                if path not in self._patches:
                    self._show(document)

    def _show(self, document: Document) -> None:
        if is_partial(document.object) or is_encrypted(document.object):
            return
        kind, namespace, name = key(document)
        homes = self._shown.setdefault(kind, {}).setdefault((namespace, name), {})
        if document.source not in homes:
            self._count(kind, namespace, document.source, homes, 1)
        homes[document.source] = document

    def _hide(self, document: Document) -> None:
        kind, namespace, name = key(document)
        named = self._shown.get(kind, {})
        homes = named.get((namespace, name), {})
        if homes.pop(document.source, None) is not None:
            self._count(kind, namespace, document.source, homes, -1)
            if not homes:
                del named[namespace, name]

    def _count(self, kind: Kind, namespace: str, path: str, homes: Iterable[str], by: int) -> None:
        """Two files with the same object are of two clusters. Namespaces are repeated within one, too."""
        if kind != "Namespace" and (namespace or kind in _NO_NAMESPACE):
            for other in homes:
                self._clusters.count(path, other, by)

    def _pair(self, gone: list[Document], fresh: list[Document], held: set[Key], step: Step) -> None:
        """Edits from what was and what is: the same file first, then the nearest one."""
        pairing = _Pairing(gone, fresh)
        pairing.match(lambda one: (one.source, *key(one)))
        pairing.match(lambda one: (one.source, *_nameless(one)), _one_has_no_namespace)
        pairing.match(key)
        pairing.match(_nameless, _one_has_no_namespace)
        step.edits += pairing.edits
        step.edits += [Edit(None, new) for new in pairing.fresh]
        for old in pairing.gone:
            if key(old) in held:
                step.patches += 1
            elif any(self._same(old)) or self._stamped(old):
                step.copies += is_judged(key(old)[0])
            else:
                step.edits.append(Edit(old, None))
        gone = [edit.old for edit in step.edits if edit.old is not None and edit.new is None]
        self._leaving = [old if self.stays(old) else old.with_object(leaving(old.object)) for old in gone]
        for old in self._leaving:
            self._show(old)

    def _same(self, document: Document) -> Iterator[Document]:
        """What else may be the same object: of the same name, in the same namespace or in one that no file tells."""
        kind, namespace, name = key(document)
        for (where, called), homes in self._shown.get(kind, {}).items():
            if called == name and (where == namespace or not where or not namespace):
                yield from homes.values()

    def _stamped(self, document: Document) -> bool:
        """Whether a stencil (a name with a variable) may make the same object."""
        kind, _, name = key(document)
        stencils = (one for documents in self._files.values() for one in documents if is_stencil(one.object))
        return any(key(one)[0] == kind and _fits(key(one)[2], name) for one in stencils)

    def stays(self, document: Document) -> bool:
        """Whether an object stays though its manifest goes."""
        deployers = (self._shown.get(kind, {}).values() for kind in pruning.KINDS)
        return pruning.stays(document, (one.object for named in deployers for homes in named for one in homes.values()))

    def home(self, item: Object, path: str) -> Document | None:
        """The document of an object that was seen from a path; files with the same blob share their objects."""
        name = text_of(metadata_of(item), "name")
        named = self._shown.get(kind_of_object(item), {}).items()
        homes = {path: document for (_, called), found in named if called == name for path, document in found.items()}
        same = [document for document in homes.values() if document.object is item]
        return max(same, key=lambda document: nearness(path, document.source), default=None)

    def seen_from(self, document: Document) -> Surroundings:
        """What an object's rules may look at."""
        return Surroundings(self._shown, self._clusters, document.source)


def _nameless(document: Document) -> tuple[Kind, str]:
    kind, _, name = key(document)
    return kind, name


def _one_has_no_namespace(old: Document, new: Document) -> bool:
    """Whether a namespace is only written down, or left to a kustomization."""
    return bool(key(old)[1]) != bool(key(new)[1]) and key(old)[0] not in _NO_NAMESPACE


def _fits(stencil: str, name: str) -> bool:
    """Whether a name can be made of one with variables: `${APP}-postgres` of `orders-postgres`."""
    return re.fullmatch(".+".join(map(re.escape, _VARIABLE.split(stencil))), name) is not None


_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")


class _Pairing:
    """Finds which old object became which new one, in rounds."""

    def __init__(self, gone: Sequence[Document], fresh: Sequence[Document]) -> None:
        self.gone = list(gone)
        self.fresh = list(fresh)
        self.edits: list[Edit] = []

    def match(self, sign: _Sign, accept: _Accept = lambda old, new: True) -> None:
        """Pair those with the same sign; of several, the nearest with the same content first."""
        waiting: dict[object, list[Document]] = {}
        for old in self.gone:
            waiting.setdefault(sign(old), []).append(old)
        fresh, self.fresh = self.fresh, []
        for new in fresh:
            olds = [old for old in waiting.get(sign(new), ()) if accept(old, new)]
            if not olds:
                self.fresh.append(new)
                continue
            old = max(olds, key=lambda one: (nearness(one.source, new.source), one.index == new.index))
            waiting[sign(new)].remove(old)
            self.edits.append(Edit(old, new))
        self.gone = [old for olds in waiting.values() for old in olds]


class Surroundings:
    """A View from one file: of an object that several files hold the nearest, and nothing of another cluster.

    Files never show all of a cluster, so no kind is complete. An object without a namespace gets it from elsewhere
    (a kustomization, an application): it is seen from its own folder, those inside it and those around it alone.
    """

    def __init__(self, shown: dict[Kind, dict[tuple[str, str], dict[str, Document]]], clusters: Clusters, path: str) -> None:
        self._shown = shown
        self._clusters = clusters
        self._path = path

    def complete(self, _: Kind) -> bool:
        """Files are some of what exists, never all."""
        return False

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """See `View.get`."""
        homes = self._shown.get(kind, {}).get((namespace, name)) if is_seen(kind) else None
        found = self._nearest(kind, namespace, homes) if homes else None
        return found if found is not None else UNKNOWN

    def select(self, kind: Kind, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """See `View.select`."""
        objects = self._shown.get(kind) if is_seen(kind) else None
        if not objects:
            return UNKNOWN
        found = [
            self._nearest(kind, where, homes)
            for (where, _), homes in objects.items()
            if namespace is None or where == namespace
        ]
        return [item for item in found if item is not None]

    def _nearest(self, kind: Kind, namespace: str, homes: dict[str, Document]) -> Object | None:
        near: list[str] = []
        for path in homes:
            if self._clusters.apart(self._path, path):
                continue
            if namespace or kind in _NO_NAMESPACE or nested(self._path, path):
                near.append(path)
        if not near:
            return None
        return homes[max(near, key=lambda path: (nearness(self._path, path), path))].object
