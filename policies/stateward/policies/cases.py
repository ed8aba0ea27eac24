"""Cases: a request, what else exists, and the verdict that is expected. Rules' examples and `stateward test` use them.

A file holds one mapping with `cases` (and what they share), or a list of such mappings. See docs/cases.md for the form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeVar

from stateward.policies import times
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.message import warnings
from stateward.policies.policy import DEFAULT, Policy
from stateward.policies.request import Request, User
from stateward.policies.structs import dataclass, field
from stateward.policies.view import MemoryView, Object, kind_of_object, metadata_of, text_of

NOW: Final = "2026-11-21T12:00:00Z"
"""When a case is judged, unless it says otherwise: examples must not change with the day."""

EXPECTATIONS: Final = ("deny", "warn", "warn-or-deny", "allow", "allow-or-warn")
_OPERATIONS: Final = ("CREATE", "UPDATE", "DELETE")
_SUBRESOURCES: Final = {"eviction": "Eviction.policy", "scale": "Scale.autoscaling"}

T = TypeVar("T")
Outcome = Literal["deny", "warn", "allow"]


class CaseError(ValueError):
    """A case that cannot be run. The message names the case, the field and the reason."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case, ready to run."""

    file: str
    name: str
    request: Request
    context: tuple[Object, ...]
    expect: str
    because: str = ""
    rule: str = ""
    """The rule that must (or must not) speak; "" where any may."""
    now: float = 0.0
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def harmful(self) -> bool:
        """Whether the request should not simply pass."""
        return self.expect in ("deny", "warn", "warn-or-deny")


def outcome(verdict: Verdict) -> Outcome:
    """What a client sees of a verdict."""
    if not verdict.allowed:
        return "deny"
    return "warn" if warnings(verdict) else "allow"


def as_expected(expect: str, got: str) -> bool:
    """Whether an outcome is one that is expected."""
    if expect in ("warn-or-deny", "allow-or-warn"):
        return got in expect.split("-or-")
    return expect == got


def run(case: Case, policy: Policy = DEFAULT) -> Verdict:
    """Judges a case. A kind is known in full if the context holds an object of it."""
    return evaluate(case.request, MemoryView(case.context), policy, now=case.now)


def read(source: str, content: Any) -> Iterator[Case]:
    """The cases of a file's content. Raises CaseError."""
    for whole in content if isinstance(content, list) else [content]:
        if not isinstance(whole, Mapping) or not isinstance(whole.get("cases"), list):
            raise CaseError(f"{source}: no cases; write a mapping with a list named cases")
        shared = whole.get("context") or []
        title = str(whole.get("id") or whole.get("title") or source)
        for row in whole["cases"]:
            if not isinstance(row, Mapping):
                raise CaseError(f"{source}: {title}: a case is a mapping")
            yield _case(source, title, row, shared, whole)


def _case(source: str, title: str, row: Mapping[str, Any], shared: Any, whole: Mapping[str, Any]) -> Case:
    name = str(row.get("name") or "")
    where = f"{source}: {title} {name}".rstrip()
    operation = row.get("operation")
    if operation not in _OPERATIONS:
        raise CaseError(f"{where}: operation {operation!r} is none of {', '.join(_OPERATIONS)}")
    expect = row.get("expect")
    if expect not in EXPECTATIONS:
        raise CaseError(f"{where}: expect {expect!r} is none of {', '.join(EXPECTATIONS)}")
    old, new = row.get("old"), row.get("new")
    if operation == "UPDATE" and new is None:
        if not isinstance(old, Mapping) or not isinstance(row.get("patch"), Mapping):
            raise CaseError(f"{where}: an UPDATE needs old, and patch or new")
        new = merge(old, row["patch"])
    subject = new if operation != "DELETE" else old
    if not isinstance(subject, dict):
        raise CaseError(f"{where}: {'old' if operation == 'DELETE' else 'new'} is missing")
    if operation == "UPDATE" and not isinstance(old, dict):
        raise CaseError(f"{where}: old is missing: an UPDATE is judged against what was there")
    subresource = _typed(where, "subResource", row.get("subResource") or "", str)
    user = _typed(where, "user", row.get("user") or {}, dict)
    groups = _typed(where, "user.groups", user.get("groups", ["system:authenticated"]), list)
    options = _typed(where, "options", row.get("options") or {}, dict)
    context = row.get("context", shared) or []
    if not isinstance(context, list) or not all(isinstance(item, dict) for item in context):
        raise CaseError(f"{where}: context is a list of objects")
    metadata = metadata_of(subject)
    now = times.parse(row.get("now") or whole.get("now") or NOW)
    if now is None:
        raise CaseError(f"{where}: now is no time such as {NOW}")
    kind = _SUBRESOURCES.get(subresource, kind_of_object(subject))
    name_of = text_of(metadata, "name")
    return Case(
        file=source,
        name=f"{title} {name}".strip(),
        request=Request(
            kind=kind,
            operation=operation,
            name=name_of,
            # The API server gives a Namespace's own name as its namespace.
            namespace=name_of if kind == "Namespace" else text_of(metadata, "namespace"),
            object=new if operation != "DELETE" else None,
            old=old if operation != "CREATE" else None,
            subresource=subresource,
            uid="00000000-0000-0000-0000-000000000000",
            user=User(str(user.get("username", "alice")), tuple(str(group) for group in groups)),
            options=options,
        ),
        context=tuple(context),
        expect=expect,
        because=str(row.get("because") or ""),
        rule=str(row.get("rule") or whole.get("rule") or ""),
        now=now,
        meta=whole,
    )


def _typed(where: str, name: str, value: Any, wanted: type[T]) -> T:
    if not isinstance(value, wanted):
        raise CaseError(f"{where}: {name} is no {wanted.__name__}: {value!r}")
    return value


def merge(old: Any, patch: Any) -> Any:
    """RFC 7386: null removes, mappings merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged
