"""How a user goes on all the same: by the very command that the message names, in an edit of its own."""

from __future__ import annotations

import json

import pytest
from cluster_kit import Item, Kubectl, stateful_set, with_image

WAIVE = "stateward.dev/waive"


@pytest.fixture
def orders(kubectl: Kubectl) -> Item:
    item = stateful_set("orders", "postgres:16.4")
    kubectl.must("apply", "-f", "-", stdin=item)
    return item


def test_an_update_passes_after_the_command_that_the_message_names(kubectl: Kubectl, orders: Item) -> None:
    changed = with_image(orders, "postgres:15.3")
    refused = kubectl("apply", "-f", "-", stdin=changed)
    assert refused.refused, str(refused)
    [waive] = refused.commands(WAIVE)

    assert kubectl.run(waive).passed
    done = kubectl("apply", "-f", "-", stdin=changed)

    assert done.passed, str(done)


def test_several_refusals_are_waived_by_one_command_that_keeps_what_was_waived(kubectl: Kubectl) -> None:
    item = stateful_set("members", "etcd:3.5.17", replicas=5)
    kubectl.must("apply", "-f", "-", stdin=item)
    kubectl.must("annotate", "statefulset", "members", f'{WAIVE}=SW102 until=2020-01-01T00:00:00Z reason="long ago"')
    changed = with_image(item, "etcd:3.3.27")
    changed["spec"]["replicas"] = 2
    refused = kubectl.refused("apply", "-f", "-", "--dry-run=server", stdin=changed)
    assert {"SW201", "SW301"} <= set(refused.rules)
    [waive] = refused.commands(WAIVE)

    assert kubectl.run(waive).passed

    kubectl.passes("apply", "-f", "-", "--dry-run=server", stdin=changed)


def test_a_scale_passes_after_the_command_that_the_message_names(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=stateful_set("members", "etcd:3.5.17", replicas=3))
    refused = kubectl.refused("scale", "statefulset/members", "--replicas=1", "--dry-run=server")
    [waive] = refused.commands(WAIVE)

    assert kubectl.run(waive).passed

    kubectl.passes("scale", "statefulset/members", "--replicas=1", "--dry-run=server")  # once the door has seen it
    assert kubectl("scale", "statefulset/members", "--replicas=1").passed


def test_a_creation_passes_after_the_command_that_the_message_names(kubectl: Kubectl) -> None:
    item = stateful_set("cache", "postgres:16.4", volume="emptyDir")
    refused = kubectl("create", "-f", "-", stdin=item)
    assert refused.rules == ["SW105"], str(refused)
    [waive] = refused.commands(WAIVE)

    assert kubectl.run(waive).passed

    kubectl.passes("create", "-f", "-", "--dry-run=server", stdin=item)
    assert kubectl("create", "-f", "-", stdin=item).passed


def test_an_edit_that_brings_its_own_excuse_is_refused(kubectl: Kubectl, orders: Item) -> None:
    changed = with_image(orders, "postgres:15.3")
    changed["metadata"]["annotations"] = {WAIVE: 'SW301 until=2099-01-01T00:00:00Z reason="because"'}
    refused = kubectl("apply", "-f", "-", stdin=changed)
    [waive] = refused.commands(WAIVE)
    excuse = waive[-1].partition("=")[2]
    changed["metadata"]["annotations"] = {WAIVE: excuse}

    for way in (("apply", "-f", "-"), ("apply", "--server-side", "--force-conflicts", "-f", "-"), ("replace", "-f", "-")):
        done = kubectl(*way, stdin=changed)
        assert done.refused, str(done)
        assert done.rules == ["SW301"]


def test_a_waiver_for_one_rule_lets_no_other_pass(kubectl: Kubectl) -> None:
    item = stateful_set("members", "etcd:3.5.17", replicas=5)
    kubectl.must("apply", "-f", "-", stdin=item)
    changed = with_image(item, "etcd:3.3.27")
    changed["spec"]["replicas"] = 2
    refused = kubectl("apply", "-f", "-", stdin=changed)
    [waive] = refused.commands(WAIVE)
    one = next(part for part in waive[-1].partition("=")[2].split("; ") if part.startswith("SW301"))

    assert kubectl.run([*waive[:-1], f"{WAIVE}={one}"]).passed
    done = kubectl("apply", "-f", "-", stdin=changed)

    assert done.refused, str(done)
    assert "SW301" not in done.rules
    assert "SW201" in done.rules


def test_a_waiver_that_has_ended_or_says_nothing_waives_nothing_and_says_so(kubectl: Kubectl, orders: Item) -> None:
    for text in ('SW301 until=2020-01-01T00:00:00Z reason="long ago"', "SW301", "SW301 until=2099-01-01T00:00:00Z"):
        kubectl.must("annotate", "--overwrite", "statefulset", "orders", f"{WAIVE}={text}")

        done = kubectl("set", "image", "statefulset/orders", "main=postgres:15.3")

        assert done.refused, str(done)
        assert f"note: {WAIVE}: SW301" in done.err, str(done)


def test_a_waived_edit_leaves_no_warning(kubectl: Kubectl, orders: Item) -> None:
    refused = kubectl("set", "image", "statefulset/orders", "main=postgres:15.3")
    [waive] = refused.commands(WAIVE)
    kubectl.run(waive)
    annotations = kubectl.get("statefulset", "orders")["metadata"]["annotations"]
    assert json.dumps(annotations[WAIVE]).startswith('"SW301 until=')

    done = kubectl("set", "image", "statefulset/orders", "main=postgres:15.3")

    assert done.passed, str(done)
    assert done.warnings == []
