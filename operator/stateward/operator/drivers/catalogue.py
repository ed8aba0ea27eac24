"""The engines that Stateward can run: one folder each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from stateward.operator.drivers.folder import FolderDriver
from stateward.operator.drivers.protocol import Driver
from stateward.operator.drivers.schema import Engine
from stateward.operator.drivers.template import TemplateError

FOLDER: Final = Path(__file__).resolve().parents[1] / "engines"


class EngineError(ValueError):
    """A folder cannot be used; the message names file, field and reason."""


def names() -> list[str]:
    """The engines that there are."""
    return sorted(found.parent.name for found in FOLDER.glob("*/engine.yaml"))


@cache
def find(name: str) -> Driver | None:
    """The driver of an engine; None where there is no such folder. Raises EngineError."""
    return read(FOLDER / name) if name in names() else None


def read(folder: Path) -> Driver:
    """The driver that a folder makes. Raises EngineError."""
    file = folder / "engine.yaml"
    try:
        data = Engine.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        if data.engine != folder.name:
            raise EngineError(f"{file}: engine: {data.engine} stands in a folder named {folder.name}; give both one name")
        return _code_of(folder)(data) if (folder / "driver.py").exists() else FolderDriver(data)
    except (OSError, yaml.YAMLError, TemplateError) as error:
        raise EngineError(f"{file}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise EngineError(f"{file}: {where}: {first['msg']}") from None


def _code_of(folder: Path) -> Callable[[Engine], Driver]:
    """The class `Driver` of a folder's own driver.py: what `engine.yaml` cannot say."""
    module = import_module(f"stateward.operator.engines.{folder.name}.driver")
    made: Callable[[Engine], Driver] = module.Driver
    return made
