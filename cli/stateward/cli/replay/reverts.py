"""Which refused edits were taken back soon: the edit hurt."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeVar

from stateward.cli.edits import Edit, Key
from stateward.cli.replay.history import Commit
from stateward.cli.replay.tree import key
from stateward.policies.finding import Judged
from stateward.policies.paths import Path, differs, dig
from stateward.policies.structs import dataclass

DAYS: Final = 14
"""How long an edit is watched. Later, going back has other reasons."""
_WINDOW: Final = DAYS * 86_400.0

_Slot = tuple[str, Key]
_Name = TypeVar("_Name", _Slot, Key)


@dataclass(frozen=True, slots=True)
class Reverted:
    """The commit that took an edit back."""

    commit: Commit
    seconds: float


@dataclass(slots=True, eq=False)
class Watched:
    """A field that a refused edit changed, or an object that it deleted, and whether that was taken back."""

    commit: Commit
    slot: _Slot
    field: Path
    was: Any
    """The value before the edit; None, too, where there was none or a deletion is watched."""
    deletion: bool = False
    reverted: Reverted | None = None


class Watch:
    """Follows the fields of refused edits through the commits after them."""

    def __init__(self) -> None:
        self._fields: dict[_Slot, list[Watched]] = {}
        self._deleted: dict[Key, list[Watched]] = {}
        self._order: deque[Watched] = deque()

    def add(self, commit: Commit, edit: Edit, judged: Judged) -> Watched:
        """Watch what a finding is about: the field that the edit changed, or the object that it deleted."""
        slot = edit.document.source, key(edit.document)
        watched = Watched(commit, slot, judged.finding.field, None)
        if edit.old is not None and edit.new is None:
            watched.deletion = True
            self._deleted.setdefault(key(edit.old), []).append(watched)
        elif edit.old is not None and edit.new is not None and judged.finding.on in (None, edit.new.object):
            watched.was = dig(edit.old.object, watched.field)
            if not watched.field or not differs(watched.was, dig(edit.new.object, watched.field)):
                return watched
            self._fields.setdefault(slot, []).append(watched)
        else:
            return watched
        self._order.append(watched)
        return watched

    def see(self, commit: Commit, edit: Edit) -> None:
        """A later edit, which may take something back."""
        if edit.new is None:
            return
        if edit.old is None:
            for watched in self._deleted.pop(key(edit.new), ()):
                self._take_back(watched, commit)
            return
        watching = self._fields.pop((edit.old.source, key(edit.old)), None)
        if watching is None:
            return
        slot = edit.new.source, key(edit.new)
        for watched in watching:
            if differs(dig(edit.new.object, watched.field), watched.was):
                watched.slot = slot
                self._fields.setdefault(slot, []).append(watched)
            else:
                self._take_back(watched, commit)

    def _take_back(self, watched: Watched, commit: Commit) -> None:
        seconds = max(0.0, commit.time - watched.commit.time)
        if seconds <= _WINDOW:
            watched.reverted = Reverted(commit, seconds)

    def forget(self, now: float) -> None:
        """Let go of what is watched for too long."""
        while self._order and self._order[0].commit.time < now - _WINDOW:
            old = self._order.popleft()
            _remove(self._fields, old.slot, old)
            _remove(self._deleted, old.slot[1], old)


def _remove(watching: dict[_Name, list[Watched]], name: _Name, old: Watched) -> None:
    left = [one for one in watching.pop(name, ()) if one is not old]
    if left:
        watching[name] = left


def over(commit: Commit, now: float) -> bool:
    """Whether nothing about a commit can change any more."""
    return commit.time < now - _WINDOW
