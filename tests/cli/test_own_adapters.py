"""Kinds of one's own through the commands, as the guide to them says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from stateward.cli import trial
from stateward.cli.main import cli
from stateward.policies.adapters.catalogue import ADAPTERS, BUILT_IN
from stateward.policies.engines import override
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "adding-an-adapter.md").read_text()
OBJECT, KINDS, CASES, ANNOTATED = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
SHOWN = re.findall(r"```\n(Ledger.*?)```", GUIDE, re.DOTALL)[0]


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin)


@pytest.fixture
def there(tmp_path, monkeypatch):
    """The files of the guide."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("books", OBJECT), ("kinds", KINDS), ("cases", CASES)):
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "after.yaml").write_text(OBJECT.replace('release: "16.4"\n  nodes', 'release: "15.8"\n  nodes'))
    return tmp_path


def test_what_the_guide_shows_is_what_is_printed(there):
    result = run("adapters", "--policy", "kinds.yaml", "--try", "books.yaml")
    assert result.exit_code == 0
    assert result.stdout == SHOWN


def test_the_cases_of_the_guide_hold_with_its_policy_alone(there):
    with_it = run("test", "--policy", "kinds.yaml", "cases.yaml")
    assert with_it.exit_code == 0
    assert "2 passed, 0 failed" in with_it.stdout
    assert run("test", "cases.yaml").exit_code == 1


def test_the_annotations_of_the_guide_are_read():
    said = override.read(yaml.safe_load(ANNOTATED)["metadata"]["annotations"])
    assert said.engine is not None
    assert said.version is not None
    assert not said.problems


def test_lint_points_at_the_field(there):
    result = run("lint", "--policy", "kinds.yaml", "--old", "books.yaml", "after.yaml")
    assert result.exit_code == 1
    assert "after.yaml:5:12: SW301 deny downgrade · Ledger shop/books" in result.stdout
    assert "ledgers.db.acme.example/books" in result.stdout


def test_review_answers_as_the_webhook_does(there):
    old, new = yaml.safe_load(OBJECT), yaml.safe_load((there / "after.yaml").read_text())
    asked = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "operation": "UPDATE",
            "kind": {"group": "db.acme.example", "version": "v1", "kind": "Ledger"},
            "resource": {"group": "db.acme.example", "version": "v1", "resource": "ledgers"},
            "name": "books",
            "namespace": "shop",
            "object": new,
            "oldObject": old,
        },
    }
    result = run("review", "--policy", "kinds.yaml", stdin=json.dumps(asked))
    response = json.loads(result.stdout)["response"]
    assert not response["allowed"]
    assert "SW301" in response["status"]["message"]


def test_the_next_command_without_the_policy_knows_nothing_of_it(there):
    run("lint", "--policy", "kinds.yaml", "books.yaml")
    assert "Ledger.db.acme.example" in ADAPTERS
    run("lint", "books.yaml")
    assert "Ledger.db.acme.example" not in ADAPTERS


def test_every_mistake_has_its_line_and_column(there):
    wrong = KINDS.replace("engine: postgresql ", "engine: postgress").replace(
        "          ready: status.ready\n", "          reddy: x\n"
    )
    (there / "wrong.yaml").write_text(wrong)
    for command in (("lint", "books.yaml"), ("test", "cases.yaml"), ("review",), ("adapters",), ("rules",), ("replay", ".")):
        result = run(command[0], "--policy", "wrong.yaml", *command[1:])
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.splitlines() == [
            'error: wrong.yaml:9:15: spec.adapters[0].engine: "postgress" is no engine; did you mean postgresql?',
            'error: wrong.yaml:17:18: spec.adapters[0].groups[0].reddy: unknown word "reddy"; did you mean ready?',
        ]


# --- adapters --------------------------------------------------------------------------------------------------------


def test_adapters_lists_ones_own_beside_the_others(there):
    rows = json.loads(run("adapters", "--policy", "kinds.yaml", "-f", "json").stdout)["adapters"]
    assert len(rows) == len(BUILT_IN) + 1
    (mine,) = [row for row in rows if row["own"]]
    assert (mine["name"], mine["file"]) == ("ledger", "kinds.yaml: spec.adapters[0]")
    assert "kinds.yaml: spec.adapters[0]" in run("adapters", "ledger", "--policy", "kinds.yaml").stdout
    assert run("adapters", "ledger").exit_code == 2


def test_a_trial_as_json_has_the_same_parts(there):
    (found,) = json.loads(run("adapters", "--policy", "kinds.yaml", "--try", "books.yaml", "-f", "json").stdout)["objects"]
    assert (found["kind"], found["name"], found["adapter"]) == ("Ledger.db.acme.example", "books", "ledger")
    assert {"part": "nodes.wal.size", "value": "2Gi", "field": "spec.logs[0].size"} in found["parts"]


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        (("nodes: 3", "nodes: many"), "nodes.members     of a wrong type  spec.nodes"),
        (('release: "16.4"\n  nodes', "nodes"), "version           nothing       spec.release"),
        (("size: 10Gi", "size: much"), "nodes.data.size   much is no quantity  spec.disk.size"),
        (("class: fast, size: 10Gi", "size: 10Gi"), "nodes.data.class  the default class  spec.disk.class"),
    ],
)
def test_a_trial_says_what_is_missing_or_wrong(there, edit, shown):
    (there / "books.yaml").write_text(OBJECT.replace(*edit))
    assert shown in run("adapters", "--policy", "kinds.yaml", "--try", "books.yaml").stdout


def test_a_trial_of_a_kind_without_adapter_says_so(there):
    result = run("adapters", "--try", "books.yaml")
    assert result.exit_code == 2
    assert "books.yaml: Ledger.db.acme.example: no adapter is for it" in result.stderr


def test_a_trial_shows_no_value_that_may_be_a_secret(there):
    container = {
        "name": "db",
        "image": "mariadb:11.4",
        "env": [{"name": "MARIADB_ROOT_PASSWORD", "value": "hunter2"}],
        "args": ["--password=hunter2"],
    }
    spec = {"template": {"spec": {"containers": [container]}}}
    item = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a"}, "spec": spec}
    (there / "set.yaml").write_text(yaml.safe_dump(item))
    result = run("adapters", "--try", "set.yaml")
    assert "mariadb" in result.stdout
    assert "hunter2" not in result.stdout


def test_every_example_of_the_rules_can_be_tried():
    """Whatever an object is like, it is shown."""
    from stateward.policies import cases, data
    from stateward.policies.rules import RULES

    tried = 0
    for rule in RULES:
        for case in cases.read(rule.id, data.examples(rule.module)):
            for item in (case.request.old, case.request.object, *case.context):
                adapter = ADAPTERS.get(trial.kind_of_object(item)) if item else None
                if adapter is not None and item is not None:
                    assert list(trial.parts(Service(adapter, item, EMPTY_VIEW)))
                    tried += 1
    assert tried > 500
