"""Manifests from files, folders and standard input: every Kubernetes object, and where in the text its fields are."""

from __future__ import annotations

import gc
import marshal
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from stateward.cli import workers
from stateward.cli.files import STDIN, Choice, Given, Problem, choose, content
from stateward.cli.limits import Budget
from stateward.cli.positions import Span, Text, find, repeated
from stateward.cli.scalars import Fault, Json, unquoted
from stateward.policies.plainyaml import Reader, Unusual
from stateward.policies.structs import dataclass, field

if TYPE_CHECKING:
    from pathlib import Path

    from stateward.cli.nodes import Node

__all__ = ["STDIN", "Document", "Loaded", "Problem", "Span", "load", "read", "take"]

Prefix = tuple[str | int, ...]


class _Part:
    """One document in a text. Its tree is built when a place in it is first asked for."""

    __slots__ = ("_end", "_nth", "_root", "start", "text")

    def __init__(self, text: Text, start: int, end: int, nth: int | None) -> None:
        """The document between two characters: JSON where nth is None, plain YAML (_ONE), or the nth YAML document there."""
        self.text = text
        self.start = start
        self._end = end
        self._nth = nth
        self._root: Node | None = None

    @property
    def root(self) -> Node:
        if self._root is None:
            from stateward.cli import nodes  # what a run without findings need not import

            body = self.text.raw[self.start : self._end]
            root = nodes.json_tree(body) if self._nth is None else _yaml_tree(body, self._nth)
            self._root = root or nodes.Node(0, 0)
        return self._root

    @property
    def is_json(self) -> bool:
        return self._nth is None

    def span(self, start: int, end: int) -> Span:
        """The place of two characters of the document."""
        return self.text.span(self.start + start, self.start + end)


_ONE: Final = -1
"""Instead of the number of a document: it is plain YAML and the only one there."""


def _yaml_tree(body: str, nth: int) -> Node | None:
    if nth == _ONE:
        from stateward.cli import plainnodes

        with suppress(Unusual):
            return plainnodes.plain_tree(body, _plain_start(body) or 0)
        nth = 0
    from stateward.cli import yamlnodes  # with PyYAML

    return yamlnodes.yaml_tree(body, nth)


