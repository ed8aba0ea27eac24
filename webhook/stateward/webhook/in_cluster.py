"""An installed door: everything that runs beside the server, put together and taken apart in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stateward.kube import converting, mutating
from stateward.kube.client import Cluster, path_of
from stateward.kube.configurations import Keeper, State
from stateward.kube.declared import Needed, needed
from stateward.kube.errors import ClusterError
from stateward.kube.installed import VALIDATING, Door, configurations, missing
from stateward.kube.lease import Leader
from stateward.kube.own_events import OwnEvents
from stateward.kube.registration import FailurePolicy
from stateward.kube.rights import SECRET
from stateward.kube.shaped import Plural, shaped
from stateward.kube.watcher import ClusterWatch
from stateward.policies.adapters.catalogue import ADAPTERS, BUILT_IN
from stateward.policies.modes import Mode
from stateward.policies.mutations import MUTATIONS
from stateward.policies.policy import DEFAULT, Policy
from stateward.policies.rules import RULES
from stateward.policies.view import metadata_of, text_of
from stateward.webhook.app import App
from stateward.webhook.certificates import MountedCertificates
from stateward.webhook.certificates_in_cluster import ClusterCertificates
from stateward.webhook.cluster import known_crds, served_by
from stateward.webhook.cluster_policy import POLICY, ClusterPolicy
from stateward.webhook.logs import line
from stateward.webhook.probes import Probes
from stateward.webhook.readiness import Readiness
from stateward.webhook.server import ServeError

NAME: Final = "stateward"
"""Of the Deployment, the Service, the ClusterRole and the Lease."""
NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_log = logging.getLogger("stateward.webhook")

Certificates = ClusterCertificates | MountedCertificates


@dataclass(frozen=True, slots=True)
class Installation:
    """What an installed door is told of itself."""

    namespace: str
    service: str = NAME
    port: int = 443
    identity: str = NAME
    """The pod's name."""
    policy: str = NAME
    """The WardPolicy that is followed."""
    mode: Mode = "audit"
    """Of a policy that says nothing of it."""
    failure_policy: FailurePolicy | None = None
    """None: Fail where the mode is deny, else Ignore: what refuses nothing holds nothing up."""
    secret: str = SECRET

    @property
    def names(self) -> tuple[str, ...]:
        """What the API server and people call the Service."""
        within = f"{self.service}.{self.namespace}"
        return (f"{within}.svc", within, f"{within}.svc.cluster.local", self.service)

    @property
    def door(self) -> Door:
        """Where the API server finds it."""
        return Door(self.namespace, self.service, self.port)

    def failure_policy_in(self, policy: Policy) -> FailurePolicy:
        """What becomes of guarded writes that nobody answers for."""
        return self.failure_policy or ("Fail" if policy.mode == "deny" else "Ignore")


class Wanted:
    """What the configurations should be, made anew where CRDs or the policy are others."""

    def __init__(
        self,
        cluster: Cluster,
        watch: ClusterWatch,
        installation: Installation,
        policy: ClusterPolicy,
    ) -> None:
        self._cluster = cluster
        self._watch = watch
        self._installation = installation
        self._policy = policy
        self._defined: object = None
        self._shaped: tuple[Plural, ...] = ()
        self._lacking: object = None

    def changed(self) -> object:
        """Something else whenever they may be something else; from memory."""
        return known_crds(self._watch), id(self._policy.policy)

    def make(self, bundle: bytes) -> Mapping[str, Mapping[str, Any]]:
        """Kind → configuration. Raises ClusterError, and ValueError as long as the policy may yet be another."""
        if not self._policy.settled:
            raise ValueError(f"WardPolicy {self._policy.name} is not read yet")
        now = known_crds(self._watch)
        if now is None or now != self._defined:
            self._shaped = shaped(self._cluster)  # every schema is read for it
            self._defined = now
        policy = self._policy.policy
        rules = (*RULES, *policy.user_rules)
        served = served_by(self._cluster)
        self._warn(missing(policy.user_rules, ADAPTERS, served) if policy.user_rules else {})
        return configurations(
            self._installation.door,
            bundle,
            rules,
            ADAPTERS,
            failure_policy=self._installation.failure_policy_in(policy),
            served=served,
            shaped=self._shaped,
            mutating=lambda client_for: mutating.webhooks(
                client_for, policy=policy, own_namespace=self._installation.namespace
            ),
        )

    def _warn(self, lacking: Mapping[str, tuple[str, ...]]) -> None:
        if lacking != self._lacking:
            for rule, kinds in lacking.items():
                _log.warning(line("kind-not-served", rule=rule, kinds=",".join(kinds), until="its CRD is there"))
        self._lacking = lacking


@contextmanager
def account(kubeconfig: str | None, context: str | None) -> Iterator[Cluster]:
    """The API server, as the service account of the pod (or of a kubeconfig). Raises ServeError."""
    try:
        cluster = Cluster.from_kubeconfig(kubeconfig, context) if kubeconfig is not None else Cluster.in_cluster()
    except ClusterError as error:
        raise ServeError(str(error)) from None
    try:
        yield cluster
    finally:
        cluster.close()


@contextmanager
def watching(cluster: Cluster) -> Iterator[ClusterWatch]:
    """Reads what rules and adapters look at, and the policy."""
    watch = ClusterWatch(cluster, _needed(DEFAULT)).start()
    try:
        yield watch
    finally:
        watch.stop()


def _needed(policy: Policy) -> Needed:
    """What is read under a policy: of the kinds of its own adapters too."""
    return {**needed((*RULES, *MUTATIONS), {**BUILT_IN, **policy.adapters}), POLICY: None}


