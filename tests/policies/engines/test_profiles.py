"""Engine profiles: every fact that the tables state, as a row."""

from __future__ import annotations

import re

import pytest

from stateward.policies import data, version
from stateward.policies.engines import profile as profiles
from stateward.policies.engines.profile import Hop, Profile, judge, parse_profile, path
from stateward.policies.engines.recognise import PROFILES

FULL = [
    # Engines whose whole life is described, not only where their data lies.
    "cassandra", "cockroachdb", "elasticsearch", "etcd", "kafka", "mariadb", "minio", "mongodb", "mysql", "nats",
    "opensearch", "postgresql", "rabbitmq", "redis", "tidb", "valkey", "zookeeper",
]  # fmt: skip
ENGINES = sorted(PROFILES)
FACTS = {
    "by": {"image", "operator"},
    "mode": {"zookeeper", "kraft"},
    "rolling": {"yes", "no"},
    "strategy": {"RollingUpdate", "OnDelete"},
    "topology": {"galera", "standalone"},
    "finalised": {"raised", "unraised"},
    "engine": {"redis"},
}

IMAGE, OPERATOR = {"by": "image"}, {"by": "operator"}
GALERA = {"topology": "galera", "rolling": "yes"}
GALERA_STOPPED = {"topology": "galera", "rolling": "no"}
KRAFT, ZOOKEEPER = {"mode": "kraft"}, {"mode": "zookeeper"}
MINIO, MINIO_LAST = "RELEASE.2024-01-01T16-36-33Z", "RELEASE.2025-10-15T17-29-55Z"
ROLL = {"rolling": "yes", "by": "image"}
RAISED, UNRAISED = {"finalised": "raised"}, {"finalised": "unraised"}


def read(text: str) -> version.Version:
    found = version.parse(text)
    assert found is not None, text
    return found


def hop(engine: str, old: str, new: str, facts: dict[str, str] | None = None) -> Hop:
    return judge(PROFILES[engine], read(old), read(new), facts or {})


