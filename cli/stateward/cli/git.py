"""Git, read and never written: commits, trees and blobs from the object store; no checkout, no hook, no pager."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import IO, Final

from stateward.policies.structs import dataclass

_SETTINGS: Final = ("--no-pager", "--literal-pathspecs", "-c", "core.quotePath=off", "-c", "core.fsmonitor=false")
_HOOKS: Final = ("-c", f"core.hooksPath={os.devnull}")
# A hook of git's runs with these set. A path belongs to the repository around it, whichever one called.
_OF_A_CALLER: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE", "GIT_EXTERNAL_DIFF")

LINK: Final = "120000"
"""The mode of a symbolic link."""
SUBMODULE: Final = "160000"
"""The mode of a submodule."""


class GitError(Exception):
    """What git cannot give; the message is one line that names what was asked, the reason and the next step."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit's tree: its path from the top of the repository, with slashes, and its blob."""

    path: str
    mode: str
    """`100644`, `100755`, LINK or SUBMODULE."""
    oid: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository; make one with `find`. Every call raises GitError where git does not do it."""

    root: str
    """The top of its work tree, symbolic links resolved; of a bare repository, the repository."""

    @classmethod
    def find(cls, folder: str | os.PathLike[str] = ".") -> Repository:
        """The repository around a folder that exists."""
        where = os.path.realpath(folder)
        try:
            bare = _run(where, ("rev-parse", "--is-bare-repository")).strip() == b"true"
            found = _run(where, ("rev-parse", "--absolute-git-dir" if bare else "--show-toplevel"))
        except _FailedError as error:
            raise GitError(f"{os.fspath(folder)}: {_why_no_repository(error.text)}") from None
        return cls(os.path.realpath(os.fsdecode(found.removesuffix(b"\n"))))

    def run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """The standard output of a git command. Give paths behind `--`, and ask for NUL as separator (-z)."""
        try:
            return _run(self.root, arguments, stdin)
        except _FailedError as error:
            raise GitError(f"git {arguments[0]}: {error.text}") from None

    def records(self, *arguments: str, separator: bytes = b"\0") -> Iterator[bytes]:
        """The same piece by piece while git still works; for output too long to hold, such as a whole history."""
        with tempfile.TemporaryFile() as errors, _start(self.root, arguments, stderr=errors) as process:
            rest = b""
            try:
                while block := _output(process).read1(1 << 16):  # type: ignore[attr-defined]
                    *whole, rest = (rest + block).split(separator)
                    yield from whole
                if rest:
                    yield rest
                if process.wait():
                    errors.seek(0)
                    raise GitError(f"git {arguments[0]}: {_first_line(errors.read())}")
            finally:
                if process.poll() is None:  # whoever asked has seen enough
                    process.kill()

    def commit(self, ref: str) -> str:
        """The id of the commit that a ref, tag or id names; `A...B` and `A...` (B: HEAD) name their merge base."""
        left, dots, right = ref.partition("...")
        if not dots:
            return self._commit(ref)
        one, another = left or "HEAD", right or "HEAD"
        for each in (one, another):
            self._commit(each)
        try:
            return _text(_run(self.root, ("merge-base", one, another)))
        except _FailedError as error:
            if error.text:
                raise GitError(f"git merge-base: {error.text}") from None
            step = "name the commit itself, without ..."
            if self.shallow:
                step = "this clone is shallow; deepen it: git fetch --deepen=100 (or --unshallow)"
            raise GitError(f'"{one}" and "{another}" have no common ancestor here; {step}') from None

    def _commit(self, ref: str) -> str:
        if not ref or ref.startswith("-") or "\0" in ref or "\n" in ref:
            raise GitError(f'"{ref}" is no name of a commit; give a branch, a tag or an id, such as origin/main')
        try:
            return _text(_run(self.root, ("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")))
        except _FailedError as error:
            if "missing" in error.text or "bad object" in error.text:
                raise GitError(f'"{ref}": {error.text}') from None
            raise GitError(f'"{ref}" names no commit here; {self._next_step(ref)}') from None

    def _next_step(self, ref: str) -> str:
        """How to get what a clone does not have."""
        remotes = _text(self.run("remote")).split("\n")
        remote, slash, branch = ref.partition("/")
        if slash and remote in remotes:
            fetch = f"git fetch --depth=1 {remote} {branch}:refs/remotes/{ref}"
            deep = f"git fetch {remote} {branch}:refs/remotes/{ref}"
            return f"this clone is shallow; get it: {fetch}" if self.shallow else f"if the branch exists, get it: {deep}"
        if not self.shallow:
            return "see git branch --all and git tag for what there is"
        if re.search(r"[~^@]", ref):
            return "this clone is shallow; deepen it: git fetch --deepen=100"
        return f"this clone is shallow; get it: git fetch --depth=1 {next(filter(None, remotes), 'origin')} {ref}"

    @property
    def shallow(self) -> bool:
        """Whether history ends early here, as it does in most builds."""
        return _text(self.run("rev-parse", "--is-shallow-repository")) == "true"

    def tree(self, commit: str, paths: Sequence[str] = ()) -> Iterator[Entry]:
        """Every file of a commit at or below paths from the top of the repository, in git's order; all without paths."""
        arguments = ("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
        for record in self.records(*arguments):
            about, _, path = record.partition(b"\t")
            mode, _, oid = about.decode("ascii").split(" ")
            yield Entry(os.fsdecode(path), mode, oid)

    def blobs(self) -> Blobs:
        """A reader of many objects, for a with statement."""
        return Blobs(self.root)


class Blobs:
    """Reads blobs by id through one `git cat-file --batch`."""

    def __init__(self, root: str) -> None:
        self._process = _start(root, ("cat-file", "--batch"), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def __enter__(self) -> Blobs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass

    def read(self, oid: str, limit: int = 1 << 62) -> bytes:
        """The content of an object by its full id, the first `limit` bytes of it. Raises GitError where it is missing."""
        ask, answer = self._process.stdin, _output(self._process)
        if ask is None or not re.fullmatch(r"[0-9a-f]{40,64}", oid):
            raise GitError(f'git cat-file: "{oid}" is no object id')
        try:
            ask.write(oid.encode() + b"\n")
            ask.flush()
            head = answer.readline().split()
        except OSError:
            head = []
        if len(head) != 3:
            reason = "the object is missing in this clone" if head else "git ended unexpectedly"
            raise GitError(f"git cat-file: {oid}: {reason}; fetch it (git fetch --refetch), or clone again without --filter")
        size = int(head[2])
        content = answer.read(min(size, limit))
        left = size - len(content) + 1  # the line feed behind it
        while left > 0 and (passed := answer.read(min(left, 1 << 20))):
            left -= len(passed)
        return content


class _FailedError(Exception):
    """Git has ended with an error; `text` is the first line of what it said."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OF_A_CALLER}
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat"}


def _start(
    root: str, arguments: Sequence[str], *, stdin: int = subprocess.DEVNULL, stderr: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    command = ("git", *_SETTINGS, *_HOOKS, *arguments)
    try:
        return subprocess.Popen(  # noqa: S603 - the program is fixed, its arguments are no shell's
            command, cwd=root, env=_environment(), stdin=stdin, stdout=subprocess.PIPE, stderr=stderr
        )
    except FileNotFoundError:
        raise GitError("git is not found; install it, and see that it is on PATH") from None
    except OSError as error:
        raise GitError(f"git cannot be started: {error.strerror}") from None


def _run(root: str, arguments: Sequence[str], stdin: bytes | None = None) -> bytes:
    feed = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with _start(root, arguments, stdin=feed, stderr=subprocess.PIPE) as process:
        found, errors = process.communicate(stdin)
    if process.returncode:
        raise _FailedError(_first_line(errors))
    return found


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdout is None:
        raise GitError("git has no output")
    return process.stdout


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace").strip()


def _first_line(errors: bytes) -> str:
    lines = [line for line in _text(errors).splitlines() if line]
    told = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[0] if lines else "")
    return re.sub(r"^(fatal|error): ", "", told)


def _why_no_repository(text: str) -> str:
    if "dubious ownership" in text:
        return f"{text}; if it is yours: git config --global --add safe.directory FOLDER"
    if "not a git repository" in text:
        return "not inside a git repository; run in a clone, or give the manifests before with --old"
    return f"git does not open the repository: {text}"
