from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from stateward.kube.client import Cluster
from stateward.kube.crds import resource_of, resources
from stateward.kube.declared import CRD, needed
from stateward.kube.discovery import Resource
from stateward.kube.watcher import ClusterWatch
from stateward.policies.view import UNKNOWN

VERBS = frozenset({"get", "list", "watch"})
CRDS = Resource(CRD, "apiextensions.k8s.io", "v1", "customresourcedefinitions", False, VERBS)
KAFKAS = Resource("Kafka.kafka.strimzi.io", "kafka.strimzi.io", "v1", "kafkas", True, VERBS)
RELEASES = Resource("HelmRelease.helm.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io", "v2", "helmreleases", True, VERBS)
WIDGETS = Resource("Widget.example.com", "example.com", "v1", "widgets", True, VERBS)
NEEDED = {"Pod": frozenset({"spec.volumes"}), KAFKAS.kind: None, CRD: needed((), {})[CRD]}


def define(api: Any, resource: Resource, *, established: bool = True, uid: str = "u1", served: bool = True) -> None:
    """A CRD, and what it brings: its collection."""
    if established and served:
        api.serve(resource)
    api.put(
        CRDS,
        f"{resource.plural}.{resource.group}",
        "",
        metadata={"uid": uid},
        spec={
            "group": resource.group,
            "names": {"kind": resource.kind.partition(".")[0], "plural": resource.plural},
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [{"name": resource.version, "served": served, "schema": {"openAPIV3Schema": {}}}],
        },
        status={"conditions": [{"type": "Established", "status": "True" if established else "False"}]},
    )


def undefine(api: Any, resource: Resource) -> None:
    api.forget(resource)
    api.remove(CRDS, f"{resource.plural}.{resource.group}", "")


