"""The policy: which rule does what, with which parameters, where. Good without any; written as a WardPolicy.

apiVersion: stateward.dev/v1alpha1
kind: WardPolicy
spec:
  profile: production@1        # baseline@1, production@1 (default), strict@1
  unknown: warn                # silent, warn, deny: what a rule does that could not see what it needs
  exempt: {users: [...], groups: [...]}
  rules:
    SW302: {action: warn, params: {…}, match: {namespaces: [dev-*], labels: {tier: dev}}}
    SW208: {action: "off"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, cast

from stateward.policies.finding import Action
from stateward.policies.rule import Rule
from stateward.policies.view import Object, mapping_of, metadata_of

Unknowns = Literal["silent", "warn", "deny"]
_ACTIONS: Final = ("deny", "warn", "audit", "off")
_PROFILES: Final = ("baseline", "production", "strict")
API_VERSION: Final = "stateward.dev/v1alpha1"
KIND: Final = "WardPolicy"


class PolicyError(ValueError):
    """A policy that cannot be used. The message names field, value, reason and next step."""


@dataclass(frozen=True, slots=True)
class Override:
    """What a policy says of one rule, everywhere or for what it matches."""

    action: Action | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()
    except_namespaces: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, namespace: str, item: Object) -> bool:
        """Whether it holds for an object."""
        if self.namespaces and not any(fnmatchcase(namespace, pattern) for pattern in self.namespaces):
            return False
        if any(fnmatchcase(namespace, pattern) for pattern in self.except_namespaces):
            return False
        labels = mapping_of(metadata_of(item), "labels")
        return all(labels.get(key) == value for key, value in self.labels.items())


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that is ready to be asked."""

    profile: str = "production"
    unknown: Unknowns | None = None
    """None: as the caller does it (a warning in the webhook, silence elsewhere)."""
    exempt_users: tuple[str, ...] = ()
    exempt_groups: tuple[str, ...] = ()
    overrides: Mapping[str, tuple[Override, ...]] = field(default_factory=dict)

    @property
    def excuses_need_an_earlier_edit(self) -> bool:
        """Whether waivers count only on the object as it was: no single edit brings its own excuse."""
        return self.profile != "baseline"

    def action(self, rule: Rule, namespace: str, item: Object) -> Action:
        """What a rule does to an object."""
        for override in self.overrides.get(rule.id, ()):
            if override.action is not None and override.matches(namespace, item):
                return override.action
        if self.profile == "baseline" and not rule.loses_data and rule.action == "deny":
            return "warn"
        return rule.action

    def params(self, rule: Rule, namespace: str, item: Object) -> Mapping[str, Any]:
        """A rule's parameters for an object."""
        for override in self.overrides.get(rule.id, ()):
            if override.params and override.matches(namespace, item):
                return {**rule.params, **override.params}
        return rule.params


DEFAULT: Final = Policy()


