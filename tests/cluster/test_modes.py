"""From audit to deny, a namespace at a time: what users see, what is told of it, and what the commands say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import Door, Item, Kubectl, eventually, stateful_set

LABEL = "stateward.dev/mode"


def ask(door: Door, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of ours, asked of the door on this machine."""
    found = re.findall(r"answers at (https://[^/]+)/validate", door.log())
    beside = Path(sys.executable).parent / "stateward"
    program = [str(beside)] if beside.exists() else [sys.executable, "-m", "stateward.cli.main"]
    return subprocess.run(
        [*program, *arguments, "--url", found[-1], "--ca", str(door.folder / "certs" / "ca.crt")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def members(kubectl: Kubectl) -> Item:
    """Three members of etcd."""
    item = stateful_set("members", "etcd:3.5.17", replicas=3)
    kubectl.must("create", "-f", "-", stdin=item)
    return item


def scale(kubectl: Kubectl, *more: str) -> Any:
    return kubectl("scale", "statefulset/members", "--replicas=1", *more)


def label(kubectl: Kubectl, mode: str) -> None:
    kubectl.past.must("label", "namespace", kubectl.namespace, f"{LABEL}={mode}", "--overwrite")


def events(kubectl: Kubectl, reason: str) -> list[Item]:
    found = kubectl.get("events", "--field-selector", f"reason={reason}")
    return [item for item in found.get("items", ()) if item["involvedObject"]["name"] == "members"]


def test_in_warn_the_user_is_warned_and_the_edit_passes(kubectl: Kubectl, members: Item) -> None:
    kubectl.refused("scale", "statefulset/members", "--replicas=1", "--dry-run=server")
    label(kubectl, "warn")
    kubectl.passes("scale", "statefulset/members", "--replicas=1", "--dry-run=server")

    done = scale(kubectl)

    assert done.passed, str(done)
    [warning] = done.warnings
    assert warning.startswith("SW201 quorum-lost would refuse this: spec.replicas: 3 → 1")


def test_in_audit_nothing_is_said_and_it_is_counted(kubectl: Kubectl, door: Door, members: Item) -> None:
    kubectl.refused("scale", "statefulset/members", "--replicas=1", "--dry-run=server")
    label(kubectl, "audit")
    kubectl.passes("scale", "statefulset/members", "--replicas=1", "--dry-run=server")

    done = scale(kubectl)

    assert done.passed, str(done)
    assert "Warning" not in done.err
    assert events(kubectl, "EditWouldBeRefused") == []
    told = json.loads(ask(door, "status", "-f", "json").stdout)["counts"]
    row = {"namespace": kubectl.namespace, "rule": "SW201", "name": "quorum-lost", "wouldBeDenied": 1}
    assert row in told["findings"]
    assert {"namespace": kubectl.namespace, "wouldBeDenied": 1}.items() <= _of(told["requests"], kubectl.namespace).items()
    shown = ask(door, "status").stdout
    assert "Going to deny would have refused " in shown
    assert re.search(rf"SW201 +quorum-lost +{kubectl.namespace} +1$", shown, re.MULTILINE), shown


def _of(rows: list[Item], namespace: str) -> Item:
    return next(row for row in rows if row["namespace"] == namespace)


def test_a_label_that_comes_with_the_edit_is_too_late(kubectl: Kubectl, members: Item) -> None:
    """The namespace is in the mode that it was in: one that is deleted is judged by the label it had."""
    label(kubectl, "deny")
    refused = kubectl.refused("delete", "namespace", kubectl.namespace, "--dry-run=server")
    assert refused.rules


def test_a_mode_that_is_none_is_told_and_the_policys_holds(kubectl: Kubectl, members: Item) -> None:
    label(kubectl, "enforce")

    def told() -> bool:
        return '"enforce" on namespace' in scale(kubectl, "--dry-run=server").err

    eventually(told, "the refusal says that the label is no mode")
    assert scale(kubectl, "--dry-run=server").refused


def test_a_refusal_is_an_event_on_the_object_and_a_dry_run_is_none(kubectl: Kubectl, members: Item) -> None:
    kubectl.refused("scale", "statefulset/members", "--replicas=1", "--dry-run=server")
    assert scale(kubectl).refused
    found = eventually(lambda: events(kubectl, "EditRefused"), "an Event on the StatefulSet")
    [event] = found
    assert event["count"] == 1
    assert event["involvedObject"]["uid"] == kubectl.get("statefulset", "members")["metadata"]["uid"]
    assert event["message"].startswith("SW201 quorum-lost refuses this update of scale by ")
    assert "SW201 quorum-lost" in kubectl("describe", "statefulset/members").out


def test_why_says_who_did_what_and_what_to_do_instead(kubectl: Kubectl, door: Door, members: Item) -> None:
    kubectl.refused("scale", "statefulset/members", "--replicas=1", "--dry-run=server")
    assert scale(kubectl).refused
    assert scale(kubectl).refused

    done = ask(door, "why", f"{kubectl.namespace}/members")

    assert done.returncode == 0, done.stderr
    # Twice here; once more where the API server asked again, or the first try was refused already.
    assert re.search(r"refused, \d times since", done.stdout), done.stdout
    assert "dry run, refused" in done.stdout
    assert f"update of scale of StatefulSet {kubectl.namespace}/members by " in done.stdout
    assert "SW201 quorum-lost" in done.stdout
    assert "  do   " in done.stdout
    of_kind = ask(door, "why", "sts/members", "-n", kubectl.namespace, "-f", "json")
    assert {one["outcome"] for one in json.loads(of_kind.stdout)["decisions"]} >= {"denied"}
    assert "nothing was refused" in ask(door, "why", "pod/members", "-n", kubectl.namespace).stdout


def test_where_no_replica_runs_events_say_why(kubectl: Kubectl, members: Item) -> None:
    kubectl.refused("scale", "statefulset/members", "--replicas=1", "--dry-run=server")
    assert scale(kubectl).refused
    eventually(lambda: events(kubectl, "EditRefused"), "an Event on the StatefulSet")
    beside = Path(sys.executable).parent / "stateward"
    arguments = ["why", f"{kubectl.namespace}/members", "--kubeconfig", str(kubectl.kubeconfig), "--installed-in", "nowhere"]
    done = subprocess.run([str(beside), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "no replica runs in namespace nowhere; its Events say" in done.stdout
    assert "SW201 quorum-lost refuses this" in done.stdout
