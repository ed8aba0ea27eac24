"""Manifests as a repository of many services holds them: one object a file, written by hand, of mixed kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_META: Final = """\
apiVersion: {version}
kind: {kind}
metadata:
  name: {name}
  namespace: {namespace}
  labels:
    app.kubernetes.io/name: {name}
    app.kubernetes.io/part-of: {team}
    app.kubernetes.io/instance: {name}-production
    app.kubernetes.io/managed-by: kustomize
    example.com/cost-centre: "{number}"
    # set by the release pipeline
    example.com/release: 2026.11.3
"""

_POD: Final = """\
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {name}
        app.kubernetes.io/part-of: {team}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "9090"
    spec:
      serviceAccountName: {name}
      securityContext:
        runAsNonRoot: true
        fsGroup: 1000
      containers:
        - name: main
          image: {image}
          imagePullPolicy: IfNotPresent
          args: ["--config", "/etc/{name}/config.yaml", "--log-level=info"]
          env:
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
            - name: PASSWORD
              valueFrom:
                secretKeyRef: {{name: {name}, key: password}}
            - name: ENDPOINT
              value: http://{name}.{namespace}.svc.cluster.local:8080/api
            - name: SETTING_NUMBER
              value: "{number}"
          ports:
            - containerPort: 8080
              name: http
            - name: metrics
              containerPort: 9090
          readinessProbe:
            httpGet:
              path: /healthz
              port: http
            initialDelaySeconds: 5
            periodSeconds: 10
          livenessProbe:
            httpGet: {{path: /healthz, port: http}}
            periodSeconds: 20
          resources:
            requests:
              cpu: 100m
              memory: 256Mi
            limits:
              memory: 512Mi
          volumeMounts:
            - name: data
              mountPath: {path}
            - name: config
              mountPath: /etc/{name}
      volumes:
        - name: config
          configMap:
            name: {name}
"""

_DEPLOYMENT: Final = (
    _META
    + """\
spec:
  replicas: 2
"""
    + _POD
    + """\
        - name: data
          emptyDir: {{}}
"""
)

_STATEFUL_SET: Final = (
    _META
    + """\
spec:
  replicas: 3
  serviceName: {name}
  podManagementPolicy: OrderedReady
"""
    + _POD
    + """\
  # The claims of the members.
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: ["ReadWriteOnce"]
        storageClassName: fast-ssd
        resources:
          requests:
            storage: 20Gi
"""
)

_SERVICE: Final = (
    _META
    + """\
  annotations:
    service.beta.kubernetes.io/internal: "true"
spec:
  type: ClusterIP
  selector:
    app.kubernetes.io/name: {name}
  ports:
    - name: http
      port: 80
      targetPort: http
      protocol: TCP
    - name: metrics
      port: 9090
      targetPort: metrics
"""
)

_CONFIG_MAP: Final = (
    _META
    + """\
data:
  LOG_LEVEL: info
  WORKERS: "{number}"
  config.yaml: |
    server:
      listen: 0.0.0.0:8080
      timeouts: {{read: 10s, write: 10s}}
    upstream:
      - http://{name}-a.{namespace}.svc:8080
      - http://{name}-b.{namespace}.svc:8080

    # how much is logged
    log:
      level: info
      format: json
  nginx.conf: |-
    worker_processes  4;
    events {{
        worker_connections  1024;
    }}
    http {{
        include       mime.types;
        default_type  application/octet-stream;
        sendfile        on;
        keepalive_timeout  65;
        server {{
            listen       8080;
            server_name  {name};
            location / {{
                proxy_pass http://{name}.{namespace}.svc.cluster.local;
                proxy_set_header Host $host;
            }}
        }}
    }}
"""
)

_INGRESS: Final = (
    _META
    + """\
  annotations:
    cert-manager.io/cluster-issuer: 'letsencrypt'
    nginx.ingress.kubernetes.io/rewrite-target: /$2
spec:
  ingressClassName: nginx
  tls:
    - hosts: [{name}.example.com]
      secretName: {name}-tls
  rules:
    - host: {name}.example.com
      http:
        paths:
          - path: /api(/|$)(.*)
            pathType: Prefix
            backend:
              service:
                name: {name}
                port:
                  name: http
"""
)

_ROLE: Final = (
    _META
    + """\
rules:
  - apiGroups: [""]
    resources: ["configmaps", "secrets"]
    verbs: ["get", "list", "watch"]
  - apiGroups:
      - apps
    resources:
      - deployments
      - statefulsets
    verbs:
      - get
      - patch
"""
)

_AUTOSCALER: Final = (
    _META
    + """\
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {name}
  minReplicas: 2
  maxReplicas: 10
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: 80
"""
)

_CLAIM: Final = (
    _META
    + """\
spec:
  accessModes:
    - ReadWriteOnce
  storageClassName: fast-ssd
  resources:
    requests:
      storage: 10Gi
"""
)

_CLUSTER: Final = (
    _META
    + """\
spec:
  instances: 3
  imageName: ghcr.io/cloudnative-pg/postgresql:17.2
  primaryUpdateStrategy: unsupervised
  postgresql:
    parameters:
      max_connections: "200"
      shared_buffers: 256MB
  storage:
    size: 50Gi
    storageClass: fast-ssd
  affinity:
    enablePodAntiAffinity: true
    topologyKey: kubernetes.io/hostname
  resources:
    requests: {{memory: 2Gi, cpu: "1"}}
    limits: {{memory: 2Gi}}
"""
)

_KAFKA: Final = (
    _META
    + """\
