"""How long the API server will wait, from the `?timeout=` that it appends to each call."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

LONGEST: Final = 30.0
"""Seconds. The API server takes 1 to 30 as a webhook's timeoutSeconds (admissionregistration.k8s.io/v1)."""

# A duration as Go prints and reads it (time.ParseDuration): 5s, 500ms, 1m0s, 1.5s.
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@lru_cache(maxsize=64)  # an API server sends the same few again and again; what others send is bounded
def budget(query: bytes) -> float:
    """Seconds that a call with this raw query string may take: at most `LONGEST`, which is also the default.

    Text that is no duration counts as none given: a call is not failed over a hint.
    """
    given = parse_qs(query.decode("latin-1")).get("timeout")
    seconds = duration(given[0]) if given else None
    return LONGEST if seconds is None else min(seconds, LONGEST)


def duration(text: str) -> float | None:
    """Seconds of a Kubernetes duration (`3s`, `500ms`, `1m0s`), None for what is none."""
    if text == "0":
        return 0.0
    if len(text) > 64 or _DURATION.fullmatch(text) is None:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
