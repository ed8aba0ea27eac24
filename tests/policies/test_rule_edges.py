"""The edges of the rules: their own examples, moved a little, and the words that tell one branch from another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stateward.policies import cases, data, message
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.request import Request
from stateward.policies.rules import BY_ID
from stateward.policies.view import MemoryView, Object

Edit = Callable[[Object], Object]


def example(rule: str, name: str) -> cases.Case:
    """An example by the end of its name (`SW204/name`: of another rule); of several with the same end the first."""
    rule, name = name.split("/") if "/" in name else (rule, name)
    found = [case for case in cases.read(rule, data.examples(BY_ID[rule].module)) if case.name.endswith(name)]
    assert found, f"{rule} has no example {name}"
    return found[0]


def judged(case: cases.Case, *, old: Any = None, new: Any = None, context: Any = None, both: Any = None) -> Verdict:
    """An example's verdict, with merge patches laid over its objects and another context."""
    asked = case.request

    def patched(item: Object | None, patch: Any) -> Object | None:
        if item is None:
            return None
        found: Object = cases.merge(cases.merge(item, both or {}), patch or {})
        return found

    request = Request(
        kind=asked.kind,
        operation=asked.operation,
        name=asked.name,
        namespace=asked.namespace,
        object=patched(asked.object, new),
        old=patched(asked.old, old),
        subresource=asked.subresource,
        user=asked.user,
        options=asked.options,
    )
    objects = case.context if context is None else context(list(case.context)) if callable(context) else context
    return evaluate(request, MemoryView(objects), now=case.now)


def does(verdict: Verdict, rule: str) -> str:
    actions = {one.action for one in verdict.judged if one.rule == rule}
    return "deny" if "deny" in actions else "warn" if "warn" in actions else "allow"


def spec(**further: Any) -> dict[str, Any]:
    return {"spec": further}


def pod(**further: Any) -> dict[str, Any]:
    return spec(template=spec(**further))


def each(patch: Any) -> Callable[[list[Object]], list[Object]]:
    """A context whose objects all get a patch."""
    return lambda objects: [cases.merge(item, patch) for item in objects]


def of_kind(kind: str, patch: Any) -> Callable[[list[Object]], list[Object]]:
    return lambda objects: [cases.merge(item, patch) if item["kind"] == kind else item for item in objects]


def claim(name: str, namespace: str, capacity: str, bound: bool = True, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace, "labels": {k.replace("__", "/"): v for k, v in labels.items()}},
        "spec": {"storageClassName": "fast", **({"volumeName": f"pv-{name}"} if bound else {})},
        "status": {"phase": "Bound" if bound else "Pending", "capacity": {"storage": capacity}},
    }


def container(name: str, image: str, **further: Any) -> dict[str, Any]:
    return pod(containers=[{"name": name, "image": image, **further}])


def env(**variables: str) -> list[dict[str, str]]:
    return [{"name": name.replace("__", "."), "value": value} for name, value in variables.items()]


ES6 = "registry.example/elasticsearch/elasticsearch:6.8.23"
ES8 = "registry.example/elasticsearch/elasticsearch:8.19.4"
ETCD = "registry.example/mirror/etcd:v3.6.4"
DATA_MOUNT = [{"name": "data", "mountPath": "/usr/share/elasticsearch/data"}]
ETCD_MOUNT = [{"name": "data", "mountPath": "/var/lib/etcd"}]
CNPG = {"cnpg.io__pvcRole": "PG_DATA"}
SET_OF_PODS = "evict-a-healthy-member-while-another-is-down"

