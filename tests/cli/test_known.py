"""What is known, as a user asks for it: engines, adapters, rules, paths; completion, colours, progress, help."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateward.cli.commands import adapters
from stateward.cli.commands.completion import lines
from stateward.cli.main import _COMMANDS, cli
from stateward.policies import data
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.rules import RULES

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def run_json(*arguments: str) -> dict:
    result = run(*arguments, "--format", "json")
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


# --- engines, adapters, rules --------------------------------------------------------------------------------------


def test_engines_lists_every_profile():
    result = run("engines")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == sorted(PROFILES)
    assert [one["engine"] for one in run_json("engines")["engines"]] == sorted(PROFILES)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_an_engine_is_shown_in_full(name):
    profile = PROFILES[name]
    result = run("engines", name.upper())
    assert result.exit_code == 0, result.output
    for part in (profile.title, profile.quorum.model, "upgrades", "sources", *(one.text for one in profile.releases[-1:])):
        assert part in result.stdout
    [told] = run_json("engines", name)["engines"]
    assert len(told["upgrades"]) == len(profile.upgrades)
    assert all(row["reason"] for row in told["upgrades"] + told["downgrades"] if row["verdict"] != "allow")


def test_the_rows_of_an_engine_are_told_in_words():
    text = run("engines", "kafka").stdout
    assert "deny   from <3.9 to >=4.0, mode zookeeper" in text
    assert "between   migrate to KRaft, finalise the migration" in text
    assert "warn   otherwise" in text


def test_no_such_engine_is_bad_usage():
    result = run("engines", "oracle")
    assert result.exit_code == 2
    assert '"oracle" is no engine; there are cassandra' in result.stderr


def test_adapters_lists_every_kind():
    result = run("adapters")
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.stdout.splitlines()[1:]} == {one.name for one in ADAPTERS.values()}


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=lambda adapter: adapter.name)
def test_an_adapter_is_shown_in_full_by_name_and_by_kind(adapter):
    told = next(one for one in run_json("adapters", adapter.name)["adapters"] if one["group"] == adapter.group)
    assert told["kind"] == adapter.match_kind
    assert told["group"] == adapter.group
    assert any(part.startswith(("members", "groups")) for part in told["reads"])
    assert (Path(data.__file__).parent / told["file"]).is_file()
    assert adapter.name in [one["name"] for one in run_json("adapters", adapter.match_kind)["adapters"]]
    assert run("adapters", adapter.name).stdout.startswith(f"{adapter.name} (")


def test_what_an_adapter_reads_is_taken_from_its_file():
    reads = adapters.reads(
        {
            "version": [
                {"image": {"firstOf": ["spec.a", {"path": "spec.b", "default": 1}]}},
                {"text": {"every": "spec.zones", "value": "version"}},
            ],
            "mode": "strimzi",
            "deletesClaims": {"const": True},
            "finalised": {"all": ["spec.x", {"path": "y", "within": "spec.zones"}], "between": "."},
            "stopped": {"condition": "Stopped", "exists": True},
            "groups": [
                {
                    "join": "pools",
                    "members": "spec.n",
                    "volumes": [{"each": "spec.v", "size": "size", "class": {"const": 1}}],
                },
                {"each": "spec.sets", "members": {"firstOf": ["count", {"root": "spec.count"}]}},
                {"eachOf": "spec.pools", "members": "count"},
            ],
            "values": {"factor": "spec.f"},
            "archives": [{"each": "spec.backups", "store": "path"}],
            "fixed": [{"field": "spec.name", "what": "a", "why": "b"}],
        }
    )
    assert reads == {
        "version": ["spec.a", "spec.b", "spec.zones[].version"],
        "finalised": ["spec.x", "spec.zones[].y"],
        "deletesClaims": ["= true"],
        "stopped": ["status.conditions[Stopped]"],
        "members": ["(pools) spec.n", "spec.sets[].count", "spec.count", "spec.pools{}.count"],
        "volumes.class": ["(pools) = 1"],
        "volumes.size": ["(pools) spec.v[].size"],
        "factor": ["spec.f"],
        "archives.store": ["spec.backups[].path"],
        "fixed": ["spec.name"],
    }


def test_rules_and_explanations_as_json():
    told = run_json("rules")["rules"]
    assert {one["id"] for one in told} == {rule.id for rule in RULES}
    one = run_json("explain", "quorum-lost")
    assert one["id"] == "SW201"
    assert {example["verdict"] for example in one["examples"]} >= {"deny", "allow"}
    assert {key: one[key] for key in told[0]} == next(row for row in told if row["id"] == "SW201")


def test_explain_names_what_may_have_been_meant():
    result = run("explain", "quorum-losst")
    assert result.exit_code == 2
    assert '"quorum-losst" is no rule; near it: SW201 quorum-lost' in result.stderr


# --- path ----------------------------------------------------------------------------------------------------------


def test_a_path_shows_what_makes_each_hop_final():
    text = run("path", "mongodb", "4.4", "6.0").stdout
    assert "4.4 → 5.0" in text
    assert 'then     db.adminCommand({setFeatureCompatibilityVersion: "5.0"})' in text


def test_a_path_shows_where_no_way_leads_back():
    assert (
        "back     no way back without a backup: pg_basebackup" in run("path", "postgresql", "14", "18", "--operator").stdout
    )
    [hop] = run_json("path", "postgresql", "14", "18", "--operator")["hops"]
    assert hop["oneWay"] is True


def test_a_path_shows_what_comes_between():
    told = run_json("path", "kafka", "3.6.2", "4.1.0", "--mode", "zookeeper")
    assert told["known"] is True
    assert told["hops"] is None
    assert told["words"] == "3.6.2 → 3.9.2, migrate to KRaft, finalise the migration, then 4.1.0"
    assert told["atOnce"]["between"] == "migrate to KRaft, finalise the migration"
    assert "between  migrate to KRaft" in run("path", "kafka", "3.6.2", "4.1.0", "--mode", "zookeeper").stdout


def test_no_path_says_why_and_where_that_is_written():
    result = run("path", "postgresql", "14", "18")
    assert result.exit_code == 1
    for part in ("no supported path from 14 to 18 is known", "why      PostgreSQL does not open", "source   https://"):
        assert part in result.stdout
    told = run_json("path", "postgresql", "14", "18")
    assert (told["known"], told["hops"]) == (False, None)


def test_a_path_to_the_same_version_is_no_way_at_all():
    result = run("path", "kafka", "3.6.2", "3.6.2")
    assert (result.exit_code, result.stdout) == (0, "Apache Kafka: 3.6.2 and 3.6.2 are the same release; nothing to do\n")


# --- test ----------------------------------------------------------------------------------------------------------

CASES = """\
title: mine
cases:
  - name: shrink <&>
    operation: UPDATE
    old: &db
      apiVersion: postgresql.cnpg.io/v1
      kind: Cluster
      metadata: {name: db, namespace: prod}
      spec: {instances: 3, imageName: "postgresql:17.5", storage: {size: 10Gi}}
    patch: {spec: {storage: {size: 5Gi}}}
    expect: allow
    because: this is wrong
  - {name: grow, operation: UPDATE, old: *db, patch: {spec: {storage: {size: 20Gi}}}, expect: allow}
