"""What the tests on a real API server share: kubectl as users have it, the door as a process, objects as people write."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import control_plane as control
import pytest

from stateward.kube.client import Cluster as Client
from stateward.kube.client import path_of

Item = dict[str, Any]
REGISTERED = "stateward-serve"
"""What `stateward serve --register` calls its configuration."""
OURS = {f"{plural}.stateward.dev": plural for plural in ("statefulservices", "servicebackups", "servicerestores")}
"""The kinds of services, as kubectl calls them."""
SETUP = "setup"
"""Who prepares a test and clears it away, past the door."""
STAND_IN = "stateward.test/stand-in"
"""Images that are called like engines and sleep: what a pod runs does not matter here, what it is called does."""

# --- waiting -------------------------------------------------------------------------------------------------------


def eventually(good: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """The first true answer of `good`, asked again and again for so long."""
    until = time.monotonic() + seconds
    while True:
        found = good()
        if found:
            return found
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


# --- kubectl -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """What a user sees of a command."""

    command: str
    code: int
    out: str
    err: str

    @property
    def passed(self) -> bool:
        return self.code == 0

    @property
    def refused(self) -> bool:
        """Whether it was the door that refused."""
        return self.code != 0 and "Stateward refuses this" in self.err

    @property
    def rules(self) -> list[str]:
        """The rules that refused."""
        return re.findall(r"^(SW\d{3}) [a-z-]+$", self.err, re.MULTILINE)

    @property
    def warnings(self) -> list[str]:
        return re.findall(r"^Warning: (SW\d{3} .*)$", self.err, re.MULTILINE)

    def commands(self, what: str) -> list[list[str]]:
        """The kubectl commands that the message offers, those with `what` in them."""
        found = re.findall(r"(kubectl (?:[^'\n]|'[^']*')*?)(?=   \(|, then|; |$)", self.err, re.MULTILINE)
        return [shlex.split(text) for text in found if what in text]

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.out}{self.err}(exit code {self.code})"


@dataclass
class Kubectl:
    """kubectl with a kubeconfig, a namespace and a user."""

    program: str
    kubeconfig: Path
    cache: Path
    namespace: str = ""
    who: tuple[str, ...] = ()

    def __call__(self, *arguments: str, stdin: Any = None, editor: str = "", seconds: float = 60.0) -> Done:
        """Runs it. `stdin`: text, or an object or objects; `editor`: what `kubectl edit` calls."""
        flags = ["--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.cache), *self.who]
        if self.namespace:
            flags += ["--namespace", self.namespace]
        text = stdin if isinstance(stdin, str) or stdin is None else _documents(stdin)
        environment = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "EDITOR", "VISUAL")}
        if editor:
            environment["KUBE_EDITOR"] = editor
        done = subprocess.run(
            [self.program, *flags, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=environment,
            stdin=subprocess.DEVNULL if text is None else None,
        )
        return Done(f"kubectl {shlex.join(arguments)}", done.returncode, done.stdout, done.stderr)

    def run(self, command: list[str]) -> Done:
        """A command from a message, as it stands there."""
        assert command[0] == "kubectl", command
        return Kubectl(self.program, self.kubeconfig, self.cache, "", self.who)(*command[1:])

    def must(self, *arguments: str, **more: Any) -> Done:
        """Runs it where it is no question whether it passes."""
        done = self(*arguments, **more)
        assert done.passed, str(done)
        return done

    def get(self, *what: str) -> Item:
        """An object, or a list of them; {} where there is none."""
        if len(what) == 2 and what[0] in OURS and self.namespace and self.who[1:2] in ((), (SETUP,)):
            # Asked again and again while something is waited for: a program each time is most of a small machine.
            path = path_of("apis", "stateward.dev", "v1beta1", "namespaces", self.namespace, OURS[what[0]], what[1])
            with contextlib.closing(Client.from_kubeconfig(self.kubeconfig)) as client:
                return client.find(path) or {}
        done = self("get", *what, "--ignore-not-found", "-o", "json")
        assert done.passed, str(done)
        return json.loads(done.out) if done.out.strip() else {}

    def names(self, *what: str) -> list[str]:
        """The names of a list."""
        return [item["metadata"]["name"] for item in self.get(*what).get("items", ())]

    def at(self, namespace: str) -> Kubectl:
        return Kubectl(self.program, self.kubeconfig, self.cache, namespace, self.who)

    def as_user(self, name: str, *groups: str) -> Kubectl:
        """As somebody else."""
        who = ("--as", name, *(f"--as-group={group}" for group in groups))
        return Kubectl(self.program, self.kubeconfig, self.cache, self.namespace, who)

    @property
    def past(self) -> Kubectl:
        """Past the door: for what a test sets up and clears away."""
        return self.as_user(SETUP, control.BREAK_GLASS, "system:masters")

    def refused(self, *arguments: str, seconds: float = 15.0, **more: Any) -> Done:
        """The refusal of a command, once the door has seen what makes it one. The command must change nothing."""

        def ask() -> Done | None:
            done = self(*arguments, **more)
            return done if done.refused else None

        found: Done = eventually(ask, f"kubectl {shlex.join(arguments)} is refused", seconds)
        return found

    def passes(self, *arguments: str, seconds: float = 15.0, **more: Any) -> Done:
        """The success of a command, once the door has seen what lets it pass. For commands that change nothing."""

        def ask() -> Done | None:
            done = self(*arguments, **more)
            return done if done.passed else None

        found: Done = eventually(ask, f"kubectl {shlex.join(arguments)} passes", seconds)
        return found


def _documents(item: Any) -> str:
    # A List, for not every kubectl reads several documents of JSON.
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": item} if isinstance(item, list) else item)


# --- the cluster ---------------------------------------------------------------------------------------------------


def kubectl_of(assets: Path | None) -> str:
    """kubectl beside an API server's programs, else the one on PATH; skips where there is none."""
    beside = assets / "kubectl" if assets is not None else None
    found = str(beside) if beside is not None and beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl; put it on PATH")
    return found


