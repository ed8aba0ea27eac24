"""SW809: a second set for members that have one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

from stateward.policies.change import Change
from stateward.policies.facts import labels_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Object, Sight, accuses


@rule(
    id="SW809",
    name="second-set-for-members",
    summary="A set is created with an identity label left empty, beside a live one for the same members",
    why="Its pods carry the name of the running cluster and join it as strangers: data streams to them, and the set that "
    "was meant is still there.",
    remedy="Find out why the label is empty (an operator upgrade that lost a default) before it is created.",
    source="Kubernetes documentation, Labels and Selectors: a selector of equal labels matches the pods of both sets",
    nature="state",
    action="warn",
    judges=objects("StatefulSet.apps", on=("CREATE",)),
    looks_at=(accuses("StatefulSet.apps", "spec.selector"),),
)
def second_set_for_members(change: Change, see: Sight) -> Iterator[Finding]:
    """All labels equal to those of a live set, but for ones that are empty here."""
    new = change.new
    if new is None:
        return
    labels = new.labels
    empty = sorted(key for key, value in labels.items() if value == "" and "/" in key)
    if not empty:
        return
    filled = ((key, value) for key, value in labels.items() if type(value) is str and value)
    alike = [see.having("StatefulSet.apps", _labels, label, new.namespace) for label in filled]
    known = [sets for sets in alike if sets is not UNKNOWN]
    for item in min(known, key=len, default=()):  # those that share its rarest label
        others = labels_of(item)
        if name_of(item) != new.name and _twin(labels, others, empty):
            yield Finding(
                field=("metadata", "labels", empty[0]),
                text=f"is empty, and all other labels are those of the live set {name_of(item)}",
                why="its pods would join the running cluster as new members beside the ones it has",
                remedy=f"expected {others.get(empty[0])!r}; pause the operator and find out why the value is lost",
                subject=empty[0],
            )
            return


def _twin(labels: Mapping[str, Any], others: Mapping[str, Any], empty: list[str]) -> bool:
    filled = {key: value for key, value in labels.items() if key not in empty}
    return (
        len(filled) >= 3
        and all(others.get(key) == value for key, value in filled.items())
        and all(others.get(key) for key in empty)
    )


def _labels(item: Object) -> Iterable[Hashable]:
    """The key of sets by each of their labels."""
    return [(key, value) for key, value in labels_of(item).items() if type(value) is str]