"""


def test_cases_as_json_and_junit(tmp_path):
    (tmp_path / "mine.yaml").write_text(CASES)
    told = run_json("test", str(tmp_path))
    assert told["totals"] == {"cases": 2, "passed": 1, "failed": 1}
    shrink, grow = told["cases"]
    assert (shrink["passed"], shrink["expect"], shrink["got"], shrink["rules"]) == (False, "allow", "deny", ["SW102"])
    assert grow["passed"] is True
    result = run("test", str(tmp_path), "--format", "junit", "--output", str(tmp_path / "out.xml"))
    assert (result.exit_code, result.stdout) == (1, "")
    tree = ElementTree.fromstring((tmp_path / "out.xml").read_text())  # noqa: S314
    assert (tree.get("tests"), tree.get("failures")) == ("2", "1")
    [failure] = tree.iter("failure")
    assert failure.get("message") == "expected allow, got deny (SW102)"
    assert "because this is wrong" in failure.text
    assert [case.get("name") for case in tree.iter("testcase")] == ["mine shrink <&>", "mine grow"]


def test_the_table_into_a_file_has_no_colours(tmp_path):
    (tmp_path / "mine.yaml").write_text(CASES)
    run("test", "--color", "always", str(tmp_path / "mine.yaml"), "--output", str(tmp_path / "out.txt"))
    text = (tmp_path / "out.txt").read_text()
    assert "FAIL  mine shrink" in text
    assert "\x1b" not in text


# --- completion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "sign"), [("bash", "complete -o nosort -F"), ("zsh", "compdef"), ("fish", "complete --no-files")]
)
def test_completion_prints_a_script(shell, sign):
    result = run("completion", shell)
    assert result.exit_code == 0
    assert sign in result.stdout
    assert "_STATEWARD_COMPLETE" in result.stdout


COMPLETIONS = {
    ("l",): ["lint"],
    ("lint", "--f"): ["--fix", "--fail-on", "--format"],
    ("lint", "--format", "s"): ["sarif"],
    ("lint", "-f", ""): ["text", "json", "sarif", "junit", "github", "html"],
    ("lint", "--select", "SW20"): [rule.id for rule in sorted(RULES, key=lambda one: one.id) if rule.id.startswith("SW20")],
    ("lint", "--select", "SW302,quorum"): ["SW302,quorum-lost"],
    ("lint", "--profile", "st"): ["strict@1"],
    ("explain", "quorum-l"): ["quorum-lost"],
    ("engines", "kaf"): ["kafka"],
    ("path", "cass"): ["cassandra"],
    ("path", "kafka", "3.9"): ["3.9.2"],
    ("path", "kafka", "3.6.2", "3.9"): ["3.9.2"],
    ("adapters", "strimzi-k"): ["strimzi-kafka"],
    ("completion", ""): ["bash", "zsh", "fish"],
    ("--color", "al"): ["always"],
}


@pytest.mark.parametrize(("words", "wanted"), COMPLETIONS.items(), ids=lambda value: " ".join(value))
def test_kubectl_is_told_what_fits(words, wanted, monkeypatch, capsys):
    from stateward.cli.commands import completion

    monkeypatch.setattr(sys, "argv", ["kubectl_complete-stateward", *words])
    completion.kubectl()
    *found, directive = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in found] == wanted
    assert directive == ":4"


def test_kubectl_completes_files_itself(monkeypatch, capsys):
    from stateward.cli.commands import completion

    monkeypatch.setattr(sys, "argv", ["kubectl_complete-stateward", "lint", ""])
    completion.kubectl()
    assert capsys.readouterr().out == ":0\n"
    assert lines([]) == [":4"]


def test_the_entry_point_for_kubectl_is_installed():
    done = subprocess.run([BIN / "kubectl_complete-stateward", "exp"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("explain\t")


def test_bash_completes_with_the_script():
    script = f"""
        PATH={BIN}:$PATH; source <(stateward completion bash)
        COMP_WORDS=(stateward lint --select SW30); COMP_CWORD=3
        _stateward_completion stateward SW30 --select; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(rule.id for rule in RULES if rule.id.startswith("SW30"))
    assert done.stderr == ""


