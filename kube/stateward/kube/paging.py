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

from stateward.kube.errors import ClusterError
from stateward.kube.store import Listing
from stateward.policies.view import Object, mapping_of, text_of

_PAGED_TRIES: Final = 2
_FIRST: Final = 25
"""Objects of the first page, before it is known how large they are."""
_BYTES: Final = 256 * 1024
"""What a page should weigh: parsing is one step, of a millisecond."""
_SMALLEST: Final = 5
_STEP: Final = 16
"""Objects that are put away in a step: about half a millisecond."""
_FREED: Final = 100
"""Objects that are freed in a step."""
_PAUSE: Final = 0.002
"""Seconds between two steps of a list that is read again while requests are answered."""

Fetch = Callable[[int, str], tuple[dict[str, Any], int]]
"""(limit, continue token) → a page {items, metadata} and how many bytes it had."""
Stamp = Callable[[Object], Object]

_turn = threading.Lock()


def read_list(
    fetch: Fetch, begin: Callable[[], Listing], stamp: Stamp, page: int, *, gently: bool = False
) -> tuple[Listing, str]:
    """The listing, filled, and the resourceVersion to watch from. A page has at most `page` objects.

    `gently`: most of the time is left to other threads. A continue token that expired (410) spoils all pages before it:
    the list starts again, and after two such failures is asked for in one answer. Raises ClusterError for any other
    failure and for a list that cannot be watched from.
    """
    for _ in range(_PAGED_TRIES):
        try:
            return _read(fetch, begin(), stamp, page, gently)
        except _TokenExpiredError:
            continue
    return _read(fetch, begin(), stamp, 0, gently)


class _TokenExpiredError(Exception):
    pass


def _read(fetch: Fetch, listing: Listing, stamp: Stamp, most: int, gently: bool) -> tuple[Listing, str]:
    token = ""
    limit = min(most, _FIRST)
    while True:
        try:
            answer, size = fetch(limit, token)
        except ClusterError as error:
            if token and error.expired and most:
                raise _TokenExpiredError from None
            raise
        items = answer.get("items", answer)
        if type(items) is not list and items is not None:
            raise ClusterError(0, "Broken", f"the list of {listing.kind} has no items: {str(answer)[:100]}")
        found = [item for item in items or () if type(item) is dict]
        _put_away(found, listing, stamp, gently)
        metadata = mapping_of(answer, "metadata")
        token = text_of(metadata, "continue")
        if token and not listing.full:
            limit = _fitting(most, len(found), size)
            _set_aside()
            continue
        listing.more = listing.more or bool(token)
        version = text_of(metadata, "resourceVersion")
        if not version:
            raise ClusterError(0, "Broken", f"the list of {listing.kind} has no resourceVersion to watch from")
        return listing, version


def _fitting(most: int, count: int, size: int) -> int:
    """How many objects the next page may have, after one of `count` objects and `size` bytes."""
    return min(most, max(_SMALLEST, _BYTES * count // size)) if count and size else most


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
