"""The watch over a cluster: a reflector for each kind that is needed, and for each custom kind that comes along."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from stateward.kube import crds
from stateward.kube.backoff import Timing
from stateward.kube.cache import STALE_AFTER, ClusterView
from stateward.kube.client import Cluster
from stateward.kube.declared import CORE, CRD, Needed
from stateward.kube.discovery import Discovery, Resource
from stateward.kube.errors import ClusterError
from stateward.kube.reflector import Reflector
from stateward.kube.store import UNLIMITED, Store
from stateward.kube.trim import shaped
from stateward.policies.adapters import shape
from stateward.policies.view import UNKNOWN, Kind

CUSTOM_KINDS: Final = 300
CUSTOM_OBJECTS: Final = 10_000
RECHECK: Final = 30.0
"""Seconds between two looks at what is served: well below STALE_AFTER, for kinds known to be absent rest on them."""
_CRD_PAGE: Final = 50  # a CRD may weigh half a megabyte
_LISTING: Final = 8  # undeclared kinds that are listed at the same time
_SETTLE: Final = 0.1  # seconds: CRDs come in dozens
_SOON: Final = 0.5  # seconds


@dataclass(slots=True)
class _Running:
    resource: Resource
    uid: str
    """Of its CRD; "" where discovery named it."""
    reflector: Reflector
    gone: bool = False
    """Whether it was answered 404 since the last look."""


class ClusterWatch:
    """Keeps `view` up to date until `stop`. Nothing that the API server does ends it.

    Kinds of `needed` that are not served are known to be empty, as long as discovery says so every `recheck` seconds;
    their reflectors start when they appear. Of custom kinds that nobody needs, at most `custom_kinds`, metadata of at
    most `custom_objects` objects each is kept (of what keeps data by its shape also `spec`), so that the deletion of a CRD
    can be judged.
    """

    def __init__(
        self,
        cluster: Cluster,
        needed: Needed,
        *,
        stale_after: float = STALE_AFTER,
        timing: Timing | None = None,
        recheck: float = RECHECK,
        custom_kinds: int = CUSTOM_KINDS,
        custom_objects: int = CUSTOM_OBJECTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.view = ClusterView(stale_after=stale_after, clock=clock)
        self.needed = dict(needed)
        self._asked = self.needed
        self.last_error = ""
        """Why the latest look at what is served failed, "" if it did not."""
        self._cluster = cluster
        self._timing = timing if timing is not None else Timing()
        self._recheck = recheck
        self._custom_kinds = custom_kinds
        self._custom_objects = custom_objects
        self._clock = clock
        self._awaits = False
        """Whether what CRDs define was not known yet when the latest look began, and is about to be."""
        self._running: dict[Kind, _Running] = {}
        self._ending: list[Reflector] = []
        self._gate = threading.Semaphore(_LISTING)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch cluster", daemon=True)
        for kind in self.needed:
            self._fresh_store(kind)

    def start(self) -> ClusterWatch:
        """Starts reading; returns at once."""
        self._thread.start()
        return self

    def need(self, needed: Needed) -> None:
        """Other kinds are needed from now on, or other fields of them. What is needed still is read on undisturbed."""
        self._asked = dict(needed)
        self._wake.set()

    def wait_synced(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds until every needed kind is known; whether it is. See `unknown` for those not."""
        deadline = time.monotonic() + timeout
        while not self.view.synced(self.needed):
            if time.monotonic() >= deadline or self._stopping.wait(0.02):
                return self.view.synced(self.needed)
        return True

    def unknown(self) -> dict[Kind, str]:
        """The needed kinds that are unknown now → why, and what can be done."""
        return {kind: why for kind in self.needed if (why := self.view.why_unknown(kind))}

    def awaited(self) -> list[Kind]:
        """The needed kinds to wait for: those of every cluster, and others until it is known that they cannot be listed."""
        return [kind for kind in self.unknown() if kind in CORE or not self._troubled(kind)]

    def _troubled(self, kind: Kind) -> bool:
        store = self.view.store(kind)
        return store is not None and bool(store.trouble)

    def reflectors(self) -> dict[Kind, Reflector]:
        """The reflectors that run now: for metrics."""
        return {kind: one.reflector for kind, one in dict(self._running).items()}

    def stop(self, timeout: float = 5.0) -> None:
        """Ends all threads; returns after at most `timeout` seconds. A thread that still connects ends by itself later."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        reflectors = [one.reflector for one in list(self._running.values())] + self._ending
        for reflector in reflectors:
            reflector.cancel()
        for reflector in reflectors:
            reflector.stop(max(0.0, deadline - time.monotonic()))

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._look()
            except Exception as error:  # noqa: BLE001,RUF100 - the watch never dies
                self.last_error = f"{type(error).__name__}: {error}"
            self._wake.wait(min(self._recheck, _SOON) if self._awaits or self._crds_pending() else self._recheck)
            self._stopping.wait(_SETTLE)

    def _look(self) -> None:
        """Makes what runs equal to what should run."""
        if self._asked is not self.needed:
            self._change(self._asked)
        discovery = Discovery(self._cluster)
        failure = ""
        # Before they are asked for: what comes to be known while this look goes on is for the next one.
        self._awaits = self._crds_pending()
        defined = self._defined()
        self._awaits = self._awaits and defined is None
        for kind in sorted(self.needed, key=lambda one: one != CRD):
            try:
                self._tend(kind, discovery, defined)
            except ClusterError as error:
                failure = str(error)
                if kind not in self._running:
                    self._note(kind, f"discovery failed: {error}")
        self.last_error = failure
        if defined is not None:
            self._tend_custom(defined)

    def _change(self, asked: Needed) -> None:
        """Takes over what is needed now. What is kept otherwise than before is read anew."""
        before = self.needed
        changed = [kind for kind in {**before, **asked} if before.get(kind, ()) != asked.get(kind, ())]
        for kind in changed:
            self._end(kind)
        self.needed = asked
        for kind in changed:
            if kind in asked:
                self._fresh_store(kind)
            else:
                self.view.drop(kind)  # a custom kind comes back as one that nobody needs

    def _defined(self) -> dict[Kind, tuple[Resource, str]] | None:
        """The kinds that CRDs define; None while that is unknown."""
        found = self.view.select(CRD)
        return None if found is UNKNOWN else crds.resources(found)

    def _crds_pending(self) -> bool:
        """Whether CRDs will be known soon: they are asked for, and nothing is known to be in the way."""
        store = self.view.store(CRD)
        return store is not None and not store.synced and not store.trouble

    def _tend(self, kind: Kind, discovery: Discovery, defined: dict[Kind, tuple[Resource, str]] | None) -> None:
        """One needed kind. Raises ClusterError where discovery is needed and fails."""
        running = self._running.get(kind)
        if defined is not None and kind in defined:
            self._ensure(kind, *defined[kind])
            return
        if running is not None and running.uid and defined is not None:
            # Its CRD is gone. Discovery would still name it for a second or two.
            self._absent(kind)
            return
        if running is not None and not running.gone:
            return
        resource = discovery.resource(kind)
        if resource is None:
            # Discovery is behind by a second or two: what CRDs define is waited for, where they can be read.
            if not self._awaits:
                self._absent(kind)
        elif not resource.readable:
            self._note(kind, f"{resource.api_version} {resource.plural} cannot be listed and watched")
        else:
            self._ensure(kind, resource, "")

    def _tend_custom(self, defined: dict[Kind, tuple[Resource, str]]) -> None:
        """The custom kinds that nobody needs."""
        for kind in [one for one in self.view.kinds() if one not in self.needed and one not in defined]:
            self._end(kind)
            self.view.drop(kind)
        undeclared = sorted(kind for kind in defined if kind not in self.needed)
        room = self._custom_kinds - sum(1 for kind in self._running if kind not in self.needed)
        for kind in undeclared:
            if kind not in self._running:
                if room <= 0:
                    self._note(kind, f"only {self._custom_kinds} custom kinds that no rule declares are read")
                    continue
                room -= 1
            self._ensure(kind, *defined[kind])

    def _ensure(self, kind: Kind, resource: Resource, uid: str) -> None:
        """A reflector of this kind runs."""
        running = self._running.get(kind)
        if running is not None:
            running.gone = False  # it asks again by itself
            # What discovery named first and a CRD names now is the same; what was defined anew (another uid) is not.
            same = replace(running.resource, verbs=resource.verbs) == resource
            if same and (not uid or running.uid in ("", uid)):
                running.uid = uid or running.uid
                return
            self._end(kind)
        if self._stopping.is_set():
            return
        declared = kind in self.needed
        store = self._fresh_store(kind)
        timing = self._timing if kind != CRD else replace(self._timing, page=min(self._timing.page, _CRD_PAGE))
        reflector = Reflector(
            self._cluster,
            resource,
            store,
            metadata_only=self.needed[kind] == frozenset() if declared else shape.adapter_of(kind) is None,
            timing=timing,
            clock=self._clock,
            gate=None if declared else self._gate,
            changed=self._wake.set if kind == CRD else lambda: None,
            gone=lambda: self._went(kind),
        )
        self._running[kind] = _Running(resource, uid, reflector)
        reflector.start()

    def _went(self, kind: Kind) -> None:
        running = self._running.get(kind)
        if running is not None:
            running.gone = True
            self._wake.set()

    def _end(self, kind: Kind) -> None:
        running = self._running.pop(kind, None)
        if running is not None:
            running.reflector.cancel()
            self._ending = [one for one in self._ending if not one.ended] + [running.reflector]

    def _absent(self, kind: Kind) -> None:
        """The cluster does not serve the kind: it has no objects. True until the next look, or until it is stale."""
        self._end(kind)
        # A store of its own: a reflector that is still ending must not write into it.
        store = Store(kind, (), self._clock)
        store.replace(store.listing())
        self.view.add(store)

    def _note(self, kind: Kind, trouble: str) -> None:
        """The kind is not read, and why."""
        store = self.view.store(kind)
        (store if store is not None else self._fresh_store(kind)).trouble = trouble

    def _fresh_store(self, kind: Kind) -> Store:
        limit = UNLIMITED if kind in self.needed else self._custom_objects
        adapter = shape.adapter_of(kind) if kind not in self.needed else None
        trim = shaped(adapter) if adapter is not None else None
        store = Store(kind, self.needed.get(kind, frozenset()), self._clock, limit, trim)
        self.view.add(store)
        return store
