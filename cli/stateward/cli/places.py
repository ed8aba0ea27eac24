"""Where the command line keeps things on a machine."""

from __future__ import annotations

import os
from pathlib import Path

from stateward.cli import inputs


def default_folder() -> Path:
    """The folder of certificates that `serve` uses. Ends the command where the user has no home folder."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        # The XDG specification: a relative path there is to be ignored.
        home = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        inputs.stop("this user has no home folder; name a folder for certificates (--certs, --dir)")
    return home / "stateward" / "certs"
