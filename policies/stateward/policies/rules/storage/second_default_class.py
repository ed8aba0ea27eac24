"""SW116: two default storage classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.facts import CLASS, annotations_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Object, Sight, accuses

_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"


@rule(
    id="SW116",
    name="second-default-class",
    summary="A second storage class becomes the default",
    why="With two defaults the newest one wins. Members that are added from now on get volumes of another class than the "
    "members that they join, and nothing says so.",
    remedy="Take the mark off the other class in the same change, or write the class out everywhere.",
    source="Kubernetes documentation, Storage Classes: the most recently created default is used",
    nature="state",
    action="warn",
    judges=objects(CLASS, on=("CREATE", "UPDATE"), metadata=True),
    looks_at=(accuses(CLASS, "provisioner"),),
)
def second_default_class(change: Change, see: Sight) -> Iterator[Finding]:
    """A class with the mark, while another one has it."""
    item = change.new_object
    if item is None or not _is_default(item):
        return
    classes = see.select(CLASS)
    others = [
        one for one in (classes if classes is not UNKNOWN else ()) if _is_default(one) and name_of(one) != name_of(item)
    ]
    if others:
        yield Finding(
            field=("metadata", "annotations", _DEFAULT),
            text=f'"true" here and on {name_of(others[0])}: there are two defaults',
            why="claims without a class get the newer one from now on, members of one service end on different classes",
            remedy=f"take the annotation off {name_of(others[0])}",
            subject=name_of(others[0]),
        )


def _is_default(item: Object) -> bool:
    return annotations_of(item).get(_DEFAULT) == "true"
