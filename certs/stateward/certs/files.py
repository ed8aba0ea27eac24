"""Files that are whole or absent, in a folder one process at a time may change."""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE

LOCK = ".lock"
PRIVATE_FOLDER, PRIVATE_FILE, PUBLIC_FILE = 0o700, 0o600, 0o644


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder (made with mode 0700 if missing) against every other process and thread; waits. Raises OSError.

    The lock file stays: removing it would let two holders lock two files of one name. A process that dies lets go.
    """
    os.makedirs(folder, mode=PRIVATE_FOLDER, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Put `content` at `path` so that a reader, also after a power cut, sees all of the old or all of the new.

    To be called under `locked`. Raises OSError, and then leaves `path` as it was.
    """
    temporary = _temporary(path)
    # O_EXCL: never write a key through a link or into a file somebody else holds open.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _sync_folder(folder: Path) -> None:
    """Make the renaming durable, and in order: a power cut could else keep a later one and lose an earlier."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path, names: Collection[str]) -> list[str]:
    """Remove what a process killed while writing one of `names` left behind, for it may be a key; a note for each."""
    notes = []
    for temporary in (_temporary(folder / name) for name in names):
        if temporary.exists() or temporary.is_symlink():
            temporary.unlink()
            notes.append(f"{temporary}: left by a write that was cut short; removed")
    return notes


def tighten(folder: Path, names: Collection[str], keys: Collection[str]) -> list[str]:
    """Close the folder and its keys to group and others; a note for each one closed, or open and not ours to close."""
    notes = []
    for key in (folder / name for name in keys):
        if key.is_file() and (mode := S_IMODE(key.stat().st_mode)) & 0o077:
            key.chmod(PRIVATE_FILE)
            notes.append(f"{key}: mode {mode:04o} let others read the key; set to 0600")
    status = folder.stat()
    mode = S_IMODE(status.st_mode)
    ours = status.st_uid == os.geteuid() and {entry.name for entry in folder.iterdir()} <= {*names, LOCK}
    # A folder that holds other things too (".", "/tmp") serves other users: closing it would break them.
    if mode & 0o077 and ours:
        folder.chmod(PRIVATE_FOLDER)
        notes.append(f"{folder}: mode {mode:04o} was open to others; set to 0700")
    elif mode & 0o022:
        notes.append(f"{folder}: mode {mode:04o} lets others replace the certificates; use a folder of its own")
    return notes
