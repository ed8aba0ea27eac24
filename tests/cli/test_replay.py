"""`stateward replay`, on real repositories."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stateward.cli.git import Repository
from stateward.cli.main import cli
from stateward.cli.replay import history, kustomize, run
from stateward.cli.replay.folders import Clusters, nearness, nested
from stateward.policies.policy import DEFAULT

DAY = 86_400
START = 1_700_000_000


class Repo:
    """A repository under construction; every commit is a day after the one before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.time = START
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, **environment: str) -> str:
        stamp = f"{self.time} +0000"
        names = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        found = subprocess.run(
            ["git", "-c", "commit.gpgsign=false", *arguments],
            cwd=self.root,
            env={**os.environ, **names, "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp, **environment},
            check=True,
            capture_output=True,
            text=True,
        )
        return found.stdout.strip()

    def commit(self, subject: str, files: dict[str, str | None], after: float = DAY, **environment: str) -> str:
        self.time += int(after)
        for path, text in files.items():
            place = self.root / path
            if text is None:
                place.unlink()
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(textwrap.dedent(text))
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject, **environment)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path / "repo")


def postgres(size="10Gi", image="17.2", instances=3, name="orders", namespace="prod", extra=""):
    where = f"\n  namespace: {namespace}" if namespace else ""
    return f"""\
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  name: {name}{where}{extra}
spec:
  instances: {instances}
  imageName: ghcr.io/cloudnative-pg/postgresql:{image}
  storage:
    size: {size}
"""


def replay(repo, *arguments, code=0):
    result = CliRunner().invoke(
        cli, ["replay", str(repo.root if isinstance(repo, Repo) else repo), *arguments, "-f", "json"]
    )
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def found(report):
    """[(subject, [(rule, operation, file)])]."""
    return [
        (commit["subject"], [(one["rule"], one["operation"], one["file"]) for one in commit["findings"]])
        for commit in report["commits"]
    ]


def test_an_edit_that_shrinks_a_volume_is_refused_in_its_commit(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    guilty = repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    repo.commit("readme", {"README.md": "words"})
    report = replay(repo)
    assert found(report) == [("shrink", [("SW102", "UPDATE", "db.yaml")])]
    (commit,) = report["commits"]
    assert commit["id"] == guilty
    assert commit["time"] == "2023-11-16T22:13:20Z"
    assert commit["findings"][0]["line"] == 10
    assert report["totals"] | {"seconds": 0} == {
        "commits": 3,
        "commitsExpected": 3,
        "commitsWithEdits": 2,
        "edits": 2,
        "refusals": 1,
        "refusedCommits": 1,
        "reverted": 0,
        "warnings": 0,
        "warnedCommits": 0,
        "waived": 0,
        "from": "2023-11-15T22:13:20Z",
        "to": "2023-11-17T22:13:20Z",
        "seconds": 0,
        "shallow": False,
    }
    assert report["rules"]["SW102"] == {"name": "volume-shrink", "refusals": 1, "warnings": 0, "waived": 0, "commits": 1}
    assert report["complete"] is True


def test_a_later_edit_that_still_holds_the_sin_is_not_refused_again(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    repo.commit("more memory", {"db.yaml": postgres("10Gi") + "  resources: {requests: {memory: 1Gi}}\n"})
    assert [subject for subject, _ in found(replay(repo))] == ["shrink"]


def test_a_deleted_file_is_a_deletion(repo):
    repo.commit("start", {"apps/db.yaml": postgres(), "apps/web.yaml": "apiVersion: v1\nkind: Service\n"})
    repo.commit("remove it", {"apps/db.yaml": None})
    assert found(replay(repo)) == [("remove it", [("SW401", "DELETE", "apps/db.yaml")])]


@pytest.mark.parametrize("target", ["apps/orders/db.yaml", "db.yml", "all.json"])
def test_a_move_is_no_deletion(repo, target):
    repo.commit("start", {"apps/db.yaml": postgres()})
    text = postgres()
    if target.endswith("json"):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [_values(postgres())]})
    repo.commit("move", {"apps/db.yaml": None, target: text})
    assert found(replay(repo)) == []


