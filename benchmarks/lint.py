"""How long `stateward lint` takes, from the start of the process: `python benchmarks/lint.py`.

The start alone, one file, 5,000 files of one object each (6.7 MB), the same objects in one file, and 10,000 files to show
that the cost is linear in the objects, as it is where rules compare the objects of one namespace with each other. Each
figure is the best of some runs: the time that passes, objects a second, the time of the processor (which says more where
others use the machine), peak memory. Where kube-linter is on the PATH it reads the same files, and the ratio is printed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from manifests import texts, write, write_one, write_related

STATEWARD: Final = Path(sys.executable).parent / "stateward"
RUNS: Final = 5


class Run(NamedTuple):
    """One run of a command."""

    seconds: float
    processor: float
    """Seconds of the processor, user and system."""
    megabytes: float
    """Peak memory of the process that was started."""


def run(*command: str | Path) -> Run:
    """Runs a command without its output. One that is not done with its input ends the benchmark."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def best(what: str, count: int, *command: str | Path) -> float:
    """Prints and returns the best of several runs; `count` is how many objects it reads."""
    runs = [run(*command) for _ in range(RUNS)]
    seconds, processor, megabytes = map(min, zip(*runs, strict=True))
    rate = f"{count / seconds:8,.0f} a second" if count > 1 else " " * 17
    print(f"{what:<34} {seconds * 1000:8.0f} ms {rate} {processor * 1000:8.0f} ms processor {megabytes:6.0f} MB")
    return seconds


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "one.yaml").write_text(next(texts(1)))
        size = write(folder / "many", 5_000)
        write(folder / "more", 10_000)
        write_one(folder / "all.yaml", 5_000)
        best("stateward --version", 1, STATEWARD, "--version")
        best("one file", 1, STATEWARD, "lint", folder / "one.yaml")
        ours = best(f"5,000 files ({size / 1e6:.1f} MB)", 5_000, STATEWARD, "lint", folder / "many")
        best("5,000 objects in one file", 5_000, STATEWARD, "lint", folder / "all.yaml")
        best("10,000 files", 10_000, STATEWARD, "lint", folder / "more")
        for count in (2_500, 5_000):
            write_related(folder / "related.yaml", count)
            best(f"{count:,} objects about each other", count, STATEWARD, "lint", folder / "related.yaml")
        linter = shutil.which("kube-linter")
        if linter is None:
            print("kube-linter is not on the PATH: nothing to compare with")
        else:
            theirs = best("kube-linter, the same 5,000 files", 5_000, linter, "lint", folder / "many")
            print(f"stateward takes {ours / theirs:.0%} of the time that kube-linter takes")


if __name__ == "__main__":
    main()
