"""Stateward as it is installed: its own image, its own manifests, two replicas on three real nodes.

Needs `../shared/cluster/cluster` (root, Linux) and takes minutes, so `make e2e` runs it, the gate does not.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells what was measured: on the terminal, and in the file of STATEWARD_E2E_REPORT."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    told_where = os.environ.get("STATEWARD_E2E_REPORT")

    def told(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
            print(f"\n  {text}", flush=True)
        if told_where:
            with Path(told_where).open("a") as report:
                report.write(f"{text}\n")

    return told
