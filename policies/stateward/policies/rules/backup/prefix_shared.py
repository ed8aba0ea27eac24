"""SW504: a fixed backup prefix in what all clusters share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.paths import dig
from stateward.policies.rule import objects, rule
from stateward.policies.settings import address
from stateward.policies.view import UNKNOWN, Sight, accuses, mapping_of

_CONFIGURATION: Final = "OperatorConfiguration.acid.zalan.do"
_CLUSTER: Final = "postgresql.acid.zalan.do"
PREFIXES: Final = frozenset(
    ("WALG_S3_PREFIX", "WALE_S3_PREFIX", "WALG_GS_PREFIX", "WALE_GS_PREFIX", "WALG_AZ_PREFIX", "WALG_SSH_PREFIX",
     "WALG_FILE_PREFIX", "WALG_SWIFT_PREFIX")
)  # fmt: skip


@rule(
    id="SW504",
    name="prefix-shared",
    summary="A fixed backup prefix is written into the environment that all clusters share",
    why="Spilo adds the cluster's name to a bucket, not to a prefix. With one prefix for all, every cluster writes its base "
    "backups and WAL into one directory, and none of them can be restored.",
    remedy="Name the bucket (WAL_S3_BUCKET) and let Spilo make a prefix for each cluster.",
    source="zalando/spilo ENVIRONMENT.rst: WALG_S3_PREFIX, WAL_S3_BUCKET; postgres-operator: pod_environment_configmap",
    nature="transition",
    judges=objects("ConfigMap", on=("CREATE", "UPDATE")),
    looks_at=(accuses(_CONFIGURATION, "configuration.kubernetes"), accuses(_CLUSTER, "spec")),
    loses_data=True,
)
def prefix_shared(change: Change, see: Sight) -> Iterator[Finding]:
    """The ConfigMap that the Zalando operator puts into every pod, while it runs more than one cluster."""
    request = change.request
    before, after = mapping_of(request.old or {}, "data"), mapping_of(request.object or {}, "data")
    named = [key for key in after if key in PREFIXES and before.get(key) != after[key] and "$" not in str(after[key])]
    if not named:
        return
    configurations = see.select(_CONFIGURATION)
    for configuration in configurations if configurations is not UNKNOWN else ():
        used = dig(configuration, ("configuration", "kubernetes", "pod_environment_configmap"))
        if used not in (f"{request.namespace}/{request.name}", request.name):
            continue
        clusters = see.select(_CLUSTER)
        count = len(clusters) if clusters is not UNKNOWN else 0
        if count < 2:
            continue
        yield Finding(
            field=("data", named[0]),
            text=f'"{address(str(after[named[0]]))}" is one prefix for all {count} clusters',
            why="all of them write base backups and WAL into one directory: none can be restored from it",
            remedy="take it out and set WAL_S3_BUCKET, which gets the cluster's name added",
            subject=named[0],
        )
        return
