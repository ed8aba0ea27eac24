"""The commits of a history, oldest first, each with the files that it changes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from stateward.cli import masking
from stateward.cli.files import SUFFIXES
from stateward.cli.git import GitError, Repository
from stateward.policies.structs import dataclass, field

_FORMAT: Final = "%x01%H%x1f%P%x1f%ct%x1f%aI%x1f%s"
_NOW: Final = 5.0
"""Seconds that asking git may take."""
_FILES: Final = ("100644", "100755")
"""The modes of files. Symbolic links are left out, as they are inside folders, and so are submodules."""
_ASIDE: Final = re.compile(r"(?:^|/)(?:\.|_*(?:archived?|attic|disabled|graveyard)/)")
"""Hidden folders, as in lint, and folders into which people put what they no longer deploy: going there is deletion."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A manifest that a commit changes: its path from the top of the repository, its blob (None: it is gone)."""

    path: str
    oid: str | None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit and what differs from its first parent. `time` is the committer's, in seconds since the epoch."""

    id: str
    parent: str | None
    merge: bool
    time: float
    authored: datetime
    subject: str
    changed: list[Changed] = field(default_factory=list)

    @property
    def short(self) -> str:
        """The id as people write it."""
        return self.id[:10]


_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Range:
    """Which commits: those that `ref` reaches, by first parents or all, between two dates that git understands."""

    ref: str
    since: str | None = None
    until: str | None = None
    all_commits: bool = False

    def arguments(self) -> list[str]:
        """As arguments of `git log` and `git rev-list`."""
        found = [] if self.all_commits else ["--first-parent"]
        found += [f"--since={_moment(self.since)}"] if self.since else []
        found += [f"--until={_moment(self.until)}"] if self.until else []
        return [*found, "--end-of-options", self.ref, "--"]


def count(repository: Repository, asked: Range) -> int:
    """How many commits those are."""
    return int(repository.run("rev-list", "--count", *asked.arguments()))


def check_date(repository: Repository, option: str, text: str | None) -> None:
    """Raises GitError for what git takes for no date: it takes the present time instead, and says nothing."""
    if text is None or text.strip().lower() in ("now", "today"):
        return
    found = repository.run("rev-parse", f"--since={_moment(text)}").decode("ascii", "replace").strip()
    if abs(float(found.removeprefix("--max-age=") or 0) - time.time()) < _NOW:
        raise GitError(f'{option}: "{text}" is no date that git knows; write one such as 2025-01-31 or "6 months ago"')


def _moment(text: str) -> str:
    """A day alone is its midnight; git would take the present time of day on that day."""
    return f"{text.strip()} 00:00:00" if _DAY.fullmatch(text.strip()) else text


def boundary(repository: Repository) -> frozenset[str]:
    """The commits at which a shallow clone ends: git shows them without parents, though they have some."""
    if not repository.shallow:
        return frozenset()
    path = os.fsdecode(repository.run("rev-parse", "--git-path", "shallow")).strip()
    with open(os.path.join(repository.root, path), encoding="ascii") as lines:
        return frozenset(lines.read().split())


def commits(repository: Repository, asked: Range, paths: Sequence[str]) -> Iterator[Commit]:
    """The commits with their changes at or below paths, read while git still works. Raises GitError."""
    order = ["--reverse", "--topo-order"] if asked.all_commits else ["--reverse"]
    records = repository.records(
        *("log", "-z", "--raw", "--no-renames", "--no-abbrev", "--diff-merges=first-parent", "--no-show-signature"),
        *("--encoding=UTF-8", f"--format={_FORMAT}", *order),
        *asked.arguments(),
    )
    inside = _inside(paths)
    current: Commit | None = None
    for record in records:
        if record.startswith(b"\x01"):
            if current is not None:
                yield current
            current = _commit(record)
            continue
        about = record.lstrip(b"\n").decode("ascii").split(" ")
        path = os.fsdecode(next(records, b""))
        if current is not None and inside(path.removesuffix(_TAKEN_OUT)):
            changed = _changed(path, about)
            if changed is not None:
                current.changed.append(changed)
    if current is not None:
        yield current


def difference(repository: Repository, old: str | None, new: str, paths: Sequence[str]) -> Iterator[Changed]:
    """What differs between two commits; without an old one, every manifest of the new."""
    inside = _inside(paths)
    if old is None:
        for entry in repository.tree(new):
            if entry.mode in _FILES and inside(entry.path):
                yield Changed(entry.path, entry.oid)
        return
    records = repository.records("diff-tree", "-r", "-z", "--no-renames", "--raw", old, new, "--")
    for record in records:
        path = os.fsdecode(next(records, b""))
        if inside(path.removesuffix(_TAKEN_OUT)):
            changed = _changed(path, record.decode("ascii").split(" "))
            if changed is not None:
                yield changed


class _Inside:
    """Whether a path is a manifest at or below one of some paths, and not in a folder that is put aside."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._exact = frozenset(paths)
        self._folders = tuple(f"{path}/" for path in paths)

    def __call__(self, path: str) -> bool:
        if not path.lower().endswith(SUFFIXES) and path.rpartition("/")[2] != "Kustomization":
            return False
        if self._exact and path not in self._exact and not path.startswith(self._folders):
            return False
        return not _ASIDE.search(path)


def _inside(paths: Sequence[str]) -> _Inside:
    return _Inside([path for path in paths if path not in ("", ".")] if "" not in paths and "." not in paths else [])


def _commit(record: bytes) -> Commit:
    text = record[1:].decode("utf-8", "replace")
    name, parents, committed, authored, subject = text.split("\x1f", 4)
    first, _, more = parents.partition(" ")
    try:
        written = datetime.fromisoformat(authored)
    except ValueError:  # a date that no calendar has; git keeps what it is given
        written = datetime.fromtimestamp(float(committed), UTC)
    return Commit(name, first or None, bool(more), float(committed), written, masking.text(subject))


_TAKEN_OUT: Final = ".REMOVED.git-id"
"""What BFG Repo-Cleaner puts behind the name of a file whose content it took out of the history."""
_NOWHERE: Final = "0" * 40
"""The name of a blob that no repository has: such a file is there and cannot be read."""


def _changed(path: str, about: Sequence[str]) -> Changed | None:
    """A record of git's raw format: `:old mode`, `new mode`, old blob, new blob, what happened."""
    old, new, _, oid, *_ = about
    if path.endswith(_TAKEN_OUT):
        return Changed(path.removesuffix(_TAKEN_OUT), _NOWHERE) if new in _FILES else None
    if new in _FILES:
        return Changed(path, oid)
    return Changed(path, None) if old.removeprefix(":") in _FILES else None
