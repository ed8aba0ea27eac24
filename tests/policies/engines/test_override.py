"""Engines by annotation and by label: what the author says counts, what a label says only warns, nothing excuses itself."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases, message, policy, times
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.engines import override
from stateward.policies.engines.recognise import _PORTS, PROFILES
from stateward.policies.model import Service
from stateward.policies.policy import DEFAULT, Policy
from stateward.policies.request import Request
from stateward.policies.rules import RULES
from stateward.policies.view import EMPTY_VIEW, Object, kind_of_object

NOW = times.parse(cases.NOW) or 0.0
BASELINE = policy.parse({"apiVersion": policy.API_VERSION, "kind": policy.KIND, "spec": {"profile": "baseline@1"}}, RULES)
INHOUSE = "registry.acme.example/platform/base"


def workload(image: str, kind: str = "StatefulSet", replicas: int = 3, **annotations: str) -> Object:
    said = {f"stateward.dev/{key}": value for key, value in annotations.items()}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "ledger", "namespace": "shop", **({"annotations": said} if said else {})},
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {"team": "shop"}},
                "spec": {
                    "containers": [
                        {"name": "metrics-exporter", "image": "prom/exporter:1"},
                        {"name": "main", "image": image, "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                    ],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                },
            },
        },
    }


def labelled(image: str, name: str = "postgresql", **further: str) -> Object:
    item = workload(image, **further)
    item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = name
    return item


def service(item: Object) -> Service:
    return Service(ADAPTERS[kind_of_object(item)], item, EMPTY_VIEW)


def judge(old: Object, new: Object, by: Policy = DEFAULT) -> Verdict:
    return evaluate(Request(kind_of_object(new), "UPDATE", "ledger", "shop", new, old), EMPTY_VIEW, by, now=NOW)


def found(verdict: Verdict) -> dict[str, str]:
    return {one.rule: one.action for one in verdict.judged}


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
def test_an_annotation_says_which_engine_and_which_version_runs(kind: str) -> None:
    read = service(workload(f"{INHOUSE}:build-9", kind, engine="PostgreSQL", version="16.4"))
    assert read.engine is PROFILES["postgresql"]
    assert read.engine_certain
    assert read.container["name"] == "main"
    assert (read.version.state, read.version.text) == ("known", "16.4")
    assert read.version.path == ("metadata", "annotations", "stateward.dev/version")


def test_without_a_version_the_tag_tells_it() -> None:
    read = service(workload(f"{INHOUSE}:16.4", engine="postgresql"))
    assert (read.version.state, read.version.text) == ("known", "16.4")


def test_none_says_that_no_engine_runs() -> None:
    read = service(workload("postgres:16.4", engine="none"))
    assert read.engine is None
    assert read.container_index is None
    assert read.supposed_engine is None


def test_an_engine_of_an_operators_kind_is_overridden_too() -> None:
    item = {
        "apiVersion": "apps.kubeblocks.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "a", "namespace": "b", "annotations": {"stateward.dev/engine": "redis"}},
        "spec": {"clusterDef": "inhouse"},
    }
    assert service(item).engine is PROFILES["redis"]


def test_the_engine_that_is_said_is_judged_as_if_its_image_said_it() -> None:
    verdict = judge(workload(f"{INHOUSE}:16.4", engine="postgresql"), workload(f"{INHOUSE}:15.8", engine="postgresql"))
    assert found(verdict)["SW301"] == "deny"
    assert not verdict.notes


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (
            {"engine": "postgress"},
            'stateward.dev/engine: "postgress" is no engine and is passed over; did you mean postgresql?',
        ),
        ({"engine": "qwx"}, 'stateward.dev/engine: "qwx" is no engine and is passed over; `stateward engines` lists them'),
        (
            {"version": "newest"},
            'stateward.dev/version: "newest" is no version and is passed over; write one such as "16.4"',
        ),
    ],
)
def test_what_cannot_be_used_is_said_even_where_nothing_else_changes(annotations: dict[str, str], said: str) -> None:
    plain = workload("postgres:16.4")
    verdict = judge(plain, workload("postgres:16.4", **annotations))
    assert verdict.notes == [said]
    assert len(message.warnings(verdict)) == 1
    assert service(workload("postgres:16.4", **annotations)).engine is PROFILES["postgresql"]


@pytest.mark.parametrize("value", [7, None, [], {"a": 1}, True])
def test_annotations_of_any_type_are_read(value: Any) -> None:
    said = override.read({override.ENGINE: value, override.VERSION: value})
    assert not said.names_engine
    assert len(said.problems) == (0 if value is None else 2)


DOWN = {"old": "postgres:16.4", "new": "postgres:15.8"}


@pytest.mark.parametrize(
    "excuse", [{"engine": "none"}, {"engine": "redis"}, {"version": "16.4"}, {"engine": "mysql", "version": "16.4"}]
)
def test_no_edit_brings_its_own_excuse(excuse: dict[str, str]) -> None:
    plain, changed = workload(DOWN["old"]), workload(DOWN["new"], **excuse)
    assert found(judge(plain, changed))["SW301"] == "deny"
    assert "SW301" not in found(judge(plain, changed, BASELINE))


def test_an_excuse_of_an_edit_of_its_own_counts() -> None:
    verdict = judge(workload(DOWN["old"], engine="none"), workload(DOWN["new"], engine="none"))
    assert "SW301" not in found(verdict)


def test_an_annotation_that_says_more_counts_at_once() -> None:
    old = workload(f"{INHOUSE}@sha256:{'1' * 64}", engine="postgresql", version="16.4")
    new = workload(f"{INHOUSE}@sha256:{'2' * 64}", engine="postgresql", version="15.8")
    assert found(judge(old, new))["SW301"] == "deny"


def test_a_service_read_twice_is_told_once() -> None:
    verdict = judge(workload(DOWN["old"]), workload(DOWN["new"], version="15.8"))
    assert [one.rule for one in verdict.judged].count("SW301") == 1


# --- labels and ports ------------------------------------------------------------------------------------------------


def test_a_label_alone_only_warns() -> None:
    verdict = judge(labelled(f"{INHOUSE}:16.4"), labelled(f"{INHOUSE}:15.8"))
    assert found(verdict)["SW301"] == "warn"
    assert verdict.allowed
    assert verdict.notes == [
        "PostgreSQL is supposed by label or port alone; say it by annotation: stateward.dev/engine (or none)"
    ]
    assert not judge(labelled(f"{INHOUSE}:16.4"), labelled(f"{INHOUSE}:16.6")).notes


def test_a_tag_that_fits_no_release_of_a_supposed_engine_is_its_makers_own_count() -> None:
    assert "SW301" not in found(judge(labelled(f"{INHOUSE}:5.6.185"), labelled(f"{INHOUSE}:5.5.100")))
    assert "SW302" not in found(judge(labelled(f"{INHOUSE}:3.43.2"), labelled(f"{INHOUSE}:5.6.185")))


def test_where_a_label_and_an_annotation_speak_the_annotation_counts() -> None:
    old, new = (labelled(f"{INHOUSE}:{tag}", engine="none") for tag in ("16.4", "15.8"))
    assert "SW301" not in found(judge(old, new))


def test_what_a_label_supposes_is_not_denied_in_the_edit_that_it_warns_of() -> None:
    old, new = labelled(f"{INHOUSE}:16.4"), labelled(f"{INHOUSE}:15.8", engine="none")
    assert found(judge(old, new)) == found(judge(old, labelled(f"{INHOUSE}:15.8"))) != {}
    assert not found(judge(old, new, BASELINE))


def test_an_engine_that_is_said_at_last_is_judged_against_what_was_supposed() -> None:
    verdict = judge(labelled(f"{INHOUSE}:16.4"), labelled(f"{INHOUSE}:15.8", engine="postgresql"))
    assert found(verdict)["SW301"] == "warn"


def test_a_port_alone_only_warns() -> None:
    old, new = workload(f"{INHOUSE}:16.4"), workload(f"{INHOUSE}:15.8")
    assert not found(judge(old, new))
    for item in (old, new):
        item["spec"]["template"]["spec"]["containers"][1]["ports"] = [{"containerPort": 5432}]
    assert found(judge(old, new))["SW301"] == "warn"


def test_the_port_of_a_sidecar_tells_nothing() -> None:
    item = workload(f"{INHOUSE}:16.4")
    item["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 5432}]
    assert service(item).supposed_engine is None


def test_a_label_excuses_nothing_that_is_refused_without_it() -> None:
    old, new = (labelled(f"{INHOUSE}:16.4", "redis") for _ in range(2))
    old["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "d"}, "spec": {"storageClassName": "fast"}}]
    new["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "d"}, "spec": {"storageClassName": "slow"}}]
    bare_old, bare_new = (cases.merge(one, {"spec": {"template": {"metadata": None}}}) for one in (old, new))
    plain = found(judge(bare_old, bare_new))
    assert "deny" in plain.values()
    assert plain.items() <= found(judge(old, new)).items()


def test_an_image_that_tells_is_not_asked_about_its_labels() -> None:
    assert service(labelled("redis:7.4.0")).engine is PROFILES["redis"]
    assert service(labelled("redis:7.4.0")).supposed_engine is None


def test_every_port_is_of_a_known_engine() -> None:
    assert set(_PORTS.values()) <= set(PROFILES)
