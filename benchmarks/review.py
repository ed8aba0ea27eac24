"""The review that the benchmarks judge: an update of a StatefulSet of about 10 KB, as a kube-apiserver sends it."""

from __future__ import annotations

import copy
from typing import Any

import orjson

IMAGE = "quay.io/coreos/etcd:v3.5.21"


def stateful_set(image: str = IMAGE) -> dict[str, Any]:
    """Three etcd members with what such sets carry: labels, probes, environment, affinity, managed fields."""
    labels = {
        "app.kubernetes.io/name": "etcd",
        "app.kubernetes.io/instance": "registry",
        "app.kubernetes.io/component": "store",
        "app.kubernetes.io/managed-by": "Helm",
        "helm.sh/chart": "etcd-10.2.7",
    }
    members = ",".join(f"etcd-{i}=https://etcd-{i}.etcd-headless.platform.svc.cluster.local:2380" for i in range(3))
    env = [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "ETCD_INITIAL_CLUSTER", "value": members},
        {"name": "ETCD_INITIAL_CLUSTER_STATE", "value": "existing"},
        {"name": "ETCD_DATA_DIR", "value": "/var/lib/etcd/data"},
        *({"name": f"ETCD_SETTING_{i}", "value": f"a value of some length for setting number {i}"} for i in range(40)),
    ]
    probe = {"httpGet": {"path": "/health", "port": 2379, "scheme": "HTTPS"}, "periodSeconds": 10, "timeoutSeconds": 5}
    container = {
        "name": "etcd",
        "image": image,
        "command": ["/usr/local/bin/etcd", "--name=$(POD_NAME)", "--data-dir=/var/lib/etcd/data"],
        "env": env,
        "ports": [{"name": "client", "containerPort": 2379}, {"name": "peer", "containerPort": 2380}],
        "readinessProbe": probe,
        "livenessProbe": probe,
        "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/etcd"}, {"name": "tls", "mountPath": "/tls"}],
        "securityContext": {"runAsNonRoot": True, "allowPrivilegeEscalation": False},
    }
    sidecar = {
        "name": "metrics",
        "image": "quay.io/prometheus/statsd-exporter:v0.27.1",
        "env": env[4:20],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "etcd",
            "namespace": "platform",
            "uid": "0a9f1c1e-5a4e-4f7e-9a8b-0c5f7bb7d501",
            "resourceVersion": "4711",
            "generation": 7,
            "labels": labels,
            "annotations": {"meta.helm.sh/release-name": "registry", "meta.helm.sh/release-namespace": "platform"},
            "managedFields": [
                {
                    "manager": f"manager-{i}",
                    "operation": "Apply",
                    "apiVersion": "apps/v1",
                    "time": "2026-11-20T08:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {f"f:setting{n}": {} for n in range(30)}},
                }
                for i in range(3)
            ],
        },
        "spec": {
            "replicas": 3,
            "serviceName": "etcd-headless",
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "selector": {"matchLabels": dict(list(labels.items())[:3])},
            "template": {
                "metadata": {"labels": labels, "annotations": {"checksum/config": "9f2c" * 16}},
                "spec": {
                    "serviceAccountName": "etcd",
                    "terminationGracePeriodSeconds": 60,
                    "affinity": {
                        "podAntiAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": [
                                {
                                    "topologyKey": "kubernetes.io/hostname",
                                    "labelSelector": {"matchLabels": dict(list(labels.items())[:2])},
                                }
                            ]
                        }
                    },
                    "containers": [container, sidecar],
                    "volumes": [{"name": "tls", "secret": {"secretName": "etcd-tls"}}],
                },
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data", "labels": dict(list(labels.items())[:2])},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "storageClassName": "premium-rwo",
                        "volumeMode": "Filesystem",
                        "resources": {"requests": {"storage": "20Gi"}},
                    },
                }
            ],
        },
        "status": {
            "replicas": 3,
            "readyReplicas": 3,
            "currentReplicas": 3,
            "currentRevision": "etcd-7d4b9",
            "updateRevision": "etcd-7d4b9",
        },
    }


def update() -> bytes:
    """A patch upgrade, allowed: the template differs, so every rule about it is asked."""
    old = stateful_set()
    new = copy.deepcopy(stateful_set("quay.io/coreos/etcd:v3.5.33"))
    new["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "3Gi"
    group = {"group": "apps", "version": "v1"}
    return orjson.dumps(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
                "kind": {**group, "kind": "StatefulSet"},
                "resource": {**group, "resource": "statefulsets"},
                "requestKind": {**group, "kind": "StatefulSet"},
                "requestResource": {**group, "resource": "statefulsets"},
                "name": "etcd",
                "namespace": "platform",
                "operation": "UPDATE",
                "userInfo": {"username": "deployer", "uid": "1", "groups": ["platform", "system:authenticated"]},
                "object": new,
                "oldObject": old,
                "dryRun": False,
                "options": {"apiVersion": "meta.k8s.io/v1", "kind": "UpdateOptions", "fieldManager": "helm"},
            },
        }
    )
