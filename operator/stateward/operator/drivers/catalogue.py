"""The engines that Stateward can run: one folder each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from stateward.operator.drivers.filled import filled, has_holes, values_of
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
        holes = yaml.safe_load(file.read_text(encoding="utf-8"))
        open_ = isinstance(holes, dict) and has_holes(holes)
        data = Engine.model_validate(filled(holes, values_of(holes, {})) if open_ else holes)
        if data.engine != folder.name:
            raise EngineError(f"{file}: engine: {data.engine} stands in a folder named {folder.name}; give both one name")
        made = _code_of(folder) if (folder / "driver.py").exists() else FolderDriver
        return made(data, holes if open_ else None)
    except (OSError, yaml.YAMLError, TemplateError) as error:
        raise EngineError(f"{file}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise EngineError(f"{file}: {where}: {first['msg']}") from None


def _code_of(folder: Path) -> Callable[[Engine, Mapping[str, Any] | None], Driver]:
    """The class `Driver` of a folder's own driver.py: what `engine.yaml` cannot say."""
    module = import_module(f"stateward.operator.engines.{folder.name}.driver")
    made: Callable[[Engine, Mapping[str, Any] | None], Driver] = module.Driver
    return made
