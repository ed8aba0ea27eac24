"""Canaries: what may be secret is put into objects of every kind, and must come out of nothing that is shown or kept.

Every example of every rule is judged again and again, each time with one more value exchanged: environment, arguments,
data of Secrets and ConfigMaps, settings of custom resources, addresses with credentials.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from stateward.policies import cases, data, message
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.paths import dig
from stateward.policies.policy import Policy
from stateward.policies.request import Request
from stateward.policies.review import encode
from stateward.policies.rules import RULES
from stateward.policies.view import MemoryView, Object

CANARY = "k4n4ry"
Path = tuple[str | int, ...]

SECRET_MAPS = ("data", "stringData", "config", "parameters", "additionalConfig", "envVars")
"""Mappings whose values may be secret: of Secrets, ConfigMaps, and the settings of custom resources."""
POLICIES = [Policy(), Policy(profile="strict", unknown="deny")]


DIRECTORIES = frozenset(
    name for profile in PROFILES.values() for where in profile.data for name in (*where.flags, *where.env, *where.properties)
)
"""Settings that name a data directory: their values, absolute paths, may be shown (docs/adding-a-rule.md)."""


def directory(item: Any, key: str | int, text: str) -> bool:
    """Whether a text is a data directory, or a script that ends so: `--data-dir=/x`, `--data-dir` then `/x`, a variable."""
    name, sign, value = text.rpartition("=")
    if sign:
        return bool(words := name.split()) and words[-1] in DIRECTORIES and value.startswith("/")
    if isinstance(item, dict):
        return item.get("name") in DIRECTORIES and text.startswith("/")
    return isinstance(key, int) and key > 0 and item[key - 1] in DIRECTORIES and text.startswith("/")


def leaves(item: Any, path: Path = (), secret: bool = False) -> Iterator[tuple[Path, str]]:
    """The places whose text may be secret."""
    if isinstance(item, dict):
        for key, value in item.items():
            inside = secret or key in SECRET_MAPS or (key == "value" and "env" in path)
            yield from leaves(value, (*path, key), inside)
    elif isinstance(item, list):
        for index, value in enumerate(item):
            yield from leaves(value, (*path, index), secret or path[-1:] in (("args",), ("command",)))
    elif isinstance(item, str) and (secret or "://" in item):
        yield path, item


def places(item: Object) -> Iterator[tuple[Path, str]]:
    """The same without data directories."""
    for path, text in leaves(item):
        if not directory(dig(item, path[:-1]), path[-1], text):
            yield path, text


def exchanged(text: str, number: int) -> Iterator[str]:
    """What a text becomes: all of it, its end, the value after `=` or `:`, the credentials of an address."""
    canary = f"{CANARY}{number}"
    if "://" in text and "=" not in text and " " not in text:
        # Where something is may be shown, what opens it may not.
        yield text.replace("://", f"://user:{canary}@", 1)
        yield text.replace("://", f"://{canary}@", 1)
        yield f"{text}?token={canary}"
        return
    yield canary
    yield f"{text}{canary}"
    for sign in ("=", ": "):
        if sign in text:
            yield f"{text.rpartition(sign)[0]}{sign}{canary}"
            yield f"{text.partition(sign)[0]}{sign}{canary}"
    if "://" in text:
        yield text.replace("://", f"://user:{canary}@", 1)
    if text.isdigit():
        yield f"{text}{canary}"


def put(item: Object, path: Path, value: Any) -> Object:
    changed = copy.deepcopy(item)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


def shown(verdict: Verdict, now: float) -> str:
    """Everything of a verdict that somebody sees or keeps."""
    parts = [encode(verdict, now, say_unknown=True).decode(), repr(verdict), str(verdict), verdict.about]
    parts += [f"{one!r} {one.finding!r} {one.details}" for one in verdict.judged]
    parts += [message.waive_command(verdict, one.rule, now=now) for one in verdict.judged]
    parts += [*message.warnings(verdict, True), repr(message.audit(verdict)), message.denial(verdict, now)]
    return "\n".join(parts)


def seeded(case: cases.Case) -> Iterator[tuple[str, Request, tuple[Object, ...]]]:
    """A case with one value exchanged, in old, new and each object of its context."""
    request = case.request
    homes: list[tuple[str, Object]] = [(name, found) for name in ("old", "object") if (found := getattr(request, name))]
    for home, item in homes:
        for number, (path, text) in enumerate(places(item)):
            for value in exchanged(text, number):
                changed = put(item, path, value)
                made = Request(**{**{name: getattr(request, name) for name in request.__slots__}, home: changed})
                yield f"{home} {path} {value}", made, case.context
    for index, item in enumerate(case.context):
        for number, (path, text) in enumerate(places(item)):
            for value in exchanged(text, number):
                context = (*case.context[:index], put(item, path, value), *case.context[index + 1 :])
                yield f"context {index} {path} {value}", request, context


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_secret_value_comes_out_of_an_example(rule: Any) -> None:
    for case in cases.read(rule.id, data.examples(rule.module)):
        for what, request, context in seeded(case):
            for policy in POLICIES:
                verdict = evaluate(request, MemoryView(context), policy, now=case.now)
                out = shown(verdict, case.now)
                assert CANARY not in out, f"{case.name}: {what}\n{out[max(0, out.index(CANARY) - 200) :][:400]}"


# --- all kinds with an adapter -----------------------------------------------------------------------------------------


def stuffed(item: Object, side: str) -> Object:
    """An object with canaries wherever a secret may be, its own on each side."""
    found = copy.deepcopy(item)
    pod = {
        "containers": [
            {
                "name": "db",
                "image": f"registry.example/postgres:16.{4 if side == 'old' else 3}",
                "env": [
                    {"name": name, "value": f"{CANARY}-{side}-{name}"}
                    for name in ("POSTGRES_PASSWORD", "PGDATA", "ETCD_NAME", "KAFKA_CFG_NODE_ID", "MYSQL_ROOT_PASSWORD")
                ],
                "args": [f"--password={CANARY}-{side}", "--dsn", f"postgres://u:{CANARY}{side}@db/x", f"{CANARY}{side}"],
                "command": ["postgres", "-c", f"password={CANARY}{side}"],
            }
        ]
    }
    found["spec"] = {
        "replicas": 3 if side == "old" else 0,
        "instances": 3 if side == "old" else 0,
        "template": {"spec": pod},
        "override": {"statefulSet": {"spec": {"template": {"spec": pod}}}},
        "env": pod["containers"][0]["env"],  # type: ignore[index]
        "config": {"sasl.jaas.config": f"{CANARY}-{side}", "replication.factor": f"{CANARY}{side}"},
        "kafka": {"config": {"min.insync.replicas": f"{CANARY}-{side}"}, "replicas": 3 if side == "old" else 1},
        "rabbitmq": {"additionalConfig": f"default_pass = {CANARY}{side}", "envConfig": f"RABBITMQ={CANARY}{side}"},
        "postgresql": {"parameters": {"primary_conninfo": f"password={CANARY}{side}"}},
        "backup": {"barmanObjectStore": {"destinationPath": f"s3://k:{CANARY}{side}@store/x"}},
        "externalClusters": [{"name": "x", "barmanObjectStore": {"destinationPath": f"s3://k:{CANARY}{side}@store/x"}}],
        "bootstrap": {"recovery": {"source": "x"}},
    }
    return found


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE", "DELETE"])
@pytest.mark.parametrize("kind", [*ADAPTERS, "Secret", "ConfigMap", "Deployment.apps"])
def test_no_secret_value_comes_out_of_any_kind(kind: str, operation: str) -> None:
    name, _, group = kind.partition(".")
    bare: Object = {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": name,
        "metadata": {"name": "db", "namespace": "shop", "labels": {"strimzi.io/cluster": "db"}},
    }
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "shop"},
        "data": {"password": f"{CANARY}-secret"},
    }
    old, new = stuffed(bare, "old"), stuffed(bare, "new")
    request = Request(
        kind,
        operation,
        "db",
        "shop",
        new if operation != "DELETE" else None,
        old if operation != "CREATE" else None,
    )
    for policy in POLICIES:
        verdict = evaluate(request, MemoryView([secret, old]), policy, now=1795262400.0)
        assert not verdict.faults
        assert CANARY not in shown(verdict, 1795262400.0)
        assert CANARY not in repr(request)


def test_that_test_can_fail() -> None:
    case = next(iter(cases.read("SW102", data.examples("stateward.policies.rules.storage.volume_shrink"))))
    assert orjson.loads(encode(cases.run(case), case.now))["response"]["allowed"] is False
    leaked = {"env": [{"name": "A", "value": "x=1"}], "data": {"k": "v"}, "args": ["--a=b"], "url": "s3://x"}
    assert [path for path, _ in leaves(leaked)] == [("env", 0, "value"), ("data", "k"), ("args", 0), ("url",)]
