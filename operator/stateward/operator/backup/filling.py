"""Claims that a restore fills: no member may run on them before they are whole."""

from __future__ import annotations

from stateward.kube.client import Cluster
from stateward.operator.apply import RESOURCES
from stateward.operator.backup.kinds import FILLED, FILLING
from stateward.operator.informer import Informers
from stateward.operator.observe import claim_name, claims_of
from stateward.operator.service import Service
from stateward.policies.view import Object, mapping_of, metadata_of, text_of


def unready(cluster: Cluster, look: Informers, item: Object, one: Service, exists: bool) -> str:
    """Why its members cannot be made yet; "" where they can. Raises ClusterError.

    `exists`: whether there is a StatefulSet, whose members run on whatever there is.
    """
    if exists:
        return ""
    claims = claims_of(one, look)
    for claim in claims:
        notes = mapping_of(metadata_of(claim), "annotations")
        if FILLING in notes and FILLED not in notes:
            name = text_of(metadata_of(claim), "name")
            return f"claim {name}: a restore has not filled it; wait for it, or delete the claim if that restore is no more"
    restored = FILLING in mapping_of(metadata_of(item), "annotations")
    if restored and not claims and cluster.find(_path(one)) is not None:
        return "the claim that was restored has not been heard of yet"  # without it the members would found a new cluster
    return ""


def _path(one: Service) -> str:
    return RESOURCES["PersistentVolumeClaim"].path_to(one.namespace, claim_name(one, 0))
