"""Takes an installation away: what the API server asks first, then the rest. Works with every pod of it dead, and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from stateward.kube import record
from stateward.kube.client import Cluster, path_of
from stateward.kube.definition import GROUP
from stateward.kube.errors import ClusterError
from stateward.kube.installed import NAME, PATHS
from stateward.kube.registration import OURS
from stateward.kube.rights import READER, SECRET
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

Say = Callable[[str], None]

_RBAC: Final = ("apis", "rbac.authorization.k8s.io", "v1")
_OWN: Final = ("app.kubernetes.io/name", "stateward")


def asking(cluster: Cluster) -> Iterator[tuple[str, str, Object]]:
    """Path, title and object of every configuration of ours. Raises ClusterError."""
    for kind, path in PATHS.items():
        listed = cluster.get(path, {"labelSelector": OURS})
        for item in items_of(listed, "items"):
            name = text_of(metadata_of(item), "name")
            yield f"{path}/{name}", f"{kind.lower()}/{name}", item


def stop_asking(cluster: Cluster, say: Say, dry_run: bool) -> int:
    """Removes the configurations; how many. Raises ClusterError."""
    count = 0
    for path, title, item in list(asking(cluster)):
        count += _remove(cluster, path, title, say, dry_run, item)
    return count


def remove_rest(cluster: Cluster, namespace: str, say: Say, warn: Say, dry_run: bool) -> bool:
    """Removes everything else; whether nothing was refused. What is not Stateward's by its label is left."""
    good = True
    for path, title in _rest(namespace):
        try:
            found = cluster.get(path)
            if mapping_of(metadata_of(found), "labels").get(_OWN[0]) != _OWN[1] and title not in _UNLABELLED:
                say(f"left     {title}: it has no label {_OWN[0]}={_OWN[1]}")
                continue
            _remove(cluster, path, title, say, dry_run, found)
        except ClusterError as error:
            if error.status != 404:
                warn(f"error: {title}: {error}")
                good = False
    return good


def services(cluster: Cluster) -> list[str]:
    """`prod/orders` of each StatefulService that there is. Raises ClusterError."""
    return [
        f"{text_of(metadata_of(one), 'namespace')}/{text_of(metadata_of(one), 'name')}"
        for one in _every(cluster, "statefulservices")
    ]


def remove_kinds(cluster: Cluster, say: Say, dry_run: bool) -> None:
    """Removes the CRDs and with them every object of these kinds. Raises ClusterError.

    Who held on to services and backups is gone by now, so nobody else takes its finalizers off.
    """
    for plural in (*_OPERATED, "wardpolicies", "wardwaivers"):
        name = f"{plural}.{GROUP}"
        path = path_of("apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions", name)
        try:
            crd = cluster.get(path)
            if plural in _OPERATED and not dry_run:
                for one in _every(cluster, plural):
                    _let_go(cluster, plural, one)
            _remove(cluster, path, f"customresourcedefinition/{name}", say, dry_run, crd)
        except ClusterError as error:
            if error.status != 404:
                raise


def _every(cluster: Cluster, plural: str) -> list[Object]:
    """All objects of one of the operator's kinds; none where the kind is not served."""
    try:
        listed = cluster.get(path_of("apis", GROUP, "v1beta1", plural))
    except ClusterError as error:
        if error.status != 404:
            raise
        return []
    return list(items_of(listed, "items"))


def _let_go(cluster: Cluster, plural: str, item: Object) -> None:
    metadata = metadata_of(item)
    found = metadata.get("finalizers")
    several = [str(one) for one in found] if isinstance(found, list) else []
    others = [one for one in several if not one.startswith(f"{GROUP}/")]
    if others == several:
        return
    namespace, name = text_of(metadata, "namespace"), text_of(metadata, "name")
    path = path_of("apis", GROUP, "v1beta1", "namespaces", namespace, plural, name)
    known = {"uid": text_of(metadata, "uid"), "resourceVersion": text_of(metadata, "resourceVersion")}
    cluster.patch(path, {"metadata": {**known, "finalizers": others}}, field_manager=NAME)


_OPERATED: Final = ("servicebackups", "servicerestores", "statefulservices")
_OPERATOR: Final = f"{NAME}-operator"
# Made while it runs, by nobody who labels them.
_UNLABELLED: Final = (f"lease/{NAME}", f"lease/{_OPERATOR}", f"secret/{SECRET}")


def _rest(namespace: str) -> Iterator[tuple[str, str]]:
    """Path and title, in this order: who could write first."""
    within = ("namespaces", namespace)
    for name in (_OPERATOR, NAME):
        yield path_of("apis", "apps", "v1", *within, "deployments", name), f"deployment/{name}"
        yield path_of("apis", "policy", "v1", *within, "poddisruptionbudgets", name), f"poddisruptionbudget/{name}"
        yield path_of("apis", "networking.k8s.io", "v1", *within, "networkpolicies", name), f"networkpolicy/{name}"
        yield path_of("apis", "monitoring.coreos.com", "v1", *within, "servicemonitors", name), f"servicemonitor/{name}"
        yield path_of("apis", "monitoring.coreos.com", "v1", *within, "prometheusrules", name), f"prometheusrule/{name}"
        yield path_of("api", "v1", *within, "services", name), f"service/{name}"
        yield path_of("apis", "coordination.k8s.io", "v1", *within, "leases", name), f"lease/{name}"
    yield path_of("api", "v1", *within, "secrets", SECRET), f"secret/{SECRET}"
    for name in (_OPERATOR, NAME, READER):
        yield path_of("api", "v1", *within, "serviceaccounts", name), f"serviceaccount/{name}"
    for name in (_OPERATOR, NAME):
        yield path_of(*_RBAC, *within, "rolebindings", name), f"rolebinding/{name}"
        yield path_of(*_RBAC, *within, "roles", name), f"role/{name}"
    for name in (_OPERATOR, f"{_OPERATOR}-cluster", NAME, f"{NAME}-more", READER):
        yield path_of(*_RBAC, "clusterrolebindings", name), f"clusterrolebinding/{name}"
        yield path_of(*_RBAC, "clusterroles", name), f"clusterrole/{name}"
    # Last: as long as it says "disabled", nobody makes the configurations again.
    yield record.path_to(namespace), f"configmap/{record.NAME}"


def _remove(cluster: Cluster, path: str, title: str, say: Say, dry_run: bool, item: Object) -> int:
    """1 where it was there. What was looked at is what is deleted, not what somebody puts there meanwhile."""
    if not dry_run:
        options: dict[str, Any] = {
            "preconditions": {"uid": text_of(metadata_of(item), "uid")},
            "propagationPolicy": "Background",
        }
        try:
            cluster.delete(path, options)
        except ClusterError as error:
            if error.status == 404:
                return 0
            raise
    say(f"{'would remove' if dry_run else 'removed '} {title}")
    return 1
