"""Judging what somebody would do: objects, changes of objects, or a review, without doing it. Pure but for the pauses.

The answer has the form of `stateward lint --format json`, with nothing where only a file has something.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stateward.policies import times
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.finding import Judged, fingerprint
from stateward.policies.message import waive_command
from stateward.policies.paths import render
from stateward.policies.policy import Policy
from stateward.policies.request import Request, User
from stateward.policies.view import (
    UNKNOWN,
    Kind,
    Object,
    Unknown,
    View,
    kind_of_object,
    metadata_of,
    text_of,
)
from stateward.policies.wording import readable, text

FORMAT: Final = "stateward-lint/v1"
_PAUSE: Final = 0.0002
"""Seconds between two objects in which requests at the door get their turn: a thread that only computes is waited for
5 ms at each turn (sys.getswitchinterval)."""

Key = tuple[Kind, str, str]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One object's way from old to new: created without old, deleted without new. `where`: `objects[3]`."""

    where: str
    old: Object | None
    new: Object | None

    @property
    def key(self) -> Key:
        """What makes an object the same before and after."""
        return _key(self.new if self.new is not None else self.old or {})

    def request(self, user: User) -> Request:
        """The request that would do it."""
        kind, namespace, name = self.key
        operation = "CREATE" if self.old is None else "DELETE" if self.new is None else "UPDATE"
        within = name if kind == "Namespace" else namespace
        return Request(kind, operation, name, within, self.new, self.old, user=user)