VECTORS = [
    # engine, sentence, old, new, facts, verdict
    ("tidb", "a patch goes up", "8.5.2", "8.5.4", {}, "allow"),
    ("tidb", "a later release goes up in one step", "7.5.6", "8.5.2", {}, "allow"),
    ("tidb", "4.0 is documented up to 8.3 only", "4.0.16", "8.5.2", {}, "warn"),
    ("tidb", "3.0 takes a stone", "3.0.20", "8.5.2", {}, "warn"),
    ("tidb", "a patch goes back unsupported", "8.5.4", "8.5.2", {}, "warn"),
    ("tidb", "no release goes back", "8.5.2", "7.5.6", {}, "deny"),
    ("tidb", "what is newer than all that is known is not judged", "8.5.2", "9.0.0", {}, "warn"),
    ("cockroachdb", "a patch goes up", "25.2.1", "25.2.9", {}, "allow"),
    ("cockroachdb", "a patch goes back", "25.2.9", "25.2.1", {}, "allow"),
    ("cockroachdb", "the next major", "25.2.1", "25.3.0", {}, "allow"),
    ("cockroachdb", "an innovation release may be skipped", "25.2.1", "25.4.0", {}, "allow"),
    ("cockroachdb", "an innovation release may be skipped over a year", "24.3.1", "25.2.0", {}, "allow"),
    ("cockroachdb", "two regular releases may not be skipped", "24.1.1", "25.2.0", {}, "deny"),
    ("cockroachdb", "a year goes up by its last release", "23.2.1", "24.1.0", {}, "allow"),
    ("cockroachdb", "releases before 2024 may not be skipped", "22.1.1", "23.1.0", {}, "deny"),
    ("cockroachdb", "a major goes back until it is finalised", "25.4.0", "25.2.1", {}, "warn"),
    ("cockroachdb", "an innovation release goes back until it is finalised", "26.1.0", "25.4.1", {}, "warn"),
    ("cockroachdb", "two regular releases do not go back", "26.2.1", "25.2.4", {}, "deny"),
    ("cockroachdb", "a major that is not known here goes back", "27.1.0", "26.4.0", {}, "warn"),
    ("cassandra", "a series of the same major goes back", "4.1.5", "4.0.12", {}, "deny"),
    ("cassandra", "a patch goes back", "4.1.12", "4.1.9", {}, "warn"),
    ("cockroachdb", "an unreached minor of the tag", "25.2", "26.9", {}, "deny"),
    ("postgresql", "a minor goes up", "16.4", "16.15", IMAGE, "allow"),
    ("postgresql", "a minor goes back", "16.15", "16.4", IMAGE, "allow"),
    ("postgresql", "an operator carries any major over", "14.24", "18.6", OPERATOR, "allow"),
    ("postgresql", "an image swap carries no major over", "14.24", "18.6", IMAGE, "deny"),
    ("postgresql", "an image swap to the next major fails too", "16.4.0", "17.0.0", IMAGE, "deny"),
    ("postgresql", "a bare major is still another major", "17", "18", IMAGE, "deny"),
    ("postgresql", "a major does not go back", "18.6", "17.11", IMAGE, "deny"),
    ("postgresql", "a major does not go back by an operator either", "18.6", "17.11", OPERATOR, "deny"),
    ("postgresql", "9.5 to 9.6 is a major", "9.5.25", "9.6.24", IMAGE, "deny"),
    ("postgresql", "9.6 has minors", "9.6.3", "9.6.24", IMAGE, "allow"),
    ("postgresql", "9.6 minors go back", "9.6.24", "9.6.3", IMAGE, "allow"),
    ("postgresql", "pg_upgrade of 15 reads nothing before 9.2", "9.1.24", "15.19", OPERATOR, "deny"),
    ("mysql", "the next long-term series", "8.0.46", "8.4.11", IMAGE, "allow"),
    ("mysql", "no long-term series is skipped", "8.0.46", "9.7.2", IMAGE, "deny"),
    ("mysql", "8.4 to 9.7", "8.4.11", "9.7.2", IMAGE, "allow"),
    ("mysql", "8.4 does not reach the calendar versions", "8.4.11", "26.7.0", IMAGE, "deny"),
    ("mysql", "9.7 does", "9.7.2", "26.7.0", IMAGE, "allow"),
    ("mysql", "9.6 does not", "9.6.1", "26.7.0", IMAGE, "deny"),
    ("mysql", "an innovation does not jump over the long-term series", "8.3.0", "9.0.1", IMAGE, "deny"),
    ("mysql", "patches of a long-term series go back", "8.4.11", "8.4.8", IMAGE, "allow"),
    ("mysql", "innovations do not go back in place", "9.6.1", "9.5.2", IMAGE, "deny"),
    ("mysql", "5.7 to 8.0", "5.7.44", "8.0.46", IMAGE, "allow"),
    ("mysql", "5.7 does not reach 8.4", "5.7.44", "8.4.11", IMAGE, "deny"),
    ("mysql", "5.6 does not reach 8.0", "5.6.51", "8.0.46", IMAGE, "deny"),
    ("mysql", "8.4 does not go back to 8.0 in place", "8.4.11", "8.0.46", IMAGE, "deny"),
    ("mysql", "8.0 does not go back to 5.7", "8.0.46", "5.7.44", IMAGE, "deny"),
    ("mysql", "inside 8.0 back to 8.0.35 and later", "8.0.46", "8.0.36", IMAGE, "allow"),
    ("mysql", "inside 8.0 not back before 8.0.35", "8.0.36", "8.0.33", IMAGE, "deny"),
    ("mysql", "8.0 without a patch is the newest one", "8.0.46", "8.0", IMAGE, "warn"),
    ("mysql", "a long-term series takes its innovations", "8.4.11", "9.3.2", IMAGE, "allow"),
    ("mysql", "an innovation takes the next one", "9.2.2", "9.5.2", IMAGE, "allow"),
    ("mysql", "an innovation takes the long-term series", "9.5.2", "9.7.2", IMAGE, "allow"),
    ("mysql", "later calendar lineages are not settled", "26.7.0", "26.10.0", IMAGE, "warn"),
    ("mysql", "an innovation's patch does not go back", "28.1.4", "28.1.3", IMAGE, "deny"),
    ("mysql", "nobody knows which series 8 is", "8", "9", IMAGE, "warn"),
    ("mariadb", "a single server skips series", "10.6.28", "11.8.8", {}, "allow"),
    ("mariadb", "a standalone server skips series", "10.6.28", "11.8.8", {"topology": "standalone"}, "allow"),
    ("mariadb", "Galera does not skip while it rolls", "10.6.28", "11.8.8", GALERA, "deny"),
    ("mariadb", "Galera rolls to the next long-term series", "10.6.28", "10.11.18", GALERA, "allow"),
    ("mariadb", "and to the next", "10.11.18", "11.4.12", GALERA, "allow"),
    ("mariadb", "and to the next again", "11.4.12", "11.8.8", GALERA, "allow"),
    ("mariadb", "Galera skips series when all are stopped", "10.6.28", "11.8.8", GALERA_STOPPED, "allow"),
    ("mariadb", "10.8 has another redo log", "10.7.5", "10.8.5", GALERA, "deny"),
    ("mariadb", "which all stopped members may go to", "10.7.5", "10.8.5", GALERA_STOPPED, "allow"),
    ("mariadb", "11.1 to 11.4 is no rolling hop", "11.1.2", "11.4.3", GALERA, "deny"),
    ("mariadb", "short-lived series warn", "11.0.6", "11.1.6", GALERA, "warn"),
    ("mariadb", "nobody knows whether it rolls", "10.6.28", "10.11.18", {"topology": "galera"}, "warn"),
    ("mariadb", "Galera patches roll", "11.1.2", "11.1.3", GALERA, "allow"),
    ("mariadb", "patches go back with a warning", "11.8.8", "11.8.6", {}, "warn"),
    ("mariadb", "series do not go back in place", "11.4.12", "10.11.18", {}, "deny"),
    ("mariadb", "nor over the change buffer", "11.4.12", "10.4.34", {}, "deny"),
    ("mongodb", "7.0 to 8.0", "7.0.40", "8.0.29", {}, "allow"),
    ("mongodb", "6.0 does not reach 8.0", "6.0.29", "8.0.29", {}, "deny"),
    ("mongodb", "8.0 to 9.0", "8.0.29", "9.0.2", {}, "allow"),
    ("mongodb", "8.2 does not reach 9.0", "8.2.12", "9.0.2", {}, "deny"),
    ("mongodb", "8.3 to 9.0", "8.3.8", "9.0.2", {}, "allow"),
    ("mongodb", "8.0 to 8.3", "8.0.29", "8.3.8", {}, "allow"),
    ("mongodb", "7.0 does not reach 8.2", "7.0.40", "8.2.12", {}, "deny"),
    ("mongodb", "bare majors two apart", "6", "8", {}, "deny"),
    ("mongodb", "bare majors one apart may be next to each other", "4", "5", {}, "warn"),
    ("mongodb", "a rapid release has no path", "7.0.40", "7.3.4", {}, "warn"),
    ("mongodb", "8.0 does not go back to 7.0", "8.0.29", "7.0.40", UNRAISED, "deny"),
    ("mongodb", "9.0 goes back once the level is lowered", "9.0.2", "8.0.29", UNRAISED, "allow"),
    ("mongodb", "9.0 does not go back on a raised level", "9.0.2", "8.0.29", RAISED, "deny"),
    ("mongodb", "9.0 goes back with a warning on an unknown one", "9.0.2", "8.0.29", {}, "warn"),
    ("mongodb", "9.0 does not go back to 8.2", "9.0.2", "8.2.12", UNRAISED, "deny"),
    ("mongodb", "5.0 goes back with a warning on an unknown level", "5.0.34", "4.4.31", {}, "warn"),
    ("mongodb", "5.0 does not go back on a raised level", "5.0.34", "4.4.31", RAISED, "deny"),
    ("mongodb", "6.0 does not go back two series", "6.0.29", "4.4.31", {}, "deny"),
    ("mongodb", "a patch goes back with a warning", "5.0.26", "5.0.23", {}, "warn"),
    ("cassandra", "3.11 to 4.1", "3.11.17", "4.1.12", {}, "allow"),
    ("cassandra", "3.11 does not reach 5.0", "3.11.17", "5.0.2", {}, "deny"),
    ("cassandra", "4.0 reaches 5.0 without 4.1", "4.0.21", "5.0.9", {}, "allow"),
    ("cassandra", "4.1 to 5.0", "4.1.7", "5.0.2", {}, "allow"),
    ("cassandra", "3.0.12 is too old for 4", "3.0.12", "4.1.12", {}, "deny"),
    ("cassandra", "3.5 is too old for 4", "3.5", "4.1.12", {}, "deny"),
    ("cassandra", "3.0 without a patch is not known to be", "3.0", "4.1.12", {}, "warn"),
    ("cassandra", "2.2 goes through 3.11", "2.2.19", "4.1.12", {}, "deny"),
    ("cassandra", "nobody knows who may go to 6", "5.0.9", "6.0", {}, "warn"),
    ("cassandra", "5.0 goes back while it wrote old files", "5.0.9", "4.1.12", UNRAISED, "allow"),
    ("cassandra", "5.0 does not go back from new files", "5.0.9", "4.1.12", RAISED, "deny"),
    ("cassandra", "5.0 goes back with a warning otherwise", "5.0.9", "4.1.12", {}, "warn"),
    ("cassandra", "4 does not go back to 3", "4.1.12", "3.11.19", {}, "deny"),
    ("cassandra", "a patch goes back with a warning", "4.1.12", "4.1.9", {}, "warn"),
    ("redis", "7.2 to 8.2", "7.2.16", "8.2.9", {}, "allow"),
    ("redis", "6.2 to 7.2", "6.2.24", "7.2.16", {}, "allow"),
    ("redis", "6.2 to 8.2 is not documented", "6.2.24", "8.2.9", {}, "warn"),
    ("redis", "8.2 does not go back to 7.2", "8.2.9", "7.2.16", {}, "deny"),
    ("redis", "patches go back", "7.2.16", "7.2.10", {}, "allow"),
    ("redis", "7.2 does not go back to 7.0", "7.2.0", "7.0.12", {}, "deny"),
    ("redis", "7.4 does not go back to 7.2", "7.4.2", "7.2.8", {}, "deny"),
    ("redis", "7.0 does not go back to 6.2", "7.0.15", "6.2.24", {}, "deny"),
    ("redis", "6.2 to 6.0 have one dump format", "6.2.24", "6.0.20", {}, "warn"),
    ("redis", "8.10 is newer than 8.8", "8.10.1", "8.8.2", {}, "warn"),
    ("redis", "8.8 to 8.10", "8.8.2", "8.10.1", {}, "allow"),
    ("redis", "7 may be 7.4", "8.2.9", "7", {}, "warn"),
    ("valkey", "Redis 7.2 to Valkey 8.1", "7.2.16", "8.1.9", {"engine": "redis"}, "allow"),
    ("valkey", "not from Redis 7.4", "7.4.11", "8.1.9", {"engine": "redis"}, "deny"),
    ("valkey", "not from Redis 8, which looks like a downgrade", "8.2.9", "8.1.9", {"engine": "redis"}, "deny"),
    ("valkey", "8.1 to 9.0", "8.1.9", "9.0.5", {}, "allow"),
    ("valkey", "9.0 does not go back to 8.1", "9.0.5", "8.1.9", {}, "deny"),
    ("valkey", "8.1 goes back to 8.0 with a warning", "8.1.9", "8.0.10", {}, "warn"),
    ("kafka", "KRaft 3.9 to 4.3", "3.9.2", "4.3.1", KRAFT, "allow"),
    ("kafka", "ZooKeeper mode ends at 3.9", "3.9.2", "4.0.2", ZOOKEEPER, "deny"),
    ("kafka", "and before it", "3.4.1", "4.0.2", ZOOKEEPER, "deny"),
    ("kafka", "KRaft before 3.3 goes through 3.9", "3.2.3", "4.0.2", KRAFT, "deny"),
    ("kafka", "an unknown mode warns", "3.9.2", "4.0.2", {}, "warn"),
    ("kafka", "ZooKeeper mode may skip up to 3.9", "2.3.1", "3.9.2", ZOOKEEPER, "allow"),
    ("kafka", "4.2 goes back to 4.1 even on a raised level", "4.2.1", "4.1.2", {**KRAFT, **RAISED}, "allow"),
    ("kafka", "4.3 goes back on an old level", "4.3.1", "4.2.1", {**KRAFT, **UNRAISED}, "allow"),
    ("kafka", "4.3 does not go back on a raised one", "4.3.1", "4.2.1", {**KRAFT, **RAISED}, "deny"),
    ("kafka", "4.3 goes back with a warning on an unknown one", "4.3.1", "4.2.1", KRAFT, "warn"),
    ("kafka", "4.0 goes back to 3.9 on an old level", "4.0.2", "3.9.2", {**KRAFT, **UNRAISED}, "allow"),
    ("kafka", "4.0 does not go back to 3.9 on a raised one", "4.0.2", "3.9.2", {**KRAFT, **RAISED}, "deny"),
    ("kafka", "3.9 goes back to 3.7 even on a raised level", "3.9.2", "3.7.2", {**KRAFT, **RAISED}, "allow"),
    ("kafka", "3.7 does not go back to 3.6 on a raised one", "3.7.2", "3.6.2", {**KRAFT, **RAISED}, "deny"),
    ("kafka", "a raised protocol version bars the way in ZooKeeper mode", "3.9.2", "3.8.1", {**ZOOKEEPER, **RAISED}, "deny"),
    ("kafka", "an old one does not", "3.5.0", "3.4.0", {**ZOOKEEPER, **UNRAISED}, "allow"),
    ("kafka", "an unknown one warns", "3.5.0", "3.4.0", ZOOKEEPER, "warn"),
    ("kafka", "patches go back", "3.5.2", "3.5.1", {}, "allow"),
    ("rabbitmq", "3.13 to 4.2", "3.13.7", "4.2.9", {}, "allow"),
    ("rabbitmq", "3.13 does not reach 4.3", "3.13.7", "4.3.5", {}, "deny"),
    ("rabbitmq", "4.1 does not reach 4.3", "4.1.8", "4.3.5", {}, "deny"),
    ("rabbitmq", "3.12 does not reach 4.0", "3.12.14", "4.0.9", {}, "deny"),
    ("rabbitmq", "4.2 to 4.3", "4.2.9", "4.3.5", {}, "allow"),
    ("rabbitmq", "4.2 does not go back", "4.2.9", "4.1.8", {}, "deny"),
    ("rabbitmq", "3.11.15 is too old for 3.12", "3.11.15", "3.12.0", {}, "deny"),
    ("rabbitmq", "3.11.18 is not", "3.11.18", "3.12.0", {}, "allow"),
    ("rabbitmq", "3.11 without a patch is not known to be", "3.11", "3.12", {}, "warn"),
    ("rabbitmq", "bare majors do not tell", "3", "4", {}, "warn"),
    ("rabbitmq", "3.8 does not reach 3.10", "3.8.35", "3.10.25", {}, "deny"),
    ("rabbitmq", "a patch goes back with a warning", "4.2.2", "4.2.1", {}, "warn"),
    ("minio", "all servers at once", MINIO, MINIO_LAST, {"rolling": "no", **IMAGE}, "allow"),
    ("minio", "not one after another", MINIO, MINIO_LAST, {**ROLL, "strategy": "RollingUpdate"}, "deny"),
    ("minio", "by hand if all are deleted together", MINIO, MINIO_LAST, {**ROLL, "strategy": "OnDelete"}, "warn"),
    ("minio", "the operator restarts all at once", MINIO, MINIO_LAST, {"rolling": "yes", **OPERATOR}, "allow"),
    ("minio", "newer to older warns", MINIO_LAST, MINIO, {}, "warn"),
    ("elasticsearch", "7.17 to 8.19", "7.17.29", "8.19.20", {}, "allow"),
    ("elasticsearch", "8.17 does not reach 9.0", "8.17.10", "9.0.8", {}, "deny"),
    ("elasticsearch", "8.19 to 9.5", "8.19.20", "9.5.2", {}, "allow"),
    ("elasticsearch", "8.18 does not reach 9.1", "8.18.8", "9.1.10", {}, "deny"),
    ("elasticsearch", "8.18 reaches 9.0", "8.18.8", "9.0.8", {}, "allow"),
    ("elasticsearch", "not even a patch goes back", "9.5.2", "9.5.1", {}, "deny"),
    ("elasticsearch", "7.16 does not reach 8.0", "7.16.3", "8.0.0", {}, "deny"),
    ("elasticsearch", "7.16 to 7.17", "7.16.3", "7.17.29", {}, "allow"),
    ("elasticsearch", "7 skips no major", "7.17.29", "9.0.8", {}, "deny"),
    ("elasticsearch", "7 without a minor is not known to be", "7", "8", {}, "warn"),
    ("opensearch", "2.18 does not reach 3.1", "2.18.0", "3.1.0", {}, "deny"),
    ("opensearch", "2.19 to 3.8", "2.19.1", "3.8.0", {}, "allow"),
    ("opensearch", "1.3 does not reach 3", "1.3.20", "3.8.0", {}, "deny"),
    ("opensearch", "1.3 to 2", "1.3.20", "2.19.6", {}, "allow"),
    ("opensearch", "3.8 does not go back", "3.8.0", "3.7.0", {}, "deny"),
    ("opensearch", "3.7 to 3.8", "3.7.0", "3.8.0", {}, "allow"),
    ("opensearch", "2 without a minor is not known to be", "2", "3", {}, "warn"),
    ("etcd", "3.5.32 to 3.6", "3.5.32", "3.6.14", {}, "allow"),
    ("etcd", "3.5.20 must be patched first", "3.5.20", "3.6.14", {}, "deny"),
    ("etcd", "3.5 does not reach 3.7", "3.5.33", "3.7.1", {}, "deny"),
    ("etcd", "not even without a patch", "3.5", "3.7", {}, "deny"),
    ("etcd", "3.6.5 must be patched first", "3.6.5", "3.7.1", {}, "deny"),
    ("etcd", "3.6 without a patch is not known to be too old", "3.6", "3.7", {}, "warn"),
    ("etcd", "3.2 to 3.3", "3.2.24", "3.3.10", {}, "allow"),
    ("etcd", "3.7 goes back by downgrade enable", "3.7.1", "3.6.14", {}, "warn"),
    ("etcd", "which was run", "3.7.1", "3.6.14", UNRAISED, "allow"),
    ("etcd", "which was not run", "3.7.1", "3.6.14", RAISED, "deny"),
    ("etcd", "3.5 goes back to 3.4.32 and later", "3.5.33", "3.4.45", {}, "warn"),
    ("etcd", "3.5 does not go back before it", "3.5.33", "3.4.31", {}, "deny"),
    ("etcd", "3.3 does not go back", "3.3.10", "3.2.24", {}, "deny"),
    ("etcd", "3.1 does not go back", "3.1.10", "3.0.17", {}, "deny"),
    ("etcd", "no two minors back", "3.7.1", "3.5.33", {}, "deny"),
    ("etcd", "patches go back", "3.5.21", "3.5.17", {}, "allow"),
    ("zookeeper", "3.8 to 3.9", "3.8.6", "3.9.5", {}, "allow"),
    ("zookeeper", "3.7 to 3.8", "3.7.2", "3.8.6", {}, "allow"),
    ("zookeeper", "3.6 to 3.8 leaves out 3.7", "3.6.4", "3.8.6", {}, "warn"),
    ("zookeeper", "3.5 to 3.9 leaves out three", "3.5.10", "3.9.5", {}, "warn"),
    ("zookeeper", "3.4.5 does not roll to 3.5", "3.4.5", "3.5.10", {"rolling": "yes"}, "deny"),
    ("zookeeper", "but goes there stopped", "3.4.5", "3.5.10", {"rolling": "no"}, "allow"),
    ("zookeeper", "3.4.6 rolls", "3.4.6", "3.5.10", {"rolling": "yes"}, "allow"),
    ("zookeeper", "3.9 to 3.8 is not documented", "3.9.5", "3.8.6", {}, "warn"),
    ("nats", "2.13 was never made", "2.12.15", "2.14.5", {}, "allow"),
    ("nats", "2.10 to 2.14 is not documented", "2.10.29", "2.14.5", {}, "warn"),
    ("nats", "2.14 goes back once feature_flags is removed", "2.14.5", "2.12.15", {}, "warn"),
    ("nats", "2.12 does not go back to 2.11.8", "2.12.15", "2.11.8", {}, "deny"),
    ("nats", "2.12 goes back to 2.11.9", "2.12.15", "2.11.9", {}, "allow"),
    ("nats", "2.10 does not go back to 2.9.21", "2.10.29", "2.9.21", {}, "deny"),
    ("nats", "2.11 without a patch is the newest one", "2.12.15", "2.11", {}, "warn"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "old", "new", "facts", "verdict"),
    [pytest.param(row[0], *row[2:], id=f"{row[0]}: {row[1]} ({row[2]} to {row[3]})") for row in VECTORS],
)
def test_a_hop_is_judged(engine, old, new, facts, verdict):
    found = hop(engine, old, new, facts)
    assert found.verdict == verdict, found.reason


