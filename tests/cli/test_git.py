"""Git as Stateward reads it: commits, trees, blobs, and what it says where there are none."""

from __future__ import annotations

import os
import subprocess

import pytest

from stateward.cli.git import LINK, SUBMODULE, Entry, GitError, Repository


def entries(repository: Repository, commit: str, *paths: str) -> dict[str, Entry]:
    return {entry.path: entry for entry in repository.tree(commit, paths)}


def test_files_of_a_commit_are_read_whatever_their_names(clone):
    names = ["a.yaml", "deep/with space/b.yaml", "ü/日本.yaml", 'quo"te\\.yaml', "tab\tand\nline.yaml", "*.yaml", "-x.yaml"]
    for name in names:
        clone.write(name, f"content of {name}")
    commit = clone.commit()
    for name in names:
        (clone.root / name).unlink()
    repository = Repository.find(clone.root)
    found = entries(repository, commit)
    assert set(found) == set(names)
    with repository.blobs() as blobs:
        for name in names:
            assert blobs.read(found[name].oid) == f"content of {name}".encode()
    assert set(entries(repository, commit, "*.yaml")) == {"*.yaml"}
    assert set(entries(repository, commit, "deep", "ü")) == {"deep/with space/b.yaml", "ü/日本.yaml"}
    assert not entries(repository, commit, "nowhere")


def test_a_name_that_is_not_utf_8_is_read(clone):
    path = os.fsencode(clone.root) + b"/caf\xe9.yaml"
    with open(path, "wb") as file:
        file.write(b"x")
    (entry,) = Repository.find(clone.root).tree(clone.commit())
    assert os.fsencode(entry.path) == b"caf\xe9.yaml"


def test_links_and_submodules_are_told_by_their_mode(clone):
    commit = clone.commit(a="text")
    os.symlink("a", clone.root / "link")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{commit},module")
    clone.git("add", "link")
    clone.git("commit", "-q", "-m", "links")
    found = entries(Repository.find(clone.root), "HEAD")
    assert (found["a"].mode, found["link"].mode, found["module"].mode) == ("100644", LINK, SUBMODULE)


def test_a_repository_is_found_from_below_and_through_a_link(clone, tmp_path):
    clone.commit(**{"deep/down/a": ""})
    os.symlink(clone.root / "deep", tmp_path / "link")
    for folder in (clone.root, clone.root / "deep" / "down", tmp_path / "link"):
        assert Repository.find(folder).root == os.path.realpath(clone.root)


def test_a_bare_repository_is_its_own_top(clone, tmp_path):
    commit = clone.commit(a="text")
    clone.git("clone", "-q", "--bare", str(clone.root), str(tmp_path / "bare"))
    repository = Repository.find(tmp_path / "bare")
    assert repository.root == str(tmp_path / "bare")
    assert list(entries(repository, commit)) == ["a"]


