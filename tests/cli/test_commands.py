"""The commands as a user runs them: what they print, how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateward.cli.main import cli
from stateward.policies import times
from stateward.policies.policy import DEFAULT
from stateward.policies.review import review
from stateward.policies.rules import RULES
from stateward.policies.view import MemoryView

ROOT = Path(__file__).parents[2]
NOW = "2026-11-21T12:00:00Z"

KAFKA = """\
apiVersion: kafka.strimzi.io/v1beta2
kind: Kafka
metadata:
  name: events
  namespace: prod
spec:
  kafka:
    version: {version}
    replicas: 3
    config:
      default.replication.factor: 3
    storage: {{type: persistent-claim, size: {size}, class: fast}}
  zookeeper:
    replicas: 3
    storage: {{type: persistent-claim, size: 20Gi, class: fast}}
"""


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin)


@pytest.fixture
def manifests(tmp_path):
    def write(**files: str) -> Path:
        folder = tmp_path / f"m{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text)
        return folder

    return write


# --- lint ----------------------------------------------------------------------------------------------------------


def test_lint_points_into_the_line_and_says_why_and_what_to_do(manifests):
    old = manifests(kafka=KAFKA.format(version="3.6.2", size="200Gi"))
    new = manifests(kafka=KAFKA.format(version="4.1.0", size="200Gi"))
    result = run("lint", "--now", NOW, "--old", str(old), str(new))
    assert result.exit_code == 1
    assert result.stdout == (
        f"{new}/kafka.yaml:8:14: SW302 deny skipped-hop · Kafka prod/events\n"
        "   8 │     version: 4.1.0\n"
        "     │              ^^^^^ spec.kafka.version: 3.6.2 → 4.1.0 is not a hop that Apache Kafka supports\n"
        "   why  ZooKeeper mode was removed in 4.0 and the brokers do not start; go to 3.9 and migrate to KRaft there\n"
        "   do   3.6.2 → 3.9.2, migrate to KRaft, finalise the migration, then 4.1.0 "
        "(`stateward path kafka 3.6.2 4.1.0 --mode\n        zookeeper`)\n"
        "   or   kubectl annotate -n prod kafkas.kafka.strimzi.io/events "
        "stateward.dev/waive='SW302 until=2026-11-21T13:00:00Z reason=\"…\"'   (waives this rule here, for an hour)\n"
        "\n"
    )
    assert result.stderr == "1 object in 1 file, 1 refused\n"


def test_lint_of_a_harmless_change_says_so_and_ends_with_zero(manifests):
    old = manifests(kafka=KAFKA.format(version="3.6.1", size="200Gi"))
    new = manifests(kafka=KAFKA.format(version="3.6.2", size="200Gi"))
    result = run("lint", "--old", str(old), str(new))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "1 object in 1 file, 0 refused\n"


def test_a_manifest_that_is_gone_is_a_deletion_only_against_old_ones(manifests):
    old = manifests(
        kafka=KAFKA.format(version="3.6.2", size="200Gi"), other="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    )
    new = manifests(other="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    result = run("lint", "--old", str(old), str(new))
    assert result.exit_code == 1
    assert "SW401 deny service-deleted · Kafka prod/events" in result.stdout
    assert f"{old}/kafka.yaml:4:9:" in result.stdout
    assert run("lint", str(new)).exit_code == 0


def test_a_broken_new_file_is_no_deletion_of_what_it_held(manifests):
    old = manifests(kafka=KAFKA.format(version="3.6.2", size="200Gi"))
    new = manifests(kafka="apiVersion: kafka.strimzi.io/v1beta2\nkind: Kafka\nmetadata: {name: events\n")
    result = run("lint", "--old", str(old), str(new))
    assert result.exit_code == 2
    assert "SW401" not in result.stdout
    assert f"{new}/kafka.yaml:" in result.stderr
    assert "error:" in result.stderr


def test_context_is_looked_at_and_not_judged(manifests):
    pool = (
        "apiVersion: kafka.strimzi.io/v1\nkind: KafkaNodePool\n"
        "metadata: {name: controllers, namespace: prod, labels: {strimzi.io/cluster: events}}\n"
        "spec: {replicas: %d, roles: [controller], storage: {type: persistent-claim, size: 10Gi}}\n"
    )
    hub = (
        "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\nmetadata: {name: events, namespace: prod}\n"
        "spec: {kafka: {version: 4.1.0, config: {default.replication.factor: 3}}}\n"
    )
    old, new, context = manifests(pool=pool % 3), manifests(pool=pool % 5), manifests(hub=hub)
    with_hub = run("lint", "--old", str(old), "--context", str(context), str(new))
    assert with_hub.exit_code == 1
    assert "SW203 deny static-voters-scaled · Kafka prod/events" in with_hub.stdout
    assert f"{new}/pool.yaml:4:18:" in with_hub.stdout
    assert with_hub.stderr == "1 object in 1 file, 1 refused\n"


def test_manifests_from_standard_input():
    result = run("lint", "-", stdin=KAFKA.format(version="3.6.2", size="200Gi"))
    assert result.exit_code == 0
    assert result.stderr == "1 object in 1 file, 0 refused\n"


@pytest.mark.parametrize(
    ("text", "says"),
    {
        "broken yaml": ("a: [1, 2\nb: 3\n", "error:"),
        "a key twice": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\nspec: {}\n", 'key "spec" appears twice'),
        "an alias bomb": (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)),
            "error:",
        ),
        "no object": ("just: a mapping\n", "error:"),
        "a python tag": ("apiVersion: v1\nkind: !!python/object:os.system x\n", "error:"),
        "nul bytes": ("apiVersion: v1\nkind: Pod\x00\n", "error:"),
    }.values(),
    ids=str,
)
def test_bad_input_ends_with_two_a_line_and_no_traceback(tmp_path, text, says):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    result = run("lint", str(path))
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert str(path) in result.stderr


def test_a_path_that_does_not_exist_is_named():
    result = run("lint", "/no/such/place")
    assert result.exit_code == 2
    assert "/no/such/place" in result.stderr


def test_wrong_types_anywhere_never_break_lint(tmp_path):
    values = ["1", "text", "null", "true", "[]", "{}", "[1, a]", "1.5"]
    fields = ["metadata", "spec", "status"]
    documents = [
        f"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: x{n}}}\n{field}: {value}\n"
        if field != "metadata"
        else f"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {value}\n"
        for n, (field, value) in enumerate((field, value) for field in fields for value in values)
    ]
    (tmp_path / "odd.yaml").write_text("---\n".join(documents))
    result = run("lint", str(tmp_path / "odd.yaml"))
    assert "failed on this object" not in result.stderr
    assert "Traceback" not in result.output


# --- policy --------------------------------------------------------------------------------------------------------


def test_a_policy_file_turns_a_refusal_into_a_warning(manifests, tmp_path):
    old = manifests(kafka=KAFKA.format(version="3.6.2", size="200Gi"))
    new = manifests(kafka=KAFKA.format(version="4.1.0", size="200Gi"))
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {rules: {SW302: warn}}\n")
    result = run("lint", "--policy", str(policy), "--old", str(old), str(new))
    assert result.exit_code == 0
    assert "SW302 warn skipped-hop" in result.stdout


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("{rules: {SW999: warn}}", '"SW999" is no rule'),
        ("{rules: {SW302: loud}}", "none of deny, warn, audit, off"),
        ("{profile: paranoid@1}", "spec.profile"),
        ("{rulez: {}}", 'unknown field "rulez"'),
    ],
)
def test_a_bad_policy_ends_with_two_and_names_the_field(tmp_path, spec, says):
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {spec}\n")
    result = run("lint", "--policy", str(policy), str(ROOT / "demo" / "before"))
    assert result.exit_code == 2
    assert says in result.stderr
    assert str(policy) in result.stderr


OWN = """\
apiVersion: stateward.dev/v1alpha1
kind: WardPolicy
spec:
  userRules:
    - id: SW901
      name: five-members
      summary: A service has fewer members than we want
      match: {kinds: [Kafka.kafka.strimzi.io]}
      validations: [{expression: "object.spec.kafka.replicas >= 5", message: five are wanted, field: spec.kafka.replicas}]
    - {id: SW902, name: fails, match: {kinds: [Kafka.kafka.strimzi.io]}, validations: [{expression: "object.nope == 1"}]}
