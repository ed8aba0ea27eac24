"""The policy: which rule does what, with which parameters, where. Good without any; written as a WardPolicy.

apiVersion: stateward.dev/v1alpha1
kind: WardPolicy
spec:
  profile: production@1        # baseline@1, production@1 (default), strict@1
  mode: deny                   # deny (default), warn, audit: what becomes of a denial; see modes.py
  unknown: warn                # silent, warn, deny: what a rule does that could not see what it needs
  exempt: {users: [...], groups: [...]}
  rules:
    SW302: {action: warn, params: {…}, match: {namespaces: [dev-*], labels: {tier: dev}}}
    SW208: {action: "off"}
  mutate: {all: {match: {…}}}  # what is filled in on creation, and where; see defaults.py
  userRules: [...]             # rules in CEL, see user_rules.py
  adapters: [...]              # kinds of your own, see adapters/schema.py
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, cast

from stateward.policies import defaults, match, profiles
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import BUILT_IN
from stateward.policies.defaults import Rows
from stateward.policies.fields import PolicyError as PolicyError
from stateward.policies.fields import choice, known, off, texts
from stateward.policies.finding import Action
from stateward.policies.match import Match
from stateward.policies.modes import MODES, Mode
from stateward.policies.rota import Rotas, dispatch
from stateward.policies.rule import Rule
from stateward.policies.structs import dataclass, field
from stateward.policies.view import Kind, Object

Unknowns = Literal["silent", "warn", "deny"]
ACTIONS: Final = ("deny", "warn", "audit", "off")
API_VERSION: Final = "stateward.dev/v1alpha1"
KIND: Final = "WardPolicy"

_FIELDS: Final = ("profile", "mode", "unknown", "exempt", "rules", "mutate", "userRules", "adapters")
_EVERYBODY: Final = frozenset({"system:serviceaccounts", "system:authenticated", "system:unauthenticated"})


@dataclass(frozen=True, slots=True)
class Override:
    """What a policy says of one rule, everywhere or for what it matches."""

    action: Action | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    match: Match = field(default_factory=Match)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that is ready to be asked."""

    profile: str = "production"
    version: int = 1
    """The profile's version."""
    mode: Mode = "deny"
    """What becomes of a denial, where a namespace's label says nothing else."""
    unknown: Unknowns | None = None
    """None: as the caller does it (a warning in the webhook, silence elsewhere)."""
    exempt_users: tuple[str, ...] = ()
    exempt_groups: tuple[str, ...] = ()
    overrides: Mapping[str, tuple[Override, ...]] = field(default_factory=dict)
    user_rules: tuple[Rule, ...] = ()
    asked: Rotas = field(default_factory=dict)
    """The user rules by what they judge."""
    adapters: Mapping[Kind, Adapter] = field(default_factory=dict)
    """The user's own adapters, by kind: in effect once they are given to `ADAPTERS.use`."""
    waivers: tuple[Object, ...] = ()
    """WardWaivers that were given with the policy."""
    defaults: Rows = field(default_factory=dict)
    """What it says of defaults that are filled in."""

    @property
    def title(self) -> str:
        """`production@1`."""
        return f"{self.profile}@{self.version}"

    @property
    def excuses_need_an_earlier_edit(self) -> bool:
        """Whether waivers count only on the object as it was: no single edit brings its own excuse."""
        return self.profile != "baseline"

    def exempts(self, user: str, groups: Iterable[str]) -> bool:
        """Whether what an account does is never judged."""
        return user in self.exempt_users or not set(self.exempt_groups).isdisjoint(groups)

    def action(self, rule: Rule, namespace: str, item: Object) -> Action:
        """What a rule does to an object."""
        for override in self.overrides.get(rule.id, ()):
            if override.action is not None and override.match.holds(namespace, item):
                return override.action
        return profiles.get(self.profile, self.version).action(rule)

    def usual(self, rule: Rule) -> Action:
        """What a rule does wherever no match says otherwise."""
        for override in self.overrides.get(rule.id, ()):
            if override.action is not None and override.match.everything:
                return override.action
        return profiles.get(self.profile, self.version).action(rule)

    def params(self, rule: Rule, namespace: str, item: Object) -> Mapping[str, Any]:
        """A rule's parameters for an object."""
        for override in self.overrides.get(rule.id, ()):
            if override.params and override.match.holds(namespace, item):
                return {**rule.params, **override.params}
        return rule.params

    def with_waivers(self, waivers: Sequence[Object]) -> Policy:
        """The same policy with WardWaivers that stand beside it."""
        return replace(self, waivers=(*self.waivers, *waivers)) if waivers else self


DEFAULT: Final = Policy()