def test_a_repository_that_called_us_is_not_taken_for_the_one_around_a_path(clone, tmp_path, monkeypatch):
    commit = clone.commit(a="text")
    subprocess.run(["git", "init", "-q", str(tmp_path / "other")], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert Repository.find(clone.root).commit("main") == commit


def test_three_dots_name_the_merge_base(clone):
    base = clone.commit(a="1")
    clone.git("checkout", "-q", "-b", "topic")
    topic = clone.commit(b="2")
    clone.git("checkout", "-q", "main")
    main = clone.commit(c="3")
    clone.git("tag", "-a", "v1", "-m", "annotated")
    clone.git("checkout", "-q", "topic")
    repository = Repository.find(clone.root)
    assert repository.commit("main") == main
    assert repository.commit("v1") == main
    assert repository.commit(main[:8]) == main
    assert repository.commit("HEAD~1") == base
    assert repository.commit("main...") == base
    assert repository.commit("...main") == base
    assert repository.commit("main...topic") == base
    assert repository.commit("topic") == topic


@pytest.mark.parametrize(
    "ref", ["", "-x", "--all", "no/such", "main~99", "main:a", "a\nb", "HEAD^{tree}", "nowhere...", "deadbeef"]
)
def test_what_names_no_commit_is_one_clear_line(clone, ref):
    clone.commit(a="1")
    with pytest.raises(GitError) as error:
        Repository.find(clone.root).commit(ref)
    assert "commit" in str(error.value)
    assert ref.removesuffix("...") in str(error.value)
    assert ref == "a\nb" or "\n" not in str(error.value)


def test_histories_without_a_common_commit_have_no_merge_base(clone):
    clone.commit(a="1")
    clone.git("checkout", "-q", "--orphan", "alone")
    clone.commit(b="1")
    with pytest.raises(GitError, match='"main" and "HEAD" have no common ancestor here; name the commit itself'):
        Repository.find(clone.root).commit("main...")


@pytest.mark.parametrize(
    ("ref", "step"),
    {
        "a branch of the remote": ("origin/topic", "git fetch --depth=1 origin topic:refs/remotes/origin/topic"),
        "an id": ("1234567890123456789012345678901234567890", "git fetch --depth=1 origin 1234567890"),
        "a commit before": ("HEAD~1", "git fetch --deepen=100"),
        "a tag": ("v1", "git fetch --depth=1 origin v1"),
    }.values(),
)
def test_a_shallow_clone_says_what_to_fetch(clone, tmp_path, ref, step):
    clone.commit(a="1")
    clone.git("branch", "topic")
    clone.commit(a="2")
    clone.git("clone", "-q", "--depth=1", f"file://{clone.root}", str(tmp_path / "shallow"))
    repository = Repository.find(tmp_path / "shallow")
    assert repository.shallow
    with pytest.raises(GitError) as error:
        repository.commit(ref)
    assert f'"{ref}" names no commit here; this clone is shallow' in str(error.value)
    assert step in str(error.value)


def test_the_fetch_that_is_told_gets_what_was_missing(clone, tmp_path):
    clone.commit(a="1")
    clone.git("branch", "topic")
    clone.commit(a="2")
    shallow = tmp_path / "shallow"
    clone.git("clone", "-q", "--depth=1", f"file://{clone.root}", str(shallow))
    with pytest.raises(GitError) as error:
        Repository.find(shallow).commit("origin/topic")
    command = str(error.value).partition("get it: ")[2].split()
    subprocess.run(command, cwd=shallow, check=True, capture_output=True)
    assert Repository.find(shallow).commit("origin/topic") == clone.git("rev-parse", "topic")


def test_a_folder_outside_of_git_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(GitError, match="not inside a git repository; run in a clone"):
        Repository.find(tmp_path)


def test_without_git_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not found; install it"):
        Repository.find(tmp_path)


def test_hooks_and_settings_of_a_repository_run_nothing(clone, tmp_path):
    clone.commit(a="1")
    witness = tmp_path / "ran"
    script = clone.write("monitor.sh", f"#!/bin/sh\ntouch '{witness}'\n")
    script.chmod(0o755)
    clone.git("config", "core.fsmonitor", str(script))
    clone.git("config", "core.pager", str(script))
    repository = Repository.find(clone.root)
    repository.run("status", "--porcelain")
    repository.run("log", "-1")
    assert not witness.exists()


def test_records_come_piece_by_piece_and_may_be_left_early(clone):
    for number in range(30):
        clone.commit(a=str(number))
    repository = Repository.find(clone.root)
    whole = list(repository.records("log", "-z", "--format=%H"))
    assert len(whole) == 30
    assert whole[0].decode() == clone.git("rev-parse", "HEAD")
    some = repository.records("log", "-z", "--format=%H")
    assert next(some) == whole[0]
    some.close()
    with pytest.raises(GitError, match="git log: "):
        list(repository.records("log", "no-such-ref", "--"))


def test_blobs_are_read_up_to_a_limit_and_in_any_order(clone):
    commit = clone.commit(big="x" * 100_000, small="y", empty="")
    repository = Repository.find(clone.root)
    found = entries(repository, commit)
    with repository.blobs() as blobs:
        assert blobs.read(found["big"].oid, 10) == b"x" * 10
        assert blobs.read(found["small"].oid) == b"y"
        assert blobs.read(found["empty"].oid) == b""
        assert blobs.read(found["big"].oid) == b"x" * 100_000
        with pytest.raises(GitError, match="the object is missing in this clone"):
            blobs.read("0" * 40)
        with pytest.raises(GitError, match="is no object id"):
            blobs.read("main:a")
        assert blobs.read(found["small"].oid) == b"y"
