"""Who may ask for more than a verdict, with a stand-in for the API server's reviews."""

import asyncio
import threading
import time

import orjson
import pytest

from stateward.kube.errors import UnreachableError
from stateward.kube.reviews import Account
from stateward.policies.policy import DEFAULT
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook import auth
from stateward.webhook.app import build
from stateward.webhook.auth import Guard

BEARER = {"authorization": "Bearer good"}


class Server:
    """Knows tokens, and which paths an account may ask."""

    def __init__(self):
        self.tokens = {"good": Account("jane"), "other": Account("bob")}
        self.rights = {("jane", "get", "/v1/rules"), ("jane", "get", "/metrics")}
        self.asked = []
        self.down = False
        self.gate = threading.Event()
        self.gate.set()

    def account(self, token):
        self.asked.append(token)
        self.gate.wait(10)
        if self.down:
            raise UnreachableError("POST: does not answer")
        return self.tokens.get(token)

    def allowed(self, account, verb, path):
        self.asked.append((account.name, verb, path))
        return (account.name, verb, path) in self.rights


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def guard(server, clock):
    guard = Guard(server, local=False, clock=clock)
    yield guard
    server.gate.set()
    guard.close()


@pytest.fixture
def app(guard):
    return build(EMPTY_VIEW, DEFAULT, guard=guard)


@pytest.fixture
def get(app, ask):
    def get(path="/v1/rules", headers=BEARER):
        return ask(app, b"", path=path, method="GET", headers=headers)

    return get


def scope(path="/v1/rules", token=b"good", client=("10.0.0.1", 1), method="GET"):
    headers = [(b"authorization", b"Bearer " + token)] if token is not None else []
    return {"type": "http", "path": path, "method": method, "headers": headers, "client": client}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_open(get, server, path):
    assert get(path, {}).status == 200
    assert server.asked == []


def test_admission_is_open(app, ask, reviews, server):
    assert ask(app, reviews.harmless()).status == 200
    assert server.asked == []


@pytest.mark.parametrize("path", ["/", "/metrics", "/v1/rules", "/v1/status", "/openapi.json", "/docs", "/nothing"])
def test_everything_else_needs_a_token_in_a_cluster(get, path):
    answer = get(path, {})
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "Authorization: Bearer TOKEN" in orjson.loads(answer.body)["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer good"},
        {"authorization": "bearer  good "},
        {"X-Stateward-Authorization".lower(): "Bearer good"},
        {"x-stateward-authorization": "Bearer good", "authorization": "Bearer bad"},
    ],
)
def test_a_token_with_the_right_passes(get, headers):
    assert get(headers=headers).status == 200


@pytest.mark.parametrize("value", ["", "good", "Basic good", "Bearer", "Bearer a b", "Bearer ü", "Bearer " + "a" * 20_000])
def test_what_is_no_bearer_token_is_not_asked_about(get, server, value):
    assert get(headers={"authorization": value}).status == 401
    assert server.asked == []


def test_a_token_that_nobody_knows_is_401(get):
    answer = get(headers={"authorization": "Bearer bad"})
    assert answer.status == 401
    assert "kubectl create token" in orjson.loads(answer.body)["error"]


def test_an_account_without_the_right_is_403_and_told_what_to_grant(get):
    answer = get(headers={"authorization": "Bearer other"})
    assert answer.status == 403
    told = 'bob may not get /v1/rules; grant it by a ClusterRole with nonResourceURLs: ["/v1/rules"], verbs: [get]'
    assert orjson.loads(answer.body)["error"] == told
    assert get("/v1/status").status == 403


def test_an_api_server_that_does_not_answer_is_503(get, server):
    server.down = True
    answer = get()
    assert answer.status == 503
    assert answer.headers["retry-after"]
    server.down = False
    assert get().status == 200  # a fault is not kept


def test_answers_are_kept_for_a_while(get, server, clock):
    assert [get().status for _ in range(3)] == [200, 200, 200]
    assert server.asked == ["good", ("jane", "get", "/v1/rules")]
    server.tokens.clear()
    clock.now += auth.KEPT - 1
    assert get().status == 200
    clock.now += 2
    assert get().status == 401


