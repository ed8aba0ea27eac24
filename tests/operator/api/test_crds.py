"""The CustomResourceDefinitions: structural, with a limit on everything, and what the models say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import Field

from stateward.operator.api import crds, schema, v1alpha1, v1beta1
from stateward.operator.api.model import Model

CRDS = crds.documents()
VERSIONS = [(name, one) for name, crd in CRDS.items() for one in crd["spec"]["versions"]]
BY_VERSION = pytest.mark.parametrize("version", [one for _, one in VERSIONS], ids=[f"{n} {v['name']}" for n, v in VERSIONS])


def nodes(found: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, found
    for name, one in found.get("properties", {}).items():
        yield from nodes(one, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            yield from nodes(found[key], f"{path}[]")


@BY_VERSION
def test_every_part_has_one_type_and_a_limit(version: dict[str, Any]) -> None:
    for path, one in nodes(version["schema"]["openAPIV3Schema"]):
        assert "type" in one or one.get("x-kubernetes-int-or-string") is True, path
        assert not {"$ref", "anyOf", "allOf", "oneOf", "title", "const"} & one.keys(), path
        if one.get("type") == "array":
            assert one["maxItems"] >= 1, path
        if one.get("type") == "string" and path not in (".apiVersion", ".kind"):
            assert {"maxLength", "enum", "format"} & one.keys(), path
        if "additionalProperties" in one:
            assert one["maxProperties"] >= 1, path


@BY_VERSION
def test_every_field_is_explained(version: dict[str, Any]) -> None:
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    for part in ("spec", "status"):
        for path, one in nodes(properties[part], f".{part}"):
            if not path.endswith("[]"):
                assert one.get("description"), path


def test_one_version_is_stored_and_the_old_one_says_that_it_is_old() -> None:
    versions = {one["name"]: one for one in CRDS["statefulservices.yaml"]["spec"]["versions"]}
    assert {name: (one["served"], one["storage"]) for name, one in versions.items()} == {
        "v1alpha1": (True, False),
        "v1beta1": (True, True),
    }
    assert versions["v1alpha1"]["deprecated"]
    assert len(versions["v1alpha1"]["deprecationWarning"]) <= 256


def test_the_versions_differ_in_retention_alone() -> None:
    old, new = (schema.of_kind(one.StatefulService) for one in (v1alpha1, v1beta1))
    before, after = (one["properties"]["spec"]["properties"].pop("backup")["properties"] for one in (old, new))
    assert old["properties"] == new["properties"]
    assert set(before) - set(after) == {"retentionDays", "retentionCopies"}
    assert set(after) - set(before) == {"retention"}
    for name, was in (("days", "retentionDays"), ("copies", "retentionCopies")):
        assert after["retention"]["properties"][name] == before[was]


def test_mappings_with_safe_fields_are_there_without_being_asked_for() -> None:
    spec = schema.of_kind(v1beta1.StatefulService)["properties"]["spec"]["properties"]
    assert {name for name, one in spec.items() if one.get("default") == {}} == {
        *("availability", "upgrade", "tls", "deletionPolicy"),
    }
    assert spec["deletionPolicy"]["properties"]["claims"]["default"] == "Retain"
    assert spec["availability"]["properties"]["spread"]["default"] == {}
    assert "default" not in spec["backup"]
    assert "default" not in spec["parameters"]


def test_what_no_structural_schema_can_say_is_an_error() -> None:
    class Endless(Model):
        word: str

    class Either(Model):
        one: int | bool = 1

    class Items(Model):
        words: list[Literal["a", "b"]] = Field(default_factory=list)

    for model, said in ((Endless, "Endless.word: a text without"), (Either, "Either.one"), (Items, "Items.words: a list")):
        with pytest.raises(ValueError, match=said):
            schema.of_kind(model)
