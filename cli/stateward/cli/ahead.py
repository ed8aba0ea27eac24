"""Manifests that are read while the engine is still being imported: of many files, half the time of the start is saved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stateward.cli.asked import Asked
from stateward.cli.files import MARKERS, choose
from stateward.cli.manifests import Reading, worth_sharing


@contextmanager
def begun(asked: Asked) -> Iterator[Reading | None]:
    """Begins to read what is judged; None where that is not worth it, or not known before all else is.

    What is fixed is read when it is needed, and what is rendered by what renders it.
    """
    if asked.fix or asked.diff:
        yield None
        return
    choice = choose(asked.paths)
    if not worth_sharing(choice) or any(os.path.basename(file.source) in MARKERS for file in choice.files):
        yield None
        return
    with Reading(choice) as reading:
        yield reading
