"""`lint --fix` and `--diff`: the ready patches of what is refused, written into the manifests or shown."""

from __future__ import annotations

import difflib
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import BinaryIO, Final, NoReturn

import click

from stateward.cli import inputs, manifests, masking, patch
from stateward.cli.asked import Asked
from stateward.cli.edits import Edit
from stateward.cli.files import MAX_BYTES, STDIN, Given, Problem, content
from stateward.cli.manifests import Document
from stateward.cli.patch import PatchError, Which
from stateward.cli.positions import Text
from stateward.cli.sources import Gathered, gather
from stateward.policies.engine import Verdict
from stateward.policies.finding import Judged, SetField
from stateward.policies.paths import Path, render
from stateward.policies.structs import dataclass, field

Judge = Callable[[Gathered], Iterable[tuple[Edit, Verdict]]]
Wanted = frozenset[str] | None
"""The ids of the rules that are reported, and so fixed; None: all."""


@dataclass(slots=True)
class _File:
    """A file that is changed: its text before and after, the fields that were set."""

    before: str
    after: str
    fixed: list[str] = field(default_factory=list)
    fields: dict[tuple[Which, Path], object] = field(default_factory=dict)


@dataclass(slots=True)
class Fixes:
    """What the ready patches make of the files; nothing is written yet."""

    files: dict[str, _File] = field(default_factory=dict)
    refused: int = 0
    """Findings that refuse, with a ready patch or without."""
    notes: list[str] = field(default_factory=list)
    """Why a ready patch is not used."""

    @property
    def count(self) -> int:
        """Findings whose patch is used."""
        return sum(len(file.fixed) for file in self.files.values())

    def add(self, one: Judged, verdict: Verdict, document: Document | None, gathered: Gathered) -> None:
        """Takes a finding's patch as a whole, or not at all."""
        self.refused += 1
        if not one.finding.patch:
            return
        if document is None:
            self.notes.append(
                f"{one.rule} on {verdict.about} is not fixed: what it is about is old or context, and not written"
            )
            return
        span = document.locate(one.finding.patch[0].path)
        what = f"{document.source}:{span.line}:{span.column}: {one.rule}"
        try:
            if document.source in gathered.unwritable:
                reason = "standard input is not written" if document.source == STDIN else "it is rendered; change its source"
                raise PatchError(reason)
            file = self._file(document)
            which = (document.index, document.prefix)
            steps = [SetField(document.written(step.path), step.value) for step in one.finding.patch]
            if all((which, step.path) in file.fields and file.fields[which, step.path] == step.value for step in steps):
                return  # said by two findings, of a pool and of its hub
            for step in steps:
                if file.fields.get((which, step.path), step.value) != step.value:
                    raise PatchError(f"{render(step.path)}: another finding sets it to something else")
            file.after = patch.patched(file.after, which, steps, document.source)
            file.fields |= {(which, step.path): step.value for step in steps}
            file.fixed.append(f"{what} fixed: {', '.join(render(step.path) for step in steps)}")
        except PatchError as error:
            self.notes.append(f"{what} is not fixed: {error}")

    def _file(self, document: Document) -> _File:
        found = self.files.get(document.source)
        if found is None:
            text = content(Given(document.source, named=True), None)
            if isinstance(text, Problem) or text.raw != document.text:
                raise PatchError("the file has changed since it was read")
            found = self.files[document.source] = _File(text.raw, text.raw)
        return found


def prepared(gathered: Gathered, judge: Judge, wanted: Wanted) -> Fixes:
    """The ready patches of everything that is refused, on the texts of the files."""
    fixes = Fixes()
    given = {id(edit.new.object): edit.new for edit in gathered.edits if edit.new is not None}
    for edit, verdict in judge(gathered):
        for one in verdict.denied:
            if wanted is not None and one.rule not in wanted:
                continue
            document = edit.new if one.finding.on is None else given.get(id(one.finding.on))
            fixes.add(one, verdict, document, gathered)
    return fixes


