"""One replica of an installed door, from its start to its end: `stateward serve --in-cluster`."""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from stateward.cli import extra, inputs

_SERVICE: Final = re.compile(r"([a-z]([-a-z0-9]{0,61}[a-z0-9])?)(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Options:
    """What `stateward serve --in-cluster` was told."""

    host: str
    port: int
    kubeconfig: str | None
    context: str | None
    folder: Path | None
    drain: float | None
    namespace: str | None
    service: str
    policy: str
    mode: Literal["audit", "warn", "deny"]
    fail_policy: Literal["Ignore", "Fail"] | None
    log_format: Literal["text", "json"]
    client_ca: bytes
    """PEM, b"" where anybody may ask for admission."""
    client_names: tuple[str, ...]
    open_metrics: bool


def serve(asked: Options, refused: Sequence[str]) -> None:
    """Serves until SIGTERM. `refused`: options that were given and mean nothing here."""
    if refused:
        inputs.stop(f"{refused[0]} is for a door outside its cluster; leave it out with --in-cluster")
    name, number = service_of(asked.service)
    try:
        from stateward.certs.errors import CertificateError
        from stateward.kube.events import Events
        from stateward.kube.reviews import Reviews
        from stateward.policies.mutate import mutate
        from stateward.webhook import in_cluster, logs, server
        from stateward.webhook.app import build
        from stateward.webhook.auth import Guard
        from stateward.webhook.clients import Clients
    except ImportError as error:
        extra.missing(error)
    with ExitStack() as stack:
        ending = stack.enter_context(server.ending())
        stack.enter_context(logs.written(style=asked.log_format))
        try:
            installation = in_cluster.Installation(
                namespace=asked.namespace or in_cluster.own_namespace(),
                service=name,
                port=number,
                identity=f"{os.environ.get('POD_NAME') or socket.gethostname()}-{secrets.token_hex(4)}",
                policy=asked.policy,
                mode=asked.mode,
                failure_policy=asked.fail_policy,
            )
            cluster = stack.enter_context(in_cluster.account(asked.kubeconfig, asked.context))
            listening = stack.enter_context(server.listen(asked.host, asked.port))
            watch = stack.enter_context(in_cluster.watching(cluster))
            running = stack.enter_context(
                in_cluster.opened(cluster, watch, installation, folder=asked.folder, client_ca=asked.client_ca)
            )
            app = build(
                watch.view,
                running.policy.policy,
                ready=running.ready,
                evicted=watch.view.leave,
                mutate=mutate,
                guard=Guard(Reviews(cluster), open_paths=["/metrics"] if asked.open_metrics else []),
                events=stack.enter_context(Events(cluster, installation.identity)),
                probes=running.probes(),
            )
            door = server.Server(
                app,
                listening,
                context=running.certificates.hot.context,
                drain=server.DRAIN_IN_CLUSTER if asked.drain is None else asked.drain,
                clients=Clients(asked.client_names) if asked.client_ca else None,
            )
            running.serve(app, door.port)
            stack.enter_context(door)
        except (CertificateError, server.ServeError) as error:
            inputs.stop(str(error))
        server.settle()
        in_cluster.say_started(installation, cluster, door.port)
        ending.wait(door)
        if not ending.asked.is_set():
            inputs.stop("the server has ended by itself; its log above says why")


def service_of(text: str) -> tuple[str, int]:
    """Name and port of `--service`."""
    found = _SERVICE.fullmatch(text)
    if found is None or not 0 < int(found[3] or 443) < 65536:
        inputs.stop(f'--service "{text}": write a name, or name:port')
    return found[1], int(found[3] or 443)
