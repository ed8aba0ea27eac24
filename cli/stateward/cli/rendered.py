"""Helm charts and kustomize folders: found among chosen files, rendered by the user's own tools, read as manifests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from stateward.cli import manifests
from stateward.cli.asked import Rendering
from stateward.cli.files import CHART, KUSTOMIZATIONS, MARKERS, Choice, Given, Problem, content, decoded
from stateward.cli.limits import Budget
from stateward.cli.scalars import Fault
from stateward.cli.yamlread import documents
from stateward.policies.structs import dataclass, field
from stateward.policies.view import items_of, mapping_of, text_of, texts_of

SECONDS: Final = 120
"""How long a tool may take for one folder."""

Shown = Callable[[str], str]
"""The path of a file or folder → how it is called in messages."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to render. `name`: of a chart, as its Chart.yaml has it."""

    path: str
    tool: Literal["helm", "kustomize"]
    name: str = ""
    trouble: str = ""
    """Why it cannot be rendered, as far as that can be seen without its tool."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is rendered, what is read as it is, and what should be known about the rest."""

    folders: list[Folder]
    plain: list[Given]
    notes: list[str] = field(default_factory=list)


# --- finding -------------------------------------------------------------------------------------------------------


def find(choice: Choice, shown: Shown = str) -> Found:
    """The charts and kustomizations among chosen files. What lies below them is theirs and not read by itself."""
    marked = [file for file in choice.files if os.path.basename(file.source) in MARKERS]
    if not marked:
        return Found([], choice.files)
    charts = _outermost(_folder(file.source) for file in marked if os.path.basename(file.source) == CHART)
    kustomizations: dict[str, Mapping[str, Any]] = {}
    for file in marked:
        folder = _folder(file.source)
        if os.path.basename(file.source) != CHART and not _inside(folder, charts):
            read = kustomization(folder)
            if read is not None:
                kustomizations[folder] = read
    roots, unused = _roots(kustomizations)
    inflated = {
        os.path.normpath(os.path.join(f, _chart_home(read))) for f, read in kustomizations.items() if _inflates(read)
    }
    abouts = {folder: _mapping(os.path.join(folder, CHART)) for folder in charts if not _inside(folder, inflated)}
    libraries = [folder for folder, about in abouts.items() if text_of(about, "type") == "library"]
    folders = [
        Folder(folder, "helm", text_of(about, "name") or os.path.basename(os.path.abspath(folder)))
        for folder, about in abouts.items()
        if folder not in libraries
    ]
    folders += [Folder(root, "kustomize", trouble=_remote(root)) for root in roots]
    plain, strangers = [], []
    used = _files_of(kustomizations)
    for file in choice.files:
        folder, name = _folder(file.source), os.path.basename(file.source)
        if _inside(folder, charts):
            if file.named and name != CHART:
                plain.append(file)
        elif _inside(folder, kustomizations):
            if file.named and folder not in kustomizations:
                plain.append(file)
            elif name not in KUSTOMIZATIONS and os.path.normpath(file.source) not in used:
                strangers.append(file.source)
        else:
            plain.append(file)
    notes = []
    if unused:
        notes.append(f"passed over, a component renders nothing by itself: {_some(map(shown, unused))}")
    if libraries:
        notes.append(f"passed over, a library chart renders nothing by itself: {_some(map(shown, libraries))}")
    if strangers:
        notes.append(f"passed over, no kustomization refers to it: {_some(map(shown, strangers))}")
    return Found(sorted(folders, key=lambda one: one.path), plain, notes)


def _folder(source: str) -> str:
    return os.path.normpath(os.path.dirname(source) or ".")


def _outermost(folders: Iterable[str]) -> list[str]:
    found: list[str] = []
    for folder in sorted(set(folders), key=lambda one: one.count(os.sep)):
        if not _inside(folder, found):
            found.append(folder)
    return sorted(found)


def _inside(folder: str, others: Iterable[str]) -> bool:
    """Whether a folder is one of others or lies below one."""
    known = set(others)
    if not known:
        return False
    while folder not in known:
        above = os.path.dirname(folder)
        if above == folder or not folder or folder == os.curdir:
            return False
        folder = above or os.curdir
    return True


