"""The parts that make up a run, in this process, with pytest-benchmark: `make bench`."""

from __future__ import annotations

from pathlib import Path

from manifests import texts
from pytest_benchmark.fixture import BenchmarkFixture
from review import update

from stateward.cli import manifests, yamlread
from stateward.cli.edits import created, judge
from stateward.cli.limits import Budget
from stateward.policies.plainyaml import Reader
from stateward.policies.policy import DEFAULT
from stateward.policies.review import review
from stateward.policies.view import EMPTY_VIEW

NOW = 1795262400.0
TEXT = next(text for text in texts(100) if "kind: StatefulSet" in text)


def test_review(benchmark: BenchmarkFixture) -> None:
    """Bytes to bytes, as the webhook calls it."""
    assert benchmark(review, update(), EMPTY_VIEW, now=NOW)


def test_read_fast(benchmark: BenchmarkFixture) -> None:
    """A manifest whose lines were never seen."""
    assert benchmark(lambda: Reader(str).read(TEXT))


def test_read_fast_again(benchmark: BenchmarkFixture) -> None:
    """A manifest whose lines are known, as most lines of a repository are after a while."""
    reader = Reader(str)
    assert benchmark(reader.read, TEXT)


def test_read_carefully(benchmark: BenchmarkFixture) -> None:
    """The same manifest through the events of PyYAML's C parser."""
    assert benchmark(lambda: list(yamlread.documents(TEXT, Budget())))


def test_lint_of_a_file(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Reading, judging and finding the place of what was found."""
    file = tmp_path / "set.yaml"
    file.write_text(TEXT)

    def lint() -> int:
        loaded = manifests.load([file])
        found = [(edit, one) for edit in created(loaded) for one in judge(edit, EMPTY_VIEW, DEFAULT, NOW).judged]
        return len([edit.document.locate(one.finding.field or ()) for edit, one in found])

    benchmark(lint)