ONE_WAY = [
    ("postgresql", "14.24", "18.6", OPERATOR, True),
    ("postgresql", "16.4", "16.15", IMAGE, False),
    ("mysql", "8.0.33", "8.0.36", IMAGE, True),
    ("mysql", "8.0.36", "8.0.46", IMAGE, False),
    ("mysql", "8.0.46", "8.4.11", IMAGE, True),
    ("mysql", "8.4.8", "8.4.11", IMAGE, False),
    ("mariadb", "10.6.28", "11.8.8", {}, True),
    ("mariadb", "11.8.6", "11.8.8", {}, False),
    ("mongodb", "7.0.40", "8.0.29", {}, False),
    ("cassandra", "3.11.17", "4.1.12", {}, True),
    ("cassandra", "4.1.9", "4.1.12", {}, False),
    ("redis", "7.0.15", "7.2.16", {}, True),
    ("redis", "6.0.20", "6.2.24", {}, False),
    ("valkey", "8.1.9", "9.0.5", {}, True),
    ("valkey", "8.0.10", "8.1.9", {}, False),
    ("kafka", "3.9.2", "4.3.1", KRAFT, False),
    ("rabbitmq", "4.1.8", "4.2.9", {}, True),
    ("rabbitmq", "4.2.1", "4.2.2", {}, False),
    ("elasticsearch", "9.4.5", "9.5.2", {}, True),
    ("elasticsearch", "7.17.1", "7.17.29", {}, False),
    ("opensearch", "3.7.0", "3.8.0", {}, True),
    ("etcd", "3.3.27", "3.4.45", {}, True),
    ("etcd", "3.4.45", "3.5.33", {}, False),
    ("etcd", "3.6.14", "3.7.1", {}, False),
    ("nats", "2.12.15", "2.14.5", {}, False),
    ("zookeeper", "3.8.6", "3.9.5", {}, False),
]


