"""What was seen on real nodes, as a document: a section a test file, a line a test, each with the commit it was seen at."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

HEAD = """# Seen on real nodes

What the tests of `tests/e2e` saw in their last run (`make e2e`): a Kubernetes cluster of three nodes in three zones on one
machine, with the engines' own programs. All of it, the API server and the clients too, shares {processors} processors.
"""
_SECTION = re.compile(r"^## (\S+)$", re.MULTILINE)
_TEST = re.compile(r"^- (.*) \(\d+ s, .*\)", re.MULTILINE)


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
    known: dict[str, list[str]] = field(default_factory=dict)
    """Test file → the sentences of its tests, those that do not run too."""

    def knows(self, nodes: Iterable[str]) -> None:
        """Tests that there are."""
        for node in nodes:
            file, _, test = node.partition("::")
            self.known.setdefault(Path(file).name, []).append(_sentence(test))

    def said(self, node: str, text: str) -> None:
        self._of(node).said.append(text)

    def ended(self, node: str, when: str, outcome: str, seconds: float) -> None:
        """A test's setup, call or teardown."""
        one = self._of(node)
        one.seconds += seconds
        if outcome != "passed" or when == "call":
            one.outcome = outcome if one.outcome == "passed" else one.outcome

    def write(self, path: Path) -> None:
        """Replaces the lines of the tests that ran; those that did not run stay as long as there is such a test."""
        sections = _sections(path.read_text()) if path.exists() else {}
        for file, tests in self.seen.items():
            ran = {_sentence(name): _text(name, one) for name, one in tests.items() if one.outcome != "skipped"}
            if ran:
                before = {**sections.get(file, {}), **ran}
                sections[file] = {name: before[name] for name in self.known.get(file, ran) if name in before}
        parts = (f"\n## {file}\n\n{''.join(tests.values())}" for file, tests in sorted(sections.items()))
        path.write_text(HEAD.format(processors=os.cpu_count()) + "".join(parts))

    def _of(self, node: str) -> _Seen:
        file, _, test = node.partition("::")
        return self.seen.setdefault(Path(file).name, {}).setdefault(test, _Seen())


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Test file → the sentence of a test → its lines."""
    parts = _SECTION.split(text)[1:]
    return {name: _tests(body.strip("\n") + "\n") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _tests(body: str) -> dict[str, str]:
    found = list(_TEST.finditer(body))
    ends = [*(one.start() for one in found[1:]), len(body)]
    return {one[1]: body[one.start() : end] for one, end in zip(found, ends, strict=True)}


def _text(name: str, one: _Seen) -> str:
    mark = "" if one.outcome == "passed" else f" **{one.outcome}**"
    first = f"- {_sentence(name)} ({one.seconds:.0f} s, {datetime.now(UTC):%Y-%m-%d}, {_commit()}){mark}\n"
    return first + "".join(f"  - {text}\n" for text in one.said)


def _sentence(name: str) -> str:
    plain, _, parameters = name.removeprefix("test_").partition("[")
    return plain.replace("_", " ") + (f": {parameters.removesuffix(']')}" if parameters else "")


def _commit() -> str:
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
