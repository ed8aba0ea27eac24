"""The Jobs by which backups are taken, looked into, restored and deleted.

Their pods are no members, and carry no label of the service: its Services and its budget would count them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stateward.operator.backup import scripts
from stateward.operator.backup.archive import Archive
from stateward.operator.backup.kinds import owner_of
from stateward.operator.drivers.copying import IMAGE
from stateward.operator.drivers.protocol import Container, Copying
from stateward.operator.objects import restricted
from stateward.operator.objects.common import LABEL, TLS, VOLUME, WAL, Item, secret_config, server_tls
from stateward.operator.objects.workload import mounted
from stateward.operator.observe import claim_name
from stateward.operator.service import Service
from stateward.policies.view import Object, metadata_of, text_of

TRIES: Final = 2
"""How often a pod may fail before its Job has, the first try apart."""
LONGEST: Final = 12 * 3600
"""Seconds that a Job may take."""
KEPT: Final = 3600
"""Seconds that it can be looked at once it has ended: as long as its pod is there, the claims that it used cannot go."""
_REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}
_ZONE: Final = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class Work:
    """What all Jobs have in common."""

    item: Object
    """The ServiceBackup or ServiceRestore that it is for."""
    service: str
    """The name that it is found by."""
    archive: Archive | None
    """None: nothing of it is in a repository."""
    restic: str
    """The image."""
    user: int
    """Who writes: the engine's own, so that it can read what was restored."""

    def take(self, container: Container, one: Service, image: str, copying: Copying, metadata: str, tags: str) -> Item:
        """The engine's tool into a scratch volume, then restic to the destination."""
        mounts = [self._work()]
        volumes: list[Item] = []
        if container.secrets:
            mounts.append({"name": "secrets", "mountPath": container.secrets, "readOnly": True})
            volumes.append({"name": "secrets", "secret": {"secretName": secret_config(one), "defaultMode": 0o440}})
        if container.tls:
            mounts.append({"name": TLS, "mountPath": container.tls, "readOnly": True})
            volumes.append({"name": TLS, "secret": {"secretName": server_tls(one), "defaultMode": 0o440}})
        keys = self._keys(copying)
        dumps = self._several("dump", image, copying.take, [*mounts, *keys[0]], copying.environment)
        uid = text_of(metadata_of(self.item), "uid")
        host = self.archive.folder if self.archive is not None else ""
        told = _pairs({"TAG": f"backup={uid}", "TAGS": tags, "HOST": host, "METADATA": metadata})
        before = [self._restic("open", scripts.OPEN), *dumps]
        return self._job("take", before, self._restic("store", scripts.STORE, told), [*volumes, *keys[1]])

    def inspect(self, snapshot: str) -> Item:
        """Reads what a backup says of itself."""
        return self._job("inspect", [], self._restic("inspect", scripts.INSPECT, _pairs({"SNAPSHOT": snapshot})))

    def fill(self, container: Container, one: Service, image: str, copying: Copying, claim: str, snapshot: str) -> Item:
        """Puts a backup onto the claim of the first member."""
        data = _mounts(container, one)
        told = _pairs({"SNAPSHOT": snapshot, **_folders(container, one)})
        fetch = self._restic("fetch", scripts.FETCH, told)
        fetch["volumeMounts"] += data
        keys = self._keys(copying)
        environment = {**copying.environment, **copying.filling}
        steps = self._several("restore", image, copying.restore, [self._work(), *data, *keys[0]], environment)
        volumes = [*_held(one, claim), *keys[1]]
        made = self._job("fill", [fetch, *steps[:-1]], steps[-1], volumes)
        made["spec"]["template"]["spec"] |= {**dict(one.placement), **_within(one)}
        return made

    def adopt(self, container: Container, one: Service, image: str, commands: Sequence[Sequence[str]],
              environment: Mapping[str, str], copied: str, claim: str = "") -> Item:  # fmt: skip
        """Makes data of a member's volume that was copied onto the claim `copied`, on another; without one on trial."""
        data = _mounts(container, one)
        wipe = self._container("wipe", self.restic, ["sh", "-c", scripts.WIPE], data, _pairs(_folders(container, one)))
        mounts = [*data, {"name": "image", "mountPath": IMAGE, "readOnly": True}]
        steps = [
            self._container(f"restore-{number}", image, command, mounts, _pairs(environment))
            for number, command in enumerate(commands)
        ]
        volumes = [*_held(one, claim), {"name": "image", "persistentVolumeClaim": {"claimName": copied}}]
        made = self._job("fill" if claim else "try", [wipe, *steps[:-1]], steps[-1], volumes)
        made["spec"]["template"]["spec"] |= {**dict(one.placement), **_within(one)}
        return made

    def forget(self, image: str = "", copying: Copying | None = None) -> Item:
        """Deletes what was written for a ServiceBackup; first what the engine's own tool has written elsewhere."""
        last = self._restic("forget", scripts.FORGET, _pairs({"TAG": f"backup={text_of(metadata_of(self.item), 'uid')}"}))
        if copying is None or not copying.forget:
            return self._job("forget", [], last)
        keys, environment = self._keys(copying), {**copying.environment, **copying.filling}
        before = self._several("expire", image, copying.forget, [self._work(), *keys[0]], environment)
        return self._job("forget", before, last, keys[1])

    # --- their parts ---------------------------------------------------------------------------------------------

    def _job(self, purpose: str, before: Sequence[Item], last: Item, volumes: Sequence[Item] = ()) -> Item:
        metadata = metadata_of(self.item)
        labels = {"app.kubernetes.io/managed-by": "stateward", "app.kubernetes.io/component": purpose}
        pod = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": restricted.of_pod(self.user),
            "initContainers": list(before),
            "containers": [last],
            "volumes": [{"name": "work", "emptyDir": {}}, *self._repository(), *volumes],
        }
        opening = (before[0] if before else last)["name"]
        named = dict.fromkeys((opening, last["name"]))
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name_of(self.item, purpose),
                "namespace": text_of(metadata, "namespace"),
                "labels": {**labels, LABEL: self.service},
                "ownerReferences": [owner_of(self.item)],
            },
            "spec": {
                "backoffLimit": TRIES,
                "activeDeadlineSeconds": LONGEST,
                "ttlSecondsAfterFinished": KEPT,
                "podFailurePolicy": restricted.failures(named, scripts.HOPELESS),
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }

    def _several(
        self, name: str, image: str, commands: Sequence[Sequence[str]], mounts: Sequence[Item], more: Mapping[str, str]
    ) -> list[Item]:
        """The engine's commands, which are told whose backup it is."""
        told = _pairs({**more, "BACKUP": text_of(metadata_of(self.item), "uid")})
        return [self._container(f"{name}-{number}", image, command, mounts, told) for number, command in enumerate(commands)]

    def _keys(self, copying: Copying) -> tuple[list[Item], list[Item]]:
        """What opens the place where the engine's own tool writes: mounts, volumes."""
        if copying.keys is None:
            return [], []
        return [{"name": "keys", "mountPath": copying.keys.folder, "readOnly": True}], [mounted(copying.keys)]

    def _work(self) -> Item:
        return {"name": "work", "mountPath": scripts.WORK}

    def _repository(self) -> list[Item]:
        return self.archive.volumes() if self.archive is not None else []

    def _restic(self, name: str, script: str, more: Sequence[Item] = ()) -> Item:
        if self.archive is None:
            raise ValueError("a repository is wanted")
        environment = [
            *self.archive.environment(),
            *_pairs(
                {
                    "WORK": scripts.WORK,
                    "HOME": scripts.WORK,
                    "TMPDIR": scripts.WORK,
                    "RESTIC_CACHE_DIR": f"{scripts.WORK}/cache",
                    "SECRET": self.archive.secret,
                }
            ),
            *more,
        ]
        mounts = [self._work(), *self.archive.mounts()]
        return self._container(name, self.restic, ["sh", "-c", script], mounts, environment)

    def _container(
        self, name: str, image: str, command: Sequence[str], mounts: Sequence[Item], environment: Sequence[Item]
    ) -> Item:
        return {
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": list(command),
            "env": list(environment),
            "resources": {"requests": dict(_REQUESTS)},
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": restricted.of_container(),
            "volumeMounts": list(mounts),
        }


