"""Helm charts and kustomize folders: what is rendered, what is not, and what is said without the tools."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateward.cli import rendered
from stateward.cli.files import choose
from stateward.cli.main import cli

needs_helm = pytest.mark.skipif(shutil.which("helm") is None, reason="no helm on PATH")
needs_kustomize = pytest.mark.skipif(
    shutil.which("kustomize") is None and shutil.which("kubectl") is None, reason="no kustomize and no kubectl on PATH"
)

TEMPLATE = """\
{{- if .Values.enabled }}
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
spec:
  instances: 3
  imageName: ghcr.io/cloudnative-pg/postgresql:17.5
  storage: {storageClass: fast, size: {{ .Values.size | quote }}}
{{- end }}
"""
CHART = {
    "ledger/Chart.yaml": "apiVersion: v2\nname: Ledger_DB\nversion: 1.0.0\n",
    "ledger/values.yaml": "enabled: true\nsize: 80Gi\n",
    "ledger/templates/cluster.yaml": TEMPLATE,
    "ledger/crds/crd.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stands-for-a-crd}\n",
}
BASE = """\
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: pg}
spec:
  instances: 3
  imageName: ghcr.io/cloudnative-pg/postgresql:17.5
  storage: {storageClass: fast, size: 80Gi}
"""
SIZE = "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata: {name: pg}\nspec: {storage: {size: %s}}\n"
KUSTOMIZE = {
    "base/kustomization.yaml": "resources: [db.yaml]\n",
    "base/db.yaml": BASE,
    "overlays/prod/kustomization.yml": "namespace: prod\nresources: [../../base]\npatches: [{path: size.yaml}]\n",
    "overlays/prod/size.yaml": SIZE % "100Gi",
    "overlays/dev/Kustomization": "namespace: dev\nresources: [../../base]\n",
    "overlays/dev/unused.yaml": SIZE % "1Gi",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def lint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["lint", *arguments], input=stdin)

    return run


@pytest.fixture
def no_tools(monkeypatch, tmp_path):
    (tmp_path / "no-programs").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


def found(*paths: str) -> tuple[list[str], list[str], list[str]]:
    """(folders to render, plain files, notes)"""
    them = rendered.find(choose(paths))
    return [f"{one.tool} {one.path}" for one in them.folders], [one.source for one in them.plain], them.notes


# --- what is rendered ----------------------------------------------------------------------------------------------


def test_overlays_are_rendered_and_the_base_they_share_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, KUSTOMIZE | {"plain.yaml": BASE}))
    folders, plain, notes = found(".")
    assert folders == ["kustomize overlays/dev", "kustomize overlays/prod"]
    assert plain == ["./plain.yaml"]
    assert notes == ["passed over, no kustomization refers to it: ./overlays/dev/unused.yaml"]
    assert found("base")[0] == ["kustomize base"]
    assert found("overlays/prod/kustomization.yml")[0] == ["kustomize overlays/prod"]


def test_components_are_never_rendered_alone_and_circles_are_rendered_once(tmp_path, monkeypatch):
    files = {
        "c/kustomization.yaml": "kind: Component\nresources: [x.yaml]\n",
        "c/x.yaml": BASE,
        "one/kustomization.yaml": "resources: [../two]\n",
        "two/kustomization.yaml": "resources: [../one]\n",
    }
    monkeypatch.chdir(write(tmp_path, files))
    folders, plain, notes = found(".")
    assert folders == ["kustomize one"]
    assert plain == []
    assert notes == ["passed over, a component renders nothing by itself: c"]
    write(tmp_path, {"three/kustomization.yaml": "components: [../c]\n"})
    assert found("c", "three") == (["kustomize three"], [], [])


def test_a_chart_is_rendered_with_its_subcharts_in_it(tmp_path, monkeypatch):
    files = CHART | {"ledger/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "x.yaml": BASE}
    monkeypatch.chdir(write(tmp_path, files))
    assert found(".")[:2] == (["helm ledger"], ["./x.yaml"])
    monkeypatch.chdir(tmp_path / "ledger")
    assert found(".")[0] == ["helm ."]
    assert found("Chart.yaml")[0] == ["helm ."]


def test_a_library_chart_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, {"lib/Chart.yaml": "apiVersion: v2\nname: lib\ntype: library\n"}))
    assert found(".") == ([], [], ["passed over, a library chart renders nothing by itself: lib"])


def test_a_kustomization_of_flux_is_an_object_like_any(tmp_path, monkeypatch):
    text = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n"
    monkeypatch.chdir(write(tmp_path, {"kustomization.yaml": text, "db.yaml": BASE}))
    assert found(".") == ([], ["./db.yaml", "./kustomization.yaml"], [])


def test_a_kustomization_that_cannot_be_read_is_left_to_its_tool(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, {"kustomization.yaml": "resources: [\n", "db.yaml": BASE}))
    assert found(".")[:2] == (["kustomize ."], [])


def test_charts_that_a_kustomization_inflates_are_its_own(tmp_path, monkeypatch):
    files = {f"charts/{name}": text for name, text in CHART.items()}
    monkeypatch.chdir(write(tmp_path, files | {"kustomization.yaml": "helmCharts: [{name: ledger}]\n"}))
    assert found(".")[0] == ["kustomize ."]


# --- helm ----------------------------------------------------------------------------------------------------------


@needs_helm
def test_a_chart_is_judged_as_it_renders(lint, tmp_path):
    write(tmp_path / "old", CHART)
    write(tmp_path / "new", CHART | {"ledger/values.yaml": "enabled: true\nsize: 40Gi\n"})
    result = lint("--old", "old", "new")
    assert result.exit_code == 1, result.output
    assert "new/ledger (rendered): templates/cluster.yaml:11:39: SW102 deny volume-shrink · Cluster default/ledger-db" in (
        result.stdout
    )
    assert '11 │   storage: {storageClass: fast, size: "40Gi"}' in result.stdout
    assert "note: new/ledger: rendered by helm, 2 objects" in result.stderr


@needs_helm
def test_values_release_and_namespace_are_helm_s(lint, tmp_path):
    write(tmp_path, CHART | {"big.yaml": "size: 90Gi\n", "small.yaml": "size: 30Gi\n"})
    write(tmp_path / "old", {"pg.yaml": BASE.replace("{name: pg}", "{name: books, namespace: bank}")})
    options = ("--helm-values", "big.yaml", "--helm-values", "small.yaml", "--release-name", "books", "--namespace", "bank")
    result = lint("--old", "old", *options, "ledger")
    assert "Cluster bank/books" in result.stdout
    assert '"30Gi" is smaller than "80Gi"' in result.stdout


@needs_helm
def test_a_chart_that_renders_nothing_is_told(lint, tmp_path):
    write(tmp_path, {"c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n"})
    result = lint("c")
    assert result.exit_code == 0, result.output
    assert "note: c: rendered by helm, 0 objects" in result.stderr


@needs_helm
def test_a_dependency_that_is_missing_is_one_line_with_the_next_step(lint, tmp_path):
    chart = "apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: [{name: postgresql, version: 1.0.0, repository: 'https://x.invalid'}]\n"
    write(tmp_path, {"a/Chart.yaml": chart, "a/templates/x.yaml": TEMPLATE, "db.yaml": BASE})
    result = lint(".")
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if "error:" in line and line.startswith("a: ")]
    assert "missing in charts/ directory: postgresql" in line
    assert line.endswith("(helm dependency build a).")
    assert "1 object in 1 file" in result.stderr


@needs_helm
@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ .Values.a.b.c }}", "nil pointer"),
        ("{{ if }}", "missing value for if"),
        ("a: [\n", "templates/cluster.yaml"),
        ('{{ fail "size is needed" }}', "size is needed"),
    ],
)
def test_a_chart_that_does_not_render_is_named_and_the_rest_is_judged(lint, tmp_path, template, says):
    write(tmp_path, CHART | {"ledger/templates/cluster.yaml": template, "db.yaml": BASE})
    result = lint(".")
    assert result.exit_code == 2
    assert "ledger: error: the Helm chart cannot be rendered: helm: " in result.stderr
    assert says in result.stderr
    assert "1 object in 1 file" in result.stderr
    assert "Traceback" not in result.output


@needs_helm
def test_a_chart_at_the_base_is_rendered_with_the_values_of_then(clone, monkeypatch):
    clone.commit(**CHART, **{"prod.yaml": "size: 120Gi\n"})
    clone.write("prod.yaml", "size: 60Gi\n")
    monkeypatch.chdir(clone.root)
    result = CliRunner().invoke(cli, ["lint", "--base", "main", "--helm-values", "prod.yaml", "ledger"])
    assert '"60Gi" is smaller than "120Gi"' in result.stdout, result.output
    shutil.rmtree(clone.root / "ledger")
    gone = CliRunner().invoke(cli, ["lint", "--base", "main", "ledger"])
    assert "main:ledger (rendered): templates/cluster.yaml:6:9: SW401 deny service-deleted" in gone.stdout, gone.output


# --- kustomize -----------------------------------------------------------------------------------------------------


@needs_kustomize
def test_overlays_are_judged_as_they_render(lint, tmp_path):
    write(tmp_path / "old", KUSTOMIZE)
    write(tmp_path / "new", KUSTOMIZE | {"overlays/prod/size.yaml": SIZE % "50Gi"})
    result = lint("--old", "old", "new")
    assert result.exit_code == 1, result.output
    assert result.stdout.count("SW102 deny") == 1
    assert "new/overlays/prod (rendered):" in result.stdout
    assert '"50Gi" is smaller than "100Gi"' in result.stdout
    assert "note: new/overlays/dev: rendered by kustomize, 1 object" in result.stderr


@needs_kustomize
def test_a_base_outside_of_the_path_is_found_at_the_commit_too(clone, monkeypatch):
    clone.commit(**KUSTOMIZE)
    clone.write("base/db.yaml", BASE.replace("80Gi", "40Gi"))
    monkeypatch.chdir(clone.root)
    result = CliRunner().invoke(cli, ["lint", "--base", "main", "overlays/dev"])
    assert '"40Gi" is smaller than "80Gi"' in result.stdout, result.output
    assert "overlays/dev (rendered):" in result.stdout


@needs_kustomize
def test_a_namespace_given_is_that_of_rendered_objects_without_one(lint, tmp_path):
    write(tmp_path / "old", KUSTOMIZE)
    write(tmp_path / "new", KUSTOMIZE | {"base/db.yaml": BASE.replace("80Gi", "40Gi")})
    result = lint("--old", "old/base", "--namespace", "bank", "new/base")
    assert "Cluster bank/pg" in result.stdout


@needs_kustomize
def test_a_kustomization_that_does_not_render_is_named(lint, tmp_path):
    write(tmp_path, {"k/kustomization.yaml": "resources: [missing.yaml]\n", "db.yaml": BASE})
    result = lint(".")
    assert result.exit_code == 2
    assert "k: error: the kustomize folder cannot be rendered: " in result.stderr
    assert "missing.yaml" in result.stderr
    assert "1 object in 1 file" in result.stderr


# --- without tools, without network --------------------------------------------------------------------------------


def test_without_helm_the_chart_is_named_and_the_rest_is_judged(lint, tmp_path, no_tools):
    write(tmp_path, CHART | {"db.yaml": BASE})
    result = lint(".")
    assert result.exit_code == 2
    assert (
        "ledger: error: the Helm chart cannot be rendered: helm is not found on PATH; install it "
        "(https://helm.sh/docs/intro/install), or give what it renders (helm template ledger | stateward lint -).\n"
    ) in result.stderr
    assert "1 object in 1 file, 0 refused, 1 input error" in result.stderr


def test_without_kustomize_and_kubectl_the_folder_is_named(lint, tmp_path, no_tools):
    write(tmp_path, KUSTOMIZE | {"db.yaml": BASE})
    result = lint(".")
    assert result.exit_code == 2
    assert result.stderr.count("neither kustomize nor kubectl is found on PATH; install one") == 2
    assert "overlays/prod: error: the kustomize folder cannot be rendered" in result.stderr
    assert "1 object in 1 file" in result.stderr


def test_a_folder_that_cannot_be_rendered_deletes_nothing(lint, tmp_path, no_tools):
    write(tmp_path / "old", {"db.yaml": BASE})
    write(tmp_path / "new", CHART)
    result = lint("--old", "old", "new")
    assert result.exit_code == 2
    assert "SW401" not in result.stdout


@pytest.mark.parametrize(
    "name", ["https://user:secret@example.org/base?ref=v1", "github.com/a/b//base", "git@github.com:a/b.git", "a/b?ref=main"]
)
def test_what_is_elsewhere_is_not_fetched(lint, tmp_path, name):
    write(tmp_path, {"k/kustomization.yaml": f"resources: ['{name}']\n"})
    result = lint("k")
    assert result.exit_code == 2
    assert "which is not here, and lint asks no network; keep a copy beside it" in result.stderr
    assert "secret" not in result.output


def test_a_tool_that_hangs_or_fails_strangely_is_one_line(lint, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    write(tmp_path, CHART)
    write(programs, {"helm": "#!/bin/sh\nwhile :; do :; done\n"})
    (programs / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(rendered, "SECONDS", 0.2)
    assert "helm took longer than 0.2 s" in lint("ledger").stderr
    write(programs, {"helm": "#!/bin/sh\nexit 3\n"})
    assert "helm: it says nothing; correct the chart" in lint("ledger").stderr
    write(programs, {"helm": "no program"})
    assert "cannot be started" in lint("ledger").stderr
    write(programs, {"helm": "#!/bin/sh\nprintf '\\377'\n"})
    assert "is not UTF-8" in lint("ledger").stderr


def test_a_template_outside_of_a_chart_is_named(lint, tmp_path):
    write(
        tmp_path,
        {"t.yaml": TEMPLATE, "quoted.yaml": BASE.replace("{name: pg}", '{name: "{{ .Release.Name }}"}'), "db.yaml": BASE},
    )
    result = lint(".")
    assert result.exit_code == 2
    assert "./t.yaml:1:" in result.stderr
    assert "render it first (helm template)" in result.stderr
    assert "./quoted.yaml:3:18: error: metadata.name holds {{ … }}: this is a template and no manifest yet." in result.stderr
    assert "1 object in 1 file" in result.stderr
