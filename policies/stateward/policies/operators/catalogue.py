"""Operators as data (`data/*.yaml`): their images, what they run, and what a change of their release does to it.

A file of an operator says:

- `images`: regular expressions of repositories, matched against their last parts: a mirror keeps the name;
- `tag`: how the operator's version is read from a tag, group 1 (left out: the tag begins with it, maybe after `v`);
- `minors`: its release lines in order, where their numbers do not count up by one (calendar versions);
- `runs`: the kinds of its operands;
- `says`: a word of its command line, where the image has other programs that run by themselves, too;
- `beside`: words of the command lines of companions that its image runs, where its own has none;
- `watches`: the variables with the namespaces that it looks after, where they alone say so; all without them;
- `rolls`: `always`, `may` or `never`: whether a new release restarts the operands (`versions`: the releases that this
  holds for), with `why`, `hold` (how to choose the hour) and `source`;
- `skip`: `ok`, `warn` or `deny`: leaving out release lines, with `why` and `source`;
- `steps`: rows {from, to, verdict, why, via, source}: hops between releases that are known not to work;
- `refuses`: rows {to, from, kind, when, verdict, why, remedy, source}: operands that a release no longer runs;
- `supports`: where the operator's own list of engine versions stands, and where an operand says what it asks and runs;
- `pins`: fields of operands that name an image of the operator's release.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final, Literal, get_args

from stateward.policies import data, images
from stateward.policies.adapters.grammar import Reader, compile_expression
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.structs import dataclass
from stateward.policies.version import Range, Version, parse, parse_range
from stateward.policies.view import Kind, Look

Rolls = Literal["always", "may", "never"]
Skip = Literal["ok", "warn", "deny"]


@dataclass(frozen=True, slots=True)
class Step:
    """A hop between releases that does not work."""

    before: Range | None
    after: Range | None
    denies: bool
    why: str
    via: tuple[str, ...]
    source: str

    def holds(self, old: Version, new: Version) -> bool:
        """Whether the hop is this one."""
        return (self.before is None or self.before.holds(old)) and (self.after is None or self.after.holds(new))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Operands that a release no longer runs."""

    step: Step
    kind: Kind
    when: Reader
    remedy: str


@dataclass(frozen=True, slots=True)
class Supports:
    """Where an operator lists the engine versions that it runs, and where an operand says its own."""

    kind: Kind
    engine: str
    list: str
    """A variable whose lines are `version=image`; "" where `names` tells."""
    names: re.Pattern[str] | None
    """The names of variables, one for each version (group 1)."""
    default: str
    """The variable with the version of operands that name none; "" or unset: the highest of the list."""
    asks: Reader
    runs: Reader
    own_image: Reader
    """An operand with an image of its own needs nothing from the list."""
    pods: tuple[str, str] | None
    """(label with the operand's name, annotation with the version) of the pods that run it."""
    source: str

    @property
    def title(self) -> str:
        """The engine as a person calls it."""
        profile = PROFILES.get(self.engine)
        return profile.title if profile is not None else self.engine


@dataclass(frozen=True, slots=True)
class Pin:
    """A field of operands that names an image of the operator's release."""

    kind: Kind
    image: Reader
    follows: Reader
    """True where the operator keeps the field up to date by itself."""
    tag: re.Pattern[str] | None
    why: str
    remedy: str
    source: str


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. See the module's docstring."""

    name: str
    title: str
    images: re.Pattern[str]
    tag: re.Pattern[str] | None
    minors: tuple[tuple[int, ...], ...]
    runs: tuple[Kind, ...]
    says: str
    """A word of its command line, where it has one; "" where any is its own."""
    beside: frozenset[str]
    """Words of the command lines of companions: a webhook of its own, a maker of certificates."""
    watches: tuple[str, ...]
    """Variables with the namespaces that it looks after; none where something else says so too."""
    rolls: Rolls
    rolling: Range | None
    rolls_why: str
    hold: str
    rolls_source: str
    skip: Skip
    skip_why: str
    skip_source: str
    steps: tuple[Step, ...]
    refuses: tuple[Refusal, ...]
    supports: Supports | None
    pins: tuple[Pin, ...]

    def version(self, reference: str) -> Version | None:
        """The release in an image of it; None where the tag does not say."""
        return _release(self.tag, images.parse(reference).tag)

    def rolls_on(self, new: Version) -> bool:
        """Whether the operands may restart when this release takes over."""
        return self.rolls != "never" and (self.rolling is None or self.rolling.holds(new))

    def skipped(self, old: Version, new: Version) -> int | None:
        """How many release lines lie between two releases; None where the numbers do not tell (another major)."""
        before, after = (*old.parts, 0)[:2], (*new.parts, 0)[:2]
        if before in self.minors and after in self.minors:
            return max(0, self.minors.index(after) - self.minors.index(before) - 1)
        if before[0] != after[0]:
            return None
        return max(0, after[1] - before[1] - 1)


def _release(tag: re.Pattern[str] | None, text: str) -> Version | None:
    if tag is None:
        return parse(text)
    match = tag.search(text)
    return parse(match[1]) if match is not None else None


def pinned_release(pin: Pin, operator: Operator, reference: str) -> Version | None:
    """The operator's release that an image in a pinned field is of; None where it is another image or does not say."""
    if pin.tag is not None:
        return _release(pin.tag, images.parse(reference).tag)
    return operator.version(reference) if identify(reference) is operator else None


_FIELDS: Final = frozenset(
    {
        "operator",
        "title",
        "images",
        "tag",
        "minors",
        "runs",
        "says",
        "beside",
        "watches",
        "rolls",
        "skip",
        "steps",
        "refuses",
        "supports",
        "pins",
    }
)


