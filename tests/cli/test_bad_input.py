"""Bad input, as a user meets it: the file, the line and the reason, and everything else is still judged."""

from __future__ import annotations

import copy
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from stateward.cli.main import cli
from stateward.policies import cases, data
from stateward.policies.rules import RULES

HANG = 120
"""Seconds; a guard against hanging, no measure of speed."""

OLD = """\
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: ledger, namespace: bank}
spec:
  instances: 3
  imageName: ghcr.io/cloudnative-pg/postgresql:17.5
  storage: {storageClass: fast, size: 80Gi}
"""
SHRUNK = OLD.replace("80Gi", "40Gi")


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Lints a file beside a good one, which is refused for its own reasons."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "good.yaml").write_text(OLD)
    (tmp_path / "new" / "good.yaml").write_text(SHRUNK)

    def run(content: str | bytes, name: str = "bad.yaml") -> Result:
        (tmp_path / "new" / name).write_bytes(content.encode() if isinstance(content, str) else content)
        result = CliRunner().invoke(cli, ["lint", "--old", "old", "new", f"new/{name}"])
        assert "new/good.yaml:7:39: SW102 deny" in result.stdout, "the other file is judged"
        assert "Traceback" not in result.output
        return result

    return run


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("content", "says"),
    {
        "an open bracket": ("apiVersion: v1\nkind: [\n", "bad.yaml:3:1: error: YAML syntax error"),
        "indentation that goes back": ("apiVersion: v1\nkind: Pod\n  x: 1\n", "bad.yaml:3:4: error: YAML syntax error"),
        "a tab": ("apiVersion: v1\nkind: Pod\nspec:\n\ta: 1\n", "bad.yaml:4:1: error: a tab indents this line"),
        "a key twice": ("apiVersion: v1\nkind: Pod\nspec: {}\nspec: {}\n", 'bad.yaml:4:1: error: key "spec" appears twice'),
        "a key twice in JSON": (
            '{"apiVersion": "v1", "kind": "Pod", "kind": "Pod"}',
            'bad.yaml:1:37: error: key "kind" appears',
        ),
        "an alias bomb": (bomb(9), "bad.yaml:9:"),
        "an alias to nothing": ("apiVersion: v1\nkind: Pod\nspec: *x\n", "bad.yaml:3:7: error:"),
        "an anchor in itself": (
            "apiVersion: v1\nkind: Pod\nspec: &x [*x]\n",
            "bad.yaml:3:11: error:",
        ),
        "depth": ("apiVersion: v1\nkind: Pod\nspec: " + "[" * 5000, "bad.yaml:3:"),
        "Latin-1": (
            "apiVersion: v1\nkind: Pod\nspec: caf\xe9\n".encode("latin-1"),
            "bad.yaml:3:10: error: byte 0xe9 is not UTF-8",
        ),
        "UTF-32": ("apiVersion: v1\n".encode("utf-32"), "bad.yaml:1:1: error: the text is UTF-32"),
        "a control character": ("apiVersion: v1\nkind: Pod\x00\n", "bad.yaml:2:10: error: character U+0000"),
        "a program": (b"\x7fELF\x02\x01\x01\x00apiVersion kind", "bad.yaml:1:1: error:"),
        "a template": ("{{- if .Values.x }}\napiVersion: v1\nkind: Pod\n{{- end }}\n", "bad.yaml:1:"),
        "a template in quotes": (
            'apiVersion: v1\nkind: Pod\nmetadata: {name: "{{ .x }}"}\n',
            "bad.yaml:3:18: error: metadata.name holds",
        ),
        "an empty file": ("", "bad.yaml: error: no Kubernetes object is in this input"),
        "comments alone": ("# nothing\n---\n", "bad.yaml: error: no Kubernetes object is in this input"),
        "no kind": ("apiVersion: v1\nmetadata: {name: a}\n", "bad.yaml: error: no Kubernetes object is in this input"),
        "a list of scalars": (
            "apiVersion: v1\nkind: List\nitems: [a]\n",
            "bad.yaml:3:9: error: this list item is no Kubernetes object",
        ),
        "no kind beside an object": (
            f"{OLD}---\napiVersion: v1\n",
            "bad.yaml:9:1: error: this document is no Kubernetes object",
        ),
        "a tag of Python": ("apiVersion: v1\nkind: !!python/name:os.system x\n", "bad.yaml:2:7: error:"),
        "not a number": ("apiVersion: v1\nkind: Pod\nspec: {a: .nan}\n", "bad.yaml:3:11: error:"),
        "a mapping as key": ("apiVersion: v1\nkind: Pod\nspec: {{a: 1}: 2}\n", "bad.yaml:3:8: error:"),
    }.values(),
)
def test_what_cannot_be_read_is_named_and_the_rest_is_judged(beside, content, says):
    result = beside(content)
    assert result.exit_code == 2, result.output
    assert f"new/{says}" in result.stderr, result.stderr
    assert result.stderr.count(": error: ") == 1