@pytest.fixture
def server(api: Any, kit: Any) -> Any:
    """Serves pods and CRDs, and says so."""
    api.serve(kit.pods)
    api.serve(CRDS)
    api.documents["/api/v1"] = {"resources": [{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": list(VERBS)}]}
    api.documents["/apis"] = {
        "groups": [{"name": CRDS.group, "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}]
    }
    api.documents["/apis/apiextensions.k8s.io/v1"] = {
        "resources": [{"name": CRDS.plural, "kind": "CustomResourceDefinition", "namespaced": False, "verbs": list(VERBS)}]
    }
    return api


Start = Callable[..., ClusterWatch]


@pytest.fixture
def start(server: Any, cluster: Cluster, kit: Any) -> Iterator[Start]:
    started: list[ClusterWatch] = []

    def begin(kinds: Any = NEEDED, **more: Any) -> ClusterWatch:
        watch = ClusterWatch(cluster, kinds, **{"timing": kit.fast, "recheck": 0.3, **more})
        started.append(watch)
        return watch.start()

    yield begin
    for watch in started:
        watch.stop()
    assert not [one.name for one in threading.enumerate() if one.name.startswith(("reflect", "watch cluster"))]


def test_what_is_needed_is_read_and_trimmed(server: Any, start: Start, kit: Any) -> None:
    server.put(kit.pods, "a", spec={"volumes": [], "containers": [{"name": "db"}]})
    define(server, KAFKAS)
    server.put(KAFKAS, "events", spec={"kafka": {"replicas": 3}})
    watch = start()
    assert watch.wait_synced(5.0)
    assert watch.unknown() == {}
    assert watch.view.get("Pod", "prod", "a")["spec"] == {"volumes": []}  # type: ignore[index]
    assert watch.view.get(KAFKAS.kind, "prod", "events")["spec"] == {"kafka": {"replicas": 3}}  # type: ignore[index]
    assert watch.view.get(KAFKAS.kind, "prod", "other") is None
    assert set(watch.reflectors()) == {"Pod", KAFKAS.kind, CRD}


def test_a_kind_that_is_not_served_is_complete_and_empty(server: Any, start: Start) -> None:
    watch = start()
    assert watch.wait_synced(5.0)
    assert watch.view.select(KAFKAS.kind) == []
    assert watch.view.get(KAFKAS.kind, "prod", "events") is None
    assert KAFKAS.kind not in watch.reflectors()


def test_what_is_needed_may_change_while_it_reads(server: Any, start: Start, kit: Any) -> None:
    define(server, KAFKAS)
    define(server, WIDGETS, uid="u2")
    server.put(KAFKAS, "events", spec={"kafka": {"replicas": 3}})
    server.put(WIDGETS, "one", spec={"size": 3})
    watch = start(recheck=20.0)
    assert watch.wait_synced(5.0)
    assert kit.wait_for(lambda: watch.view.select(WIDGETS.kind) not in (UNKNOWN, []))
    pods = watch.reflectors()["Pod"]

    watch.need({"Pod": NEEDED["Pod"], CRD: NEEDED[CRD], WIDGETS.kind: None})

    def whole() -> bool:
        found = watch.view.get(WIDGETS.kind, "prod", "one")
        return isinstance(found, dict) and found.get("spec") == {"size": 3}

    assert kit.wait_for(whole)
    # Nobody needs it any more: that it is there is kept, for its CRD may be deleted.
    assert kit.wait_for(lambda: "spec" not in (watch.view.get(KAFKAS.kind, "prod", "events") or {"spec": 1}))
    assert watch.reflectors()["Pod"] is pods
    server.put(WIDGETS, "two", spec={"size": 4})
    assert kit.wait_for(lambda: watch.view.get(WIDGETS.kind, "prod", "two"))
    assert set(watch.needed) == {"Pod", CRD, WIDGETS.kind}


def test_that_a_kind_is_not_served_is_looked_at_again_and_again(server: Any, start: Start, kit: Any) -> None:
    watch = start(stale_after=1.0, recheck=0.2)
    assert watch.wait_synced(5.0)
    time.sleep(1.2)
    assert watch.view.select(KAFKAS.kind) == []
    server.always("GET /apis", kit.refuse(503, "ServiceUnavailable", "starting"))
    assert kit.wait_for(lambda: watch.view.select(KAFKAS.kind) is UNKNOWN)
    assert "starting" in watch.view.why_unknown(KAFKAS.kind)
    assert "starting" in watch.last_error
    server.always("GET /apis", None)
    assert kit.wait_for(lambda: watch.view.select(KAFKAS.kind) == [])


def test_a_crd_that_appears_starts_its_reflector_and_one_that_goes_stops_it(server: Any, start: Start, kit: Any) -> None:
    watch = start(recheck=20.0)
    assert watch.wait_synced(5.0)
    define(server, KAFKAS, established=False)
    time.sleep(0.3)
    assert watch.view.select(KAFKAS.kind) == [], "before it is established there can be no objects"
    define(server, KAFKAS)
    server.put(KAFKAS, "events")
    assert kit.wait_for(lambda: watch.view.get(KAFKAS.kind, "prod", "events"))
    undefine(server, KAFKAS)
    assert kit.wait_for(lambda: watch.view.select(KAFKAS.kind) == [])
    assert KAFKAS.kind not in watch.reflectors()


def test_a_crd_defined_anew_is_read_anew(server: Any, start: Start, kit: Any) -> None:
    define(server, KAFKAS, uid="u1")
    server.put(KAFKAS, "old")
    watch = start(recheck=20.0)
    assert watch.wait_synced(5.0)
    assert kit.wait_for(lambda: watch.view.get(KAFKAS.kind, "prod", "old"))
    first = watch.reflectors()[KAFKAS.kind]
    server.forget(KAFKAS)
    define(server, KAFKAS, uid="u2")
    server.put(KAFKAS, "new")
    assert kit.wait_for(lambda: watch.view.get(KAFKAS.kind, "prod", "new"))
    assert kit.wait_for(lambda: watch.view.get(KAFKAS.kind, "prod", "old") is None)
    assert kit.wait_for(lambda: watch.reflectors()[KAFKAS.kind] is not first)


def test_a_version_that_is_served_no_longer_is_left_for_another(server: Any, start: Start, kit: Any) -> None:
    beta = replace(KAFKAS, version="v1beta2")
    define(server, beta)
    server.put(beta, "events")
    watch = start(recheck=20.0)
    assert watch.wait_synced(5.0)
    assert kit.wait_for(lambda: watch.view.get(KAFKAS.kind, "prod", "events"))
    define(server, KAFKAS)
    server.put(KAFKAS, "events")
    assert kit.wait_for(lambda: server.lists(KAFKAS))
    assert kit.wait_for(
        lambda: (watch.view.get(KAFKAS.kind, "prod", "events") or {}).get("apiVersion") == "kafka.strimzi.io/v1"
    )


def test_of_custom_kinds_that_nobody_needs_what_keeps_data_is_known_whole(server: Any, start: Start, kit: Any) -> None:
    define(server, WIDGETS)
    server.put(WIDGETS, "w", spec={"secret": 1})
    server.put(WIDGETS, "v", spec={"storage": {"size": "1Gi"}})
    watch = start()
    assert kit.wait_for(lambda: watch.view.synced([WIDGETS.kind]))
    assert "spec" not in watch.view.get(WIDGETS.kind, "prod", "w")  # type: ignore[operator]
    assert watch.view.get(WIDGETS.kind, "prod", "v")["spec"] == {"storage": {"size": "1Gi"}}  # type: ignore[index]


def test_custom_kinds_that_nobody_needs_are_known_by_their_metadata(server: Any, start: Start, kit: Any) -> None:
    define(server, RELEASES)
    server.put(RELEASES, "w", apiVersion="meta.k8s.io/v1", kind="PartialObjectMetadata", spec={"secret": 1})
    watch = start()
    assert watch.wait_synced(5.0)
    assert kit.wait_for(lambda: watch.view.synced([RELEASES.kind]))
    found = watch.view.get(RELEASES.kind, "prod", "w")
    assert (found["apiVersion"], found["kind"]) == ("helm.toolkit.fluxcd.io/v2", "HelmRelease")  # type: ignore[index]
    assert "spec" not in found  # type: ignore[operator]
    assert "PartialObjectMetadataList" in server.lists(RELEASES)[0].headers["accept"]
    undefine(server, RELEASES)
    assert kit.wait_for(lambda: RELEASES.kind not in watch.reflectors())
    assert watch.view.select(RELEASES.kind) is UNKNOWN


def test_kinds_of_which_metadata_is_needed_alone_come_without_the_rest(server: Any, start: Start, kit: Any) -> None:
    watch = start({"Pod": frozenset()})
    assert watch.wait_synced(5.0)
    assert "PartialObjectMetadataList" in server.lists(kit.pods)[0].headers["accept"]


def test_custom_kinds_that_nobody_needs_are_bounded_in_number_and_size(server: Any, start: Start, kit: Any) -> None:
    kinds = [Resource(f"W{n}.example.com", "example.com", "v1", f"w{n}s", True, VERBS) for n in range(4)]
    for resource in kinds:
        define(server, resource)
        for number in range(3):
            server.put(resource, f"x{number}")
    define(server, KAFKAS)
    watch = start(custom_kinds=2, custom_objects=2)
    assert watch.wait_synced(5.0)
    assert kit.wait_for(lambda: watch.view.synced(["W0.example.com", "W1.example.com"]))
    assert len(watch.view.select("W0.example.com")) == 2  # type: ignore[arg-type]
    assert kit.wait_for(lambda: "W3.example.com" in watch.view.kinds())
    assert watch.view.select("W3.example.com") is UNKNOWN
    assert watch.view.why_unknown("W3.example.com") == ("W3.example.com: only 2 custom kinds that no rule declares are read")
    assert watch.view.select(KAFKAS.kind) == [], "a needed kind is not counted"
    undefine(server, kinds[0])
    assert kit.wait_for(lambda: watch.view.synced(["W2.example.com"])), "there is room again"


def test_a_kind_that_may_not_be_listed_is_unknown_and_the_others_are_not(server: Any, start: Start, kit: Any) -> None:
    server.always(f"LIST {kit.pods.path}", kit.refuse(403, "Forbidden", "pods is forbidden"))
    watch = start()
    assert not watch.wait_synced(1.0)
    assert list(watch.unknown()) == ["Pod"]
    assert "pods is forbidden; grant the account" in watch.unknown()["Pod"]
    assert watch.view.synced([KAFKAS.kind, CRD])
    server.always(f"LIST {kit.pods.path}", None)
    assert watch.wait_synced(5.0)


def test_a_kind_that_only_some_clusters_have_is_not_waited_for_once_it_cannot_be_listed(
    server: Any, start: Start, kit: Any
) -> None:
    server.serve(KAFKAS)
    server.documents["/apis/kafka.strimzi.io/v1"] = {
        "resources": [{"name": "kafkas", "kind": "Kafka", "namespaced": True, "verbs": list(VERBS)}]
    }
    server.documents["/apis"]["groups"].append({"name": "kafka.strimzi.io", "versions": [{"version": "v1"}]})
    conversion = kit.refuse(500, "InternalError", "conversion webhook for kafka.strimzi.io/v1beta2 failed")
    server.always(f"LIST {KAFKAS.path}", conversion)
    server.always(f"LIST {kit.pods.path}", kit.refuse(403, "Forbidden", "pods is forbidden"))
    watch = start()
    assert kit.wait_for(lambda: watch.awaited() == ["Pod"])
    assert "conversion webhook" in watch.unknown()[KAFKAS.kind]
    server.always(f"LIST {kit.pods.path}", None)
    assert kit.wait_for(lambda: watch.awaited() == [])
    assert list(watch.unknown()) == [KAFKAS.kind]


def test_where_crds_may_not_be_listed_discovery_still_finds_needed_kinds(server: Any, start: Start, kit: Any) -> None:
    server.always(f"LIST {CRDS.path}", kit.refuse(403, "Forbidden"))
    watch = start(recheck=0.1)
    assert kit.wait_for(lambda: watch.view.synced(["Pod", KAFKAS.kind]))
    server.serve(KAFKAS)
    server.put(KAFKAS, "events")
    server.documents["/apis/kafka.strimzi.io/v1"] = {
        "resources": [{"name": "kafkas", "kind": "Kafka", "namespaced": True, "verbs": list(VERBS)}]
    }
    server.documents["/apis"]["groups"].append({"name": "kafka.strimzi.io", "versions": [{"version": "v1"}]})
    assert kit.wait_for(lambda: watch.view.get(KAFKAS.kind, "prod", "events"))
    server.documents["/apis"]["groups"].pop()
    server.forget(KAFKAS)
    assert kit.wait_for(lambda: watch.view.select(KAFKAS.kind) == [])


def test_a_reflector_that_discovery_started_is_kept_when_its_crd_is_read(server: Any, start: Start, kit: Any) -> None:
    define(server, KAFKAS)
    server.documents["/apis/kafka.strimzi.io/v1"] = {
        "resources": [{"name": "kafkas", "kind": "Kafka", "namespaced": True, "verbs": list(VERBS)}]
    }
    server.documents["/apis"]["groups"].append({"name": "kafka.strimzi.io", "versions": [{"version": "v1"}]})

    def later(to: Any, asked: Any) -> None:
        server.sleep(0.3)
        server.list(to, asked)

    server.next(f"LIST {CRDS.path}", later)
    watch = start(recheck=0.1)
    assert kit.wait_for(lambda: KAFKAS.kind in watch.reflectors())
    first = watch.reflectors()[KAFKAS.kind]
    assert watch.wait_synced(5.0)
    time.sleep(0.5)
    assert watch.reflectors()[KAFKAS.kind] is first
    assert len(server.lists(KAFKAS)) == 1


def test_a_kind_that_has_no_list_is_unknown(server: Any, start: Start, kit: Any) -> None:
    server.documents["/api/v1"]["resources"][0]["verbs"] = ["create"]
    watch = start()
    assert kit.wait_for(lambda: "cannot be listed" in watch.view.why_unknown("Pod"))


def test_a_server_that_is_not_there_yet_is_waited_for(server: Any, start: Start, kit: Any) -> None:
    for path in ("/api/v1", "/apis"):
        server.always(f"GET {path}", kit.refuse(503, "ServiceUnavailable", "starting"))
    watch = start(recheck=0.1)
    assert not watch.wait_synced(0.5)
    assert set(watch.unknown()) == set(NEEDED)
    assert "starting" in watch.unknown()["Pod"]
    for path in ("/api/v1", "/apis"):
        server.always(f"GET {path}", None)
    assert watch.wait_synced(5.0)


def test_a_server_that_went_away_makes_everything_unknown(server: Any, start: Start, kit: Any) -> None:
    watch = start(stale_after=0.8, recheck=0.1)
    assert watch.wait_synced(5.0)
    for path in ("/api/v1", "/apis", kit.pods.path, CRDS.path):
        server.always(f"GET {path}", kit.refuse(500, "InternalError", "etcd is gone"))
    for connection in list(server.connections):
        connection.shutdown(2)
    assert kit.wait_for(lambda: set(watch.unknown()) == set(NEEDED))
    for why in watch.unknown().values():
        assert "etcd is gone" in why


def test_stopping_is_prompt_and_ends_all_threads(server: Any, start: Start, kit: Any) -> None:
    define(server, WIDGETS)
    watch = start(recheck=30.0)
    assert watch.wait_synced(5.0)
    assert kit.wait_for(lambda: watch.view.synced([WIDGETS.kind]))
    began = time.monotonic()
    watch.stop()
    assert time.monotonic() - began < 1.5


def test_a_watch_can_be_stopped_before_it_was_started(cluster: Cluster) -> None:
    watch = ClusterWatch(cluster, {"Pod": None})
    watch.stop()
    assert "first list" in watch.unknown()["Pod"]


# --- CRDs ------------------------------------------------------------------------------------------------------------


def _crd(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "widgets.example.com", "uid": "u"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Widget", "plural": "widgets"},
            "scope": "Cluster",
            "versions": [{"name": "v1", "served": True}],
            **spec,
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }


@pytest.mark.parametrize(
    ("names", "preferred"),
    [
        (["v1alpha1", "v1beta1", "v1"], "v1"),
        (["v2", "v10", "v11beta2"], "v10"),
        (["v1beta2", "v1beta10"], "v1beta10"),
        (["v2alpha1", "v1beta1"], "v1beta1"),
        (["foo1", "v1alpha1"], "v1alpha1"),
    ],
)
def test_the_version_that_the_api_server_prefers_is_read(names: list[str], preferred: str) -> None:
    found = resource_of(_crd(versions=[{"name": name, "served": True} for name in names]))
    assert found is not None
    assert found.version == preferred


def test_a_version_that_is_not_served_is_not_read() -> None:
    found = resource_of(_crd(versions=[{"name": "v2", "served": False}, {"name": "v1", "served": True}]))
    assert found is not None
    assert found.path == "/apis/example.com/v1/widgets"
    assert not found.namespaced


@pytest.mark.parametrize(
    "crd",
    [
        {},
        {"spec": None},
        _crd(group=""),
        _crd(names=None),
        _crd(versions=[]),
        _crd(versions=[{"name": "v1", "served": False}]),
        {**_crd(), "status": {}},
        {**_crd(), "status": {"conditions": [{"type": "Established", "status": "False"}]}},
    ],
)
def test_a_crd_that_serves_nothing_has_no_resource(crd: dict[str, Any]) -> None:
    assert resource_of(crd) is None
    assert resources([crd]) == {}