@pytest.mark.parametrize(
    ("engine", "old", "new", "facts", "one_way"),
    [pytest.param(*row, id=f"{row[0]} {row[1]} to {row[2]} {'cannot' if row[4] else 'can'} go back") for row in ONE_WAY],
)
def test_a_hop_without_a_way_back_says_so(engine, old, new, facts, one_way):
    found = hop(engine, old, new, facts)
    assert found.verdict == "allow"
    assert found.one_way is one_way
    assert found.reason or not one_way


@pytest.mark.parametrize(
    ("engine", "old", "new", "facts", "steps"),
    [
        pytest.param("postgresql", "14.24", "18.6", OPERATOR, ["18.6"], id="pg_upgrade skips majors"),
        pytest.param("postgresql", "14.24", "18.6", IMAGE, None, id="no path of images crosses a PostgreSQL major"),
        pytest.param("mysql", "5.7.44", "9.7.2", IMAGE, ["8.0.46", "8.4.11", "9.7.2"], id="MySQL over every series"),
        pytest.param("mysql", "8.4.8", "26.7.0", IMAGE, ["9.7.2", "26.7.0"], id="MySQL to a calendar version"),
        pytest.param("mariadb", "10.6.28", "11.8.8", GALERA, ["10.11.18", "11.4.12", "11.8.8"], id="Galera rolling"),
        pytest.param("mariadb", "10.6.28", "11.8.8", {}, ["11.8.8"], id="MariaDB alone"),
        pytest.param("mongodb", "4.4.31", "7.0.40", {}, ["5.0.34", "6.0.29", "7.0.40"], id="MongoDB over every series"),
        pytest.param("mongodb", "8.2.12", "9.0.2", {}, ["8.3.8", "9.0.2"], id="MongoDB 8.2 over 8.3"),
        pytest.param("cassandra", "3.11.17", "5.0.9", {}, ["4.1.12", "5.0.9"], id="Cassandra over 4"),
        pytest.param("cassandra", "3.0.12", "4.1.12", {}, ["3.11.19", "4.1.12"], id="Cassandra from an old patch"),
        pytest.param("redis", "6.2.24", "8.2.9", {}, ["7.4.11", "8.2.9"], id="Redis over 7"),
        pytest.param("kafka", "3.2.3", "4.3.1", KRAFT, ["3.9.2", "4.3.1"], id="Kafka over 3.9"),
        pytest.param("kafka", "3.4.1", "4.0.2", ZOOKEEPER, None, id="no release leads out of ZooKeeper mode"),
        pytest.param("rabbitmq", "3.11.15", "3.12.14", {}, ["3.11.28", "3.12.14"], id="RabbitMQ patches first"),
        pytest.param("rabbitmq", "3.13.7", "4.3.5", {}, ["4.2.9", "4.3.5"], id="RabbitMQ over 4.2"),
        pytest.param("elasticsearch", "7.10.2", "9.5.2", {}, ["7.17.29", "8.19.20", "9.5.2"], id="Elasticsearch"),
        pytest.param("opensearch", "1.3.20", "3.8.0", {}, ["2.19.6", "3.8.0"], id="OpenSearch over 2.19"),
        pytest.param("etcd", "3.5.20", "3.7.1", {}, ["3.5.33", "3.6.14", "3.7.1"], id="etcd patch, minor, minor"),
        pytest.param("zookeeper", "3.5.10", "3.9.5", {}, ["3.6.4", "3.7.2", "3.8.6", "3.9.5"], id="every branch"),
        pytest.param("nats", "2.10.29", "2.14.5", {}, ["2.11.17", "2.12.15", "2.14.5"], id="NATS minor by minor"),
        pytest.param("etcd", "3.3.10", "3.2.24", {}, None, id="no path goes down"),
        pytest.param("postgresql", "16.15", "16.4", IMAGE, ["16.4"], id="a minor back is one step"),
    ],
)
def test_a_path_names_its_stones(engine, old, new, facts, steps):
    found = path(PROFILES[engine], read(old), read(new), facts)
    assert (found and [str(version.text) for version in found]) == steps


