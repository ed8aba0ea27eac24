"""RFC 3339 times as numbers. Pure: the current time is always an argument."""

from __future__ import annotations

from datetime import UTC, datetime


def parse(text: object) -> float | None:
    """Seconds since the epoch of `2026-11-21T12:00:00Z` (offsets and fractions too); None if it is none."""
    if not isinstance(text, str) or len(text) > 40 or "T" not in text.upper():
        return None
    try:
        moment = datetime.fromisoformat(text.replace("z", "Z"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        return moment.astimezone(UTC).timestamp()
    except (OverflowError, ValueError):
        return None


def render(moment: float) -> str:
    """`2026-11-21T13:00:00Z`, to the second."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(seconds: float) -> str:
    """`40 minutes`, `3 hours`, `12 days`."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "less than a minute"
