"""The manifests of a commit, from git's object store: what was there before, for `--base`.

Nothing is checked out. Only what has to be rendered is written to a temporary folder: tools read files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from stateward.cli import manifests, rendered
from stateward.cli.asked import Rendering
from stateward.cli.files import KUSTOMIZATIONS, MARKERS, MAX_BYTES, SUFFIXES, Choice, Given, decoded
from stateward.cli.git import LINK, SUBMODULE, Blobs, Entry, GitError, Repository
from stateward.policies.structs import dataclass, field

_POINTER: Final = b"version https://git-lfs.github.com/spec/"

_UNSAFE: Final = frozenset(("", ".", "..", ".git"))
"""Steps of a path that no honest tree has."""


@dataclass(slots=True)
class Base:
    """What a commit held: its objects, what of it could not be read (as notes: the past cannot be mended), what is gone."""

    loaded: manifests.Loaded = field(default_factory=lambda: manifests.Loaded([], [], []))
    notes: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Paths given that were there then and are not now: everything in them is deleted."""


def load(ref: str, paths: Sequence[str], how: Rendering) -> Base:
    """The manifests of the commit that `ref` names, at and below paths of the work tree. Raises GitError.

    Sources are `REF:path`, as `git show` takes them, with the path from the top of the repository.
    """
    base = Base()
    by_root: dict[str, list[tuple[str, str]]] = {}
    for path in paths:
        repository, inside = _place(path)
        by_root.setdefault(repository.root, []).append((path, inside))
    for root, places in by_root.items():
        repository = Repository(root)
        commit = repository.commit(ref)
        with repository.blobs() as blobs:
            _Commit(repository, commit, commit[:12] if "..." in ref else ref, blobs, base).load(places, how)
    return base


def _place(path: str) -> tuple[Repository, str]:
    """The repository around a path, and the path in it with slashes ("" for its top). The path need not exist."""
    real = os.path.realpath(path)
    folder = real
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    repository = Repository.find(folder)
    inside = os.path.relpath(real, repository.root)
    return repository, "" if inside == os.curdir else inside.replace(os.sep, "/")


