"""Defaults on the command line: they are listed, explained, and a review shows what would be filled in."""

from __future__ import annotations

import base64
import json

import pytest
from click.testing import CliRunner, Result

from stateward.cli.main import cli
from stateward.policies.mutation_examples import read
from stateward.policies.mutations import MUTATIONS


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin)


def test_defaults_are_listed_after_the_rules(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {profile: production@1, mutate: {SW002: off}}\n"
    )
    for arguments, does in ((("rules",), "fill"), (("rules", "--policy", str(policy)), "never")):
        text = run(*arguments).stdout
        listed = [line.split() for line in text[text.index("\ndefaults") :].splitlines() if line.startswith("  SW")]
        assert [line[0] for line in listed] == [one.id for one in MUTATIONS]
        assert dict(line[:2] for line in listed)["SW002"] == does


def test_programs_get_them_beside_the_rules():
    told = json.loads(run("rules", "-f", "json").stdout)
    assert [one["id"] for one in told["mutations"]] == [one.id for one in MUTATIONS]
    assert not {one["id"] for one in told["rules"]} & {one["id"] for one in told["mutations"]}


@pytest.mark.parametrize("one", MUTATIONS, ids=lambda one: one.id)
def test_explain_tells_each_with_its_examples(one):
    result = run("explain", one.id.lower())
    assert result.exit_code == 0
    assert run("explain", one.name).stdout == result.stdout
    text = " ".join(result.stdout.split())
    for part in (one.summary, one.why, one.safe, "kubectl label namespace <namespace> stateward.dev/defaults=on"):
        assert part in text
    assert sum(line.startswith(("  fill ", "  leave ")) for line in result.stdout.splitlines()) == len(list(read(one)))
    told = json.loads(run("explain", one.id, "-f", "json").stdout)
    assert told["format"] == "stateward-mutation/v1"
    assert len(told["examples"]) == len(list(read(one)))


def test_a_rule_that_the_api_server_repeats_says_that_a_waiver_does_not_help_at_the_door():
    assert "at the door no waiver helps" in run("explain", "SW103").stdout
    assert "at the door no waiver helps" not in run("explain", "SW301").stdout


def test_a_word_that_is_nearly_a_default_is_told_so():
    result = run("explain", "members-spred")
    assert result.exit_code == 2
    assert "SW001 members-spread" in result.stderr


def test_a_review_shows_the_patch_with_mutate_and_none_without(tmp_path):
    example = next(iter(read(MUTATIONS[2])))
    context = tmp_path / "cluster.json"
    context.write_text("\n---\n".join(json.dumps(item) for item in example.case.context))
    request = {
        "uid": "1",
        "operation": "CREATE",
        "namespace": "platform",
        "kind": {"group": "policy", "version": "v1", "kind": "PodDisruptionBudget"},
        "object": example.case.request.object,
    }
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    said = json.loads(run("review", "--mutate", "-c", str(context), stdin=body).stdout)["response"]
    assert json.loads(base64.b64decode(said["patch"])) == [{"op": "add", "path": "/spec/maxUnavailable", "value": 1}]
    assert "patch" not in json.loads(run("review", "-c", str(context), stdin=body).stdout)["response"]
