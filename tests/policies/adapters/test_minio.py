"""Tenant (MinIO operator) read as a service."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

TENANT: Object = {
    "apiVersion": "minio.min.io/v2",
    "kind": "Tenant",
    "metadata": {"name": "store", "namespace": "shop"},
    "spec": {
        "image": "quay.io/minio/minio:RELEASE.2025-04-08T15-41-24Z",
        "configuration": {"name": "store-root"},
        "pools": [
            {
                "name": "first",
                "servers": 4,
                "volumesPerServer": 4,
                "volumeClaimTemplate": {
                    "metadata": {"name": "data"},
                    "spec": {
                        "storageClassName": "fast",
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Ti"}},
                    },
                },
            },
            {"servers": 2, "volumesPerServer": 2, "volumeClaimTemplate": {"spec": {"storageClassName": "slow"}}},
        ],
    },
}


def service(patch: dict[str, Any] | None = None) -> Service:
    return Service(ADAPTERS["Tenant.minio.min.io"], cases.merge(TENANT, patch or {}), EMPTY_VIEW)


def test_pools_are_the_groups_of_a_tenant() -> None:
    found = service()
    assert [(group.name, group.members.value, group.voters) for group in found.groups] == [
        ("first", 4, False),
        ("pool-1", 2, False),
    ]
    assert [(one.name, one.storage_class.value, one.bytes) for group in found.groups for one in group.volumes] == [
        ("data", "fast", 2**40),
        ("export", "slow", None),
    ]
    assert (found.version.state, found.version.text) == ("known", "RELEASE.2025-04-08T15-41-24Z")
    assert (found.deletes_claims, found.adapter.carries_majors) == (False, "operator")


@pytest.mark.parametrize(
    ("name", "tenant", "owned"),
    [
        ("data0-store-first-0", "store", True),
        ("data3-store-first-11", "store", True),
        ("data0-store-second-0", "store", False),
        ("data-store-first-0", "store", False),
        ("data0-store-first-0", "other", False),
    ],
)
def test_a_claim_of_a_tenant_is_known_by_label_and_name(name: str, tenant: str, owned: bool) -> None:
    found = service()
    group = found.groups[0]
    item: Object = {"metadata": {"name": name, "labels": {"v1.min.io/tenant": tenant}}}
    assert found.adapter.claim_is_of(found, group, group.volumes[0], item) is owned


def test_the_volumes_of_a_server_are_fixed_in_each_pool() -> None:
    fixed = [(one.key, one.value) for one in service().fixed.values() if one.value is not None]
    assert fixed == [("0:first", 4), ("0:pool-1", 2)]


def test_the_secrets_of_a_tenant() -> None:
    assert [(one.name, one.role, one.made) for one in service().secrets] == [
        ("store-root", "credentials", "user"),
        ("store-tls", "certificate", "operator"),
    ]
    own = {
        "spec": {"requestAutoCert": False, "externalCertSecret": [{"name": "front"}], "kes": {"kesSecret": {"name": "kes"}}}
    }
    assert [(one.name, one.role) for one in service(own).secrets] == [
        ("store-root", "credentials"),
        ("kes", "key"),
        ("front", "certificate"),
    ]
