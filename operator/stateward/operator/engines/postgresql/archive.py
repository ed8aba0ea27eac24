"""How pgBackRest is told where the log and the backups of a service are (https://pgbackrest.org/configuration.html)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from stateward.operator.drivers.copying import WORK
from stateward.operator.drivers.protocol import Beside, Keys, Repository

PROGRAM: Final = Path(__file__).with_name("pgbackrest.py").read_text(encoding="utf-8")
"""What runs it, beside PostgreSQL and in Jobs."""
FILES: Final = "/etc/stateward"
KEYS: Final = "/etc/stateward-repository"
PORT: Final = "archive"
"""Where a member says how far its log is in the archive."""
_PORTS: Final = {PORT: 8009, "pgbackrest": 8432}
_DATA: Final = "/var/lib/postgresql/data"
PGDATA: Final = f"{_DATA}/pgdata"
SETTINGS: Final[Mapping[str, str]] = {
    "archive_mode": "on",
    "archive_command": f"python3 {FILES}/pgbackrest.py push %p",
    "archive_timeout": "60s",
}
"""Of PostgreSQL. A file of the log that is written to goes to the archive after a minute at the latest."""
_SERVICE: Final = ("env", "PGSERVICEFILE=/etc/stateward-secrets/pg_service.conf", "PGSERVICE=stateward")
"""How it is let in by PostgreSQL: the file has the password, and no mode of a .pgpass."""
_REGION: Final = "us-east-1"
_QUIET: Final = {"log-level-file": "off", "lock-path": "/tmp/pgbackrest"}  # noqa: S108 - of the pod alone
MEMBER: Final = "pgbackrest.conf"
SERVER: Final = "pgbackrest-server.conf"


def unfit(repository: Repository, tls: bool) -> str:
    """Why pgBackRest does not work with it; "" where it does."""
    if repository.endpoint and urlsplit(repository.endpoint).scheme != "https":
        return "backup.destination.s3.endpoint: pgBackRest speaks to a bucket over TLS alone; give one with https://"
    if not tls:
        return "backup: pgBackRest reads a member's data over TLS alone; set tls.enabled to true"
    return ""


def of_major(repository: Repository, major: str) -> Repository:
    """With a stanza for this major alone: pgBackRest reads none in which there is a major that came after it."""
    return replace(repository, stanza=f"{repository.stanza}-{major}")


def keys(repository: Repository) -> Keys:
    """What opens it."""
    found = [
        (repository.credentials, "accessKeyId"),
        (repository.credentials, "secretAccessKey"),
        (repository.password, "password"),
    ]
    return Keys(KEYS, [*found, *([(repository.authority, "ca.crt")] if repository.authority else [])])


def beside() -> Beside:
    """The container that makes the stanza, lets Jobs read the data, and says how far the archive is."""
    return Beside(
        name="archive",
        command=(*_SERVICE, "python3", f"{FILES}/pgbackrest.py", "watch", str(_PORTS[PORT])),
        ports=_PORTS,
        readiness=None,
        liveness={"tcpSocket": {"port": PORT}, "periodSeconds": 10, "timeoutSeconds": 3, "failureThreshold": 6},
        requests={"cpu": "10m", "memory": "32Mi"},
        # Jobs are no members. Who may read is said by certificates.
        open=True,
    )


def of_member(repository: Repository) -> str:
    """The configuration by which a member archives its log."""
    own = {"archive-async": "y", "spool-path": f"{_DATA}/pgbackrest", "process-max": "2"}
    return _written({"global": {**_general(repository), **own}, repository.stanza: _member(1)})


def of_server(repository: Repository, service: str, tls: str) -> str:
    """That of the server by which Jobs read a member's data: it knows of no repository, and opens none.

    Only the members' own certificate opens it, not that of applications.
    """
    served = {
        "tls-server-address": "*",
        "tls-server-port": str(_PORTS["pgbackrest"]),
        "tls-server-auth": f"{service[:64]}={repository.stanza}",
        "tls-server-ca-file": f"{tls}/ca.crt",
        "tls-server-cert-file": f"{tls}/tls.crt",
        "tls-server-key-file": f"{tls}/tls.key",
        **_QUIET,
    }
    return _written({"global": served, repository.stanza: _member(1)})


def of_job(repository: Repository, hosts: Sequence[str], tls: str) -> str:
    """That of a Job that reads the data of members; without any, of one that writes it."""
    stanza: dict[str, str] = {}
    for number, host in enumerate(hosts, 1):
        name = f"pg{number}"
        stanza |= {
            **_member(number),
            f"{name}-host": host,
            f"{name}-host-type": "tls",
            f"{name}-host-port": str(_PORTS["pgbackrest"]),
            f"{name}-host-config": f"{FILES}/{SERVER}",
            f"{name}-host-ca-file": f"{tls}/ca.crt",
            f"{name}-host-cert-file": f"{tls}/tls.crt",
            f"{name}-host-key-file": f"{tls}/tls.key",
        }
    general = {**_general(repository), "process-max": "4", "lock-path": f"{WORK}/lock", "spool-path": f"{WORK}/spool"}
    return _written({"global": general, repository.stanza: stanza or _member(1)})


def job(name: str) -> Sequence[str]:
    """A command of a Job."""
    return ("python3", "-c", PROGRAM, name)


def _general(repository: Repository) -> dict[str, str]:
    """What is the same for all: where, how it is packed, and that nothing goes by itself."""
    url = urlsplit(repository.endpoint) if repository.endpoint else None
    region = repository.region or _REGION
    found = {
        "repo1-type": "s3",
        "repo1-path": repository.path,
        "repo1-s3-bucket": repository.bucket,
        "repo1-s3-endpoint": (url.hostname or "") if url is not None else f"s3.{region}.amazonaws.com",
        "repo1-s3-region": region,
        "repo1-s3-uri-style": "path" if url is not None else "host",
        "repo1-cipher-type": "aes-256-cbc",
        "repo1-bundle": "y",
        # Backups go when their ServiceBackup goes; then the log goes that is older than the oldest that is left.
        "repo1-retention-full": "9999999",
        "compress-type": "zst",
        **_QUIET,
    }
    if url is not None and url.port is not None:
        found["repo1-storage-port"] = str(url.port)
    if repository.authority:
        found["repo1-storage-ca-file"] = f"{KEYS}/ca.crt"
    return found


def _member(number: int) -> dict[str, str]:
    name = f"pg{number}"
    return {
        f"{name}-path": PGDATA,
        f"{name}-socket-path": "/run/postgresql",
        f"{name}-port": "5432",
        f"{name}-user": "postgres",
    }


def _written(sections: Mapping[str, Mapping[str, str]]) -> str:
    return "\n".join(_section(name, values.items()) for name, values in sections.items())


def _section(name: str, values: Iterable[tuple[str, str]]) -> str:
    return "".join([f"[{name}]\n", *(f"{key}={value}\n" for key, value in values)])
