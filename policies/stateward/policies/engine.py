"""The engine: a request, what else exists, a policy and the time → a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from stateward.policies import consequence, modes, readings, waiver
from stateward.policies.adapters import shape
from stateward.policies.adapters.catalogue import ADAPTERS, BUILT_IN
from stateward.policies.change import Change
from stateward.policies.engines import override
from stateward.policies.finding import Action, Finding, Judged, Waived
from stateward.policies.operators.move import runs_operator
from stateward.policies.policy import DEFAULT, Policy, Unknowns
from stateward.policies.request import Request
from stateward.policies.resolve import resolve
from stateward.policies.rota import ANY_SERVICE, Rotas, dispatch
from stateward.policies.rule import Rule, RuleFault
from stateward.policies.rules import RULES
from stateward.policies.structs import dataclass, field
from stateward.policies.times import render
from stateward.policies.view import UNKNOWN, Kind, Object, Sight, View, mapping_of, metadata_of


@dataclass(slots=True)
class Verdict:
    """What the engine made of a request."""

    request: Request
    judged: list[Judged] = field(default_factory=list)
    passed: str = ""
    """Why nothing was judged: a consequence, a disposable namespace, an exempt account; "" where it was."""
    unjudged: dict[str, tuple[Kind, ...]] = field(default_factory=dict)
    """Rules that could not see what they accuse with → the kinds that were unknown."""
    faults: dict[str, str] = field(default_factory=dict)
    """Rules that crashed → the exception's type, of a user's own rule the reason: nobody is refused for it."""
    notes: list[str] = field(default_factory=list)
    """What the author should know: a waiver that cannot be read or has ended."""
    service: str = ""
    """`Kafka prod/events`: whom the request is about."""
    subject: Object = field(default_factory=dict, repr=False)
    mode: modes.Mode = "deny"
    """The mode that the findings were judged in."""

    @property
    def denied(self) -> list[Judged]:
        """The findings that refuse the request."""
        return [one for one in self.judged if one.action == "deny"]

    @property
    def warned(self) -> list[Judged]:
        """The findings that warn."""
        return [one for one in self.judged if one.action == "warn"]

    @property
    def would_deny(self) -> list[Judged]:
        """The findings that would refuse the request in mode `deny`."""
        return [one for one in self.judged if one.would == "deny"]

    @property
    def allowed(self) -> bool:
        """Whether the request passes."""
        return not self.denied

    @property
    def about(self) -> str:
        """What the request is about, as a person calls it: the service, or (none) the kind and the object."""
        return self.service or f"{self.request.kind.partition('.')[0]} {self.request.where}"


_DISPATCH: Final = dispatch(RULES, BUILT_IN)
_NAMES: Final = frozenset(name for rule in RULES for name in (rule.id, rule.name))
_LATER: Final = frozenset(rule.id for rule in RULES if DEFAULT.usual(rule) != rule.action)
"""Rules that came later than the default profile and only warn in it."""


def evaluate(
    request: Request,
    view: View,
    policy: Policy = DEFAULT,
    *,
    now: float,
    unknown: Unknowns = "silent",
    asked: Rotas | None = None,
) -> Verdict:
    """Judges one request.

    `now`: seconds since the epoch. `unknown`: what this caller does where a rule could not see what it needs; a policy
    that says something else wins. Never raises for anything that a request or a view can hold: a rule that crashes is
    isolated and reported in `faults`.
    """
    verdict = Verdict(request)
    if asked is None:
        asked = _DISPATCH if not ADAPTERS.own else _with_own(frozenset(ADAPTERS.own))
    key = (request.kind, request.operation, request.subresource)
    rota = asked.get(key)
    shaped = rota is None and not request.subresource and shape.adapter_of(request.kind) is not None
    if shaped:
        rota = asked.get((ANY_SERVICE, request.operation, ""))
    own = _own(policy, request, shaped) if policy.asked else ()
    if rota is None and not own:
        return verdict
    passed = consequence.of_request(request, view) or _exempt(request, policy)
    if passed:
        verdict.passed = passed
        return verdict
    changes = resolve(request, view)
    for change in changes:
        # A change of nothing but metadata touches no service: labels, annotations and finalizers always pass.
        bare = request.operation == "UPDATE" and not change.spec_changed
        for problem in change.new.override.problems if change.new is not None else ():
            _note(verdict, problem)
        if bare and not own and (rota is None or not rota.of_metadata):
            continue
        if change.unseen:
            verdict.unjudged[request.kind.partition(".")[0]] = (change.unseen,)
        if rota is None or bare:
            rules = rota.of_metadata if rota is not None else ()
        else:
            rules = rota.concerned(change.touched, rota.mixed and runs_operator(change))
        before = len(verdict.judged)
        _judge(change, (*rules, *own) if own else rules, view, policy, now, unknown, verdict)
        own = ()  # they judge the request's own object: once, however many services it bears on
        for reading in readings.others(change, policy.excuses_need_an_earlier_edit) if rules else ():
            _read_otherwise(reading, rules, view, policy, now, verdict, before)
    if verdict.judged or verdict.notes or verdict.unjudged or verdict.faults:
        _settle(verdict, view, policy)
    return verdict


def _settle(verdict: Verdict, view: View, policy: Policy) -> None:
    """What the namespace makes of a verdict: nothing worth protecting in it, or another mode than the policy's."""
    namespace = modes.namespace_of(verdict.request, view)
    if verdict.judged and _disposable(namespace):
        verdict.passed = "disposable namespace"
        for one in verdict.judged:
            one.action = "audit"
        verdict.unjudged.clear()
        return
    verdict.mode, problem = modes.read(namespace, policy.mode)
    if problem:
        _note(verdict, problem)
    modes.soften(verdict.judged, verdict.mode)


