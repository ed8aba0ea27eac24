"""`stateward plan`: what would happen, in order, and what it risks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateward.cli.main import cli

OLD = """\
apiVersion: stateward.dev/v1beta1
kind: StatefulService
metadata: {name: orders, namespace: prod}
spec:
  engine: etcd
  version: 3.4.30
  members: 3
  storage: {size: 8Gi, class: standard}
  tls: {enabled: false}
  upgrade: {windows: [{schedule: "0 2 * * 6", duration: 2h}]}
"""
NOW = "2026-11-21T12:00:00Z"


def run(folder: Path, new: str, *more: str, old: str | None = OLD) -> Result:
    (folder / "new.yaml").write_text(new)
    if old is not None:
        (folder / "old.yaml").write_text(old)
    before = str(folder / "old.yaml") if old is not None else "none"
    return CliRunner().invoke(cli, ["plan", "-f", str(folder / "new.yaml"), "--old", before, "--now", NOW, *more])


def test_an_upgrade_is_told_step_by_step_with_its_window_its_risk_and_its_way_back(tmp_path: Path) -> None:
    result = run(tmp_path, OLD.replace("3.4.30", "3.5.33"))
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "prod/orders   etcd   version: 3.4.30 → 3.5.33",
        "rules    none refuses it",
        "",
        "   waits 6 days, until Sat 2026-11-28 02:00 UTC: the next window opens at 2026-11-28T02:00Z; then the hop to",
        "   3.5.33 begins (3.4.30 → 3.5.33)",
        "1  Upgrade  begin                the hop to 3.5.33 begins (3.4.30 → 3.5.33)",
        "                                 3 of 3 serve, one may fail",
        "                                 back? yes: set version back to 3.4.30, as long as 3.5.33 is not final",
        "2  Upgrade  restart orders-2     its pod is made anew, 1 of 3, with quay.io/coreos/etcd:v3.5.33",
        "                                 2 of 3 serve without orders-2, none may fail",
        "3  Upgrade  restart orders-1     its pod is made anew, 2 of 3, with quay.io/coreos/etcd:v3.5.33",
        "                                 2 of 3 serve without orders-1, none may fail",
        "4  Upgrade  switchover orders-0  it leads, and hands over before its pod is made anew",
        "                                 3 of 3 serve, one may fail",
        "                                 back? yes: any member may lead",
        "5  Upgrade  restart orders-0     its pod is made anew, 3 of 3, with quay.io/coreos/etcd:v3.5.33",
        "                                 2 of 3 serve without orders-0, none may fail",
        "                                 back? yes: set version back to 3.4.30, as long as 3.5.33 is not final",
        "6  Upgrade  begun                members have run 3.5.33, and none runs 3.4.30 any more",
        "                                 3 of 3 serve, one may fail",
        "7  Upgrade  done                 all members run 3.5.33",
        "                                 3 of 3 serve, one may fail",
        "                                 back? no: all members run 3.5.33, and take the data over; only a backup leads",
        "                                 back to 3.4.30",
        "",
        "risk     at its lowest 2 of 3 serve without orders-2, none may fail (step 2)",
        "back     there is no way back from step 7 on: all members run 3.5.33, and take the data over; only a backup",
        "         leads back to 3.4.30",
        "ends     all is as wanted",
    ]


def test_what_the_rules_refuse_has_no_steps(tmp_path: Path) -> None:
    result = run(tmp_path, OLD.replace("members: 3", "members: 1"))
    assert result.exit_code == 1
    assert "SW201 quorum-lost" in result.output
    assert "spec.members: 3 → 1 leaves less than the majority of 3 (2)" in result.output
    assert "nothing of it would be carried out" in result.output
    assert "ScaleDown" not in result.output


def test_what_cannot_be_done_to_its_end_says_why(tmp_path: Path) -> None:
    pg = OLD.replace("engine: etcd", "engine: postgresql").replace("3.4.30", '"17.2"')
    result = run(tmp_path, pg.replace("17.2", "18.1"), old=pg)
    assert result.exit_code == 1
    assert "ends     it cannot be done: " in result.output


def test_a_policy_says_what_is_refused(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text('apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {rules: {SW201: "off"}}\n')
    result = run(tmp_path, OLD.replace("members: 3", "members: 1"), "--policy", str(policy))
    assert result.exit_code == 0, result.output
    assert "ScaleDown  leave orders-2" in result.output


def test_programs_get_it_as_json(tmp_path: Path) -> None:
    result = run(tmp_path, OLD.replace("members: 3", "members: 5"), "--format", "json")
    told = json.loads(result.output)
    (one,) = told["plans"]
    assert (told["format"], one["service"], one["possible"], one["changes"]) == (
        "stateward-plan/v1",
        "prod/orders",
        True,
        "members: 3 → 5",
    )
    assert [(step["step"], step["member"]) for step in one["steps"]][:3] == [
        ("join", "orders-3"),
        ("start", "orders-3"),
        ("promote", "orders-3"),
    ]
    assert min(step["spare"] for step in one["steps"]) == 1


def test_several_services_of_a_file_are_planned_one_after_the_other(tmp_path: Path) -> None:
    second = OLD.replace("name: orders", "name: keys")
    new = OLD.replace("members: 3", "members: 5") + "---\n" + second
    result = run(tmp_path, new, old=OLD + "---\n" + second)
    assert result.exit_code == 0, result.output
    assert "prod/orders   etcd   members: 3 → 5" in result.output
    assert "prod/keys   etcd   nothing changes" in result.output


def test_a_new_service_is_planned_without_an_old_one(tmp_path: Path) -> None:
    result = run(tmp_path, OLD, old=None)
    assert result.exit_code == 0, result.output
    assert "prod/orders   etcd   it is made" in result.output
    assert "1  Create  form  etcd 3.4.30 is founded: all of 3 members serve" in result.output


def test_it_is_read_from_standard_input_too(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["plan", "-f", "-", "--old", "none", "--now", NOW], input=OLD)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("new", "old", "said"),
    [
        (OLD.replace("members: 3", "members: many"), OLD, "spec.members: input should be a valid integer"),
        (OLD.replace("v1beta1", "v1alpha1"), OLD, "apiVersion: stateward.dev/v1alpha1: a plan is made of"),
        ("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n", OLD, "no StatefulService is in it"),
        (OLD.replace("name: orders", "name: other"), OLD, "prod/other: it is not in it, there are: prod/orders"),
        (OLD, "a: [", "old.yaml"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, new: str, old: str, said: str) -> None:
    result = run(tmp_path, new, old=old)
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.startswith("error: ")
    assert len(result.output.splitlines()) == 1
