"""Keeps the configurations of an installed door as they are wanted; those that somebody deleted stay deleted.

Level-triggered: each pass looks at what there is and makes it what it should be, so that it may end anywhere. The
leader writes; the other replicas look, so that each can tell how things stand.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from stateward.kube import record as records
from stateward.kube.client import Cluster
from stateward.kube.drift import by, differences, merged, ours, owned, trusts, version
from stateward.kube.errors import ClusterError
from stateward.kube.installed import NAME, PATHS
from stateward.kube.record import DELETED, Record
from stateward.kube.registration import MANAGED_BY, MANAGER
from stateward.policies.view import Object, View, metadata_of, text_of

State = Literal["kept", "wanted", "deleted", "off", "foreign", "unused"]
"""kept: as it is wanted, or being made so; wanted: not made yet; deleted: by somebody, and stays so; off: `stateward
disable`; foreign: somebody else's of our name; unused: there is nothing to ask."""

TICK: Final = 1.0
"""Seconds between two looks at what is in memory."""
PASS: Final = 30.0
"""Seconds between two looks at the API server where nothing seems to have changed."""
RETRY: Final = 3.0
"""Seconds until a pass that failed is tried again."""
CALM: Final = 60.0
"""Seconds. Who undoes a repair sooner is repaired against more and more slowly, up to once in so many."""

_GROUP: Final = "admissionregistration.k8s.io"
_log = logging.getLogger("stateward.webhook")

Happened = Callable[[str, str, bool], None]
"""Told (reason, message, whether it is a warning) of what a person should hear about."""
Make = Callable[[bytes], Mapping[str, Mapping[str, Any]]]
"""Bundle → kind → configuration. Raises ValueError or ClusterError where it cannot be said now."""


