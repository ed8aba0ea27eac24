"""`lint --fix` and `--diff`: what is refused is put back into the files, or shown."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateward.cli import fixes, manifests
from stateward.cli.main import cli
from stateward.cli.patch import PatchError

OLD = """\
# the ledger
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: ledger, namespace: bank}
spec:
  instances: 3                       # one a zone
  imageName: "ghcr.io/cloudnative-pg/postgresql:17.5"
  storage: {storageClass: fast, size: 80Gi}   # do not touch

  walStorage:
    # apart from the data
    storageClass: fast
    size: '20Gi'
"""
NEW = OLD.replace("80Gi", "40Gi").replace("'20Gi'", "'10Gi'")
KAFKA = """\
apiVersion: kafka.strimzi.io/v1
kind: Kafka
metadata: {name: clicks, namespace: stream}
spec: {kafka: {version: 4.1.0, config: {default.replication.factor: 3}}}
"""
POOL = """\
apiVersion: kafka.strimzi.io/v1
kind: KafkaNodePool
metadata: {name: brokers, namespace: stream, labels: {strimzi.io/cluster: clicks}}
spec:
  replicas: 3
  roles: [broker]
  storage:
    type: jbod
    volumes:
      - {id: 0, type: persistent-claim, size: 500Gi, class: fast}
      - {id: 1, type: persistent-claim, size: 500Gi, class: fast}
