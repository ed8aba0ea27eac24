"""Files that are written: whole or not at all."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from stateward.cli import inputs


def write_whole(path: str, text: str) -> None:
    """Writes a file beside its place and renames it there, so that one cut short is never taken for whole.

    What is no plain file (`/dev/stdout`, a pipe) is written as it is. Raises OSError.
    """
    import tempfile  # takes a while, as the other does, and most runs write no file
    from pathlib import Path

    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def emit(text: str, path: str | None) -> None:
    """A report to standard output, or into a file. Ends the command where the file cannot be written."""
    if path is None or path == "-":
        # Not through the locale's encoding: a report is UTF-8 wherever it goes.
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
        return
    try:
        write_whole(path, text)
    except OSError as error:
        inputs.stop(f"--output {path}: it cannot be written: {error.strerror or error}")
