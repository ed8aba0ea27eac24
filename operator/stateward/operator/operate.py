"""Everything that one replica of the operator runs, put together and taken apart in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from stateward.kube.backoff import Timing
from stateward.kube.client import Cluster
from stateward.kube.events import Events
from stateward.kube.lease import Leader
from stateward.operator.backup import kinds
from stateward.operator.backup.desk import Desk
from stateward.operator.backup.hub import RESTIC, Hub
from stateward.operator.context import NAME
from stateward.operator.informer import Informers
from stateward.operator.manager import WORKERS, Manager
from stateward.operator.metrics import Metrics, Page
from stateward.operator.reconcile import Reconcile

LEASE: Final = "stateward-operator"
REPORTER: Final = "stateward.dev/operator"


@dataclass(frozen=True, slots=True)
class Options:
    """What a replica is told of itself."""

    identity: str
    namespace: str
    """Of the Lease."""
    watch: str = ""
    """The only namespace whose services it looks after; "" for all of them."""
    inside: bool = False
    """Whether it runs in a pod of that namespace, so that members have to let that in."""
    host: str = "127.0.0.1"
    port: int = 0
    """Of /metrics, /livez and /readyz; 0 takes a free one."""
    workers: int = WORKERS
    policy: str = NAME
    """The WardPolicy by which changes are judged."""
    restic: str = RESTIC
    """The image that backups are written and read by."""
    timing: Timing | None = None


@dataclass(frozen=True, slots=True)
class Operating:
    """What runs."""

    manager: Manager
    informers: Informers
    leader: Leader
    page: Page

    def waits(self) -> str:
        """Why nothing can be looked at yet; "" where it can."""
        return _unsynced(self.informers)


@contextmanager
def operating(cluster: Cluster, options: Options) -> Iterator[Operating]:
    """Runs until the `with` ends: no further key is taken then, and the Lease is given up last. Raises OSError."""
    metrics = Metrics(lambda: leader.is_leader())
    # Reflectors tell of keys, and what is done with keys looks into what reflectors keep: one of both comes first.
    told: list[Callable[..., None]] = []
    informers = Informers(cluster, lambda keys: told[0](keys), namespace=options.watch, timing=options.timing)
    # Apart from the others: a service is looked after where nobody has applied the kinds of backups.
    archives = Informers(
        cluster, lambda keys: told[0](keys), kinds=kinds.WATCHED, namespace=options.watch, timing=options.timing
    )
    # What one found while it led is not so any more when it leads again.
    leader = Leader(cluster, options.namespace, LEASE, options.identity, changed=lambda _: reconcile.wake())
    events = Events(cluster, options.identity, reporter=REPORTER)
    inside = options.namespace if options.inside else ""
    hub = Hub(cluster, informers, archives, metrics, restic=options.restic)
    reconcile = Reconcile(cluster, informers, metrics, events.tell, namespace=inside, policy=options.policy, hub=hub)
    manager = Manager(
        Desk(hub, reconcile),
        lambda: {*informers.services(), *archives.keys()},
        metrics,
        may_write=leader.is_leader,
        ready=lambda: _unsynced(informers),
        workers=options.workers,
    )
    told.append(manager.changed)
    page = Page(metrics, options.host, options.port, manager.stuck, lambda: _unsynced(informers))
    with ExitStack() as stack:
        stack.callback(page.stop)
        page.start()
        stack.enter_context(leader)
        stack.enter_context(events)
        for one in (informers, archives):
            stack.callback(one.stop)
            one.start()
        stack.callback(manager.stop)
        manager.start()
        yield Operating(manager, informers, leader, page)


def _unsynced(informers: Informers) -> str:
    unknown = informers.unsynced()
    if not unknown:
        return ""
    kind, why = next(iter(unknown.items()))
    return f"{kind} is not known yet: {why}"
