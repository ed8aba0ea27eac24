"""SW720: a safeguard is switched off, or a switch turned that lets a later edit lose data."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.finding import Finding, shown
from stateward.policies.model import Service, Unsafe
from stateward.policies.rule import rule, services
from stateward.policies.view import Object, Sight


@rule(
    id="SW720",
    name="safeguard-off",
    summary="A safeguard of the operator is switched off",
    why="Data is rarely lost by one edit: first the switch that keeps the volumes or refuses unsafe values is turned, "
    "then a second, innocent edit does the rest.",
    remedy="Leave the safeguard on. If it must be off, waive this rule for as long as that takes.",
    source="the operators' CRDs and documentation; each row of an adapter's `unsafe` says why",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    about=("unsafe",),
)
def safeguard_off(change: Change, see: Sight) -> Iterator[Finding]:
    """The rows of the adapter; on CREATE it only warns of what is written, for there is nothing to lose yet.

    What is left to the operator's default on CREATE is its makers' choice, and nobody switched anything off.
    """
    if change.via not in ("", "pool"):
        return
    creates = change.request.operation == "CREATE"
    for one, on in _rows(change):
        if creates and one.value is None:
            continue
        yield Finding(
            field=one.path,
            text=f"{value}; {one.what}" if (value := shown(one.value, otherwise="")) else one.what,
            why=one.why,
            remedy="leave it on, or say in a waiver why and until when it is off"
            if creates
            else "leave it as it was, or say in a waiver why and until when it is off",
            subject=one.key if on is None else f"joined:{one.key}",
            weak=not one.denies or creates,
            on=on,
        )


def _rows(change: Change) -> Iterator[tuple[Unsafe, Object | None]]:
    """What is off in the service's own object, and in the joined one (a node pool) that the request is about."""
    if change.new is not None:
        yield from ((one, None) for one in change.new.unsafe)
    request = change.request
    adapter, item = ADAPTERS.get(request.kind), request.old if change.past else request.object
    service = change.new
    if change.via != "pool" or adapter is None or item is None or service is None or service.adapter is adapter:
        return
    yield from ((one, item) for one in adapter.unsafe(Service(adapter, item, service.view)))