"""


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["lint", *arguments], input=stdin)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "db.yaml").write_text(OLD)
    (tmp_path / "new" / "db.yaml").write_text(NEW)
    return tmp_path


def test_a_volume_gets_its_size_back_and_nothing_else_changes(folder):
    result = run("--fix", "--old", "old", "new")
    assert (folder / "new/db.yaml").read_text() == OLD
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert result.stderr == (
        "note: new/db.yaml:8:39: SW102 fixed: spec.storage.size\n"
        "note: new/db.yaml:13:11: SW102 fixed: spec.walStorage.size\n"
        "1 object in 1 file, 0 refused\n"
    )


def test_what_has_no_ready_patch_is_left_and_judged(folder):
    (folder / "new/db.yaml").write_text(NEW.replace(":17.5", ":16.4"))
    result = run("--fix", "--old", "old", "new")
    assert (folder / "new/db.yaml").read_text() == OLD.replace(":17.5", ":16.4")
    assert result.exit_code == 1
    assert "SW301 deny" in result.stdout
    assert "SW102" not in result.stdout


def test_a_class_is_put_back(folder):
    (folder / "old/db.yaml").write_text(OLD)
    (folder / "new/db.yaml").write_text(OLD.replace("storageClass: fast, ", "storageClass: slow, "))
    result = run("--fix", "--old", "old", "new")
    assert "SW101 fixed: spec.storage.storageClass" in result.stderr, result.output
    assert (folder / "new/db.yaml").read_text() == OLD


def test_what_only_warns_is_left_as_it_is(folder):
    """No file says which class is the default one: it may be the one that was named."""
    new = OLD.replace("storageClass: fast, ", "")
    (folder / "old/db.yaml").write_text(OLD)
    (folder / "new/db.yaml").write_text(new)
    result = run("--fix", "--old", "old", "new")
    assert result.exit_code == 0
    assert "SW101 warn" in result.stdout
    assert (folder / "new/db.yaml").read_text() == new


def test_a_volume_of_a_pool_is_found_though_the_list_was_turned_round(folder):
    (folder / "old/db.yaml").write_text(f"{KAFKA}---\n{POOL}")
    lines = POOL.splitlines(keepends=True)
    turned = "".join([*lines[:-2], lines[-1].replace("500Gi", "250Gi"), lines[-2]])
    (folder / "new/db.yaml").write_text(f"{KAFKA}---\n{turned}")
    result = run("--fix", "--old", "old", "new")
    assert result.exit_code == 0, result.output
    assert (folder / "new/db.yaml").read_text() == f"{KAFKA}---\n{''.join([*lines[:-2], lines[-1], lines[-2]])}"
    assert result.stderr.count("SW102 fixed: spec.storage.volumes[0].size") == 1


def test_the_diff_is_shown_and_nothing_written(folder):
    result = run("--diff", "--old", "old", "new")
    assert result.exit_code == 1
    assert (folder / "new/db.yaml").read_text() == NEW
    assert result.stdout.startswith("--- a/new/db.yaml\n+++ b/new/db.yaml\n@@ ")
    assert result.stderr == "2 refused, 2 with a ready patch that --fix would write\n"
    if shutil.which("git"):
        subprocess.run(["git", "apply", "-p1"], input=result.stdout, text=True, check=True, cwd=folder)
        assert (folder / "new/db.yaml").read_text() == OLD


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", [True, False])
def test_the_diff_of_any_line_end_can_be_applied(folder, newline, end):
    def written(text: str) -> bytes:
        return (text if end else text.rstrip("\n")).replace("\n", newline).encode()

    (folder / "new/db.yaml").write_bytes(written(NEW))
    result = run("--diff", "--old", "old", "new")
    subprocess.run(["git", "apply", "-p1"], input=result.stdout_bytes, check=True, cwd=folder)
    assert (folder / "new/db.yaml").read_bytes() == written(OLD)


def test_without_anything_refused_nothing_is_written(folder):
    (folder / "new/db.yaml").write_text(OLD)
    before = (folder / "new/db.yaml").stat()
    assert run("--fix", "--old", "old", "new").exit_code == 0
    assert run("--diff", "--old", "old", "new").stdout == ""
    assert (folder / "new/db.yaml").stat().st_mtime_ns == before.st_mtime_ns


def test_what_is_only_warned_or_waived_is_left(folder):
    policy = folder / "policy.yaml"
    policy.write_text("apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {rules: {SW102: warn}}\n")
    result = run("--fix", "--policy", str(policy), "--old", "old", "new")
    assert result.exit_code == 0
    assert (folder / "new/db.yaml").read_text() == NEW


def test_json_is_fixed_too(folder):
    import json

    import yaml

    for place, text in (("old", OLD), ("new", NEW)):
        (folder / place / "db.yaml").unlink()
        (folder / place / "db.json").write_text(json.dumps(yaml.safe_load(text), indent=4))
    assert run("--fix", "--old", "old", "new").exit_code == 0
    assert (folder / "new/db.json").read_text() == (folder / "old/db.json").read_text()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_encoding_stays(folder, encoding):
    text = NEW.replace("# the ledger", "# das Büchlein")
    (folder / "new/db.yaml").write_bytes(text.encode(encoding))
    assert run("--fix", "--old", "old", "new").exit_code == 0
    assert (folder / "new/db.yaml").read_bytes() == OLD.replace("# the ledger", "# das Büchlein").encode(encoding)


def test_mode_and_link_stay(folder):
    real = folder / "real.yaml"
    real.write_text(NEW)
    real.chmod(0o640)
    (folder / "new/db.yaml").unlink()
    os.symlink("../real.yaml", folder / "new/db.yaml")
    assert run("--fix", "--old", "old", "new").exit_code == 0
    assert (folder / "new/db.yaml").is_symlink()
    assert real.read_text() == OLD
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["new", "old", "real.yaml"], "no temporary file is left"


def test_text_that_is_shared_is_not_changed(folder):
    text = NEW.replace("{storageClass: fast, size: 40Gi}", "&volume {storageClass: fast, size: 10Gi}")
    text = text[: text.index("  walStorage:")] + "  walStorage: *volume\n"
    (folder / "new/db.yaml").write_text(text)
    result = run("--fix", "--old", "old", "new")
    assert result.exit_code == 1
    assert (folder / "new/db.yaml").read_text() == text
    assert "SW102 is not fixed: spec.storage.size: it cannot be changed alone; other places share its text" in result.stderr
    assert "SW102 is not fixed: spec.walStorage.size: its text is an alias" in result.stderr


def test_standard_input_is_judged_and_not_written(folder):
    result = run("--fix", "--old", "old", "-", stdin=NEW)
    assert result.exit_code == 1
    assert "note: <stdin>:8:39: SW102 is not fixed: standard input is not written" in result.stderr
    assert result.stdout.count("SW102 deny") == 2


def test_what_is_only_context_or_old_is_not_written(folder, monkeypatch):
    """A finding may be about an object that is not given to be changed."""
    from stateward.policies import engine
    from stateward.policies.finding import SetField

    (folder / "hub.yaml").write_text(KAFKA)
    (folder / "old/db.yaml").write_text(POOL)
    (folder / "new/db.yaml").write_text(POOL.replace("500Gi", "250Gi"))
    judge = engine.evaluate
    targets: list[str] = []

    def elsewhere(request, view, *arguments, **more):
        verdict = judge(request, view, *arguments, **more)
        for one in verdict.denied:
            hub = view.get("Kafka.kafka.strimzi.io", "stream", "clicks")
            one.finding.on = {"hub": hub, "old": request.old}[targets[0]]
            one.finding.patch = (SetField(("spec", "replicas"), 7),)
        return verdict

    from stateward.cli import edits

    monkeypatch.setattr(edits, "evaluate", elsewhere)
    for target in ("hub", "old"):
        targets[:] = [target]
        result = run("--fix", "--old", "old", "--context", "hub.yaml", "new")
        assert result.exit_code == 1, result.output
        assert "is not fixed: what it is about is old or context, and not written" in result.stderr
        assert (folder / "hub.yaml").read_text() == KAFKA
        assert (folder / "old/db.yaml").read_text() == POOL
        assert (folder / "new/db.yaml").read_text() == POOL.replace("500Gi", "250Gi")


@pytest.mark.skipif(shutil.which("helm") is None, reason="no helm on PATH")
def test_what_is_rendered_is_not_written(folder):
    template = NEW.replace("size: 40Gi", "size: {{ .Values.size }}")
    for name, text in {"Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n", "values.yaml": "size: 40Gi\n"}.items():
        (folder / "new" / name).write_text(text)
    (folder / "new/templates").mkdir()
    (folder / "new/templates/db.yaml").write_text(template)
    (folder / "new/db.yaml").unlink()
    result = run("--fix", "--old", "old", "new")
    assert result.exit_code == 1
    assert "SW102 is not fixed: it is rendered; change its source" in result.stderr
    assert (folder / "new/templates/db.yaml").read_text() == template


def test_against_a_commit_the_work_tree_is_fixed(clone, monkeypatch):
    monkeypatch.chdir(clone.root)
    clone.commit(**{"db.yaml": OLD})
    clone.write("db.yaml", NEW)
    assert run("--fix", "--base", "main", ".").exit_code == 0
    assert clone.git("status", "--porcelain") == ""


def test_a_file_that_cannot_be_written_is_told(folder, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fixes.os, "replace", refuse)
    result = run("--fix", "--old", "old", "new")
    assert result.exit_code == 1
    assert "new/db.yaml is not fixed: it cannot be written: Permission denied" in result.stderr
    assert (folder / "new/db.yaml").read_text() == NEW
    assert [path.name for path in (folder / "new").iterdir()] == ["db.yaml"]


def test_a_file_that_changed_meanwhile_is_left(folder):
    path = str(folder / "new/db.yaml")
    with pytest.raises(PatchError, match="has changed since it was read"):
        fixes.write(path, OLD, NEW)
    assert Path(path).read_text() == NEW


def test_bad_input_beside_what_is_fixed_still_ends_with_two(folder):
    (folder / "new/bad.yaml").write_text("apiVersion: v1\nkind: [\n")
    result = run("--fix", "--old", "old", "new")
    assert result.exit_code == 2
    assert (folder / "new/db.yaml").read_text() == OLD
    assert manifests.load([str(folder / "new/bad.yaml")]).problems
    diff = run("--diff", "--old", "old", "new")
    assert diff.exit_code == 2
    assert "bad.yaml" in diff.stderr


def test_only_rules_that_are_selected_are_fixed(folder):
    result = run("--fix", "--ignore", "SW102", "--old", "old", "new")
    assert result.exit_code == 0
    assert (folder / "new/db.yaml").read_text() == NEW
    assert run("--fix", "--select", "SW1", "--old", "old", "new").exit_code == 0
    assert (folder / "new/db.yaml").read_text() == OLD


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_the_diff_shows_no_value_that_may_be_secret(folder, lines):
    between = "".join(f"  line{n}: {n}\n" for n in range(lines))
    secret = OLD.replace("  storage: {", f"  env:\n  - name: A\n    value: hunter2\n{between}  storage: {{")
    (folder / "old/db.yaml").write_text(secret)
    (folder / "new/db.yaml").write_text(secret.replace("80Gi", "40Gi"))
    result = run("--diff", "--old", "old", "new")
    assert "hunter2" not in result.output
    assert "+  storage: {storageClass: fast, size: 80Gi}" in result.stdout


def test_changes_on_one_line_with_a_secret_are_written_and_not_shown(folder):
    import json

    import yaml

    item = yaml.safe_load(OLD)
    item["spec"]["env"] = [{"name": "A", "value": "hunter2"}]
    for place, size in (("old", "80Gi"), ("new", "40Gi")):
        (folder / place / "db.yaml").write_text(json.dumps(item).replace("80Gi", size))
    shown = run("--diff", "--old", "old", "new")
    assert "hunter2" not in shown.output
    assert "its changes are not shown: values that may be secret stand on the same lines" in shown.stderr
    assert run("--fix", "--old", "old", "new").exit_code == 0
    assert (folder / "new/db.yaml").read_text() == (folder / "old/db.yaml").read_text()