def _values(text):
    import yaml

    return yaml.safe_load(text)


def test_a_move_with_an_edit_is_judged_as_an_update(repo):
    repo.commit("start", {"apps/db.yaml": postgres("20Gi")})
    repo.commit("move and shrink", {"apps/db.yaml": None, "apps/orders/db.yaml": postgres("10Gi")})
    assert found(replay(repo)) == [("move and shrink", [("SW102", "UPDATE", "apps/orders/db.yaml")])]


@pytest.mark.parametrize("folder", ["archive", ".archive", "kubernetes/_attic"])
def test_a_move_into_a_folder_that_nobody_deploys_is_a_deletion(repo, folder):
    repo.commit("start", {"kubernetes/db.yaml": postgres()})
    repo.commit("archive it", {"kubernetes/db.yaml": None, f"{folder}/db.yaml": postgres()})
    repo.commit("tidy up", {f"{folder}/db.yaml": None})
    assert found(replay(repo)) == [("archive it", [("SW401", "DELETE", "kubernetes/db.yaml")])]


def test_the_same_object_in_two_folders_is_two_objects(repo):
    repo.commit("start", {"dev/db.yaml": postgres("5Gi"), "prod/db.yaml": postgres("50Gi")})
    repo.commit("grow dev", {"dev/db.yaml": postgres("20Gi")})
    repo.commit("shrink prod", {"prod/db.yaml": postgres("20Gi")})
    assert found(replay(repo)) == [("shrink prod", [("SW102", "UPDATE", "prod/db.yaml")])]


def test_two_files_that_move_at_once_keep_their_folders_apart(repo):
    repo.commit("start", {"dev/db.yaml": postgres("5Gi"), "prod/db.yaml": postgres("50Gi")})
    repo.commit(
        "new layout",
        {
            "dev/db.yaml": None,
            "prod/db.yaml": None,
            "prod/orders/db.yaml": postgres("50Gi"),
            "dev/orders/db.yaml": postgres("5Gi"),
        },
    )
    assert found(replay(repo)) == []


def test_a_manifest_that_goes_while_another_file_holds_the_object_is_no_certain_deletion(repo):
    repo.commit("start", {"old/db.yaml": postgres()})
    repo.commit("copy", {"new/db.yaml": postgres()})
    repo.commit("remove the old one", {"old/db.yaml": None})
    report = replay(repo)
    assert found(report) == []
    assert report["notJudged"]["heldElsewhere"] == 1


def test_an_object_that_a_stencil_with_variables_may_make_is_no_certain_deletion(repo):
    stencil = postgres(namespace="").replace("name: orders", "name: ${APP}")
    assert "${APP}" in stencil
    repo.commit("start", {"orders/db.yaml": postgres()})
    repo.commit("a template for all", {"orders/db.yaml": None, "templates/db.yaml": stencil})
    repo.commit("nobody uses it", {"templates/db.yaml": None})
    report = replay(repo)
    assert found(report) == []
    assert report["notJudged"]["heldElsewhere"] == 1


def test_a_file_that_was_taken_out_of_the_history_deletes_nothing(repo):
    repo.commit("start", {"db.yaml": postgres()})
    repo.commit("BFG was here", {"db.yaml": None, "db.yaml.REMOVED.git-id": "0123456789abcdef\n"})
    report = replay(repo)
    assert found(report) == []
    assert list(report["notJudged"]["unreadable"]) == ["db.yaml"]


def test_a_namespace_that_is_only_written_down_is_no_new_object(repo):
    repo.commit("start", {"db.yaml": postgres(namespace="")})
    repo.commit("say where", {"db.yaml": postgres(namespace="prod")})
    repo.commit("leave it to kustomize", {"db.yaml": None, "base/db.yaml": postgres(namespace="")})
    assert found(replay(repo)) == []