EDGES: list[tuple[str, str, str, dict[str, Any], str]] = [
    # sentence, rule, example, what is moved, what the rule does then
    (
        "storage that was ephemeral has no class to keep",
        "SW101", "change-the-class-of-zookeeper", {"old": spec(zookeeper={"storage": {"type": "ephemeral"}})}, "allow",
    ),
    (
        "a class that was written is not the default that it becomes",
        "SW101", "move-to-a-faster-class", {"context": lambda found: found[:2]}, "deny",
    ),
    (
        "the claims of another cluster tell nothing of the classes here",
        "SW101", "move-to-a-faster-class",
        {"context": of_kind("PersistentVolumeClaim", {"metadata": {"labels": {"cnpg.io/cluster": "carts"}}})}, "allow",
    ),
    (
        "a volume that becomes ephemeral is another rule's matter",
        "SW102", "give-all-brokers-smaller-disks",
        {"new": spec(storage={"volumes": [{"id": 1, "type": "ephemeral", "size": "1Gi"}]})}, "allow",
    ),
    (
        "a smaller claim of another cluster excuses no shrinking",
        "SW102", "halve-the-data-volume",
        {"context": [claim("carts-1", "bank", "30Gi", **CNPG, **{"cnpg.io__cluster": "carts"})]}, "deny",
    ),
    (
        "nor does one that was never bound",
        "SW102", "halve-the-data-volume",
        {"context": [claim("ledger-1", "bank", "30Gi", bound=False, **CNPG, **{"cnpg.io__cluster": "ledger"})]}, "deny",
    ),
    (
        "a size that cannot be read is not smaller",
        "SW102", "halve-the-data-volume", {"new": spec(storage={"size": "much"})}, "allow",
    ),
    (
        "a claim without a volume leaves nothing behind",
        "SW104", "rename-the-release", {"context": each(spec(volumeName=None) | {"status": None})}, "allow",
    ),
    (
        "a claim of no ordinal belongs to no set",
        "SW104", "rename-the-release", {"context": each({"metadata": {"name": "data-catalog"}})}, "allow",
    ),
    (
        "a claim of another volume belongs to another template",
        "SW104", "rename-the-release", {"context": each({"metadata": {"name": "index-catalog-0"}})}, "allow",
    ),
    (
        "a claim without labels says nothing of its release",
        "SW104", "rename-the-release", {"context": each({"metadata": {"labels": None}})}, "allow",
    ),
    (
        "one label in common is too little",
        "SW104", "rename-the-release", {"context": each({"metadata": {"labels": {"release": None}}})}, "allow",
    ),
    (
        "a claim of its own, whichever, is enough",
        "SW104", "rename-the-release",
        {"context": lambda found: [*found, claim("data-summer-catalog-3", "shop", "1Gi")]}, "allow",
    ),
    ("a set of none writes nowhere", "SW105", "mount-the-claim-elsewhere", {"new": spec(replicas=0)}, "allow"),
    (
        "a claim at the root covers nothing by chance",
        "SW105", "mount-the-claim-elsewhere",
        {"new": container("etcd", ETCD, args=["--data-dir=/data2"], volumeMounts=[{"name": "data", "mountPath": "/data"}])},
        "deny",
    ),
    (
        "a set of none replaces no pod",
        "SW107", "roll-out-a-fix-release", {"both": spec(replicas=0)}, "allow",
    ),
    (
        "an engine that nobody knows may do without its data",
        "SW107", "roll-out-a-fix-release",
        {
            "old": container("x", "registry.example/x:1", volumeMounts=[{"name": "data", "mountPath": "/x"}]),
            "new": container("x", "registry.example/x:2", volumeMounts=[{"name": "data", "mountPath": "/x"}]),
        },
        "allow",
    ),
    (
        "claims that were never bound are not where they are",
        "SW108", "make-a-set-again-over-its-bound-claims",
        {"context": of_kind("PersistentVolumeClaim", spec(volumeName=None) | {"status": None})}, "warn",
    ),
    (
        "nor are those of another cluster",
        "SW108", "make-a-set-again-over-its-bound-claims",
        {"context": of_kind("PersistentVolumeClaim", {"metadata": {"name": "data-carts-0"}})}, "warn",
    ),
    (
        "the class of another pool's claims is not this one's",
        "SW110", "grow-the-disks-of-all-brokers",
        {"context": of_kind("PersistentVolumeClaim", {"metadata": {"name": "data-0-clicks-other-0"}})}, "allow",
    ),
    ("one member is no quorum", "SW201", "scale-to-zero", {"old": spec(replicas=1)}, "allow"),
    ("as many as before are none fewer", "SW201", "take-one-voter-away", {"new": spec(replicas=5, x=1)}, "allow"),
    ("two of two stop together", "SW201", "scale-to-zero", {"old": spec(replicas=2)}, "deny"),
    (
        "a number that is none is not judged",
        "SW201", "scale-five-members-to-two", {"new": spec(replicas="two")}, "allow",
    ),
    (
        "nodes that hold data alone do not vote",
        "SW201", "scale-five-members-to-two",
        {"both": container("es", ES8, env=env(node__roles="data"), volumeMounts=DATA_MOUNT)}, "allow",
    ),
    (
        "nodes that may be elected do",
        "SW201", "scale-five-members-to-two",
        {"both": container("es", ES8, env=env(node__roles="data,master"), volumeMounts=DATA_MOUNT)}, "deny",
    ),
    (
        "nodes without roles may be elected",
        "SW201", "scale-five-members-to-two", {"both": container("es", ES8, volumeMounts=DATA_MOUNT)}, "deny",
    ),
    (
        "before version 7 a node says so itself",
        "SW201", "scale-five-members-to-two",
        {"both": container("es", ES6, env=env(node__master="false"), volumeMounts=DATA_MOUNT)}, "allow",
    ),
    ("three to two keeps a standby", "SW202", "scale-to-the-primary-alone", {"new": spec(instances=2)}, "allow"),
    ("one to none is no standby lost", "SW202", "scale-to-the-primary-alone", {"old": spec(instances=1)}, "allow"),
    (
        "galera votes and has no standby",
        "SW202", "StatefulSet with a primary and replicas scale-to-one",
        {"both": container("m", "registry.example/mariadb-galera:11.4.5")}, "allow",
    ),
    ("controllers that start from none are formatted then", "SW203", "add-two-controllers",
     {"old": spec(replicas=0)}, "allow"),
    (
        "a kafka that names no pools but has ZooKeeper has no controllers",
        "SW203", "add-members-that-are-broker-and-controller",
        {"both": {"metadata": {"annotations": None}, "spec": {"zookeeper": {"replicas": 3}}}}, "allow",
    ),
    ("members that start from none found their cluster", "SW203", "add-members-that-would-found-a-cluster",
     {"old": spec(replicas=0)}, "allow"),
    ("fewer members are another rule's matter", "SW203", "add-two-members-at-once", {"new": spec(replicas=0)}, "allow"),
    (
        "a list that is too short for the new member is not that of the running cluster",
        "SW203", "add-one-member-that-joins",
        {"both": container("etcd", ETCD, args=["--initial-cluster-state=existing", "--initial-cluster=a=http://a:2380"],
                           volumeMounts=ETCD_MOUNT)},
        "deny",
    ),
    (
        "as many brokers as a partition has replicas may hold all of one",
        "SW204", "take-three-of-six-brokers-away", {"new": spec(replicas=4)}, "warn",
    ),
    ("a factor of none is one", "SW204", "take-one-broker-away",
     {"context": of_kind("Kafka", spec(kafka={"config": {"default.replication.factor": 0}}))}, "deny"),
    ("controllers hold no partitions", "SW204", "take-three-of-six-brokers-away",
     {"both": spec(roles=["controller"])}, "allow"),
    ("controllers of a set hold none either", "SW204", "take-one-broker-of-three-copies-away",
     {"both": container("kafka", "registry.example/kafka:4.1.0", env=env(KAFKA_PROCESS_ROLES="controller"))}, "allow"),
    ("a factor that is no number is one", "SW204", "take-one-broker-of-three-copies-away",
     {"both": container("kafka", "registry.example/kafka:4.1.0", env=env(KAFKA_DEFAULT_REPLICATION_FACTOR="²"))}, "deny"),
    ("as many copies as brokers can be held", "SW205", "demand-more-replicas-in-sync-than-there-are-brokers",
     {"new": spec(kafka={"config": {"min.insync.replicas": 3}})}, "allow"),
    ("all but the primary may be synchronous", "SW205", "demand-two-synchronous-standbys-of-two-instances",
     {"new": spec(postgresql={"synchronous": {"number": 1}})}, "allow"),
    ("none is demanded by nought", "SW205", "demand-one-synchronous-standby-of-a-single-instance",
     {"new": spec(minSyncReplicas=0)}, "allow"),
    ("a single node divides into no halves", "SW205", "found-three-masters-without-a-majority",
     {"new": spec(replicas=1)}, "allow"),
    ("two nodes need both", "SW205", "set-the-majority", {"new": spec(replicas=2)}, "allow"),
    ("a number that cannot be read is not judged", "SW205", "set-the-majority",
     {"new": container("es", ES6, env=env(discovery__zen__minimum_master_nodes="²"), volumeMounts=DATA_MOUNT)}, "allow"),
    ("a set of one has no quorum", "SW206", SET_OF_PODS, {"context": of_kind("StatefulSet", spec(replicas=1))}, "allow"),
    ("a set that does not vote has none", "SW206", SET_OF_PODS,
     {"context": of_kind("StatefulSet", container("redis", "redis:7.2.5"))}, "allow"),
    ("of five one may be down and one may go", "SW206", SET_OF_PODS,
     {"context": lambda found: [
         *of_kind("StatefulSet", spec(replicas=5))(found),
         *(cases.merge(found[1], {"metadata": {"name": f"locks-{number}"}}) for number in (3, 4)),
     ]}, "allow"),
    ("two members are no quorum to spread", "SW207", "nothing-keeps-them-apart", {"new": spec(replicas=2)}, "allow"),
    ("where no node is known nothing is said of them", "SW207", "ask-them-to-spread-over-too-few-nodes",
     {"context": []}, "allow"),
    ("five members on three nodes keep the majority when one dies", "SW207", "ask-them-to-spread-over-enough-nodes",
     {"new": spec(replicas=5)}, "allow"),
    ("four on three do not", "SW207", "ask-them-to-spread-over-enough-nodes", {"new": spec(replicas=4)}, "warn"),
    ("a taint that only asks does not keep pods away", "SW207", "ask-them-to-spread-over-enough-nodes",
     {"context": each(spec(taints=[{"key": "a", "effect": "PreferNoSchedule"}]))}, "allow"),
    ("all labels of a selector are needed", "SW208", "select-what-nodes-carry",
     {"new": spec(affinity={"nodeSelector": {"disk": "hdd", "zone": "north"}})}, "deny"),
    ("a value among several will do", "SW208", "require-an-affinity-that-no-node-meets",
     {"new": pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
         {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["tape"]}]},
         {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["tape", "ssd"]}]},
     ]}}})}, "allow"),
    ("a cluster whose nodes nobody gave says nothing", "SW208", "select-a-label-that-no-node-carries",
     {"context": []}, "allow"),
    ("all members are ready", "SW209", "take-healthy-members-away", {"old": {"status": {"readyReplicas": 4}}}, "allow"),
    ("one member has none to fall back on", "SW209", "update-while-a-standby-is-down",
     {"old": spec(instances=1) | {"status": {"readyInstances": 0}}, "new": spec(instances=1)}, "allow"),
    ("a set without templates has no claims to lose", "SW405", "scale-down-by-two",
     {"both": spec(volumeClaimTemplates=None)}, "allow"),
    ("who keeps claims loses none", "SW405", "scale-down-by-two",
     {"both": spec(persistentVolumeClaimRetentionPolicy=None)}, "allow"),
    ("the last replica's claim goes with all data", "SW405", "take-a-replica-away", {"new": spec(replicas=0)}, "deny"),
    ("labels of another set are not this one's", "SW402", "delete-the-claim-of-a-set-whose-templates-are-gone",
     {"context": of_kind("StatefulSet", spec(replicas=0, selector={"matchLabels": {"app": "others"}}))}, "deny"),
    ("a member beyond the wanted ones leaves its claim over", "SW402",
     "delete-the-claim-of-a-set-whose-templates-are-gone", {"context": of_kind("StatefulSet", spec(replicas=0))}, "warn"),
    ("a pool that never ran is resized freely", "SW801", "scale-a-pool", {"old": spec(replicas=0)}, "allow"),
    ("a mode that was not known is not switched", "SW803", "switch-zookeeper-off",
     {"old": container("kafka", "registry.example/mirror/kafka:3.9.1")}, "allow"),
    ("brokers that were stopped are formatted anew", "SW803", "switch-zookeeper-off", {"old": spec(replicas=0)}, "allow"),
    ("a set of one founds its cluster", "SW804", "found-the-cluster-again", {"both": spec(replicas=1)}, "allow"),
    ("pods of another set do not say that this one runs", "SW804", "found-the-cluster-again",
     {"both": spec(selector={"matchLabels": {"app": "billing", "role": "db"}})}, "allow"),
    ("a restart with a setting that was there before is warned about all the same", "SW804", "found-the-cluster-again",
     {"old": container("mariadb", "registry.example/mirror/mariadb-galera:11.4.5",
                       env=env(MARIADB_GALERA_CLUSTER_BOOTSTRAP="yes"))}, "warn"),
    ("an autoscaler of another kind scales another object", "SW805",
     "HorizontalPodAutoscaler apply-a-manifest-with-the-number-of-the-first-day",
     {"context": each(spec(scaleTargetRef={"kind": "Deployment"}))}, "allow"),
    ("what fits exactly fits", "SW806", "limit-it-below-what-the-connections-may-take",
     {"new": container("mariadb", "mariadb:11.4.5", resources={"limits": {"memory": "3605552Ki"}},
                       volumeMounts=[{"name": "config", "mountPath": "/etc/mysql/conf.d"}])}, "allow"),
    ("settings without a limit exceed none", "SW806", "limit-it-below-what-the-connections-may-take",
     {"new": container("mariadb", "mariadb:11.4.5",
                       volumeMounts=[{"name": "config", "mountPath": "/etc/mysql/conf.d"}])}, "allow"),
    ("the larger of two heaps counts", "SW806", "give-a-java-heap-all-the-memory",
     {"new": container("es", ES8, env=env(ES_JAVA_OPTS="-Xmx1g -Xmx8g"), resources={"limits": {"memory": "4Gi"}})}, "warn"),
    ("the heap of Cassandra has a variable of its own", "SW806", "give-a-java-heap-all-the-memory",
     {"both": container("c", "cassandra:5.0.4", env=env(MAX_HEAP_SIZE="1G"), resources={"limits": {"memory": "8Gi"}}),
      "new": container("c", "cassandra:5.0.4", env=env(MAX_HEAP_SIZE="8G"), resources={"limits": {"memory": "8Gi"}})},
     "warn"),
    ("which says nothing to another engine", "SW806", "give-a-java-heap-all-the-memory",
     {"new": container("es", ES8, env=env(MAX_HEAP_SIZE="8G"), resources={"limits": {"memory": "4Gi"}})}, "allow"),
    ("a broker that is told its memory knows its limit", "SW806", "limit-a-broker-with-a-relative-watermark",
     {"context": each({"data": {"rabbitmq.conf": "vm_memory_high_watermark.relative = 0.6\n"
                                                 "total_memory_available_override_value = 2GB\n"}})}, "allow"),
    ("classes of the system outrank everybody by design", "SW808", "raise-the-priority-of-a-set",
     {"new": pod(priorityClassName="system-cluster-critical"),
      "context": lambda found: [*found, cases.merge(found[0], {"metadata": {"name": "system-cluster-critical"}})]}, "allow"),
    ("a class of nought outranks nobody", "SW808", "raise-the-priority-of-a-set",
     {"context": of_kind("PriorityClass", {"value": 0})}, "allow"),
    ("a set without volumes loses nothing when it is evicted", "SW808", "raise-the-priority-of-a-set",
     {"context": of_kind("StatefulSet", spec(volumeClaimTemplates=None))}, "allow"),
    ("a mirror of the official image may hold anything", "SW306", "roll-out-a-variant-that-does-not-exist",
     {"new": container("postgres", "team/postgres:16.10-slim")}, "allow"),
    ("a digest pins what is there", "SW306", "roll-out-a-variant-that-does-not-exist",
     {"new": container("postgres", "postgres:16.10-slim@sha256:" + "0" * 64)}, "allow"),
    ("a restart that was asked for before is not asked for again", "SW807", "restart-the-only-member",
     {"old": spec(template={"metadata": {"annotations": {
         "kubectl.kubernetes.io/restartedAt": "2026-11-21T11:55:00Z"}}}),
      "new": spec(template={"metadata": {"annotations": {"checksum": "7d3f"}}})}, "allow"),
    ("a command of one's own may write anywhere", "SW105", "leave-the-directory-to-the-image",
     {"new": container("postgres", "postgres:16.9", command=["/start.sh"],
                       volumeMounts=[{"name": "data", "mountPath": "/elsewhere"}])}, "allow"),
    ("so may an image of another publisher", "SW105", "leave-the-directory-to-the-image",
     {"new": container("postgres", "team/postgres:16.9",
                       volumeMounts=[{"name": "data", "mountPath": "/elsewhere"}])}, "allow"),
    ("the official image by its whole name writes where it does", "SW105", "leave-the-directory-to-the-image",
     {"new": container("postgres", "docker.io/library/postgres:16.9",
                       volumeMounts=[{"name": "data", "mountPath": "/elsewhere"}])}, "deny"),
    ("a Redis that appends is no cache", "SW105", "redis-as-a-cache",
     {"new": container("redis", "redis:7.2.5", args=["--save", "", "--appendonly", "yes"])}, "warn"),
    ("a Redis that saves is none either", "SW105", "redis-as-a-cache",
     {"new": container("redis", "redis:7.2.5", args=["--appendonly", "no"])}, "warn"),
    ("a list of exactly the members is enough", "SW203", "add-one-member-that-joins",
     {"both": container("etcd", ETCD, volumeMounts=ETCD_MOUNT, args=[
         "--initial-cluster-state=existing", "--initial-cluster=a=http://a:2380,b=http://b:2380"])}, "allow"),
    ("the state may be a flag beside a list in a variable", "SW203", "add-one-member-that-joins",
     {"both": container("etcd", ETCD, volumeMounts=ETCD_MOUNT, args=["--initial-cluster-state", "existing"],
                        env=env(ETCD_INITIAL_CLUSTER="a=http://a:2380,b=https://b:2380"))}, "allow"),
    ("voters that leave are the quorum's matter", "SW204", "take-two-data-nodes-away",
     {"both": container("es", ES8, volumeMounts=DATA_MOUNT)}, "allow"),
    ("an engine that keeps all data everywhere loses none", "SW204", "scale-cassandra-down",
     {"both": container("postgres", "postgres:16.9")}, "allow"),
    ("controllers hold no copies", "SW205", "SW204/take-three-of-six-brokers-away", {"new": spec(replicas=2)}, "deny"),
    ("two masters that each suffice are two clusters", "SW205", "found-three-masters-without-a-majority",
     {"new": spec(replicas=2)}, "deny"),
    ("from 7 on nodes keep the majority themselves", "SW205", "found-three-masters-without-a-majority",
     {"new": container("es", "registry.example/elasticsearch/elasticsearch:7.17.29", volumeMounts=DATA_MOUNT)}, "allow"),
    ("a quorum has no standby to lose", "SW202", "StatefulSet with a primary and replicas scale-to-one",
     {"both": container("rabbitmq", "rabbitmq:4.1.2")}, "allow"),
    ("one taint of several is enough to keep pods away", "SW207", "ask-them-to-spread-over-enough-nodes",
     {"context": lambda found: [
         *found[:2],
         cases.merge(found[2], spec(taints=[{"effect": "PreferNoSchedule"}, {"effect": "NoExecute"}])),
     ]}, "warn"),
    ("a value that no node has fits none", "SW208", "require-an-affinity-that-no-node-meets",
     {"new": pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
         {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["tape"]}]}]}}})}, "deny"),
    ("of two instances one is down", "SW209", "update-while-a-standby-is-down",
     {"old": spec(instances=2) | {"status": {"readyInstances": 1}}, "new": spec(instances=2)}, "warn"),
    ("a resource that demands what the set has gives no reason to delete it",
     "SW401", "make-it-anew-with-larger-volumes",
     {"context": of_kind("RabbitmqCluster", spec(persistence={"storage": "20Gi"}))}, "deny"),
    ("one label of two does not make it the set's claim", "SW402",
     "delete-the-claim-of-a-set-whose-templates-are-gone",
     {"context": of_kind("StatefulSet", spec(replicas=0, selector={"matchLabels": {"app": "scans", "tier": "x"}}))}, "deny"),
    ("two members are a cluster already", "SW804", "found-the-cluster-again", {"both": spec(replicas=2)}, "warn"),
    ("a variable is found behind others", "SW804", "found-the-cluster-again",
     {"new": container("mariadb", "registry.example/mirror/mariadb-galera:11.4.5",
                       env=env(A="no", MARIADB_GALERA_CLUSTER_BOOTSTRAP="yes"))}, "warn"),
    ("another value founds nothing", "SW804", "found-the-cluster-again",
     {"new": container("mariadb", "registry.example/mirror/mariadb-galera:11.4.5",
                       env=env(MARIADB_GALERA_CLUSTER_BOOTSTRAP="no", A="yes"))}, "allow"),
    ("connections that are no number are not multiplied", "SW806", "limit-it-below-what-the-connections-may-take",
     {"context": each({"data": {"wiki.cnf": "innodb_buffer_pool_size = 2G\nmax_connections = ²\n"}})}, "allow"),
    ("a buffer pool that is not given is not guessed", "SW806", "limit-it-below-what-the-connections-may-take",
     {"context": each({"data": {"wiki.cnf": "max_connections = 100000\n"}})}, "allow"),
    ("a set does not push itself out", "SW808", "raise-the-priority-of-a-set",
     {"context": of_kind("StatefulSet", {"metadata": {"name": "crawler", "namespace": "shop"}})}, "allow"),
    ("a cluster that was stopped may change all at once", "SW307", "upgrade-a-major-and-add-an-instance",
     {"old": spec(instances=0)}, "allow"),
    ("a tag that names the series is precise enough", "SW308", "found-it-on-a-tag-without-a-series",
     {"new": container("rabbitmq", "rabbitmq:4.1")}, "allow"),
    ("what runs is known where the image never told it", "SW304", "use-a-build-of-a-branch",
     {"old": spec(imageName="registry.example/bank/postgresql:dev") | {"status": {"pgDataImageInfo": {"majorVersion": 17}}}},
     "deny"),
    ("what was never known is not lost", "SW304", "use-a-build-of-a-branch",
     {"old": spec(imageName="registry.example/bank/postgresql:dev")}, "allow"),
    ("a volume that becomes temporary is not yet a rollout over one", "SW107", "roll-out-over-claims",
     {"new": spec(volumeClaimTemplates=None, template=spec(volumes=[{"name": "data", "emptyDir": {}}]))}, "allow"),
    ("a label of the live set that is empty too tells no twin", "SW809", "make-it-with-two-labels-left-empty",
     {"context": each({"metadata": {"labels": {"search.example/zone": ""}}})}, "allow"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "name", "moved", "wanted"), [row[1:] for row in EDGES], ids=[f"{row[1]} {row[0]}" for row in EDGES]
)
def test_an_example_that_is_moved_a_little(rule: str, name: str, moved: dict[str, Any], wanted: str) -> None:
    verdict = judged(example(rule, name), **moved)
    assert does(verdict, rule) == wanted
    assert verdict.faults == {}


