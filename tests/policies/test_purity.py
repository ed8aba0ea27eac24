"""The engine is pure and light: what it imports, and that no package shadows the standard library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path.parent for path in ROOT.glob("*/stateward")]


def python(code: str, cwd: Path = ROOT) -> str:
    # Without site hooks of the test run: coverage and the like import modules of their own.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_there_are_source_roots() -> None:
    assert {"policies", "certs", "operator", "cli"} <= {path.name for path in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_source_root_makes_the_namespace_a_package(source: Path) -> None:
    assert not (source / "__init__.py").exists()
    assert not (source / "stateward" / "__init__.py").exists()


def test_there_is_no_package_below_the_tests() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("module", ["operator.itemgetter", "json.loads", "queue.Queue", "types.MappingProxyType"])
def test_the_standard_library_is_not_shadowed_from_the_root(module: str) -> None:
    name, _, member = module.partition(".")
    where = python(f"import sys; sys.path.insert(0, ''); import {name}; {name}.{member}; print({name}.__file__)")
    assert not Path(where).is_relative_to(ROOT) or ".venv" in Path(where).parts


HEAVY = [
    "asyncio",
    "cel_expr_python",
    "click",
    "cryptography",
    "fastapi",
    "kubernetes",
    "pydantic",
    "socket",
    "ssl",
    "subprocess",
    "uvicorn",
]


def imported_by(module: str) -> set[str]:
    return set(python(f"import sys, {module}; print(*sorted(sys.modules))").split())


def test_the_review_imports_nothing_heavy() -> None:
    assert imported_by("stateward.policies.review").isdisjoint(HEAVY)


LINTED = """
import sys
from stateward.cli.main import cli
try:
    cli(["lint", "--policy", sys.argv[1], sys.argv[2]])
except SystemExit:
    print("cel_expr_python" in sys.modules)
"""


@pytest.mark.parametrize("rules", ["[]", '[{id: SW901, name: mine, validations: [{expression: "true"}]}]'])
def test_the_runtime_of_cel_is_loaded_where_a_policy_has_rules_in_it(rules: str, tmp_path: Path) -> None:
    policy, manifest = tmp_path / "policy.yaml", tmp_path / "manifest.yaml"
    policy.write_text(f"apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {{userRules: {rules}}}\n")
    manifest.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    done = subprocess.run(
        [sys.executable, "-c", LINTED, policy, manifest], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(rules != "[]")


def test_one_module_alone_imports_the_runtime_of_cel() -> None:
    naming = [
        path.relative_to(ROOT).as_posix()
        for source in SOURCES
        for path in source.rglob("*.py")
        if "import cel_expr_python" in path.read_text() or "from cel_expr_python" in path.read_text()
    ]
    assert naming == ["policies/stateward/policies/cel.py"]


def test_that_test_can_fail() -> None:
    assert "asyncio" in imported_by("asyncio")


@pytest.mark.parametrize("module", ["stateward.policies.cases", "stateward.policies.rules", "stateward.policies.policy"])
def test_no_other_door_of_the_engine_imports_anything_heavy(module: str) -> None:
    assert imported_by(module).isdisjoint(HEAVY)


def test_rules_are_independent_of_the_order_they_are_imported_in() -> None:
    code = (
        "import importlib, pathlib, stateward.policies as p;"
        "root = pathlib.Path(p.__file__).parent;"
        "names = sorted((f'stateward.policies.rules.{f.parent.name}.{f.stem}' for f in root.glob('rules/*/*.py')"
        " if f.stem != '__init__'), reverse=True);"
        "print(len([importlib.import_module(name) for name in names]))"
    )
    assert int(python(code)) > 20