def test_a_hop_that_must_be_made_final_says_how():
    for engine, old, new, word in (
        ("mongodb", "7.0.40", "8.0.29", "setFeatureCompatibilityVersion"),
        ("kafka", "3.9.2", "4.3.1", "kafka-features.sh"),
        ("rabbitmq", "4.1.8", "4.2.9", "enable_feature_flag all"),
        ("mariadb", "10.6.28", "11.8.8", "mariadb-upgrade"),
        ("cassandra", "4.1.12", "5.0.9", "storage_compatibility_mode"),
    ):
        assert word in hop(engine, old, new, KRAFT).finalise


def test_every_engine_has_a_profile():
    assert sorted(PROFILES) == ENGINES


def rows() -> list[tuple[str, str, Hop]]:
    return [
        (name, f"{table}[{index}]", row)
        for name, profile in PROFILES.items()
        for table in ("upgrades", "downgrades")
        for index, row in enumerate(getattr(profile, table))
    ]


def test_every_refusal_has_a_reason_and_a_source():
    for name, where, row in rows():
        if row.verdict != "allow":
            assert row.reason, (name, where)
            assert row.source, (name, where)
        if row.one_way:
            assert row.reason, (name, where)


def test_a_reason_is_one_sentence_without_a_full_stop():
    for name, where, row in rows():
        assert not row.reason.endswith("."), (name, where)
        assert "\n" not in row.reason, (name, where)