@lru_cache(maxsize=4)
def _with_own(kinds: frozenset[Kind]) -> Rotas:
    """Who is asked where the user has adapters of their own."""
    return dispatch(RULES, (*BUILT_IN, *sorted(kinds - BUILT_IN.keys())))


def _read_otherwise(
    reading: readings.Reading, rules: tuple[Rule, ...], view: View, policy: Policy, now: float, verdict: Verdict, first: int
) -> None:
    """Adds what another reading of a change finds beside what was found from `first` on."""
    other = Verdict(verdict.request)
    _judge(reading.change, rules, view, policy, now, "silent", other)
    known = {(one.rule, one.finding.subject): one.action for one in verdict.judged[first:]}
    for one in other.judged:
        if reading.weak and one.action == "deny":
            one.action = "warn"
        same = known.get((one.rule, one.finding.subject))
        if same is None or (one.action == "deny" and same == "warn"):
            verdict.judged.append(one)
            verdict.service = verdict.service or other.service
            verdict.subject = verdict.subject or other.subject
            engine = reading.change.service.engine if reading.weak and reading.change.service is not None else None
            if engine is not None:
                _note(
                    verdict,
                    f"{engine.title} is supposed by label or port alone; say it by annotation: {override.ENGINE} (or none)",
                )
    for note in other.notes if verdict.judged else ():
        _note(verdict, note)


def _own(policy: Policy, request: Request, shaped: bool) -> tuple[Rule, ...]:
    """The policy's own rules that are asked."""
    keys = [(request.kind, request.operation, request.subresource)]
    if shaped:
        keys.append((ANY_SERVICE, request.operation, ""))
    return tuple(dict.fromkeys(rule for key in keys if key in policy.asked for rule in policy.asked[key].rules))


def _exempt(request: Request, policy: Policy) -> str | None:
    user = request.user
    if user.name in policy.exempt_users or (policy.exempt_groups and not set(policy.exempt_groups).isdisjoint(user.groups)):
        return f"account {request.user.name} is exempt by policy"
    return None


def _disposable(namespace: Object | None) -> bool:
    """Whether a namespace holds nothing worth protecting. Its label is set by an edit of its own, before."""
    return namespace is not None and mapping_of(metadata_of(namespace), "labels").get(waiver.DISPOSABLE) == "true"


def _judge(
    change: Change,
    rules: tuple[Rule, ...],
    view: View,
    policy: Policy,
    now: float,
    unknown: Unknowns,
    verdict: Verdict,
) -> None:
    namespace = change.request.namespace
    subject = change.subject
    demanded: frozenset[str] | None = None
    plain = policy is DEFAULT and not _LATER
    see = Sight(change.view or view, {}, {}, now)
    for rule in rules:
        action = rule.action if plain else policy.action(rule, namespace, subject)
        if action == "off":
            continue
        see.looks = rule.looks_at  # what `see.turn` does, without a call for each of dozens of rules
        see.unknown = None
        try:
            see.params = rule.params if plain else policy.params(rule, namespace, subject)
            found = [*rule.check(change, see)]
            if found and rule.nature == "state" and _has_past(change):
                found = _ratchet(rule, change, see, found)
        except Exception as fault:  # noqa: BLE001,RUF100 - whatever a rule does, the others still speak
            verdict.faults[rule.id] = str(fault) if isinstance(fault, RuleFault) else type(fault).__name__
            continue
        if not found:
            if see.unknown is None:
                continue
            accused_blind = see.accused_blind()
            if not accused_blind:
                continue
            verdict.unjudged[rule.id] = accused_blind
            blind = policy.unknown or unknown
            if blind == "deny" and action == "deny":
                verdict.judged.append(_blind(rule, accused_blind))
            continue
        if demanded is None:
            demanded = consequence.demanded(change, view)
        if rule.about and rule.about <= demanded:
            continue
        excused_blind = see.excused_blind() if see.unknown else ()
        for finding in found:
            done: Action = "warn" if finding.weak and action == "deny" else action
            verdict.judged.append(Judged(rule.id, rule.name, done, finding, excused_blind))
    if not verdict.judged:
        return
    service = change.service
    verdict.service = service.title if service is not None else verdict.service
    verdict.subject = subject
    _waive(change, view, policy, now, verdict)