class _Commit:
    """Reads one commit of one repository."""

    def __init__(self, repository: Repository, commit: str, ref: str, blobs: Blobs, base: Base) -> None:
        self.repository = repository
        self.commit = commit
        self.ref = ref
        self.blobs = blobs
        self.base = base

    def load(self, places: Iterable[tuple[str, str]], how: Rendering) -> None:
        chosen: dict[str, Entry] = {}
        for path, inside in places:
            found = self._chosen(inside)
            chosen |= found
            if found and not os.path.lexists(path):
                self.base.gone.add(path)
        markers = {_folder(path) for path in chosen if path.rpartition("/")[2] in MARKERS}
        if markers:
            below = [path for path in chosen if _below(path, markers)]
            self._rendered(markers, how)
            for path in below:
                del chosen[path]
        for entry in chosen.values():
            self._plain(entry)

    def _chosen(self, inside: str) -> dict[str, Entry]:
        """The files at or below a path that hold manifests, as a folder of the work tree is read: no hidden folders."""
        found = {}
        start = len(inside) + 1 if inside else 0
        for entry in self._tree([inside] if inside else []):
            *folders, name = entry.path[start:].split("/")
            if any(folder.startswith(".") for folder in folders):
                continue
            if entry.mode == SUBMODULE:
                self._note(entry.path, "a submodule is not looked into; what it held then is not compared")
            elif entry.path == inside or name.lower().endswith(SUFFIXES) or name in MARKERS:
                found[entry.path] = entry
        return found

    def _tree(self, paths: Sequence[str]) -> list[Entry]:
        return list(self.repository.tree(self.commit, paths))

    def _source(self, path: str) -> str:
        return f"{self.ref}:{_printable(path)}"

    def _note(self, path: str, text: str) -> None:
        self.base.notes.append(f"{self._source(path)}: {text}")

    def _plain(self, entry: Entry) -> None:
        if entry.mode == LINK:
            self._note(entry.path, "a symbolic link is not followed; what it led to then is not compared")
            return
        data = self.blobs.read(entry.oid, MAX_BYTES + 1)
        if data.startswith(_POINTER):
            self._note(entry.path, "a Git LFS pointer; what it stands for is not in git and is not compared")
            return
        source = self._source(entry.path)
        manifests.take(Given(source, named=False), decoded(source, data), self.base.loaded)

    # --- what is rendered ----------------------------------------------------------------------------------------

    def _rendered(self, folders: Iterable[str], how: Rendering) -> None:
        with tempfile.TemporaryDirectory(prefix="stateward-base-") as name:
            top = os.path.realpath(name)

            def shown(path: str) -> str:
                inside = os.path.relpath(path, top).replace(os.sep, "/")
                return self._source("" if inside == os.curdir else inside)

            self._export(folders, top)
            choice = Choice([], [], [])
            for entry in self._tree(sorted(filter(None, folders)) if "" not in folders else []):
                if (path := os.path.join(top, entry.path)) and os.path.isfile(path) and _is_manifest(path):
                    choice.files.append(Given(path, named=False))
            found = rendered.find(choice, shown)
            for file in found.plain:
                source = shown(file.source)
                manifests.take(Given(source, named=False), decoded(source, Path(file.source).read_bytes()), self.base.loaded)
            values = tuple(value for path in how.values if (value := self._values(path, top)))
            for folder in found.folders:
                rendered.render(folder, replace(how, values=values), self.base.loaded, shown)

    def _export(self, folders: Iterable[str], top: str) -> None:
        """Writes folders, and whatever their kustomizations refer to, below `top`."""
        waiting = list(folders)
        done: set[str] = set()
        while waiting:
            inside = waiting.pop()
            if inside in done:
                continue
            done.add(inside)
            for entry in self._tree([inside] if inside else []):
                self._write(entry, top)
                if entry.path.rpartition("/")[2] in KUSTOMIZATIONS:
                    waiting.extend(self._referred(_folder(entry.path), top))

    def _referred(self, folder: str, top: str) -> Iterable[str]:
        for name in rendered.references(rendered.kustomization(os.path.join(top, folder)) or {}):
            path = os.path.normpath(os.path.join(top, folder, name))
            if path.startswith(top + os.sep) and not os.path.lexists(path):
                yield os.path.relpath(path, top).replace(os.sep, "/")

    def _write(self, entry: Entry, top: str) -> None:
        path = os.path.join(top, entry.path)
        if entry.mode == SUBMODULE or os.path.lexists(path) or not _UNSAFE.isdisjoint(entry.path.split("/")):
            return
        try:
            # A forged tree may hold a link and, below the same name, files: nothing may leave the folder through one.
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.realpath(os.path.dirname(path)) == os.path.dirname(path):
                self._write_at(path, entry, top)
        except OSError as error:
            self._note(entry.path, f"cannot be written to be rendered: {error.strerror}")

    def _write_at(self, path: str, entry: Entry, top: str) -> None:
        data = self.blobs.read(entry.oid)
        if entry.mode != LINK:
            Path(path).write_bytes(data)
            return
        target = os.path.join(os.path.dirname(path), os.fsdecode(data))
        if os.path.realpath(target).startswith(top + os.sep):
            os.symlink(os.fsdecode(data), path)

    def _values(self, path: str, top: str) -> str:
        """A values file as it was then; "" where it was not there; of one outside of the repository the one of now."""
        repository, inside = _place_or_none(path)
        if repository is None or repository.root != self.repository.root:
            return path
        entries = self._tree([inside])
        if len(entries) != 1 or entries[0].path != inside:
            return ""
        self._write(entries[0], top)
        return os.path.join(top, inside)


def _place_or_none(path: str) -> tuple[Repository | None, str]:
    try:
        return _place(path)
    except GitError:
        return None, ""


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _below(path: str, folders: set[str]) -> bool:
    """Whether a file lies in or below one of folders ("" is the top)."""
    if "" in folders:
        return True
    while path := _folder(path):
        if path in folders:
            return True
    return False


def _is_manifest(path: str) -> bool:
    name = os.path.basename(path)
    return name.lower().endswith(SUFFIXES) or name in MARKERS


def _printable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
