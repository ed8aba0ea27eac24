"""`make door`: cases through a real API server of their own say what they say in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import control_plane
import pytest

HERE = Path(__file__).resolve().parent
INCIDENTS = control_plane.ROOT.parent / "shared" / "incidents"
CHOSEN = ("I006", "I010", "I030", "I054", "I074", "I091", "I099", "I199")
"""A class, a data path, status writes, Scales, an Eviction, CRDs, claims: each way into the API server."""


@pytest.fixture(scope="module")
def assets() -> None:
    try:
        control_plane.programs(lambda _: None)
    except control_plane.MissingError as error:
        pytest.skip(str(error))


def through_the_door(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    return subprocess.run(
        [sys.executable, str(HERE / "door.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=environment,
    )


def test_incidents_are_judged_at_the_door_as_in_memory(assets: None) -> None:
    files = [str(path) for name in CHOSEN if (path := INCIDENTS / f"{name}.yaml").exists()]
    if not files:
        pytest.skip("no ../shared/incidents here")

    done = through_the_door("--verbose", *files)

    assert done.returncode in (0, 1), done.stderr
    assert "every verdict as in memory" in done.stdout, done.stdout + done.stderr


def test_the_examples_of_rules_are_judged_at_the_door_as_in_memory_but_for_what_is_explained(assets: None) -> None:
    rules = control_plane.ROOT / "policies" / "stateward" / "policies" / "rules"

    done = through_the_door(*(str(rules / area) for area in ("deletion", "quorum")))

    assert done.returncode in (0, 1), done.stderr
    assert "no set-up" not in done.stdout, done.stdout
    assert "NOT EXPLAINED" not in done.stdout, done.stdout
    assert "benign refused:      0 of " in done.stdout, done.stdout


CASES = """
- title: sizes
  cases:
    - name: shrunk
      operation: UPDATE
      old: &claim
        apiVersion: postgresql.cnpg.io/v1
        kind: Cluster
        metadata: {name: pg, namespace: shop}
        spec: {instances: 3, imageName: "ghcr.io/cloudnative-pg/postgresql:16.4", storage: {size: 10Gi}}
      patch: {spec: {storage: {size: 5Gi}}}
      expect: deny
      rule: SW102
    - name: fixed-with-the-recipe
      operation: UPDATE
      old: &set
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: db, namespace: shop}
        spec:
          serviceName: db
          template: {spec: {containers: [{name: db, image: "postgres:16.4"}]}}
      patch: {spec: {serviceName: other}}
      expect: deny
    - name: refused-by-the-server
      operation: UPDATE
      old: *set
      patch: {spec: {replicas: -1}}
      expect: deny
    - name: wrongly-expected
      operation: UPDATE
      old: *claim
      patch: {metadata: {labels: {a: b}}}
      expect: deny
    - name: of-a-webhook
      operation: DELETE
      old:
        apiVersion: admissionregistration.k8s.io/v1
        kind: ValidatingWebhookConfiguration
        metadata: {name: other}
      expect: deny
"""


def test_the_table_counts_what_the_server_stops_and_names_what_is_never_sent(assets: None, tmp_path: Path) -> None:
    (tmp_path / "sizes.yaml").write_text(CASES)

    done = through_the_door("--verbose", str(tmp_path))

    lines: dict[str, list[Any]] = {
        line.split()[2]: line.split() for line in done.stdout.splitlines() if line.startswith(("ok ", "FAIL "))
    }
    assert lines["shrunk"] == ["ok", "sizes", "shrunk", "deny", "deny", "SW102"], done.stdout + done.stderr
    # The API server would refuse it by itself, without a word of what to do: /mutate comes before.
    assert lines["fixed-with-the-recipe"] == ["ok", "sizes", "fixed-with-the-recipe", "deny", "deny", "SW103"]
    assert lines["refused-by-the-server"][:6] == ["ok", "sizes", "refused-by-the-server", "deny", "server:", "Invalid"]
    assert lines["wrongly-expected"][:5] == ["FAIL", "sizes", "wrongly-expected", "deny", "allow"]
    assert "3 passed, 1 failed" in done.stdout
    assert "not sent: 1 " in done.stdout
    assert "ValidatingWebhookConfiguration" in done.stdout
    assert done.returncode == 1


def test_a_folder_without_cases_is_an_error(tmp_path: Path) -> None:
    done = through_the_door(str(tmp_path))

    assert done.returncode == 2
    assert done.stderr.startswith("error: no case found")