@pytest.mark.parametrize(
    "content",
    {
        "an unknown kind": "apiVersion: example.org/v7\nkind: Whatever\nmetadata: {name: a}\nspec: {size: 1}\n",
        "no name": "apiVersion: apps/v1\nkind: StatefulSet\nspec: {}\n",
        "no metadata, no spec": "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\n",
        "an empty list": "apiVersion: v1\nkind: List\nitems: []\n",
        "a list without items": "apiVersion: v1\nkind: List\nitems:\n",
        "a list in a list": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: PodList, items: [{spec: 1}]}\n",
        "a version of text": "apiVersion: 1\nkind: Pod\n---\n" + OLD,
    }.values(),
)
def test_what_is_odd_and_legal_is_no_crash(beside, content):
    result = beside(content)
    assert result.exit_code in (1, 2)
    assert "failed on this object" not in result.output


def test_a_broken_document_loses_neither_those_before_it_nor_those_after(beside):
    other = OLD.replace("name: ledger", "name: before")
    third = OLD.replace("name: ledger", "name: after")
    result = beside(f"{other}---\nkind: [\napiVersion: v1\n---\n{third}")
    assert result.exit_code == 2
    assert "3 objects in 2 files" in result.stderr


# --- values --------------------------------------------------------------------------------------------------------


def lint_change(tmp_path: Path, before: str, after: str) -> Result:
    for name, text in (("old", before), ("new", after)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return CliRunner().invoke(cli, ["lint", "--old", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")])


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("1e3", "1000", False),
        ("1e3", "999", True),
        ("1k", "1e3", False),
        ("0.5Gi", "512Mi", False),
        ("0.5Gi", "536870912", False),
        ("128974848", "123Mi", False),
        ("128974848", "129M", False),
        ("129e6", "128974848", True),
        ("1Gi", "1G", True),
        ("1G", "1Gi", False),
        ("1Ti", "0.5Ti", True),
        ("1E", "1e18", False),
        ("2000m", "2", False),
        ("3", "2000m", True),
        ("10Gi", "ten", False),
        ("10Gi", "", False),
        ("10Gi", "10GiB", False),
        ("10Gi", "-10Gi", None),
        ("10Gi", "1e999999999", None),
        ("10Gi", "9" * 5000, None),
    ],
)
@pytest.mark.parametrize("quote", ['"', ""])
def test_quantities_of_every_notation(tmp_path, old, new, refused, quote):
    def manifest(size: str) -> str:
        return OLD.replace("80Gi", f"{quote}{size}{quote}")

    result = lint_change(tmp_path, manifest(old), manifest(new))
    assert "Traceback" not in result.output
    assert "failed on this object" not in result.output
    if refused is not None:
        assert ("SW102" in result.stdout) is refused, result.output
        assert result.exit_code == int(refused)


DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize("before", ["17.5", "latest", "v1", "17", f"17.5@{DIGEST}", "", "17.5-bookworm", "x" * 300])
@pytest.mark.parametrize("after", ["16.4", "latest", "v1", f"@{DIGEST}", f"16.4@{DIGEST}", "", "🐘", "17.5.5.5.5.5"])
def test_versions_of_every_notation(tmp_path, before, after):
    def manifest(tag: str) -> str:
        image = (
            f"ghcr.io/cloudnative-pg/postgresql{tag}" if tag.startswith("@") else f"ghcr.io/cloudnative-pg/postgresql:{tag}"
        )
        return OLD.replace("ghcr.io/cloudnative-pg/postgresql:17.5", f'"{image}"')

    result = lint_change(tmp_path, manifest(before), manifest(after))
    assert result.exit_code in (0, 1), result.output
    assert "Traceback" not in result.output
    assert "failed on this object" not in result.output
    if before in ("17.5", "17", f"17.5@{DIGEST}", "17.5-bookworm") and after in ("16.4", f"16.4@{DIGEST}"):
        assert "SW301 deny downgrade" in result.stdout


# --- wrong types ---------------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "text",
    "10Gi",
    [],
    {},
    [[]],
    [1, None],
    {"a": []},
    [{"name": []}],
    "\u0000",
)


