"""Volumes that are written full."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable

BEGINNING = 40
"""Characters of a value that are kept, to know it again."""


def fill(put: Callable[[int, str], object], size: int, *refused: type[Exception]) -> dict[int, str]:
    """Writes values of `size` random bytes until none is taken any more; how those begin that were acknowledged.

    `put` raises one of `refused` where a value is not taken.
    """
    found: dict[int, str] = {}
    failures = 0
    until = time.monotonic() + 300
    while failures < 20:
        assert time.monotonic() < until, "the volumes do not fill"
        value = base64.b64encode(os.urandom(size)).decode()
        try:
            put(len(found), value)
        except refused:
            failures += 1
            time.sleep(0.5)
            continue
        failures, found[len(found)] = 0, value[:BEGINNING]
    return found