def test_rows_ask_for_known_facts_only():
    for name, where, row in rows():
        for fact, value in row.facts.items():
            assert value in FACTS.get(fact, set()), (name, where, fact)


def test_stones_of_a_row_are_known_releases():
    """They stand where no search finds a path, so each must be a release, or the series of one."""
    for name, where, row in rows():
        for stone in row.via:
            assert any(read(stone).same_release(release) for release in PROFILES[name].releases) or stone in {
                "2.11.9",
                "2.9.22",
            }, (name, where)


@pytest.mark.parametrize("name", FULL)
def test_a_profile_is_complete(name):
    profile = PROFILES[name]
    assert profile.title
    assert profile.images
    assert profile.commands
    assert profile.sources
    assert profile.backup
    assert profile.releases
    assert profile.data
    assert profile.quorum.leave
    assert profile.quorum.minimum >= 2
    assert profile.upgrades
    assert profile.downgrades
    assert [release.key() for release in profile.releases] == sorted({release.key() for release in profile.releases})


@pytest.mark.parametrize("name", FULL)
def test_the_newest_release_goes_nowhere_unnoticed(name):
    """A downgrade below everything that is known is never allowed silently, an unknown engine version never denied."""
    profile = PROFILES[name]
    newest, oldest = profile.releases[-1], read("0.0.1")
    assert judge(profile, newest, oldest, {}).verdict != "allow"
    assert judge(profile, newest, newest, {}).verdict == "allow"


