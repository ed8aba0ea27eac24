"""Real nodes, real engines, Stateward as it is installed: `make e2e`, about an hour.

Needs `../shared/cluster/cluster` (root, Linux), or a cluster that STATEWARD_E2E_KUBECONFIG names (see `operated.py`). What
was seen is written into the file that STATEWARD_E2E_REPORT names: a line a test, those that did not run stay.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from operated import Operated
from report import Report

REPORT = pytest.StashKey[Report]()


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells what was measured: on the terminal, and in the report."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def told(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
            print(f"\n  {text}", flush=True)
        request.config.stash[REPORT].said(request.node.nodeid, text)

    return told


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = Report()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    config.stash[REPORT].knows(item.nodeid for item in items)
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[pytest.TestReport]:
    found = yield
    if found.failed and call.when == "call" and isinstance(item, pytest.Function):
        for name, given in item.funcargs.items():
            one = getattr(given, "on", given)
            if isinstance(one, Operated):
                found.sections.append((f"how {name} stands", one.stands()))
    item.config.stash[REPORT].ended(item.nodeid, found.when, found.outcome, found.duration)
    return found


def pytest_sessionfinish(session: pytest.Session) -> None:
    where = os.environ.get("STATEWARD_E2E_REPORT")
    if where:
        session.config.stash[REPORT].write(Path(where))
