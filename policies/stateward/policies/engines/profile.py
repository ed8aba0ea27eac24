"""Engine profiles: the shape of `engines/data/*.yaml`, and what hops they allow.

A profile states facts of one engine with their source. Hops and downgrades are tables: the first row whose conditions
all hold decides. Conditions of a row:

- `from`, `to`: ranges of the versions before and after;
- `within`: how many leading parts both versions share;
- `parts`: how many parts both versions name at least (a tag `8` does not say which series);
- `most`: {part: N, steps: M}: all parts before N are shared and part N grows by at most M;
- anything else compares a fact of the service (`mode`, `by`, `rolling`, `strategy`, `finalised`,
  `topology`: `hops.facts`) with the given text.

A row that denies holds only where the versions are written out far enough to tell: 3.11 is not less than 3.11.18.

A row gives `verdict` (allow, warn, deny), and may give `reason`, `via` (stepping stones), `one_way` (no way back
without a backup), `finalise` (the step that makes it final) and `source`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from stateward.policies.structs import dataclass, field
from stateward.policies.version import Range, Version, parse, parse_range

Verdict = Literal["allow", "warn", "deny"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One row of a profile's table of upgrades or downgrades."""

    verdict: Verdict
    reason: str = ""
    via: tuple[str, ...] = ()
    one_way: bool = False
    finalise: str = ""
    between: str = ""
    """What has to be done on the last stone before the hop to the target (a migration)."""
    source: str = ""
    before: Range | None = None
    after: Range | None = None
    within: int | None = None
    most: tuple[int, int] | None = None
    parts: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)

    def holds(self, old: Version, new: Version, facts: Mapping[str, str]) -> bool:
        """Whether every condition of this row holds. A fact that nobody knows holds for no row that asks for it."""
        if self.before is not None and not self.before.holds(old):
            return False
        if self.after is not None and not self.after.holds(new):
            return False
        if self.verdict == "deny" and not all(
            bounds is None or bounds.certain(version) for bounds, version in ((self.before, old), (self.after, new))
        ):
            return False
        if len(old.parts) < self.parts or len(new.parts) < self.parts:
            return False
        if self.within is not None and _padded(old, self.within) != _padded(new, self.within):
            return False
        if self.most is not None:
            part, steps = self.most
            if _padded(old, part - 1) != _padded(new, part - 1):
                return False
            if abs(_padded(new, part)[-1] - _padded(old, part)[-1]) > steps:
                return False
        return all(facts.get(name) == wanted for name, wanted in self.facts.items())