def _objects() -> list[tuple[Any, Any]]:
    """Old and new of every rule's examples."""
    found: dict[bytes, tuple[Any, Any]] = {}
    for rule in RULES:
        for case in cases.read(rule.id, data.examples(rule.module)):
            new, old = case.request.object, case.request.old
            if case.request.subresource or not isinstance(new or old, dict):
                continue
            key = orjson.dumps([(new or old or {}).get(part) for part in ("apiVersion", "kind")])
            found.setdefault(key, (old or new, new or old))
    return list(found.values())


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(one for key, item in below for one in _places(item, (*path, key)))]


def _with(item: Any, path: tuple[Any, ...], value: Any) -> Any:
    result = copy.deepcopy(item)
    *above, last = path
    node = result
    for step in above:
        node = node[step]
    if value is KeyError:
        del node[last]
    else:
        node[last] = value
    return result


@pytest.mark.parametrize(("old", "new"), _objects(), ids=lambda item: str(item.get("kind")))
def test_a_wrong_type_or_nothing_in_any_field_breaks_no_rule(tmp_path, old, new):
    """Every field of an example once with each odd value and once missing, before or after the change."""
    odd = itertools.cycle((*ODD, KeyError))
    befores, afters = [], []
    for number, path in enumerate(one for one in _places(new) if one and one[0] not in ("apiVersion", "kind")):
        for turn, value in enumerate(itertools.islice(odd, 6)):
            pair = [copy.deepcopy(old), copy.deepcopy(new)]
            for which in (0, 1):
                if turn % 3 in (which, 2) and path in _places(pair[which]):
                    pair[which] = _with(pair[which], path, value)
                metadata = pair[which].get("metadata")
                if isinstance(metadata, dict) and path != ("metadata", "name"):
                    metadata["name"] = f"n{number}-{turn}"
            befores.append(pair[0])
            afters.append(pair[1])
    for name, items in (("old", befores), ("new", afters)):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        (tmp_path / f"{name}.json").write_text(text)
    result = CliRunner().invoke(cli, ["lint", "--old", str(tmp_path / "old.json"), str(tmp_path / "new.json")])
    assert "Traceback" not in result.output
    assert "failed on this object" not in result.output, [
        line for line in result.output.splitlines() if "failed on this object" in line
    ][:3]
    assert result.exception is None or isinstance(result.exception, SystemExit)
    judged = re.search(r"(\d+) objects? in 2 files", result.stderr)
    assert judged is not None
    assert int(judged[1]) >= len(afters)


# --- as a process --------------------------------------------------------------------------------------------------


def lint(*arguments: str | os.PathLike[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = "from stateward.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "lint", *map(os.fspath, arguments)],
        input=stdin,
        capture_output=True,
        timeout=HANG,
        check=False,
    )


def test_a_document_of_ten_megabytes_is_judged(tmp_path):
    big = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\ndata:\n" + "".join(
        f'  key-{n}: "{n:090d}"\n' for n in range(100_000)
    )
    assert len(big) > 10_000_000
    (tmp_path / "big.yaml").write_text(f"{big}---\n{SHRUNK}")
    (tmp_path / "old.yaml").write_text(OLD)
    done = lint("--old", tmp_path / "old.yaml", tmp_path / "big.yaml")
    assert done.returncode == 1, done.stderr
    assert b"SW102 deny" in done.stdout
    assert b"2 objects in 1 file, 1 refused" in done.stderr


def test_ten_megabytes_on_one_line_and_ten_megabytes_of_nothing_are_judged(tmp_path):
    (tmp_path / "line.json").write_bytes(
        orjson.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y" * 10_000_000}})
    )
    (tmp_path / "empty.yaml").write_bytes(b"\n" * 10_000_000)
    done = lint(tmp_path / "line.json", tmp_path / "empty.yaml")
    assert done.returncode == 2
    assert b"empty.yaml: error: no Kubernetes object" in done.stderr
    assert b"1 object in 1 file" in done.stderr


def test_an_alias_bomb_from_standard_input_ends_soon(tmp_path):
    done = lint("-", stdin=bomb(40).encode())
    assert done.returncode == 2
    assert b"<stdin>:" in done.stderr
    assert b"expansion bomb" in done.stderr
    assert b"Traceback" not in done.stderr


def test_random_bytes_are_an_error_and_no_crash(tmp_path):
    for number in range(20):
        (tmp_path / f"r{number}.yaml").write_bytes(
            b"apiVersion: v1\nkind: " + bytes((number * 37 + n * n * 11) % 256 for n in range(500))
        )
    done = lint(tmp_path)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b": error: ") == 20


def test_a_name_that_is_not_utf_8_can_be_printed(tmp_path):
    folder = os.fsencode(tmp_path)
    with open(folder + b"/caf\xe9.yaml", "wb") as file:
        file.write(b"kind: [\napiVersion")
    done = lint(tmp_path)
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