"""
WAIVER = """\
apiVersion: stateward.dev/v1alpha1
kind: WardWaiver
metadata: {name: hop, namespace: prod}
spec: {rules: [SW302], target: {kind: Kafka, name: events}, reason: tested, until: "2026-11-21T13:00:00Z"}
"""


def test_a_rule_of_ones_own_is_linted_like_any_other(manifests, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(OWN)
    result = run("lint", "--policy", str(policy), str(manifests(kafka=KAFKA.format(version="3.6.2", size="200Gi"))))
    assert result.exit_code == 1
    assert "kafka.yaml:9:15: SW901 deny five-members · Kafka prod/events" in result.stdout
    assert "spec.kafka.replicas: five are wanted" in result.stdout
    assert (
        'kafka.yaml: SW902 could not be judged: a fault in this rule of the policy (validations[0]: there is no "nope"; '
        "guard it with has())\n"
    ) in result.stderr
    listed = run("rules", "--policy", str(policy)).stdout
    assert "\nyour own\n  SW901  deny   five-members " in listed
    assert "SW308  deny " in run("rules", "--profile", "strict@1").stdout


def test_two_policies_are_an_error(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(OWN)
    for command in ("lint", "review", "test", "serve", "rules"):
        result = run(
            command, "--policy", str(policy), "--policy", "other.yaml", *(["x"] if command in ("lint", "test") else [])
        )
        assert result.exit_code == 2
        assert f"--policy: {policy} and other.yaml are 2 policies; one is taken" in result.stderr
    policy.write_text(f"{OWN}---\n{OWN}")
    assert "2 objects; a policy is a file with one WardPolicy" in run("lint", "--policy", str(policy), "x").stderr


def test_a_waiver_counts_where_it_was_there_before_the_edit(manifests, tmp_path):
    old, new = (KAFKA.format(version=version, size="200Gi") for version in ("3.6.2", "4.1.0"))
    before, after = manifests(kafka=old), manifests(kafka=new, waiver=WAIVER)
    now = ("--now", NOW)
    assert run("lint", *now, "--old", str(before), str(after)).exit_code == 1, "it comes with the edit that needs it"
    there = manifests(kafka=old, waiver=WAIVER)
    waived = run("lint", *now, "--old", str(there), str(after))
    assert waived.exit_code == 0, waived.output
    assert "waived until 2026-11-21T13:00:00Z: tested" in waived.stdout
    aside = manifests(waiver=WAIVER)
    assert run("lint", *now, "--context", str(aside), "--old", str(before), str(after)).exit_code == 0
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {{}}\n---\n{WAIVER}")
    assert run("lint", *now, "--policy", str(policy), "--old", str(before), str(after)).exit_code == 0
    policy.write_text(policy.read_text().replace(", namespace: prod", ""))
    assert "metadata.namespace of WardWaiver hop: it is missing" in run("lint", "--policy", str(policy), "x").stderr


# --- review --------------------------------------------------------------------------------------------------------


def scale_review(replicas: int) -> dict:
    def scale(count: int) -> dict:
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "etcd", "namespace": "prod"},
            "spec": {"replicas": count},
        }

    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "subResource": "scale",
            "name": "etcd",
            "namespace": "prod",
            "operation": "UPDATE",
            "userInfo": {"username": "alice"},
            "object": scale(replicas),
            "oldObject": scale(3),
        },
    }


CONTEXT = """\
apiVersion: v1
kind: Namespace
metadata: {name: prod}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: etcd, namespace: prod}
spec:
  replicas: 3
  template: {spec: {containers: [{name: etcd, image: "quay.io/coreos/etcd:v3.5.33"}]}}
