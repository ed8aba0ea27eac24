"""Image references, taken apart."""

from __future__ import annotations

import pytest

from stateward.policies import images, quantity, version
from stateward.policies.adapters import shape
from stateward.policies.images import Image, parse
from stateward.policies.operators import catalogue

SHA = "sha256:" + "0f" * 32

REFERENCES = [
    ("redis", Image("docker.io", "redis", "redis", "", "")),
    ("redis:7.2.5", Image("docker.io", "redis", "redis", "7.2.5", "")),
    ("library/redis:7.2.5", Image("docker.io", "redis", "redis", "7.2.5", "")),
    ("docker.io/library/redis:7.2.5", Image("docker.io", "redis", "redis", "7.2.5", "")),
    ("team/redis:7.2.5", Image("docker.io", "team/redis", "redis", "7.2.5", "")),
    ("ghcr.io/team/db/postgres:17.5", Image("ghcr.io", "team/db/postgres", "postgres", "17.5", "")),
    ("localhost/postgres:17.5", Image("localhost", "postgres", "postgres", "17.5", "")),
    ("registry.local:5000/postgres:17.5", Image("registry.local:5000", "postgres", "postgres", "17.5", "")),
    ("registry.local:5000/postgres", Image("registry.local:5000", "postgres", "postgres", "", "")),
    ("registry:5000/a/b", Image("registry:5000", "a/b", "b", "", "")),
    (f"redis@{SHA}", Image("docker.io", "redis", "redis", "", SHA)),
    (f"quay.io/a/redis:7.2.5@{SHA}", Image("quay.io", "a/redis", "redis", "7.2.5", SHA)),
    ("", Image("docker.io", "", "", "", "")),
    (":", Image("docker.io", "", "", "", "")),
    ("/", Image("docker.io", "/", "", "", "")),
    ("@", Image("docker.io", "", "", "", "")),
]


@pytest.mark.parametrize(("reference", "image"), REFERENCES)
def test_a_reference_is_taken_apart(reference: str, image: Image) -> None:
    assert parse(reference) == image


def test_what_is_too_long_to_be_real_is_never_kept() -> None:
    """Whoever may write objects must not fill the memory with texts, nor the time with patterns over them."""
    caches = (images._parse, version._parse, quantity._parse, catalogue._identify, shape._adapter_of)
    before = [cache.cache_info().currsize for cache in caches]
    long = "1" * 5000
    assert images.parse(f"postgres:{long}").tag == long
    assert version.parse(long) is None
    assert quantity.parse(long) is None
    assert catalogue.identify("/" * 5000) is None
    assert shape.adapter_of(f"Db.{'a' * 5000}.example") is None
    assert [cache.cache_info().currsize for cache in caches] == before
