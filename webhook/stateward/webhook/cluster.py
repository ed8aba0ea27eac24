"""The door's side of a cluster: what it looks at there, and the registration by which the cluster asks it.

Imported only where a cluster is named: the kubernetes client takes half a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3

from stateward.kube.client import Cluster
from stateward.kube.declared import CRD, needed
from stateward.kube.discovery import Discovery
from stateward.kube.errors import ClusterError
from stateward.kube.registration import FailurePolicy, Scope, Served, configuration, path_to, register, unregister
from stateward.kube.shaped import shaped
from stateward.kube.watcher import ClusterWatch
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.mutations import MUTATIONS
from stateward.policies.rule import Rule
from stateward.policies.rules import RULES
from stateward.policies.view import UNKNOWN, Kind, items_of, mapping_of, metadata_of, text_of
from stateward.webhook.logs import line
from stateward.webhook.readiness import PATIENCE
from stateward.webhook.server import ServeError, trouble

CONFIGURATION: Final = "stateward-serve"
"""What a door that comes and goes is registered as: not the name of an installed Stateward, which must outlive it."""
FOLLOW: Final = 2.0
"""Seconds between two looks at which CRDs there are; the looks are at what is in memory."""

_log = logging.getLogger("stateward.webhook")

Say = Callable[[str], None]


@contextmanager
def connected(kubeconfig: str, context: str | None) -> Iterator[Cluster]:
    """A cluster that answers, as the kubeconfig's user. Raises ServeError."""
    # A kubeconfig with insecure-skip-tls-verify says so knowingly; a warning at each call would bury the log.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        cluster = Cluster.from_kubeconfig(kubeconfig, context)
    except ClusterError as error:
        raise ServeError(str(error)) from None
    try:
        try:
            cluster.get("/version")
        except ClusterError as error:
            raise ServeError(str(error)) from None
        yield cluster
    finally:
        cluster.close()


@contextmanager
def watching(cluster: Cluster) -> Iterator[ClusterWatch]:
    """Reads what rules and adapters look at, and goes on reading."""
    watch = ClusterWatch(cluster, needed((*RULES, *MUTATIONS), ADAPTERS)).start()
    try:
        yield watch
    finally:
        watch.stop()


@contextmanager
def registered(
    cluster: Cluster,
    watch: ClusterWatch,
    *,
    base: str,
    url: str,
    bundle: bytes,
    failure_policy: FailurePolicy,
    given_up: Callable[[], bool],
    say: Say,
    warn: Say,
    user_rules: Sequence[Rule] = (),
) -> Iterator[None]:
    """The cluster asks at `url` while this holds: from when the door knows what it needs and answers at `base`.

    Waits `PATIENCE` seconds at most for what is needed, or until `given_up`, and then does not register. Registering
    twice replaces; whoever was replaced removes nothing. Registers anew when kinds come that are judged by their shape.
    Raises ServeError where it cannot; a registration that cannot be removed is said through `warn`.
    """

    def make() -> dict[str, Any]:
        return configuration(
            (*RULES, *user_rules),
            ADAPTERS,
            name=CONFIGURATION,
            url=url,
            ca_bundle=bundle,
            failure_policy=failure_policy,
            served=served_by(cluster),
            shaped=shaped(cluster),
        )

    try:
        before = known_crds(watch)
        wanted = make()
    except (ValueError, ClusterError) as error:
        raise ServeError(f"not registered: {error}") from None
    until = time.monotonic() + PATIENCE
    while not given_up() and not watch.wait_synced(0.2) and time.monotonic() < until:
        pass
    if given_up():
        yield
        return
    for why in watch.unknown().values():
        warn(f"warning: {why}; rules that look there warn instead of judging")
    parts = urlsplit(base)
    reason = trouble(parts.hostname or "", parts.port or 0, bundle)
    if reason:
        raise ServeError(f"not registered: {reason}")
    try:
        try:
            register(cluster, wanted)
        except ClusterError as error:
            raise ServeError(f"not registered: {error}") from None
        say(f"  registered    {CONFIGURATION} asks {url} (failurePolicy: {failure_policy})")
        with _followed(cluster, watch, make, wanted, before, url):
            yield
    finally:
        # Also where registering failed: an answer that was lost may have been a yes.
        _remove(cluster, url, say, warn)


@contextmanager
def _followed(
    cluster: Cluster,
    watch: ClusterWatch,
    make: Callable[[], dict[str, Any]],
    wanted: dict[str, Any],
    before: object,
    url: str,
) -> Iterator[None]:
    """The registration is made anew while this holds, when CRDs come, go or change and it would be another."""
    ended = threading.Event()

    def follow() -> None:
        known, there = before, wanted
        while not ended.wait(FOLLOW):
            now = known_crds(watch)
            if now == known:
                continue
            try:
                changed = make()
                if changed != there and not ended.is_set() and _asked(cluster) == [url]:
                    register(cluster, changed)
                    _log.info(line("registered-anew", rules=len(changed["webhooks"][0]["rules"])))
            except (ValueError, ClusterError) as error:
                _log.warning(line("not-registered-anew", reason=str(error)))
                continue  # and again, as long as it differs
            known, there = now, changed

    thread = threading.Thread(target=follow, name="follow CRDs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def known_crds(watch: ClusterWatch) -> object:
    """Which CRDs there are, and in which state their specifications are."""
    found = watch.view.select(CRD)
    if found is UNKNOWN:
        return None
    return frozenset((text_of(metadata, "uid"), metadata.get("generation")) for metadata in map(metadata_of, found))


def _asked(cluster: Cluster) -> list[str]:
    """Whom the configuration of our name asks."""
    found = cluster.get(path_to(CONFIGURATION))
    return [text_of(mapping_of(webhook, "clientConfig"), "url") for webhook in items_of(found, "webhooks")]


def served_by(cluster: Cluster) -> Served:
    """Which resource a kind is that only the policy names."""
    discovery = Discovery(cluster)

    def served(kind: Kind) -> tuple[str, str, Scope] | None:
        found = discovery.resource(kind)
        return None if found is None else (found.group, found.plural, "Namespaced" if found.namespaced else "Cluster")

    return served


def _remove(cluster: Cluster, url: str, say: Say, warn: Say) -> None:
    try:
        asked = _asked(cluster)
        if asked != [url]:
            say(f"  registered    {CONFIGURATION} asks {', '.join(asked) or 'nobody'} by now; left as it is")
        elif unregister(cluster, CONFIGURATION):
            say(f"  unregistered  {CONFIGURATION}")
    except ClusterError as error:
        if error.status == 404:
            return
        warn(f"error: {CONFIGURATION} may still be registered: {error}")
        warn(f"error: remove it: kubectl delete validatingwebhookconfiguration {CONFIGURATION}")