def name_of(item: Object, purpose: str) -> str:
    """Of a Job: the same for the same object, whoever makes it."""
    metadata = metadata_of(item)
    return f"{text_of(metadata, 'name')[:36].rstrip('-.')}-{text_of(metadata, 'uid')[:8]}-{purpose}"


def _pairs(values: Mapping[str, str]) -> list[dict[str, Any]]:
    # `$(NAME)` in a value would be replaced by the kubelet.
    return [{"name": name, "value": value.replace("$(", "$$(")} for name, value in values.items()]


def _folders(container: Container, one: Service) -> dict[str, str]:
    """What is wiped before it is filled."""
    return {"DATA": container.data, **({"WAL": container.wal} if one.wal else {})}


def _mounts(container: Container, one: Service) -> list[Item]:
    """The volumes of a member."""
    found: list[Item] = [{"name": VOLUME, "mountPath": container.data}]
    return [*found, {"name": WAL, "mountPath": container.wal}] if one.wal else found


def _held(one: Service, claim: str) -> list[Item]:
    """The same of the pod: those of the first member, whose data is on this claim; on trial, without one, nothing stays."""

    def kept(name: str) -> Item:
        return {"persistentVolumeClaim": {"claimName": name}} if claim else {"emptyDir": {}}

    found: list[Item] = [{"name": VOLUME, **kept(claim)}]
    return [*found, {"name": WAL, **kept(claim_name(one, 0, WAL))}] if one.wal else found


def _within(one: Service) -> Item:
    """A volume is made where its first pod runs: it has to be where members may."""
    if not one.zones:
        return {}
    terms = [{"matchExpressions": [{"key": _ZONE, "operator": "In", "values": list(one.zones)}]}]
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}
