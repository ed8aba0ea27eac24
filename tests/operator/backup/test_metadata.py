"""What a backup says of itself, and whether it can become what is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stateward.operator.api.v1beta1 import ServiceRestoreSpec, StatefulService
from stateward.operator.backup import drill, metadata, outcome, verdict
from stateward.operator.backup.keeper import name_at
from stateward.operator.backup.metadata import Metadata
from stateward.operator.drivers import catalogue

SPEC: dict[str, Any] = {
    "engine": "etcd",
    "version": "3.5.16",
    "members": 3,
    "storage": {"size": "2Gi"},
    "tls": {"enabled": False},
}
TOLD = Metadata(
    namespace="prod",
    service="orders",
    uid="u",
    backup="first",
    engine="etcd",
    version="3.5.16",
    member="orders-1",
    taken=datetime(2026, 11, 21, 3, tzinfo=UTC),
    position="1001",
    count=1000,
    what="keys",
    spec=SPEC,
)


def test_metadata_comes_back_as_it_was_written() -> None:
    assert metadata.made(TOLD.dump()) == TOLD
    back = metadata.unpacked(metadata.packed("f00", TOLD.dump()))
    assert back is not None
    assert (back.snapshot, back.extent, back.spec) == ("f00", TOLD.extent, SPEC)


@pytest.mark.parametrize(
    "text", ["", "f00", "f00 !!!", "f00 aGVsbG8=", metadata.packed("f00", "{}"), metadata.packed("a", "1")]
)
def test_what_is_none_of_ours_is_none(text: str) -> None:
    assert metadata.unpacked(text) is None


def refused(name: str = "again", **spec: Any) -> str:
    asked = ServiceRestoreSpec.model_validate({"service": name, "source": {"backup": {"name": "first"}}})
    wanted = StatefulService.model_validate({"metadata": {"name": name, "namespace": "prod"}, "spec": {**SPEC, **spec}})
    return verdict.refused(asked, TOLD, wanted, catalogue.find("etcd"))


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("again", {}, ""),
        ("again", {"version": "3.5.21"}, ""),
        ("again", {"version": "3.4.34"}, "overrides.version: 3.4.34: it does not read data of 3.5.16"),
        ("again", {"version": "3.7.1"}, "overrides.version: 3.7.1"),
        ("again", {"storage": {"size": "1Gi"}}, "overrides.storage.size: 1Gi: the backup is of volumes of 2Gi"),
        ("again", {"storage": {"size": "4Gi"}}, ""),
        ("a" * 41, {}, "41 characters"),
        ("again", {"parameters": {"no-such": 1}}, "parameters.no-such"),
    ],
)
def test_what_a_backup_cannot_become_is_refused_with_the_reason(name: str, spec: dict[str, Any], said: str) -> None:
    found = refused(name, **spec)
    assert (said in found) if said else (found == "")


def test_a_backup_by_schedule_has_one_name_whoever_makes_it() -> None:
    assert name_at("orders", datetime(2026, 11, 21, 3, 30, tzinfo=UTC)) == "orders-202611210330"


@pytest.mark.parametrize("name", ["db", "a" * 24, "b" * 25, "c" * 40, "d" * 17 + "-" + "e" * 22])
def test_a_drill_has_a_name_that_a_service_may_have(name: str) -> None:
    found = drill.name_of(name, datetime(2026, 11, 21, 3, 30, tzinfo=UTC))
    assert len(found) <= 40
    assert "--" not in found
    assert found != drill.name_of(name, datetime(2026, 11, 21, 3, 31, tzinfo=UTC))
    assert found != drill.name_of(f"{name[:-1]}z", datetime(2026, 11, 21, 3, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("loading\nFatal: wrong password or no key found\n", "Fatal: wrong password or no key found"),
        ('{"message_type":"exit_error","code":1,"message":"Fatal: no"}', "Fatal: no"),
        ("Fatal: unable to open\nIs there a repository at the following location?\n/r", "Fatal: unable to open"),
        ("connect https://who:secret@host/x", "connect https://host/x"),
    ],
)
def test_the_reason_is_the_tools_last_line_without_credentials(text: str, said: str) -> None:
    assert outcome.last_line(text) == said
