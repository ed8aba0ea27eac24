"""Packages that only some commands need: `pip install 'stateward[serve]'`."""

from __future__ import annotations

from typing import Final, NoReturn

from stateward.cli import inputs

_EXTRA: Final = (
    "cryptography",
    "fastapi",
    "httptools",
    "kubernetes",
    "prometheus_client",
    "pydantic",
    "starlette",
    "urllib3",
    "uvicorn",
)


def missing(error: ImportError) -> NoReturn:
    """Ends for want of a package; anything else is a fault and stays one."""
    if (error.name or "").partition(".")[0] not in _EXTRA:
        raise error
    inputs.stop(f"{error.name} is missing; install it with: pip install 'stateward[serve]'")
