"""A replay as one JSON object; docs/replay.md describes it."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

from stateward.cli.replay.history import Commit
from stateward.cli.replay.reverts import Watched
from stateward.cli.replay.run import Entry, Totals
from stateward.cli.reports import as_json
from stateward.policies import times

FORMAT: Final = "stateward-replay/v1"
_NOT_NOW: Final = ("waive", "waiver", "fingerprint")
"""What helps with an edit that is still to be made."""


class Writer:
    """Gathers the commits; all is written at the end."""

    def __init__(self, limit: int | None) -> None:
        """`limit`: how many commits are listed; the totals count those beyond."""
        self._limit = limit
        self._commits: list[dict[str, Any]] = []
        self._end: dict[str, Any] = {}

    def whole(self) -> str:
        """The object."""
        return as_json.dumps(
            {
                "format": FORMAT,
                "tool": {"name": "stateward", "version": metadata.version("stateward")},
                **self._end,
                "commits": self._commits,
            }
        )

    def entry(self, entry: Entry) -> str:
        """Takes one commit; there is nothing to be written yet."""
        if self._limit is None or len(self._commits) < self._limit:
            findings = [{**as_json.finding(told.finding), "reverted": _reverted(told.watched)} for told in entry.told]
            for finding in findings:
                for name in _NOT_NOW:
                    del finding[name]
            self._commits.append({**_commit(entry.commit), "findings": findings})
        return ""

    def end(self, totals: Totals, expected: int, *, stopped: bool) -> str:
        """Takes the totals."""
        self._end = {
            "complete": not stopped,
            "totals": {
                "commits": totals.commits,
                "commitsExpected": expected,
                "commitsWithEdits": totals.touching,
                "edits": totals.objects,
                "refusals": totals.refused,
                "refusedCommits": totals.refused_commits,
                "reverted": totals.reverted,
                "warnings": totals.warned,
                "warnedCommits": totals.warned_commits,
                "waived": totals.waived,
                "from": times.render(totals.first.time) if totals.first else None,
                "to": times.render(totals.last.time) if totals.last else None,
                "seconds": round(totals.seconds, 3),
                "shallow": totals.boundary,
            },
            "rules": {
                rule: {
                    "name": tally.name,
                    "refusals": tally.refusals,
                    "warnings": tally.warnings,
                    "waived": tally.waived,
                    "commits": tally.commits,
                }
                for rule, tally in sorted(totals.rules.items())
            },
            "notJudged": {
                "heldElsewhere": totals.copies,
                "notPruned": totals.kept,
                "patches": totals.patches,
                "encrypted": totals.encrypted,
                "templates": sorted(totals.templates),
                "large": sorted(totals.large),
                "unreadable": {path: {"commit": at, "why": why} for path, (at, why) in totals.unreadable.items()},
            },
            "faults": dict(totals.faults),
        }
        return ""


def _commit(commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.id,
        "time": times.render(commit.time),
        "authored": times.render(commit.authored.timestamp()),
        "subject": commit.subject,
    }


def _reverted(watched: Watched | None) -> dict[str, Any] | None:
    if watched is None or watched.reverted is None:
        return None
    found = watched.reverted
    return {"commit": found.commit.id, "time": times.render(found.commit.time), "seconds": int(found.seconds)}
