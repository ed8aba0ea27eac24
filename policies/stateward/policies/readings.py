"""Other readings of a change: the engine as a label supposes it, and as annotations said it before the edit.

They add findings to those of the plain reading and take none away. So a label, which is weak evidence, warns and excuses
nothing; and an annotation that is changed in the edit that it would excuse does not excuse it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from stateward.policies.change import Change
from stateward.policies.engines.override import NOTHING, Override
from stateward.policies.engines.profile import Profile
from stateward.policies.model import Service


class Reading(NamedTuple):
    """A change read otherwise."""

    change: Change
    weak: bool
    """Whether what is found in it can only warn."""


def others(change: Change, past_counts: bool) -> Iterable[Reading]:
    """The other readings; usually none.

    `past_counts`: whether no edit brings its own excuse (every profile but `baseline`): the new object is then also read
    as if it carried the annotations of the old one.
    """
    old, new = change.old, change.new
    if new is None and old is None:
        return ()
    if old is None or old is new or (old.engine is not None and old.override is NOTHING):
        service = new or old
        if service is not None and service.engine is not None and service.override is NOTHING:
            return ()  # the usual case: something strong tells the engine, and no annotation speaks of it
    return _others(change, past_counts)


def _others(change: Change, past_counts: bool) -> Iterator[Reading]:
    old, new = change.old, change.new
    service = new if new is not None else old
    if service is None:
        return
    if past_counts and old is not None and new is not None and not old.override.same(new.override):
        yield Reading(_read(change, old, new.as_if(old.override)), weak=False)
    supposed = service.supposed_engine or (old.supposed_engine if old is not None and old is not service else None)
    if supposed is not None:
        if new is not None and new.override.no_engine and not past_counts:
            return
        before = _supposed(old, supposed) if old is not None and not old.override.no_engine else old
        after = before if new is old else _supposed(new, supposed) if new is not None else None
        yield Reading(_read(change, before, after), weak=True)


def _supposed(service: Service, engine: Profile) -> Service:
    """A service of the supposed engine, unless something better says which engine it is."""
    if service.engine is not None:
        return service
    return service.as_if(Override(engine, version=service.override.version, supposed=True))


def _read(change: Change, old: Service | None, new: Service | None) -> Change:
    other = Change(change.request, old, new, change.via, change.old_object, change.new_object)
    other.view, other.unseen = change.view, change.unseen
    return other