"""


@pytest.mark.parametrize(("replicas", "allowed"), [(1, False), (5, True)])
def test_review_prints_what_the_webhook_sends_and_ends_with_zero(tmp_path, replicas, allowed):
    (tmp_path / "context.yaml").write_text(CONTEXT)
    body = json.dumps(scale_review(replicas)).encode()
    result = run("review", "--context", str(tmp_path), "--now", NOW, stdin=body)
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert answer["response"]["uid"] == "u-1"
    assert answer["response"]["allowed"] is allowed
    import yaml

    seen = MemoryView(list(yaml.safe_load_all(CONTEXT)))
    same = review(body, seen, DEFAULT, now=times.parse(NOW) or 0.0)
    assert result.stdout_bytes == same.body + b"\n"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[]", "AdmissionReview object is wanted"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}', "admission.k8s.io/v1"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}', "request"),
        (b"\xff\xfe", "is not JSON"),
    ],
)
def test_review_of_bad_input_ends_with_two(body, says):
    result = run("review", stdin=body)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


def test_review_with_context_that_cannot_be_read_judges_nothing(tmp_path):
    (tmp_path / "broken.yaml").write_text("apiVersion: v1\nkind: [\n")
    result = run("review", "--context", str(tmp_path), stdin=json.dumps(scale_review(1)))
    assert result.exit_code == 2
    assert "broken.yaml" in result.stderr
    assert result.stdout == ""


def test_review_takes_times_of_rfc_3339_alone():
    result = run("review", "--now", "yesterday", stdin=json.dumps(scale_review(1)))
    assert result.exit_code == 2
    assert '"yesterday" is no RFC 3339 time' in result.stderr


# --- test, rules, explain, path ------------------------------------------------------------------------------------

CASES = """\
title: mine
cases:
  - name: shrink
    operation: UPDATE
    old: &db
      apiVersion: postgresql.cnpg.io/v1
      kind: Cluster
      metadata: {name: db, namespace: prod}
      spec: {instances: 3, imageName: "postgresql:17.5", storage: {size: 10Gi}}
    patch: {spec: {storage: {size: 5Gi}}}
    expect: EXPECT
    because: a volume cannot shrink
  - name: grow
    operation: UPDATE
    old: *db
    patch: {spec: {storage: {size: 20Gi}}}
    expect: allow
    because: growing is right
