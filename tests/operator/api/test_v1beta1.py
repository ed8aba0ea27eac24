"""The models of the operator's kinds: what is said in four lines is enough, and nothing is lost on the way out."""

from __future__ import annotations

import copy
import operator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stateward.operator.api.v1beta1 import ServiceBackup, ServiceRestore, StatefulService

SMALL: dict[str, Any] = {
    "apiVersion": "stateward.dev/v1beta1",
    "kind": "StatefulService",
    "metadata": {"name": "orders", "namespace": "shop", "annotations": {"a": "b"}},
    "spec": {"engine": "etcd", "version": "3.5.21", "members": 3, "storage": {"class": "fast", "size": "10Gi"}},
}


def small(**more: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SMALL), "spec": {**copy.deepcopy(SMALL["spec"]), **more}}


def test_the_package_does_not_stand_in_for_the_standard_librarys_operator() -> None:
    assert operator.itemgetter(0)("ab") == "a"
    assert not Path(operator.__file__).is_relative_to(Path(__file__).parents[3] / "operator")


def test_four_lines_are_enough_and_the_rest_is_safe() -> None:
    spec = StatefulService.model_validate(SMALL).spec
    assert (spec.storage.class_, spec.storage.size, spec.storage.wal) == ("fast", "10Gi", None)
    assert (spec.upgrade.strategy, spec.upgrade.majors, spec.upgrade.on_failure) == ("Rolling", "Refuse", "Stop")
    assert (spec.deletion_policy.claims, spec.tls.enabled, spec.backup) == ("Retain", True, None)
    assert (spec.availability.spread.nodes, spec.availability.disruption.max_unavailable) == ("Required", 1)


def test_metadata_stays_as_it_is() -> None:
    assert StatefulService.model_validate(SMALL).metadata == SMALL["metadata"]


def test_what_is_dumped_is_read_again_as_the_same() -> None:
    backup = {
        "schedule": "0 3 * * *",
        "destination": {"s3": {"bucket": "backups", "credentials": "s3"}},
        "retention": {"days": 7},
    }
    one = StatefulService.model_validate(small(backup=backup, parameters={"max_connections": 200, "wal_level": "logical"}))
    assert StatefulService.model_validate(one.dump()) == one
    assert one.dump()["spec"]["backup"]["retention"] == {"days": 7, "copies": 3}


def test_times_are_written_as_kubernetes_writes_them() -> None:
    status = {"decisions": [{"time": "2026-11-21T10:00:00.123456+01:00", "message": "waits"}]}
    assert StatefulService.model_validate({**SMALL, "status": status}).dump()["status"]["decisions"] == [
        {"time": "2026-11-21T09:00:00Z", "message": "waits"}
    ]


def test_what_a_newer_version_wrote_is_passed_over() -> None:
    assert StatefulService.model_validate(small(someday={"x": 1})).spec.members == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"members": 0},
        {"members": "three"},
        {"engine": "Etcd"},
        {"version": "latest"},
        {"storage": {"size": "ten"}},
        {"storage": {"class": "fast"}},
        {"upgrade": {"majors": "Maybe"}},
        {"upgrade": {"windows": [{"schedule": "0 3 * * *", "duration": "long"}]}},
        {"backup": {"schedule": "nightly", "destination": {}}},
    ],
)
def test_what_the_api_server_would_refuse_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StatefulService.model_validate(small(**wrong))


def test_a_backup_and_a_restore_name_their_service() -> None:
    backup = ServiceBackup.model_validate({"metadata": {"name": "one"}, "spec": {"service": "orders"}})
    assert (backup.spec.service, backup.spec.deletion_policy, backup.status.phase) == ("orders", "Delete", None)
    restore = ServiceRestore.model_validate(
        {
            "metadata": {"name": "one"},
            "spec": {"source": {"backup": {"name": "one"}}, "service": "again", "pointInTime": "2026-11-21T09:00:00Z"},
        }
    )
    assert restore.spec.source.backup is not None
    assert restore.dump()["spec"]["pointInTime"] == "2026-11-21T09:00:00Z"


def test_a_point_in_time_keeps_what_is_less_than_a_second_of_it() -> None:
    for given, kept in (
        ("2026-11-21T10:00:00.531207+01:00", "2026-11-21T09:00:00.531207Z"),
        ("2026-11-21T09:00:00Z", "2026-11-21T09:00:00Z"),
    ):
        spec = {"source": {"backup": {"name": "one"}}, "service": "again", "pointInTime": given}
        assert (
            ServiceRestore.model_validate({"metadata": {"name": "one"}, "spec": spec}).dump()["spec"]["pointInTime"] == kept
        )
