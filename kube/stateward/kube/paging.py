"""A complete list, page by page, all of it from one moment.

Pages are sized by their bytes, and taken apart in small steps by one thread at a time: whoever answers requests in this
process meanwhile waits for a step, not for a page.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from stateward.kube.errors import ClusterError
from stateward.kube.store import Listing
from stateward.policies.view import Object, mapping_of, text_of

_PAGED_TRIES: Final = 2
_FIRST: Final = 25
"""Objects of the first page, before it is known how large they are."""
_SMALLEST: Final = 5
_SAMPLE: Final = 4
_STEP: Final = 16
"""Objects that are put away in a step: about half a millisecond."""
_FREED: Final = 100
"""Objects that are freed in a step."""
_PAUSE: Final = 0.002
"""Seconds between two steps of a list that is read again while requests are answered."""

Fetch = Callable[[int, str], dict[str, Any]]
"""(limit, continue token) → a page {items, metadata}."""
Stamp = Callable[[Object], Object]

_turn = threading.Lock()


def read_list(
    fetch: Fetch,
    begin: Callable[[], Listing],
    stamp: Stamp,
    page: int,
    *,
    page_bytes: int = 0,
    gently: bool = False,
) -> tuple[Listing, str]:
    """The listing, filled, and the resourceVersion to watch from. A page has at most `page` objects.

    `page_bytes`: of large objects a page has fewer, so that it weighs about this (0: any weight).
    `gently`: most of the time is left to other threads. A continue token that expired (410) spoils all pages before it:
    the list starts again, and after two such failures is asked for in one answer. Raises ClusterError for any other
    failure and for a list that cannot be watched from.
    """
    for _ in range(_PAGED_TRIES):
        try:
            return _read(fetch, begin(), stamp, page, page_bytes, gently)
        except _TokenExpiredError:
            continue
    return _read(fetch, begin(), stamp, 0, 0, gently)


class _TokenExpiredError(Exception):
    pass


def _read(fetch: Fetch, listing: Listing, stamp: Stamp, most: int, page_bytes: int, gently: bool) -> tuple[Listing, str]:
    token = ""
    limit = min(most, _FIRST) if page_bytes else most
    while True:
        try:
            answer = fetch(limit, token)
        except ClusterError as error:
            if token and error.expired and most:
                raise _TokenExpiredError from None
            raise
        items = answer.get("items", answer)
        if type(items) is not list and items is not None:
            raise ClusterError(0, "Broken", f"the list of {listing.kind} has no items: {str(answer)[:100]}")
        found = [item for item in items or () if type(item) is dict]
        following = _fitting(page_bytes, most, found) if page_bytes else most
        _put_away(found, listing, stamp, gently)
        metadata = mapping_of(answer, "metadata")
        token = text_of(metadata, "continue")
        if token and not listing.full:
            limit = following
            if page_bytes:
                _set_aside()
            continue
        listing.more = listing.more or bool(token)
        version = text_of(metadata, "resourceVersion")
        if not version:
            raise ClusterError(0, "Broken", f"the list of {listing.kind} has no resourceVersion to watch from")
        return listing, version


def _fitting(page_bytes: int, most: int, items: Sequence[Object]) -> int:
    """How many objects the next page may have, as a few of this page tell."""
    some = items[:: len(items) // _SAMPLE + 1]
    size = sum(len(orjson.dumps(item)) for item in some)
    return min(most, max(_SMALLEST, page_bytes * len(some) // size)) if some else most


def _put_away(items: Sequence[Object], listing: Listing, stamp: Stamp, gently: bool) -> None:
    with _turn:
        for start in range(0, len(items), _STEP):
            if gently:
                time.sleep(_PAUSE)
            for item in items[start : start + _STEP]:
                listing.add(stamp(item))


def let_go(listing: Listing) -> None:
    """Frees what a listing has, in steps: freeing 50,000 objects at once is a pause of a tenth of a second."""
    freed = 0
    for space in listing.spaces.values():
        while space:
            space.popitem()
            freed += 1
            if freed % _FREED == 0:
                time.sleep(_PAUSE)
    listing.spaces = {}


def _set_aside() -> None:
    """Takes what is kept of a page out of the garbage collector's sight.

    A collection among 50,000 pods is a pause of a tenth of a second and finds nothing, for what comes as JSON has no
    cycles. What is young and has some goes first.
    """
    gc.collect(1)
    gc.freeze()
