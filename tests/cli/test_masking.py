"""No report and no error shows a value of a Secret, a variable, an argument, or the credentials of a URL."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stateward.cli import manifests, masking
from stateward.cli.commands.lint import FORMATS
from stateward.cli.main import cli

CANARY = re.compile(r"c4n4ry[a-z0-9]*", re.IGNORECASE)

# Each place that a value may hide in, with a finding as near to it as there is one: most in the very same line.
STUFFED = """\
apiVersion: v1
kind: Secret
metadata: {name: ledger, namespace: prod, annotations: {note: "see https://bob:c4n4ryurl@vault.example/x"}}
data: {password: YzRuNHJ5YmFzZTY0}
stringData: {password: c4n4rystring, "url": "postgres://bob:c4n4ryp@ss/wrd@db/x"}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: etcd, namespace: prod, annotations: {kubectl.kubernetes.io/last-applied-configuration: "c4n4ryapplied"}}
spec: {replicas: 1, template: {spec: {containers: [{name: etcd, image: "quay.io/coreos/etcd:v3.5.9",
  command: [etcd, --c4n4rycommand],
  args: [--token=c4n4ryarg, "c4n4ry\\
    folded"], env: [{name: TOKEN, value: c4n4ryenv}, {name: A, value: c4n4rya}]}]}}} # was c4n4rycomment
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: state, namespace: prod}
spec:
  replicas: 3
  template:
    spec:
      containers:
        - {name: etcd, image: "quay.io/coreos/etcd:v3.5.9", env: [{name: ETCD_INITIAL_CLUSTER_STATE, value: c4n4rystate}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
  namespace: prod
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: db
          image: docker.io/library/postgres:15.4
          command: ["sh", "-c", "c4n4rysh"]
          args:
            - |
              first
              c4n4ryblock
          env:
            - name: POSTGRES_PASSWORD
              value: c4n4rypassword
            - &shared {name: SHARED, value: c4n4ryanchor}
            - *shared
          livenessProbe: {exec: {command: [check, c4n4ryprobe]}}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {storageClassName: CLASS, resources: {requests: {storage: 10Gi}}}
---
ONELINE
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: pg, namespace: prod}
spec: {instances: 3, imageName: "postgresql:17.5", storage: {size: SIZE}, env: [{name: A, value: c4n4rycr}],
  backup: {barmanObjectStore: {destinationPath: "s3://key:c4n4rystore@bucket/pg"}},
  bootstrap: {recovery: {source: pg}}, externalClusters: [{name: pg, connectionParameters: {password: c4n4ryparam},
    barmanObjectStore: {destinationPath: "s3://key:c4n4rystore@bucket/pg", serverName: pg}}]}
"""

ONELINE = (
    '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"x": "c4n4ryjson"}}'
    '{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "oneline", "namespace": "prod"}, "spec": '
    '{"replicas": REPLICAS, "template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.9", '
    '"env": [{"name": "A", "value": "c4n4ryone"}]}]}}}}'
    '{"apiVersion": "v1", "kind": "SecretList", "items": [{"metadata": {"name": "b"}, "data": {"x": "c4n4rylist"}}]}'
)


def before() -> str:
    text = STUFFED.replace("ONELINE", ONELINE).replace("CLASS", "fast").replace("SIZE", "10Gi").replace("REPLICAS", "3")
    return text.replace("spec: {replicas: 1,", "spec: {replicas: 3,").replace("c4n4rystate", "existing")


def after() -> str:
    return (
        STUFFED.replace("ONELINE", ONELINE)
        .replace("CLASS", "slow")
        .replace("SIZE", "5Gi")
        .replace("REPLICAS", "1")
        .replace("postgres:15.4", "postgres:13.2")
    )


def leaks(*texts: str) -> list[str]:
    return [match[0] for text in texts for match in CANARY.finditer(text)]


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("flow", ["created", "changed", "deleted"])
def test_no_canary_gets_into_a_report(tmp_path, style, flow):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    (old / "a.yaml").write_text(before())
    (new / "a.yaml").write_text(after() if flow != "deleted" else "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    arguments = ["--old", str(old), str(new)] if flow != "created" else [str(new)]
    result = CliRunner().invoke(cli, ["lint", "--format", style, *arguments])
    assert result.exit_code == (0 if flow == "created" and not result.exit_code else 1), result.output
    assert leaks(result.stdout, result.stderr) == []
    assert "YzRuNHJ5" not in result.output


def test_the_stuffed_manifest_is_really_pointed_into(tmp_path):
    """The test above would pass on a report with nothing in it."""
    (tmp_path / "old.yaml").write_text(before())
    (tmp_path / "new.yaml").write_text(after())
    result = CliRunner().invoke(cli, ["lint", "-f", "json", "--old", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")])
    report = json.loads(result.stdout)
    assert report["inputErrors"] == []
    excerpts = [one["excerpt"] for one in report["findings"]]
    assert len(excerpts) >= 6
    assert sum("…" in text for text in excerpts) >= 3
    assert any("env: [{name: A, value: …}]" in text for text in excerpts)
    named = {(one["object"]["name"], one["rule"]) for one in report["findings"]}
    assert {("etcd", "SW201"), ("oneline", "SW201"), ("pg", "SW102"), ("db", "SW301"), ("state", "SW804")} <= named


@pytest.mark.parametrize(
    "text",
    [
        "stringData:\n  password: c4n4ry: x\n",
        "stringData: {password: c4n4ry\n",
        'stringData:\n  password: "c4n4ry\n',
        "stringData:\n  password: !c4n4ry\n",
        "stringData:\n  password: !!c4n4ry x\n",
        "stringData:\n  password: *c4n4ry\n",
        "stringData:\n  password: !!int c4n4ry\n",
        "stringData:\n  password: %c4n4ry\n",
        "stringData:\n  password: `c4n4ry`\n",
        "stringData:\n  password: @c4n4ry\n",
        'stringData:\n  password: "\\c4n4ry"\n',
        "stringData:\n\tpassword: c4n4ry\n",
        "stringData:\n  password: c4n4ry\x00\n",
        "stringData:\n  password: c4n4ry\n  password: c4n4ry2\n",
        "stringData:\n  password: [c4n4ry, {{ .c4n4ry }}]\n",
        "stringData:\n  password: &c4n4ry [*c4n4rz]\n",
        "stringData:\n  - password\n  c4n4ry\n",
        "stringData: !!binary c4n4ry\n",
        "stringData:\n  <<: c4n4ry\n",
    ],
)
def test_no_canary_gets_into_an_error(tmp_path, text):
    path = tmp_path / "secret.yaml"
    path.write_text(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\n{text}")
    result = CliRunner().invoke(cli, ["lint", str(path)])
    assert result.exit_code == 2, result.output
    assert leaks(result.output) == []
    assert f"{path}:" in result.stderr


@pytest.mark.parametrize(
    "value",
    [
        "!c4n4ry x",
        "!!c4n4ry x",
        "*c4n4ry",
        "!!int c4n4ry",
        "!!float c4n4ry",
        "!!timestamp c4n4ry",
        "[c4n4ry",
        "{[c4n4ry]: x}",
        "%c4n4ry",
    ],
)
def test_no_canary_gets_into_an_error_of_cases(tmp_path, value):
    path = tmp_path / "case.yaml"
    path.write_text(
        f"cases:\n  - operation: CREATE\n    expect: allow\n    new: {{kind: Secret, stringData: {{a: {value}}}}}\n"
    )
    result = CliRunner().invoke(cli, ["test", str(path)])
    assert (result.exit_code, type(result.exception)) == (2, SystemExit), result.output
    assert leaks(result.output) == []
    assert f"error: {path}" in result.stderr


def shown(text: str, number: int, name: str | None = None) -> str:
    """A line of a manifest as it may be shown."""
    path = Path(name or "x.yaml")
    path.write_text(text)
    document = manifests.load([path]).documents[0]
    start = sum(len(line) + 1 for line in text.split("\n")[: number - 1])
    end = start + len(text.split("\n")[number - 1])
    return masking.Lines(document).line(start, end).text


HEAD = "apiVersion: v1\nkind: Thing\n"


@pytest.mark.parametrize(
    ("line", "seen"),
    {
        "a variable": ("env: [{name: A, value: x}]", "env: [{name: A, value: …}]"),
        "a variable of another source": (
            "env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}]",
            "env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}]",
        ),
        "variables as a mapping": ("env: {A: x, B: y}", "env: {A: …, B: …}"),
        "arguments": ("args: [--a=b, c]", "args: […, …]"),
        "an argument alone": ("command: x", "command: …"),
        "a password by its name": ("adminPassword: x", "adminPassword: …"),
        "credentials of a URL": ("image: https://a:b@host/x", "image: https://…@host/x"),
        "a URL without": ("image: https://host/x@sha256", "image: https://host/x@sha256"),
        "an image's digest": ("image: host/x@sha256:abc", "image: host/x@sha256:abc"),
        "nothing": ("replicas: 3  # was 5", "replicas: 3  # was 5"),
        "a comment behind a secret": ("command: x # was y", "command: …"),
        "a comment": ("  # value: x", "  # …"),
        "a setting in a text": ("data: {a: 'user=b password = c,d=e'}", "data: {a: 'user=b password = …,d=e'}"),
        "a reference to a password": ("passwordSecret: {name: a}", "passwordSecret: {name: a}"),
        "two at once": (
            "a: {env: [{name: A, value: x}], b: 'https://a:b@c'}",
            "a: {env: [{name: A, value: …}], b: 'https://…@c'}",
        ),
        "a key twice": ("env: [{name: A, value: x, value: y}]", "env: [{name: A, value: …, value: …}]"),
    }.values(),
    ids=str,
)
def test_a_line_shows_its_keys_and_hides_its_secrets(tmp_path, monkeypatch, line, seen):
    monkeypatch.chdir(tmp_path)
    assert shown(f"{HEAD}{line}\n", 3).rstrip() == seen


def test_a_secret_whose_kind_is_merged_in_is_still_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "x: &base {apiVersion: v1, kind: Secret}\n<<: *base\ndata: {key: value}\n"
    assert shown(text, 3) == "data: {key: …}"


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=5))
def test_columns_behind_what_is_hidden_move_with_the_text(pieces):
    line = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ranges, at = [], 0
    for gap, length in pieces:
        if at + gap + length < len(line):
            ranges.append((at + gap, at + gap + length))
            at += gap + length
    text, last = "", 0
    for start, end in ranges:
        text += line[last:start] + masking.HIDDEN
        last = end
    seen = masking.Shown(text + line[last:], ranges)
    for column, letter in enumerate(line):
        hidden = any(start <= column < end for start, end in ranges)
        assert seen.text[seen.column(column)] == (masking.HIDDEN if hidden else letter)


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ("s3://a:b@c/d is shared", "s3://…@c/d is shared"),
        ("postgres://a:p@ss/w@host, and more", "postgres://…@host, and more"),
        ("mail a@b.c", "mail a@b.c"),
        ("a\x1b[31mred\x07", "a\ufffd[31mred\ufffd"),
        ("turned \u202e round", "turned \ufffd round"),
        ("name \udcff", "name \ufffd"),
    ],
)
def test_a_sentence_has_no_credentials_and_nothing_a_terminal_obeys(words, seen):
    assert masking.text(words) == seen
