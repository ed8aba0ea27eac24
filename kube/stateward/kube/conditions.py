"""What an API server need not ask: requests of which it can see by itself that no rule judges them.

Each is written for the rules that are named beside it. Where another rule is asked about the same requests (one that
came later, one of the user's own) the condition is left out, and the API server asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from stateward.policies.consequence import GARBAGE_COLLECTOR
from stateward.policies.rota import Rotas, dispatch
from stateward.policies.rule import Rule
from stateward.policies.rules.backup.prefix_shared import PREFIXES
from stateward.policies.secrets import RELEASE
from stateward.policies.view import Kind

BREAK_GLASS: Final = "stateward:break-glass"
"""Members of this group pass without being judged: for the hour in which Stateward itself is what is wrong."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A kind of request that is left out."""

    name: str
    drops: str
    """CEL, true for what is left out. It must never fail: a condition that fails counts against the request."""
    about: tuple[tuple[Kind, str], ...] = ()
    """(kind, operation) of what is left out; none: any."""
    rules: frozenset[str] = frozenset()
    """The rules for which this was thought through; with `about` alone."""

    def holds(self, asked: Rotas) -> bool:
        """Whether these requests are asked about, and no other rule is."""
        rotas = [asked[*key, ""] for key in self.about if (*key, "") in asked]
        return not self.about or (bool(rotas) and all(rule.id in self.rules for rota in rotas for rule in rota.rules))


_ITEM: Final = "(oldObject != null ? oldObject : object)"


def _of(resource: str, *operations: str) -> str:
    group, _, plural = resource.rpartition("/")
    listed = ", ".join(f"'{operation}'" for operation in operations)
    return (
        f"request.resource.group == '{group}' && request.resource.resource == '{plural}' && request.operation in [{listed}]"
    )


def _ownerless(resource: str, *operations: str) -> str:
    return f"{_of(resource, *operations)} && object != null && !has(object.metadata.ownerReferences)"


def _same(field: str) -> str:
    """Whether an optional field is what it was."""
    before, after = f"oldObject.{field}", f"object.{field}"
    return f"(has({before}) ? (has({after}) && {after} == {before}) : !has({after}))"


CONDITIONS: Final[tuple[Condition, ...]] = (
    Condition(
        "not-break-glass",
        # groups may be absent, and an expression that fails counts against the request.
        f"has(request.userInfo.groups) && '{BREAK_GLASS}' in request.userInfo.groups",
    ),
    # Consequences: the engine passes them whatever the rules (stateward.policies.consequence).
    Condition("not-already-deleted", "oldObject != null && has(oldObject.metadata.deletionTimestamp)"),
    Condition(
        "not-garbage-collection",
        "request.operation == 'DELETE' && has(request.userInfo.username) && oldObject != null && "
        f"request.userInfo.username == '{GARBAGE_COLLECTOR}' && has(oldObject.metadata.ownerReferences)",
    ),
    Condition(
        "not-of-a-deployment",
        f"{_of('apps/replicasets', 'CREATE', 'UPDATE', 'DELETE')} && has({_ITEM}.metadata.ownerReferences) && "
        f"{_ITEM}.metadata.ownerReferences.exists(one, one.kind == 'Deployment' && one.apiVersion.startsWith('apps/') && "
        "has(one.controller) && one.controller)",
    ),
    # Nothing to judge.
    Condition(
        "not-secret-of-nobody",
        _ownerless("secrets", "CREATE"),
        (("Secret", "CREATE"),),
        frozenset({"SW604"}),
    ),
    Condition(
        "not-claim-of-nobody",
        _ownerless("persistentvolumeclaims", "CREATE", "UPDATE"),
        (("PersistentVolumeClaim", "CREATE"), ("PersistentVolumeClaim", "UPDATE")),
        frozenset({"SW604"}),
    ),
    Condition(
        "not-config-of-nobody",
        f"{_ownerless('configmaps', 'CREATE')} && !(has(object.data) && {sorted(PREFIXES)}.exists(one, one in object.data))",
        (("ConfigMap", "CREATE"),),
        frozenset({"SW504", "SW604"}),
    ),
    Condition(
        # An election that is held in annotations writes every two seconds.
        "not-config-unchanged",
        f"{_of('configmaps', 'UPDATE')} && object != null && oldObject != null && {_same('data')} && {_same('binaryData')} "
        f"&& {_same('immutable')}",
        (("ConfigMap", "UPDATE"),),
        frozenset({"SW105", "SW205", "SW504", "SW604", "SW806", "SW811"}),
    ),
    Condition(
        # Helm keeps up to a megabyte in each, and a service lives by none of them.
        "not-release-of-helm",
        f"{_of('secrets', 'UPDATE', 'DELETE')} && oldObject != null && has(oldObject.type) && "
        f"oldObject.type == '{RELEASE}' && !has({_ITEM}.metadata.ownerReferences) && "
        "(object == null || !has(object.metadata.ownerReferences))",
        (("Secret", "UPDATE"), ("Secret", "DELETE")),
        frozenset({"SW601", "SW602", "SW603", "SW604"}),
    ),
    Condition(
        # Most pods that go are of ReplicaSets and Jobs; members are of StatefulSets and of operators' own resources.
        "not-pod-of-no-service",
        f"{_of('pods', 'DELETE')} && oldObject != null && (!has(oldObject.metadata.ownerReferences) || "
        "oldObject.metadata.ownerReferences.all(one, "
        "(one.kind in ['ReplicaSet', 'DaemonSet'] && one.apiVersion == 'apps/v1') || "
        "(one.kind == 'Job' && one.apiVersion == 'batch/v1') || "
        "(one.kind in ['Node', 'ReplicationController'] && one.apiVersion == 'v1')))",
        (("Pod", "DELETE"),),
        frozenset({"SW210"}),
    ),
)


def match_conditions(rules: Iterable[Rule]) -> list[dict[str, str]]:
    """`matchConditions` of the webhook that asks these rules: what is left out, as far as no other rule judges it."""
    asked = dispatch(rules)
    return [{"name": one.name, "expression": f"!({one.drops})"} for one in CONDITIONS if one.holds(asked)]