def parse(content: Any, rules: Sequence[Rule]) -> Policy:
    """A policy from parsed YAML; its user rules are compiled. Raises PolicyError."""
    if not isinstance(content, Mapping):
        raise PolicyError(f"the policy is a {type(content).__name__}; a mapping with apiVersion, kind and spec is wanted")
    if content.get("kind") != KIND or content.get("apiVersion") != API_VERSION:
        raise PolicyError(
            f"apiVersion, kind: {content.get('apiVersion')!r}, {content.get('kind')!r} is no policy; "
            f"write {API_VERSION}, {KIND}"
        )
    known(content, "the policy", ("apiVersion", "kind", "metadata", "spec", "status"))
    spec = content.get("spec")
    if not isinstance(spec, Mapping):
        raise PolicyError("spec: it is missing; write at least `spec: {profile: production@1}`")
    known(spec, "spec", _FIELDS)
    profile = profiles.find(spec.get("profile", profiles.DEFAULT))
    users, groups = _exempt(spec.get("exempt"))
    adapters = _adapters(spec)
    kinds = ChainMap[Kind, Adapter](dict(adapters), BUILT_IN)  # type: ignore[arg-type]
    own = _user_rules(spec, rules, kinds)
    unknown = choice(spec, "unknown", ("silent", "warn", "deny"), "spec")
    return Policy(
        profile=profile.name,
        version=profile.version,
        mode=cast("Mode", choice(spec, "mode", MODES, "spec") or "deny"),
        unknown="deny" if unknown is None and profile.name == "strict" else unknown,
        exempt_users=users,
        exempt_groups=groups,
        overrides=_overrides(spec.get("rules") or {}, (*rules, *own)),
        user_rules=own,
        asked=dispatch(own, kinds),
        adapters=adapters,
        defaults=_defaults(spec),
    )


def _defaults(spec: Mapping[str, Any]) -> Rows:
    if spec.get("mutate") is None:
        return {}
    # Imported here: most policies say nothing of them, and rules are given, not imported.
    from stateward.policies.mutations import MUTATIONS

    return defaults.read(spec["mutate"], MUTATIONS)


def _adapters(spec: Mapping[str, Any]) -> Mapping[Kind, Adapter]:
    if spec.get("adapters") is None:
        return {}
    # Imported here: most policies have none.
    from stateward.policies.adapters import own

    return own.read(spec["adapters"])


def _user_rules(spec: Mapping[str, Any], rules: Sequence[Rule], adapters: Mapping[Kind, Adapter]) -> tuple[Rule, ...]:
    if not spec.get("userRules"):
        return ()
    # Imported here: most policies have none, and CEL's runtime is an extra.
    from stateward.policies.user_rules import read

    return read(spec, rules, adapters)


def _overrides(named: Any, rules: Sequence[Rule]) -> dict[str, tuple[Override, ...]]:
    if not isinstance(named, Mapping):
        raise PolicyError("spec.rules: a mapping from rule to what it does is wanted")
    by_name = {rule.id: rule for rule in rules} | {rule.name: rule for rule in rules}
    found: dict[str, list[Override]] = {}
    for name, rows in named.items():
        rule = by_name.get(name)
        if rule is None:
            if str(name).startswith("SW0"):
                raise PolicyError(f'spec.rules: "{name}" fills in and judges nothing; write it under spec.mutate')
            raise PolicyError(f'spec.rules: "{name}" is no rule; `stateward rules` lists them')
        for row in rows if isinstance(rows, list) else [rows]:
            found.setdefault(rule.id, []).append(_override(row, f"spec.rules.{name}", rule))
    # What matches something goes before what holds everywhere.
    return {rule: tuple(sorted(rows, key=lambda row: row.match.everything)) for rule, rows in found.items()}


def _override(row: Any, where: str, rule: Rule) -> Override:
    if isinstance(row, str) or row is False:
        row = {"action": row}
    if not isinstance(row, Mapping):
        raise PolicyError(f"{where}: {row!r} says nothing; write an action or a mapping with action, params, match")
    row = {**row, "action": off(row.get("action"))}
    known(row, where, ("action", "params", "match"))
    params = row.get("params") or {}
    if not isinstance(params, Mapping):
        raise PolicyError(f"{where}.params: a mapping is wanted")
    for name, value in params.items():
        if name not in rule.params:
            names = ", ".join(sorted(rule.params)) or "none"
            raise PolicyError(f'{where}.params: rule {rule.id} has no parameter "{name}"; it has: {names}')
        default = rule.params[name]
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            raise PolicyError(f"{where}.params.{name}: {value!r} is no {type(default).__name__} (default {default!r})")
    return Override(
        action=cast("Action | None", choice(row, "action", ACTIONS, where)),
        params=dict(params),
        match=match.read(row.get("match"), f"{where}.match"),
    )


def _exempt(content: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The accounts that are never judged: named ones, and groups that somebody puts accounts into one by one."""
    exempt = content or {}
    if not isinstance(exempt, Mapping):
        raise PolicyError("spec.exempt: a mapping with users and groups is wanted")
    known(exempt, "spec.exempt", ("users", "groups"))
    users = texts(exempt.get("users"), "spec.exempt.users")
    groups = texts(exempt.get("groups"), "spec.exempt.groups")
    for where, names in (("spec.exempt.users", users), ("spec.exempt.groups", groups)):
        for name in names:
            if not name or any(letter in name for letter in "*?["):
                raise PolicyError(f'{where}: "{name}" is no account; patterns are not taken, write each name out')
    for name in groups:
        if name in _EVERYBODY:
            raise PolicyError(
                f'spec.exempt.groups: "{name}" is {_whom(name)}, and nothing would be judged; name the accounts under '
                "users (system:serviceaccount:NAMESPACE:NAME), or those of one namespace: system:serviceaccounts:NAMESPACE"
            )
    return users, groups


def _whom(group: str) -> str:
    return {
        "system:serviceaccounts": "every service account",
        "system:authenticated": "everybody who is logged in",
    }.get(group, "everybody who is not logged in")