def kustomization(folder: str) -> Mapping[str, Any] | None:
    """What a folder's kustomization file says; {} where it cannot be read (the tool will say why), None where it is none."""
    for name in KUSTOMIZATIONS:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            found = _mapping(path)
            group = text_of(found, "apiVersion").partition("/")[0]
            # Flux has a Kustomization of its own, in files of any name.
            return found if group in ("", "kustomize.config.k8s.io") else None
    return None


def _mapping(path: str) -> Mapping[str, Any]:
    text = content(Given(path, named=True), None)
    if isinstance(text, Problem):
        return {}
    try:
        value = next(documents(text.raw, Budget())).value
    except (Fault, StopIteration):
        return {}
    return value if isinstance(value, dict) else {}


_FOLDERS: Final = ("resources", "bases", "components", "generators", "transformers", "validators")
_FILES: Final = ("crds", "configurations", "patchesStrategicMerge")
_PATHS: Final = ("patches", "patchesJson6902", "replacements")


def references(read: Mapping[str, Any]) -> Iterator[str]:
    """The files and folders that a kustomization names, relative to its own."""
    for key in (*_FOLDERS, *_FILES):
        yield from (text for text in texts_of(read, key) if "\n" not in text)
    for key in _PATHS:
        yield from filter(None, (text_of(item, "path") for item in items_of(read, key)))
    for key in ("configMapGenerator", "secretGenerator"):
        for item in items_of(read, key):
            names = [*texts_of(item, "files"), *texts_of(item, "envs"), text_of(item, "env")]
            yield from filter(None, (name.rpartition("=")[2] for name in names))
    for item in items_of(read, "helmCharts"):
        yield from filter(None, [text_of(item, "valuesFile"), *texts_of(item, "additionalValuesFiles")])
    if path := text_of(mapping_of(read, "openapi"), "path"):
        yield path


def _inflates(read: Mapping[str, Any]) -> bool:
    return "helmCharts" in read or "helmChartInflationGenerator" in read


def _chart_home(read: Mapping[str, Any]) -> str:
    return text_of(mapping_of(read, "helmGlobals"), "chartHome") or "charts"