@dataclass(slots=True)
class Running:
    """What runs beside the server of an installed door; see `opened`."""

    certificates: Certificates
    policy: ClusterPolicy
    keeper: Keeper
    leader: Leader
    watch: ClusterWatch
    readiness: Readiness
    apps: list[App]

    def serve(self, app: App, port: int) -> None:
        """An application is served on a port of this machine: its policy is the cluster's from now on."""
        self.apps.append(app)
        app.use(self.policy.policy)
        if isinstance(self.certificates, ClusterCertificates):
            self.certificates.at = ("127.0.0.1", port)

    def probes(self) -> Probes:
        """What it says of itself, from memory."""
        return Probes(
            ages=self.watch.view.ages,
            unknown=self.watch.unknown,
            certificates=self._expiries,
            handshake_failures=self._handshake_failures,
            registered=lambda: _registered(self.keeper.states),
            leader=self.leader.is_leader,
            policy_errors=lambda: [self.policy.problem] if self.policy.problem else [],
            policy_name=lambda: self.policy.name if self.policy.generation else "",
        )

    def _expiries(self) -> dict[str, float]:
        now = time.time()
        return {name: now + seconds for name, seconds in self.certificates.expiries().items()}

    def _handshake_failures(self) -> int | None:
        return self.certificates.handshake_failures if isinstance(self.certificates, ClusterCertificates) else None

    def ready(self) -> tuple[bool, str]:
        """Whether reviews should be sent here, and if not, why not. No I/O."""
        if isinstance(self.certificates, ClusterCertificates):
            good, reason = self.certificates.ready()
            if not good:
                return False, reason
        good, reason = self.readiness()
        if good and not self.policy.settled:
            return False, f"WardPolicy {self.policy.name} is not read yet"
        return good, reason


@contextmanager
def opened(
    cluster: Cluster,
    watch: ClusterWatch,
    installation: Installation,
    *,
    folder: Path | None = None,
    client_ca: bytes = b"",
) -> Iterator[Running]:
    """Leader, policy, certificates and configurations of an installed door. Raises ServeError and CertificateError.

    `folder`: certificates from there instead of the Secret. `client_ca`: whose certificates callers may show
    (PEM). At the end the configurations stay: other replicas answer.
    """
    apps: list[App] = []

    def swap(policy: Policy) -> None:
        watch.need(_needed(policy))
        for app in apps:
            app.use(policy)

    events = OwnEvents(cluster, installation.namespace, NAME, installation.identity)
    leader = Leader(cluster, installation.namespace, NAME, installation.identity)
    policy = ClusterPolicy(
        cluster,
        watch.view,
        installation.policy,
        installation.mode,
        swap,
        is_leader=leader.is_leader,
        happened=events,
    )

    wanted = Wanted(cluster, watch, installation, policy)
    keeper = Keeper(
        cluster,
        installation.namespace,
        watch.view,
        wanted.make,
        is_leader=leader.is_leader,
        ready=lambda: running is not None and running.ready()[0],
        changed=wanted.changed,
        owner=lambda: _owner(cluster),
        also=lambda bundle, write: converting.publish(cluster, installation.door, bundle, write=write),
        happened=events,
    )
    running: Running | None = None
    with ExitStack() as stack:
        for one in (leader, policy):
            one.start()
            stack.callback(one.stop)
        certificates = stack.enter_context(_certificates(cluster, installation, folder, client_ca, leader, keeper))
        running = Running(certificates, policy, keeper, leader, watch, Readiness(watch), apps)
        keeper.start()
        stack.callback(keeper.stop)
        yield running


@contextmanager
def _certificates(
    cluster: Cluster, installation: Installation, folder: Path | None, client_ca: bytes, leader: Leader, keeper: Keeper
) -> Iterator[Certificates]:
    """From a mounted folder, which somebody else writes, or from the Secret."""
    if folder is not None:
        with MountedCertificates(folder, installation.names, client_ca=client_ca) as mounted:
            mounted.bundle_changed = keeper.publish
            keeper.offered = lambda: mounted.bundle  # none there: callers know already whom to trust
            yield mounted
        return
    with ClusterCertificates(
        cluster,
        installation.namespace,
        installation.secret,
        installation.names,
        is_leader=leader.is_leader,
        publish=keeper.publish,
        client_ca=client_ca,
    ) as kept:
        keeper.offered = lambda: kept.bundle or None
        yield kept


def _registered(states: Mapping[str, State]) -> bool | None:
    """Whether the API server asks; None where nobody has looked yet."""
    return states[VALIDATING] == "kept" if VALIDATING in states else None


def _owner(cluster: Cluster) -> Mapping[str, Any] | None:
    """The ClusterRole of the installation: where it goes, the garbage collector takes the configurations along."""
    path = path_of("apis", "rbac.authorization.k8s.io", "v1", "clusterroles", NAME)
    try:
        found = cluster.get(path)
    except ClusterError as error:
        if error.status in (403, 404):
            return None
        raise
    uid = text_of(metadata_of(found), "uid")
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": NAME, "uid": uid}


def own_namespace() -> str:
    """The namespace of this pod. Raises ServeError."""
    try:
        return NAMESPACE_FILE.read_text().strip()
    except OSError as error:
        raise ServeError(f"{NAMESPACE_FILE}: {error.strerror}; outside a pod name the namespace with --namespace") from None


def say_started(installation: Installation, cluster: Cluster, port: int) -> None:
    """One line on what runs."""
    _log.info(
        line(
            "serving",
            port=port,
            cluster=cluster.host,
            namespace=installation.namespace,
            service=f"{installation.service}:{installation.port}",
            mode=installation.mode,
            policy=installation.policy,
        )
    )
