"""Bodies that nobody means: mutated real reviews, raw bytes, deep nesting, wrong types, huge numbers, surrogates.

STATEWARD_FUZZ=100000 sends so many; without it some thousand.
"""

import asyncio
import copy
import gc
import json
import logging
import os
from collections import Counter
from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stateward.policies import cases, data
from stateward.policies.policy import DEFAULT
from stateward.policies.rules import RULES
from stateward.policies.view import MemoryView, kind_of_object, metadata_of
from stateward.webhook.app import MUTATE, VALIDATE, build

COUNT = int(os.environ.get("STATEWARD_FUZZ", "5000"))
BATCH = 25
EVALUATE = "/v1/evaluate"
SECONDS = 20.0  # for one body, on a machine that is shared
GROWTH = 32 << 20  # bytes: decisions are kept, so many a namespace and so many namespaces
FINE = {200, 400, 413, 415}


def _reviews():
    """A real review of every example of every rule, with what exists beside it."""
    for rule in RULES:
        for case in cases.read(rule.id, data.examples(rule.module)):
            request = case.request
            kind, _, group = request.kind.partition(".")
            content = {
                "uid": "7f0b2891-916f-4ed6-b7cd-27bff1815a8c",
                "kind": {"group": group, "version": "v1", "kind": kind},
                "resource": {"group": group, "version": "v1", "resource": request.resource or f"{kind.lower()}s"},
                "subResource": request.subresource,
                "name": request.name,
                "namespace": request.namespace,
                "operation": request.operation,
                "userInfo": {"username": request.user.name, "groups": list(request.user.groups)},
                "object": request.object,
                "oldObject": request.old,
                "dryRun": request.dry_run,
                "options": dict(request.options),
            }
            yield {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": content}


REVIEWS = list(_reviews())
BODIES = [orjson.dumps(one) for one in REVIEWS]


def _neighbours(count):
    """Objects of all kinds, to be seen beside what is judged."""
    found = [item for one in REVIEWS for item in (one["request"]["object"], one["request"]["oldObject"]) if item]
    return [item for item in found if kind_of_object(item) and metadata_of(item).get("name")][:count]


def _deep(depth, inner=1, pair=False):
    for _ in range(depth):
        inner = {"spec": inner} if pair else [inner]
    return inner


ODD = (
    lambda random: None,
    lambda random: random.choice([True, False]),
    lambda random: random.choice([0, -1, 1 << 62, -(1 << 63), 1e308, 5e-324, 0.1, -0.0, 2**53 + 1]),
    lambda random: random.choice(
        ["", " ", "\x00", "\ud800", "\udfff\ud83d", "ﷺ" * 30, "9" * 400, "-1", "1e999999", "1Ei", "../..", "${x}"]
    ),
    lambda random: random.choice(
        ["x" * 10_000, "2026-13-45T99:99:99Z", "v99999999999999999999.0", "a:b@sha256:c", "🙈\u202e\n"]
    ),
    lambda random: [],
    lambda random: {},
    lambda random: [None, 1, "a", {}, []],
    lambda random: {"": None, "name": [], "metadata": 3, "key\n": {}},
    lambda random: _deep(random.choice([1, 50, 200]), pair=random.random() < 0.5),
    lambda random: copy.deepcopy(random.choice(REVIEWS))["request"],
    lambda random: [{"name": random.choice([None, 1, "data", "a"])}] * random.choice([1, 3, 40]),
)


def _mutated(random):
    """A real review with some of its values odd, gone, or somewhere else."""
    review = copy.deepcopy(random.choice(REVIEWS))
    for _ in range(random.choice([1, 1, 2, 5])):
        node, way = review if random.random() < 0.1 else review["request"], []
        if type(node) is not dict:
            break
        for _ in range(random.randrange(12)):
            keys = list(node) if type(node) is dict else list(range(len(node)))
            if not keys:
                break
            way.append((node, random.choice(keys)))
            following = node[way[-1][1]]
            if type(following) not in (dict, list):
                break
            node = following
        if way:
            holder, key = way[-1]
            if random.random() < 0.2:
                del holder[key]
            else:
                holder[key] = random.choice(ODD)(random)
        if type(review.get("request")) is not dict:
            break
    return review


def _body(random):
    """One body, as bytes."""
    sort = random.random()
    if sort < 0.75:
        return json.dumps(_mutated(random)).encode()  # which escapes surrogates, and writes NaN
    if sort < 0.78:
        return random.randbytes(random.randrange(200))
    if sort < 0.81:
        depth = random.choice([10, 500, 1000, 1100, 5000, 100_000])
        return random.choice([b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth])
    if sort < 0.86:
        text = random.choice(
            [b'"\\ud800"', b'"\xed\xa0\x80"', b"1e400", b"-0", b"NaN", b"9" * 5000, b'"\xff"', b'"\\u0000"']
        )
        return random.choice(BODIES).replace(b'"v1"', text, 1).replace(b"3", text, random.randrange(3))
    raw = bytearray(random.choice(BODIES))
    for _ in range(random.choice([1, 2, 8])):
        at = random.randrange(len(raw) or 1)
        how = random.randrange(4)
        if how == 0:
            raw[at : at + 1] = random.randbytes(1)
        elif how == 1:
            del raw[at : at + random.randrange(40)]
        elif how == 2:
            raw[at:at] = random.choice([b'"', b"{", b"}", b"null,", b"\x00", b"\\", b",", b"1"]) * random.choice([1, 1, 300])
        else:
            raw = raw[:at]
    return bytes(raw)


async def _send(app, path, body, method="POST", query=b""):
    """(status, answer)."""
    sent = []
    messages = [{"type": "http.request", "body": body}]

    async def receive():
        if not messages:
            await asyncio.sleep(3600)
        return messages.pop()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query,
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
    }
    async with asyncio.timeout(SECONDS):
        await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def _judges():
    """The judges that there are: `/mutate` has its own."""
    try:
        from stateward.policies.mutate import mutate
    except ImportError:
        return {}
    return {"mutate": mutate}


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def app():
    return build(MemoryView(_neighbours(400), lambda kind: True), DEFAULT, **_judges())