"""


def test_cases_that_hold_end_with_zero(tmp_path):
    (tmp_path / "mine.yaml").write_text(CASES.replace("EXPECT", "deny"))
    result = run("test", "--verbose", str(tmp_path))
    assert result.exit_code == 0
    assert "mine shrink" in result.stdout
    assert result.stdout.endswith("2 passed, 0 failed\n")


def test_a_case_that_does_not_hold_ends_with_one_and_stands_in_the_table(tmp_path):
    (tmp_path / "mine.yaml").write_text(CASES.replace("EXPECT", "allow"))
    result = run("test", str(tmp_path))
    assert result.exit_code == 1
    assert "FAIL  mine shrink  allow     deny  SW102" in result.stdout
    assert "1 passed, 1 failed" in result.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cases: [{operation: PATCH}]", "operation 'PATCH' is none of"),
        ("cases: [{operation: CREATE, expect: maybe}]", "expect 'maybe' is none of"),
        ("cases: [{operation: CREATE, expect: deny}]", "new is missing"),
        ("nothing: here", "no cases"),
        ("cases: [", "mine.yaml:2:1: did not find"),
    ],
)
def test_a_bad_case_ends_with_two_and_is_named(tmp_path, text, says):
    (tmp_path / "mine.yaml").write_text(text)
    result = run("test", str(tmp_path))
    assert result.exit_code == 2
    assert says in result.stderr


def test_rules_lists_every_rule_once():
    result = run("rules")
    assert result.exit_code == 0
    for rule in RULES:
        assert result.stdout.count(rule.id) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_explain_tells_every_rule_with_its_examples(rule):
    result = run("explain", rule.id.lower())
    assert result.exit_code == 0, result.output
    for part in (rule.id, rule.name, "why", "instead", "source", "examples", "allow"):
        assert part in result.stdout
    assert run("explain", rule.name).stdout == result.stdout


def test_explain_of_no_rule_ends_with_two():
    assert run("explain", "SW000").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("etcd", "3.4.30", "3.6.14"), 0, "3.4.30 → 3.5"),
        (("kafka", "3.6.2", "4.1.0", "--mode", "zookeeper"), 0, "migrate to KRaft"),
        (("postgresql", "14", "18", "--operator"), 0, "14 → 18"),
        (("postgresql", "14", "18"), 1, "no supported path"),
        (("oracle", "1", "2"), 2, "is unknown"),
        (("etcd", "x", "3.6"), 2, "is no version"),
    ],
)
def test_path_shows_the_hops(arguments, code, says):
    result = run("path", *arguments)
    assert result.exit_code == code, result.output
    assert says in result.output


def test_help_names_every_command_and_imports_none():
    script = (
        "import sys; from click.testing import CliRunner; from stateward.cli.main import cli; "
        "r = CliRunner().invoke(cli, ['--help']); print(r.output); "
        "sys.exit(any(name.startswith('stateward.policies') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("lint", "test", "review", "serve", "rules", "explain", "path"):
        assert f"  {name} " in done.stdout


def test_the_demo_runs():
    done = subprocess.run(
        [sys.executable, str(ROOT / "demo" / "run.py")], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"allowed": false' in done.stdout
    assert "Stateward refuses this UPDATE of StatefulSet prod/registry-etcd" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["rules"], ["rules", "--format", "json"], ["explain", "SW201"]])
def test_output_that_cannot_be_written_is_one_line_and_exit_code_2(words):
    program = [sys.executable, "-c", "from stateward.cli.main import main; main()", *words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert done.stderr == (
        "error: the output cannot be written: No space left on device; what was written of it is not whole\n"
    )


def test_a_reader_that_goes_away_is_no_error():
    program = [sys.executable, "-c", "from stateward.cli.main import main; main()", "explain", "SW201"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(program, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
