"""The replay of a history: every commit's edits judged, and the totals."""

from __future__ import annotations

import os
import posixpath
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from stateward.cli.edits import Edit, judge
from stateward.cli.git import GitError, Repository
from stateward.cli.replay import reverts
from stateward.cli.replay.contents import LARGE, TEMPLATE, Contents, Why, is_encrypted, is_judged
from stateward.cli.replay.history import Changed, Commit, Range, boundary, commits, difference
from stateward.cli.replay.reverts import Watch, Watched
from stateward.cli.replay.tree import Step, Tree, key
from stateward.cli.reports.collect import Collector
from stateward.cli.reports.report import Finding
from stateward.policies.engine import Verdict
from stateward.policies.paths import differs
from stateward.policies.policy import Policy
from stateward.policies.structs import dataclass, field

LISTED: Final = 1000
"""How many unreadable files are remembered by name."""


@dataclass(slots=True)
class Told:
    """One finding as it is reported, and what became of the edit later (None: nothing was watched)."""

    finding: Finding
    watched: Watched | None = None


@dataclass(slots=True)
class Entry:
    """A commit and what is to be said of it."""

    commit: Commit
    told: list[Told] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What one rule said."""

    name: str
    refusals: int = 0
    warnings: int = 0
    waived: int = 0
    commits: int = 0


@dataclass(slots=True)
class Totals:
    """What a replay came to."""

    commits: int = 0
    touching: int = 0
    """Commits that change an object which is judged."""
    objects: int = 0
    """Edits of objects that were judged."""
    refused: int = 0
    warned: int = 0
    waived: int = 0
    refused_commits: int = 0
    warned_commits: int = 0
    """Commits that are warned of and not refused."""
    reverted: int = 0
    rules: dict[str, Tally] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, tuple[str, Why]] = field(default_factory=dict)
    """Path → (the last commit at which it could not be read, why)."""
    templates: set[str] = field(default_factory=set)
    large: set[str] = field(default_factory=set)
    patches: int = 0
    copies: int = 0
    encrypted: int = 0
    kept: int = 0
    """Manifests that went while their objects stay."""
    first: Commit | None = None
    last: Commit | None = None
    seconds: float = 0.0
    boundary: bool = False
    """The clone is shallow, and the replay began where it ends."""


class Replay:
    """Walks a history. `totals` are those so far, at any time."""

    def __init__(
        self,
        repository: Repository,
        asked: Range,
        paths: Sequence[str],
        policy: Policy,
        *,
        actions: frozenset[str],
        wanted: frozenset[str] | None = None,
    ) -> None:
        """`paths`: from the top of the repository. `actions`: the findings that are reported and not only counted.

        `wanted`: the rules that are heard, None for all.
        """
        self._repository = repository
        self._asked = asked
        self._paths = paths
        self._policy = policy
        self._actions = actions
        self._wanted = wanted
        self.totals = Totals()
        self._watch = Watch()
        self._waiting: deque[Entry] = deque()
        self._started = time.monotonic()

    def entries(self, progress: Callable[[], None]) -> Iterator[Entry]:
        """The commits with findings that are shown, oldest first, each as soon as nothing about it changes any more.

        Raises GitError, at any point, where the repository cannot be read further.
        """
        ends = boundary(self._repository)
        at: str | None = None
        with self._repository.blobs() as blobs:
            tree = Tree(Contents(blobs))
            for commit in commits(self._repository, self._asked, self._paths):
                before = commit.parent
                if commit.id in ends:  # what a shallow clone begins with is not the work of its first commit
                    before, self.totals.boundary = commit.id, True
                if before != at:
                    self._unreadable(self._go(tree, at, before), commit)
                if commit.id not in ends:
                    self._commit(commit, tree)
                at = commit.id
                self.totals.seconds = time.monotonic() - self._started
                progress()
                yield from self.settled(commit.time)

    def settled(self, now: float) -> Iterator[Entry]:
        """Those commits that are over at a time; math.inf gives all that are left."""
        self._watch.forget(now)
        while self._waiting and reverts.over(self._waiting[0].commit, now):
            entry = self._waiting.popleft()
            self.totals.reverted += sum(1 for told in entry.told if told.watched and told.watched.reverted)
            yield entry

    def _go(self, tree: Tree, at: str | None, to: str | None) -> Step:
        """Take up another commit without judging what lies between."""
        if to is not None:
            return tree.move(difference(self._repository, at, to, self._paths))
        gone = difference(self._repository, None, at, self._paths) if at is not None else ()
        return tree.move([_gone(each.path) for each in gone])

    def _commit(self, commit: Commit, tree: Tree) -> None:
        totals = self.totals
        totals.commits += 1
        totals.first = totals.first or commit
        totals.last = commit
        if not commit.changed:
            return
        step = tree.move(commit.changed)
        totals.patches += step.patches
        totals.copies += step.copies
        self._unreadable(step, commit)
        entry = Entry(commit)
        judged = 0
        for edit in step.edits:
            if not is_judged(key(edit.document)[0]):
                continue
            self._watch.see(commit, edit)
            if not self._is_judged(edit, tree):
                continue
            judged += 1
            verdict = judge(edit, tree.seen_from(edit.document), self._policy, commit.time)
            if verdict.judged or verdict.faults:
                self._take(entry, edit, verdict, tree)
        totals.objects += judged
        totals.touching += bool(judged)
        self._count(entry)
        entry.told = [told for told in entry.told if told.finding.shown in self._actions]
        if entry.told:
            self._waiting.append(entry)

    def _is_judged(self, edit: Edit, tree: Tree) -> bool:
        if edit.old is not None and edit.new is not None and not differs(edit.old.object, edit.new.object):
            return False
        if any(one is not None and is_encrypted(one.object) for one in (edit.old, edit.new)):
            self.totals.encrypted += 1
            return False
        if edit.old is not None and edit.new is None and tree.stays(edit.old):
            self.totals.kept += 1
            return False
        return True

    def _take(self, entry: Entry, edit: Edit, verdict: Verdict, tree: Tree) -> None:
        home = {}
        for judged in verdict.judged:
            on = judged.finding.on
            if on is None or on is edit.document.object:
                continue
            document = tree.home(on, edit.document.source)
            if document is not None:
                home[id(on)] = document
        item = Collector(home, entry.commit.time, self._wanted).item(edit, verdict)
        self.totals.faults.update(item.faults.keys())
        heard = [one for one in verdict.judged if self._wanted is None or one.rule in self._wanted]
        for judged, finding in zip(heard, item.findings, strict=True):
            watched = self._watch.add(entry.commit, edit, judged) if finding.shown == "deny" else None
            entry.told.append(Told(finding, watched))

    def _count(self, entry: Entry) -> None:
        totals = self.totals
        shown = [told.finding.shown for told in entry.told]
        totals.refused_commits += "deny" in shown
        totals.warned_commits += "warn" in shown and "deny" not in shown
        for told in entry.told:
            finding = told.finding
            tally = totals.rules.setdefault(finding.rule, Tally(finding.name))
            totals.refused += finding.shown == "deny"
            tally.refusals += finding.shown == "deny"
            totals.warned += finding.shown == "warn"
            tally.warnings += finding.shown == "warn"
            totals.waived += finding.shown == "waived"
            tally.waived += finding.shown == "waived"
        for rule in {told.finding.rule for told in entry.told}:
            totals.rules[rule].commits += 1

    def _unreadable(self, step: Step, commit: Commit) -> None:
        totals = self.totals
        for path, why in step.unreadable.items():
            if why == TEMPLATE:
                totals.templates.add(path)
            elif why == LARGE:
                totals.large.add(path)
            elif path in totals.unreadable or len(totals.unreadable) < LISTED:
                totals.unreadable[path] = commit.short, why


def _gone(path: str) -> Changed:
    return Changed(path, None)


def inside(repository: Repository, folder: str, paths: Sequence[str]) -> list[str]:
    """Paths from a folder of the repository, as paths from its top; the folder itself without any. Raises GitError."""
    top = repository.root
    base = os.path.relpath(os.path.realpath(folder), top).replace(os.sep, "/")
    if base.startswith(".."):  # a bare repository has no folders
        base = "."
    found = [posixpath.normpath(posixpath.join(base, path.replace(os.sep, "/"))) for path in paths] or [base]
    for path, given in zip(found, paths or (folder,), strict=True):
        if path.startswith(("../", "/")) or path == "..":
            raise GitError(f"{given}: the path is outside the repository {top}; give paths inside it, from REPO")
    return found
