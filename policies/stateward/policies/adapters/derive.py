"""What adapters read that is no single field: an image catalogue, the revision still running, placement, modes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from stateward.policies import images, version
from stateward.policies.engines import recognise
from stateward.policies.model import Placement
from stateward.policies.paths import Path, dig
from stateward.policies.version import Version
from stateward.policies.view import UNKNOWN, Object, Unknown, items_of, mapping_of, metadata_of, text_of, texts_of

if TYPE_CHECKING:
    from stateward.policies.model import Service

_CNPG: Final = "postgresql.cnpg.io"
_HARD: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_SOFT: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def catalog_image(reference: Any, service: Service) -> tuple[str, bool] | Unknown | None:
    """The image that a CloudNativePG `imageCatalogRef` names for its major, and whether its tag tells that major.

    A tag that begins with something else (an extension's version) tells the operator nothing (docs: image_catalog).
    """
    if type(reference) is not dict:
        return UNKNOWN
    kind = text_of(reference, "kind")
    namespace = "" if kind == "ClusterImageCatalog" else service.namespace
    found = service.view.get(f"{kind}.{_CNPG}", namespace, text_of(reference, "name"))
    if found is UNKNOWN or found is None:
        # Without the catalogue the major alone is still known, and it is what decides over a hop.
        major = reference.get("major")
        return (f"catalog:{major}", True) if isinstance(major, int) and not isinstance(major, bool) else UNKNOWN
    for row in items_of(mapping_of(found, "spec"), "images"):
        if row.get("major") == reference.get("major"):
            image = text_of(row, "image")
            tag = version.parse(images.parse(image).tag)
            return image, tag is not None and tag.parts[0] == row.get("major")
    return None


def running_of_set(service: Service) -> Version | None:
    """The version of the revision that a StatefulSet still runs, while a rollout is unfinished.

    `status.currentRevision` names a ControllerRevision with the whole template (Kubernetes API, apps/v1).
    """
    status = service.object.get("status")
    if type(status) is not dict:
        return None
    current, update = text_of(status, "currentRevision"), text_of(status, "updateRevision")
    if not current or current == update:
        return None
    revision = service.view.get("ControllerRevision.apps", service.namespace, current)
    if revision is UNKNOWN or revision is None:
        return None
    spec = dig(revision, ("data", "spec", "template", "spec"))
    said = service.override
    if type(spec) is not dict or said.no_engine:
        return None
    found = recognise.container_of(spec, said.engine) if said.engine is not None else recognise.recognise_pod(spec)
    return found[1].version if found is not None else None


def placement_of_pod(pod: Mapping[str, Any], path: Path) -> Placement:
    """Node selection and spread of a pod's specification. A hard topology spread counts as required."""
    affinity = mapping_of(pod, "affinity")
    anti = mapping_of(affinity, "podAntiAffinity")
    required = [text_of(term, "topologyKey") for term in items_of(anti, _HARD)]
    preferred = [text_of(mapping_of(term, "podAffinityTerm"), "topologyKey") for term in items_of(anti, _SOFT)]
    for constraint in items_of(pod, "topologySpreadConstraints"):
        hard = constraint.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
        (required if hard else preferred).append(text_of(constraint, "topologyKey"))
    tolerations = pod.get("tolerations")
    return Placement(
        node_selector=mapping_of(pod, "nodeSelector"),
        node_affinity=mapping_of(affinity, "nodeAffinity"),
        required=tuple(key for key in required if key),
        apart=tuple(
            (key, mapping_of(term, "labelSelector"))
            for term in items_of(anti, _HARD)
            if (key := text_of(term, "topologyKey")) and not term.get("namespaces")
        ),
        preferred=tuple(key for key in preferred if key),
        tolerations=tolerations if type(tolerations) is list else (),
        path=(*path, "affinity"),
        selector_path=(*path, "nodeSelector") if "nodeSelector" in pod else (*path, "affinity", "nodeAffinity"),
    )


def mode_of_pod(service: Service) -> str:
    """The mode that the engine's environment shows (Kafka: zookeeper or kraft)."""
    profile = service.engine
    if profile is None:
        return ""
    if profile.name == "mariadb" and _is_galera(service.container):
        return "galera"
    if not profile.modes:
        return ""
    names = {text_of(entry, "name"): entry.get("value") for entry in items_of(service.container, "env")}
    for mode, name, value in profile.modes:
        if name in names and (not value or names[name] == value):
            return mode
    return ""


def _is_galera(container: Mapping[str, Any]) -> bool:
    """A Galera image, or a Galera cluster named in the environment or on the command line."""
    if "galera" in images.parse(text_of(container, "image")).name:
        return True
    if any("GALERA_CLUSTER" in text_of(entry, "name") for entry in items_of(container, "env")):
        return True
    return any("wsrep" in word for key in ("command", "args") for word in texts_of(container, key))


def mode_of_strimzi(service: Service) -> str:
    """KRaft by annotation, by the operator's gate (before 0.40) or because nothing is left of ZooKeeper."""
    if service.annotations.get("strimzi.io/kraft") in ("enabled", "migration"):
        return "kraft"
    if mapping_of(service.object, "spec").get("zookeeper") is None:
        return "kraft"
    operators = service.view.select("Deployment.apps")
    if operators is not UNKNOWN:
        for operator in operators:
            if "strimzi" not in text_of(metadata_of(operator), "name"):
                continue
            containers = dig(operator, ("spec", "template", "spec", "containers"))
            for container in containers if type(containers) is list else ():
                if type(container) is dict and any(
                    entry.get("name") == "STRIMZI_FEATURE_GATES" and "+UseKRaft" in str(entry.get("value"))
                    for entry in items_of(container, "env")
                ):
                    return "kraft"
    return "zookeeper"


def mode_of_pool(service: Service) -> str:
    """A pool with controllers is of a KRaft cluster; one without may be of either kind."""
    roles = mapping_of(service.object, "spec").get("roles")
    return "kraft" if type(roles) is list and "controller" in roles else ""


MODES: Final[dict[str, Callable[[Service], str]]] = {"strimzi": mode_of_strimzi, "strimzi-pool": mode_of_pool}


def keeps_data(item: Object) -> bool:
    """Whether a workload keeps data: its pod mounts a claim, or runs an engine that is never run for nothing."""
    pod = dig(item, ("spec", "template", "spec"))
    if type(pod) is not dict:
        return False
    if any("persistentVolumeClaim" in volume for volume in items_of(pod, "volumes")):
        return True
    found = recognise.recognise_pod(pod)
    return found is not None and found[1].strong and not found[1].profile.volatile


TESTS: Final[dict[str, Callable[[Object], bool]]] = {"keeps-data": keeps_data}


def zalando_carries(service: Service) -> str:
    """Whether the Zalando operator upgrades majors in place: `off` is its old default, `manual` and `full` do.

    docs/administrator.md of the operator, major_version_upgrade_mode.
    """
    found = service.view.select("OperatorConfiguration.acid.zalan.do")
    for item in found if found is not UNKNOWN else ():
        mode = dig(item, ("configuration", "major_version_upgrade", "major_version_upgrade_mode"))
        if mode is not None:
            return "operator" if mode in ("manual", "full") else "image"
    return "operator"


CARRIERS: Final[dict[str, Callable[[Service], str]]] = {"zalando": zalando_carries}
