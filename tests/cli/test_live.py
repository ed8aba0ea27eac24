"""`lint --cluster` where there is no cluster to be had; with one see tests/cluster/test_lint.py."""

from __future__ import annotations

import socket
import sys

import pytest
from click.testing import CliRunner

from stateward.cli.live import Live, _digested
from stateward.cli.main import cli
from stateward.policies.secrets import changed_credentials

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
CONFIG = """\
apiVersion: v1
kind: Config
current-context: one
contexts: [{{name: one, context: {{cluster: one, user: one, namespace: books}}}}]
clusters: [{{name: one, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: one, user: {{token: hunter2}}}}]
"""


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "a.yaml"
    path.write_text(MAP)
    return str(path)


def run(*arguments: str):
    return CliRunner().invoke(cli, ["lint", *arguments])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--kubeconfig", "x"), "--kubeconfig is about a cluster; add --cluster"),
        (("--kube-context", "x"), "--kube-context is about a cluster; add --cluster"),
        (("--prune",), "--prune is about a cluster; add --cluster"),
        (
            ("--cluster", "--prune"),
            "--prune: without --selector it would mean everything that was ever applied; give the labels",
        ),
        (("--cluster", "--selector", "a=b"), "--selector chooses what --prune deletes; add --prune"),
        (("--cluster", "--base", "main"), "--base and --cluster: each says what was there before; give one of them"),
        (("--fix", "--diff"), "--fix writes and --diff only shows; give one of them"),
        (("--cluster",), "kubeconfig ~/.kube/config: no such file; name one with --kubeconfig or in $KUBECONFIG"),
        (("--cluster", "--kubeconfig", "/no/such"), "kubeconfig /no/such: no such file"),
    ],
)
def test_options_that_cannot_be_followed_end_with_two(manifest, options, says):
    result = run(*options, manifest)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


def test_a_cluster_that_does_not_answer_ends_with_two_and_a_line(manifest, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "config").write_text(CONFIG.format(port=port))
    result = run("--cluster", "--kubeconfig", str(tmp_path / "config"), manifest)
    assert result.exit_code == 2
    assert f"http://127.0.0.1:{port} does not answer" in result.stderr
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


def test_a_context_that_is_not_there_is_named(manifest, tmp_path):
    (tmp_path / "config").write_text(CONFIG.format(port=1))
    result = run("--cluster", "--kubeconfig", str(tmp_path / "config"), "--kube-context", "two", manifest)
    assert result.exit_code == 2
    assert "context two" in result.stderr


def test_without_the_client_it_says_what_to_install(manifest, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    result = run("--cluster", manifest)
    assert result.exit_code == 2
    assert result.stderr == "error: --cluster: kubernetes is missing; install it with: pip install 'stateward[serve]'\n"


def test_a_live_object_has_lines_to_point_at():
    item = {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "a", "namespace": "b"},
        "spec": {"text": "yes", "list": [1]},
    }
    document = Live(item)
    assert document.source == "live:b/Thing/a"
    assert document.locate(("spec", "text")).text == "  text: 'yes'"
    assert document.locate(("spec", "list", 0)).text == "  - 1"
    assert "name: a" in document.text


def test_digests_of_a_secret_tell_what_differs_and_nothing_else():
    def secret(**values: str) -> dict:
        return {"kind": "Secret", "stringData": values}

    one = secret(password="hunter2", env="# x\nHOST=a\nDB_PASSWORD=b\n", other="x")
    two = secret(password="hunter2", env="HOST=c\nDB_PASSWORD = d\n", other="y")
    before, after = _digested(one), _digested(two)
    assert "hunter2" not in str(before)
    assert "stringData" not in before
    assert changed_credentials(before, after) == changed_credentials(one, two) == ["env:DB_PASSWORD"]
    assert "password" in changed_credentials(before, _digested(secret(password="hunter3")))
