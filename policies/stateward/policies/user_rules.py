"""The user's own rules: `spec.userRules` of a policy, read and compiled when the policy is loaded.

userRules:
  - id: SW901
    name: three-members
    summary: A production service has at least three members
    match: {kinds: [services], operations: [CREATE, UPDATE], namespaces: [prod-*]}
    nature: state              # state: judges object alone, what was so before is no finding; transition: judges the change
    action: deny
    params: {minimum: 3}
    variables: [{name: members, expression: "service.members"}]
    validations:
      - expression: service == null || variables.members >= params.minimum
        field: spec.replicas
        messageExpression: "string(variables.members) + ' members are less than ' + string(params.minimum)"
    remedy: Ask for three members.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import orjson

from stateward.policies import cel, cel_functions, cel_values, match, paths
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.change import Change
from stateward.policies.fields import PolicyError, choice, known, off, rows, text, texts
from stateward.policies.finding import Action, Finding
from stateward.policies.match import Match
from stateward.policies.paths import Path
from stateward.policies.rule import SCALE, SERVICES, Check, Judges, Nature, Rule
from stateward.policies.structs import dataclass
from stateward.policies.view import Kind, Sight

MOST: Final = 99
"""User rules: SW901 to SW999."""
MESSAGE_LENGTH: Final = 500
"""Characters of a message that an expression makes."""

_FIELDS: Final = (
    *("id", "name", "summary", "why", "remedy", "nature", "action", "match", "params", "variables", "validations"),
)
_ID: Final = re.compile(r"SW9(?!00)\d\d")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KIND: Final = re.compile(r"[A-Z][A-Za-z0-9]*(\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?")
_OPERATIONS: Final = ("CREATE", "UPDATE", "DELETE")
_BEFORE: Final = ("oldObject", "oldService")


@dataclass(frozen=True, slots=True)
class Validation:
    """One condition: what must hold, and what is said where it does not."""

    holds: cel.Program
    say: cel.Program | None
    message: str
    field: Path
    where: str


@dataclass(frozen=True, slots=True)
class Asks:
    """Which of the values that cost something any rule of the policy mentions."""

    service: bool
    old_service: bool


def read(spec: Mapping[str, Any], rules: Sequence[Rule], adapters: Mapping[Kind, Adapter]) -> tuple[Rule, ...]:
    """The user rules of a policy; `adapters`: all that there are with it. Raises PolicyError."""
    content = rows(spec, "userRules", "spec")
    if len(content) > MOST:
        raise PolicyError(f"spec.userRules: {len(content)} are too many; there are ids for {MOST}")
    every = orjson.dumps(content, default=str).decode()
    asks = Asks("service" in every or "Service" in every, "oldService" in every)
    taken = {rule.name: rule.id for rule in rules}
    found: dict[str, Rule] = {}
    for index, row in enumerate(content):
        rule = _rule(row, f"spec.userRules[{index}]", asks, adapters)
        if rule.id in found:
            raise PolicyError(f'spec.userRules[{index}].id: "{rule.id}" is there twice; give each rule an id of its own')
        if rule.name in taken:
            raise PolicyError(
                f'spec.userRules[{index}].name: "{rule.name}" is the name of {taken[rule.name]}; choose another'
            )
        found[rule.id] = rule
        taken[rule.name] = rule.id
    return tuple(found.values())


def _rule(row: Mapping[str, Any], where: str, asks: Asks, adapters: Mapping[Kind, Adapter]) -> Rule:
    identity = text(row, "id", where, needed=True)
    if not _ID.fullmatch(identity):
        raise PolicyError(f'{where}.id: "{identity}" is no id for your own rules; write one of SW901 to SW999')
    where = f"{where[: where.index('[')]}.{identity}"
    known(row, where, _FIELDS)
    name = text(row, "name", where, needed=True)
    if not _NAME.fullmatch(name):
        raise PolicyError(f'{where}.name: "{name}": lower-case words joined by dashes are wanted')
    nature: Nature = choice(row, "nature", ("state", "transition"), where) or "state"
    done = {"action": off(row.get("action"))}
    action: Action = choice(done, "action", ("deny", "warn", "audit", "off"), where) or "deny"
    holds_for = row.get("match")
    matched = match.read(holds_for, f"{where}.match", ("kinds", "operations"))
    judges = _judges(holds_for or {}, f"{where}.match", nature, adapters)
    params = row.get("params") or {}
    if not isinstance(params, Mapping):
        raise PolicyError(f"{where}.params: a mapping is wanted")
    params = {str(key): value for key, value in params.items()}
    try:
        scope = _scope(row, where, nature, params)
        validations = _validations(row, where, nature, scope)
    except cel.MissingRuntime:
        raise PolicyError(
            f"{where}: rules in CEL need its runtime, which is not installed; pip install 'stateward[cel]'"
        ) from None
    summary = text(row, "summary", where) or validations[0].message
    return Rule(
        id=identity,
        name=name,
        summary=summary.removesuffix("."),
        why=text(row, "why", where),
        remedy=text(row, "remedy", where),
        source="the policy",
        since="0.1.0",
        nature=nature,
        action=action,
        judges=judges,
        check=_check(row, where, nature, scope, validations, params, matched, judges, asks),
        module=__name__,
        params=params,
    )


def _judges(content: Mapping[str, Any], where: str, nature: str, adapters: Mapping[Kind, Adapter]) -> Judges:
    kinds = texts(content.get("kinds"), f"{where}.kinds") or (SERVICES,)
    operations = texts(content.get("operations"), f"{where}.operations") or (
        ("CREATE", "UPDATE") if nature == "state" else ("UPDATE",)
    )
    for operation in operations:
        if operation not in _OPERATIONS:
            raise PolicyError(f'{where}.operations: "{operation}" is none of {", ".join(_OPERATIONS)}')
    if nature == "state" and "DELETE" in operations:
        raise PolicyError(f"{where}.operations: after a DELETE there is no object to judge; write nature: transition")
    for kind in kinds:
        if kind != SERVICES and not _KIND.fullmatch(kind):
            raise PolicyError(f'{where}.kinds: "{kind}" is no kind; write StatefulSet.apps, ConfigMap, or services for all')
        if kind.partition(".")[0] in ("Scale", "Eviction"):
            raise PolicyError(
                f'{where}.kinds: "{kind}" is judged through its parent; a scale reaches rules of StatefulSet.apps'
            )
        near = [one for one in adapters if one.partition(".")[0] == kind]
        if near:
            raise PolicyError(f'{where}.kinds: "{kind}" has no group; write {" or ".join(near)}')
    scaled = SERVICES in kinds or any(kind in adapters and adapters[kind].scale_path is not None for kind in kinds)
    return Judges(
        operations=frozenset(operations),
        kinds=tuple(kind for kind in kinds if kind != SERVICES) + ((SCALE,) if scaled else ()),
        services=SERVICES in kinds,
        subresources=frozenset({"", "scale"}) if scaled and "UPDATE" in operations else frozenset({""}),
    )


def _scope(row: Mapping[str, Any], where: str, nature: str, params: Mapping[str, Any]) -> cel.Scope:
    try:
        cel_functions.literal(params)
    except TypeError:
        raise PolicyError(f"{where}.params: a value is none that JSON knows; quote times and the like") from None
    scope = cel.Scope(params)
    names: set[str] = set()
    for index, entry in enumerate(rows(row, "variables", where)):
        here = f"{where}.variables[{index}]"
        known(entry, here, ("name", "expression"))
        name = text(entry, "name", here, needed=True)
        if not _VARIABLE.fullmatch(name) or name in names:
            raise PolicyError(f'{here}.name: "{name}" is {"there twice" if name in names else "no name such as members"}')
        names.add(name)
        written = _expression(entry, "expression", here, nature)
        try:
            scope.define(name, written)
        except cel.CompileError as error:
            raise PolicyError(f"{here}.expression: {error}") from None
    return scope


def _validations(row: Mapping[str, Any], where: str, nature: str, scope: cel.Scope) -> list[Validation]:
    entries = rows(row, "validations", where)
    if not entries:
        raise PolicyError(f"{where}.validations: none is there; write [{{expression: …, message: …}}]")
    return [_validation(entry, f"{where}.validations[{index}]", nature, scope) for index, entry in enumerate(entries)]


def _validation(entry: Mapping[str, Any], where: str, nature: str, scope: cel.Scope) -> Validation:
    known(entry, where, ("expression", "message", "messageExpression", "field"))
    written = _expression(entry, "expression", where, nature)
    holds = _compile(scope, written, f"{where}.expression", "BOOL", "a condition", "compare it: … == true")
    say = None
    if entry.get("messageExpression") is not None:
        told = _expression(entry, "messageExpression", where, nature)
        say = _compile(scope, told, f"{where}.messageExpression", "STRING", "a text", "wrap it: string(…)")
    message = text(entry, "message", where)
    if "\n" in message:
        raise PolicyError(f"{where}.message: it has more than one line; put the rest into why and remedy")
    try:
        field = paths.parse(text(entry, "field", where))
    except ValueError as error:
        raise PolicyError(f"{where}.field: {error}; write spec.replicas") from None
    steps = tuple(int(step) if isinstance(step, str) and step.isascii() and step.isdigit() else step for step in field)
    return Validation(holds, say, message or f"does not hold: {' '.join(written.split())}", steps, where)


def _compile(scope: cel.Scope, written: str, where: str, wanted: str, what: str, step: str) -> cel.Program:
    try:
        program = scope.compile(written)
    except cel.CompileError as error:
        raise PolicyError(f"{where}: {error}") from None
    if program.type_name != wanted:
        gives = "any type" if program.type_name == "DYN" else program.type_name.lower()
        raise PolicyError(f"{where}: it gives {gives}, and {what} is wanted; {step}")
    return program


def _expression(entry: Mapping[str, Any], name: str, where: str, nature: str) -> str:
    written = text(entry, name, where, needed=True)
    for before in _BEFORE:
        if nature == "state" and cel_functions.mentions(written, before):
            raise PolicyError(f"{where}.{name}: {before} is not known to a state rule; write nature: transition")
    return written


def _check(
    row: Mapping[str, Any],
    where: str,
    nature: str,
    scope: cel.Scope,
    validations: list[Validation],
    params: Mapping[str, Any],
    matched: Match,
    judges: Judges,
    asks: Asks,
) -> Check:
    """The rule's function. Other parameters, which a policy may give for a namespace, have programs of their own."""
    compiled: dict[bytes, list[Validation]] = {orjson.dumps(params): validations}

    def with_params(given: Mapping[str, Any]) -> list[Validation]:
        if given is params:
            return validations
        key = orjson.dumps(given)
        if key not in compiled:
            compiled[key] = _validations(row, where, nature, scope.with_params(given))
        return compiled[key]

    def check(change: Change, see: Sight) -> Iterator[Finding]:
        if not _asked(change, matched, judges):
            return
        activation = _activation(change, asks)
        for index, one in enumerate(with_params(see.params)):
            try:
                held = one.holds.evaluate(activation)
            except cel.EvaluationFault as fault:
                raise cel.EvaluationFault(f"validations[{index}]: {fault}") from None
            if held is True:
                continue
            yield Finding(
                field=one.field, text=_told(one, activation), why=_why(row), remedy=_remedy(row), subject=str(index)
            )

    return check


