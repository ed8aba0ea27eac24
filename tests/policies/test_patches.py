"""Ready patches: what they say puts an object right does so, for every rule that has one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stateward.cli.patch import applied
from stateward.policies import cases, data
from stateward.policies.engine import evaluate
from stateward.policies.finding import REMOVE, SetField
from stateward.policies.rules import RULES
from stateward.policies.view import MemoryView


def patched_cases():
    for rule in RULES:
        for case in cases.read(rule.id, data.examples(rule.module)):
            for one in cases.run(case).denied:
                if one.finding.patch:
                    yield pytest.param(case, one, id=f"{one.rule} {case.name}")


PATCHED = list(patched_cases())


def test_there_are_patches_of_sizes_and_classes():
    assert {one.values[1].rule for one in PATCHED} >= {"SW101", "SW102"}


@pytest.mark.parametrize(("case", "one"), PATCHED)
def test_the_patch_of_a_refusal_ends_it(case, one):
    """The finding's object with its patch, and everything else as it was, is refused for this no more."""
    new = case.request.object
    on = one.finding.on or new
    fixed = on
    for step in one.finding.patch:
        fixed = applied(fixed, step)
    if on is new:
        request, context = replace(case.request, object=fixed), case.context
    else:
        request, context = case.request, tuple(fixed if item is on else item for item in case.context)
        assert fixed in context
    after = evaluate(request, MemoryView(context), now=case.now)
    assert not [each for each in after.denied if each.rule == one.rule and each.finding.subject == one.finding.subject]


CLUSTER = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "ledger", "namespace": "bank"},
    "spec": {"instances": 3, "imageName": "postgresql:17.5", "storage": {"size": "80Gi", "storageClass": "fast"}},
}


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    {
        "a size": ({}, {"size": "40Gi"}, (SetField(("spec", "storage", "size"), "80Gi"),)),
        "another class": ({}, {"storageClass": "slow"}, (SetField(("spec", "storage", "storageClass"), "fast"),)),
        "a class that is no longer written": (
            {},
            {"storageClass": None},
            (SetField(("spec", "storage", "storageClass"), "fast"),),
        ),
        "a class that was not written": (
            {"storageClass": None},
            {"storageClass": "slow"},
            (SetField(("spec", "storage", "storageClass"), REMOVE),),
        ),
    }.values(),
)
def test_what_was_there_is_put_back(before, after, patch):
    old = cases.merge(CLUSTER, {"spec": {"storage": before}})
    usual = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    }
    case = {"operation": "UPDATE", "old": old, "patch": {"spec": {"storage": after}}, "context": [usual], "expect": "deny"}
    (found,) = cases.read("one", {"cases": [case]})
    (one,) = [each for each in cases.run(found).denied if each.finding.patch]
    assert one.finding.patch == patch