class Document:
    """One Kubernetes object: `object` as the API server would get it, `source` and `index` (from 0) its document.

    The items of a list share the index of their list; `prefix` is the path from the document to the item.
    """

    __slots__ = ("_part", "index", "object", "prefix", "source")

    def __init__(self, source: str, index: int, obj: dict[str, Any], prefix: Prefix, part: _Part) -> None:
        self.source = source
        self.index = index
        self.object = obj
        self.prefix = prefix
        self._part = part

    def with_object(self, obj: dict[str, Any]) -> Document:
        """The same document, with another object in it."""
        return Document(self.source, self.index, obj, self.prefix, self._part)

    def __repr__(self) -> str:
        return f"Document({self.source!r}, {self.index}, {self.object.get('kind')!r})"

    @property
    def text(self) -> str:
        """The text of the whole file."""
        return self._part.text.raw

    @property
    def start(self) -> int:
        """The character of the file at which its document begins."""
        return self._part.start

    @property
    def tree(self) -> tuple[Node, int]:
        """The nodes of its document's text, and the character of the file that they count from."""
        return self._part.root, self._part.start

    @property
    def is_json(self) -> bool:
        """Whether it is written as JSON."""
        return self._part.is_json

    def written(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """The path of a field as the text has it."""
        return path

    def at(self, source: str) -> Document:
        """The same object of the same text in a file of another name."""
        return Document(source, self.index, self.object, self.prefix, self._part)

    def locate(self, path: Sequence[str | int]) -> Span:
        """The place of the value at a path of keys and indexes, in the whole file.

        Where the path is longer than the object, the place of the key (in a list, of the item) at which it ends.
        """
        return self._part.span(*find(self._part.root, (*self.prefix, *path)))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What load gives: the objects in the order of the input, what is wrong with the input, what was left out.

    `skipped` names files inside a folder that hold no Kubernetes object (values.yaml), pipes, and linked folders;
    `broken` files of which at least a part cannot be read, so that objects may be missing.
    """

    documents: list[Document]
    problems: list[Problem]
    skipped: list[str]
    broken: list[str] = field(default_factory=list)


def load(paths: Iterable[str | Path], stdin: BinaryIO | None = None) -> Loaded:
    """Every Kubernetes object of files, folders and standard input ("-"). Raises nothing: a fault is a Problem.

    A broken document loses neither the others of its file nor other files. YAML is read as Kubernetes reads it.
    """
    return read(choose(paths), stdin)


def read(choice: Choice, stdin: BinaryIO | None = None) -> Loaded:
    """The same of files that were chosen before; of many files, on several processors."""
    if worth_sharing(choice):
        with Reading(choice) as reading:
            return reading.result()
    loaded = Loaded([], choice.problems, choice.skipped)
    with _no_collection():
        for file in choice.files:
            take(file, content(file, stdin), loaded)
    return loaded


def worth_sharing(choice: Choice) -> bool:
    """Whether several processes are done earlier with the files than one."""
    return len(choice.files) >= 2 * _LEAST_FILES and all(file.source != STDIN for file in choice.files)


_LEAST_FILES: Final = 500
"""Files that are worth a process of their own: reading them takes longer than making it."""
_LEAST_TASK: Final = 50
"""Files that are taken together."""


class Reading:
    """The reading of files by several processes; those besides this one begin at once. To be used as a context manager."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        files = choice.files
        size = max(_LEAST_TASK, -(-len(files) // workers.MOST_TASKS))
        self._crew = workers.Crew(
            -(-len(files) // size), lambda number: _loaded(files[number * size : (number + 1) * size]), _packed, _unpacked
        )

    def result(self) -> Loaded:
        """What `read` gives of the same files."""
        whole = Loaded([], self.choice.problems, self.choice.skipped)
        with _no_collection():
            for loaded in self._crew.results():
                whole.documents.extend(loaded.documents)
                whole.problems.extend(loaded.problems)
                whole.skipped.extend(loaded.skipped)
                whole.broken.extend(loaded.broken)
        return whole

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._crew.__exit__()


def _loaded(files: Iterable[Given]) -> Loaded:
    loaded = Loaded([], [], [])
    with _no_collection():
        for file in files:
            take(file, content(file, None), loaded)
    return loaded


def _packed(loaded: Loaded) -> bytes:
    """What was loaded, as `_unpacked` takes it: plain values alone, which marshal writes ten times as fast as pickle."""
    texts: dict[int, tuple[int, str]] = {}
    parts: dict[int, tuple[int, tuple[int, int, int, int | None]]] = {}
    documents = []
    for document in loaded.documents:
        part = document._part
        text, _ = texts.setdefault(id(part.text), (len(texts), part.text.raw))
        number, _ = parts.setdefault(id(part), (len(parts), (text, part.start, part._end, part._nth)))
        documents.append((document.source, document.index, document.object, document.prefix, number))
    problems = [(one.source, one.line, one.column, one.message) for one in loaded.problems]
    raws = [raw for _, raw in texts.values()]
    places = [made for _, made in parts.values()]
    return marshal.dumps((raws, places, documents, problems, loaded.skipped, loaded.broken))


def _unpacked(packed: bytes) -> Loaded:
    raws, places, documents, problems, skipped, broken = marshal.loads(packed)  # noqa: S302 - a copy of this process wrote it
    texts = [Text(raw) for raw in raws]
    parts = [_Part(texts[text], start, end, nth) for text, start, end, nth in places]
    found = [Document(source, index, item, prefix, parts[part]) for source, index, item, prefix, part in documents]
    return Loaded(found, [Problem(*one) for one in problems], skipped, broken)


def take(file: Given, text: Text | Problem, loaded: Loaded) -> None:
    """Adds the objects of a text, wherever it comes from; `file` gives its source and whether the user named it."""
    if isinstance(text, Problem):
        loaded.problems.append(text)
        loaded.broken.append(file.source)
    elif not file.named and not _may_hold_object(text.raw):
        loaded.skipped.append(file.source)
    elif (value := _sole_object(text.raw)) is not None:
        loaded.documents.append(Document(file.source, 0, value, (), _Part(text, 0, len(text.raw), _ONE)))
    else:
        _File(file, text).read(loaded)


def _sole_object(raw: str) -> dict[str, Any] | None:
    """The object of a text that is one object in plain YAML and nothing else, as most files are; None where it is not."""
    if "\n---" in raw or "\n..." in raw:
        return None
    value = _plain_value(raw)
    if type(value) is not dict or not _is_text(value.get("apiVersion")) or not _is_text(value.get("kind")):
        return None
    return None if value["kind"].endswith("List") else value


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the garbage collector: what is loaded is kept and has no cycles, so it would look through it in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _may_hold_object(raw: str) -> bool:
    """A quick look that spares reading, and refusing, what is no manifest; a NUL may hide UTF-16, so it counts."""
    return ("apiVersion" in raw and "kind" in raw) or "\0" in raw


class _File:
    """Reads one file."""

    def __init__(self, file: Given, text: Text) -> None:
        self.file = file
        self.text = text
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self.strangers: list[Problem] = []
        self.broken = False
        self.lists = 0

    def read(self, loaded: Loaded) -> None:
        index = 0
        budget = Budget()
        for start, end in _chunks(self.text.raw):
            try:
                for part, value, repeats in _values(self.text, start, end, budget):
                    if value is None:
                        continue
                    if repeats:
                        self._repeated(part)
                    self._objects(part, index, (), value)
                    index += 1
            except Fault as fault:
                self.broken = True
                index += 1
                self._problem(self.text.where(start + fault.index), fault.message)
        if self.broken:
            loaded.broken.append(self.file.source)
        known = bool(self.documents or self.lists)
        if not (known or self.broken or self.file.named):
            loaded.skipped.append(self.file.source)
            return
        if known:
            self.problems += self.strangers
        elif not self.broken:
            message = "no Kubernetes object is in this input: nothing has an apiVersion and a kind. Give a manifest."
            self.problems.append(Problem(self.file.source, None, None, message))
        loaded.documents.extend(self.documents)
        loaded.problems.extend(self.problems)

    def _problem(self, place: tuple[int, int], message: str) -> None:
        self.problems.append(Problem(self.file.source, *place, message))

    def _repeated(self, part: _Part) -> None:
        for name, first, again in repeated(part.root):
            line = part.span(first.start, first.end).line
            span = part.span(again.start, again.end)
            self._problem(
                (span.line, span.column),
                f'key "{name}" appears twice in one mapping (first at line {line});'
                " Kubernetes keeps the last one silently. Remove one of them.",
            )

    def _objects(self, part: _Part, index: int, prefix: Prefix, value: Json) -> None:
        """Take an object, or every object of a list."""
        if not isinstance(value, dict):
            fault = "it is no mapping"
        elif not (missing := [name for name in ("apiVersion", "kind") if not _is_text(value.get(name))]):
            if not _is_list(value):
                self.documents.append(Document(self.file.source, index, value, prefix, part))
                return
            self.lists += 1
            for number, item in enumerate(value["items"]):
                self._objects(part, index, (*prefix, "items", number), _typed(value, item))
            return
        else:
            fault = f"it has no {' and no '.join(missing)}"
        span = part.span(*find(part.root, prefix))
        what = "this list item" if prefix else "this document"
        message = f"{what} is no Kubernetes object: {fault}. Complete it, or leave it out."
        self.strangers.append(Problem(self.file.source, span.line, span.column, message))


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list(value: dict[str, Any]) -> bool:
    """Whether an object is a list of objects; one with a name of its own is a resource whose kind ends so."""
    metadata = value.get("metadata")
    named = isinstance(metadata, dict) and metadata.get("name")
    return value["kind"].endswith("List") and isinstance(value.get("items"), list) and not named


def _typed(parent: dict[str, Any], item: Json) -> Json:
    """An item with its kind: the API server leaves it out in its typed lists (PodList: Pod), kubectl writes it."""
    kind = parent["kind"].removesuffix("List")
    return {"apiVersion": parent["apiVersion"], "kind": kind, **item} if kind and isinstance(item, dict) else item


# Kubernetes splits a file at lines with --- before it parses (apimachinery, util/yaml), and YAML allows no such line
# inside a document; so a broken document ends there.
_MARK: Final = re.compile(r"---(?=[ \t\r\n]|\Z)")
_LATER_MARK: Final = re.compile(r"\n---(?=[ \t\r\n]|\Z)")
_BARE_MARK: Final = re.compile(r"---[ ]*(?:[ ]#[ -~]*)?(?:\r?\n|\Z)")
_AFTER_END: Final = re.compile(r"^\.\.\.[ \t]*\r?\n(?:(?:[ \t\r]*|[#%][^\n]*)\n)+\Z", re.MULTILINE)


def _chunks(raw: str) -> Iterator[tuple[int, int]]:
    """Where each document begins and ends. Directives (%YAML) are left out: they say nothing that Kubernetes heeds."""
    starts = [0, *(match.start() + 1 for match in _LATER_MARK.finditer(raw))]
    for start, end in zip(starts, [*starts[1:], len(raw)], strict=True):
        if start or raw.startswith("---") or not _is_preamble(raw, end):
            ends = raw.startswith("...", start) or raw.find("\n...", start, end) >= 0
            tail = _AFTER_END.search(raw, start, end) if ends else None
            yield start, tail.start() if tail else end


def _is_preamble(raw: str, end: int) -> bool:
    """Whether there is nothing before `end` but comments, directives and empty lines."""
    if not raw or raw[0].isalpha():  # spares most texts the look at each line
        return not raw
    head = raw[:end]
    return all(not line or line.isspace() or line.lstrip()[0] == "#" or line[0] == "%" for line in head.splitlines())


def _values(text: Text, start: int, end: int, budget: Budget) -> Iterator[tuple[_Part, Json, bool]]:
    """The documents between two characters; raises Fault with an index from `start`."""
    chunk = text.raw[start:end]
    if (value := _plain_value(chunk)) is not None:
        budget.add(value)
        yield _Part(text, start, end, _ONE), value, False
        return
    mark = _MARK.match(chunk)
    begin = mark.end() if mark else 0
    begin = len(chunk) - len(chunk[begin:].lstrip(" \t\r\n"))
    if chunk.startswith(("{", "["), begin):
        from stateward.cli.jsonread import json_values  # with orjson, which YAML does not need

        values = json_values(chunk, begin)
        if values is not None:
            for each in values:
                yield _Part(text, start + each.start, start + each.end, None), each.value, each.repeats
            return
    from stateward.cli import yamlread  # with PyYAML, which most manifests do not need

    for nth, document in enumerate(yamlread.documents(chunk, budget)):
        yield _Part(text, start, end, nth), document.value, document.repeats


_PLAIN: Final = Reader(unquoted)


def _plain_start(chunk: str) -> int | None:
    """Where a document begins behind its `---`; None where there is more on that line than a plain document has."""
    if not chunk.startswith("---"):
        return 0
    mark = _BARE_MARK.match(chunk)
    return mark.end() if mark else None


def _plain_value(chunk: str) -> Json:
    """The document of a text that is plain YAML, as nearly all are; None where another reader has to take it."""
    start = _plain_start(chunk)
    if start is None:
        return None
    if start:
        chunk = chunk[start:]
    if chunk[:1] in ("{", "["):
        return None
    if "\r" in chunk:
        chunk = chunk.replace("\r\n", "\n")
    try:
        return _PLAIN.read(chunk)
    except Unusual:
        return None