@dataclass(frozen=True, slots=True)
class DataPath:
    """One directory that an engine writes to and must find again after a restart."""

    what: str
    flags: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    """Keys in a configuration file that is mounted from a ConfigMap."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Image repository (or its last part) → where that image writes when nothing else is said."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """The end of an image's repository (a regular expression) → where it writes whatever flags and variables say.

    A name that several makers use needs the maker's folder before it.
    """
    versions: Range | None = None
    """The versions that this holds for, None for all."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many members may be missing."""

    model: Literal["majority", "standby", "replication", "none"] = "none"
    minimum: int = 1
    leave: str = ""
    """The command that takes a member out before its pod goes."""
    leave_in: Mapping[str, str] = field(default_factory=dict)
    """The same where a mode has another: mode → command."""
    fixed: str = ""
    """Why the members are fixed at the first start, "" where they may change."""

    def leaving(self, mode: str) -> str:
        """The command that takes a member out of an engine in this mode, "" where none is known."""
        return self.leave_in.get(mode, self.leave)


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine. See the module's docstring for the tables."""

    name: str
    title: str
    images: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    tag: str = ""
    """For tags that do not begin with the engine's version: a verbose regular expression, searched in `repository:tag`.
    The first group that takes part is the version; a match without one says that there is none to read."""
    variants: str = ""
    """What may follow the version in a tag of the official image, as a regular expression; "" where unknown."""
    series: tuple[tuple[Range | None, int], ...] = ((None, 1),)
    releases: tuple[Version, ...] = ()
    upgrades: tuple[Hop, ...] = ()
    downgrades: tuple[Hop, ...] = ()
    quorum: Quorum = Quorum()
    data: tuple[DataPath, ...] = ()
    cache_flags: tuple[tuple[str, str], ...] = ()
    """Flags that together say that nothing is meant to survive a restart."""
    volatile: bool = False
    """Whether it is often run, and rightly, with nothing that has to survive (caches, plain messaging)."""
    bootstrap: tuple[tuple[str, str, str], ...] = ()
    """(variable or flag, value, what it does): settings that found a new cluster."""
    modes: tuple[tuple[str, str, str], ...] = ()
    """(mode, variable, value or ""): how the mode shows in the environment."""
    identity: tuple[str, ...] = ()
    """Variables that name the cluster on disk and never change."""
    flags: tuple[Mapping[str, str], ...] = ()
    finalise_first: bool = False
    """Whether an upgrade must be finalised before the next one starts, or the engine refuses its own files."""
    memory: str = ""
    """The least memory that one member starts and lives with, as a Kubernetes quantity; "" where unknown."""
    initial: tuple[tuple[str, str], ...] = ()
    """(setting, what happens when it is changed later): settings that are decided when the data directory is made."""
    backup: str = ""
    sources: tuple[str, ...] = ()

    def series_of(self, version: Version) -> tuple[int, ...]:
        """The release series (major) of a version: (16,) for PostgreSQL 16.4, (3, 5) for etcd 3.5.17."""
        return _padded(version, self.series_parts(version))

    def series_parts(self, version: Version) -> int:
        """How many leading parts make the series of this version."""
        for versions, count in self.series:
            if versions is None or versions.holds(version):
                return count
        return 1


NO_ROW: Final = Hop("allow")


def judge(profile: Profile, old: Version, new: Version, facts: Mapping[str, str]) -> Hop:
    """The row that decides over a change of version; an allowing one where no row speaks."""
    rows = profile.downgrades if new < old else profile.upgrades
    for row in rows:
        if row.holds(old, new, facts):
            return row
    return NO_ROW


def path(profile: Profile, old: Version, new: Version, facts: Mapping[str, str]) -> list[Version] | None:
    """The shortest sequence of releases from old (left out) to new in which every hop is allowed; None if none is.

    Stones are the newest known release of each series between the two. Hops that warn are taken only where nothing
    else leads there.
    """
    if not old < new:
        return [new] if judge(profile, old, new, facts).verdict == "allow" else None
    return _search(profile, old, new, facts, ("allow",)) or _search(profile, old, new, facts, ("allow", "warn"))


def _search(
    profile: Profile, old: Version, new: Version, facts: Mapping[str, str], taken: tuple[str, ...]
) -> list[Version] | None:
    stones = [stone for stone in profile.releases if old < stone and stone < new] + [new]
    best: list[tuple[Version, list[Version]]] = [(old, [])]
    seen = {old.key()}
    while best:
        further: list[tuple[Version, list[Version]]] = []
        for here, steps in best:
            # The largest hop first: of two paths of the same length the one over newer releases is better.
            for stone in reversed(stones):
                if stone.key() in seen or not here < stone:
                    continue
                if judge(profile, here, stone, facts).verdict not in taken:
                    continue
                if stone.key() == new.key():
                    return [*steps, stone]
                seen.add(stone.key())
                further.append((stone, [*steps, stone]))
        best = further
    return None


def _padded(version: Version, count: int) -> tuple[int, ...]:
    return (version.parts + (0,) * count)[:count]