def _why(row: Mapping[str, Any]) -> str:
    return str(row.get("why") or "").strip()


def _remedy(row: Mapping[str, Any]) -> str:
    return str(row.get("remedy") or "").strip()


def _told(one: Validation, activation: Any) -> str:
    """As a ValidatingAdmissionPolicy does: where the expression fails, is empty or has several lines, the message."""
    if one.say is None:
        return one.message
    try:
        told = cast("str", one.say.evaluate(activation)).strip()
    except cel.EvaluationFault:
        return one.message
    return one.message if not told or "\n" in told else told[:MESSAGE_LENGTH]


def _asked(change: Change, matched: Match, judges: Judges) -> bool:
    kind: Kind = cel_values.kind_of_change(change)
    if kind not in judges.kinds and not (judges.services and change.service is not None):
        return False
    new, old = cel_values.objects_of(change)
    item = new or old or (change.service.object if judges.services and change.service is not None else None)
    return item is not None and matched.holds(change.request.namespace, item)


def _activation(change: Change, asks: Asks) -> Any:
    """One a change, whatever the number of rules."""
    found = change.kept.get("activation")
    if found is None:
        new, old = cel_values.objects_of(change)
        found = change.kept["activation"] = cel.activation(
            {
                "object": cel_values.shown(new),
                "oldObject": cel_values.shown(old),
                "request": cel_values.request_of(change.request),
                "service": cel_values.service_of(change.new) if asks.service else None,
                "oldService": cel_values.service_of(change.old) if asks.old_service else None,
            }
        )
    return found