@pytest.fixture(autouse=True)
def unlogged():
    """pytest keeps every line that is logged, which would grow instead of the door."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


SHARES = {VALIDATE: 0.7, MUTATE: 0.15, EVALUATE: 0.15}
"""Of all bodies."""


@pytest.mark.parametrize("path", [VALIDATE, MUTATE, EVALUATE])
def test_no_body_makes_the_door_fail_hang_or_grow(app, path):
    if path == MUTATE and MUTATE not in app.admissions:
        pytest.skip("nothing judges /mutate here")
    batches = max(1, int(COUNT * SHARES[path]) // BATCH)
    seen, faults = Counter(), Counter()
    sizes = []

    @settings(
        max_examples=batches,
        deadline=None,
        derandomize=COUNT <= 5000,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64))
    def send(seed):
        random = Random(seed)  # noqa: S311 - a failure is to be the same again

        async def all_of_them():
            for _ in range(BATCH):
                body = _body(random)
                status, answer = await _send(app, path, body)
                seen[status] += 1
                assert status in FINE, (status, answer, body)
                told = orjson.loads(answer)
                if status == 200 and path != EVALUATE:
                    assert type(told["response"]["allowed"]) is bool, body
                    assert told["response"]["uid"], body
                    assert all(len(text) <= 120 and text.isprintable() for text in told["response"].get("warnings", ()))
                elif status != 200:
                    assert told.keys() == {"error"}, (told, body)
                    assert len(told["error"]) < 1000, told

        asyncio.run(all_of_them())
        sizes.append(_resident())

    send()
    gc.collect()
    sizes.append(_resident())
    for rule, count in app.metrics._rule_faults.items():
        faults[rule] += count
    grown = sizes[-1] - sizes[len(sizes) // 3]
    print(f"\n{path}: {sum(seen.values())} bodies, {dict(seen)}, grown by {grown >> 20} MiB")
    assert app.metrics._faults == 0
    assert not faults, faults
    assert grown < GROWTH


def test_the_bodies_are_not_all_nonsense(app):
    random = Random(1)  # noqa: S311

    async def some():
        return Counter([(await _send(app, VALIDATE, _body(random)))[0] for _ in range(400)])

    assert asyncio.run(some())[200] > 150


@settings(max_examples=max(100, COUNT // 50), deadline=None, derandomize=COUNT <= 5000, database=None)
@given(
    st.sampled_from(["/v1/decisions", "/v1/path", "/v1/rules", "/v1/rules/", "/v1/engines", "/v1/status", "/", "/v1/"]),
    st.text(max_size=40),
    st.dictionaries(
        st.sampled_from(["engine", "from", "to", "mode", "operator", "namespace", "name", "kind", "outcome", "limit", "x"]),
        st.one_of(
            st.text(max_size=300), st.sampled_from(["kafka", "3.6.2", "4.1.0", "postgresql", "9" * 60, "denied", "1", "-1"])
        ),
    ),
)
def test_no_question_makes_the_api_fail(app, path, more, query):
    if path.endswith("/") and path != "/":
        path += more.encode("utf-8", "replace").decode()
    encoded = urlencode({key: value.encode("utf-8", "replace") for key, value in query.items()}).encode()
    status, answer = asyncio.run(_send(app, path, b"", method="GET", query=encoded))
    assert status in {200, 307, 400, 404, 405}, (status, answer)
    if status >= 400:
        assert orjson.loads(answer).keys() == {"error"}
