"""Baselines: findings that are known and accepted for now, in a file that is kept beside the manifests.

One entry a line, sorted, without lines and values of the manifests: it changes only where a finding comes or goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import orjson

from stateward.cli.output import write_whole
from stateward.cli.reports.report import Accepted, Finding
from stateward.policies.structs import dataclass

FORMAT: Final = "stateward-baseline/v1"
_FIELDS: Final = {"rule": str, "object": str, "field": str, "count": int, "fingerprint": str}


class BaselineError(ValueError):
    """A baseline that cannot be used. The message names file, place, reason and next step."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A finding that is accepted, `count` times: the same object may stand in several files."""

    rule: str
    object: str
    field: str
    fingerprint: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.rule} {self.object}" + (f" {self.field}" if self.field else "")


class Baseline:
    """The accepted findings of a file."""

    def __init__(self, file: str, entries: Iterable[Entry] = ()) -> None:
        self.file = file
        self._entries = {entry.fingerprint: entry for entry in entries}
        self._left = Counter({entry.fingerprint: entry.count for entry in self._entries.values()})

    def accept(self, findings: Iterable[Finding]) -> None:
        """Marks findings as known that are. More of the same than there were are new."""
        for finding in findings:
            if finding.counts and self._left[finding.fingerprint] > 0:
                self._left[finding.fingerprint] -= 1
                finding.state = "known"

    def result(self, findings: Iterable[Finding], wanted: frozenset[str] | None) -> Accepted:
        """What it did to a run. `wanted`: the rules that were asked, None for all; of others nothing is stale."""
        stale = sorted(
            entry
            for entry in self._entries.values()
            if self._left[entry.fingerprint] == entry.count and (wanted is None or entry.rule in wanted)
        )
        return Accepted(self.file, sum(one.state == "known" for one in findings), [str(entry) for entry in stale])

    def renewed(self, findings: Iterable[Finding], wanted: frozenset[str] | None) -> list[Entry]:
        """The entries of a new file: what refuses or warns now, and what was there of rules that were not asked."""
        kept = [one for one in self._entries.values() if wanted is not None and one.rule not in wanted]
        met = [one for one in findings if one.state != "waived" and one.action in ("deny", "warn")]
        counts = Counter(one.fingerprint for one in met)
        entries = {one.fingerprint: Entry(one.rule, str(one.subject), one.field, one.fingerprint) for one in met}
        return sorted(
            [*kept, *(Entry(one.rule, one.object, one.field, mark, counts[mark]) for mark, one in entries.items())]
        )


def read(path: str, *, new: bool = False) -> Baseline:
    """The baseline of a file; `new` where it need not be there yet. Raises BaselineError."""
    try:
        content = orjson.loads(Path(path).read_bytes())
    except FileNotFoundError:
        if new:
            return Baseline(path)
        raise BaselineError(f"{path}: there is no such file; add --update-baseline to write it") from None
    except OSError as error:
        raise BaselineError(f"{path}: it cannot be read: {error.strerror or error}") from None
    except orjson.JSONDecodeError as error:
        place = f"{path}:{error.lineno}:{error.colno}"
        raise BaselineError(f"{place}: it is no JSON; restore the file, or write it anew with --update-baseline") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("findings"), list):
        raise BaselineError(f'{path}: it is no baseline: "format" is not "{FORMAT}" or "findings" is no list')
    return Baseline(path, [_entry(path, number, row) for number, row in enumerate(content["findings"])])


def _entry(path: str, number: int, row: Any) -> Entry:
    where = f"{path}: findings[{number}]"
    if not isinstance(row, dict):
        raise BaselineError(f"{where}: it is no mapping")
    for name in sorted(set(row) - set(_FIELDS)):
        raise BaselineError(f'{where}: unknown field "{name}"; an entry has {", ".join(_FIELDS)}')
    row = {"count": 1, **row}
    for name, kind in _FIELDS.items():
        if type(row.get(name)) is not kind:
            raise BaselineError(f"{where}.{name}: a {'number' if kind is int else 'text'} is wanted")
    if row["count"] < 1:
        raise BaselineError(f"{where}.count: {row['count']} is less than 1")
    return Entry(**row)


def write(path: str, entries: list[Entry]) -> None:
    """The file anew, whole or not at all. Raises OSError."""
    rows = [
        orjson.dumps({"rule": one.rule, "object": one.object, "field": one.field, "count": one.count,
                      "fingerprint": one.fingerprint}).decode()
        for one in entries
    ]  # fmt: skip
    body = ",\n".join(f"    {row}" for row in rows)
    findings = f"[\n{body}\n  ]" if rows else "[]"
    write_whole(path, f'{{\n  "format": "{FORMAT}",\n  "findings": {findings}\n}}\n')