class Proposed:
    """A View on how things are beside what is proposed: new objects are there, old ones of deletions are not."""

    def __init__(self, view: View, proposals: Iterable[Proposal], context: Iterable[Object] = ()) -> None:
        self._view = view
        self._given: dict[Kind, dict[tuple[str, str], Object | None]] = {}
        for item in context:
            self._put(_key(item), item)
        for one in proposals:
            self._put(one.key, one.new)

    def _put(self, key: Key, item: Object | None) -> None:
        self._given.setdefault(key[0], {})[key[1:]] = item

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """See `View.get`."""
        given = self._given.get(kind)
        if given is not None and (namespace, name) in given:
            return given[namespace, name]
        return self._view.get(kind, namespace, name)

    def select(self, kind: Kind, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """See `View.select`."""
        found = self._view.select(kind, namespace)
        given = self._given.get(kind)
        if not given:
            return found
        here = [item for (space, _), item in given.items() if item is not None and namespace in (None, space)]
        if found is UNKNOWN:
            return here or UNKNOWN
        return [item for item in found if _key(item)[1:] not in given] + here

    def complete(self, kind: Kind) -> bool:
        """See `View.complete`: what else there is, is known where the view beneath knows it."""
        return self._view.complete(kind)


def _key(item: Object) -> Key:
    metadata = metadata_of(item)
    return kind_of_object(item), text_of(metadata, "namespace"), text_of(metadata, "name")


def judge(requests: Iterable[tuple[str, Request]], view: View, policy: Policy, now: float) -> Iterator[tuple[str, Verdict]]:
    """(where, verdict) of each request. For a thread: it pauses between two, and blocks no event loop for longer."""
    for where, request in requests:
        yield where, evaluate(request, view, policy, now=now, unknown="warn")
        time.sleep(_PAUSE)


def document(
    verdicts: Iterable[tuple[str, Verdict]], policy: Policy, now: float, version: str, problems: list[dict[str, Any]]
) -> dict[str, Any]:
    """The report as JSON values. The form: docs/formats.md."""
    findings: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    faults = 0
    for where, verdict in verdicts:
        found = [_finding(one, verdict, where, now) for one in verdict.judged]
        findings += found
        faults += len(verdict.faults)
        objects.append(_object(verdict, where))
    shown = [one["action"] if one["state"] == "new" else one["state"] for one in findings]
    denied = shown.count("deny")
    return {
        "format": FORMAT,
        "tool": {"name": "stateward", "version": version},
        "judgedAt": times.render(now),
        "profile": policy.title,
        "exitCode": 2 if problems else 1 if denied else 0,
        "totals": {
            "files": 0,
            "objects": len(objects),
            "denied": denied,
            "warned": shown.count("warn"),
            "audited": shown.count("audit"),
            "waived": shown.count("waived"),
            "known": 0,
            "errors": len(problems),
            "faults": faults,
        },
        "findings": findings,
        "objects": objects,
        "inputErrors": problems,
        "skipped": [],
        "notes": [],
        "baseline": None,
    }


def _named(verdict: Verdict) -> dict[str, str]:
    request = verdict.request
    namespace = "" if request.kind == "Namespace" else request.namespace
    found = {"kind": request.kind, "namespace": namespace, "name": request.name, "title": verdict.about}
    return {key: readable(value) for key, value in found.items()}


def _finding(one: Judged, verdict: Verdict, where: str, now: float) -> dict[str, Any]:
    finding = one.finding
    named = _named(verdict)
    field = render(finding.field)
    waived = one.waiver
    return {
        "rule": one.rule,
        "name": one.name,
        "action": "audit" if one.action == "off" else one.action,
        "would": one.would or "",
        "state": "waived" if waived is not None else "new",
        "file": where,
        "line": 0,
        "column": 0,
        "endColumn": 0,
        "excerpt": "",
        "field": field,
        "object": named,
        "operation": verdict.request.operation,
        "message": text(finding.headline),
        "why": text(finding.why),
        "remedy": text(finding.remedy),
        "waive": waive_command(verdict, one.rule, now=now) if one.action == "deny" else "",
        "unknownKinds": list(one.unknown),
        "waiver": {"until": waived.until, "reason": text(waived.reason)} if waived is not None else None,
        "fingerprint": fingerprint(one.rule, named["kind"], named["namespace"], named["name"], field, finding.subject),
    }


def _object(verdict: Verdict, where: str) -> dict[str, Any]:
    return {
        "object": _named(verdict),
        "operation": verdict.request.operation,
        "file": where,
        "line": 0,
        "verdict": "deny" if verdict.denied else "warn" if verdict.warned else "allow",
        "mode": verdict.mode,
        "notes": [text(note) for note in verdict.notes],
        "passed": text(verdict.passed),
        "notJudged": {rule: list(kinds) for rule, kinds in verdict.unjudged.items()},
        "faults": verdict.faults,
    }


def read(content: Any, limit: int) -> tuple[list[Proposal], list[Object], User, list[dict[str, Any]]]:
    """What a body asks: proposals, context, who asks, what cannot be used. Raises BadAskError where it asks nothing.

    `content`: an object, a List, a list of objects, or {objects, pairs, context, user}.
    """
    content = _envelope(content)
    asked = ("objects", "pairs", "context", "user")
    stray = next((key for key in content if key not in asked), None)
    if stray is not None:
        raise BadAskError(f'"{str(stray)[:60]}": unknown field; there are {", ".join(asked)}')
    proposals: list[Proposal] = []
    problems: list[dict[str, Any]] = []
    for number, item in enumerate(_items(content, "objects")):
        where = f"objects[{number}]"
        problem = _problem(item)
        if problem:
            problems.append(_told(where, problem))
        else:
            proposals.append(Proposal(where, None, item))
    for number, pair in enumerate(_items(content, "pairs")):
        where = f"pairs[{number}]"
        found = _pair(where, pair)
        if isinstance(found, str):
            problems.append(_told(where, found))
        else:
            proposals.append(found)
    context = _items(content, "context")
    for number, item in enumerate(context):
        problem = _problem(item)
        if problem:
            raise BadAskError(f"context[{number}]: {problem}")
    count = len(proposals) + len(problems) + len(context)
    if count > limit:
        raise BadAskError(f"{count} objects; at most {limit} are taken at once, send them in parts", 413)
    if not proposals and not problems:
        raise BadAskError("nothing to judge; send an object, objects, pairs of {old, new}, or an AdmissionReview")
    return proposals, context, _user(content.get("user")), problems


class BadAskError(Exception):
    """The body asks nothing that can be answered. The message names field, value, reason, next step."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def _envelope(content: Any) -> Mapping[str, Any]:
    if type(content) is list:
        return {"objects": content}
    if type(content) is not dict:
        raise BadAskError("the body is no JSON object or list; send an object, objects, pairs, or an AdmissionReview")
    if "kind" in content or "apiVersion" in content:
        items = content.get("items")
        return {"objects": items if content.get("kind") == "List" and type(items) is list else [content]}
    return content


def _items(content: Mapping[str, Any], key: str) -> list[Any]:
    found = content.get(key)
    if found is None:
        return []
    if type(found) is not list:
        raise BadAskError(f"{key}: a list is wanted")
    return found


def _pair(where: str, pair: Any) -> Proposal | str:
    if type(pair) is not dict or not set(pair) <= {"old", "new"}:
        return "an object with old and new is wanted, one of them may be null"
    old, new = pair.get("old"), pair.get("new")
    if old is None and new is None:
        return "neither old nor new is there; null is for one of them"
    for name, item in (("old", old), ("new", new)):
        problem = _problem(item) if item is not None else ""
        if problem:
            return f"{name}: {problem}"
    if old is not None and new is not None and _key(old) != _key(new):
        return f"old and new are two objects, {_shown(old)} and {_shown(new)}; send one of them as {{old, null}}"
    return Proposal(where, old, new)


def _problem(item: Any) -> str:
    """Why this is no object, "" where it is one."""
    if type(item) is not dict:
        return "this is no object"
    kind, _, name = _key(item)
    if not kind or not text_of(item, "apiVersion"):
        return "apiVersion and kind are wanted"
    if not name and not text_of(metadata_of(item), "generateName"):
        return f"metadata.name of this {kind} is missing"
    return ""


def _shown(item: Object) -> str:
    kind, namespace, name = _key(item)
    return f"{kind} {namespace}/{name}"


def _told(where: str, problem: str) -> dict[str, Any]:
    return {"file": where, "line": None, "column": None, "message": problem}


def _user(content: Any) -> User:
    if content is None:
        return User("policy-api")
    if type(content) is not dict or not isinstance(content.get("name"), str):
        raise BadAskError("user: an object with name, and perhaps groups, is wanted")
    groups = content.get("groups", [])
    if type(groups) is not list or not all(isinstance(group, str) for group in groups):
        raise BadAskError("user.groups: a list of texts is wanted")
    return User(content["name"], tuple(groups))
