"""The registered transforms of adapter files: small typed functions of one value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

Transform = Callable[[Any], Any]


def strip_default_suffix(value: Any) -> Any:
    """`3.9-IV0` → `3.9`: the release of a Kafka metadata or protocol version."""
    return value.partition("-")[0] if isinstance(value, str) else value


def as_text(value: Any) -> Any:
    """A number as text: `major: 17` → "17"."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def negate(value: Any) -> Any:
    """True ↔ false."""
    return (not value) if isinstance(value, bool) else value


TRANSFORMS: Final[dict[str, Transform]] = {
    "kafka-release": strip_default_suffix,
    "text": as_text,
    "not": negate,
}
