"""A complete list, page by page, all of it from one moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from stateward.kube.errors import ClusterError
from stateward.kube.store import Listing
from stateward.policies.view import Object, mapping_of, text_of

_PAGED_TRIES: Final = 2

Fetch = Callable[[int, str], dict[str, Any]]
"""(limit, continue token) → a page {items, metadata}."""


def read_list(
    fetch: Fetch, begin: Callable[[], Listing], stamp: Callable[[Object], Object], page: int
) -> tuple[Listing, str]:
    """The listing, filled, and the resourceVersion to watch from.

    A continue token that expired (410) spoils all pages before it: the list starts again, and after two such failures
    is asked for in one answer. Raises ClusterError for any other failure and for a list that cannot be watched from.
    """
    for _ in range(_PAGED_TRIES):
        try:
            return _read(fetch, begin(), stamp, page)
        except _TokenExpiredError:
            continue
    return _read(fetch, begin(), stamp, 0)


class _TokenExpiredError(Exception):
    pass


def _read(fetch: Fetch, listing: Listing, stamp: Callable[[Object], Object], limit: int) -> tuple[Listing, str]:
    token = ""
    while True:
        try:
            answer = fetch(limit, token)
        except ClusterError as error:
            if token and error.expired and limit:
                raise _TokenExpiredError from None
            raise
        items = answer.get("items", answer)
        if type(items) is not list and items is not None:
            raise ClusterError(0, "Broken", f"the list of {listing.kind} has no items: {str(answer)[:100]}")
        for item in items or ():
            if type(item) is dict:
                listing.add(stamp(item))
        metadata = mapping_of(answer, "metadata")
        token = text_of(metadata, "continue")
        if token and not listing.full:
            continue
        listing.more = listing.more or bool(token)
        version = text_of(metadata, "resourceVersion")
        if not version:
            raise ClusterError(0, "Broken", f"the list of {listing.kind} has no resourceVersion to watch from")
        return listing, version