# --- colours, progress, help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "variables", "coloured"),
    [
        (["rules"], {}, False),
        (["rules"], {"FORCE_COLOR": "1"}, True),
        (["rules"], {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (["rules"], {"FORCE_COLOR": "1", "TERM": "dumb"}, False),
        (["rules", "--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "always", "rules"], {}, True),
        (["--color", "always", "rules", "--color", "never"], {}, False),
        (["rules", "--color", "never"], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_and_for_who_asks(arguments, variables, coloured):
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    done = subprocess.run(
        [BIN / "stateward", *arguments], capture_output=True, check=True, env={"TERM": "xterm", **environment, **variables}
    )
    assert (b"\x1b[" in done.stdout) is coloured


def on_terminal(script: str, **variables: str) -> str:
    """What a Python script writes to standard error where that is a terminal."""
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | {"TERM": "xterm", **variables}
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", script], stderr=theirs, stdout=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert process.wait(timeout=30) == 0
    return seen.decode()


LONG = """
import time
from stateward.cli import progress
progress.AFTER, progress.EVERY = AFTER, 0.02
with progress.Progress() as one:
    one.phase("judging objects:", 1200)
    for _ in range(20):
        one.step()
        time.sleep(0.02)
"""


def test_a_long_run_says_how_far_it_is_and_leaves_nothing_behind():
    seen = on_terminal(LONG.replace("AFTER, 0.02", "0.05, 0.02"))
    assert re.search(r"judging objects: \d+ of 1,200 \(0 s\)", seen)
    assert seen.endswith("\r\x1b[2K")
    assert "\n" not in seen


def test_a_short_run_and_one_in_ci_say_nothing():
    never = LONG.replace("progress.AFTER, progress.EVERY = AFTER, 0.02", "progress.EVERY = 0.02")
    assert on_terminal(never) == ""
    soon = LONG.replace("AFTER, 0.02", "0.05, 0.02")
    assert on_terminal(soon, CI="true") == ""
    assert on_terminal(soon, TERM="dumb") == ""


def test_progress_is_never_written_into_a_log():
    script = LONG.replace("AFTER, 0.02", "0.0, 0.02")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize("name", _COMMANDS)
def test_help_teaches_by_examples(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"stateward {name}" in result.stdout
    assert "--color" in result.stdout


def examples() -> list[str]:
    found = []
    for name in _COMMANDS.keys() - {"review", "serve"}:  # these wait: for standard input, for requests
        text = run(name, "--help").stdout.partition("Examples:")[2]
        found += re.findall(rf"^ +(stateward {name}[^|>]*?)(?:  +.*|\s*[|>].*)?$", text, re.MULTILINE)
    return found


def test_the_examples_of_help_are_accepted(tmp_path, monkeypatch):
    """An example with an option that is gone teaches nothing."""
    monkeypatch.chdir(tmp_path)
    tried = [line.split()[1:] for line in examples()]
    assert len(tried) > 15
    for words in tried:
        result = run(*words)
        assert "No such option" not in result.output, words
        assert "Usage:" not in result.output, (words, result.output)


def test_starting_is_quick_and_reads_no_rule():
    script = "import sys, stateward.cli.main; sys.exit(any(n.startswith('stateward.policies') for n in sys.modules))"
    started = time.monotonic()
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert time.monotonic() - started < 5
