"""Reads the data files when a wheel or an editable installation is built, so that no start of Stateward has to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Writes `data.json` beside `stateward.policies.data`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the files are taken; the name has to be as `dev-mode-dirs` and the wheel lay it."""
        root = Path(self.root)
        sys.path.insert(0, str(root / "policies"))
        from stateward.policies import data

        made = root / "policies" / "stateward" / "policies" / data.BUILT
        made.write_bytes(data.build())
        build_data["artifacts"].append(str(made.relative_to(root)))