@pytest.mark.parametrize("name", FULL)
def test_expressions_compile(name):
    profile = PROFILES[name]
    for image in profile.images:
        re.compile(image)
    re.compile(profile.tag, re.VERBOSE)
    re.compile(profile.variants)
    for place in profile.data:
        for image in place.fixed:
            re.compile(image)
        for directory in (*place.defaults.values(), *place.fixed.values()):
            assert directory.startswith("/")


@pytest.mark.parametrize(
    ("engine", "tag"),
    [
        ("postgresql", "16.4"), ("postgresql", "17.11-alpine3.24"), ("postgresql", "18.6-trixie"),
        ("postgresql", "19beta3-bookworm"), ("mysql", "8.4.11-oraclelinux9"), ("mysql", "8.0.28-debian"),
        ("mariadb", "10.11.18-ubi9"), ("mariadb", "13.0.1-ubi10-rc"), ("mariadb", "10.8.2-rc-focal"),
        ("mongodb", "7.0.40-windowsservercore-ltsc2022"), ("mongodb", "8.0-rc-noble"), ("cassandra", "4.1.12-bookworm"),
        ("redis", "7.2.8-alpine3.21"), ("redis", "5.0-rc-32bit-stretch"), ("rabbitmq", "3.13.7-management-alpine"),
        ("rabbitmq", "4.0.0-rc.1-management"), ("elasticsearch", "8.19.20"), ("zookeeper", "3.9.5-jre-17"),
        ("zookeeper", "3.8.0-temurin"), ("nats", "2.14.5-alpine3.22"), ("nats", "2.9-scratch"),
    ],
    ids=str,
)  # fmt: skip
def test_the_variants_of_official_tags_are_known(engine, tag):
    assert re.fullmatch(PROFILES[engine].variants, tag[len(read(tag).text) :])


