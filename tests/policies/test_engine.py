"""The engine: what counts as new, what is a consequence, what an unknown does, and that one rule's fault stays its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from stateward.policies import cases, message, times
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.finding import Finding
from stateward.policies.operations import OPERATIONS
from stateward.policies.policy import DEFAULT, Override, Policy
from stateward.policies.request import Request, User
from stateward.policies.rota import ANY_SERVICE, Rota, dispatch
from stateward.policies.rule import Check, Rule, objects, rule, services
from stateward.policies.rules import BY_ID, RULES
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object, Sight, View, accuses, excuses, kind_of_object

NOW = times.parse(cases.NOW) or 0.0
ALICE = User("alice", ("system:authenticated",))


def judge(
    operation: str,
    old: Object | None,
    new: Object | None,
    view: View = EMPTY_VIEW,
    policy: Policy = DEFAULT,
    *,
    user: User = ALICE,
    subresource: str = "",
    **further: Any,
) -> Verdict:
    subject = new or old or {}
    metadata = subject["metadata"]
    name = metadata.get("name", "")
    namespace = name if subject["kind"] == "Namespace" else metadata.get("namespace", "")
    kind = "Scale.autoscaling" if subresource == "scale" else kind_of_object(subject)
    options = further.pop("options", {})
    request = Request(kind, operation, name, namespace, new, old, subresource=subresource, user=user, options=options)
    return evaluate(request, view, policy, now=NOW, **further)


def found(verdict: Verdict) -> dict[str, str]:
    return {one.rule: one.action for one in verdict.judged}


def queue(replicas: int = 3, **patch: Any) -> Object:
    item: Object = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "queue", "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "serviceName": "queue",
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "rabbitmq",
                            "image": "rabbitmq:4.1.2",
                            "volumeMounts": [{"name": "data", "mountPath": "/var/lib/rabbitmq"}],
                        }
                    ]
                }
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"storageClassName": "fast"}}],
        },
    }
    merged: Object = cases.merge(item, patch)
    return merged


def namespace(name: str = "shop", **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **metadata}}


def made(check: Check, **further: Any) -> Rule:
    declared: dict[str, Any] = {
        "id": "SW999",
        "name": "made-for-a-test",
        "summary": "A rule made for a test",
        "why": "It shows what the engine does.",
        "remedy": "None.",
        "source": "this test",
        "nature": "transition",
        "judges": services("CREATE", "UPDATE", "DELETE"),
        **further,
    }
    return rule(**declared)(check)


def says(text: str, **further: Any) -> Check:
    def check(change: Change, see: Sight) -> Iterator[Finding]:
        yield Finding(("spec",), text, **further)

    return check


# --- the ratchet -----------------------------------------------------------------------------------------------------

TRACKED = [
    {"metadata": {"name": "data", "labels": {"argocd.argoproj.io/instance": "shop"}}, "spec": {"storageClassName": "fast"}}
]


def test_a_sin_that_was_there_before_passes() -> None:
    old = queue(1, spec={"volumeClaimTemplates": TRACKED})
    new = queue(2, spec={"volumeClaimTemplates": TRACKED})
    assert found(judge("CREATE", None, old)) == {"SW109": "warn"}
    assert found(judge("UPDATE", old, new)) == {}


def test_a_new_sin_is_found() -> None:
    container = {"name": "rabbitmq", "image": "rabbitmq:4.1.2"}
    bare = queue(1, spec={"template": {"spec": {"containers": [container]}}})
    assert found(judge("UPDATE", queue(1), bare)) == {"SW105": "deny"}


def labelled(change: Change, see: Sight) -> Iterator[Finding]:
    """One finding for each label."""
    assert change.new is not None
    for key in sorted(change.new.labels):
        yield Finding(("metadata", "labels", key), "is a label", subject=key)


@pytest.mark.parametrize(
    ("nature", "operation", "subjects"),
    [("state", "UPDATE", ["b"]), ("transition", "UPDATE", ["a", "b"]), ("state", "CREATE", ["a", "b"])],
)
def test_of_a_state_rule_only_what_is_about_another_subject_counts(nature: str, operation: str, subjects: list[str]) -> None:
    old = queue(1, metadata={"labels": {"a": "1"}}) if operation == "UPDATE" else None
    new = queue(2, metadata={"labels": {"a": "2", "b": "1"}})
    verdict = judge(operation, old, new, asked=dispatch([made(labelled, nature=nature)]))
    assert [one.finding.subject for one in verdict.judged] == subjects


def test_going_from_bad_to_worse_in_the_same_place_is_no_new_sin() -> None:
    check = made(says("too low", subject="limit"), nature="state")
    assert found(judge("UPDATE", queue(1), queue(2), asked=dispatch([check]))) == {}


# --- which rules are asked -------------------------------------------------------------------------------------------


def test_rules_are_asked_in_the_order_of_their_ids() -> None:
    made_up = [made(says(name), id=name, name=f"made-{name.lower()}") for name in ("SW997", "SW991", "SW995")]
    verdict = judge("UPDATE", queue(1), queue(2), asked=dispatch(made_up))
    assert [one.rule for one in verdict.judged] == ["SW991", "SW995", "SW997"]


def test_a_rule_is_asked_only_about_the_parts_it_depends_on() -> None:
    one = made(says("x"), about=("volumes", "version"))
    rota = Rota([one])
    assert rota.concerned(None) == (one,)
    assert rota.concerned(frozenset({"members"})) == ()
    assert rota.concerned(frozenset({"members", "version"})) == (one,)
    assert found(judge("UPDATE", queue(1), queue(2), asked=dispatch([one]))) == {}


def test_a_rule_without_parts_is_asked_about_every_change() -> None:
    one = made(says("x"))
    assert Rota([one]).concerned(frozenset()) == (one,)


def test_services_reach_every_adapter_and_their_scale() -> None:
    asked = dispatch([made(says("x"), judges=services("UPDATE"))])
    own = {(kind, "UPDATE", "") for kind in (*ADAPTERS, ANY_SERVICE)}
    asking = {(kind, "CREATE", "") for kind in OPERATIONS}  # a request to an operator is a change of the service
    assert set(asked) == own | asking | {("Scale.autoscaling", "UPDATE", "scale")}


def test_objects_are_judged_as_themselves() -> None:
    asked = dispatch([made(says("x"), judges=objects("Namespace", "Node", on=("DELETE",)))])
    assert set(asked) == {("Namespace", "DELETE", ""), ("Node", "DELETE", "")}


@pytest.mark.parametrize(
    ("kind", "operation", "subresource"),
    [
        ("Deployment.apps", "UPDATE", ""),
        ("StatefulSet.apps", "UPDATE", "status"),
        ("StatefulSet.apps", "CONNECT", ""),
        ("", "", ""),
    ],
)
def test_what_no_rule_is_asked_about_passes(kind: str, operation: str, subresource: str) -> None:
    request = Request(kind, operation, "queue", "shop", queue(1), queue(3), subresource=subresource)
    verdict = evaluate(request, EMPTY_VIEW, now=NOW)
    assert (verdict.allowed, verdict.judged, verdict.unjudged) == (True, [], {})


# --- metadata --------------------------------------------------------------------------------------------------------

BROKEN: list[Object] = [
    queue(3, spec={"volumeClaimTemplates": TRACKED, "template": {"spec": {"containers": [{"image": "rabbitmq"}]}}}),
    {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "ledger", "namespace": "shop"},
        "spec": {"instances": 1, "minSyncReplicas": 3},
    },
    {
        "apiVersion": "rabbitmq.com/v1beta1",
        "kind": "RabbitmqCluster",
        "metadata": {"name": "mail", "namespace": "shop"},
        "spec": {"image": "rabbitmq"},
    },
    {
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "Kafka",
        "metadata": {"name": "events", "namespace": "shop"},
        "spec": {"kafka": {"replicas": 1, "config": {"default.replication.factor": 3}}, "zookeeper": {"replicas": 1}},
    },
    {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaNodePool",
        "metadata": {"name": "brokers", "namespace": "shop", "labels": {"strimzi.io/cluster": "events"}},
        "spec": {"replicas": 1, "roles": ["broker"]},
    },
]


@pytest.mark.parametrize("item", BROKEN, ids=lambda one: one["kind"])
@pytest.mark.parametrize(
    "metadata",
    [{"labels": {"team": "x"}}, {"annotations": {"note": "y"}}, {"finalizers": []}, {"resourceVersion": "9"}],
)
def test_an_edit_of_nothing_but_metadata_always_passes(item: Object, metadata: dict[str, Any]) -> None:
    view = MemoryView([*BROKEN, namespace()])
    verdict = judge("UPDATE", item, cases.merge(item, {"metadata": metadata}), view)
    assert (verdict.allowed, found(verdict)) == (True, {})


def test_a_write_of_the_status_beside_it_is_no_edit() -> None:
    verdict = judge("UPDATE", BROKEN[1], {**BROKEN[1], "status": {"readyInstances": 0}})
    assert found(verdict) == {}


def test_another_version_of_the_api_is_no_edit() -> None:
    kafka = BROKEN[3]
    assert found(judge("UPDATE", kafka, {**kafka, "apiVersion": "kafka.strimzi.io/v1beta1"})) == {}


# --- consequences ----------------------------------------------------------------------------------------------------

COLLECTOR = User("system:serviceaccount:kube-system:generic-garbage-collector")
NAMESPACES = User("system:serviceaccount:kube-system:namespace-controller")
MANAGER = User("system:kube-controller-manager")
OWNED = {"ownerReferences": [{"apiVersion": "x/v1", "kind": "Owner", "name": "o", "uid": "1"}]}
GOING = namespace(deletionTimestamp="2026-11-21T11:59:00Z")

CONSEQUENCES: list[tuple[str, Object, User, View, str]] = [
    ("the collector takes what was owned", queue(3, metadata=OWNED), COLLECTOR, EMPTY_VIEW, "garbage collection"),
    ("so does a manager without accounts", queue(3, metadata=OWNED), MANAGER, EMPTY_VIEW, "garbage collection"),
    ("the collector takes what nobody owned", queue(3), COLLECTOR, EMPTY_VIEW, ""),
    ("alice takes what was owned", queue(3, metadata=OWNED), ALICE, EMPTY_VIEW, ""),
    ("a namespace goes", queue(3), NAMESPACES, MemoryView([GOING]), "deletion of its namespace"),
    ("a namespace goes, by a manager", queue(3), MANAGER, MemoryView([GOING]), "deletion of its namespace"),
    ("a namespace nobody has looked at", queue(3), NAMESPACES, EMPTY_VIEW, "deletion of its namespace"),
    ("a namespace that is gone", queue(3), NAMESPACES, MemoryView([namespace("x")]), "deletion of its namespace"),
    ("a namespace that stays", queue(3), NAMESPACES, MemoryView([namespace()]), ""),
    ("a namespace goes, but alice deletes", queue(3), ALICE, MemoryView([GOING]), ""),
    (
        "it is being deleted already",
        queue(3, metadata={"deletionTimestamp": "2026-11-21T11:59:59Z"}),
        ALICE,
        EMPTY_VIEW,
        "already being deleted",
    ),
]


@pytest.mark.parametrize(
    ("item", "user", "view", "why"), [row[1:] for row in CONSEQUENCES], ids=[row[0] for row in CONSEQUENCES]
)
def test_a_deletion_is_judged_unless_its_cause_was(item: Object, user: User, view: View, why: str) -> None:
    verdict = judge("DELETE", item, None, view, user=user)
    assert verdict.allowed is bool(why)
    assert verdict.passed.startswith(why)
    assert bool(verdict.passed) is bool(why)


def test_an_edit_of_what_is_being_deleted_passes() -> None:
    going = {"deletionTimestamp": "2026-11-21T11:59:59Z", "finalizers": ["a"]}
    verdict = judge("UPDATE", queue(3, metadata=going), queue(0, metadata=going))
    assert (verdict.allowed, verdict.passed) == (True, "already being deleted")


@pytest.mark.parametrize("owner", ["Deployment", "Rollout"])
def test_a_replica_set_is_a_consequence_of_its_deployment_alone(owner: str) -> None:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    pod = {"containers": [{"name": "db", "image": "postgres:16.4"}], "volumes": [volume]}
    made = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": "db-1",
            "namespace": "bank",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": owner, "name": "db", "uid": "1", "controller": True}],
        },
        "spec": {"replicas": 2, "template": {"spec": pod}},
    }

    verdict = evaluate(Request("ReplicaSet.apps", "CREATE", "db-1", "bank", made, None), EMPTY_VIEW, now=0)

    assert (verdict.passed == "its Deployment was judged") is (owner == "Deployment")
    assert bool(verdict.judged) is (owner != "Deployment")


def test_the_garbage_collector_is_judged_like_anyone_when_it_edits() -> None:
    assert not judge("UPDATE", queue(3, metadata=OWNED), queue(0, metadata=OWNED), user=COLLECTOR).allowed


MAIL: Object = {
    "apiVersion": "rabbitmq.com/v1beta1",
    "kind": "RabbitmqCluster",
    "metadata": {"name": "mail", "namespace": "shop", "uid": "mail-1"},
    "spec": {"replicas": 1, "image": "rabbitmq:4.1.2"},
}


def reference(**further: Any) -> dict[str, Any]:
    one = {"apiVersion": "rabbitmq.com/v1beta1", "kind": "RabbitmqCluster", "name": "mail", "controller": True, **further}
    return {"ownerReferences": [one]}


@pytest.mark.parametrize(
    ("metadata", "others", "passes"),
    [
        (reference(), [MAIL], True),
        (reference(uid="mail-1"), [MAIL], True),
        (reference(uid="mail-0"), [MAIL], False),
        (reference(controller=False), [MAIL], False),
        (reference(name="news"), [MAIL], False),
        (reference(), [], False),
        (reference(), [cases.merge(MAIL, {"spec": {"replicas": 3}})], False),
        ({}, [MAIL], False),
    ],
    ids=["demanded", "same uid", "another uid", "no controller", "absent", "unknown", "demands another", "no owner"],
)
def test_what_the_controlling_owner_already_demands_was_judged(
    metadata: dict[str, Any], others: list[Object], passes: bool
) -> None:
    verdict = judge("UPDATE", queue(3, metadata=metadata), queue(1, metadata=metadata), MemoryView(others))
    assert verdict.allowed is passes


KEYS: Object = {
    "apiVersion": "stateward.dev/v1beta1",
    "kind": "StatefulService",
    "metadata": {"name": "keys", "namespace": "shop"},
    "spec": {"engine": "etcd", "version": "3.5.21", "storage": {"size": "8Gi"}},
}


@pytest.mark.parametrize(
    ("was", "now", "wanted", "passes"),
    [(5, 4, 3, True), (4, 3, 3, True), (5, 4, 5, False), (5, 3, 1, False), (4, 3, 5, False)],
    ids=["one nearer", "there", "away from it", "two at once", "back on the way up"],
)
def test_a_step_that_the_owners_operator_takes_to_what_the_owner_demands_was_judged(
    was: int, now: int, wanted: int, passes: bool
) -> None:
    owner = {"apiVersion": "stateward.dev/v1beta1", "kind": "StatefulService", "name": "keys", "controller": True}
    member_set = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "keys", "namespace": "shop", "ownerReferences": [owner]},
        "spec": {"template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.21"}]}}},
    }
    old, new = (
        cases.merge(member_set, {"spec": {"replicas": count}, "status": {"readyReplicas": was - 1}}) for count in (was, now)
    )
    view = MemoryView([cases.merge(KEYS, {"spec": {"members": wanted}})])
    assert judge("UPDATE", old, new, view).allowed is passes


@pytest.mark.parametrize(
    ("upgrade", "parked", "passes"),
    [
        ({"strategy": "Recreate"}, True, True),
        ({"majors": "DumpAndRestore"}, True, True),
        ({"strategy": "Recreate"}, False, False),
        ({"strategy": "Rolling"}, True, False),
        ({}, True, False),
    ],
    ids=["recreate", "another major", "not parked", "rolling", "nothing said"],
)
def test_all_members_stop_only_where_the_owner_says_so_and_its_operator_has_begun(
    upgrade: Object, parked: bool, passes: bool
) -> None:
    owner = {"apiVersion": "stateward.dev/v1beta1", "kind": "StatefulService", "name": "keys", "controller": True}
    notes = {"stateward.dev/parked": "true"} if parked else {}
    old = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "keys", "namespace": "shop", "ownerReferences": [owner], "annotations": notes},
        "spec": {
            "replicas": 3,
            "template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.21"}]}},
        },
        "status": {"readyReplicas": 3},
    }
    view = MemoryView([cases.merge(KEYS, {"spec": {"members": 3, "upgrade": upgrade}})])
    assert judge("UPDATE", old, cases.merge(old, {"spec": {"replicas": 0}}), view).allowed is passes


def test_what_the_owner_does_not_demand_is_judged_although_it_owns() -> None:
    old, new = queue(3, metadata=reference()), queue(1, metadata=reference(), spec={"serviceName": "other"})
    assert found(judge("UPDATE", old, new, MemoryView([MAIL]))) == {"SW103": "deny"}


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"propagationPolicy": "Orphan"}, True),
        ({"orphanDependents": True}, True),
        ({"propagationPolicy": "Background"}, False),
        ({"propagationPolicy": "Foreground"}, False),
        ({"orphanDependents": False}, False),
        ({"orphanDependents": "true"}, False),
        ({}, False),
    ],
)
def test_an_orphaning_deletion_deletes_no_data(options: dict[str, Any], passes: bool) -> None:
    assert judge("DELETE", queue(3), None, options=options).allowed is passes


# --- unknowns --------------------------------------------------------------------------------------------------------

SELECTED = queue(1, spec={"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}})
SHRINKS = (
    {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "ledger", "namespace": "shop"},
        "spec": {"instances": 3, "storage": {"size": "10Gi"}},
    },
    {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "ledger", "namespace": "shop"},
        "spec": {"instances": 3, "storage": {"size": "5Gi"}},
    },
)


def test_an_unknown_that_could_accuse_accuses_nobody_and_is_told() -> None:
    verdict = judge("UPDATE", queue(1), SELECTED)
    assert (verdict.allowed, found(verdict)) == (True, {})
    assert verdict.unjudged == {"SW208": ("Node",)}


def test_an_unknown_that_could_excuse_excuses_nobody_and_is_named() -> None:
    verdict = judge("UPDATE", *SHRINKS)
    (one,) = verdict.denied
    assert (one.rule, one.unknown) == ("SW102", ("PersistentVolumeClaim",))
    assert "note PersistentVolumeClaim could not be seen" in message.denial(verdict, NOW)


def test_what_is_known_is_not_named() -> None:
    other = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "x", "namespace": "shop"}}
    (one,) = judge("UPDATE", *SHRINKS, MemoryView([other])).denied
    assert one.unknown == ()


@pytest.mark.parametrize(
    ("policy", "caller", "allowed"),
    [
        (None, "silent", True),
        (None, "warn", True),
        (None, "deny", False),
        ("silent", "deny", True),
        ("warn", "deny", True),
        ("deny", "silent", False),
    ],
)
def test_the_policy_says_what_an_unknown_does_and_without_it_the_caller(policy: Any, caller: Any, allowed: bool) -> None:
    verdict = judge("UPDATE", queue(1), SELECTED, policy=Policy(unknown=policy), unknown=caller)
    assert verdict.allowed is allowed
    assert verdict.unjudged == {"SW208": ("Node",)}
    if not allowed:
        (one,) = verdict.denied
        assert one.rule == "SW208"
        assert one.finding.headline == (
            "members are asked to run where no node, or too few, fits could not be judged: Node is not known"
        )


def test_a_rule_that_only_warns_refuses_nothing_it_cannot_see() -> None:
    def blind(change: Change, see: Sight) -> Iterator[Finding]:
        assert not see.select("Node")
        yield from ()

    for action, refused in (("deny", True), ("warn", False), ("audit", False)):
        asked = dispatch([made(blind, action=action, looks_at=(accuses("Node"),))])
        verdict = judge("UPDATE", queue(1), queue(2), policy=Policy(unknown="deny"), asked=asked)
        assert verdict.allowed is not refused
        assert verdict.unjudged == {"SW999": ("Node",)}


def test_an_unknown_that_could_only_excuse_leaves_nothing_unjudged() -> None:
    def excused(change: Change, see: Sight) -> Iterator[Finding]:
        assert not see.select("Node")
        yield from ()

    asked = dispatch([made(excused, looks_at=(excuses("Node"),))])
    assert judge("UPDATE", queue(1), queue(2), asked=asked).unjudged == {}


def test_the_webhook_warns_of_what_it_could_not_judge() -> None:
    verdict = judge("UPDATE", queue(1), SELECTED)
    assert message.warnings(verdict) == []
    assert message.warnings(verdict, unknown=True) == ["SW208 not judged: Node not known yet"]
    assert message.audit(verdict) == {"unknown": "SW208"}


@pytest.mark.parametrize(
    ("look", "objects_given", "seen"),
    [
        (accuses("Node"), [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}], 1),
        (excuses("Node"), [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}], None),
    ],
)
def test_part_of_a_kind_may_accuse_but_excuses_nothing(look: Any, objects_given: list[Object], seen: int | None) -> None:
    see = Sight(MemoryView(objects_given, lambda kind: False), {look.kind: look}, {}, NOW)
    answer = see.select("Node")
    assert (len(answer) if isinstance(answer, Sequence) else None) == seen
    assert see.unknown == {"Node"}


def test_part_of_a_kind_does_not_accuse_where_the_whole_is_needed() -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    see = Sight(MemoryView([node], lambda kind: False), {"Node": accuses("Node")}, {}, NOW)
    assert not see.select("Node", whole=True)


def test_a_look_up_that_was_not_declared_is_a_fault_of_the_rule() -> None:
    see = Sight(EMPTY_VIEW, {}, {}, NOW)
    for look in (lambda: see.get("Node", "", "n"), lambda: see.select("Node")):
        with pytest.raises(KeyError):
            look()


def test_a_scale_whose_parent_is_unknown_is_told_as_not_judged() -> None:
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "queue", "namespace": "shop"}}
    old, new = {**scale, "spec": {"replicas": 3}}, {**scale, "spec": {"replicas": 0}}
    verdict = judge("UPDATE", old, new, subresource="scale", policy=Policy(unknown="deny"))
    assert verdict.unjudged


def test_a_node_pool_whose_kafka_is_unknown_is_told_as_not_judged() -> None:
    pool = cases.merge(BROKEN[4], {"spec": {"roles": ["controller"], "replicas": 3}})
    verdict = judge("UPDATE", pool, cases.merge(pool, {"spec": {"replicas": 5}}))
    assert verdict.judged or verdict.unjudged


# --- faults ----------------------------------------------------------------------------------------------------------


def crashes(change: Change, see: Sight) -> Iterator[Finding]:
    yield Finding((), "said before the crash")
    raise ValueError("a fault")


def test_a_rule_that_crashes_is_isolated() -> None:
    asked = dispatch([made(crashes, id="SW891"), made(says("stands"), id="SW892")])
    verdict = judge("UPDATE", queue(1), queue(2), asked=asked)
    assert verdict.faults == {"SW891": "ValueError"}
    assert found(verdict) == {"SW892": "deny"}
    assert message.audit(verdict)["faults"] == "SW891"
    assert "SW891 could not be judged: a fault in Stateward (ValueError)" in message.warnings(verdict)


def test_nobody_is_refused_for_a_fault_of_ours() -> None:
    for policy in (DEFAULT, Policy(unknown="deny"), Policy(profile="strict")):
        verdict = judge("UPDATE", queue(1), queue(2), policy=policy, asked=dispatch([made(crashes)]))
        assert (verdict.allowed, verdict.judged) == (True, [])


def test_a_rule_that_crashes_on_the_object_as_it_was_is_isolated_too() -> None:
    def stumbles(change: Change, see: Sight) -> Iterator[Finding]:
        assert change.new is not None
        if change.new.members == 1:
            raise LookupError
        yield Finding((), "x")

    verdict = judge("UPDATE", queue(1), queue(2), asked=dispatch([made(stumbles, nature="state")]))
    assert (verdict.faults, verdict.judged) == ({"SW999": "LookupError"}, [])


def test_an_object_nested_deeper_than_python_compares_is_judged_all_the_same() -> None:
    def nested() -> Object:
        deep: Object = {}
        for _ in range(1015):
            deep = {"a": deep}
        return deep

    old, new = queue(3), queue(0)
    old["spec"]["x"], new["spec"]["x"] = nested(), nested()
    verdict = judge("UPDATE", old, new)
    assert not verdict.allowed
    assert not verdict.faults


# --- actions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weak", "action", "done"),
    [
        (False, "deny", "deny"),
        (True, "deny", "warn"),
        (False, "warn", "warn"),
        (True, "warn", "warn"),
        (True, "audit", "audit"),
    ],
)
def test_a_weak_finding_warns_where_the_rule_would_refuse(weak: bool, action: Any, done: str) -> None:
    asked = dispatch([made(says("x", weak=weak), action=action)])
    assert found(judge("UPDATE", queue(1), queue(2), asked=asked)) == {"SW999": done}


@pytest.mark.parametrize("action", ["deny", "warn", "audit", "off"])
def test_the_policy_says_what_a_rule_does(action: Any) -> None:
    policy = Policy(overrides={"SW201": (Override(action=action),)})
    verdict = judge("UPDATE", queue(3), queue(0), policy=policy)
    assert found(verdict) == ({} if action == "off" else {"SW201": action})
    assert verdict.allowed is (action != "deny")


def test_a_rule_gets_the_parameters_of_the_policy() -> None:
    def tells(change: Change, see: Sight) -> Iterator[Finding]:
        yield Finding((), f"{see.params['limit']} at {see.now}")

    asked = dispatch([made(tells, params={"limit": 3})])
    assert judge("UPDATE", queue(1), queue(2), asked=asked).judged[0].finding.text == f"3 at {NOW}"
    policy = Policy(overrides={"SW999": (Override(params={"limit": 5}),)})
    verdict = judge("UPDATE", queue(1), queue(2), policy=policy, asked=asked)
    assert verdict.judged[0].finding.text == f"5 at {NOW}"


# --- who and where ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "passes"),
    [
        (Policy(exempt_users=("alice",)), True),
        (Policy(exempt_users=("bob",)), False),
        (Policy(exempt_groups=("system:authenticated",)), True),
        (Policy(exempt_groups=("system:masters",)), False),
        (Policy(exempt_users=("",)), False),
    ],
)
def test_an_exempt_account_is_not_judged(policy: Policy, passes: bool) -> None:
    verdict = judge("UPDATE", queue(3), queue(0), policy=policy)
    assert verdict.allowed is passes
    assert verdict.passed == ("account alice is exempt by policy" if passes else "")


DISPOSABLE = {"labels": {"stateward.dev/disposable": "true"}}


@pytest.mark.parametrize(
    ("view", "passes"),
    [
        (MemoryView([namespace(**DISPOSABLE)]), True),
        (MemoryView([namespace(labels={"stateward.dev/disposable": "yes"})]), False),
        (MemoryView([namespace(annotations={"stateward.dev/disposable": "true"})]), False),
        (MemoryView([namespace("bank", **DISPOSABLE)]), False),
        (EMPTY_VIEW, False),
    ],
    ids=["labelled", "another value", "annotated", "another namespace", "unknown"],
)
def test_in_a_disposable_namespace_findings_are_only_recorded(view: View, passes: bool) -> None:
    verdict = judge("UPDATE", queue(3), queue(0), view)
    assert verdict.allowed is passes
    assert found(verdict) == {"SW201": "audit" if passes else "deny"}
    assert verdict.passed == ("disposable namespace" if passes else "")


def test_an_object_cannot_call_itself_disposable() -> None:
    assert not judge("UPDATE", queue(3, metadata=DISPOSABLE), queue(0, metadata=DISPOSABLE)).allowed


def test_a_namespace_is_disposable_only_if_it_was_so_before_it_is_deleted() -> None:
    view = MemoryView([queue(3), namespace()])
    assert not judge("DELETE", namespace(), None, view).allowed
    assert judge("DELETE", namespace(**DISPOSABLE), None, view).allowed


def test_a_disposable_namespace_leaves_nothing_unjudged() -> None:
    verdict = judge(
        "UPDATE", queue(3), cases.merge(SELECTED, {"spec": {"replicas": 0}}), MemoryView([namespace(**DISPOSABLE)])
    )
    assert (found(verdict), verdict.unjudged) == ({"SW201": "audit"}, {})


# --- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"id": "SW1"}, 'rule id "SW1": SW and three digits are wanted'),
        ({"id": "SW099"}, 'rule id "SW099": SW and three digits are wanted'),
        ({"id": "XX101"}, 'rule id "XX101": SW and three digits are wanted'),
        ({"name": "Volume-Shrink"}, 'rule name "Volume-Shrink": lower-case words joined by dashes are wanted'),
        ({"name": "volume_shrink"}, 'rule name "volume_shrink": lower-case words joined by dashes are wanted'),
        ({"name": "volume--shrink"}, 'rule name "volume--shrink": lower-case words joined by dashes are wanted'),
        ({"summary": " "}, "rule SW999: summary is empty"),
        ({"why": ""}, "rule SW999: why is empty"),
        ({"remedy": ""}, "rule SW999: remedy is empty"),
        ({"source": ""}, "rule SW999: source is empty"),
    ],
)
def test_a_rule_that_does_not_say_everything_is_refused_at_import(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match="rule") as caught:
        made(says("x"), **wrong)
    assert str(caught.value) == told


def test_a_verdict_says_whom_it_is_about() -> None:
    verdict = judge("UPDATE", queue(3), queue(0))
    assert (verdict.service, verdict.subject["spec"]["replicas"]) == ("StatefulSet shop/queue", 0)
    deletion = judge("DELETE", namespace(), None, MemoryView([queue(3)]))
    assert (deletion.service, deletion.subject) == ("", namespace())


def test_the_same_request_gets_the_same_verdict() -> None:
    one, other = (judge("UPDATE", queue(3), queue(0, spec={"serviceName": "x"})) for _ in range(2))
    assert one == other
    assert message.denial(one, NOW) == message.denial(other, NOW)


def test_every_rule_is_found_where_it_is_dispatched() -> None:
    asked = dispatch(RULES)
    reached = {one.id for rota in asked.values() for one in rota.rules}
    assert reached == {one.id for one in RULES}
    assert BY_ID["SW201"] in asked[("Scale.autoscaling", "UPDATE", "scale")].rules
