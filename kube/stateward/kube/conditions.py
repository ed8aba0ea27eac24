"""What an API server need not ask: requests of which it can see by itself that no rule judges them.

Each is written for the rules that are named beside it. Where another rule is asked about the same requests (one that
came later, one of the user's own) the condition is left out, and the API server asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from stateward.policies.consequence import CONTROLLER_MANAGER, GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER
from stateward.policies.rota import Rotas, dispatch
from stateward.policies.rule import Rule
from stateward.policies.rules.backup.prefix_shared import PREFIXES
from stateward.policies.secrets import RELEASE
from stateward.policies.view import Kind

BREAK_GLASS: Final = "stateward:break-glass"
"""Members of this group pass without being judged: for the hour in which Stateward itself is what is wrong."""


Asked = Mapping[str, frozenset[str]]
"""`group/plural` of what a webhook is asked about, subresources left away → operations."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A kind of request that is left out."""

    name: str
    drops: str
    """CEL, true for what is left out. It must never fail: a condition that fails counts against the request."""
    of: str = ""
    """`group/plural` (`/secrets`) of what is left out; "": whatever is asked about."""
    about: tuple[tuple[Kind, str], ...] = ()
    """(kind, operation) of what is left out; none: any."""
    rules: frozenset[str] = frozenset()
    """The rules for which this was thought through; with `about` alone."""

    def bears_on(self, asked: Asked) -> bool:
        """Whether a webhook that is asked about these would be asked about what is left out."""
        operations = asked.get(self.of, frozenset())
        return not self.of or (bool(operations) if not self.about else any(one in operations for _, one in self.about))

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
        f"request.userInfo.username in ['{GARBAGE_COLLECTOR}', '{CONTROLLER_MANAGER}'] && "
        "has(oldObject.metadata.ownerReferences)",
    ),
    Condition(
        # This controller does nothing else: the namespace is going, and its deletion was judged.
        "not-of-a-deleted-namespace",
        "request.operation == 'DELETE' && has(request.userInfo.username) && has(request.namespace) && "
        f"request.userInfo.username == '{NAMESPACE_CONTROLLER}'",
    ),
    Condition(
        "not-of-a-deployment",
        f"{_of('apps/replicasets', 'CREATE', 'UPDATE', 'DELETE')} && has({_ITEM}.metadata.ownerReferences) && "
        f"{_ITEM}.metadata.ownerReferences.exists(one, one.kind == 'Deployment' && one.apiVersion.startsWith('apps/') && "
        "has(one.controller) && one.controller)",
        "apps/replicasets",
    ),
    # Nothing to judge.
    Condition(
        "not-secret-of-nobody",
        _ownerless("secrets", "CREATE"),
        "/secrets",
        (("Secret", "CREATE"),),
        frozenset({"SW604"}),
    ),
    Condition(
        "not-claim-of-nobody",
        _ownerless("persistentvolumeclaims", "CREATE", "UPDATE"),
        "/persistentvolumeclaims",
        (("PersistentVolumeClaim", "CREATE"), ("PersistentVolumeClaim", "UPDATE")),
        frozenset({"SW604"}),
    ),
    Condition(
        "not-config-of-nobody",
        f"{_ownerless('configmaps', 'CREATE')} && !(has(object.data) && {sorted(PREFIXES)}.exists(one, one in object.data))",
        "/configmaps",
        (("ConfigMap", "CREATE"),),
        frozenset({"SW504", "SW604"}),
    ),
    Condition(
        # An election that is held in annotations writes every two seconds.
        "not-config-unchanged",
        f"{_of('configmaps', 'UPDATE')} && object != null && oldObject != null && {_same('data')} && {_same('binaryData')} "
        f"&& {_same('immutable')}",
        "/configmaps",
        (("ConfigMap", "UPDATE"),),
        frozenset({"SW105", "SW205", "SW504", "SW604", "SW806", "SW811"}),
    ),
    Condition(
        # Helm keeps up to a megabyte in each, and a service lives by none of them.
        "not-release-of-helm",
        f"{_of('secrets', 'UPDATE', 'DELETE')} && oldObject != null && has(oldObject.type) && "
        f"oldObject.type == '{RELEASE}' && !has({_ITEM}.metadata.ownerReferences) && "
        "(object == null || !has(object.metadata.ownerReferences))",
        "/secrets",
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
        "/pods",
        (("Pod", "DELETE"),),
        frozenset({"SW210"}),
    ),
    Condition(
        # A provisioner takes away the volume of a claim that is gone: the claim's deletion was judged.
        "not-released-volume",
        f"{_of('persistentvolumes', 'DELETE')} && oldObject != null && has(oldObject.spec.persistentVolumeReclaimPolicy) && "
        "oldObject.spec.persistentVolumeReclaimPolicy == 'Delete' && has(oldObject.status) && "
        "has(oldObject.status.phase) && oldObject.status.phase == 'Released'",
        "/persistentvolumes",
        (("PersistentVolume", "DELETE"),),
        frozenset({"SW406"}),
    ),
)


def match_conditions(
    rules: Iterable[Rule], asked: Asked | None = None, namespaces: Iterable[str] = ()
) -> list[dict[str, str]]:
    """`matchConditions` of the webhook that asks these rules: what is left out, as far as no other rule judges it.

    `asked`: what the webhook is asked about, where it is not asked about everything that the rules judge.
    `namespaces`: those of which nothing is asked, not even their deletion.
    """
    rotas = dispatch(rule for rule in rules if not rule.forestalls)  # those are asked in /mutate
    found = [one for one in CONDITIONS if one.holds(rotas) and (asked is None or one.bears_on(asked))]
    names = sorted(set(namespaces))
    if names:
        # A namespaceSelector would do for what lies in them, but not for the namespaces themselves.
        found.insert(1, Condition("not-of-these-namespaces", f"has(request.namespace) && request.namespace in {names}"))
    return [{"name": one.name, "expression": f"!({one.drops})"} for one in found]
