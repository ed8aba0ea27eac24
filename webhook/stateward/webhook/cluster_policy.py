"""The policy of an installed door: a WardPolicy of its cluster, exchanged while it serves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.modes import Mode
from stateward.policies.policy import API_VERSION, DEFAULT, KIND, Policy, PolicyError, parse
from stateward.policies.rules import RULES
from stateward.policies.view import UNKNOWN, Kind, Object, View, items_of, mapping_of, metadata_of, text_of
from stateward.webhook.logs import line
from stateward.webhook.readiness import PATIENCE

POLICY: Final[Kind] = f"{KIND}.{API_VERSION.partition('/')[0]}"
TICK: Final = 0.5
"""Seconds between two looks at what the watch has brought, in memory."""
_LOADED: Final = "Loaded"
_log = logging.getLogger("stateward.webhook")

Happened = Callable[[str, str, bool], None]


def path_to(name: str) -> str:
    """Where a WardPolicy is."""
    return path_of("apis", *API_VERSION.split("/"), "wardpolicies", name)


class ClusterPolicy:
    """Follows one WardPolicy. One that cannot be loaded leaves the former in force, and says so in its status.

    `swap` is given each policy that is loaded, in this object's thread. Without a WardPolicy of the name the built-in
    policy is in force. `mode` is that of a policy that says nothing of it.
    """

    def __init__(
        self,
        cluster: Cluster,
        view: View,
        name: str,
        mode: Mode,
        swap: Callable[[Policy], None],
        *,
        is_leader: Callable[[], bool],
        happened: Happened = lambda *_: None,
    ) -> None:
        self.name = name
        self.policy = replace(DEFAULT, mode=mode)
        self.problem = ""
        """Why the WardPolicy that is there is not the one in force; "" where it is."""
        self._known = False
        self.generation = 0
        """Of the WardPolicy in force; 0 for the built-in one."""
        self._cluster = cluster
        self._view = view
        self._mode = mode
        self._swap = swap
        self._is_leader = is_leader
        self._happened = happened
        self._seen: object = None
        self._told: object = None
        self._until = time.monotonic() + PATIENCE
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow policy", daemon=True)

    @property
    def settled(self) -> bool:
        """Whether it was looked for, or cannot be in time (a right that is missing): then the built-in one has to do."""
        return self._known or time.monotonic() >= self._until

    def start(self) -> ClusterPolicy:
        """Follows it from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Follows it no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.wait(TICK):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001,RUF100 - following never ends
                _log.warning(line("policy-not-followed", reason=str(error) or type(error).__name__))

    def look(self) -> None:
        """Loads what has changed. What is unknown leaves the policy as it is."""
        found = self._view.get(POLICY, "", self.name)
        if found is UNKNOWN:
            return
        item: Object | None = found if type(found) is dict else None
        seen = (text_of(metadata_of(item), "uid"), metadata_of(item).get("generation")) if item is not None else None
        if seen != self._seen:
            self._take(item, seen)
        self._known = True
        if item is not None:
            self._report(item)

    def _take(self, item: Object | None, seen: object) -> None:
        self._seen = seen
        if item is None:
            self._use(replace(DEFAULT, mode=self._mode), 0)
            _log.info(line("policy", loaded="built in", mode=self.policy.mode))
            return
        try:
            policy = parse(item, RULES)
        except PolicyError as error:
            self.problem = " ".join(str(error).split())
            _log.error(line("policy-not-loaded", policy=self.name, reason=self.problem))
            if self._is_leader():
                self._happened("PolicyNotLoaded", f"WardPolicy {self.name}: {self.problem}; the former stays in force", True)
            return
        if "mode" not in mapping_of(item, "spec"):
            policy = replace(policy, mode=self._mode)
        generation = metadata_of(item).get("generation")
        self._use(policy, generation if type(generation) is int else 0)
        _log.info(line("policy", loaded=self.name, profile=policy.title, mode=policy.mode, generation=self.generation))

    def _use(self, policy: Policy, generation: int) -> None:
        ADAPTERS.use(policy.adapters)
        self.policy, self.generation, self.problem = policy, generation, ""
        self._swap(policy)

    # --- status --------------------------------------------------------------------------------------------------

    def _report(self, item: Object) -> None:
        """The leader says in the status whether it is loaded."""
        if not self._is_leader() or self._told == (self._seen, self.problem):
            return
        generation = metadata_of(item).get("generation")
        wanted = self._condition(generation)
        there = next((one for one in items_of(mapping_of(item, "status"), "conditions") if one.get("type") == _LOADED), {})
        same = all(there.get(key) == wanted[key] for key in ("status", "reason", "message", "observedGeneration"))
        if not same:
            if there.get("status") == wanted["status"] and text_of(there, "lastTransitionTime"):
                wanted["lastTransitionTime"] = there["lastTransitionTime"]
            status = {"observedGeneration": generation, "conditions": [wanted]}
            try:
                self._cluster.patch(f"{path_to(self.name)}/status", {"status": status})
            except ClusterError as error:
                if error.status != 404:
                    _log.warning(line("policy-status-not-written", reason=str(error)))
                    return
        self._told = (self._seen, self.problem)

    def _condition(self, generation: object) -> dict[str, Any]:
        bad = bool(self.problem)
        return {
            "type": _LOADED,
            "status": "False" if bad else "True",
            "reason": "Invalid" if bad else "Loaded",
            "message": f"{self.problem}; the former policy stays in force"[:1024] if bad else f"{self.policy.title}",
            "observedGeneration": generation,
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
