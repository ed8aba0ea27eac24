"""The documents tell the truth: their code runs, their policies load, their links lead somewhere."""

from __future__ import annotations

import importlib
import itertools
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from stateward.cli.main import _COMMANDS, cli
from stateward.policies import cases, cel, cel_functions, cel_values, policy, waiver
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engine import evaluate
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Service
from stateward.policies.mutations import MUTATIONS
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
    known = {rule.id for rule in (*RULES, *MUTATIONS)} | {"SW219"}
    named = set(re.findall(r"\bSW\d{3}\b", path.read_text()))
    assert {name for name in named if not name.startswith(OWN)} <= known  # the reader's own rules are the reader's


def commands(path: Path) -> list[list[str]]:
    """Every call of stateward in the code of a document, as words; what follows a pipe or a redirection is left out."""
    found = []
    for block in re.findall(r"```(?:sh|yaml)\n(.*?)```", path.read_text(), re.DOTALL):
        for call in re.findall(r"(?<![\w'\"/.:-])(?:kubectl )?stateward ([a-z]+\b[^\n;]*)", block):
            lexer = shlex.shlex(call.partition("   #")[0].replace("…", "x"), posix=True, punctuation_chars=";|<>")
            lexer.whitespace_split = True
            words = list(itertools.takewhile(lambda word: word[0] not in ";|<>&)`", lexer))
            if words[0] in _COMMANDS:
                found.append(words)
    return found


CALLS = [(path, words) for path in DOCUMENTS if path.parent.name != "rules" for words in commands(path)]


def test_documents_show_every_command():
    shown = {words[0] for _, words in CALLS}
    assert shown | {"completion"} == set(_COMMANDS)
    assert len(CALLS) > 40


@pytest.mark.parametrize(("path", "words"), CALLS, ids=[f"{path.name}: {' '.join(words)}"[:80] for path, words in CALLS])
def test_commands_in_documents_have_the_options_that_are_shown(path, words):
    command = importlib.import_module(f"stateward.cli.commands.{words[0]}").command
    inner = getattr(command, "commands", {}).get(words[1]) if len(words) > 1 else None  # `certs status`
    command = command if inner is None else inner
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--color"}
    for word in words[1:]:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in known, word


ALONE = ("rules", "explain", "path", "engines")
"""Commands that need no file and nothing outside."""


@pytest.mark.parametrize(
    "words", sorted({tuple(words) for _, words in CALLS if words[0] in ALONE and "--policy" not in words}), ids=" ".join
)
def test_commands_in_documents_that_need_nothing_run(words):
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == 0, result.output
    assert result.stdout


def test_every_option_of_lint_is_documented():
    text = (ROOT / "docs" / "lint.md").read_text()
    command = importlib.import_module("stateward.cli.commands.lint").command
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or any(option in text for option in parameter.opts), parameter.opts


def test_the_readme_lists_every_kind_and_every_engine():
    text = (ROOT / "README.md").read_text()
    table = text[text.index("| engine | custom resources |") : text.index("[All rules]")]
    for adapter in ADAPTERS.values():
        assert f"`{adapter.match_kind}`" in table, adapter.name
    for profile in PROFILES.values():
        assert profile.title in table, profile.name


def test_the_policy_of_the_readme_loads():
    pytest.importorskip("cel_expr_python")
    shown = next(block for block in blocks(ROOT / "README.md", "yaml") if "kind: WardPolicy" in block)
    loaded = policy.parse(yaml.safe_load(shown), RULES)
    assert [rule.id for rule in loaded.user_rules] == ["SW901"]
    assert set(loaded.adapters) == {"Ledger.db.acme.example"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_in_documents_is_yaml(path):
    for block in blocks(path, "yaml"):
        assert list(yaml.safe_load_all(block))


def test_the_index_leads_to_every_guide():
    index = (ROOT / "docs" / "README.md").read_text()
    for path in (ROOT / "docs").glob("*.md"):
        assert f"]({path.name})" in index or path.name == "README.md", path.name
    assert "](docs/README.md)" in (ROOT / "README.md").read_text()


def test_the_readme_shows_what_lint_prints():
    result = CliRunner().invoke(
        cli, ["lint", "--old", str(ROOT / "demo/before/events.yaml"), str(ROOT / "demo/after/events.yaml")]
    )
    shown = blocks(ROOT / "README.md", "")[0].splitlines()
    printed = result.stdout.splitlines()
    assert shown[0].endswith(printed[0].partition("events.yaml")[2])
    assert shown[1:4] == printed[1:4]
