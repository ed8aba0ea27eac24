"""Puts cases through a real API server: the program behind `make door CASES=FOLDER`.

    python tests/cluster/door.py FOLDER… [--kind KIND]… [--verbose]

It starts etcd and kube-apiserver in a temporary folder (no root, no node), has that API server ask Stateward's door, and
for each case sets up what exists, past the door, makes the request as the case's user, and reads what a user would see.
No controller runs, so what was set up stays as it is until the request comes.

The table is that of `stateward test`. Where the API server refuses a request by itself, before it asks anybody, `got`
is `server: REASON`; a harmful case is then stopped. A second table names each case whose verdict differs from that in
memory, with the cause. Exit code: 0 all as expected, 1 some not, 2 it could not be done.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import click

sys.path.insert(0, str(Path(__file__).resolve().parent))

import case_objects
from case_objects import CRD, NEVER_SENT, Key, Resource, Served
from control_plane import PAST_THE_DOOR, Answer, Api, BrokenError, ControlPlane, MissingError, Who, programs

from stateward.cli import inputs
from stateward.cli.commands import test
from stateward.cli.table import table
from stateward.kube.declared import needed
from stateward.kube.trim import trimmer
from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engine import evaluate
from stateward.policies.mutate import mutate
from stateward.policies.policy import DEFAULT
from stateward.policies.rules import RULES
from stateward.policies.view import UNKNOWN, MemoryView, kind_of, kind_of_object

CONFIGURATION = "stateward-door"
INTERFERING = (
    # Built-in admission that would change what a case sets up, or want controllers that do not run.
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "LimitRanger",
    "PodSecurity",
    "Priority",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
)
HELD = "stateward.test/held"
"""A finalizer that keeps an object whose deletion has begun."""
PATIENCE = 20.0
"""Seconds until what was written must be seen."""

_REFUSED = re.compile(r'admission webhook "[^"]*stateward\.dev" denied the request: (.*)', re.DOTALL)
_RULE = re.compile(r"^(SW\d{3}) ", re.MULTILINE)
_OURS = re.compile(r"SW\d{3}\b|stateward\.dev/")
_SETUP = "no set-up"


class SetupError(Exception):
    """What a case says exists cannot be made to exist."""


@dataclass
class World:
    """The API server, the door's view of it, and what the case at hand has put there."""

    api: Api
    watch: Any
    served: Served = field(default_factory=Served)
    open: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The CRDs that take anything, by name."""
    live: dict[Key, dict[str, Any]] = field(default_factory=dict)
    """What the case has put there, as the API server answered."""
    kept: dict[Key, dict[str, Any]] = field(default_factory=dict)
    """What was there before and was changed: put back at the end."""
    expected: dict[Key, str] = field(default_factory=dict)
    """What the door must have seen before the request: a resourceVersion, or "" for gone."""
    given: dict[str, str] = field(default_factory=dict)
    """The uids that the case names → those that the API server gave."""
    closed: list[str] = field(default_factory=list)
    """The open CRDs that had to make room for the case's own."""

    # --- calls -------------------------------------------------------------------------------------------------

    def get(self, path: str) -> dict[str, Any]:
        return self.api.call("GET", path).body

    def write(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self.api.call(method, path, body, who=PAST_THE_DOOR, **more)

    def resource(self, item: Mapping[str, Any]) -> Resource:
        found = self.served.of(item)
        if found is None:
            raise SetupError(f"{kind_of_object(item)} is not served")
        return found

    def key(self, item: Mapping[str, Any]) -> Key:
        metadata = item["metadata"]
        namespace = (metadata.get("namespace") or "default") if self.resource(item).namespaced else ""
        return Key(kind_of_object(item), namespace, metadata.get("name", ""))

    # --- CRDs that take anything -------------------------------------------------------------------------------

    def define(self, crds: list[dict[str, Any]]) -> None:
        """Creates these CRDs and waits until their kinds are served and the door reads them."""
        for crd in crds:
            answer = self.write("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
            if not answer.good:
                continue  # the cases that need it will say that it is not served
            self.served.define(crd)
            self.open[crd["metadata"]["name"]] = crd
            self.expected[Key(CRD, "", crd["metadata"]["name"])] = answer.body["metadata"]["resourceVersion"]
        for crd in crds:
            if crd["metadata"]["name"] in self.open:
                self.await_served(crd)

    def await_served(self, crd: Mapping[str, Any]) -> None:
        kind = f"{crd['spec']['names']['kind']}.{crd['spec']['group']}"
        paths = [f"/apis/{one.group}/{one.version}/{one.plural}?limit=1" for one in self.served.kinds.get(kind, {}).values()]
        for path in paths:
            _until(lambda path=path: self.api.call("GET", path).good, f"{kind} is not served at {path}")
        if paths:
            _until(
                lambda: self.watch.view.synced([kind]), lambda: f"the door does not see {self.watch.view.why_unknown(kind)}"
            )

    def undefine(self, name: str, kind: str) -> None:
        """Deletes a CRD and waits until it is gone."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        self.write("DELETE", path)

        def gone() -> bool:
            for resource in list(self.served.kinds.get(kind, {}).values())[:1]:
                for item in self.get(resource.everywhere).get("items", ()):
                    if item["metadata"].get("finalizers"):
                        self._release(resource.path(item["metadata"].get("namespace", ""), item["metadata"]["name"]))
            crd = self.api.call("GET", path)
            if HELD in crd.body.get("metadata", {}).get("finalizers", ()):
                self._release(path)
            return crd.status == 404

        _until(gone, f"crd {name} does not go away")
        self.served.forget(kind)
        self.expected[Key(CRD, "", name)] = ""

    # --- set-up ------------------------------------------------------------------------------------------------

    def set_up(self, case: cases.Case) -> None:
        """Makes what the case says exists. Raises SetupError."""
        request = case.request
        items = list(case.context)
        if request.old is not None and request.subresource in ("", "status"):
            items = [one for one in items if not _same(one, request.old)] + [request.old]
        elif request.subresource == "scale" and request.old is not None:
            items = _scaled_as(items, request.old)
            if not any(_named(one, request) and "scale" in self.resource(one).subresources for one in items):
                items.append(_bare("apps/v1", "StatefulSet", request))
        elif request.subresource == "eviction" and not any(
            _named(one, request) and kind_of_object(one) == "Pod" for one in items
        ):
            items.append(_bare("v1", "Pod", request))
        for item in items:
            if kind_of_object(item) == CRD:
                self._make_room(item)
        ordered = sorted(items, key=_rank)
        for name in sorted(self._namespaces(ordered, request)):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        made: list[tuple[Mapping[str, Any], Key]] = []
        for item in ordered:
            made.append((item, self.put(item)))
        self._own(made)
        self._bind(made)
        for item, key in made:
            if item["metadata"].get("deletionTimestamp"):
                self._begin_deletion(key)

    def _namespaces(self, items: list[Mapping[str, Any]], request: Any) -> set[str]:
        given = {one["metadata"].get("name") for one in items if kind_of_object(one) == "Namespace"}
        wanted = {one["metadata"].get("namespace") for one in items}
        if request.kind != "Namespace":
            wanted.add(request.namespace)
        return {name for name in wanted if name} - given - {"default", "kube-system", "kube-public", "kube-node-lease"}

    def _make_room(self, crd: Mapping[str, Any]) -> None:
        """The case brings a CRD of its own: ours for that kind goes."""
        spec = crd.get("spec") or {}
        kind = f"{(spec.get('names') or {}).get('kind')}.{spec.get('group')}"
        for name, ours in self.open.items():
            defined = f"{ours['spec']['names']['kind']}.{ours['spec']['group']}"
            if name not in self.closed and (name == crd["metadata"]["name"] or defined == kind):
                self.undefine(name, defined)
                self.closed.append(name)

    def put(self, item: Mapping[str, Any]) -> Key:
        """Creates an object (or makes one that is there what it should be), with its status."""
        resource = self.resource(item)
        whole = case_objects.complete(item, "default" if resource.namespaced else "")
        whole["apiVersion"] = resource.api_version
        key = self.key(whole)
        if item["metadata"].get("deletionTimestamp"):
            whole["metadata"].setdefault("finalizers", []).append(HELD)
        status = whole.pop("status", None) if "status" in resource.subresources else None
        path = resource.path(key.namespace)
        answer = self._mended("POST", path, whole)
        if answer.status == 409:
            answer = self._replace(resource, key, whole)
        if not answer.good:
            raise SetupError(f"{key.kind} {key.name}: {answer.status} {answer.message}")
        if status:
            patched = self.write(
                "PATCH",
                resource.path(key.namespace, key.name, "status"),
                {"status": status},
                content_type="application/merge-patch+json",
            )
            if not patched.good:
                raise SetupError(f"status of {key.kind} {key.name}: {patched.status} {patched.message}")
            answer = patched
        self._note(key, answer.body)
        if key.kind == CRD:
            self.served.define(whole)
            self.await_served(whole)
        return key

    def _mended(self, method: str, path: str, body: dict[str, Any], who: Who = PAST_THE_DOOR) -> Answer:
        """A write; what the API server calls required and the case leaves out is filled in."""
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.api.call(method, path, body, who=who, query={"fieldValidation": "Ignore"})
            if answer.status == 422 and case_objects.mend(body, answer.body):
                continue
            if answer.status == 403 and "because it is being terminated" in answer.message and time.monotonic() < until:
                time.sleep(0.02)  # the namespace of that name that the case before had; the API server's cache lags
                continue
            return answer

    def _replace(self, resource: Resource, key: Key, whole: dict[str, Any]) -> Answer:
        path = resource.path(key.namespace, key.name)
        there = self.get(path)
        if key not in self.live:
            self.kept[key] = there
        whole["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
        if key.kind == "Namespace":
            whole["spec"] = there["spec"]
        return self._mended("PUT", path, whole)

    def _note(self, key: Key, item: dict[str, Any]) -> None:
        self.live[key] = item
        self.expected[key] = item["metadata"]["resourceVersion"]

    def _own(self, made: list[tuple[Mapping[str, Any], Key]]) -> None:
        """Owner references name uids: those that the API server gave."""
        given = self.given = {
            str(item["metadata"]["uid"]): self.live[key]["metadata"]["uid"]
            for item, key in made
            if item["metadata"].get("uid")
        }
        named = {(key.kind, key.namespace, key.name): item["metadata"].get("uid") for item, key in made}
        for _, key in made:
            references = self.live[key]["metadata"].get("ownerReferences")
            if not references:
                continue
            for reference in references:
                kind = kind_of(reference["apiVersion"], reference["kind"])
                owner = next(
                    (Key(kind, where, reference["name"]) for where in (key.namespace, "") if
                     (kind, where, reference["name"]) in named),
                    None,
                )  # fmt: skip
                uid = str(reference["uid"])
                if uid in given:
                    reference["uid"] = given[uid]
                elif owner is not None and (not named[owner.kind, owner.namespace, owner.name] or uid.startswith("0000")):
                    reference["uid"] = self.live[owner]["metadata"]["uid"]
            self._patch(key, {"metadata": {"ownerReferences": references}})

    def _bind(self, made: list[tuple[Mapping[str, Any], Key]]) -> None:
        """A volume names its claim's uid too: of a claim that the case gives, the one that the API server gave."""
        claims = {(key.namespace, key.name): (item, key) for item, key in made if key.kind == "PersistentVolumeClaim"}
        for item, key in made:
            reference = (item.get("spec") or {}).get("claimRef") if key.kind == "PersistentVolume" else None
            if not isinstance(reference, dict) or not reference.get("uid"):
                continue
            claim = claims.get((reference.get("namespace"), reference.get("name")))
            if claim is not None and claim[0]["metadata"].get("uid") in (None, reference["uid"]):
                self._patch(key, {"spec": {"claimRef": {"uid": self.live[claim[1]]["metadata"]["uid"]}}})

    def _patch(self, key: Key, patch: Any) -> None:
        path = self.path(key)
        answer = self.write("PATCH", path, patch, content_type="application/merge-patch+json")
        if not answer.good:
            raise SetupError(f"{key.kind} {key.name}: {answer.status} {answer.message}")
        self._note(key, answer.body)

    def path(self, key: Key, subresource: str = "") -> str:
        return self.resource(self.live[key]).path(key.namespace, key.name, subresource)

    def _begin_deletion(self, key: Key) -> None:
        self.write("DELETE", self.path(key), {"kind": "DeleteOptions", "apiVersion": "v1"})
        found = self.get(self.path(key))
        if "metadata" in found:
            self._note(key, found)

    # --- waiting -----------------------------------------------------------------------------------------------

    def caught_up(self) -> None:
        """Waits until the door has seen what was written. Raises SetupError."""
        view = self.watch.view
        for key, version in self.expected.items():
            if key.kind not in self.watch.needed and key.kind in self.served.kinds and key.kind not in _custom(self.served):
                continue  # no rule looks there

            def seen(key: Key = key, version: str = version) -> bool:
                found = view.get(key.kind, key.namespace, key.name)
                if not version:
                    return found is None or found is UNKNOWN
                return isinstance(found, dict) and int(found["metadata"]["resourceVersion"]) >= int(version)

            _until(seen, f"the door has not seen {key.kind} {key.namespace}/{key.name} at {version or 'its end'}")
        self.expected.clear()

    # --- clean-up ----------------------------------------------------------------------------------------------

    def clean(self) -> None:
        """Removes what the case has put there, past the door."""
        for key in sorted(self.live, key=lambda one: (one.kind == "Namespace", one.kind == CRD)):
            if key in self.kept or key.kind == CRD:
                continue
            self._remove(key)
        for key in [one for one in self.live if one.kind == CRD]:
            spec = self.live[key]["spec"]
            self.undefine(key.name, f"{spec['names']['kind']}.{spec['group']}")
        for key, item in self.kept.items():
            path = self.path(key)
            item["metadata"]["resourceVersion"] = self.get(path)["metadata"]["resourceVersion"]
            answer = self.write("PUT", path, item)
            self.expected[key] = answer.body.get("metadata", {}).get("resourceVersion", "")
        self.live.clear()
        self.kept.clear()
        again = [self.open[name] for name in self.closed]
        self.closed.clear()
        self.define(again)

    def _remove(self, key: Key) -> None:
        if self.served.of(self.live[key]) is None:
            return
        path = self.path(key)
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        answer = self.write("DELETE", path, options)
        if answer.good and key.kind == "Namespace":
            found = self.get(path)
            if "spec" in found:
                found["spec"]["finalizers"] = []
                self.write("PUT", f"{path}/finalize", found)
        elif answer.good and answer.body.get("metadata", {}).get("finalizers"):
            self._release(path)
        self.expected[key] = ""

    def _release(self, path: str) -> None:
        """Nothing holds the object any longer."""
        self.write("PATCH", path, {"metadata": {"finalizers": None}}, content_type="application/merge-patch+json")

    # --- the request -------------------------------------------------------------------------------------------

    def ask(self, case: cases.Case) -> Answer:
        """Makes the request of a case as its user."""
        request = case.request
        who = Who(request.user.name, request.user.groups)
        options = {"kind": "DeleteOptions", "apiVersion": "v1", **request.options}
        if request.subresource == "scale":
            parent = self._parent(request)
            scale = case_objects.complete(request.object or {}, request.namespace)
            path = self.path(parent, "scale")
            scale["metadata"] = {"name": request.name, "namespace": request.namespace}
            return self._mended("PUT", path, scale, who)
        if request.subresource == "eviction":
            path = f"/api/v1/namespaces/{request.namespace}/pods/{request.name}/eviction"
            return self.api.call("POST", path, {"apiVersion": "policy/v1", **(request.object or {})}, who=who)
        resource = self.resource(request.subject)
        namespace = (request.subject["metadata"].get("namespace") or "default") if resource.namespaced else ""
        if request.operation == "DELETE":
            return self.api.call("DELETE", resource.path(namespace, request.name), options, who=who)
        whole = case_objects.complete(request.object or {}, namespace)
        whole["apiVersion"] = resource.api_version
        for reference in whole["metadata"].get("ownerReferences") or ():
            reference["uid"] = self.given.get(str(reference["uid"]), reference["uid"])
        if request.operation == "CREATE":
            answer = self._mended("POST", resource.path(namespace), whole, who)
            if answer.good:
                key = self.key(answer.body)
                self._note(key, answer.body)
                if key.kind == CRD:
                    self.served.define(whole)
            return answer
        there = self.live[self.key(whole)]
        for reference, ours in zip(
            whole["metadata"].get("ownerReferences") or (), there["metadata"].get("ownerReferences") or (), strict=False
        ):
            if (reference.get("kind"), reference.get("name")) == (ours["kind"], ours["name"]):
                reference["uid"] = ours["uid"]
        if kind_of_object(whole) == "Namespace":
            whole.setdefault("spec", there["spec"])
        for _ in range(10):
            now = self.get(resource.path(namespace, request.name))
            whole["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
            answer = self._mended("PUT", resource.path(namespace, request.name, request.subresource), whole, who)
            if answer.status != 409:
                break  # the API server writes the status of a CRD when it likes
        return answer

    def _parent(self, request: Any) -> Key:
        """What a Scale belongs to; of several with that name the one that the engine knows."""
        named = [
            key
            for key, item in self.live.items()
            if (key.namespace, key.name) == (request.namespace, request.name) and "scale" in self.resource(item).subresources
        ]
        if not named:
            raise SetupError(f"nothing that can be scaled is called {request.namespace}/{request.name}")
        return min(named, key=lambda key: key.kind not in ADAPTERS)


def _named(item: Mapping[str, Any], request: Any) -> bool:
    return (item["metadata"].get("namespace"), item["metadata"].get("name")) == (request.namespace, request.name)


def _bare(api_version: str, kind: str, request: Any) -> dict[str, Any]:
    """What a case takes for granted: something of that name of which nothing is known."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": request.name, "namespace": request.namespace},
    }


def _custom(served: Served) -> set[str]:
    return {kind for kind in served.kinds if "." in kind.partition(".")[2] and not kind.endswith(".k8s.io")} | {
        kind for kind in served.kinds if kind.endswith(".snapshot.storage.k8s.io")
    }


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    def name(item: Mapping[str, Any]) -> tuple[Any, ...]:
        return kind_of_object(item), item["metadata"].get("namespace"), item["metadata"].get("name")

    return name(one) == name(other)


def _scaled_as(items: list[Any], scale: Mapping[str, Any]) -> list[Any]:
    """The context with the scaled object at the replicas that the old Scale says."""
    metadata = scale["metadata"]
    found = []
    for item in items:
        adapter = ADAPTERS.get(kind_of_object(item))
        named = (item["metadata"].get("namespace"), item["metadata"].get("name"))
        if named == (metadata.get("namespace"), metadata.get("name")) and adapter is not None and adapter.scale_path:
            replicas = (scale.get("spec") or {}).get("replicas", 0)
            patch: Any = replicas
            for step in reversed(adapter.scale_path):
                patch = {step: patch}
            item = cases.merge(item, patch)
        found.append(item)
    return found


_RANKS = {"Namespace": 0, CRD: 1}


def _rank(item: Mapping[str, Any]) -> int:
    return _RANKS.get(kind_of_object(item), 3 if item["metadata"].get("namespace") else 2)


def _until(good: Any, why: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not good():
        if time.monotonic() > until:
            raise SetupError(why() if callable(why) else why)
        time.sleep(0.002)


# --- verdicts ------------------------------------------------------------------------------------------------------


def verdict(answer: Answer) -> tuple[str, str, str]:
    """(what a client sees, the rules that spoke, what the API server itself said)."""
    rules: list[str] = []
    ours = [warning for warning in answer.warnings if _OURS.match(warning)]
    for warning in ours:
        rules += _RULE.findall(warning)
    refused = _REFUSED.match(answer.message) if not answer.good else None
    if refused is not None:
        return "deny", ", ".join(dict.fromkeys([*_RULE.findall(refused[1]), *rules])), ""
    if not answer.good:
        return f"server: {answer.body.get('reason') or answer.status}", "", _short(answer)
    return ("warn" if ours else "allow"), ", ".join(dict.fromkeys(rules)), ""


def _short(answer: Answer) -> str:
    causes = (answer.body.get("details") or {}).get("causes") or ()
    text = f"{causes[0].get('field', '')}: {causes[0].get('message', '')}" if causes else answer.message
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def as_expected(case: cases.Case, got: str, rules: str) -> bool:
    """As `stateward test` has it; what the API server refuses by itself is stopped too."""
    if got.startswith("server"):
        return case.expect in ("deny", "warn-or-deny")
    good = cases.as_expected(case.expect, got)
    if case.rule and case.harmful:
        good = good and case.rule in rules
    return good


def cause_of(case: cases.Case, result: test.Result, memory: test.Result) -> str:
    """Why the door says something else than the same case in memory."""
    if result.got == _SETUP:
        return result.note
    if result.got.startswith("server"):
        return f"the API server refuses it by itself: {result.note}"
    kinds = needed(RULES, ADAPTERS)
    everything = [one for one in case.context if case.request.old is None or not _same(one, case.request.old)]
    if case.request.old is not None:
        everything.append(case.request.old)
    seen = evaluate(case.request, MemoryView(everything, lambda _: True), DEFAULT, now=case.now)
    if cases.outcome(seen) != result.got:
        kept = [trimmer(kind, kinds.get(kind, frozenset()))(one) for one in everything for kind in [kind_of_object(one)]]
        trimmed = evaluate(case.request, MemoryView(kept, lambda _: True), DEFAULT, now=case.now)
        if cases.outcome(trimmed) == result.got:
            left = sorted({kind_of_object(one) for one in everything} - set(kinds))
            return f"of kinds that no rule declares the door keeps metadata alone: {', '.join(left)}"
    else:
        blind = evaluate(case.request, MemoryView(case.context), DEFAULT, now=case.now)
        unseen = {kind for kinds_of in blind.unjudged.values() for kind in kinds_of}
        unseen |= {kind for one in blind.judged for kind in one.unknown}
        return f"not in the context, known to be empty in a cluster: {', '.join(sorted(unseen)) or 'other kinds'}"
    return "NOT EXPLAINED"


# --- the program ---------------------------------------------------------------------------------------------------


class Door:
    """The door over a control plane: what `stateward serve --register` puts together, with the time of the cases.

    It runs in this process, so that it can be asked which objects it has seen. The API server talks to it by HTTPS as
    to any other.
    """

    def __init__(self, plane: ControlPlane, stack: contextlib.ExitStack) -> None:
        from stateward.kube import mutating
        from stateward.kube.client import Cluster
        from stateward.kube.installed import MUTATING, PATHS
        from stateward.kube.registration import client_config, configuration, register
        from stateward.kube.shaped import shaped
        from stateward.kube.watcher import ClusterWatch
        from stateward.webhook import server
        from stateward.webhook.app import build
        from stateward.webhook.certificates import Certificates

        self.now = 0.0
        cluster = Cluster.from_kubeconfig(str(plane.kubeconfig))
        stack.callback(cluster.close)
        self.watch = ClusterWatch(cluster, needed(RULES, ADAPTERS)).start()
        stack.callback(self.watch.stop)
        certificates = stack.enter_context(Certificates(plane.folder / "door", ["127.0.0.1"]))
        listening = server.listen("127.0.0.1", 0)
        app = build(
            self.watch.view,
            DEFAULT,
            ages=self.watch.view.ages,
            clock=lambda: self.now,
            evicted=self.watch.view.leave,
            mutate=mutate,
        )
        running = stack.enter_context(server.Server(app, listening, context=certificates.hot.context))
        if not self.watch.wait_synced(PATIENCE):
            raise BrokenError(f"the door does not see the cluster: {'; '.join(self.watch.unknown().values())}")

        at = f"https://127.0.0.1:{running.port}"

        def registered() -> None:
            early = {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": MUTATING,
                "metadata": {"name": CONFIGURATION},
                "webhooks": mutating.webhooks(
                    lambda path: client_config(f"{at}{path}", None, certificates.bundle), timeout_seconds=10
                ),
            }
            cluster.apply(f"{PATHS[MUTATING]}/{CONFIGURATION}", early)
            wanted = configuration(
                RULES,
                ADAPTERS,
                name=CONFIGURATION,
                url=f"{at}/validate",
                ca_bundle=certificates.bundle,
                timeout_seconds=10,
                shaped=shaped(cluster),
            )
            register(cluster, wanted)

        self.register = registered
        """Has the API server ask about every kind that is judged and is there by now."""

    def await_asked(self, api: Api) -> None:
        """Waits until the API server asks: it learns of a registration by a watch of its own."""
        self.now = time.time()
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "probe", "namespace": "default"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "volumeName": "probe",
            },
        }
        path = "/api/v1/namespaces/default/persistentvolumeclaims"
        made = api.call("POST", path, claim, who=PAST_THE_DOOR)
        if not made.good:
            raise BrokenError(f"the probe cannot be created: {made.message}")
        probe = Who("probe", ("system:authenticated",))
        _until(
            lambda: verdict(api.call("DELETE", f"{path}/probe", who=probe, query={"dryRun": "All"}))[0] == "deny",
            "the API server does not ask the door",
        )
        api.call("DELETE", f"{path}/probe", who=PAST_THE_DOOR)


def put_through(found: list[cases.Case], say: Any = lambda _: None) -> Iterator[test.Result]:
    """The result of each case at the door. Raises MissingError and BrokenError."""
    scaled = {
        kind_of_object(item)
        for case in found
        if case.request.subresource == "scale"
        for item in case.context
        if item["metadata"].get("name") == case.request.name
    }
    met = [item for case in found for item in (*case.context, case.request.object, case.request.old) if item is not None]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stateward-door-")))
        plane = ControlPlane(
            programs(say),
            folder,
            open_to_all=True,
            without=INTERFERING,
            flags=["--runtime-config=api/all=true", "--feature-gates=HPAScaleToZero=true", "--max-requests-inflight=0"],
        )
        stack.enter_context(plane)
        api = plane.api()
        stack.callback(api.close)
        door = Door(plane, stack)
        world = World(api, door.watch)
        world.served.read(world.get)
        try:
            world.define(case_objects.open_crds(met, scaled, world.served))
        except SetupError as error:
            raise BrokenError(str(error)) from None
        door.register()
        door.await_asked(api)
        for case in found:
            door.now = case.now
            try:
                yield _one(world, case)
            except SetupError as error:
                raise BrokenError(f"{case.name}: cannot be cleared away: {error}") from None


def _one(world: World, case: cases.Case) -> test.Result:
    try:
        try:
            world.set_up(case)
            world.caught_up()
            answer = world.ask(case)
            got, rules, said = verdict(answer)
            return test.Result(case, got, rules, as_expected(case, got, rules), said)
        except SetupError as error:
            return test.Result(case, _SETUP, "", False, " ".join(str(error).split())[:120])
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # A case may hold anything; what cannot be made an object of it is said, and the others go on.
            return test.Result(case, _SETUP, "", False, f"{type(error).__name__}: {error}"[:120])
    finally:
        world.clean()


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only cases about this kind (StatefulSet, …).")
@click.option("--verbose", "-v", is_flag=True, help="Show every case, not only those that fail.")
def main(paths: tuple[str, ...], kinds: tuple[str, ...], verbose: bool) -> None:
    """Put cases through a real API server with Stateward at its door."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _stopped)
    found = test.load(paths, kinds)
    if not found:
        inputs.stop("no case found; see docs/cases.md for their form")
    sent = [case for case in found if case.request.kind not in NEVER_SENT]
    left = [case for case in found if case.request.kind in NEVER_SENT]
    results: list[test.Result] = []
    try:
        for result in put_through(sent, say=lambda text: click.echo(text, err=True)):
            results.append(result)
            if sys.stderr.isatty():
                click.echo(f"\r{len(results)} of {len(sent)}", err=True, nl=False)
    except (MissingError, BrokenError) as error:
        inputs.stop(str(error))
    except OSError as error:
        inputs.stop(f"the API server does not answer: {error}")
    if sys.stderr.isatty():
        click.echo("\r" + " " * 20 + "\r", err=True, nl=False)
    test.show(results, verbose)
    stopped = sum(one.got.startswith("server") and one.case.harmful for one in results)
    if stopped:
        click.echo(f"of the harmful, {stopped} refused by the API server itself")
    _differences(results)
    if left:
        reasons = Counter(case.request.kind.partition(".")[0] for case in left)
        click.echo(f"not sent: {len(left)} (no API server asks a webhook about these: {', '.join(sorted(reasons))})")
    click.echo(f"{time.monotonic() - started:.0f} s")
    sys.exit(0 if all(one.passed for one in results) else 1)


def _differences(results: list[test.Result]) -> None:
    rows = []
    for result in results:
        memory = test.run(result.case, DEFAULT)
        if memory.got != result.got:
            rows.append((result.case.name, memory.got, result.got, cause_of(result.case, result, memory)))
    if rows:
        click.echo("other than in memory:")
        click.echo(table(("case", "in memory", "at the door", "because"), rows))
    else:
        click.echo("every verdict as in memory")


def _stopped(*_: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    main()