@pytest.mark.parametrize(
    ("engine", "tag"),
    [("zookeeper", "3.9.5-bad"), ("postgresql", "16.4-debian-12-r3"), ("mysql", "8.4.11-alpine"), ("redis", "7.2-slim")],
    ids=str,
)
def test_other_variants_are_not(engine, tag):
    assert not re.fullmatch(PROFILES[engine].variants, tag[len(read(tag).text) :])


@pytest.mark.parametrize(
    ("engine", "text", "series"),
    [
        ("postgresql", "16.4", (16,)), ("postgresql", "9.6.24", (9, 6)), ("postgresql", "17", (17,)),
        ("mysql", "8.0.36", (8, 0)), ("kafka", "0.10.2.2", (0, 10, 2)), ("kafka", "3.9.1", (3, 9)),
        ("minio", "RELEASE.2025-10-15T17-29-55Z", ()), ("elasticsearch", "8.19.2", (8,)), ("etcd", "3.5.17", (3, 5)),
    ],
    ids=str,
)  # fmt: skip
def test_a_version_belongs_to_a_series(engine, text, series):
    assert PROFILES[engine].series_of(read(text)) == series


def test_postgresql_18_moves_its_directory():
    places = [place for place in PROFILES["postgresql"].data if place.versions is not None]
    found = {
        text: [place.defaults["postgres"] for place in places if place.versions and place.versions.holds(read(text))]
        for text in ("9.6", "17", "18", "18.3", "19beta3")
    }
    assert found == {
        "9.6": ["/var/lib/postgresql/data"],
        "17": ["/var/lib/postgresql/data"],
        "18": ["/var/lib/postgresql/18/docker"],
        "18.3": ["/var/lib/postgresql/18/docker"],
        "19beta3": ["/var/lib/postgresql/19/docker"],
    }


def test_an_unknown_field_is_named():
    with pytest.raises(ValueError, match=r'x\.yaml: unknown field "image"'):
        parse_profile("x.yaml", {"engine": "x", "title": "X", "image": "x"})
    with pytest.raises(ValueError, match=r'x\.yaml: unknown field "till" in a hop'):
        parse_profile("x.yaml", {"engine": "x", "title": "X", "upgrades": [{"till": "3", "verdict": "allow"}]})
    with pytest.raises(ValueError, match="needs a reason"):
        parse_profile("x.yaml", {"engine": "x", "title": "X", "upgrades": [{"verdict": "deny"}]})


@pytest.mark.parametrize(
    ("text", "given", "holds", "certain"),
    [
        (">=3.11.18", "3.11", False, False),
        (">=3.11.18", "3.11.18", True, True),
        ("<3.5.32", "3.5", True, False),
        ("<3.5.32", "3.4", True, True),
        (">=4.0", "4", True, True),
        ("==4.0", "4", True, False),
        ("<8.0", "8", False, True),
        (">8.0", "8", False, False),
    ],
    ids=str,
)
def test_a_range_knows_when_a_version_is_too_short(text, given, holds, certain):
    bounds = version.parse_range(text)
    assert (bounds.holds(read(given)), bounds.certain(read(given))) == (holds, certain)


def test_a_refusal_needs_versions_that_are_written_out():
    profile = parse_profile(
        "x.yaml",
        {
            "engine": "x",
            "title": "X",
            "upgrades": [
                {"from": "<3.5.32", "to": "==3.6", "verdict": "deny", "reason": "too old"},
                {"parts": 2, "from": "==3.6", "verdict": "warn", "reason": "who knows"},
            ],
        },
    )
    verdicts = [judge(profile, read(old), read(new), {}).verdict for old, new in (("3.5.1", "3.6"), ("3.5", "3.6"))]
    assert verdicts == ["deny", "allow"]
    assert judge(profile, read("3.6"), read("4"), {}).verdict == "allow"
    assert judge(profile, read("3.6"), read("4.0"), {}).verdict == "warn"


def test_files_are_read_once_each():
    names = [name for name, _ in data.folder("engines/data")]
    assert names == [f"{engine}.yaml" for engine in ENGINES]
    assert isinstance(profiles.NO_ROW, Hop)
    assert all(isinstance(profile, Profile) for profile in PROFILES.values())


@pytest.mark.parametrize(
    ("text", "shown", "released"),
    [
        ("3.8.9-management", "3.8.9", True),
        ("16.10-minimal-trixie", "16.10", True),
        ("5.0-rc-32bit", "5.0-rc", False),
        ("10.8.2-rc-focal", "10.8.2-rc", False),
        ("6.0-alpha2", "6.0-alpha2", False),
        ("5.0.7-alpine", "5.0.7", True),
    ],
)
def test_a_variant_is_no_pre_release(text, shown, released):
    assert read(text).text == shown
    assert (not read(text) < read(text.partition("-")[0])) is released