WORDS: list[tuple[str, str, list[str], list[str]]] = [
    # rule, example, what is said, what is not
    (
        "SW101",
        "move-to-a-faster-class",
        ["the live volumes (2) keep their class", "create a second cluster"],
        ["KafkaNodePool"],
    ),
    ("SW101", "change-the-class-of-the-pool", ["add a KafkaNodePool on the new class"], ["create a second cluster"]),
    ("SW101", "change-the-class-of-zookeeper", ["add a KafkaNodePool on the new class"], ["volumes ("]),
    ("SW101", "drop-the-class-where-another-one-is-the-default", ['the default class cannot replace "standard"'], []),
    ("SW102", "give-all-brokers-smaller-disks", ["add a node pool with smaller ones"], ["second, smaller cluster"]),
    ("SW102", "halve-the-data-volume", ["create a second, smaller cluster"], ["node pool"]),
    (
        "SW103",
        "ask-for-a-larger-volume",
        ["grow every claim (kubectl patch -n bank pvc/documents-invoices-0"],
        ["cannot shrink"],
    ),
    ("SW103", "ask-for-a-smaller-volume", ['keep "20Gi": volumes cannot shrink'], ["grow every claim"]),
    ("SW103", "forget-the-storage-class", ['nothing cannot replace "fast"', "a chart value that was forgotten"], []),
    ("SW103", "put-a-version-into-the-labels-of-the-template", ["differs (labels, annotations or modes)"], []),
    (
        "SW103",
        "change-the-selector",
        ['{"matchLabels": {"app": "invoices", "tier": "gold"}} cannot replace'],
        ["the new value"],
    ),
    ("SW105", "keep-the-data-in-an-emptydir", ["/var/lib/etcd is a temporary one", "has lost its identity"], []),
    ("SW105", "point-pgdata-beside-the-claim", ["/srv/pgdata", ", PGDATA)"], ["temporary", "identity"]),
    ("SW106", "make-one-disk-of-the-pool-ephemeral", ["spec.storage.volumes[0]: "], []),
    ("SW106", "make-zookeeper-ephemeral", ["spec.zookeeper.storage.type: "], []),
    ("SW108", "bind-two-disks-a-pod-at-once", ["with several volumes a pod"], []),
    (
        "SW201",
        "scale-five-members-to-two",
        ["less than the majority of 5 (3)", "etcd still counts", "etcdctl member remove"],
        [],
    ),
    ("SW201", "save-two-zookeepers", ["ZooKeeper still counts 3", "1 of them elects no leader"], ["Kafka still counts"]),
    ("SW202", "kubectl", ["leaves a single copy of PostgreSQL", "the operator deletes the volumes"], ["nobody serves"]),
    ("SW203", "add-members-that-would-found-a-cluster", ["members of a new cluster of 1"], []),
    (
        "SW204",
        "take-three-of-six-brokers-away",
        ["all replicas of a partition may lie", "at most 2 at a time"],
        ["annotation"],
    ),
    (
        "SW204",
        "scale-down-with-the-operators-own-check-switched-off",
        ["remove the annotation", "have 1 replica"],
        ["1 replicas"],
    ),
    (
        "SW204",
        "scale-cassandra-down",
        ["takes 1 member of Apache Cassandra away with what lies on it", "nodetool"],
        ["them\n"],
    ),
    ("SW204", "take-two-data-nodes-away", ["takes 2 members of Elasticsearch", "lies on them", "all copies of a piece"], []),
    (
        "SW205",
        "found-a-cluster-of-one-broker-with-three-replicas",
        ["more than the 1 broker of", "cannot hold 3 replicas"],
        ["acks"],
    ),
    ("SW205", "demand-more-replicas-in-sync-than-there-are-brokers", ["producers with acks=all stop at once"], ["hold"]),
    ("SW205", "demand-one-synchronous-standby-of-a-single-instance", ["1 synchronous standby is", "none can exist"], []),
    ("SW205", "found-three-masters-without-a-majority", ["is not set (1); the majority of 3 is 2"], []),
    ("SW206", SET_OF_PODS, ["1 member is not ready already", "a drain tries again by itself"], ["add a member first"]),
    ("SW208", "select-a-label-that-no-node-carries", ["0 of 3 nodes match disk=nvme"], ["the required affinity"]),
    ("SW208", "require-an-affinity-that-no-node-meets", ["match the required affinity; 1 member needs 1"], []),
    (
        "SW209",
        "upgrade-while-a-member-is-down",
        ["holds the last copies of something", "5.0.4 → 5.0.5 restarts"],
        ["majority"],
    ),
    ("SW209", "upgrade-while-a-pod-is-not-ready", ["takes redundancy or the majority with it"], ["last copies"]),
    ("SW302", "skip-a-minor", ["is not a hop that etcd supports", "3.4.39 → 3.5"], ["make sure of that"]),
    ("SW302", "swap-the-image-for-that-of-another-major", ["make a new service on 17.5 and move the data"], ["→ 17.5 ("]),
    ("SW303", "upgrade-a-major-without-a-backup", ["no backup of the last 24 hours is recorded"], []),
    ("SW304", "leave-the-image-to-the-operator", ["nothing replaces 17.5"], ['""']),
    ("SW304", "use-a-build-of-a-branch", ['"main" cannot replace 17.5'], []),
    (
        "SW401",
        "CloudNativePG cluster delete-it-without-a-word",
        ["its volumes go with it", "take a backup first (create a Backup.postgresql.cnpg.io and wait"],
        ["nobody", "pg_basebackup"],
    ),
    (
        "SW401",
        "delete-it-after-a-backup-but-without-a-word",
        ["a backup 9 hours old exists", "confirm it in an edit"],
        ["first ("],
    ),
    ("SW401", "StatefulSet delete-it-without-a-word", ["deletes 1 member of PostgreSQL; its claims stay"], ["go with it"]),
    ("SW401", "delete-a-set-that-deletes-its-claims", ["deletes 0 members of PostgreSQL; its volumes go with it"], []),
    ("SW401", "delete-the-controllers", ["deletes 3 members of Apache Kafka; its volumes go with it"], []),
    ("SW402", "claim of a running member delete-it", ["pod wiki-0 uses it", "the data goes with the next restart"], []),
    ("SW402", "delete-it-while-the-pod-is-away", ["statefulset wiki will mount it again"], ["scaled up", "next restart"]),
    ("SW402", "delete-it-where-pods-cannot-be-seen", ["whether a pod uses it is not known"], ["no pod is known"]),
    (
        "SW402",
        "delete-a-claim-that-belongs-to-no-set",
        ["no pod is known to use it now", "its volume is deleted"],
        ["is retained"],
    ),
    ("SW403", "delete-one-with-a-database", ["deletes 1 bound claim, 1 Cluster with it"], []),
    ("SW403", "delete-one-with-claims-left-over", ["deletes 2 bound claims with it"], []),
    ("SW404", "delete-it-while-clusters-exist", ["deletes 2 Cluster objects with it (bank/ledger, …)"], []),
    ("SW404", "delete-it-while-one-object-exists", ["deletes 1 Index object with it (articles)"], ["…)"]),
    ("SW405", "scale-down-by-two", ["deletes the claims of 2 members"], []),
    ("SW405", "scale-down-by-kubectl", ["deletes the claims of 1 member ("], []),
    ("SW701", "forget-the-storage", ["spec.storage, spec.nodes[0].weight"], ["more"]),
    ("SW701", "forget-almost-everything", ["spec.storage and 1 more"], []),
    ("SW801", "scale-a-pool", ["erasure set"], ["standalone"]),
    ("SW801", "scale-a-standalone-server", ["MinIO runs standalone here"], ["erasure set"]),
    (
        "SW803",
        "switch-zookeeper-off",
        ["from zookeeper to kraft", "KRaft controllers as a set of their own"],
        ["keep KRaft"],
    ),
    ("SW803", "switch-zookeeper-on-again", ["from kraft to zookeeper", "keep KRaft: there is no way back"], []),
    ("SW805", "drop-the-field", ["8 → nothing (which means 1)", "1 is even below its minimum of 3"], []),
    ("SW805", "KEDA apply-a-manifest-with-the-number-of-the-first-day", ["ScaledObject search wants 8"], ["minimum"]),
]


