"""Whose turn it is: a key of a service, of a backup, or of a restore."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stateward.operator.backup.hub import Hub
from stateward.operator.backup.restoring import Restoring
from stateward.operator.backup.taking import Taking
from stateward.operator.manager import Reconciler
from stateward.operator.service import Key


class Desk:
    """Hands each key to who looks after it."""

    def __init__(self, hub: Hub, services: Reconciler) -> None:
        self._hub = hub
        self._services = services
        self._asked: Mapping[str, Callable[[Key], float | None]] = {
            "ServiceBackup": Taking(hub),
            "ServiceRestore": Restoring(hub),
        }

    def __call__(self, key: Key) -> float | None:
        """Takes at most one step; seconds until the next look. Raises ClusterError."""
        namespace, (kind, slash, name) = key[0], key[1].partition("/")
        if not slash:
            return self._services(key)
        if self._hub.kinds.unsynced():
            return 1.0
        return self._asked[kind]((namespace, name))
