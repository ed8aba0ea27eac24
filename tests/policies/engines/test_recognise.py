"""Which engine a container runs: real images and commands, and nothing that raises."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.policies.engines.recognise import (
    PROFILES,
    by_label,
    container_of,
    recognise_container,
    recognise_image,
    recognise_pod,
    recognise_weakly,
)

SHA = "sha256:" + "ab" * 32

IMAGES = [
    # reference, engine, state, version
    ("postgres:16.4", "postgresql", "known", "16.4"),
    ("postgres:17", "postgresql", "known", "17"),
    ("postgres:19beta3-trixie", "postgresql", "known", "19beta3"),
    ("docker.io/library/postgres:16.10-alpine", "postgresql", "known", "16.10"),
    ("docker.io/bitnami/postgresql:16.4.0-debian-12-r14", "postgresql", "known", "16.4.0"),
    ("docker.io/bitnami/postgresql-repmgr:11.10.0-debian-10-r70", "postgresql", "known", "11.10.0"),
    ("registry.example.com/mirror/bitnami/postgresql:16.3.0-debian-12-r4", "postgresql", "known", "16.3.0"),
    ("ghcr.io/cloudnative-pg/postgresql:17.6-system-trixie", "postgresql", "known", "17.6"),
    ("ghcr.io/cloudnative-pg/postgresql:16.10-minimal-trixie", "postgresql", "known", "16.10"),
    ("registry.example.com/dba/postgresql:16.13-r2", "postgresql", "known", "16.13"),
    ("registry.example.com/dba/postgresql:trunk-v1", "postgresql", "opaque", None),
    ("timescaledev/timescaledb-ha:pg12.4-ts1.7.4-p0", "postgresql", "known", "12.4"),
    ("timescale/timescaledb:2.18.2-pg16", "postgresql", "known", "16"),
    ("timescale/timescaledb:latest-pg14", "postgresql", "known", "14"),
    ("timescale/timescaledb:2.18.2", "postgresql", "opaque", None),
    ("sourcegraph/postgres:18-11-26_9.4_a9463ecc", "postgresql", "opaque", None),
    ("registry.example.com/dba/postgres:2024-09-04", "postgresql", "opaque", None),
    ("registry.example.com/dba/postgres:20240904-3", "postgresql", "opaque", None),
    ("registry.example.com/dba/postgres:16-2-1", "postgresql", "known", "16"),
    ("pgvector/pgvector:pg17", "postgresql", "known", "17"),
    ("pgvector/pgvector:0.8.0-pg16", "postgresql", "known", "16"),
    ("postgis/postgis:16-3.4", "postgresql", "known", "16"),
    ("ghcr.io/zalando/spilo-17:4.0-p3", "postgresql", "opaque", None),
    ("registry.opensource.zalan.do/acid/spilo-cdp-14:2.1-p7", "postgresql", "opaque", None),
    ("registry.developers.crunchydata.com/crunchydata/crunchy-postgres:ubi8-14.5-1", "postgresql", "known", "14.5"),
    ("registry.redhat.io/rhel9/postgresql-16:1-40", "postgresql", "known", "16"),
    ("registry.redhat.io/rhel7/postgresql-96-rhel7:1-40", "postgresql", "opaque", None),
    ("mysql:8.4.11-oraclelinux9", "mysql", "known", "8.4.11"),
    ("mysql:8", "mysql", "known", "8"),
    ("mysql:lts", "mysql", "unset", None),
    ("percona:8.0.32-24", "mysql", "known", "8.0.32"),
    ("percona/percona-xtradb-cluster:8.4.7-7.1", "mysql", "known", "8.4.7"),
    ("container-registry.oracle.com/mysql/community-server:9.1.0", "mysql", "known", "9.1.0"),
    ("registry.redhat.io/rhel8/mysql-80:1-500", "mysql", "opaque", None),
    ("docker-registry1.mariadb.com/library/mariadb:11.8.5", "mariadb", "known", "11.8.5"),
    ("docker.io/bitnami/mariadb-galera:10.7.5-debian-11-r12", "mariadb", "known", "10.7.5"),
    ("mariadb:13.0.1-rc", "mariadb", "known", "13.0.1-rc"),
    ("mongo:7.0.40-jammy", "mongodb", "known", "7.0.40"),
    ("docker.io/mongodb/mongodb-community-server:6.0.14-ubi8", "mongodb", "known", "6.0.14"),
    ("percona/percona-server-mongodb:7.0.18-11", "mongodb", "known", "7.0.18"),
    ("cassandra:4.1.5", "cassandra", "known", "4.1.5"),
    ("cr.k8ssandra.io/k8ssandra/cass-management-api:4.0.5-ubi8", "cassandra", "known", "4.0.5"),
    ("gcr.io/google-samples/cassandra:v13", "cassandra", "opaque", None),
    ("redis", "redis", "unset", None),
    ("redis:latest", "redis", "unset", None),
    ("redis:alpine", "redis", "unset", None),
    (f"redis@{SHA}", "redis", "opaque", None),
    (f"redis:7.2.8-alpine@{SHA}", "redis", "known", "7.2.8"),
    (f"redis:latest@{SHA}", "redis", "opaque", None),
    ("public.ecr.aws/docker/library/redis:7.4.2-alpine", "redis", "known", "7.4.2"),
    ("registry.opensource.zalan.do/library/redis-6-alpine:6-alpine-20220620", "redis", "known", "6"),
    ("quay.io/opstree/redis:v7.0.15", "redis", "known", "7.0.15"),
    ("quay.io/opstree/redis-sentinel:v7.0.12", "redis", "known", "7.0.12"),
    ("redislabs/redis:7.4.2-129", "redis", "opaque", None),
    ("valkey/valkey:8.1.9-alpine", "valkey", "known", "8.1.9"),
    ("apache/kafka:3.9.1", "kafka", "known", "3.9.1"),
    ("quay.io/strimzi/kafka:0.36.0-kafka-3.5.0", "kafka", "known", "3.5.0"),
    ("strimzi/kafka:0.36.0", "kafka", "opaque", None),
    ("wurstmeister/kafka:2.13-2.8.1", "kafka", "known", "2.8.1"),
    ("confluentinc/cp-kafka:7.5.0", "kafka", "opaque", None),
    ("solsson/kafka:1.0.2", "kafka", "known", "1.0.2"),
    ("rabbitmq:3.13.7-management-alpine", "rabbitmq", "known", "3.13.7"),
    ("rabbitmq:management", "rabbitmq", "unset", None),
    ("quay.io/minio/minio:RELEASE.2025-04-08T15-41-24Z", "minio", "known", "RELEASE.2025-04-08T15-41-24Z"),
    ("bitnami/minio:2024.3.3-debian-12-r0", "minio", "known", "2024.3.3"),
    ("docker.elastic.co/elasticsearch/elasticsearch-oss:6.8.8", "elasticsearch", "known", "6.8.8"),
    ("opensearchproject/opensearch:2.19.1", "opensearch", "known", "2.19.1"),
    ("k8s.gcr.io/etcd-amd64:3.2.26", "etcd", "known", "3.2.26"),
    ("registry.k8s.io/etcd:3.5.15-0", "etcd", "known", "3.5.15"),
    ("quay.io/coreos/etcd:v3.5.17", "etcd", "known", "3.5.17"),
    ("rancher/mirrored-coreos-etcd:v3.5.9", "etcd", "known", "3.5.9"),
    ("zookeeper:3.9.5-jre-17", "zookeeper", "known", "3.9.5"),
    ("pravega/zookeeper:0.2.11", "zookeeper", "opaque", None),
    ("k8s.gcr.io/kubernetes-zookeeper:1.0-3.4.10", "zookeeper", "known", "3.4.10"),
    ("nats:2.10.5-alpine", "nats", "known", "2.10.5"),
    ("localhost:5000/nats:2.14", "nats", "known", "2.14"),
]


@pytest.mark.parametrize(("reference", "engine", "state", "text"), IMAGES, ids=[row[0][-48:] for row in IMAGES])
def test_an_image_names_its_engine(reference, engine, state, text):
    found = recognise_image(reference)
    assert found is not None
    assert (found.profile.name, found.state, found.version and found.version.text) == (engine, state, text)
    assert found.strong


@pytest.mark.parametrize(
    "reference",
    [
        "quay.io/prometheuscommunity/postgres-exporter:v0.15.0", "prom/mysqld-exporter:v0.15.1", "nats-exporter:0.9",
        "oliver006/redis_exporter:v1.5", "bitnami/redis-exporter:1.44.0", "percona/mongodb_exporter:0.40",
        "danielqsj/kafka-exporter:v1.7", "criteord/cassandra_exporter:2.3", "kbudde/rabbitmq-exporter:1.0",
        "quay.io/strimzi/operator:0.36.0", "strimzi/cluster-operator:0.10.0", "minio/operator:v4.4.28", "minio/mc:latest",
        "ghcr.io/zalando/postgres-operator:v1.15.1", "quay.io/coreos/etcd-operator:v0.9.4", "natsio/nats-box:0.14",
        "docker.io/apecloud/kubeblocks:0.6.0", "k8ssandra/cass-operator:v1.23.0", "rabbitmqoperator/cluster-operator:2",
        "percona/percona-xtradb-cluster-operator:1.20.0", "percona/percona-server-mongodb-operator:1.8.0",
        "docker.elastic.co/eck/eck-operator:1.0.0", "mariadb-operator/mariadb-operator:0.37.0", "nats-streaming:0.25",
        "ghcr.io/cloudnative-pg/cloudnative-pg:1.29.0", "ghcr.io/cloudnative-pg/pgbouncer:1.23",
        "percona/haproxy:2.8.17", "percona/percona-xtrabackup:8.4.0", "percona/percona-backup-mongodb:2.3.0",
        "registry.developers.crunchydata.com/crunchydata/crunchy-pgbackrest:ubi8-2.40-1",
        "registry.developers.crunchydata.com/crunchydata/crunchy-upgrade:ubi8-5.2.0-0", "pravega/zookeeper-operator:0.2",
        "prodrigestivill/postgres-backup-local:16", "confluentinc/cp-kafka-connect:7.5", "provectuslabs/kafka-ui:0.7",
        "quay.io/mongodb/mongodb-agent:107.0", "mongo-express:1.0", "opensearchproject/opensearch-dashboards:2.19",
        "docker.elastic.co/kibana/kibana:8.0", "postgrest/postgrest:12", "dpage/pgadmin4:8", "busybox:1.36", "nginx", "",
        "bitnami/pgpool:4", "quay.io/opstree/redis-operator:v0.15", "natsio/nats-server-config-reloader:0.14",
        "apache/kafka-connect:4", "postgres-init:1", "elasticsearch-curator:5", "pingcap/tidb:v8.5.2",
    ],
)  # fmt: skip
def test_what_stands_beside_an_engine_is_none(reference):
    assert recognise_image(reference) is None


def container(image: str = "registry.example.com/app:1", **fields: object) -> dict[str, object]:
    return {"name": "main", "image": image, **fields}


def sh(script: str) -> dict[str, object]:
    return {"command": ["/bin/sh", "-c", script]}


COMMANDS = [
    # what, container, engine, version
    ("a command outranks the image", container("solsson/kafka:1.0.2", command=["./bin/zookeeper-server-start.sh", "x"]),
     "zookeeper", None),
    ("the image of the same engine gives the version", container("k8s.gcr.io/etcd:3.2.24", command=["etcd", "--name=a"]),
     "etcd", "3.2.24"),
    ("a path before the program", container("gcr.io/x/etcd:v3.3.9", command=["/usr/local/bin/etcd"]), "etcd", "3.3.9"),
    ("arguments alone", container("mirror/db:8.0", args=["mysqld", "--datadir=/d"]), "mysql", None),
    ("flags alone", container("postgres:16.4", args=["-c", "max_connections=9"]), "postgresql", "16.4"),
    ("words of the image's own entrypoint", container("minio/minio:RELEASE.2023-10-16T04-13-43Z", args=["server", "/d"]),
     "minio", "RELEASE.2023-10-16T04-13-43Z"),
    ("a script", container("quay.io/coreos/etcd:v3.5.17", **sh("set -e\nexec etcd --name $(hostname)")), "etcd", "3.5.17"),
    ("a script behind an entrypoint", container("quay.io/minio/minio:RELEASE.2022-07-30T05-21-40Z",
     command=["/bin/sh", "-ce", "/usr/bin/docker-entrypoint.sh minio server http://minio-{0...3}/export"]),
     "minio", "RELEASE.2022-07-30T05-21-40Z"),
    ("a program after a user", container(command=["gosu", "mongodb", "mongod", "--dbpath=/d"]), "mongodb", None),
    ("a program after an init", container(command=["tini", "-g", "--", "cassandra", "-f"]), "cassandra", None),
    ("a program after assignments", container(**sh("FOO=bar BAR='a b' redis-server /etc/redis.conf")), "redis", None),
    ("a program in a branch", container(**sh('if [ "$A" = b ]; then\n  exec kafka-server-start.sh x\nfi')), "kafka", None),
    ("a script over two lines", container(**sh("exec rabbitmq-server \\\n  --x")), "rabbitmq", None),
    ("mysqld is MariaDB's in its image", container("mariadb:10.6.28", command=["mysqld"]), "mariadb", "10.6.28"),
    ("redis-server is Valkey's in its image", container("valkey/valkey:8.1.9", command=["redis-server"]), "valkey",
     "8.1.9"),
    ("elasticsearch's wrapper", container(command=["docker-entrypoint.sh", "eswrapper"]), "elasticsearch", None),
    ("an unknown start script leaves the image", container("docker.io/bitnami/mariadb-galera:10.4.12-debian-10-r69",
     command=["bash", "-ec", "# don't\nexport X=yes\nexec /opt/bitnami/scripts/mariadb-galera/run.sh"]), "mariadb",
     "10.4.12"),
    ("a word that is no program", container("busybox", **sh("echo postgres; sleep 5")), None, None),
    ("a word in quotes", container("busybox", **sh('echo "a; etcd; b" && psql -U postgres')), None, None),
    ("a user of that name", container("alpine", command=["psql", "-U", "postgres"]), None, None),
    ("a store's client", container("minio/mc", **sh("mc alias set minio http://minio:9000; mc mb minio/x")), None, None),
    ("a dump job in the engine's image", container("postgres:16", **sh("while true; do pg_dump app > /b/x; sleep 9; done")),
     None, None),
    ("a shell in the engine's image", container("redis:7", command=["redis-cli", "monitor"]), None, None),
    ("topics made by the broker's image", container("apache/kafka:3.9.1", command=["/opt/kafka/bin/kafka-topics.sh"]),
     None, None),
    ("Kafka Connect in the broker's image", container("quay.io/strimzi/kafka:0.36.0-kafka-3.5.0",
     command=["/opt/kafka/kafka_connect_run.sh"]), None, None),
    ("an exporter that takes the engine's name", container("x/redis-exporter:1", args=["redis-server"]), None, None),
    ("a commented line", container("busybox", **sh("# exec etcd\nsleep 1")), None, None),
    ("a shell script by its path", container("busybox", command=["sh", "/scripts/start.sh"]), None, None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "given_container", "engine", "text"), COMMANDS, ids=[row[0] for row in COMMANDS])
def test_a_command_names_the_engine(what, given_container, engine, text):
    found = recognise_container(given_container)
    assert (found and found.profile.name) == engine
    if found is not None:
        assert (found.version and found.version.text) == text
        assert found.state == ("known" if text else "opaque")
        assert found.strong


def pod(*containers: dict[str, object], volumes: object = None, **fields: object) -> dict[str, object]:
    return {"containers": list(containers), "volumes": volumes, **fields}


DATA = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
CONFIG = {"volumeMounts": [{"name": "config", "mountPath": "/etc/x"}]}
SCRATCH = [{"name": "config", "configMap": {"name": "x"}}, {"name": "tmp", "emptyDir": {}}]


def engine_of(spec: dict[str, object]) -> tuple[int, str] | None:
    found = recognise_pod(spec)
    return None if found is None else (found[0], found[1].profile.name)


def test_the_only_engine_wins_wherever_it_stands():
    web, database = container("nginx"), container("mysql:8.0.46")
    assert engine_of(pod(database)) == (0, "mysql")
    assert engine_of(pod(web, database)) == (1, "mysql")
    assert engine_of(pod(web)) is None
    assert engine_of(pod()) is None


def test_the_container_with_a_claim_wins():
    plain, mounting, configured = container("redis:7"), container("mongo:7", **DATA), container("nats:2", **CONFIG)
    assert engine_of(pod(plain, mounting, volumes=SCRATCH)) == (1, "mongodb")
    assert engine_of(pod(plain, configured, mounting, volumes=SCRATCH)) == (2, "mongodb")
    assert engine_of(pod(plain, configured, volumes=SCRATCH)) == (1, "nats")
    claimed = [{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}]
    assert engine_of(pod(plain, mounting, volumes=claimed)) == (1, "mongodb")


def test_of_two_alike_the_first_wins():
    assert engine_of(pod(container("redis:7", **DATA), container("mongo:7", **DATA))) == (0, "redis")


def test_a_sidecar_never_wins():
    exporter = {"name": "exporter", "image": "quay.io/prometheuscommunity/postgres-exporter:v0.15.0", **DATA}
    backup = {"name": "pg-backup", "image": "postgres:16.4", **DATA}
    assert engine_of(pod(exporter, container("postgres:16.10"))) == (1, "postgresql")
    assert engine_of(pod(backup, container("mysql:8.0.46"))) == (1, "mysql")
    assert engine_of(pod(container("nginx"), backup)) is None


def test_a_sentinel_comes_after_the_data():
    sentinel = {"name": "sentinel", "image": "redis:7.2", "command": ["redis-sentinel"], **DATA}
    assert engine_of(pod(sentinel, container("redis:7.2"))) == (1, "redis")
    assert engine_of(pod({**sentinel, "name": "x", "image": "bitnami/redis-sentinel:7.2"}, container("redis:7.2"))) == (
        1,
        "redis",
    )
    assert engine_of(pod(sentinel)) == (0, "redis")


def test_init_containers_are_not_looked_at():
    assert engine_of(pod(container("nginx"), initContainers=[container("postgres:16")])) is None
    assert engine_of({"initContainers": [container("postgres:16")]}) is None


@pytest.mark.parametrize(
    ("labels", "engine"),
    [
        ({"app.kubernetes.io/name": "postgresql"}, "postgresql"),
        ({"app.kubernetes.io/name": "PostgreSQL"}, "postgresql"),
        ({"app": "postgres"}, "postgresql"),
        ({"app": "mariadb-galera"}, "mariadb"),
        ({"app": "apache-kafka"}, "kafka"),
        ({"app.kubernetes.io/name": "shop", "app": "redis"}, "redis"),
        ({"app": "redis-exporter"}, None),
        ({"release": "etcd"}, None),
        ({"app": ["etcd"]}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_label_is_weak_evidence(labels, engine):
    template = {"metadata": {"labels": labels}, "spec": pod(container())}
    found = by_label(template)
    assert (found and found.profile.name) == engine
    assert recognise_weakly(template) == found
    if engine is not None:
        assert found is not None
        assert not found.strong
        assert found.version is None


@pytest.mark.parametrize(
    ("port", "engine"), [(5432, "postgresql"), (27017, "mongodb"), (3306, None), ("5432", None), (True, None), (None, None)]
)
def test_a_port_is_weaker_still(port, engine):
    spec = pod({**container(), "ports": [{"containerPort": port}]})
    found = recognise_weakly({"spec": spec})
    assert (found and found.profile.name) == engine
    labelled = recognise_weakly({"metadata": {"labels": {"app": "redis"}}, "spec": spec})
    assert labelled is not None
    assert labelled.profile.name == "redis"


@pytest.mark.parametrize("image", ["acme/postgres-exporter:1", "acme/redis-proxy:2"])
def test_a_label_on_what_is_beside_an_engine_tells_nothing(image):
    assert recognise_weakly({"metadata": {"labels": {"app": "redis"}}, "spec": pod(container(image))}) is None


def test_profiles_cannot_be_changed():
    with pytest.raises(TypeError):
        PROFILES["x"] = PROFILES["redis"]  # type: ignore[index]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
WORDS = st.sampled_from(
    [
        "sh",
        "-c",
        "-ec",
        "exec etcd",
        "redis-server",
        "postgres:16",
        "--",
        "gosu",
        "env",
        "'",
        '"',
        "\\",
        "$(",
        "a;b",
        "",
        "=",
    ]
)
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        "name": JSON | st.sampled_from(["db", "exporter", "sentinel"]),
        "image": JSON | st.sampled_from([row[0] for row in IMAGES]),
        "command": JSON | st.lists(WORDS | JSON, max_size=4),
        "args": JSON | st.lists(WORDS | st.text(), max_size=4),
        "volumeMounts": JSON | st.lists(st.fixed_dictionaries({"name": JSON}), max_size=3),
    },
)
POD = st.fixed_dictionaries(
    {},
    optional={
        "containers": JSON | st.lists(CONTAINER | JSON, max_size=4),
        "volumes": JSON | st.lists(st.fixed_dictionaries({"name": JSON, "emptyDir": JSON}) | JSON, max_size=3),
    },
)
TEMPLATE = st.fixed_dictionaries(
    {}, optional={"metadata": JSON | st.fixed_dictionaries({"labels": JSON}), "spec": POD | JSON}
)


@given(POD | JSON)
def test_no_pod_makes_it_raise(spec):
    found = recognise_pod(spec)
    if found is not None:
        assert found[1].profile.name in PROFILES
        assert 0 <= found[0] < len(spec["containers"])


@given(CONTAINER | JSON)
def test_no_container_makes_it_raise(given_container):
    found = recognise_container(given_container)
    assert found is None or found.strong


@given(TEMPLATE | JSON)
def test_no_template_makes_it_raise(template):
    recognise_weakly(template)
    by_label(template)


@given(POD | JSON)
def test_of_no_pod_the_container_of_an_engine_makes_it_raise(spec):
    found = container_of(spec, PROFILES["redis"])
    assert found is None or 0 <= found[0] < len(spec["containers"])


@given(st.text())
@settings(max_examples=300)
def test_no_reference_makes_it_raise(reference):
    found = recognise_image(reference)
    assert found is None or (found.version is not None) == (found.state == "known")


@given(st.text(alphabet="abc \n;&|()`'\"\\#$-=", max_size=400))
def test_no_script_makes_it_raise(script):
    assert recognise_container(container(**sh(script))) is None


@pytest.mark.parametrize("script", ['"\\"' * 5000, "'" * 15_001, "(" * 15_000, "\\" * 15_001, '"' + "\\" * 15_000], ids=len)
def test_a_hostile_script_is_read_in_linear_time(script):
    assert timeit.timeit(lambda: recognise_container(container(**sh(script))), number=1) < 0.2


def test_a_huge_command_is_not_read():
    assert recognise_container(container("redis:7.2", **sh("etcd " * 5000))) == recognise_image("redis:7.2")
    assert recognise_image("redis:" + "7" * 5000) is None


def test_a_container_without_a_command_costs_next_to_nothing():
    given_container = container("docker.io/library/postgres:16.10", **DATA)
    recognise_container(given_container)
    best = min(timeit.repeat(lambda: recognise_container(given_container), number=2000, repeat=5)) / 2000
    assert best < 2e-5