class Keeper:
    """Keeps them from `start` to `stop`. Nothing that the API server does ends it.

    `make` says what is wanted; `changed` gives something that is another whenever `make` may give another. `ready`: until
    it says so, nothing is created. `leaving`: whether the namespace of this installation is going: then they go too.
    `owner` gives the reference of the object that they go with, None for none. `also(bundle, write)` publishes the bundle
    elsewhere, where `write` says so, and tells whether it is there; it raises ClusterError.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        view: View,
        make: Make,
        *,
        is_leader: Callable[[], bool],
        ready: Callable[[], bool] = lambda: True,
        changed: Callable[[], object] = lambda: None,
        owner: Callable[[], Mapping[str, Any] | None] = lambda: None,
        also: Callable[[bytes, bool], bool] = lambda *_: True,
        happened: Happened = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.states: Mapping[str, State] = {}
        """Kind → how it stands; empty before the first look."""
        self.repairs = 0
        self.last_error = ""
        self._cluster = cluster
        self._namespace = namespace
        self._view = view
        self._make = make
        self._is_leader = is_leader
        self._ready = ready
        self._changed = changed
        self._owner = owner
        self._also = also
        self._happened = happened
        self._clock = clock
        self.offered: Callable[[], bytes | None] = lambda: None
        """What callers must trust, None where that is not known (yet); asked at each look, from memory."""
        self._offer: bytes | None = None
        self._bundle: bytes | None = None
        self._record: Record | None = None
        self._written: dict[str, tuple[str, object]] = {}
        self._repaired: dict[str, tuple[float, float]] = {}
        self._seen: object = None
        self._passed = -PASS
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keep configurations", daemon=True)

    def start(self) -> Keeper:
        """Starts keeping."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Keeps no more; the configurations stay as they are."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def publish(self, bundle: bytes) -> bool:
        """Writes what callers must trust into every configuration that there is, and reads it back; whether all hold it.

        Who does not lead writes nothing, and says whether all trust it.
        """
        try:
            with self._lock:
                if self._is_leader():
                    self._bundle = bundle
                    self._pass(True)
                elsewhere = self._also(bundle, False)
                there = [found for kind in PATHS if (found := self._get(kind)) is not None and ours(found)]
            return elsewhere and all(trusts(found, bundle) for found in there)
        except (ClusterError, ValueError) as error:
            self._failed(error)
            return False

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            woken = self._wake.wait(TICK)
            self._wake.clear()
            try:
                if woken or self._due():
                    self.look()
            except Exception as error:  # noqa: BLE001,RUF100 - the keeper never dies
                self._failed(error)

    def look(self) -> None:
        """One pass, whatever is in memory. Raises ClusterError and ValueError."""
        with self._lock:
            self._take_offer()
            seen = self._signature()
            self._pass(self._is_leader())
            self._seen, self._passed, self.last_error = seen, self._clock(), ""

    def _take_offer(self) -> None:
        # What was published just now may be newer than what is offered still.
        offer = self.offered()
        if offer != self._offer:
            self._offer = self._bundle = offer

    def _due(self) -> bool:
        return self._clock() - self._passed >= (RETRY if self.last_error else PASS) or (
            not self.last_error and self._signature() != self._seen
        )

    def _signature(self) -> object:
        """What a pass depends on, as far as it is in memory."""
        there = tuple(version(self._view.get(f"{kind}.{_GROUP}", "", NAME)) for kind in PATHS)
        record = version(self._view.get("ConfigMap", self._namespace, records.NAME))
        return there, record, self.offered(), self._is_leader(), self._ready(), self.leaving, self._changed()

    @property
    def leaving(self) -> bool:
        """Whether the namespace of this installation is being deleted."""
        found = self._view.get("Namespace", "", self._namespace)
        return type(found) is dict and bool(metadata_of(found).get("deletionTimestamp"))

    def _failed(self, error: Exception) -> None:
        before, self.last_error = self.last_error, str(error) or type(error).__name__
        self._passed = self._clock()
        if before != self.last_error:
            _log.warning("configurations not kept: %s", self.last_error)

    # --- one pass ------------------------------------------------------------------------------------------------

    def _pass(self, leader: bool) -> None:
        if self.leaving:
            self._remove_all()  # whoever is left: there may be no leader any more
            return
        record = records.read(self._cluster, self._namespace)
        if record is None:
            # Taken away while we know better: what somebody deleted must not come back by it.
            record = replace(self._record, version="") if self._record is not None else Record()
        owner = self._owner() if leader else None
        wanted = self._make(self._bundle) if self._bundle is not None and record.enabled else {}
        made = dict(record.made)
        self._tell({kind: self._keep(kind, wanted.get(kind), record, owner, made, leader) for kind in PATHS})
        after = replace(record, made=made, owner=text_of(owner or {}, "uid") or record.owner)
        if leader and (after != record if record.version else bool(made) or not record.enabled):
            after = records.write(self._cluster, self._namespace, after, owner)
        self._record = after
        if leader and self._bundle is not None:
            self._also(self._bundle, True)

    def _keep(
        self,
        kind: str,
        wanted: Mapping[str, Any] | None,
        record: Record,
        owner: Mapping[str, Any] | None,
        made: dict[str, str],
        leader: bool,
    ) -> State:
        """One configuration; `made` is told of it."""
        found = self._get(kind)
        if found is not None and not ours(found, record.made.get(kind, "")):
            return "foreign"
        if not record.enabled or (wanted is None and self._bundle is not None):
            if found is not None and leader:
                self._delete(kind, text_of(metadata_of(found), "uid"))
            made.pop(kind, None)
            return "unused" if record.enabled else "off"
        if found is None and record.taken_away(kind, text_of(owner or {}, "uid")):
            made[kind] = DELETED
            return "deleted"
        if found is None and (wanted is None or not leader or not self._ready()):
            return "wanted"
        if wanted is not None and leader:
            should = owned(wanted, owner)
            found = self._create(kind, should) if found is None else self._repair(kind, found, should)
            self._written[kind] = version(found), should
        made[kind] = text_of(metadata_of(found or {}), "uid")
        return "kept"

    def _create(self, kind: str, should: Mapping[str, Any]) -> Object:
        found = self._cluster.create(PATHS[kind], should)
        self._happened("DoorOpened", f"{kind} {NAME} was made: the API server asks from now on", False)
        return found

    def _repair(self, kind: str, found: Object, should: Mapping[str, Any]) -> Object:
        written, before = self._written.get(kind, ("", None))
        what = differences(found, should)
        # What the API server itself writes otherwise stays as it wrote it.
        if not what or (written == version(found) and before == should):
            return found
        drifted = before == should
        if drifted and self._calm(kind):
            return found
        now = self._cluster.call("PUT", f"{PATHS[kind]}/{NAME}", {"fieldManager": "stateward"}, body=merged(found, should))
        if drifted:
            self.repairs += 1
            self._happened("DoorRepaired", f"{kind} {NAME}: {what} was changed{by(found)} and is as before", True)
        else:
            _log.info("%s %s made anew: %s", kind, NAME, what)
        return now

    def _calm(self, kind: str) -> bool:
        """Whether a repair has to wait: somebody undoes them."""
        now = self._clock()
        last, wait = self._repaired.get(kind, (-CALM, 0.0))
        if now - last < wait:
            return True
        self._repaired[kind] = (now, min(CALM, max(1.0, wait * 2)) if now - last < 2 * CALM else 0.0)
        return False

    def _tell(self, states: dict[str, State]) -> None:
        for kind, state in states.items():
            before = self.states.get(kind)
            if state != before and state == "deleted" and self._is_leader():
                self._happened(
                    "DoorTakenAway",
                    f"{kind} {NAME} was deleted: nothing is judged there; it stays so until: stateward enable",
                    True,
                )
            if state != before and state == "foreign":
                self._happened(
                    "DoorForeign",
                    f"{kind} {NAME} has no label {MANAGED_BY}={MANAGER}: it is somebody else's and left as it is; "
                    "rename or delete it",
                    True,
                )
        self.states = states

    # --- calls ---------------------------------------------------------------------------------------------------

    def _get(self, kind: str) -> Object | None:
        return self._cluster.find(f"{PATHS[kind]}/{NAME}")

    def _delete(self, kind: str, uid: str) -> None:
        try:
            self._cluster.delete(f"{PATHS[kind]}/{NAME}", {"preconditions": {"uid": uid}})
        except ClusterError as error:
            if error.status != 404:
                raise

    def _remove_all(self) -> None:
        for kind in PATHS:
            found = self._get(kind)
            if found is not None and ours(found):
                self._delete(kind, text_of(metadata_of(found), "uid"))
                _log.warning("removed %s %s: namespace %s is being deleted", kind, NAME, self._namespace)
        self.states = dict.fromkeys(PATHS, "off")