def parse_operator(source: str, content: Any) -> Operator:
    """An operator from its YAML. Raises ValueError naming file, field and reason."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{source}: a mapping is wanted")
    stray = sorted(set(content) - _FIELDS)
    if stray:
        raise ValueError(f'{source}: unknown field "{stray[0]}"; known are {", ".join(sorted(_FIELDS))}')
    rolls, skip = content.get("rolls") or {}, content.get("skip") or {}
    how, may = rolls.get("verdict", "may"), skip.get("verdict", "warn")
    if how not in get_args(Rolls):
        raise ValueError(f'{source}: rolls.verdict "{how}" is none of {", ".join(get_args(Rolls))}')
    if may not in get_args(Skip):
        raise ValueError(f'{source}: skip.verdict "{may}" is none of {", ".join(get_args(Skip))}')
    return Operator(
        name=content["operator"],
        title=content["title"],
        images=_repositories(content),
        tag=re.compile(content["tag"]) if "tag" in content else None,
        minors=tuple(tuple(int(part) for part in str(minor).split(".")) for minor in content.get("minors") or ()),
        runs=tuple(content["runs"]),
        says=str(content.get("says") or ""),
        beside=frozenset(content.get("beside") or ()),
        watches=tuple(content.get("watches") or ()),
        rolls=how,
        rolling=parse_range(str(rolls["versions"])) if "versions" in rolls else None,
        rolls_why=rolls.get("why", ""),
        hold=rolls.get("hold", ""),
        rolls_source=rolls.get("source", ""),
        skip=may,
        skip_why=skip.get("why", ""),
        skip_source=skip.get("source", ""),
        steps=tuple(_step(source, row) for row in content.get("steps") or ()),
        refuses=tuple(_refusal(source, row) for row in content.get("refuses") or ()),
        supports=_supports(source, content["supports"]) if "supports" in content else None,
        pins=tuple(_pin(source, row) for row in content.get("pins") or ()),
    )


def _step(source: str, row: Mapping[str, Any]) -> Step:
    if row.get("verdict") not in ("warn", "deny") or not row.get("why") or not row.get("source"):
        raise ValueError(f"{source}: a step needs verdict (warn, deny), why and source")
    return Step(
        before=parse_range(str(row["from"])) if "from" in row else None,
        after=parse_range(str(row["to"])) if "to" in row else None,
        denies=row["verdict"] == "deny",
        why=row["why"],
        via=tuple(str(stone) for stone in row.get("via") or ()),
        source=row["source"],
    )


def _refusal(source: str, row: Mapping[str, Any]) -> Refusal:
    return Refusal(_step(source, row), row["kind"], compile_expression(row["when"], f"{source}: refuses"), row["remedy"])


def _supports(source: str, row: Mapping[str, Any]) -> Supports:
    where = f"{source}: supports"
    pods = row.get("pods")
    return Supports(
        kind=row["kind"],
        engine=row["engine"],
        list=row.get("list", ""),
        names=re.compile(row["names"]) if "names" in row else None,
        default=row.get("default", ""),
        asks=compile_expression(row["asks"], where),
        runs=compile_expression(row.get("runs", {"const": None}), where),
        own_image=compile_expression(row.get("ownImage", {"const": None}), where),
        pods=(pods["label"], pods["annotation"]) if pods else None,
        source=row["source"],
    )


def _pin(source: str, row: Mapping[str, Any]) -> Pin:
    where = f"{source}: pins"
    return Pin(
        kind=row["kind"],
        image=compile_expression(row["image"], where),
        follows=compile_expression(row.get("follows", {"const": False}), where),
        tag=re.compile(row["tag"]) if "tag" in row else None,
        why=row["why"],
        remedy=row["remedy"],
        source=row["source"],
    )


def _repositories(content: Mapping[str, Any]) -> re.Pattern[str]:
    return re.compile(f"(?:.*/)?(?:{'|'.join(content['images'])})")


# All files are many, and most runs meet none of these operators: only what they are known by is read at the start.
_FOLDER: Final = "operators/data"
_PARTS: Final = data.parts(_FOLDER, ("images", "runs"))
KINDS: Final[tuple[Kind, ...]] = tuple(sorted({kind for _, part in _PARTS for kind in part.get("runs") or ()}))
"""Every kind that a known operator runs."""


def operators() -> list[Operator]:
    """All known operators."""
    return [_operator(file) for file, _ in _PARTS]


@cache
def _operator(file: str) -> Operator:
    return parse_operator(file, data.file(f"{_FOLDER}/{file}"))


@cache
def _known() -> list[tuple[re.Pattern[str], str]]:
    return [(_repositories(part), file) for file, part in _PARTS]


def identify(reference: str) -> Operator | None:
    """The operator whose image this is, None where it is none that is known."""
    return _identify(reference) if len(reference) <= images.LONGEST else None


@lru_cache(maxsize=4096)
def _identify(reference: str) -> Operator | None:
    repository = images.parse(reference).repository
    for repositories, file in _known():
        if repositories.fullmatch(repository):
            return _operator(file)
    return None


def said(looks: Mapping[Kind, Look]) -> list[tuple[str, str]]:
    """Look-ups as a person reads them, (kind, role): those of all operands are one line."""
    role = {True: "accuses", False: "excuses"}
    operands = frozenset(KINDS)
    whole = operands <= looks.keys()
    found = [(kind, role[look.accuses]) for kind, look in looks.items() if not (whole and kind in operands)]
    return [(f"what the known operators run ({len(KINDS)} kinds)", "accuses"), *found] if whole else found