def _roots(kustomizations: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Those that no other one refers to (of a circle one, so that the tool says what is wrong); components left over."""
    below = {
        folder: {os.path.normpath(os.path.join(folder, name)) for key in _FOLDERS for name in texts_of(read, key)}
        for folder, read in kustomizations.items()
    }
    components = {folder for folder, read in kustomizations.items() if text_of(read, "kind") == "Component"}
    referred = {name for folder, names in below.items() for name in names if name != folder}
    roots: list[str] = []
    reached: set[str] = set()
    # First those that are certain; what they do not reach afterwards lies in a circle.
    for folder in sorted(kustomizations, key=lambda each: (each in referred, each)):
        if folder not in components and folder not in reached:
            roots.append(folder)
            waiting = [folder]
            while waiting:
                each = waiting.pop()
                if each not in reached:
                    reached.add(each)
                    waiting.extend(below.get(each, ()))
    return sorted(roots), sorted(components - reached)


def _files_of(kustomizations: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {
        os.path.normpath(os.path.join(folder, name)) for folder, read in kustomizations.items() for name in references(read)
    }


_REMOTE: Final = re.compile(r"://|\?ref=|^git@|^git::|^github\.com[/:]")


def _remote(root: str) -> str:
    """Why a kustomization cannot be rendered without a network; "" where nothing of it is elsewhere."""
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        if folder in seen:
            continue
        seen.add(folder)
        for name in references(kustomization(folder) or {}):
            path = os.path.normpath(os.path.join(folder, name))
            if os.path.isdir(path):
                waiting.append(path)
            elif _REMOTE.search(name) and not os.path.exists(path):
                shown = re.sub(r"//[^/@]*@", "//", name)
                return f'it refers to "{shown}", which is not here, and lint asks no network; keep a copy beside it'
    return ""


def _some(found: Iterable[str]) -> str:
    names = list(found)
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")


# --- rendering -----------------------------------------------------------------------------------------------------


def render(folder: Folder, how: Rendering, loaded: manifests.Loaded, shown: Shown = str) -> set[str]:
    """Adds the objects of a rendered folder; gives their sources. What cannot be rendered is one Problem."""
    name = shown(folder.path)
    try:
        if folder.trouble:
            raise _RenderError(folder.trouble)
        command = _helm(folder, how) if folder.tool == "helm" else _kustomize(folder)
        text = decoded(name, _output(command))
    except _RenderError as error:
        kind = "Helm chart" if folder.tool == "helm" else "kustomize folder"
        loaded.problems.append(Problem(name, None, None, f"the {kind} cannot be rendered: {error}."))
        return set()
    if isinstance(text, Problem):
        loaded.problems.append(text)
        return set()
    sources = set()
    for source, body in _by_source(text.raw, name) if folder.tool == "helm" else ((f"{name} (rendered)", text.raw),):
        sources.add(source)
        part = decoded(source, body.encode())
        manifests.take(Given(source, named=False), part, loaded)
    return sources


class _RenderError(Exception):
    """Why a folder gives no manifests, with the next step."""


def _helm(folder: Folder, how: Rendering) -> list[str]:
    program = shutil.which("helm")
    if program is None:
        raise _RenderError(
            "helm is not found on PATH; install it (https://helm.sh/docs/intro/install), or give what it renders "
            f"(helm template {folder.path} | stateward lint -)"
        )
    command = [program, "template", how.release or _release(folder.name), folder.path, "--include-crds"]
    if how.namespace:
        command += ["--namespace", how.namespace]
    for path in how.values:
        command += ["--values", path]
    return command


def _release(name: str) -> str:
    """A chart's name as a release may be called: 53 characters of a DNS name."""
    return re.sub(r"[^a-z0-9-]+", "-", name.lower())[:53].strip("-") or "release-name"


def _kustomize(folder: Folder) -> list[str]:
    if program := shutil.which("kustomize"):
        return [program, "build", folder.path]
    if program := shutil.which("kubectl"):
        return [program, "kustomize", folder.path]
    raise _RenderError(
        "neither kustomize nor kubectl is found on PATH; install one (https://kubectl.docs.kubernetes.io/installation), "
        f"or give what it renders (kustomize build {folder.path} | stateward lint -)"
    )


def _output(command: Sequence[str]) -> bytes:
    # Git is what kustomize fetches remote folders with.
    environment = {**os.environ, "LC_ALL": "C", "GIT_ALLOW_PROTOCOL": "file", "GIT_TERMINAL_PROMPT": "0"}
    tool = os.path.basename(command[0])
    try:
        done = subprocess.run(  # noqa: S603 - the user's own tool, no shell
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise _RenderError(
            f"{tool} took longer than {SECONDS} s; see what {' '.join(command[1:3])} does by itself"
        ) from None
    except OSError as error:
        raise _RenderError(f"{command[0]} cannot be started ({error.strerror}); see its installation") from None
    if done.returncode:
        raise _RenderError(_told(tool, done.stderr, command))
    return done.stdout


def _told(tool: str, errors: bytes, command: Sequence[str]) -> str:
    """A tool's own words in one line, with the next step."""
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("WARNING", "Warning", "#", "level=", "Use --debug"))]
    text = re.sub(r"^[Ee]rror: ", "", " ".join(lines)).rstrip(".")
    text = re.sub(r"//[^/@\s]*@", "//", text)
    folder = command[3] if tool == "helm" else command[2]
    if "missing in charts/" in text:
        step = f"get what it depends on (helm dependency build {folder})"
    elif "--enable-helm" in text:
        step = f"give what it renders (kustomize build --enable-helm {folder} | stateward lint -)"
    elif tool == "helm":
        step = "correct the chart, or give the values that it needs with --helm-values"
    else:
        step = "correct the kustomization"
    return f"{tool}: {text[:600] or 'it says nothing'}; {step}"


_SOURCE: Final = re.compile(r"^---\n# Source: ([^\n]+)\n", re.MULTILINE)


def _by_source(text: str, name: str) -> list[tuple[str, str]]:
    """What helm printed, template by template: (source, text), as `helm template --show-only` gives it."""
    found: dict[str, list[str]] = {}
    marks = list(_SOURCE.finditer(text))
    for mark, after in zip(marks, [*marks[1:], None], strict=False):  # a chart may render nothing
        template = mark[1].partition("/")[2] or mark[1]
        body = text[mark.start() : after.start() if after else len(text)]
        found.setdefault(f"{name} (rendered): {template}", []).append(body)
    return [(source, "".join(bodies)) for source, bodies in found.items()]
