"""What an installed Stateward may do: what it looks at, and not more."""

from __future__ import annotations

from stateward.kube.declared import needed
from stateward.kube.own_kinds import documents
from stateward.kube.rights import of_cluster, of_namespace
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.policy import _FIELDS
from stateward.policies.rules import RULES
from stateward.policies.user_rules import _FIELDS as RULE_FIELDS

NEEDED = needed(RULES, ADAPTERS)


def test_each_kind_that_is_looked_at_may_be_listed_and_watched_and_no_other() -> None:
    groups: dict[str, int] = {}
    for one in of_cluster(RULES, ADAPTERS):
        if one["verbs"] == ["list", "watch"] and one["resources"] != ["wardpolicies"]:
            [group] = one["apiGroups"]
            groups[group] = groups.get(group, 0) + len(one["resources"])
    wanted: dict[str, int] = {}
    for kind in NEEDED:
        group = kind.partition(".")[2]
        wanted[group] = wanted.get(group, 0) + 1
    assert groups == wanted


def test_nothing_is_read_of_secrets_but_its_own() -> None:
    assert "Secret" not in NEEDED
    assert not [one for one in of_cluster(RULES, ADAPTERS) if "secrets" in one["resources"]]
    assert [one["resourceNames"] for one in of_namespace() if "get" in one["verbs"] and "secrets" in one["resources"]] == [
        ["stateward-certs"]
    ]


def test_what_it_writes_it_writes_by_name_alone() -> None:
    for one in (*of_cluster(RULES, ADAPTERS), *of_namespace()):
        writes = {"update", "delete", "patch"} & set(one["verbs"])
        by_name = "resourceNames" in one
        assert by_name or not writes or one["resources"] in (["events"], ["wardpolicies/status"]), one


def test_the_kinds_have_the_fields_that_are_parsed() -> None:
    spec = documents()["wardpolicies.yaml"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert set(spec["properties"]) == set(_FIELDS)
    assert set(spec["properties"]["userRules"]["items"]["properties"]) == set(RULE_FIELDS)


def test_a_waivers_fields_are_those_that_are_read() -> None:
    from stateward.policies.waiver import _FIELDS as WAIVER_FIELDS

    spec = documents()["wardwaivers.yaml"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert set(spec["properties"]) == set(WAIVER_FIELDS)


def test_every_list_text_and_map_of_a_kind_has_an_end() -> None:
    """CEL's cost is reckoned from the limits, and an API server stores no more than it has to."""

    def check(schema: dict[str, object], where: str) -> None:
        type_ = schema.get("type")
        if type_ == "array":
            assert "maxItems" in schema, where
            check(schema["items"], f"{where}[]")  # type: ignore[arg-type]
        if type_ == "string":
            assert {"maxLength", "enum", "format"} & schema.keys(), where
        for name, below in (schema.get("properties") or {}).items():  # type: ignore[attr-defined]
            check(below, f"{where}.{name}")

    for name, crd in documents().items():
        whole = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for part in ("spec", "status"):
            if part in whole:
                check(whole[part], f"{name}: {part}")