spec:
  kafka:
    version: 4.1.0
    metadataVersion: 4.1-IV0
    listeners:
      - name: plain
        port: 9092
        type: internal
        tls: false
    config:
      offsets.topic.replication.factor: 3
      transaction.state.log.replication.factor: 3
      transaction.state.log.min.isr: 2
      default.replication.factor: 3
      min.insync.replicas: 2
  entityOperator:
    topicOperator: {{}}
    userOperator: {{}}
"""
)

_RABBIT: Final = (
    _META
    + """\
spec:
  replicas: 3
  image: rabbitmq:4.1.2-management
  persistence:
    storageClassName: fast-ssd
    storage: 20Gi
  rabbitmq:
    additionalConfig: |
      cluster_partition_handling = pause_minority
      disk_free_limit.relative = 1.0
"""
)

_ENGINES: Final = (
    ("docker.io/library/postgres:17.2", "/var/lib/postgresql/data"),
    ("redis:7.4.1-alpine", "/data"),
    ("quay.io/coreos/etcd:v3.5.21", "/var/lib/etcd"),
    ("mysql:latest", "/var/lib/mysql"),  # a finding: no version
    ("registry.example.com/team/worker:2026.11.3", "/var/lib/worker"),
)

_MIX: Final = (
    *[("apps/v1", "Deployment", _DEPLOYMENT)] * 7,
    *[("v1", "Service", _SERVICE)] * 5,
    *[("v1", "ConfigMap", _CONFIG_MAP)] * 5,
    *[("apps/v1", "StatefulSet", _STATEFUL_SET)] * 3,
    *[("networking.k8s.io/v1", "Ingress", _INGRESS)] * 2,
    *[("rbac.authorization.k8s.io/v1", "Role", _ROLE)] * 2,
    ("autoscaling/v2", "HorizontalPodAutoscaler", _AUTOSCALER),
    *[("v1", "PersistentVolumeClaim", _CLAIM)] * 2,
    ("postgresql.cnpg.io/v1", "Cluster", _CLUSTER),
    ("kafka.strimzi.io/v1beta2", "Kafka", _KAFKA),
    ("rabbitmq.com/v1beta1", "RabbitmqCluster", _RABBIT),
)


def texts(count: int) -> Iterator[str]:
    """That many manifests, 1.34 KB each in the mean: about a quarter are stateful services or belong to one."""
    for number in range(count):
        version, kind, template = _MIX[number % len(_MIX)]
        image, path = _ENGINES[number // len(_MIX) % len(_ENGINES)]
        if kind == "Deployment":
            image, path = f"registry.example.com/team/service-{number}:1.{number}.0", "/cache"
        yield template.format(
            version=version,
            kind=kind,
            name=f"service-{number}",
            namespace=f"team-{number % 40}",
            team=f"team-{number % 40}",
            image=image,
            path=path,
            number=number,
        )


def write(folder: Path, count: int) -> int:
    """Writes them, one a file, a folder for each hundred; gives their size in bytes."""
    size = 0
    for number, text in enumerate(texts(count)):
        place = folder / f"{number // 100:03}"
        place.mkdir(parents=True, exist_ok=True)
        size += (place / f"{number:05}.yaml").write_text(text)
    return size


def write_one(file: Path, count: int) -> int:
    """Writes them as the documents of one file; gives its size in bytes."""
    return file.write_text("".join(f"---\n{text}" for text in texts(count)))


# Two objects for all, and for each service a set, its claims, a pod, an autoscaler and a cluster of an operator with pools.
_SHARED: Final = """\
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast-ssd}
provisioner: example.com/disk
allowVolumeExpansion: true
---
"""
_RELATED: Final = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {name}
  namespace: shop
  labels: {{app: {name}, app.kubernetes.io/name: postgres, app.kubernetes.io/part-of: shop, example.com/shard: ""}}
spec:
  replicas: 3
  serviceName: {name}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      priorityClassName: high
      containers:
        - name: db
          image: postgres:17.2
          volumeMounts: [{{name: data, mountPath: /var/lib/postgresql/data}}]
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{accessModes: [ReadWriteOnce], storageClassName: fast-ssd, resources: {{requests: {{storage: 20Gi}}}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data-{name}-0, namespace: shop, labels: {{app: {name}}}}}
spec: {{storageClassName: fast-ssd, volumeName: pv-{name}, resources: {{requests: {{storage: 20Gi}}}}}}
---
apiVersion: v1
kind: Pod
metadata:
  name: {name}-0
  namespace: shop
  ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: {name}, controller: true}}]
spec:
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: data-{name}-0}}}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}, namespace: shop}}
spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: StatefulSet, name: {name}}}, minReplicas: 3, maxReplicas: 5}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: {name}, namespace: shop}}
spec: {{maxUnavailable: 1, selector: {{matchLabels: {{app: {name}}}}}}}
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {{name: {name}, namespace: shop}}
spec:
  instances: 3
  imageName: ghcr.io/cloudnative-pg/postgresql:17.2
  storage: {{size: 20Gi, storageClass: fast-ssd}}
  backup: {{barmanObjectStore: {{destinationPath: "s3://backups", serverName: {name}}}}}
---
apiVersion: kafka.strimzi.io/v1beta2
kind: Kafka
metadata: {{name: {name}, namespace: shop}}
spec: {{kafka: {{version: 4.1.0, config: {{min.insync.replicas: 2}}}}}}
---
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaNodePool
metadata: {{name: {name}, namespace: shop, labels: {{strimzi.io/cluster: {name}}}}}
spec: {{replicas: 3, roles: [controller, broker], storage: {{type: persistent-claim, size: 20Gi}}}}
---
"""


def write_related(file: Path, count: int) -> int:
    """Writes about that many objects of one namespace that rules compare with each other; gives the size in bytes."""
    services = range(count // _RELATED.count("---\n"))
    return file.write_text(_SHARED + "".join(_RELATED.format(name=f"service-{number}") for number in services))
