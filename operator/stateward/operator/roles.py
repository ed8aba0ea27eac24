"""The label by which clients reach the member that leads."""

from __future__ import annotations

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.drivers.protocol import Driver
from stateward.operator.objects.common import PRIMARY, REPLICA, ROLE
from stateward.operator.observe import Stand
from stateward.policies.view import Object, mapping_of, metadata_of, text_of


def primary_label(stand: Stand, driver: Driver, service: Object | None) -> str:
    """What the member that leads is labelled with: what a pod carries, else what the Service selects now.

    The engine may label by itself, and its releases differ in the word.
    """
    carried = {_role(pod) for pod in stand.pods.values()}
    if service is not None and not carried.intersection(driver.primary_labels):
        carried = {text_of(mapping_of(mapping_of(service, "spec"), "selector"), ROLE)}
    return next((word for word in driver.primary_labels if word in carried), driver.primary_labels[0])


def unlabel(cluster: Cluster, stand: Stand, driver: Driver) -> None:
    """Takes the label from members that do not answer while another leads. Raises ClusterError.

    An engine that labels by itself cannot do it for a node that is gone, and clients would go on being sent there. One that
    leads all the same labels itself again.
    """
    leading = [name for name, seen in stand.seen.items() if seen.role in driver.leaders]
    if len(leading) != 1:
        return
    for name, pod in stand.pods.items():
        seen = stand.seen.get(name)
        silent = seen is None or seen.healthy is None
        if name != leading[0] and silent and _role(pod) in driver.primary_labels:
            _write(cluster, pod, REPLICA)


def label(cluster: Cluster, stand: Stand, driver: Driver) -> None:
    """Labels pods with what their members say that they are. Raises ClusterError.

    Where two say that they lead none is labelled anew: one of them has not heard of the other yet. A member of which
    nothing is known keeps its label, and loses it once another leads.
    """
    leading = [name for name, seen in stand.seen.items() if seen.role in driver.leaders]
    if len(leading) > 1:
        # One that says of itself that it takes no writes has been left behind.
        leading = [name for name in leading if stand.seen[name].healthy is True]
    if len(leading) != 1:
        return
    # The one that leads no more first: for a moment there is no primary, never two.
    for name, pod in sorted(stand.pods.items(), key=lambda found: found[0] == leading[0]):
        seen = stand.seen.get(name)
        if name == leading[0]:
            _write(cluster, pod, PRIMARY)
        elif (seen is not None and seen.role) or _role(pod) == PRIMARY:
            _write(cluster, pod, REPLICA)


def _role(pod: Object) -> str:
    return text_of(mapping_of(metadata_of(pod), "labels"), ROLE)


def _write(cluster: Cluster, pod: Object, role: str) -> None:
    metadata = metadata_of(pod)
    if _role(pod) == role:
        return
    path = RESOURCES["Pod"].path_to(text_of(metadata, "namespace"), text_of(metadata, "name"))
    try:
        labels = {"metadata": {"uid": text_of(metadata, "uid"), "labels": {ROLE: role}}}
        cluster.patch(path, labels, field_manager=MANAGER)
    except ClusterError as error:
        if error.status not in (404, 409):
            raise
