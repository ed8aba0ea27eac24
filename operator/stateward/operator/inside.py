"""Commands in the containers of members: for single steps that an engine's endpoint cannot be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError, UnreachableError
from stateward.operator.drivers.http import NoAnswerError, RefusedError
from stateward.operator.drivers.protocol import Inside
from stateward.operator.objects.common import CONTAINER

_LONGEST: Final = 200


def inside(cluster: Cluster, namespace: str) -> Callable[[str], Inside]:
    """Pod → what runs commands in it."""

    def of(pod: str) -> Inside:
        def run(command: Sequence[str], given: str = "", seconds: float = 20.0) -> str:
            try:
                ran = cluster.execute(namespace, pod, CONTAINER, command, given, seconds=seconds)
            except UnreachableError as error:
                raise NoAnswerError(f"{pod}: {error}") from None
            except ClusterError as error:
                raise RefusedError(f"{pod}: {error}") from None
            if ran.code:
                # The first line alone: those after it may repeat what was given.
                said = ran.errors.strip().partition("\n")[0][:_LONGEST]
                raise RefusedError(f"{pod}: {command[0]} ended with {ran.code}: {said or 'no explanation'}")
            return ran.output

        return run

    return of
