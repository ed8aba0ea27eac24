"""Waivers: what the annotation may say, on which object it counts, and that none is ignored silently."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases, message, times
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.policy import DEFAULT, Policy
from stateward.policies.request import Request
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object, View, kind_of_object
from stateward.policies.waiver import LONGEST, WAIVE, Waiver, parse, read

NOW = times.parse(cases.NOW) or 0.0
LATER = "2026-11-21T13:00:00Z"
THEN = NOW + 3600
HELD = f'SW201 until={LATER} reason="moving to new nodes"'

# --- the grammar -----------------------------------------------------------------------------------------------------

READABLE = [
    (HELD, [Waiver("SW201", THEN, "moving to new nodes")]),
    (f"  {HELD}  ", [Waiver("SW201", THEN, "moving to new nodes")]),
    (f"{HELD};", [Waiver("SW201", THEN, "moving to new nodes")]),
    (f'SW201 reason="moving" until={LATER}', [Waiver("SW201", THEN, "moving")]),
    (f"SW201 until={LATER} reason=ticket-4711", [Waiver("SW201", THEN, "ticket-4711")]),
    (f'quorum-lost until={LATER} reason="x"', [Waiver("quorum-lost", THEN, "x")]),
    ('SW201 until=2026-11-21T15:00:00+02:00 reason="x"', [Waiver("SW201", THEN, "x")]),
    (f'SW201\tuntil={LATER}\n reason="x"', [Waiver("SW201", THEN, "x")]),
    (
        f'SW201 until={LATER} reason="a; b";SW302 reason="c" until={LATER} ; SW303 until={LATER} reason=d',
        [Waiver("SW201", THEN, "a; b"), Waiver("SW302", THEN, "c"), Waiver("SW303", THEN, "d")],
    ),
    ("", []),
]


@pytest.mark.parametrize(("text", "waivers"), READABLE, ids=[row[0] for row in READABLE])
def test_a_waiver_is_read_in_any_order_alone_or_with_others(text: str, waivers: list[Waiver]) -> None:
    found = parse(text)
    assert list(found.waivers) == waivers
    assert found.problems == ()


EXAMPLE = "add until=2026-11-21T13:00:00Z"
UNREADABLE = [
    (f"SW201 until={LATER}", 'SW201 has no reason; add reason="…"'),
    (f'SW201 until={LATER} reason=""', 'SW201 has no reason; add reason="…"'),
    (f'SW201 until={LATER} reason="   "', 'SW201 has no reason; add reason="…"'),
    ('SW201 reason="moving"', f"SW201 has no end; {EXAMPLE}"),
    ("SW201", f"SW201 has no end; {EXAMPLE}"),
    ('SW201 until=tomorrow reason="x"', f"SW201 has the end 'tomorrow', which is no time; {EXAMPLE}"),
    ('SW201 until=2026-11-21 reason="x"', f"SW201 has the end '2026-11-21', which is no time; {EXAMPLE}"),
    ('SW201 until=2026-11-21T13:00:00 reason="x"', f"SW201 has the end '2026-11-21T13:00:00', which is no time; {EXAMPLE}"),
    (
        'SW201 until=9999-12-31T23:59:59-14:00 reason="x"',
        f"SW201 has the end '9999-12-31T23:59:59-14:00', which is no time; {EXAMPLE}",
    ),
]


@pytest.mark.parametrize(("text", "problem"), UNREADABLE, ids=[row[0] for row in UNREADABLE])
def test_a_waiver_that_lacks_something_is_told_what(text: str, problem: str) -> None:
    found = parse(text)
    assert found.waivers == ()
    assert found.problems == (f"{WAIVE}: {problem}",)


@pytest.mark.parametrize(
    "text",
    [
        "!",
        "   ",
        "SW201: moving",
        f'SW201 untill={LATER} reason="x"',
        f'SW201 until={LATER} reason="x',
        f'SW201 until={LATER} reason="x" because="y"',
        f'SW201, SW302 until={LATER} reason="x"',
        '{"rule": "SW201"}',
        ";",
        "x" * 63 + " y",
    ],
)
def test_what_is_no_waiver_is_shown_again_with_the_right_form(text: str) -> None:
    found = parse(text)
    assert found.waivers == ()
    (problem,) = found.problems
    assert problem.startswith(f'{WAIVE}: "{text[:60]}" cannot be read; write: SW302 until=')


def test_what_stands_before_garbage_still_counts() -> None:
    found = parse(f"{HELD}; nonsense here")
    assert [one.rule for one in found.waivers] == ["SW201"]
    assert len(found.problems) == 1


@pytest.mark.parametrize("annotations", [None, {}, {WAIVE: 5}, {WAIVE: None}, {WAIVE: [HELD]}, "text", []])
def test_an_object_without_the_annotation_waives_nothing(annotations: Any) -> None:
    found = read({"metadata": {"annotations": annotations}})
    assert (found.waivers, found.problems) == ((), ())
    assert read(None).waivers == read({}).waivers == ()


# --- time ------------------------------------------------------------------------------------------------------------

TIMES = [
    (NOW - 1, False, "its waiver ended at 2026-11-21T11:59:59Z"),
    (NOW, False, "its waiver ended at 2026-11-21T12:00:00Z"),
    (NOW + 1, True, None),
    (NOW + LONGEST, True, None),
    (
        NOW + LONGEST + 1,
        False,
        "its waiver runs until 2027-02-19T12:00:01Z, longer than 90 days, and does not hold",
    ),
]


@pytest.mark.parametrize(("until", "holds", "stale"), TIMES)
def test_a_waiver_holds_until_its_end_and_for_a_quarter_at_most(until: float, holds: bool, stale: str | None) -> None:
    found = parse(f'SW201 until={times.render(until)} reason="x"')
    assert (found.find("SW201", "quorum-lost", NOW) is not None) is holds
    assert found.stale("SW201", "quorum-lost", NOW) == stale


def test_a_waiver_is_that_of_its_rule_by_id_or_name() -> None:
    found = parse(f'quorum-lost until={LATER} reason="x"; SW302 until={LATER} reason="y"')
    assert found.find("SW201", "quorum-lost", NOW) == Waiver("quorum-lost", THEN, "x")
    assert found.find("SW302", "skipped-hop", NOW) == Waiver("SW302", THEN, "y")
    assert found.find("SW202", "standby-lost", NOW) is None
    assert found.stale("SW202", "standby-lost", NOW) is None


def test_of_two_waivers_the_one_that_holds_counts() -> None:
    found = parse(f'SW201 until=2026-01-01T00:00:00Z reason="old"; SW201 until={LATER} reason="new"')
    held = found.find("SW201", "quorum-lost", NOW)
    assert held is not None
    assert held.reason == "new"


# --- where it counts -------------------------------------------------------------------------------------------------


def locks(replicas: int, waive: str | None = None) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "locks", "namespace": "platform", "annotations": {WAIVE: waive} if waive else {}},
        "spec": {
            "replicas": replicas,
            "serviceName": "locks",
            "template": {"spec": {"containers": [{"name": "zookeeper", "image": "zookeeper:3.9.3"}]}},
        },
    }


def judge(
    operation: str,
    old: Object | None,
    new: Object | None,
    view: View = EMPTY_VIEW,
    policy: Policy = DEFAULT,
    subresource: str = "",
) -> Verdict:
    subject = new or old or {}
    kind = "Scale.autoscaling" if subresource == "scale" else kind_of_object(subject)
    metadata = subject["metadata"]
    request = Request(kind, operation, metadata["name"], metadata.get("namespace", ""), new, old, subresource=subresource)
    return evaluate(request, view, policy, now=NOW)


def actions(verdict: Verdict) -> dict[str, str]:
    return {one.rule: one.action for one in verdict.judged}


BASELINE = Policy(profile="baseline", overrides={})
PRODUCTION, STRICT = Policy(profile="production"), Policy(profile="strict")


@pytest.mark.parametrize("policy", [DEFAULT, PRODUCTION, STRICT, BASELINE], ids=lambda one: one.profile)
def test_a_waiver_on_the_object_as_it_was_lets_the_rule_pass(policy: Policy) -> None:
    verdict = judge("UPDATE", locks(3, HELD), locks(1, HELD), policy=policy)
    assert verdict.allowed
    assert actions(verdict) == {"SW201": "audit"}
    (one,) = verdict.judged
    assert one.waiver is not None
    assert (one.waiver.until, one.waiver.reason) == (LATER, "moving to new nodes")
    assert message.warnings(verdict) == []
    assert message.audit(verdict)["findings"] == "SW201 waived"
    assert message.audit(verdict)["waived"] == f"SW201 until {LATER}: moving to new nodes"


@pytest.mark.parametrize("policy", [DEFAULT, PRODUCTION, STRICT], ids=lambda one: one.profile)
def test_no_edit_brings_its_own_excuse(policy: Policy) -> None:
    verdict = judge("UPDATE", locks(3), locks(1, HELD), policy=policy)
    assert not verdict.allowed
    assert verdict.notes == []


def test_in_the_baseline_an_edit_may_bring_its_excuse() -> None:
    verdict = judge("UPDATE", locks(3), locks(1, HELD), policy=BASELINE)
    assert actions(verdict) == {"SW201": "audit"}


def test_a_waiver_that_the_edit_takes_away_still_counts_for_it() -> None:
    assert judge("UPDATE", locks(3, HELD), locks(1)).allowed


def test_a_waiver_of_another_rule_does_not_count() -> None:
    verdict = judge("UPDATE", locks(3, f'SW302 until={LATER} reason="x"'), locks(1))
    assert not verdict.allowed
    assert verdict.notes == []


def test_a_waiver_by_the_rules_name_counts() -> None:
    assert judge("UPDATE", locks(3, f'quorum-lost until={LATER} reason="x"'), locks(1)).allowed


def test_of_two_findings_only_the_waived_one_passes() -> None:
    new = locks(1)
    new["spec"]["serviceName"] = "other"
    verdict = judge("UPDATE", locks(3, HELD), new)
    assert actions(verdict) == {"SW103": "deny", "SW201": "audit"}


def test_a_deletion_is_waived_on_the_object_that_goes() -> None:
    waive = f'SW401 until={LATER} reason="moved to bank"'
    assert not judge("DELETE", locks(3), None).allowed
    assert judge("DELETE", locks(3, waive), None).allowed


@pytest.mark.parametrize(
    ("waive", "note"),
    [
        ("SW201", f"{WAIVE}: SW201 has no end; {EXAMPLE}"),
        (f"SW201 until={LATER}", f'{WAIVE}: SW201 has no reason; add reason="…"'),
        (
            'SW201 until=2026-11-20T00:00:00Z reason="x"',
            f"{WAIVE}: SW201 is not waived, its waiver ended at 2026-11-20T00:00:00Z; set a new end to waive it",
        ),
        (
            'SW201 until=2028-01-01T00:00:00Z reason="x"',
            f"{WAIVE}: SW201 is not waived, its waiver runs until 2028-01-01T00:00:00Z, longer than 90 days, and does not "
            "hold; set a new end to waive it",
        ),
    ],
)
def test_a_waiver_that_does_not_hold_is_never_ignored_silently(waive: str, note: str) -> None:
    verdict = judge("UPDATE", locks(3, waive), locks(1, waive))
    assert not verdict.allowed
    assert verdict.notes == [note]
    assert f"note: {note}" in message.denial(verdict, NOW)
    assert message.clean(note) in message.warnings(verdict)


def test_a_problem_is_not_told_where_nothing_was_found() -> None:
    verdict = judge("UPDATE", locks(3, "garbage !"), locks(5, "garbage !"))
    assert (verdict.judged, verdict.notes) == ([], [])


def test_an_ended_waiver_is_told_once_whatever_it_would_have_waived() -> None:
    waive = 'SW103 until=2026-11-20T00:00:00Z reason="x"'
    new = locks(3)
    new["spec"] |= {"serviceName": "other", "podManagementPolicy": "Parallel"}
    verdict = judge("UPDATE", locks(3, waive), new)
    assert len(verdict.denied) == 2
    assert len(verdict.notes) == 1


@pytest.mark.parametrize("rule", ["sw201", "SW2O1"])
def test_a_waiver_of_no_rule_is_never_ignored_silently(rule: str) -> None:
    verdict = judge("UPDATE", locks(3, f'{rule} until={LATER} reason="x"'), locks(1))
    assert verdict.allowed or verdict.notes


# --- other carriers --------------------------------------------------------------------------------------------------


def namespace(waive: str | None) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "platform", "annotations": {WAIVE: waive} if waive else {}},
    }


NEW_SET: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "keys", "namespace": "platform"},
    "spec": {"template": {"spec": {"containers": [{"name": "etcd", "image": "registry.example/etcd:v3.6.4"}]}}},
}


def test_a_creation_is_waived_on_its_namespace() -> None:
    waive = f'SW105 until={LATER} reason="a trial"'
    assert not judge("CREATE", None, NEW_SET, MemoryView([namespace(None)])).allowed
    verdict = judge("CREATE", None, NEW_SET, MemoryView([namespace(waive)]))
    assert verdict.allowed
    assert actions(verdict)["SW105"] == "audit"


def test_a_creation_is_not_waived_by_itself_outside_the_baseline() -> None:
    waive = f'SW105 until={LATER} reason="a trial"'
    own = cases.merge(NEW_SET, {"metadata": {"annotations": {WAIVE: waive}}})
    assert not judge("CREATE", None, own).allowed
    assert judge("CREATE", None, own, policy=BASELINE).allowed


def test_an_update_is_not_waived_on_its_namespace() -> None:
    assert not judge("UPDATE", locks(3), locks(1), MemoryView([namespace(HELD)])).allowed


def scale(replicas: int, waive: str | None = None) -> Object:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "locks", "namespace": "platform", "annotations": {WAIVE: waive} if waive else {}},
        "spec": {"replicas": replicas},
    }


def test_a_scale_is_waived_on_the_object_that_it_scales() -> None:
    assert not judge("UPDATE", scale(3), scale(1), MemoryView([locks(3)]), subresource="scale").allowed
    assert judge("UPDATE", scale(3), scale(1), MemoryView([locks(3, HELD)]), subresource="scale").allowed
    own = judge("UPDATE", scale(3, HELD), scale(1, HELD), MemoryView([locks(3)]), subresource="scale")
    assert not own.allowed


def member(name: str, ready: bool) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "platform",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "locks", "controller": True}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def test_an_eviction_is_waived_on_the_set_of_its_pod() -> None:
    waive = f'SW206 until={LATER} reason="the node burns"'
    pods = [member("locks-0", True), member("locks-1", True), member("locks-2", False)]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "locks-0", "namespace": "platform"}}
    request = Request("Eviction.policy", "CREATE", "locks-0", "platform", eviction, None, subresource="eviction")
    refused = evaluate(request, MemoryView([*pods, locks(3)]), now=NOW)
    assert not refused.allowed
    assert "kubectl annotate -n platform statefulset/locks stateward.dev/waive=" in message.denial(refused, NOW)
    assert evaluate(request, MemoryView([*pods, locks(3, waive)]), now=NOW).allowed


HUB: Object = {
    "apiVersion": "kafka.strimzi.io/v1",
    "kind": "Kafka",
    "metadata": {"name": "clicks", "namespace": "platform"},
    "spec": {"kafka": {"version": "4.1.0"}},
}
CONTROLLERS: Object = {
    "apiVersion": "kafka.strimzi.io/v1",
    "kind": "KafkaNodePool",
    "metadata": {"name": "controllers", "namespace": "platform", "labels": {"strimzi.io/cluster": "clicks"}},
    "spec": {"replicas": 3, "roles": ["controller"]},
}
FIVE: Object = cases.merge(CONTROLLERS, {"spec": {"replicas": 5}})


def test_an_edit_of_a_node_pool_is_waived_on_the_pool() -> None:
    waive = {"metadata": {"annotations": {WAIVE: f'SW203 until={LATER} reason="x"'}}}
    assert not judge("UPDATE", CONTROLLERS, FIVE, MemoryView([HUB])).allowed
    assert judge("UPDATE", cases.merge(CONTROLLERS, waive), FIVE, MemoryView([HUB])).allowed


# --- the command that a denial gives ---------------------------------------------------------------------------------


def carried_out(verdict: Verdict) -> tuple[str, str]:
    """The object that the denial says to annotate, and the annotation's text."""
    line = next(line for line in message.denial(verdict, NOW).splitlines() if "kubectl annotate" in line and WAIVE in line)
    what, _, text = line.partition(f" {WAIVE}='")
    return what.partition("kubectl annotate ")[2], text.partition("'")[0]