def test_an_object_is_the_same_in_the_group_that_its_kind_moved_to(repo):
    text = """\
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: "postgres:16.4", volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: db}}]
"""
    moved = text.replace("extensions/v1beta1", "apps/v1").replace("spec:", "spec:\n  selector: {matchLabels: {app: db}}", 1)
    repo.commit("start", {"db.yaml": text})
    repo.commit("apps/v1", {"db.yaml": moved})
    repo.commit("another group, another image", {"db.yaml": moved.replace("16.4", "17.2")})
    assert found(replay(repo, "--select", "SW112,SW302")) == [
        ("start", [("SW112", "CREATE", "db.yaml")]),
        ("another group, another image", [("SW302", "UPDATE", "db.yaml")]),
    ]


def test_what_goes_in_the_same_commit_is_seen_as_going(repo):
    claim = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: photos, namespace: media}
spec: {accessModes: [ReadWriteMany], volumeName: photos}
"""
    volume = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: photos}
spec: {nfs: {server: nas, path: /photos}, claimRef: {namespace: media, name: photos}}
"""
    repo.commit("start", {"claim.yaml": claim, "volume.yaml": volume})
    repo.commit("the volume alone", {"volume.yaml": None})
    assert [rule for rule, *_ in found(replay(repo, "--show", "warn"))[-1][1]] == ["SW406"]
    repo.commit("back", {"volume.yaml": volume})
    repo.commit("both", {"volume.yaml": None, "claim.yaml": None})
    assert found(replay(repo, "--show", "warn"))[1:] == [("both", [("SW402", "DELETE", "claim.yaml")])]


def test_another_namespace_is_another_object(repo):
    repo.commit("start", {"db.yaml": postgres(namespace="prod")})
    repo.commit("elsewhere", {"db.yaml": postgres(namespace="live")})
    assert [(rule, what) for rule, what, _ in found(replay(repo))[0][1]] == [("SW401", "DELETE")]


def test_a_broken_file_is_no_deletion_and_its_last_readable_state_counts(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    broken = repo.commit("typo", {"db.yaml": postgres("20Gi") + "  x: [\n"})
    repo.commit("mend and shrink", {"db.yaml": postgres("10Gi")})
    report = replay(repo)
    assert found(report) == [("mend and shrink", [("SW102", "UPDATE", "db.yaml")])]
    unreadable = report["notJudged"]["unreadable"]["db.yaml"]
    assert unreadable["commit"] == broken[:10]
    assert unreadable["why"].startswith("line ")


def test_of_a_file_that_is_broken_in_part_the_rest_is_judged(repo):
    other = postgres("20Gi", name="other")
    repo.commit("start", {"db.yaml": f"{other}---\n{postgres()}"})
    repo.commit("half", {"db.yaml": f"{other.replace('20Gi', '10Gi')}---\nkind: Cluster\nx: [\n"})
    report = replay(repo)
    assert found(report) == [("half", [("SW102", "UPDATE", "db.yaml")])]
    repo.commit("whole again", {"db.yaml": f"{other.replace('20Gi', '10Gi')}---\n{postgres()}"})
    assert found(replay(repo)) == found(report)


def test_templates_are_counted_once_and_not_read(repo):
    chart = "{{- if .Values.on }}\n" + postgres("{{ .Values.size }}") + "{{- end }}\n"
    repo.commit("start", {"charts/db/templates/db.yaml": chart})
    repo.commit("change", {"charts/db/templates/db.yaml": chart + "# more\n"})
    report = replay(repo)
    assert found(report) == []
    assert report["notJudged"]["templates"] == ["charts/db/templates/db.yaml"]
    assert report["notJudged"]["unreadable"] == {}


def test_patches_of_a_kustomization_are_no_objects(repo):
    head = "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata: {name: orders, namespace: prod}\n"
    patch = head + "spec: {instances: %d}\n"
    repo.commit(
        "start",
        {
            "base/db.yaml": postgres(),
            "prod/kustomization.yaml": "resources: [../base]\npatches:\n- path: more.yaml\n",
            "prod/more.yaml": patch % 5,
        },
    )
    repo.commit("fewer", {"prod/more.yaml": patch % 1})
    repo.commit("none", {"prod/more.yaml": None, "prod/kustomization.yaml": "resources: [../base]\n"})
    report = replay(repo)
    assert found(report) == []
    assert report["notJudged"]["patches"] >= 2


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("patchesStrategicMerge: [a.yaml, sub/b.yaml]", {"a.yaml", "sub/b.yaml"}),
        ("patchesStrategicMerge:\n- |\n  kind: x\n  metadata: {}\n- c.yaml", {"c.yaml"}),
        ("patches:\n- path: d.yaml\n- patch: '[]'\n  target: {kind: X}", {"d.yaml"}),
        ("patches: [e.yaml]", {"e.yaml"}),
        ("patchesJson6902:\n- path: f.yaml\n  target: {kind: X}", {"f.yaml"}),
        ("patches: 3", set()),
        ("patches: [", set()),
        ("resources: [g.yaml]", set()),
    ],
)
def test_the_files_that_a_kustomization_names_as_patches(text, names):
    assert kustomize.patches(text.encode()) == names


