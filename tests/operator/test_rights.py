"""What an installed operator may do: what engines' members are given, what it watches, and not more."""

from __future__ import annotations

import pytest

from stateward.kube.registration import plural_of
from stateward.operator.apply import RESOURCES
from stateward.operator.backup import kinds
from stateward.operator.drivers import catalogue
from stateward.operator.informer import CLUSTER_WIDE, WATCHED
from stateward.operator.rights import of_cluster, of_namespace, of_services

ENGINES = [driver.container("1").rights for name in catalogue.names() if (driver := catalogue.find(name)) is not None]


def held(rules: object) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for rule in rules:  # type: ignore[attr-defined]
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


@pytest.mark.parametrize("kind", [*WATCHED, *kinds.WATCHED])
def test_each_kind_that_is_heard_of_may_be_listed_and_watched(kind: str) -> None:
    assert held(of_services(ENGINES))[kind.partition(".")[2], plural_of(kind)] >= {"list", "watch"}


@pytest.mark.parametrize("kind", CLUSTER_WIDE)
def test_kinds_of_the_whole_cluster_are_read_and_never_written(kind: str) -> None:
    name, _, group = kind.partition(".")
    plural = {"StorageClass": "storageclasses"}.get(name) or plural_of(kind)
    assert held(of_cluster())[group, plural] == {"get", "list", "watch"}


@pytest.mark.parametrize("resource", [one for one in RESOURCES.values() if one.plural != "pods"], ids=lambda one: one.plural)
def test_what_a_service_is_made_of_may_be_applied(resource: object) -> None:
    verbs = held(of_services(ENGINES))[resource.group, resource.plural]  # type: ignore[attr-defined]
    assert verbs >= {"get", "create", "patch"}


def test_it_holds_what_engines_members_are_given() -> None:
    """Else the API server lets it write no Role for them."""
    mine, given = held(of_services(ENGINES)), held(rule for rights in ENGINES for rule in rights)
    assert given
    for what, verbs in given.items():
        assert verbs <= mine[what], what


def test_an_engine_that_gives_its_members_more_gives_the_operator_more() -> None:
    more = [[{"apiGroups": ["acme.example"], "resources": ["widgets"], "verbs": ["get", "delete"]}]]
    assert held(of_services([*ENGINES, *more]))["acme.example", "widgets"] == {"get", "delete"}
    assert ("acme.example", "widgets") not in held(of_services(ENGINES))


def test_nothing_is_granted_by_a_star_and_its_lease_by_name_alone() -> None:
    for rule in (*of_services(ENGINES), *of_cluster(), *of_namespace()):
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
    assert [one.get("resourceNames") for one in of_namespace()] == [None, ["stateward-operator"]]