def parse(content: Any, rules: Sequence[Rule]) -> Policy:
    """A policy from parsed YAML. Raises PolicyError."""
    if not isinstance(content, Mapping):
        raise PolicyError(f"the policy is a {type(content).__name__}; a mapping with apiVersion, kind and spec is wanted")
    if content.get("kind") != KIND or content.get("apiVersion") != API_VERSION:
        raise PolicyError(
            f"apiVersion, kind: {content.get('apiVersion')!r}, {content.get('kind')!r} is no policy; "
            f"write {API_VERSION}, {KIND}"
        )
    spec = content.get("spec")
    if not isinstance(spec, Mapping):
        raise PolicyError("spec: it is missing; write at least `spec: {profile: production@1}`")
    _known(spec, "spec", ("profile", "unknown", "exempt", "rules"))
    exempt = spec.get("exempt") or {}
    if not isinstance(exempt, Mapping):
        raise PolicyError("spec.exempt: a mapping with users and groups is wanted")
    _known(exempt, "spec.exempt", ("users", "groups"))
    by_name = {rule.id: rule for rule in rules} | {rule.name: rule for rule in rules}
    overrides: dict[str, list[Override]] = {}
    named = spec.get("rules") or {}
    if not isinstance(named, Mapping):
        raise PolicyError("spec.rules: a mapping from rule to what it does is wanted")
    for name, rows in named.items():
        rule = by_name.get(name)
        if rule is None:
            raise PolicyError(f'spec.rules: "{name}" is no rule; `stateward rules` lists them')
        for row in rows if isinstance(rows, list) else [rows]:
            overrides.setdefault(rule.id, []).append(_override(row, f"spec.rules.{name}", rule))
    return Policy(
        profile=_profile(spec.get("profile", "production@1")),
        unknown=_choice(spec, "unknown", ("silent", "warn", "deny")),
        exempt_users=_texts(exempt.get("users"), "spec.exempt.users"),
        exempt_groups=_texts(exempt.get("groups"), "spec.exempt.groups"),
        # What matches something goes before what holds everywhere.
        overrides={
            rule: tuple(sorted(rows, key=lambda row: not (row.namespaces or row.except_namespaces or row.labels)))
            for rule, rows in overrides.items()
        },
    )


def _profile(text: Any) -> str:
    name, _, version = str(text).partition("@")
    if name not in _PROFILES or version not in ("", "1"):
        raise PolicyError(f'spec.profile: "{text}" is unknown; there are {", ".join(f"{one}@1" for one in _PROFILES)}')
    return name


def _override(row: Any, where: str, rule: Rule) -> Override:
    if isinstance(row, str):
        row = {"action": row}
    if row is False:
        row = {"action": "off"}  # YAML 1.1 reads a bare `off` as false
    if not isinstance(row, Mapping):
        raise PolicyError(f"{where}: {row!r} says nothing; write an action or a mapping with action, params, match")
    if row.get("action") is False:
        row = {**row, "action": "off"}
    _known(row, where, ("action", "params", "match"))
    match = row.get("match") or {}
    if not isinstance(match, Mapping):
        raise PolicyError(f"{where}.match: a mapping with namespaces, exceptNamespaces and labels is wanted")
    _known(match, f"{where}.match", ("namespaces", "exceptNamespaces", "labels"))
    params = row.get("params") or {}
    if not isinstance(params, Mapping):
        raise PolicyError(f"{where}.params: a mapping is wanted")
    for name, value in params.items():
        if name not in rule.params:
            known = ", ".join(sorted(rule.params)) or "none"
            raise PolicyError(f'{where}.params: rule {rule.id} has no parameter "{name}"; it has: {known}')
        default = rule.params[name]
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            raise PolicyError(f"{where}.params.{name}: {value!r} is no {type(default).__name__} (default {default!r})")
    labels = match.get("labels") or {}
    if not isinstance(labels, Mapping):
        raise PolicyError(f"{where}.match.labels: a mapping is wanted")
    return Override(
        action=cast("Action | None", _choice(row, "action", _ACTIONS, where)),
        params=dict(params),
        namespaces=_texts(match.get("namespaces"), f"{where}.match.namespaces"),
        except_namespaces=_texts(match.get("exceptNamespaces"), f"{where}.match.exceptNamespaces"),
        labels={str(key): str(value) for key, value in labels.items()},
    )


def _known(mapping: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    for name in mapping:
        if name not in names:
            raise PolicyError(f'{where}: unknown field "{name}"; there are {", ".join(names)}')


def _choice(mapping: Mapping[str, Any], name: str, choices: tuple[str, ...], where: str = "spec") -> Any:
    value = mapping.get(name)
    if value is not None and value not in choices:
        raise PolicyError(f"{where}.{name}: {value!r} is none of {', '.join(choices)}")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise PolicyError(f"{where}: a list of strings is wanted")
    return tuple(value)
