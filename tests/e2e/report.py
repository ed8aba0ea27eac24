"""What was seen on real nodes, as a document: a section a test file."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

HEAD = """# Seen on real nodes

What the tests of `tests/e2e` saw in their last run (`make e2e`): a Kubernetes cluster of three nodes in three zones on one
machine, with the engines' own programs. All of it, the API server and the clients too, shares the processors that are named.
"""
_SECTION = re.compile(r"^## (\S+)$", re.MULTILINE)


@dataclass
class _Seen:
    outcome: str = "passed"
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)


@dataclass
class Report:
    """Collects what tests told, and how they ended."""

    seen: dict[str, dict[str, _Seen]] = field(default_factory=dict)
    """Test file → test → what was seen."""

    def said(self, node: str, text: str) -> None:
        self._of(node).said.append(text)

    def ended(self, node: str, when: str, outcome: str, seconds: float) -> None:
        """A test's setup, call or teardown."""
        one = self._of(node)
        one.seconds += seconds
        if outcome != "passed" or when == "call":
            one.outcome = outcome if one.outcome == "passed" else one.outcome

    def write(self, path: Path) -> None:
        """Replaces the sections of the files that ran; a file of which nothing ran stays as it was."""
        sections = _sections(path.read_text()) if path.exists() else {}
        for file, tests in self.seen.items():
            if any(one.outcome != "skipped" for one in tests.values()):
                sections[file] = _section(tests)
        text = HEAD + "".join(f"\n## {file}\n\n{body}" for file, body in sorted(sections.items()))
        path.write_text(text)

    def _of(self, node: str) -> _Seen:
        file, _, test = node.partition("::")
        return self.seen.setdefault(Path(file).name, {}).setdefault(test, _Seen())


def _sections(text: str) -> dict[str, str]:
    parts = _SECTION.split(text)[1:]
    return {name: body.strip("\n") + "\n" for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _section(tests: dict[str, _Seen]) -> str:
    ended = [one.outcome for one in tests.values()]
    several = ", ".join(f"{ended.count(outcome)} {outcome}" for outcome in dict.fromkeys(ended))
    minutes = sum(one.seconds for one in tests.values()) / 60
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, commit {_commit()}, {os.cpu_count()} processors: {several}, {minutes:.0f} minutes.",
        "",
    ]
    for name, one in tests.items():
        mark = "" if one.outcome == "passed" else f" **{one.outcome}**"
        lines.append(f"- {_sentence(name)} ({one.seconds:.0f} s){mark}")
        lines += [f"  - {text}" for text in one.said]
    return "\n".join(lines) + "\n"


def _sentence(name: str) -> str:
    plain, _, parameters = name.removeprefix("test_").partition("[")
    return plain.replace("_", " ") + (f": {parameters.removesuffix(']')}" if parameters else "")


def _commit() -> str:
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
