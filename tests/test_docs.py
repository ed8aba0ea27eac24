"""The documents tell the truth: their code runs, their policies load, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from stateward.policies import cases, cel, cel_functions, cel_values, policy, waiver
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engine import evaluate
from stateward.policies.model import Service
from stateward.policies.request import Request
from stateward.policies.rota import dispatch
from stateward.policies.rule import OWN
from stateward.policies.rules import RULES
from stateward.policies.view import EMPTY_VIEW

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def test_the_rule_that_the_guide_adds_works_as_it_says():
    (source,) = blocks(ROOT / "docs" / "adding-a-rule.md", "python")
    scope: dict[str, object] = {"__name__": "guide"}
    exec(compile(source, "adding-a-rule.md", "exec"), scope)
    added = scope["too_many_members"]
    case = {
        "cases": [
            {
                "operation": "UPDATE",
                "old": {
                    "apiVersion": "apps/v1",
                    "kind": "StatefulSet",
                    "metadata": {"name": "etcd", "namespace": "a"},
                    "spec": {
                        "replicas": 9,
                        "template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.33"}]}},
                    },
                },
                "patch": {"spec": {"replicas": 11}},
                "expect": "warn",
            }
        ]
    }
    (found,) = cases.read("guide", case)
    asked = dispatch([added])
    verdict = evaluate(found.request, EMPTY_VIEW, now=found.now, asked=asked)
    assert [one.finding.headline for one in verdict.warned] == ["spec.replicas: 11 members are more than 9"]
    less = evaluate(
        next(iter(cases.read("guide", {"cases": [{**case["cases"][0], "patch": {"spec": {"replicas": 9}}}]}))).request,
        EMPTY_VIEW,
        now=found.now,
        asked=asked,
    )
    assert not less.judged


def test_what_the_guide_to_policies_shows_loads():
    first, annotated, waived, own = map(yaml.safe_load, blocks(ROOT / "docs" / "policy.md", "yaml"))
    loaded = policy.parse(first, RULES)
    assert loaded.title == "production@1"
    assert set(loaded.overrides) == {"SW302", "SW207", "SW401", "SW201"}
    assert [one.rule for one in waiver.read(annotated).waivers] == ["SW302"]
    waived["spec"]["until"] = waived["spec"]["until"].isoformat()  # YAML reads a time, Kubernetes a text
    target = {"apiVersion": "kafka.strimzi.io/v1", "kind": "Kafka", "metadata": {"name": "events", "namespace": "prod"}}
    assert [one.rule for one in waiver.granted(waived, [target]).waivers] == ["SW302", "quorum-lost"]
    assert [rule.id for rule in policy.parse(own, RULES).user_rules] == ["SW901", "SW902", "SW903"]


def test_the_guide_lists_what_expressions_see():
    text = (ROOT / "docs" / "policy.md").read_text()
    item = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "a"}, "spec": {}}
    service = cel_values.service_of(Service(ADAPTERS["StatefulSet.apps"], item, EMPTY_VIEW))
    table = text[text.index("| field of `service`") : text.index("### Functions")]
    for name in service:
        assert f"`{name}" in table, name
    for name in cel_values.request_of(Request("Pod", "CREATE", "x", "a", item, None)):
        assert f"`{name}" in text, name
    for name in (*cel.VARIABLES, "params", "variables", *cel_functions.FUNCTIONS):
        assert f"`{name}" in text, name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_rules_that_documents_name_exist(path):
    known = {rule.id for rule in RULES} | {"SW219"}
    named = set(re.findall(r"\bSW\d{3}\b", path.read_text()))
    assert {name for name in named if not name.startswith(OWN)} <= known  # the reader's own rules are the reader's


def test_the_readme_shows_what_lint_prints():
    from click.testing import CliRunner

    from stateward.cli.main import cli

    result = CliRunner().invoke(
        cli, ["lint", "--old", str(ROOT / "demo/before/events.yaml"), str(ROOT / "demo/after/events.yaml")]
    )
    shown = blocks(ROOT / "README.md", "")[0].splitlines()
    printed = result.stdout.splitlines()
    assert shown[0].endswith(printed[0].partition("events.yaml")[2])
    assert shown[1:4] == printed[1:4]