@pytest.mark.parametrize(("rule", "name", "said", "unsaid"), WORDS, ids=[f"{row[0]} {row[1]}" for row in WORDS])
def test_a_refusal_says_which_branch_it_comes_from(rule: str, name: str, said: list[str], unsaid: list[str]) -> None:
    case = example(rule, name)
    verdict = cases.run(case)
    text = message.denial(verdict, case.now)
    body = text.partition("\n")[2].replace(message.waive_command(verdict, rule, now=case.now), "")
    for phrase in said:
        assert phrase in body
    for phrase in unsaid:
        assert phrase not in body


WARNED: list[tuple[str, str, list[str], list[str]]] = [
    ("SW201", "take-one-voter-away", ["takes 1 of 5 voters of etcd", "an even number of voters"], []),
    ("SW201", "take-two-voters-away", ["takes 2 of 5 voters of etcd"], ["an even number"]),
    (
        "SW202",
        "StatefulSet with a primary and replicas scale-to-one",
        ["a single copy of", "fall behind"],
        ["deletes", "serves"],
    ),
    ("SW202", "scale-to-none", ["leaves no copy of Redis running", "nobody serves"], ["the next failure"]),
    ("SW204", "take-one-broker-away", ["unless every partition was moved off them before"], ["all replicas"]),
    ("SW204", "take-one-broker-of-three-copies-away", ["what they hold is not moved"], ["all copies"]),
    ("SW206", "evict-one-of-two", ["the majority needs every one", "add a member first"], ["drain"]),
    ("SW302", "go-to-kafka-4-in-an-unknown-mode", ["is no certain hop that", "make sure of that"], ["is not a hop"]),
    ("SW304", "mistype-the-name-of-the-image", ["no longer says that it is PostgreSQL (16.9 before)"], []),
    ("SW308", "found-it-on-the-latest", ['"latest" is whatever is newest', "rescheduled"], ["operator"]),
    ("SW308", "found-it-on-a-tag-without-a-series", ['"4" names no series of RabbitMQ'], []),
    (
        "SW308",
        "leave-the-version-to-the-operator",
        ["no version is named", "the next update of the operator"],
        ["rescheduled"],
    ),
    ("SW208", "scale-to-more-instances-than-there-are-nodes", ["spec.instances: 5 members", "are 3", "2 stay"], ["stays"]),
    ("SW208", "use-nodes-that-are-tainted-for-others", ["spec.replicas: 3 members", "are 2", "1 stays"], []),
    ("SW401", "make-it-anew-with-larger-volumes", ["deletes 3 members of RabbitMQ"], []),
    ("SW401", "delete-a-set-of-an-unknown-engine", ["of a stateful set", "its claims stay", "edit of its own"], ["first ("]),
    ("SW401", "a kind that nobody knows delete-it", ["deletes 3 members of a service", "is not known"], ["claims stay"]),
    ("SW402", "delete-the-claim-of-a-member-that-was-scaled-away", ["mount it again once it is scaled up"], []),
    ("SW402", "delete-a-claim-whose-volume-is-retained", ["its volume is retained"], ["is deleted"]),
    ("SW501", "go-on-with-it", ["set global.repo2-path", "still runs"], ["serverName", "Expected empty"]),
    ("SW720", "create-one-that-switches-it-off", ["false; data nodes", "leave it on"], ["False", "as it was"]),
    ("SW804", "found-it-again-by-a-flag", ["--wsrep-new-cluster founds"], ["wsrep-new-cluster="]),
    ("SW804", "switch-the-state-for-all-members", ["for all 3 members", "partition: 2"], []),
    ("SW807", "restart-the-only-member", ["nobody takes over while it is down"], ["preStop"]),
    ("SW807", "restart-one-that-waits-for-others", ["its preStop hook may wait"], []),
]


@pytest.mark.parametrize(("rule", "name", "said", "unsaid"), WARNED, ids=[f"{row[0]} {row[1]}" for row in WARNED])
def test_a_warning_comes_from_its_branch(rule: str, name: str, said: list[str], unsaid: list[str]) -> None:
    (one, *_) = cases.run(example(rule, name)).judged
    text = "\n".join((one.finding.headline, one.finding.why, one.finding.remedy))
    for phrase in said:
        assert phrase in text
    for phrase in unsaid:
        assert phrase not in text
