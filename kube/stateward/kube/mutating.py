"""The webhooks of a MutatingWebhookConfiguration: what the API server asks before its own validation.

Generated from what mutations fill in and what forestalling rules refuse; none where nothing of either can apply. All of
it is Ignore: without an answer an object stays as it was written, and the API server refuses by itself what it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from stateward.kube.conditions import CONDITIONS
from stateward.kube.registration import FailurePolicy, webhook_rules
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.defaults import LABEL, asks, forbidden
from stateward.policies.mutation import OWN_GROUP, Mutation
from stateward.policies.mutations import MUTATIONS
from stateward.policies.policy import DEFAULT, Policy
from stateward.policies.rule import Rule
from stateward.policies.rules import RULES
from stateward.policies.view import Kind

MUTATE: Final = "/mutate"
DEFAULTS: Final = "defaults.stateward.dev"
OWN_DEFAULTS: Final = "own-defaults.stateward.dev"
REFUSALS: Final = "refusals.stateward.dev"

Condition = dict[str, str]
Webhook = dict[str, Any]

_SHARED: Final = ("not-break-glass", "not-already-deleted")
_NAME_OF_NAMESPACE: Final = "kubernetes.io/metadata.name"
_NOT_OWNED: Final[Condition] = {
    "name": "not-owned",
    "expression": "!(has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(one, "
    "has(one.controller) && one.controller))",
}
_CHANGED: Final[Condition] = {
    # Of labels, annotations and finalizers nothing is refused.
    "name": "not-spec-unchanged",
    "expression": "!(oldObject != null && has(object.spec) && has(oldObject.spec) && object.spec == oldObject.spec)",
}


def webhooks(
    client_config_for: Callable[[str], dict[str, Any]],
    *,
    policy: Policy = DEFAULT,
    rules: Iterable[Rule] = RULES,
    mutations: Iterable[Mutation] = MUTATIONS,
    adapters: Mapping[Kind, Adapter] = ADAPTERS,
    fail_policy: FailurePolicy = "Ignore",
    timeout_seconds: int = 3,
    own_namespace: str = "",
) -> list[Webhook]:
    """What `webhooks` of the configuration should be under a policy; generate it anew where the policy changes.

    `client_config_for`: path → `clientConfig` with url or service and caBundle. `own_namespace`: where Stateward runs,
    which it leaves alone as it does kube-system. Raises ValueError for a kind whose resource is not known.
    """

    def made(name: str, of: Iterable[Rule | Mutation], selector: list[dict[str, Any]], *conditions: Condition) -> Webhook:
        return {
            "name": name,
            "clientConfig": client_config_for(MUTATE),
            "rules": webhook_rules(of, adapters),
            "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchExpressions": [*_elsewhere(own_namespace), *selector]},
            "matchConditions": [*_shared(), *conditions],
            "failurePolicy": fail_policy,
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
            "timeoutSeconds": timeout_seconds,
            "admissionReviewVersions": ["v1"],
        }

    filling = [one for one in mutations if not forbidden(policy.defaults, one)]
    own = [one for one in filling if any(kind.endswith(OWN_GROUP) for kind in one.judges.kinds)]
    native = [one for one in filling if one not in own]
    refusing = [rule for rule in rules if rule.forestalls and _does_something(policy, rule)]
    found: list[Webhook] = []
    if native:
        # Where a policy asks it may be anywhere, so every namespace is asked about but those that say off.
        asked = {"operator": "NotIn", "values": ["off"]} if asks(policy.defaults) else {"operator": "In", "values": ["on"]}
        found.append(made(DEFAULTS, native, [{"key": LABEL, **asked}], _NOT_OWNED))
    if own:
        found.append(made(OWN_DEFAULTS, own, [{"key": LABEL, "operator": "NotIn", "values": ["off"]}], _NOT_OWNED))
    if refusing:
        found.append(made(REFUSALS, refusing, [], _CHANGED))
    return found


def _elsewhere(own_namespace: str) -> list[dict[str, Any]]:
    names = ["kube-system", *([own_namespace] if own_namespace else [])]
    return [{"key": _NAME_OF_NAMESPACE, "operator": "NotIn", "values": names}]


def _shared() -> list[Condition]:
    drops = {one.name: one.drops for one in CONDITIONS}
    return [{"name": name, "expression": f"!({drops[name]})"} for name in _SHARED]


def _does_something(policy: Policy, rule: Rule) -> bool:
    said = {policy.usual(rule), *(one.action for one in policy.overrides.get(rule.id, ()) if one.action is not None)}
    return said != {"off"}