@contextlib.contextmanager
def own_plane(controllers: bool = False) -> Iterator[tuple[control.ControlPlane, Cluster]]:
    """A control plane without nodes for one file of tests; skips where its programs are not to be had."""
    try:
        assets = control.programs(lambda _: None)
    except control.MissingError as error:
        pytest.skip(str(error))
    with (
        tempfile.TemporaryDirectory(prefix="stateward-tests-") as folder,
        control.ControlPlane(assets, Path(folder), controllers=controllers) as plane,
    ):
        yield plane, Cluster(plane.kubeconfig, kubectl_of(assets), Path(folder), plane.controllers, [], False)


@dataclass
class Cluster:
    """An API server that tests may use, and what else there is."""

    kubeconfig: Path
    program: str
    folder: Path
    controllers: bool
    nodes: list[str]
    can_import: bool
    """Whether images can be brought to its nodes."""
    images: set[str] = field(default_factory=set)

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.program, self.kubeconfig, self.folder / "kubectl-cache")

    def needs_controllers(self) -> None:
        if not self.controllers:
            pytest.skip("no kube-controller-manager runs here")

    def needs_pods(self) -> None:
        self.needs_controllers()
        if not self.nodes:
            pytest.skip("no node runs here, so no pod does; ../shared/cluster/cluster has one")
        if not self.can_import:
            pytest.skip("pods need images that only ../shared/cluster/cluster can be given")

    def image(self, name: str) -> str:
        """The reference of an image called `name` that sleeps, on every node."""
        reference = f"{STAND_IN}/{name}"
        if self.can_import and reference not in self.images:
            root = self.folder / "image"
            if not root.exists():
                (root / "bin").mkdir(parents=True)
                (root / "tmp").mkdir()
                shutil.copy("/bin/busybox", root / "bin" / "busybox")
                for applet in ("sh", "sleep", "test", "rm", "touch"):
                    (root / "bin" / applet).symlink_to("busybox")
            control.shared("image", str(root), reference, "--entrypoint", '["/bin/sleep", "2147483647"]')
            self.images.add(reference)
        return reference


# --- the door ------------------------------------------------------------------------------------------------------


