"""What the policy API takes and gives, for its OpenAPI document and for callers who generate clients from it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Action = Literal["deny", "warn", "audit"]
_Object = dict[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow")  # a field that is added later breaks nobody


class Problem(_Model):
    """An answer that is none."""

    error: str


class Pair(_Model):
    """One object's way from old to new; null where it is created or deleted."""

    old: _Object | None = None
    new: _Object | None = None


class Asking(_Model):
    """The user that a judgement is for."""

    name: str
    groups: list[str] = []


class Evaluation(_Model):
    """What to judge. A single object, a List or a list of objects is taken as `objects`; an AdmissionReview as it is."""

    objects: list[_Object] = Field([], description="each as if it were created")
    pairs: list[Pair] = Field([], description="each as if it were changed, created or deleted")
    context: list[_Object] = Field([], description="what else there is, beside what the door sees itself")
    user: Asking | None = None


class Named(_Model):
    """An object by its name; `kind` with its group, `title` as a person calls it."""

    kind: str
    namespace: str
    name: str
    title: str = ""


class Finding(_Model):
    """As in docs/formats.md; file is `objects[0]`, `pairs[0]` or `request`."""

    rule: str
    name: str
    action: Action
    would: str
    state: Literal["new", "waived"]
    file: str
    field: str
    object: Named
    operation: str
    message: str
    why: str
    remedy: str
    waive: str
    unknownKinds: list[str]  # noqa: N815 - JSON
    waiver: dict[str, str] | None
    fingerprint: str


class Judged(_Model):
    """One object that was judged."""

    object: Named
    operation: str
    file: str
    verdict: Literal["deny", "warn", "allow"]
    mode: Action
    notes: list[str]
    passed: str
    notJudged: dict[str, list[str]]  # noqa: N815 - JSON
    faults: dict[str, str]


class Report(_Model):
    """The form of `stateward lint --format json`."""

    format: str
    judgedAt: str  # noqa: N815 - JSON
    profile: str
    exitCode: int  # noqa: N815 - JSON
    totals: dict[str, int]
    findings: list[Finding]
    objects: list[Judged]
    inputErrors: list[dict[str, Any]]  # noqa: N815 - JSON


class Rule(_Model):
    """A rule, with what it does by the policy in force."""

    id: str
    name: str
    area: str
    action: Literal["deny", "warn", "audit", "off"]
    summary: str
    why: str
    remedy: str
    source: str


class Rules(_Model):
    """All rules."""

    format: str
    rules: list[Rule]


class Engines(_Model):
    """What is known of engines."""

    format: str
    engines: list[dict[str, Any]]


class Way(_Model):
    """The way between two versions, as `stateward path --format json`."""

    format: str
    engine: str
    known: bool
    atOnce: dict[str, Any]  # noqa: N815 - JSON
    hops: list[dict[str, Any]] | None
    words: str


class Decision(_Model):
    """A decision, or as many in a row as were the same."""

    time: str
    first: str
    count: int
    outcome: Literal["denied", "wouldBeDenied", "warned", "waived", "audited", "fault"]
    mode: Action
    operation: str
    subresource: str
    object: Named
    about: Named
    user: str
    dryRun: bool  # noqa: N815 - JSON
    findings: list[dict[str, str]]
    notes: list[str]
    uid: str
    seconds: float


class Decisions(_Model):
    """The newest first."""

    format: str
    since: str
    dropped: int
    decisions: list[Decision]


class Status(_Model):
    """What this replica knows of itself."""

    format: str
    version: str
    started: str
    ready: bool
    reason: str
    mode: Action
    policy: dict[str, Any]
    registered: bool | None
    leader: bool | None
    certificates: dict[str, str]
    views: dict[str, Any]
    counts: dict[str, Any]
    decisions: dict[str, int]
