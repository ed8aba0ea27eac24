"""The samples: the models take them whole, and no rule has anything against them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel

from stateward.cli.main import cli
from stateward.operator import refusals
from stateward.operator.api.v1beta1 import ServiceBackup, ServiceRestore, StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.service import read

SAMPLES = sorted((Path(__file__).resolve().parents[3] / "manifests" / "samples").glob("*.yaml"))
MODELS: dict[str, type[BaseModel]] = {one.__name__: one for one in (StatefulService, ServiceBackup, ServiceRestore)}


def test_there_are_samples_of_every_kind() -> None:
    assert {yaml.safe_load(path.read_text())["kind"] for path in SAMPLES} == set(MODELS)


def within(given: Any, found: Any, path: str = "") -> None:
    """Everything that is given is found again: no word of it is one that the models do not know."""
    if isinstance(given, dict):
        for key, one in given.items():
            assert key in found, f"{path}.{key}"
            within(one, found[key], f"{path}.{key}")
    elif isinstance(given, list):
        for index, one in enumerate(given):
            within(one, found[index], f"{path}[{index}]")
    else:
        assert given == found, path


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_has_no_word_that_means_nothing(path: Path) -> None:
    given = yaml.safe_load(path.read_text())
    found = MODELS[given["kind"]].model_validate(given)
    within(given, found.model_dump(mode="json", by_alias=True))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_carried_out_as_it_stands(path: Path) -> None:
    given = yaml.safe_load(path.read_text())
    if given["kind"] != "StatefulService":
        return
    model = StatefulService.model_validate(given)
    assert refusals.of_spec(model, read(model), catalogue.find(model.spec.engine)) is None


@pytest.mark.parametrize("profile", ["baseline@1", "production@1"])
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_nothing_is_said_against_a_sample(path: Path, profile: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {{profile: {profile}}}\n")
    result = CliRunner().invoke(cli, ["lint", "--policy", str(policy), str(path)])
    assert result.exit_code == 0, result.output
    assert "SW" not in result.output