@dataclass
class Door:
    """`stateward serve --register` as a process of its own."""

    kubectl: Kubectl
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    arguments: tuple[str, ...] = ()

    opened: ClassVar[list[Door]] = []
    """Those that were opened: a test that needs the cluster for itself closes them; who needs one opens it again."""

    def start(self, *arguments: str) -> None:
        """Returns when the API server asks it."""
        assert self.process is None
        beside = Path(sys.executable).parent / "stateward"
        program = [str(beside)] if beside.exists() else [sys.executable, "-m", "stateward.cli.main"]
        with (self.folder / "door.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *program,
                    "serve",
                    "--kubeconfig",
                    str(self.kubectl.kubeconfig),
                    "--register",
                    "--port",
                    str(control.free_port()),
                    "--certs",
                    str(self.folder / "certs"),
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=control.ends_with_us(signal.SIGTERM),
            )
        if not any(one is self for one in self.opened):
            self.opened.append(self)
        eventually(self._registered, "the door registers", 60)
        eventually(self._asked, "a probe is refused: the API server asks the door", 30)

    def _registered(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the door ended with {self.process.returncode}: {self.log()[-2000:]}")
        return "  registered " in self.log().rpartition("answers at")[2]

    def _asked(self) -> bool:
        probe = stateful_set("probe", "postgres:16.4", volume="emptyDir")
        return self.kubectl.at("default")("create", "--dry-run=server", "-f", "-", stdin=probe).refused

    def log(self) -> str:
        path = self.folder / "door.log"
        return path.read_text() if path.exists() else ""

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it by a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def configurations(self) -> list[Item]:
        """What is registered as ours."""
        found = self.kubectl.get("validatingwebhookconfigurations", "-l", "app.kubernetes.io/managed-by=stateward")
        return list(found.get("items", ()))


# --- objects -------------------------------------------------------------------------------------------------------

READY = "/tmp/ready"  # noqa: S108 - in a container
DATA = {"postgres": "/var/lib/postgresql/data", "etcd": "/var/lib/etcd"}


def stateful_set(name: str, image: str, *, replicas: int = 1, volume: str = "claim", runs: bool = False) -> Item:
    """A StatefulSet as people write them. `volume`: claim or emptyDir; `runs`: whether its pods may be scheduled."""
    where = DATA[image.rpartition("/")[2].partition(":")[0]]
    container: Item = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "volumeMounts": [{"name": "data", "mountPath": where}],
    }
    pod: Item = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    if runs:
        # Ready while a file is there, so that a test can make a member unready.
        ready = {"exec": {"command": ["/bin/test", "-f", READY]}, "periodSeconds": 1, "failureThreshold": 1}
        container |= {"command": ["/bin/sh", "-c", f"touch {READY}; exec sleep 2147483647"], "readinessProbe": ready}
    else:
        pod["schedulerName"] = "nobody"
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }
    if volume == "emptyDir":
        pod["volumes"] = [{"name": "data", "emptyDir": {}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **({"volumeClaimTemplates": [claim]} if volume == "claim" else {}),
        },
    }


def postgres_cluster(name: str, *, instances: int = 3, image: str = "ghcr.io/cloudnative-pg/postgresql:16.4") -> Item:
    """A CloudNativePG Cluster."""
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": name},
        "spec": {"instances": instances, "imageName": image, "storage": {"size": "1Gi", "storageClass": "standard"}},
    }


def kafka(name: str, *, version: str = "4.0.0") -> Item:
    """A Strimzi Kafka whose nodes are in pools."""
    listener = {"name": "plain", "port": 9092, "type": "internal", "tls": False}
    return {
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "Kafka",
        "metadata": {"name": name},
        "spec": {
            "kafka": {
                "version": version,
                "listeners": [listener],
                "config": {"default.replication.factor": 3, "min.insync.replicas": 2},
            }
        },
    }


def node_pool(name: str, cluster: str, *roles: str, replicas: int = 3) -> Item:
    """A Strimzi KafkaNodePool."""
    return {
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "KafkaNodePool",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": cluster}},
        "spec": {
            "replicas": replicas,
            "roles": list(roles),
            "storage": {"type": "jbod", "volumes": [{"id": 0, "type": "persistent-claim", "size": "10Gi"}]},
        },
    }


def merged(item: Mapping[str, Any], patch: Mapping[str, Any]) -> Item:
    """RFC 7386, as `kubectl patch --type=merge` does it."""
    from stateward.policies.cases import merge

    found: Item = merge(item, patch)
    return found


def with_image(item: Item, image: str) -> Item:
    """A copy of a StatefulSet with another image."""
    copy: Item = json.loads(json.dumps(item))
    copy["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return copy
