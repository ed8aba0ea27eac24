"""What runs in the pods of an engine, as its folder says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from stateward.operator.drivers import template
from stateward.operator.drivers.protocol import Beside, Container
from stateward.operator.drivers.schema import Beside as Aside
from stateward.operator.drivers.schema import Engine, Probe, Probes
from stateward.policies.version import parse, parse_range

_READ_ONCE: Final[Mapping[str, Sequence[Literal["trust", "certificate"]]]] = {
    "nothing": ("trust", "certificate"),
    "certificate": ("trust",),
    "everything": (),
}


def container(data: Engine, version: str, tls: bool) -> Container:
    """In the pods of this version. `tls`: whether the service speaks it."""
    run, probes = data.run, _probes(data, version)
    spoken = data.tls if tls else None
    secured = spoken.ports if spoken is not None else ()
    return Container(
        image=template.render(data.image, {"version": version}),
        command=run.command,
        ports=data.ports,
        user=run.user,
        data=run.data,
        files=run.files,
        readiness=_probe(probes.readiness, secured),
        liveness=_probe(probes.liveness, secured),
        startup=_probe(probes.startup, secured),
        requests=run.requests,
        grace=run.grace,
        serves=data.serves,
        secrets=run.secrets if data.secret_files else "",
        scratch=run.scratch,
        environment=run.environment,
        prepare=run.prepare,
        stop=run.stop,
        addresses=data.addresses,
        beside=[_beside(one, secured) for one in run.beside],
        rights=run.rights,
        labels=run.labels,
        wal=data.wal.folder if data.wal is not None else "",
        tls=spoken.folder if spoken is not None else "",
        secured=secured,
        read_once=_READ_ONCE[spoken.reloads] if spoken is not None else (),
    )


def _probes(data: Engine, version: str) -> Probes:
    found = parse(version)
    several = (one for one in data.otherwise if found is not None and parse_range(one.versions).holds(found))
    return next((one.probes for one in several), data.probes)


def _beside(one: Aside, secured: Sequence[str]) -> Beside:
    return Beside(
        one.name,
        one.command,
        one.ports,
        _probe(one.readiness, secured) if one.readiness is not None else None,
        _probe(one.liveness, secured) if one.liveness is not None else None,
        one.requests,
        one.open,
    )


def _probe(probe: Probe, secured: Sequence[str]) -> dict[str, Any]:
    """The kubelet has no certificate to show, and looks at none."""
    asked: dict[str, Any] = {"tcpSocket": {"port": probe.port}}
    if probe.command:
        asked = {"exec": {"command": probe.command}}
    elif probe.path is not None:
        asked = {"httpGet": {"path": probe.path, "port": probe.port, "scheme": "HTTPS" if probe.port in secured else "HTTP"}}
    return {
        **asked,
        "periodSeconds": probe.every,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failures,
        "successThreshold": 1,
    }
