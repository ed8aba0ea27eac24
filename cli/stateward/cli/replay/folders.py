"""Which files belong together, told by their folders: a repository of manifests often holds several clusters."""

from __future__ import annotations

from collections import Counter

_Fork = tuple[str, str, str]


def nearness(one: str, another: str) -> tuple[int, bool, int]:
    """How near two files are, for max(): folders in common, the same file name, few other folders."""
    left, right = one.split("/"), another.split("/")
    return _common(left, right), left[-1] == right[-1], -abs(len(left) - len(right))


def nested(one: str, another: str) -> bool:
    """Whether one file's folder is the other's, or inside it."""
    left, right = one.split("/")[:-1], another.split("/")[:-1]
    return _common(left, right) == min(len(left), len(right))


def _common(left: list[str], right: list[str]) -> int:
    found = 0
    for one, another in zip(left, right, strict=False):
        if one != another:
            break
        found += 1
    return found


def fork(one: str, another: str) -> _Fork:
    """Where two paths part: the folder that both are in, and the two names in it, in order."""
    left, right = one.split("/"), another.split("/")
    same = _common(left, right)
    first, second = sorted((left[same] if same < len(left) else "", right[same] if same < len(right) else ""))
    return "/".join(left[:same]), first, second


class Clusters:
    """Folders that hold the same object, each for a cluster of its own."""

    def __init__(self) -> None:
        self._forks: Counter[_Fork] = Counter()

    def count(self, one: str, another: str, by: int) -> None:
        """Two files hold the same object (by=1), or do so no longer (by=-1)."""
        where = fork(one, another)
        self._forks[where] += by
        if not self._forks[where]:
            del self._forks[where]

    def apart(self, one: str, another: str) -> bool:
        """Whether two files are of different clusters."""
        return bool(self._forks) and one != another and fork(one, another) in self._forks