def fixed(asked: Asked, judge: Judge, wanted: Wanted, stdin: BinaryIO) -> Gathered:
    """Writes the ready patches, and gathers again what there is then. Files are replaced as a whole."""
    given = _held(asked, stdin)
    gathered = gather(asked, given)
    fixes = prepared(gathered, judge, wanted)
    for source, file in fixes.files.items():
        try:
            if file.after != file.before:
                write(source, file.before, file.after)
        except (OSError, PatchError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            fixes.notes.append(f"{source} is not fixed: it cannot be written: {reason}")
            file.fixed.clear()
    notes = [*(note for file in fixes.files.values() for note in file.fixed), *fixes.notes]
    given.seek(0)
    again = gather(asked, given)
    again.notes.extend(notes)
    return again


def show(asked: Asked, judge: Judge, wanted: Wanted, stdin: BinaryIO) -> NoReturn:
    """Prints what --fix would write, as a unified diff, and ends: 0 nothing is refused, 1 something is, 2 bad input."""
    gathered = gather(asked, _held(asked, stdin))
    fixes = prepared(gathered, judge, wanted)
    for source, file in fixes.files.items():
        shown = _diff(source, file.before, file.after)
        if shown is None:
            fixes.notes.append(f"{source}: its changes are not shown: values that may be secret stand on the same lines")
        else:
            click.echo(shown, nl=False)
    for note in [*gathered.notes, *fixes.notes]:
        click.echo(f"note: {masking.text(note)}", err=True)
    for problem in gathered.problems:
        click.echo(f"{inputs.where(problem)}: error: {problem.message}", err=True)
    click.echo(f"{fixes.refused} refused, {fixes.count} with a ready patch that --fix would write", err=True)
    sys.exit(2 if gathered.problems else 1 if fixes.refused else 0)


def _held(asked: Asked, stdin: BinaryIO) -> io.BytesIO:
    """Standard input, kept to be read twice."""
    return io.BytesIO(stdin.read(MAX_BYTES + 1) if "-" in asked.paths else b"")


def _diff(source: str, before: str, after: str) -> str | None:
    """A unified diff, with as much around it as shows no value that may be secret; None where it would itself."""
    name = masking.readable(source.lstrip("/").removeprefix("./"))
    old, new = _LINE.findall(before), _LINE.findall(after)
    hidden = _hidden(source, before)
    matcher = difflib.SequenceMatcher(None, old, new)
    for context in (3, 2, 1, 0):
        hunks = list(matcher.get_grouped_opcodes(context))
        if not any(number in hidden for hunk in hunks for number in range(hunk[0][1], hunk[-1][2])):
            lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", n=context)
            return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return None


def _hidden(source: str, text: str) -> set[int]:
    """The lines (from 0) that hold values which are never shown."""
    loaded = manifests.Loaded([], [], [])
    manifests.take(Given(source, named=True), Text(text), loaded)
    found = set()
    for document in loaded.documents:
        lines, start = masking.Lines(document), 0
        for number, line in enumerate(_LINE.findall(text)):
            if lines.holds(start, start + len(line)) and lines.line(start, start + len(line)).hidden:
                found.add(number)
            start += len(line)
    return found


_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")


def write(path: str, before: str, after: str) -> None:
    """Replaces a file's text at once, in its own encoding; its mode stays, and a link goes on leading there.

    Raises OSError, and PatchError where the file is no longer what was read.
    """
    target = os.path.realpath(path)
    with open(target, "rb") as handle:
        data = handle.read()
        info = os.fstat(handle.fileno())
    bom, encoding = _encoding(data)
    if data != bom + before.encode(encoding):
        raise PatchError("the file has changed since it was read")
    descriptor, name = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", dir=os.path.dirname(target))
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(bom + after.encode(encoding))
            handle.flush()
            os.fchmod(handle.fileno(), info.st_mode & 0o7777)
            os.fsync(handle.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _encoding(data: bytes) -> tuple[bytes, str]:
    """(byte order mark, encoding) as `files` reads them."""
    for bom, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
        if data.startswith(bom):
            return bom, encoding
    return b"", "utf-8"
