"""A reflector: keeps a Store equal to what the API server has of one kind, by LIST and WATCH, whatever happens.

The official client's informer has no back-off, no bookmarks and no read timeout: one that hangs or spins is a View
that is wrong without anybody knowing. Here every failure is recorded, waited for and tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson

from stateward.kube.answer import Answer
from stateward.kube.backoff import Backoff, Timing, between
from stateward.kube.client import JSON, Cluster, list_query, watch_query
from stateward.kube.discovery import Resource
from stateward.kube.errors import ClusterError, from_status
from stateward.kube.paging import let_go, read_list
from stateward.kube.store import Store
from stateward.policies.view import Object, metadata_of, text_of

# The items then say that they are PartialObjectMetadata; servers that cannot give that send whole objects.
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
METADATA_WATCH: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_HOLLOW: Final = 3
_GOOD: Final = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})


class Reflector:
    """One thread that fills one Store. `start`, then `stop`; a stopped one is not started again.

    `last_sync` and `last_event` are readings of `clock` (monotonic seconds), None before the first; `errors` and
    `relists` count; `last_error` is the latest error's message. `changed` is called after each list and each event that
    changed the store, `gone` after each answer 404 (the kind is not served any more), both in the reflector's thread.
    `gate` is held while listing, so that many reflectors do not list all at once.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        store: Store,
        *,
        metadata_only: bool = False,
        namespace: str = "",
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        gate: threading.Semaphore | None = None,
        changed: Callable[[], None] = lambda: None,
        gone: Callable[[], None] = lambda: None,
    ) -> None:
        self.resource = resource
        self.store = store
        self.last_sync: float | None = None
        self.last_event: float | None = None
        self.last_error = ""
        self.errors = 0
        self.relists = 0
        self._cluster = cluster
        self._path = resource.path_to(namespace) if namespace else resource.path
        self._accept = (METADATA_LIST, METADATA_WATCH) if metadata_only else (JSON, JSON)
        self._timing = timing if timing is not None else Timing()
        self._clock = clock
        self._gate = gate
        self._changed = changed
        self._gone = gone
        self._backoff = Backoff(*self._timing.backoff)
        self._stopping = threading.Event()
        self._answer: Answer | None = None
        self._version = ""
        self._hollow = 0  # watches in a row that opened, brought nothing and ended at once
        self._thread = threading.Thread(target=self._run, name=f"reflect {resource.kind}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> bool:
        """Closes the open answer and waits for the thread, at most `timeout` seconds; whether it ended.

        A connection that is only being opened cannot be closed; its thread is a daemon and writes nothing any more.
        """
        self.cancel()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Tells the thread to end, without waiting for it."""
        self._stopping.set()
        answer = self._answer
        if answer is not None:
            answer.close()

    @property
    def ended(self) -> bool:
        """Whether it was started and its thread has ended."""
        return self._thread.ident is not None and not self._thread.is_alive()

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._list():
                    self._follow()
            except Exception as error:  # noqa: BLE001,RUF100 - a reflector never dies
                self._failed(error)
                self._wait(error.retry_after if isinstance(error, ClusterError) else 0.0)

    def _list(self) -> bool:
        """One complete list, put into the store at once; False where it was stopped."""
        with self._turn() as mine:
            if not mine:
                return False
            # Only a list that is read again: until the first one is there, nothing can be judged by it.
            again = self.last_sync is not None
            listing, version = read_list(
                self._page,
                self.store.listing,
                self._stamped,
                self._timing.page,
                page_bytes=self._timing.page_bytes,
                gently=again,
            )
        if self._stopping.is_set():
            return False
        self._version = version
        self._hollow = 0
        self.store.replace(listing)
        self.last_sync = self._clock()
        self._changed()
        let_go(listing)
        return True

    def _page(self, limit: int, token: str) -> dict[str, Any]:
        with self._open(list_query(limit, token), self._accept[0]) as answer:
            page = answer.json(self._timing.total)
        return page if type(page) is dict else {"items": page}

    def _follow(self) -> None:
        """Watches from the list on, again and again, until only a new list helps."""
        while not self._stopping.is_set():
            opened = self._clock()
            after = 0.0
            try:
                again = self._watch()
            except ClusterError as error:
                self._failed(error)
                # 5xx, 429 and broken connections say nothing about our resourceVersion; everything else does.
                again = not error.expired and (error.status in (0, 429) or error.status >= 500)
                after = error.retry_after
            if self._clock() - opened >= self._timing.lived:
                self._backoff.reset()
                self._hollow = 0
            if not self._wait(after):
                return
            if not again or self._hollow >= _HOLLOW:
                self.relists += 1
                return

    def _watch(self) -> bool:
        """One watch to its end; whether the next one may go on from where this one ended."""
        query = watch_query(self._version, max(1, round(between(self._timing.watch))))
        with self._open(query, self._accept[1]) as answer:
            # That it opens says that the server is there; but one that only ever opens and ends may withhold events.
            if not self._hollow:
                self.store.touch()
            self._hollow += 1
            for line in answer.lines():
                if self._stopping.is_set() or not self._event(answer.what, line):
                    return False
        return True

    def _event(self, what: str, line: bytes) -> bool:
        """Takes one event in; whether the next one can be."""
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ClusterError(0, "Broken", f"{what}: a line of {len(line)} bytes that is no JSON ({error})") from None
        kind, item = (event.get("type"), event.get("object")) if type(event) is dict else (None, None)
        if kind == "ERROR":
            self._failed(from_status(what, item))
            return False
        version = text_of(metadata_of(item), "resourceVersion") if isinstance(item, dict) else ""
        if not isinstance(item, dict) or not version or kind not in _GOOD:
            self._failed(ClusterError(0, "Broken", f"{what}: an event that means nothing: {line[:100]!r}"))
            return False
        if kind == "DELETED":
            self.store.remove(item)
        elif kind != "BOOKMARK":
            self.store.put(self._stamped(item))
        self._version = version
        self._hollow = 0
        self._backoff.reset()
        self.store.touch()
        self.last_event = self._clock()
        if kind != "BOOKMARK":
            self._changed()
        # A store that keeps only some objects and has lost most of those fetches others.
        return not (kind == "DELETED" and self.store.overflowed and len(self.store) * 2 < self.store.limit)

    # --- small things --------------------------------------------------------------------------------------------

    @contextmanager
    def _open(self, query: dict[str, str | int], accept: str) -> Iterator[Answer]:
        """An answer that `stop` can close."""
        read = between(self._timing.read)
        with self._cluster.open("GET", self._path, query, accept=accept, read_seconds=read) as answer:
            self._answer = answer
            try:
                if self._stopping.is_set():  # stop() came while it was being opened and did not see it
                    answer.close()
                yield answer
            finally:
                self._answer = None

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Holds the gate; False where it was stopped while waiting for it."""
        if self._gate is None:
            yield True
            return
        while not self._gate.acquire(timeout=0.2):
            if self._stopping.is_set():
                yield False
                return
        try:
            yield not self._stopping.is_set()
        finally:
            self._gate.release()

    def _stamped(self, item: Object) -> Object:
        # Items of a list carry no kind, those of a metadata-only list a wrong one.
        item["apiVersion"] = self.resource.api_version
        item["kind"] = self.resource.kind_name
        return item

    def _failed(self, error: Exception) -> None:
        if self._stopping.is_set():
            return
        self.errors += 1
        known = isinstance(error, ClusterError)
        self.last_error = str(error) if known else f"{self.resource.kind}: {type(error).__name__}: {error}"
        self.store.trouble = self.last_error
        if isinstance(error, ClusterError) and error.status == 404:
            self._gone()

    def _wait(self, at_least: float = 0.0) -> bool:
        """Waits before asking again; whether to go on."""
        longest = self._timing.backoff[1]
        return not self._stopping.wait(max(self._backoff.next(), min(at_least, longest)))