def test_patches_are_found_from_the_folder_of_their_kustomization():
    assert kustomize.places("a/b/kustomization.yaml", ["x.yaml", "../c/y.yaml"]) == {"a/b/x.yaml", "a/c/y.yaml"}


def test_an_object_that_lacks_what_is_required_is_a_patch(repo):
    patch = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {replicas: %d}\n"
    repo.commit("start", {"scale.yaml": patch % 3})
    repo.commit("less", {"scale.yaml": patch % 0})
    assert found(replay(repo)) == []


@pytest.mark.parametrize(
    "extra",
    [
        "\n  annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}",
        "\n  labels: {kustomize.toolkit.fluxcd.io/prune: disabled}",
        "\n  annotations: {argocd.argoproj.io/sync-options: 'Delete=false, Prune=false'}",
    ],
)
def test_what_says_that_it_stays_is_not_deleted_with_its_manifest(repo, extra):
    repo.commit("start", {"db.yaml": postgres(extra=extra)})
    repo.commit("remove", {"db.yaml": None})
    report = replay(repo)
    assert found(report) == []
    assert report["notJudged"]["notPruned"] == 1


FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %s, namespace: flux-system}
spec: {path: %s, prune: %s}
"""
ARGO = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: apps, namespace: argocd}
spec: {source: {path: apps}, syncPolicy: %s}
"""


@pytest.mark.parametrize(
    ("deployers", "deleted"),
    [
        ([FLUX % ("all", "./", "true")], True),
        ([FLUX % ("all", "./apps", "false")], False),
        ([FLUX % ("all", "./", "true"), FLUX % ("db", "./apps/db", "false")], False),
        ([FLUX % ("all", "./", "false"), FLUX % ("db", "./apps/db", "true")], True),
        ([FLUX % ("other", "./app", "false")], True),
        ([ARGO % "{automated: {prune: true}}"], True),
        ([ARGO % "{automated: {}}"], False),
        ([ARGO % "{}"], True),
    ],
)
def test_what_deploys_a_folder_says_whether_it_deletes(repo, deployers, deleted):
    repo.commit("start", {"apps/db/db.yaml": postgres(), "flux.yaml": "---\n".join(deployers)})
    repo.commit("remove", {"apps/db/db.yaml": None})
    assert bool(found(replay(repo))) is deleted


def test_objects_that_sops_has_encrypted_are_counted_and_not_judged(repo):
    sops = "sops: {version: 3.9.0}\n"
    repo.commit("start", {"db.yaml": postgres("20Gi") + sops})
    repo.commit("shrink", {"db.yaml": postgres("ENC[AES256_GCM,data:x]") + sops})
    report = replay(repo)
    assert found(report) == []
    assert report["notJudged"]["encrypted"] == 2