COMMANDS: list[tuple[str, Any, str]] = [
    ("an update", lambda text: judge("UPDATE", locks(3, text), locks(1)), "-n platform statefulset/locks"),
    ("a deletion", lambda text: judge("DELETE", locks(3, text), None), "-n platform statefulset/locks"),
    (
        "a scale",
        lambda text: judge("UPDATE", scale(3), scale(1), MemoryView([locks(3, text)]), subresource="scale"),
        "-n platform statefulset/locks",
    ),
    (
        "a creation",
        lambda text: judge("CREATE", None, NEW_SET, MemoryView([namespace(text)])),
        "namespace/platform",
    ),
]


@pytest.mark.parametrize(("judged", "what"), [row[1:] for row in COMMANDS], ids=[row[0] for row in COMMANDS])
def test_the_command_of_a_denial_does_waive_it(judged: Any, what: str) -> None:
    refused = judged(None)
    assert not refused.allowed
    target, text = carried_out(refused)
    assert target == what
    assert judged(text).allowed


def test_the_command_of_a_denial_about_a_node_pool_does_waive_it() -> None:
    refused = judge("UPDATE", CONTROLLERS, FIVE, MemoryView([HUB]))
    target, text = carried_out(refused)
    note = {"metadata": {"annotations": {WAIVE: text}}}
    pool, hub = (cases.merge(CONTROLLERS, note), HUB) if "controllers" in target else (CONTROLLERS, cases.merge(HUB, note))
    assert judge("UPDATE", pool, FIVE, MemoryView([hub])).allowed


def test_the_command_of_a_denial_of_a_new_node_pool_does_waive_it() -> None:
    hub = cases.merge(HUB, {"spec": {"kafka": {"config": {"default.replication.factor": 3}}}})
    brokers = cases.merge(CONTROLLERS, {"metadata": {"name": "brokers"}, "spec": {"replicas": 1, "roles": ["broker"]}})
    refused = judge("CREATE", None, brokers, MemoryView([hub, CONTROLLERS]))
    assert actions(refused) == {"SW205": "deny"}
    target, text = carried_out(refused)
    assert target == "namespace/platform"
    assert judge("CREATE", None, brokers, MemoryView([hub, CONTROLLERS, namespace(text)])).allowed
