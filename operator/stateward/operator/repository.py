"""Where an engine that keeps its log with its backups brings both."""

from __future__ import annotations

from dataclasses import dataclass

from stateward.operator.api.parts import Destination
from stateward.operator.api.v1beta1 import StatefulService
from stateward.policies.view import text_of


@dataclass(frozen=True, slots=True)
class Repository:
    """Where an engine that keeps its log with its backups brings both: a bucket that speaks S3."""

    bucket: str
    path: str
    """In the bucket; of this service alone."""
    stanza: str
    """Of this very service: a later one of its name never writes among its log."""
    endpoint: str
    """A URL; "": Amazon's."""
    region: str
    credentials: str
    """A Secret with accessKeyId and secretAccessKey."""
    password: str
    """A Secret with the key password."""
    authority: str = ""
    """A Secret with ca.crt; "": the endpoint's certificate is one that everybody trusts."""


def repository_of(model: StatefulService) -> Repository | None:
    """Where the log of an engine that archives it goes: to its backups, if those lie in a bucket."""
    plan = model.spec.backup
    if plan is None:
        return None
    namespace, name, uid = (text_of(model.metadata, field) for field in ("namespace", "name", "uid"))
    secret = plan.encryption.secret if plan.encryption is not None else generated_password(name)
    return repository_at(plan.destination, secret, f"{namespace}/{name}", uid)


def repository_at(destination: Destination, secret: str, folder: str, uid: str) -> Repository | None:
    """The same of a service by its folder (NAMESPACE/NAME) and uid. `secret` has the password."""
    s3 = destination.s3
    if s3 is None:
        return None
    steps = [step for step in s3.prefix.split("/") if step not in ("", ".", "..")]
    return Repository(
        bucket=s3.bucket,
        path="/" + "/".join([*steps, folder, "pgbackrest"]),
        stanza=f"{folder.rpartition('/')[2]}-{uid[:8]}",
        endpoint=s3.endpoint or "",
        region=s3.region or "",
        credentials=s3.credentials,
        password=secret,
        authority=s3.authority or "",
    )


def generated_password(name: str) -> str:
    """The Secret of a password that nobody has given, for the backups of a service."""
    return f"{name}-backup"