def test_a_no_is_kept_for_less(get, server, clock):
    bob = {"authorization": "Bearer other"}
    assert get(headers=bob).status == 403
    server.rights.add(("bob", "get", "/v1/rules"))
    assert get(headers=bob).status == 403
    clock.now += auth.KEPT_NO + 1
    assert get(headers=bob).status == 200


def test_what_is_kept_is_bounded_and_holds_no_token(guard, server):
    async def many():
        for number in range(auth._CACHED + 50):
            await guard.refusal(scope(token=b"made-up-%d" % number))

    asyncio.run(many())
    assert len(guard._accounts._kept) == auth._CACHED
    assert "made-up" not in str(guard._accounts._kept)


def test_metrics_may_be_left_open(ask, server):
    app = build(EMPTY_VIEW, DEFAULT, guard=Guard(server, local=False, open_paths=[auth.METRICS]))
    assert ask(app, b"", path="/metrics", method="GET", headers={}).status == 200
    assert ask(app, b"", path="/v1/rules", method="GET", headers={}).status == 401


@pytest.mark.parametrize(
    ("client", "good"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (("10.0.0.1", 1), False),
        (("::ffff:10.0.0.1", 1), False),
        (("fe80::1%lo", 1), False),
        (("", 0), False),
        (None, False),
    ],
)
def test_without_a_cluster_whoever_is_on_this_machine_may_ask(client, good):
    refusal = asyncio.run(Guard().refusal(scope(client=client)))
    assert (refusal is None) is good
    assert good or refusal.status == 403


def test_on_a_laptop_with_a_cluster_others_need_a_token(server):
    guard = Guard(server, local=True)
    assert asyncio.run(guard.refusal(scope(client=("127.0.0.1", 1), token=None))) is None
    assert asyncio.run(guard.refusal(scope(token=None))).status == 401
    assert asyncio.run(guard.refusal(scope())) is None
    guard.close()


def test_in_a_pod_the_loopback_is_nobody_special(server):
    """`kubectl port-forward` and the containers beside come from there."""
    assert asyncio.run(Guard(server).refusal(scope(client=("127.0.0.1", 1), token=None))).status == 401


def test_the_event_loop_goes_on_while_the_api_server_thinks(guard, server):
    server.gate.clear()

    async def both():
        asking = asyncio.create_task(guard.refusal(scope()))
        started = time.perf_counter()
        for _ in range(20):
            await asyncio.sleep(0.001)
        waited = time.perf_counter() - started
        assert not asking.done()
        server.gate.set()
        return await asking, waited

    refusal, waited = asyncio.run(both())
    assert refusal is None
    assert waited < 5


def test_the_same_question_is_asked_once_and_too_many_are_turned_away(guard, server):
    server.gate.clear()

    async def flood():
        same = [asyncio.create_task(guard.refusal(scope())) for _ in range(50)]
        await asyncio.sleep(0)
        others = [asyncio.create_task(guard.refusal(scope(token=b"t%d" % n))) for n in range(auth._WAITING + 20)]
        await asyncio.sleep(0.01)
        server.gate.set()
        return await asyncio.gather(*same), await asyncio.gather(*others)

    same, others = asyncio.run(flood())
    assert same == [None] * 50
    assert server.asked.count("good") == 1
    statuses = [one.status for one in others]
    assert statuses.count(503) == 21
    assert statuses.count(401) == auth._WAITING - 1


def test_a_caller_that_goes_away_ends_nothing_for_others(guard, server):
    server.gate.clear()

    async def two():
        first, second = (asyncio.create_task(guard.refusal(scope())) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0.01)
        server.gate.set()
        return await second

    assert asyncio.run(two()) is None


def test_what_came_of_calls_is_counted(get, guard):
    get()
    get(headers={})
    get(headers={"authorization": "Bearer other"})
    assert guard.counts == {("allowed",): 1, ("unauthenticated",): 1, ("forbidden",): 1}
