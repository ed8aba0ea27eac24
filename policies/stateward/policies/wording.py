"""Sentences that may be shown: without credentials, and without what a terminal obeys."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "…"
"""What stands for a hidden value."""

CREDENTIALS: Final = re.compile(r"(?<=://)(?=[^\s\"'<>/]*[:@])[^\s\"'<>]*@")
"""Up to the last at sign: a password may hold slashes and at signs that nobody escaped."""
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")


def text(words: str) -> str:
    """A sentence that may be shown: without the credentials of its URLs (`s3://…@host/x`), without control characters."""
    words = readable(words)
    return CREDENTIALS.sub(f"{HIDDEN}@", words) if "@" in words and "://" in words else words


def readable(words: str) -> str:
    """A text without what a terminal obeys or turns round, and without bytes of a file's name that are no text."""
    if words.isascii() and words.isprintable():
        return words
    return _CONTROL.sub("\ufffd", words.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