def parse_profile(source: str, content: object) -> Profile:
    """A profile from its YAML. Raises ValueError naming file, field and reason."""
    if not isinstance(content, dict):
        raise ValueError(f"{source}: a mapping is wanted")
    known = {
        "engine", "title", "images", "commands", "tag", "variants", "series", "releases", "upgrades", "downgrades",
        "quorum", "data", "cache", "volatile", "bootstrap", "modes", "identity", "flags", "initial", "finalise_first",
        "memory", "backup",
        "sources",
    }  # fmt: skip
    stray = sorted(set(content) - known)
    if stray:
        raise ValueError(f'{source}: unknown field "{stray[0]}"; known are {", ".join(sorted(known))}')
    quorum = content.get("quorum") or {}
    return Profile(
        name=content["engine"],
        title=content["title"],
        images=tuple(content.get("images") or ()),
        commands=tuple(content.get("commands") or ()),
        tag=content.get("tag") or "",
        variants=content.get("variants") or "",
        series=tuple(
            (parse_range(str(row["when"])) if "when" in row else None, int(row["parts"]))
            for row in content.get("series") or ({"parts": 1},)
        ),
        releases=tuple(sorted((_version(source, text) for text in content.get("releases") or ()), key=Version.key)),
        upgrades=tuple(_hop(source, row) for row in content.get("upgrades") or ()),
        downgrades=tuple(_hop(source, row) for row in content.get("downgrades") or ()),
        quorum=Quorum(**{{"leaveIn": "leave_in"}.get(name, name): value for name, value in quorum.items()}),
        data=tuple(
            DataPath(
                what=row["what"],
                flags=tuple(row.get("flags") or ()),
                env=tuple(row.get("env") or ()),
                properties=tuple(row.get("properties") or ()),
                defaults=dict(row.get("defaults") or {}),
                fixed=dict(row.get("fixed") or {}),
                versions=parse_range(str(row["versions"])) if "versions" in row else None,
            )
            for row in content.get("data") or ()
        ),
        cache_flags=tuple((row["flag"], str(row["value"])) for row in content.get("cache") or ()),
        volatile=bool(content.get("volatile")),
        bootstrap=tuple((row["name"], str(row["value"]), row["what"]) for row in content.get("bootstrap") or ()),
        modes=tuple((row["mode"], row["env"], str(row.get("value") or "")) for row in content.get("modes") or ()),
        identity=tuple(content.get("identity") or ()),
        flags=tuple(content.get("flags") or ()),
        finalise_first=bool(content.get("finalise_first")),
        memory=str(content.get("memory") or ""),
        initial=tuple((row["name"], row["why"]) for row in content.get("initial") or ()),
        backup=(content.get("backup") or "").rstrip("."),  # it stands inside sentences
        sources=tuple(content.get("sources") or ()),
    )


def _version(source: str, text: object) -> Version:
    version = parse(str(text))
    if version is None:
        raise ValueError(f'{source}: releases: "{text}" is no version')
    return version


_ROW_FIELDS: Final = frozenset(
    {"from", "to", "within", "most", "parts", "verdict", "reason", "via", "one_way", "finalise", "between", "source", "when"}
)


def _hop(source: str, row: Mapping[str, Any]) -> Hop:
    stray = sorted(set(row) - _ROW_FIELDS)
    if stray:
        raise ValueError(f'{source}: unknown field "{stray[0]}" in a hop; conditions on facts go below `when`')
    verdict = row.get("verdict")
    if verdict not in ("allow", "warn", "deny"):
        raise ValueError(f'{source}: verdict "{verdict}" is none of allow, warn, deny')
    if verdict != "allow" and not row.get("reason"):
        raise ValueError(f"{source}: a hop that is not allowed needs a reason")
    most = row.get("most")
    return Hop(
        verdict=verdict,
        reason=row.get("reason") or "",
        via=tuple(str(stone) for stone in row.get("via") or ()),
        one_way=bool(row.get("one_way")),
        finalise=row.get("finalise") or "",
        between=row.get("between") or "",
        source=row.get("source") or "",
        before=parse_range(str(row["from"])) if "from" in row else None,
        after=parse_range(str(row["to"])) if "to" in row else None,
        within=int(row["within"]) if "within" in row else None,
        most=(int(most["part"]), int(most["steps"])) if most else None,
        parts=int(row.get("parts") or 0),
        facts={key: str(value) for key, value in (row.get("when") or {}).items()},
    )
