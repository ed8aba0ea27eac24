"""Baselines: what is known is counted and does not fail; what is new does; what is gone is said."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from stateward.cli import baseline
from stateward.cli.main import cli
from stateward.cli.reports.report import Finding, Place, Subject

NOW = "2026-11-21T12:00:00Z"
SET = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}, namespace: prod}}
spec:
  replicas: {replicas}
  template: {{spec: {{containers: [{{name: etcd, image: "quay.io/coreos/etcd:v3.5.33"}}]}}}}
  volumeClaimTemplates: [{{metadata: {{name: data}}, spec: {{resources: {{requests: {{storage: 1Gi}}}}}}}}]
"""


def one_entry(more: str) -> str:
    entry = f'{{"rule": "a", "object": "b", "field": "c", "fingerprint": "d", {more}}}'
    return f'{{"format": "stateward-baseline/v1", "findings": [{entry}]}}'


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["lint", "--now", NOW, "--old", "old", "new", "--baseline", "known.json", *arguments])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        for service in ("a", "b"):
            replicas = 3 if name == "old" else 1
            (tmp_path / name / f"{service}.yaml").write_text(SET.format(name=service, replicas=replicas))
    return tmp_path


def entries(folder) -> list[dict]:
    content = json.loads((folder / "known.json").read_text())
    assert content["format"] == "stateward-baseline/v1"
    return content["findings"]


def test_known_findings_are_counted_and_do_not_fail(folder):
    written = run("--update-baseline")
    assert (written.exit_code, written.stdout) == (0, "")
    assert "known.json: written, 0 entries removed" in written.stderr
    assert "0 refused, 2 known findings accepted by known.json" in written.stderr
    again = run()
    assert (again.exit_code, again.stdout) == (0, "")
    assert again.stderr == "2 objects in 2 files, 0 refused, 2 known findings accepted by known.json\n"


def test_a_new_finding_fails_though_others_are_known(folder):
    run("--update-baseline")
    (folder / "old" / "c.yaml").write_text(SET.format(name="c", replicas=3))
    (folder / "new" / "c.yaml").write_text(SET.format(name="c", replicas=1))
    result = run()
    assert result.exit_code == 1
    assert "StatefulSet prod/c" in result.stdout
    assert "StatefulSet prod/a" not in result.stdout
    assert "1 refused, 2 known findings" in result.stderr


def test_the_file_is_sorted_a_line_a_finding_and_the_same_every_time(folder):
    run("--update-baseline")
    first = (folder / "known.json").read_text()
    assert [one["object"] for one in entries(folder)] == ["StatefulSet.apps prod/a", "StatefulSet.apps prod/b"]
    assert len([line for line in first.splitlines() if "SW201" in line]) == 2
    assert "\n" in first[-1:]
    run("--update-baseline")
    assert (folder / "known.json").read_text() == first
    # neither lines nor values count
    (folder / "new" / "a.yaml").write_text("# moved\n\n" + SET.format(name="a", replicas=0))
    assert run().exit_code == 0


def test_what_no_longer_occurs_is_said_and_removed_by_the_next_write(folder):
    run("--update-baseline")
    (folder / "new" / "a.yaml").write_text(SET.format(name="a", replicas=3))
    result = run()
    assert result.exit_code == 0
    assert "known.json: note: 1 entry did not occur (SW201 StatefulSet.apps prod/a spec.replicas)" in result.stderr
    assert len(entries(folder)) == 2
    assert "1 entry removed" in run("--update-baseline").stderr
    assert [one["object"] for one in entries(folder)] == ["StatefulSet.apps prod/b"]


def test_the_same_finding_once_more_is_new(folder):
    entry = {"rule": "SW999", "object": "Thing a/b", "field": "spec.x", "fingerprint": finding().fingerprint, "count": 1}
    (folder / "known.json").write_text(json.dumps({"format": baseline.FORMAT, "findings": [entry]}))
    known = baseline.read("known.json")
    one, again = finding(), finding()
    known.accept([one, again])
    assert (one.state, again.state) == ("known", "new")
    assert [row.count for row in known.renewed([one, again], None)] == [2]


def finding() -> Finding:
    subject = Subject("Thing", "a", "b", "Thing a/b")
    return Finding(
        **{"rule": "SW999", "name": "x", "action": "deny", "place": Place("a.yaml", 1, 1, 2), "subject": subject},
        **{"operation": "CREATE", "field": "spec.x", "headline": "", "why": "", "remedy": "", "waive": ""},
    )


def test_rules_that_were_not_asked_keep_their_entries(folder):
    run("--update-baseline")
    result = run("--select", "SW1")
    assert "did not occur" not in result.stderr
    run("--select", "SW1", "--update-baseline")
    assert len(entries(folder)) == 2


def test_nothing_is_written_where_an_input_is_broken(folder):
    run("--update-baseline")
    before = (folder / "known.json").read_text()
    (folder / "new" / "a.yaml").write_text("apiVersion: apps/v1\nkind: [\n")
    result = run("--update-baseline")
    assert result.exit_code == 2
    assert "known.json: not written" in result.stderr
    assert (folder / "known.json").read_text() == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no such file; add --update-baseline"),
        ("{", "known.json:1:2: it is no JSON"),
        ("[]", "it is no baseline"),
        ('{"format": "stateward-baseline/v2", "findings": []}', "it is no baseline"),
        ('{"format": "stateward-baseline/v1", "findings": [1]}', "findings[0]: it is no mapping"),
        ('{"format": "stateward-baseline/v1", "findings": [{"rule": "SW201"}]}', "findings[0].object: a text is wanted"),
        (one_entry('"x": 1'), 'findings[0]: unknown field "x"'),
        (one_entry('"count": 0'), "findings[0].count: 0 is less than 1"),
        (one_entry('"count": true'), "findings[0].count: a number is wanted"),
    ],
)
def test_a_broken_baseline_is_bad_input(folder, text, says):
    if text is not None:
        (folder / "known.json").write_text(text)
    result = run()
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


def test_an_update_needs_a_file():
    result = CliRunner().invoke(cli, ["lint", "--update-baseline", "."])
    assert result.exit_code == 2
    assert "add --baseline FILE" in result.stderr


def test_sarif_and_json_say_what_is_known(folder):
    run("--update-baseline")
    log = json.loads(run("-f", "sarif").stdout)
    for one in log["runs"][0]["results"]:
        assert one["baselineState"] == "unchanged"
        assert one["suppressions"][0]["kind"] == "external"
    report = json.loads(run("-f", "json").stdout)
    assert report["baseline"] == {"file": "known.json", "accepted": 2, "stale": []}
    assert {one["state"] for one in report["findings"]} == {"known"}
