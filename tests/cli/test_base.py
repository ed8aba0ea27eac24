"""`lint --base`: what a commit of git held is what was there before."""

from __future__ import annotations

import os
import subprocess
import tempfile

import pytest
from click.testing import CliRunner, Result

from stateward.cli.main import cli

CLUSTER = """\
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {{name: {name}{more}}}
spec:
  instances: 3
  imageName: ghcr.io/cloudnative-pg/postgresql:17.5
  storage:
    storageClass: fast
    size: {size}
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def database(size: str, name: str = "pg", more: str = "") -> str:
    return CLUSTER.format(name=name, size=size, more=more)


@pytest.fixture
def lint(clone, monkeypatch):
    def run(*arguments: str, at: str = "") -> Result:
        monkeypatch.chdir(clone.root / at)
        return CliRunner().invoke(cli, ["lint", *arguments])

    return run


def test_a_change_since_the_base_is_judged_and_shown_in_the_new_file(clone, lint):
    clone.commit(**{"db.yaml": database("80Gi")})
    clone.write("db.yaml", database("40Gi"))
    result = lint("--base", "main", ".")
    assert result.exit_code == 1
    assert "./db.yaml:9:11: SW102 deny volume-shrink · Cluster pg" in result.stdout
    assert result.stderr == "1 object in 1 file, 1 refused\n"


def test_the_base_is_the_ref_itself_and_with_dots_the_merge_base(clone, lint):
    clone.commit(**{"db.yaml": database("80Gi")})
    clone.git("checkout", "-q", "-b", "topic")
    clone.commit(**{"other.yaml": MAP})
    clone.git("checkout", "-q", "main")
    clone.commit(**{"db.yaml": database("120Gi")})
    clone.git("checkout", "-q", "topic")
    behind = lint("--base", "main", ".")
    assert behind.exit_code == 1
    assert '"80Gi" is smaller than "120Gi"' in behind.stdout
    assert lint("--base", "main...", ".").exit_code == 0


def test_a_deletion_points_into_the_commit(clone, lint):
    clone.commit(**{"deep/db.yaml": database("80Gi"), "a.yaml": MAP})
    (clone.root / "deep/db.yaml").unlink()
    result = lint("--base", "main", ".")
    assert result.exit_code == 1
    assert "main:deep/db.yaml:3:18: SW401 deny service-deleted · Cluster pg" in result.stdout
    assert clone.git("show", "main:deep/db.yaml").startswith("apiVersion")
    dots = lint("--base", "main...", ".")
    assert f"{clone.git('rev-parse', 'HEAD')[:12]}:deep/db.yaml:3:18: SW401" in dots.stdout


def test_a_path_that_is_gone_is_deleted_with_all_that_was_in_it(clone, lint):
    clone.commit(**{"deep/er/db.yaml": database("80Gi"), "a.yaml": MAP})
    clone.git("rm", "-rq", "deep")
    for path in ("deep", "deep/er/db.yaml"):
        result = lint("--base", "main", path, "a.yaml")
        assert result.exit_code == 1, result.output
        assert "main:deep/er/db.yaml:3:18: SW401" in result.stdout
    never = lint("--base", "main", "never", "a.yaml")
    assert never.exit_code == 2
    assert "never: error: the path does not exist" in never.stderr


def test_a_path_that_was_not_there_is_new(clone, lint):
    clone.commit(**{"a.yaml": MAP})
    clone.write("new/db.yaml", database("40Gi"))
    result = lint("--base", "main", "new")
    assert (result.exit_code, result.stderr) == (0, "1 object in 1 file, 0 refused\n")


def test_a_file_that_moved_is_the_same_object(clone, lint):
    clone.commit(**{"here/db.yaml": database("80Gi")})
    (clone.root / "there").mkdir()
    clone.git("mv", "here/db.yaml", "there/pg.yaml")
    assert lint("--base", "main", ".").exit_code == 0
    clone.write("there/pg.yaml", database("40Gi"))
    assert "there/pg.yaml:9:11: SW102" in lint("--base", "main", ".").stdout


def test_objects_of_one_name_in_a_folder_an_environment_are_kept_apart(clone, lint):
    clone.commit(**{f"{env}/db.yaml": database(size) for env, size in (("dev", "10Gi"), ("prod", "80Gi"), ("test", "20Gi"))})
    assert lint("--base", "main", ".").exit_code == 0
    clone.write("prod/db.yaml", database("40Gi"))
    result = lint("--base", "main", ".")
    assert result.stdout.count("SW102 deny") == 1
    assert "./prod/db.yaml:9:11: SW102" in result.stdout
    clone.git("rm", "-qf", "test/db.yaml")
    result = lint("--base", "main", ".")
    assert "main:test/db.yaml:3:18: SW401" in result.stdout
    assert result.stdout.count("SW401 deny") == 1


def test_it_works_from_a_subfolder_with_spaces_and_names_of_any_script(clone, lint):
    clone.commit(**{"a folder/ü/日本 db.yaml": database("80Gi"), "top.yaml": database("80Gi", "top")})
    clone.write("a folder/ü/日本 db.yaml", database("40Gi"))
    clone.write("top.yaml", database("40Gi", "top"))
    inside = lint("--base", "main", ".", at="a folder/ü")
    assert "./日本 db.yaml:9:11: SW102" in inside.stdout
    assert "Cluster top" not in inside.stdout
    above = lint("--base", "main", "../../top.yaml", "日本 db.yaml", at="a folder/ü")
    assert above.stdout.count("SW102 deny") == 2


def test_hidden_folders_and_what_is_no_manifest_are_left_out_as_in_the_work_tree(clone, lint):
    clone.commit(
        **{
            ".github/db.yaml": database("80Gi"),
            "db.txt": database("80Gi", "b"),
            "a/.x/db.yaml": database("80Gi", "c"),
            "a.yaml": MAP,
        }
    )
    clone.git("rm", "-rqf", ".github", "db.txt", "a")
    assert lint("--base", "main", ".").exit_code == 0
    assert lint("--base", "main", ".github", ".").exit_code == 1


def test_links_submodules_and_lfs_pointers_are_told(clone, lint):
    first = clone.commit(**{"db.yaml": database("80Gi")})
    os.symlink("db.yaml", clone.root / "link.yaml")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{first},module")
    clone.write("big.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n")
    clone.git("add", "link.yaml", "big.yaml")
    clone.git("commit", "-q", "-m", "links")
    result = lint("--base", "main", ".")
    assert result.exit_code == 0
    assert "note: main:link.yaml: a symbolic link is not followed" in result.stderr
    assert "note: main:module: a submodule is not looked into" in result.stderr
    assert "note: main:big.yaml: a Git LFS pointer" in result.stderr


def test_what_was_broken_then_is_told_and_refuses_nobody(clone, lint):
    clone.commit(**{"db.yaml": "apiVersion: v1\nkind: [\n", "b.yaml": database("80Gi", "b")})
    clone.write("db.yaml", database("40Gi"))
    clone.write("b.yaml", database("40Gi", "b"))
    result = lint("--base", "main", ".")
    assert result.exit_code == 1
    assert "note: main:db.yaml:3:1: not compared: YAML syntax error" in result.stderr
    assert "./b.yaml:9:11: SW102" in result.stdout


def test_a_broken_new_file_deletes_nothing(clone, lint):
    clone.commit(**{"db.yaml": database("80Gi"), "a.yaml": MAP})
    clone.write("db.yaml", "kind: [\napiVersion")
    result = lint("--base", "main", ".")
    assert result.exit_code == 2
    assert "SW401" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    {
        "an unknown ref": (("--base", "nowhere", "."), '--base: "nowhere" names no commit here'),
        "standard input": (("--base", "main", "-"), "--base: <stdin> has no history"),
        "two befores": (("--base", "main", "--old", ".", "."), "--old and --base: each says what was there before"),
        "an option in its place": (("--base", "--all", "."), '"--all" is no name of a commit'),
    }.values(),
)
def test_what_cannot_be_a_base_ends_with_two(clone, lint, arguments, says):
    clone.commit(**{"a.yaml": MAP})
    result = lint(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


def test_outside_of_a_repository_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "a.yaml").write_text(MAP)
    result = CliRunner().invoke(cli, ["lint", "--base", "main", str(tmp_path / "a.yaml")])
    assert result.exit_code == 2
    assert "not inside a git repository; run in a clone, or give the manifests before with --old" in result.stderr


def test_nothing_of_the_work_tree_or_its_index_is_touched(clone, lint):
    clone.commit(**{"db.yaml": database("80Gi")})
    clone.write("db.yaml", database("90Gi"))
    before = {path: path.stat().st_mtime_ns for path in clone.root.rglob("*") if path.is_file()}
    assert lint("--base", "HEAD", ".").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in clone.root.rglob("*") if path.is_file()} == before


def test_paths_of_two_repositories_have_each_its_own_base(clone, lint, tmp_path):
    clone.commit(**{"db.yaml": database("80Gi")})
    clone.git("clone", "-q", str(clone.root), str(tmp_path / "second"))
    clone.write("db.yaml", database("40Gi"))
    (tmp_path / "second" / "db.yaml").write_text(database("30Gi"))
    result = lint("--base", "HEAD", "db.yaml", str(tmp_path / "second"))
    assert result.stdout.count('smaller than "80Gi"') == 2


def test_a_namespace_given_holds_for_both_sides(clone, lint):
    clone.commit(**{"db.yaml": database("80Gi")})
    clone.write("db.yaml", database("40Gi", more=", namespace: prod"))
    assert lint("--base", "main", ".").stdout.count("SW102") == 0
    named = lint("--base", "main", "--namespace", "prod", ".")
    assert "SW102 deny volume-shrink · Cluster prod/pg" in named.stdout


def test_a_forged_tree_writes_nothing_outside_of_its_folder(clone, lint, tmp_path, monkeypatch):
    """What has to be rendered is written to a temporary folder; names and links of a commit may lead elsewhere."""

    def made(kind: str, content: bytes) -> bytes:
        command = ["git", "hash-object", "-w", "--literally", "-t", kind, "--stdin"]
        return bytes.fromhex(
            subprocess.run(command, cwd=clone.root, input=content, capture_output=True, check=True).stdout.decode()
        )

    def tree(*entries: tuple[str, str, bytes]) -> bytes:
        return made("tree", b"".join(f"{mode} {name}".encode() + b"\0" + oid for mode, name, oid in entries))

    evil, chart = made("blob", b"kind: Evil\napiVersion: v1\n"), made("blob", b"apiVersion: v2\nname: c\nversion: 1.0.0\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    link = made("blob", os.fsencode(outside))
    folder = tree(("100644", "evil.yaml", evil))
    root = tree(
        ("100644", "Chart.yaml", chart),
        ("40000", "..", folder),
        ("40000", ".git", folder),
        ("120000", "out", link),
        ("40000", "out", folder),
        ("100644", "twice", evil),
        ("40000", "twice", folder),
    )
    commit = clone.git("commit-tree", root.hex(), "-m", "forged")
    clone.write("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    result = lint("--base", commit, ".")
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert list(outside.iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert not list(tmp_path.rglob("evil.yaml"))