def test_an_edit_that_is_soon_taken_back_says_so(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    back = repo.commit("oh no", {"db.yaml": postgres("20Gi", instances=4)}, after=7200)
    report = replay(repo)
    reverted = report["commits"][0]["findings"][0]["reverted"]
    assert (reverted["commit"], reverted["seconds"]) == (back, 7200)
    assert report["totals"]["reverted"] == 1
    text = CliRunner().invoke(cli, ["replay", str(repo.root)]).stdout
    assert f"then reverted 2 hours later in {back[:10]}: oh no" in text


def test_a_deletion_that_is_soon_put_back_says_so(repo):
    repo.commit("start", {"db.yaml": postgres()})
    repo.commit("remove", {"db.yaml": None})
    repo.commit("restore", {"new/db.yaml": postgres()}, after=1800)
    text = CliRunner().invoke(cli, ["replay", str(repo.root)]).stdout
    assert re.search(r"then put back 30 minutes later in [0-9a-f]{10}: restore", text)


def test_the_field_is_followed_through_a_move(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    repo.commit("move", {"db.yaml": None, "a/db.yaml": postgres("10Gi")})
    repo.commit("back", {"a/db.yaml": postgres("20Gi")})
    assert replay(repo)["commits"][0]["findings"][0]["reverted"]["seconds"] == 2 * DAY


def test_going_back_after_a_month_is_no_revert(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    repo.commit("grow", {"db.yaml": postgres("20Gi")}, after=30 * DAY)
    assert replay(repo)["commits"][0]["findings"][0]["reverted"] is None


@pytest.fixture
def merged(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.git("checkout", "-q", "-b", "work")
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    repo.commit("grow again", {"db.yaml": postgres("20Gi")})
    repo.commit("five", {"db.yaml": postgres("20Gi", instances=5)})
    repo.git("checkout", "-q", "main")
    repo.commit("meanwhile", {"web.yaml": "x: 1\n"})
    repo.time += DAY
    repo.git("merge", "-q", "--no-ff", "-m", "merge work", "work")
    repo.commit("down", {"db.yaml": postgres("20Gi", instances=1)})
    return repo


def test_a_merge_is_judged_against_its_first_parent(merged):
    report = replay(merged)
    assert [subject for subject, _ in found(report)] == ["down"]
    assert report["totals"]["commits"] == 4
    assert report["totals"]["edits"] == 3


def test_all_commits_judges_what_merges_brought_in(merged):
    report = replay(merged, "--all-commits")
    assert sorted(subject for subject, _ in found(report)) == ["down", "shrink"]
    assert report["totals"]["commits"] == 7


def test_another_branch_can_be_named(merged):
    assert [subject for subject, _ in found(replay(merged, "--branch", "work"))] == ["shrink"]


def test_since_begins_with_the_state_before(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    repo.commit("again", {"db.yaml": postgres("5Gi")})
    repo.commit("and again", {"db.yaml": postgres("2Gi")})
    report = replay(repo, "--since", "2023-11-17", "--until", "2023-11-18")
    assert [subject for subject, _ in found(report)] == ["again"]
    assert report["totals"]["edits"] == 1


def test_today_is_a_date_that_git_knows(repo):
    repo.commit("start", {"db.yaml": postgres()})
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    assert replay(repo, "--until", today)["totals"]["edits"] == 1
    assert replay(repo, "--since", today)["totals"]["edits"] == 0


def test_a_date_that_git_would_take_for_now_is_refused(repo):
    repo.commit("start", {"db.yaml": postgres()})
    result = CliRunner().invoke(cli, ["replay", str(repo.root), "--since", "yestermorrow"])
    assert result.exit_code == 2
    assert result.stderr.startswith('error: --since: "yestermorrow" is no date that git knows')


def test_a_path_leaves_out_what_is_elsewhere(repo):
    repo.commit("start", {"dev/db.yaml": postgres("20Gi"), "prod/db.yaml": postgres("20Gi", name="other")})
    repo.commit("shrink", {"dev/db.yaml": postgres(), "prod/db.yaml": postgres(name="other")})
    assert found(replay(repo, "prod")) == [("shrink", [("SW102", "UPDATE", "prod/db.yaml")])]
    assert found(replay(repo, "prod/db.yaml")) == found(replay(repo, "prod"))
    assert found(replay(repo.root / "prod")) == found(replay(repo, "prod"))
    assert found(replay(repo.root / "dev", "../prod")) == found(replay(repo, "prod"))
    assert replay(repo, "nothing")["totals"]["edits"] == 0


def test_a_path_outside_is_refused(repo):
    repo.commit("start", {"db.yaml": postgres()})
    result = CliRunner().invoke(cli, ["replay", str(repo.root), "../elsewhere"])
    assert result.exit_code == 2
    assert "outside the repository" in result.stderr


def test_a_waiver_holds_at_the_time_of_the_commit(repo):
    def waived(size):
        reason = "\n  annotations: {stateward.dev/waive: 'SW102 until=2023-11-19T00:00:00Z reason=\"moved by hand\"'}"
        return postgres(size, extra=reason)

    repo.commit("start", {"db.yaml": waived("20Gi")})
    repo.commit("shrink", {"db.yaml": waived("10Gi")})
    repo.commit("too late", {"db.yaml": waived("5Gi")}, after=5 * DAY)
    report = replay(repo)
    assert [subject for subject, _ in found(report)] == ["too late"]
    assert report["totals"]["waived"] == 1


def test_what_else_is_in_the_commit_is_seen(repo):
    store = "  backup: {barmanObjectStore: {destinationPath: s3://backups/orders}}\n"
    repo.commit("start", {"a/db.yaml": postgres(name="one") + store})
    repo.commit("second", {"b/db.yaml": postgres(name="one", namespace="two") + store})
    assert found(replay(repo)) == [("second", [("SW501", "CREATE", "b/db.yaml")])]


def test_clusters_do_not_see_each_other(repo):
    store = "  backup: {barmanObjectStore: {destinationPath: s3://backups/orders}}\n"
    both = postgres(name="one") + store
    marker = postgres(name="same")
    repo.commit("start", {"east/a.yaml": both, "east/same.yaml": marker, "west/same.yaml": marker})
    repo.commit("second", {"west/b.yaml": postgres(name="one", namespace="two") + store})
    assert found(replay(repo)) == []


def test_a_shallow_clone_begins_with_what_it_has(repo, tmp_path):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    repo.commit("again", {"db.yaml": postgres("5Gi")})
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=2", repo.root.as_uri(), str(clone)], check=True)
    report = replay(clone)
    assert [subject for subject, _ in found(report)] == ["again"]
    assert report["totals"]["shallow"] is True
    assert "the clone is shallow" in CliRunner().invoke(cli, ["replay", str(clone)]).stdout


def test_a_bare_repository_is_read(repo, tmp_path):
    repo.commit("start", {"apps/db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"apps/db.yaml": postgres("10Gi")})
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(repo.root), str(bare)], check=True)
    assert len(found(replay(bare, "apps"))) == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: Repo(folder), "names no commit"),
        (lambda folder: folder.mkdir(), "not inside a git repository"),
        (lambda folder: None, "the folder does not exist"),
        (lambda folder: folder.write_text(""), "the folder does not exist"),
    ],
    ids=["empty", "none", "missing", "file"],
)
def test_what_has_no_history_is_one_clear_line(tmp_path, make, words, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    make(tmp_path / "folder")
    result = CliRunner().invoke(cli, ["replay", str(tmp_path / "folder")])
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_symbolic_links_and_submodules_are_no_manifests(repo):
    repo.commit("start", {"db.yaml": postgres()})
    (repo.root / "link.yaml").symlink_to("db.yaml")
    repo.commit("link", {})
    (repo.root / "link.yaml").unlink()
    repo.commit("unlink", {})
    assert replay(repo)["totals"]["edits"] == 1


def test_a_file_that_becomes_a_link_is_gone(repo):
    repo.commit("start", {"db.yaml": postgres()})
    (repo.root / "db.yaml").unlink()
    (repo.root / "db.yaml").symlink_to("elsewhere")
    repo.commit("link", {})
    assert found(replay(repo)) == [("link", [("SW401", "DELETE", "db.yaml")])]


def test_strange_names_and_subjects_are_read(repo):
    name = "ä b\n\tc\x01.yaml"
    repo.commit("start", {name: postgres("20Gi")})
    repo.commit("shrink \x1b[31mred", {name: postgres()})
    ((subject, ((rule, _, file),)),) = found(replay(repo))
    assert (rule, subject) == ("SW102", "shrink �[31mred")
    assert file.startswith("ä b")


def test_an_author_date_of_long_ago_is_told(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres()}, GIT_AUTHOR_DATE=f"{START - 40 * DAY} +0200")
    text = CliRunner().invoke(cli, ["replay", str(repo.root)]).stdout
    assert "2023-10-05 22:13  is when it was written" in text


def test_the_text_says_what_where_and_why(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    guilty = repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    result = CliRunner().invoke(cli, ["replay", str(repo.root)])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{guilty[:10]}  2023-11-16 22:13  shrink"
    assert lines[2] == "  db.yaml:10:11: SW102 deny volume-shrink · Cluster prod/orders"
    assert lines[3] == "     10 │     size: 10Gi"
    assert '"10Gi" is smaller than "20Gi"' in lines[4]
    assert lines[5].startswith("     why  ")
    assert "SW102  volume-shrink  1         1" in lines
    assert "2 commits judged, 2023-11-15 to 2023-11-16: 2 edits of objects in 2 of them" in lines
    assert "1 refusal in 1 commit" in lines
    assert lines[-1].endswith("commits a minute")


def test_limit_lists_fewer_and_counts_all(repo):
    for size in ("30Gi", "20Gi", "10Gi", "5Gi"):
        repo.commit(f"to {size}", {"db.yaml": postgres(size)})
    report = replay(repo, "--limit", "1")
    assert [subject for subject, _ in found(report)] == ["to 20Gi"]
    assert report["totals"]["refusedCommits"] == 3
    assert "… and 2 commits more (--limit 1)" in CliRunner().invoke(cli, ["replay", str(repo.root), "--limit=1"]).stdout


def test_warnings_are_counted_and_listed_when_asked(repo):
    repo.commit("start", {"db.yaml": postgres(image="17.2")})
    repo.commit("upgrade", {"db.yaml": postgres(image="18.0")})
    quiet, loud = replay(repo), replay(repo, "--show", "warn")
    assert found(quiet) == []
    assert quiet["totals"]["warnings"] == loud["totals"]["warnings"] > 0
    assert [subject for subject, _ in found(loud)] == ["upgrade"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 0), (["--fail-on", "deny"], 1), (["--fail-on", "deny", "--ignore", "SW102"], 0), (["--select", "SW3"], 0)],
)
def test_the_exit_code_is_a_matter_of_choice(repo, arguments, code):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    report = replay(repo, *arguments, code=code)
    assert bool(report["commits"]) is (arguments in ([], ["--fail-on", "deny"]))


def test_a_policy_is_heeded(repo, tmp_path):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nmetadata: {name: x}\nspec: {rules: {SW102: {action: off}}}\n"
    )
    result = CliRunner().invoke(cli, ["replay", str(repo.root), "--policy", str(policy), "-f", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["commits"] == []


def test_a_report_goes_into_a_file(repo, tmp_path):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    target = tmp_path / "report.txt"
    assert CliRunner().invoke(cli, ["replay", str(repo.root), "-o", str(target)]).stdout == ""
    assert "SW102" in target.read_text()
    assert "\x1b" not in target.read_text()


def test_secrets_are_never_printed(repo):
    secret = "hunter2-hunter2"
    text = f"""\
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {{name: db, namespace: prod}}
        spec:
          serviceName: db
          selector: {{matchLabels: {{app: db}}}}
          replicas: %d
          template:
            metadata: {{labels: {{app: db}}}}
            spec: {{containers: [{{name: postgres, image: "postgres:%s", env: [{{name: PASSWORD, value: {secret}}}]}}]}}
          volumeClaimTemplates:
          - metadata: {{name: data}}
            spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 5Gi}}}}}}
        """
    repo.commit("start", {"db.yaml": text % (1, "17.2")})
    repo.commit("down", {"db.yaml": text % (1, "15.2")})
    result = CliRunner().invoke(cli, ["replay", str(repo.root), "--show", "warn"])
    assert "SW301" in result.stdout
    assert secret not in result.output
    assert secret not in CliRunner().invoke(cli, ["replay", str(repo.root), "-f", "json", "--show", "warn"]).output


def test_a_missing_blob_is_a_file_that_cannot_be_read(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    oid = repo.git("rev-parse", "HEAD:db.yaml")
    (repo.root / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    report = replay(repo)
    assert found(report) == []
    assert "missing in this clone" in report["notJudged"]["unreadable"]["db.yaml"]["why"]


def test_a_history_that_breaks_off_gives_the_totals_so_far(repo):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    repo.commit("later", {"sub/x.yaml": "a: 1\n"})
    tree = repo.git("rev-parse", "HEAD^{tree}")
    (repo.root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    result = CliRunner().invoke(cli, ["replay", str(repo.root)])
    assert result.exit_code == 2
    assert "2 commits of 3 judged" in result.stdout or "1 commit of 3 judged" in result.stdout
    assert result.stderr.startswith("error: git log: ")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_prints_the_totals_so_far(repo, tmp_path):
    repo.commit("start", {"db.yaml": postgres("20Gi")})
    repo.commit("shrink", {"db.yaml": postgres("10Gi")})
    program = tmp_path / "stopped.py"
    program.write_text(
        textwrap.dedent(
            """
            import os, signal
            from stateward.cli.main import main
            from stateward.cli.progress import Progress
            # What is started in the background may have been told to pass over it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            steps = []
            def step(self):
                steps.append(1)
                if len(steps) == 2:
                    os.kill(os.getpid(), signal.SIGINT)
            Progress.step = step
            main()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(program), "replay", str(repo.root)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 130
    assert "2 commits of 2 judged" in done.stdout
    assert "SW102" in done.stdout
    assert done.stderr == "error: stopped before the end; the totals are those so far\n"


def test_memory_does_not_grow_with_the_history(repo):
    repo.commit("start", {"db.yaml": postgres(instances=3)})
    blob = [postgres(size=f"{100 + number}Gi") + "# " + "x" * 100_000 + "\n" for number in range(30)]
    stream = [f"blob\nmark :{1 + n}\ndata {len(text)}\n{text}\n" for n, text in enumerate(blob)]
    for n in range(600):
        stream.append(
            f"commit refs/heads/long\nmark :{1000 + n}\ncommitter x <x@y> {START + n * 60} +0000\ndata 1\nx\n"
            + (f"from :{999 + n}\n" if n else "")
            + f"M 100644 :{1 + n % 30} db.yaml\n"
        )
    subprocess.run(["git", "fast-import", "--quiet"], cwd=repo.root, input="".join(stream), text=True, check=True)
    started = time.monotonic()
    report = replay(repo, "--branch", "long", "--limit", "3")
    assert report["totals"]["commits"] == 600
    assert report["totals"]["refusals"] == 20 - 1
    assert time.monotonic() - started < 36  # a thousand a minute, on the slowest machine


def test_the_cache_of_blobs_is_bounded(repo, monkeypatch):
    from stateward.cli.replay import contents

    monkeypatch.setattr(contents, "CACHED_BYTES", 3000)
    for number in range(40):
        repo.commit(str(number), {"db.yaml": postgres(size=f"{100 + number}Gi")})
    made = []
    original = contents.Contents.__init__
    monkeypatch.setattr(contents.Contents, "__init__", lambda self, blobs: (made.append(self), original(self, blobs))[1])
    repository = Repository.find(repo.root)
    asked = history.Range(repository.commit("HEAD"))
    list(run.Replay(repository, asked, [], DEFAULT, actions=frozenset()).entries(lambda: None))
    (cache,) = made
    assert 0 < cache._size <= 3000
    assert len(cache._cache) < 20


PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map("/".join)


@given(one=PATHS, another=PATHS)
def test_files_are_nearest_to_themselves_and_apart_in_both_directions(one, another):
    assert nearness(one, one) >= nearness(one, another)
    assert nested(one, another) == nested(another, one)
    clusters = Clusters()
    assert not clusters.apart(one, another)
    clusters.count(one, another, 1)
    assert clusters.apart(one, another) == clusters.apart(another, one) == (one != another)
    clusters.count(another, one, -1)
    assert not clusters.apart(one, another)
