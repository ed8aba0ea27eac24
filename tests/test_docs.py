"""The documents tell the truth: their code runs, their policies load, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from stateward.policies import cases, policy
from stateward.policies.engine import dispatch, evaluate
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


def test_the_policy_of_the_guide_loads():
    text, _ = blocks(ROOT / "docs" / "policy.md", "yaml")
    loaded = policy.parse(yaml.safe_load(text), RULES)
    assert loaded.profile == "production"
    assert set(loaded.overrides) == {"SW302", "SW207", "SW401", "SW201"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_rules_that_documents_name_exist(path):
    known = {rule.id for rule in RULES} | {"SW219"}
    assert set(re.findall(r"\bSW\d{3}\b", path.read_text())) <= known


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