def _has_past(change: Change) -> bool:
    """Whether there is something before that a state rule can be asked about (of a new node pool: its hub)."""
    return change.request.operation == "UPDATE" or (change.old is not None and change.new is not None)


def _ratchet(rule: Rule, change: Change, see: Sight, found: list[Finding]) -> list[Finding]:
    """What a state rule finds now and did not find before."""
    if change.view is not None and change.old is not None:
        see = see.on(change.old.view)
    sins = {old.subject for old in rule.check(change.before(), see)}
    return [finding for finding in found if finding.subject not in sins]


def _blind(rule: Rule, kinds: tuple[Kind, ...]) -> Judged:
    finding = Finding(
        (),
        f"{rule.summary[0].lower()}{rule.summary[1:]} could not be judged: {', '.join(kinds)} is not known",
        why="the policy refuses what cannot be judged (spec.unknown: deny)",
        remedy="wait until Stateward has read the cluster, or see its metric stateward_view_age_seconds",
    )
    return Judged(rule.id, rule.name, "deny", finding)


def _waive(change: Change, view: View, policy: Policy, now: float, verdict: Verdict) -> None:
    names: frozenset[str] | None = None
    for waivers in _waivers(change, view, policy):
        for problem in waivers.problems:
            _note(verdict, problem)
        if not waivers.waivers:
            continue
        if names is None:
            names = _NAMES.union(*((one.rule, one.name) for one in verdict.judged))
            names = names.union(*((rule.id, rule.name) for rule in policy.user_rules))
        for held in waivers.waivers:
            if held.rule not in names:
                _note(verdict, f'{waivers.source}: "{held.rule}" is no rule; `stateward rules` lists them')
        for one in verdict.judged:
            if one.action not in ("deny", "warn"):
                continue
            found = waivers.find(one.rule, one.name, now)
            if found is not None:
                one.action = "audit"
                one.waiver = Waived(render(found.until), found.reason)
                continue
            stale = waivers.stale(one.rule, one.name, now)
            if stale:
                _note(verdict, f"{waivers.source}: {one.rule} is not waived, {stale}; set a new end to waive it")


def _waivers(change: Change, view: View, policy: Policy) -> Iterator[waiver.Waivers]:
    """What waives here: annotations first, then WardWaivers of the namespace (never of what is in none)."""
    for carrier in _carriers(change, view, policy):
        yield waiver.read(carrier)
    request = change.request
    if not request.namespace or request.kind == "Namespace":
        return
    known = view.select(waiver.KIND, request.namespace)
    given = [item for item in policy.waivers if metadata_of(item).get("namespace") == request.namespace]
    subjects = [one for one in (change.subject, request.object, request.old) if one]
    for item in [*(known if known is not UNKNOWN else ()), *given]:
        yield waiver.granted(item, subjects)


def _note(verdict: Verdict, text: str) -> None:
    if text not in verdict.notes:
        verdict.notes.append(text)


def _carriers(change: Change, view: View, policy: Policy) -> list[Object | None]:
    """The objects whose waivers count.

    The subject as it was before (of a node pool also its hub); where it is new, its namespace (another object: set by an
    edit of its own). In `baseline` also the subject as it will be.
    """
    request = change.request
    found: list[Object | None] = [change.old.object if change.old is not None else change.old_object]
    if change.via == "pool" and not request.subresource:
        found.append(request.old)  # the pool itself, beside its hub
    if request.operation == "CREATE" and request.namespace:
        namespace = view.get("Namespace", "", request.namespace)
        found.append(namespace if namespace is not UNKNOWN else None)
    if not policy.excuses_need_an_earlier_edit:
        found.append(change.new.object if change.new is not None else change.new_object)
    return found
