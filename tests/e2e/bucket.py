"""A bucket that speaks S3 on real nodes: MinIO, built from its Go module, with a certificate of an authority of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import control_plane as control
import pytest
from cluster_kit import Kubectl, eventually

from stateward.certs.authority import Authority

IMAGE = "stateward.test/minio:1"
MODULE = "github.com/minio/minio@latest"
KEYS, AUTHORITY, BUCKET = "bucket-keys", "bucket-ca", "backups"


def program() -> Path:
    """STATEWARD_TEST_MINIO, or one that is built once and kept."""
    given = os.environ.get("STATEWARD_TEST_MINIO")
    if given:
        return Path(given)
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stateward-tests"
    if not (folder / "minio").exists():
        if shutil.which("go") is None:
            pytest.skip("MinIO is built by go, which is not there; STATEWARD_TEST_MINIO can name a static one")
        more = {"GOBIN": str(folder), "CGO_ENABLED": "0"}
        subprocess.run(["go", "install", "-trimpath", MODULE], env={**os.environ, **more}, check=True, timeout=3000)
    return folder / "minio"


def bring(kubectl: Kubectl) -> dict[str, Any]:
    """Has it run in the namespace, with the Secrets that open it; the destination of backups."""
    with tempfile.TemporaryDirectory(prefix="stateward-minio-") as root:
        (Path(root) / "bin").mkdir()
        shutil.copy(program(), Path(root) / "bin" / "minio")
        control.shared("image", root, IMAGE, "--on", "busybox:1")
    host = f"minio.{kubectl.namespace}.svc"
    now = datetime.now(UTC)
    authority = Authority.create(now)
    leaf = authority.issue([host], now, subject="minio")
    certificate, key = leaf.to_pem()
    secrets = {
        KEYS: {"accessKeyId": "tester", "secretAccessKey": "no-secret-at-all"},
        AUTHORITY: {"ca.crt": authority.to_pem()[0].decode()},
        "minio-tls": {"public.crt": certificate.decode(), "private.key": key.decode()},
    }
    for name, entries in secrets.items():
        item = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries}
        kubectl.must("apply", "-f", "-", stdin=item)
    for item in (_pod(), _service()):
        kubectl.must("apply", "-f", "-", stdin=item)
    kubectl.must("wait", "--for=condition=Ready", "pod/minio", "--timeout=120s", seconds=150)
    eventually(lambda: bool(kubectl.get("service", "minio")["spec"].get("clusterIP")), "it has an address", 30)
    return {
        "s3": {
            "bucket": BUCKET,
            "endpoint": f"https://{host}:9000",
            "region": "us-east-1",
            "prefix": "cluster-a",
            "credentials": KEYS,
            "authority": AUTHORITY,
        }
    }


def _pod() -> dict[str, Any]:
    command = f"mkdir -p /data/{BUCKET} && exec /bin/minio server --quiet --certs-dir /certs --address :9000 /data"
    opened = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": KEYS, "key": key}}}
        for name, key in (("MINIO_ROOT_USER", "accessKeyId"), ("MINIO_ROOT_PASSWORD", "secretAccessKey"))
    ]
    container = {
        "name": "minio",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", command],
        "env": [*opened, {"name": "HOME", "value": "/data"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "certs", "mountPath": "/certs"}],
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"path": "/minio/health/ready", "port": 9000, "scheme": "HTTPS"}, "periodSeconds": 2},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "certs", "secret": {"secretName": "minio-tls"}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "minio", "labels": {"app": "minio"}}, "spec": spec}


def _service() -> dict[str, Any]:
    spec = {"selector": {"app": "minio"}, "ports": [{"port": 9000}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "minio"}, "spec": spec}
