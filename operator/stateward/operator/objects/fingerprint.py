"""What a member runs with, as one word: a pod that has another one is replaced."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import orjson

from stateward.operator.drivers.protocol import Access, Driver, Place
from stateward.operator.objects import certificates, workload
from stateward.operator.objects.workload import Running
from stateward.operator.service import Service


def of(service: Service, running: Running, driver: Driver, place: Place, access: Access) -> str:
    """A hash of the pod (image, resources, placement, probes) and of what a member reads as it starts: files, certificates.

    Files are taken as those of a service of one member that joins: how many members there are stands in the files of
    some engines, and is read by a member without data alone. Adding one must not restart all others.
    """
    alone = replace(place, members=service.names(1), joins=True)
    container = driver.container(running.version, running.tls)
    if driver.rereads:
        access = replace(access, passwords=dict.fromkeys(access.passwords, ""), rotation=None)
    made: list[object] = [
        running.version,
        workload.pod(service, container, running),
        certificates.marks(container, running, access),
        driver.configuration(alone),
        driver.secret_files(alone, access),
    ]
    if taken := driver.at_start(place.parameters):
        made.append(taken)
    return hashlib.sha256(orjson.dumps(made, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
