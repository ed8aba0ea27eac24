"""Every way in which kubectl changes an object: what hurts is refused, its neighbour passes, dry-run says the same."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cluster_kit import Cluster, Done, Item, Kubectl, postgres_cluster, stateful_set, with_image

NOW = "postgres:16.4"
NEWER = "postgres:16.6"
OLDER = "postgres:15.3"

Edit = Callable[..., Done]


def by_apply(kubectl: Kubectl, item: Item, image: str, *more: str) -> Done:
    return kubectl("apply", "-f", "-", *more, stdin=with_image(item, image))


def by_server_side_apply(kubectl: Kubectl, item: Item, image: str, *more: str) -> Done:
    return kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=ci", "-f", "-", *more, stdin=with_image(item, image)
    )


def by_edit(kubectl: Kubectl, item: Item, image: str, *more: str) -> Done:
    return kubectl("edit", "statefulset", "orders", *more, editor=f"sed -i s/{NOW}/{image}/")


def by_merge_patch(kubectl: Kubectl, item: Item, image: str, *more: str) -> Done:
    containers = with_image(item, image)["spec"]["template"]["spec"]["containers"]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    return kubectl("patch", "statefulset", "orders", "--type=merge", "-p", json.dumps(patch), *more)


def by_strategic_patch(kubectl: Kubectl, item: Item, image: str, *more: str) -> Done:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    return kubectl("patch", "statefulset", "orders", "-p", json.dumps(patch), *more)


def by_json_patch(kubectl: Kubectl, item: Item, image: str, *more: str) -> Done:
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]
    return kubectl("patch", "statefulset", "orders", "--type=json", "-p", json.dumps(patch), *more)


def by_replace(kubectl: Kubectl, item: Item, image: str, *more: str) -> Done:
    return kubectl("replace", "-f", "-", *more, stdin=with_image(item, image))


def by_set_image(kubectl: Kubectl, item: Item, image: str, *more: str) -> Done:
    return kubectl("set", "image", "statefulset/orders", f"main={image}", *more)


WAYS: list[Edit] = [
    by_apply,
    by_server_side_apply,
    by_edit,
    by_merge_patch,
    by_strategic_patch,
    by_json_patch,
    by_replace,
    by_set_image,
]
ways = pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])


@pytest.fixture
def orders(kubectl: Kubectl) -> Item:
    """A PostgreSQL of one member, created as a user creates it."""
    item = stateful_set("orders", NOW)
    kubectl.must("apply", "-f", "-", stdin=item)
    return item


def image_of(kubectl: Kubectl) -> str:
    found: str = kubectl.get("statefulset", "orders")["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def has_dry_run(way: Edit) -> bool:
    return way is not by_edit


@ways
def test_a_downgrade_is_refused(kubectl: Kubectl, orders: Item, way: Edit) -> None:
    if has_dry_run(way):
        tried = way(kubectl, orders, OLDER, "--dry-run=server")
        assert tried.refused, str(tried)
        assert tried.rules == ["SW301"]

    done = way(kubectl, orders, OLDER)

    assert done.refused, str(done)
    assert done.rules == ["SW301"]
    assert image_of(kubectl) == NOW


@ways
def test_a_newer_patch_passes(kubectl: Kubectl, orders: Item, way: Edit) -> None:
    if has_dry_run(way):
        tried = way(kubectl, orders, NEWER, "--dry-run=server")
        assert tried.passed, str(tried)
        assert image_of(kubectl) == NOW

    done = way(kubectl, orders, NEWER)

    assert done.passed, str(done)
    assert done.warnings == []
    assert image_of(kubectl) == NEWER


CREATIONS = [
    pytest.param(("create", "-f", "-"), id="create"),
    pytest.param(("apply", "-f", "-"), id="apply"),
    pytest.param(("apply", "--server-side", "-f", "-"), id="server-side apply"),
]


@pytest.mark.parametrize("command", CREATIONS)
def test_a_database_without_a_volume_is_not_created(kubectl: Kubectl, command: tuple[str, ...]) -> None:
    item = stateful_set("orders", NOW, volume="emptyDir")
    for dry in (("--dry-run=server",), ()):
        done = kubectl(*command, *dry, stdin=item)
        assert done.refused, str(done)
        assert "SW105" in done.rules
    assert kubectl.names("statefulsets") == []


@pytest.mark.parametrize("command", CREATIONS)
def test_a_database_on_a_claim_is_created(kubectl: Kubectl, command: tuple[str, ...]) -> None:
    item = stateful_set("orders", NOW)
    assert kubectl(*command, "--dry-run=server", stdin=item).passed
    assert kubectl.names("statefulsets") == []

    done = kubectl(*command, stdin=item)

    assert done.passed, str(done)
    assert kubectl.names("statefulsets") == ["orders"]


def test_a_custom_resource_is_judged_as_a_set_is(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=postgres_cluster("pg"))

    older = kubectl("apply", "-f", "-", stdin=postgres_cluster("pg", image="ghcr.io/cloudnative-pg/postgresql:15.3"))
    newer = kubectl("apply", "-f", "-", stdin=postgres_cluster("pg", image="ghcr.io/cloudnative-pg/postgresql:16.6"))

    assert older.refused, str(older)
    assert older.rules == ["SW301"]
    assert newer.passed, str(newer)


def test_the_message_says_what_why_what_to_do_and_how_to_go_on_all_the_same(kubectl: Kubectl, orders: Item) -> None:
    done = by_apply(kubectl, orders, OLDER)

    lines = done.err.splitlines()
    assert lines[0].startswith("Error from server (Forbidden)")
    assert 'admission webhook "validate.stateward.dev" denied the request: Stateward refuses this UPDATE of' in done.err
    start = lines.index("SW301 downgrade")
    said = lines[start + 1 :]
    assert said[0].startswith("  spec.template.spec.containers[0].image: ")
    assert "16.4 → 15.3" in said[0]
    labels = [line[2:6].strip() for line in said if line[2:6].strip()]
    assert labels[1:] == ["why", "do", "or"]
    assert done.commands("stateward.dev/waive"), str(done)


def test_several_findings_come_in_one_message(kubectl: Kubectl) -> None:
    item = stateful_set("members", "etcd:3.5.17", replicas=5)
    kubectl.must("apply", "-f", "-", stdin=item)
    changed = with_image(item, "etcd:3.3.27")
    changed["spec"]["replicas"] = 2

    done = kubectl("apply", "-f", "-", stdin=changed)

    assert done.refused, str(done)
    assert {"SW201", "SW301"} <= set(done.rules)


def test_a_warning_arrives_at_the_user_and_the_edit_passes(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", NOW, replicas=2))

    done = kubectl("patch", "statefulset", "orders", "-p", '{"spec": {"replicas": 1}}')

    assert done.passed, str(done)
    assert done.warnings, str(done)
    assert done.warnings[0].startswith("SW202 standby-lost: ")


@pytest.mark.parametrize("dry", [("--dry-run=server",), ()], ids=["dry-run", "for real"])
def test_annotations_and_labels_pass_even_where_an_object_breaks_rules(kubectl: Kubectl, dry: tuple[str, ...]) -> None:
    kubectl.past.must("create", "-f", "-", stdin=stateful_set("orders", "postgres:latest", volume="emptyDir"))

    for command in ("annotate", "label"):
        done = kubectl(command, "statefulset", "orders", "team=blue", *dry)
        assert done.passed, str(done)
        assert done.warnings == []


def test_a_finalizer_can_always_be_removed(kubectl: Kubectl) -> None:
    item = stateful_set("orders", "postgres:latest", volume="emptyDir")
    item["metadata"]["finalizers"] = ["stateward.test/held"]
    kubectl.past.must("create", "-f", "-", stdin=item)

    done = kubectl("patch", "statefulset", "orders", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')

    assert done.passed, str(done)


def test_what_was_wrong_before_and_is_not_touched_passes(kubectl: Kubectl) -> None:
    kubectl.past.must("create", "-f", "-", stdin=stateful_set("orders", NOW, volume="emptyDir"))

    done = kubectl("patch", "statefulset", "orders", "-p", '{"spec": {"minReadySeconds": 5}}')

    assert done.passed, str(done)


def test_what_the_api_server_refuses_by_itself_never_reaches_the_door(kubectl: Kubectl, orders: Item) -> None:
    changed = json.loads(json.dumps(orders))
    changed["spec"]["serviceName"] = "other"

    done = kubectl("apply", "-f", "-", stdin=changed)

    assert not done.passed
    assert not done.refused
    assert "updates to statefulset spec" in done.err


def test_a_rollout_is_undone_only_to_a_version_that_reads_the_data(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_controllers()
    item = stateful_set("orders", "postgres:15.3", replicas=0)
    kubectl.past.must("apply", "-f", "-", stdin=item)
    for image in ("postgres:16.4", "postgres:16.6"):
        rolled_out(kubectl, image)

    for dry in (("--dry-run=server",), ()):
        back_a_major = kubectl("rollout", "undo", "statefulset/orders", "--to-revision=1", *dry)
        assert back_a_major.refused, str(back_a_major)
        assert back_a_major.rules == ["SW301"]
    assert kubectl("rollout", "undo", "statefulset/orders", "--to-revision=2", "--dry-run=server").passed
    assert image_of(kubectl) == "postgres:16.6"
    back_a_patch = kubectl("rollout", "undo", "statefulset/orders", "--to-revision=2")

    assert back_a_patch.passed, str(back_a_patch)
    assert image_of(kubectl) == "postgres:16.4"


def rolled_out(kubectl: Kubectl, image: str) -> None:
    """A set without members changes its image, past the door, and its controller has recorded that."""
    kubectl.past.must("set", "image", "statefulset/orders", f"main={image}")
    kubectl.must("rollout", "status", "statefulset/orders", "--timeout=30s")


def test_a_rollout_can_be_restarted_and_of_a_single_member_it_warns(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=stateful_set("members", "etcd:3.5.17", replicas=3))
    kubectl.must("apply", "-f", "-", stdin=stateful_set("single", "etcd:3.5.17", replicas=1))

    several = kubectl("rollout", "restart", "statefulset/members")
    single = kubectl("rollout", "restart", "statefulset/single")

    assert several.passed, str(several)
    assert several.warnings == []
    assert single.passed, str(single)
    assert single.warnings[0].startswith("SW807 "), str(single)
