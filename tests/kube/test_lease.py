"""Leader election against an API server that misbehaves, by clocks that tests turn."""

import copy
import threading
import time

import orjson
import pytest

from stateward.kube.errors import ClusterError
from stateward.kube.lease import Leader, Terms, running_time

COLLECTION = "/apis/coordination.k8s.io/v1/namespaces/stateward/leases"
PATH = f"{COLLECTION}/door"
QUICK = Terms(lease=1, renew=0.6, retry=0.1, request=0.3)


class Leases:
    """One Lease, kept as an API server keeps it: a write over something that has changed is a conflict."""

    def __init__(self, api, kit):
        self.api, self.kit, self.item, self.version = api, kit, None, 0
        self.lock = threading.Lock()
        self.hang = 0.0
        api.always(f"GET {PATH}", self.get)
        api.always(f"POST {COLLECTION}", self.post)
        api.always(f"PUT {PATH}", self.put)

    def get(self, to, _):
        if self.item is None:
            return to.send(404, self.kit.status(404, "NotFound", "no lease"))
        return to.send(200, self.item)

    def post(self, to, asked):
        with self.lock:
            if self.item is not None:
                return to.send(409, self.kit.status(409, "AlreadyExists", "it is there"))
            self.keep(orjson.loads(asked.body))
        return to.send(201, self.item)

    def put(self, to, asked):
        with self.lock:
            given = orjson.loads(asked.body)
            if given["metadata"]["resourceVersion"] != str(self.version):
                return to.send(409, self.kit.status(409, "Conflict", "changed"))
            self.keep(given)
        self.api.sleep(self.hang)
        return to.send(200, self.item)

    def keep(self, item):
        self.version += 1
        self.item = copy.deepcopy(item)
        self.item["metadata"]["resourceVersion"] = str(self.version)

    @property
    def spec(self):
        return self.item["spec"]


@pytest.fixture
def leases(api, kit):
    return Leases(api, kit)


def candidate(cluster, name, clock=None, **more):
    terms = more.pop("terms", Terms())
    return Leader(cluster, "stateward", "door", name, terms=terms, clock=clock or running_time, **more)


def test_the_first_makes_the_lease_and_leads(cluster, leases, kit):
    clock = kit.clock()
    one = candidate(cluster, "one", clock)
    assert not one.is_leader()
    assert one.attempt()
    assert one.is_leader()
    assert leases.spec["holderIdentity"] == "one"
    assert leases.spec["leaseDurationSeconds"] == 15
    assert leases.spec["leaseTransitions"] == 0
    assert leases.spec["renewTime"].endswith("Z")


def test_leadership_ends_by_the_clock_before_another_may_take_the_lease(cluster, leases, kit):
    clock = kit.clock()
    one, two = candidate(cluster, "one", clock), candidate(cluster, "two", clock)
    assert one.attempt()
    assert not two.attempt()
    clock.now += 9.9
    assert one.is_leader()
    clock.now += 0.2  # 10.1 s
    assert not one.is_leader(), "though nobody told it, and though no other may lead yet"
    assert not two.attempt()
    clock.now += 4.8  # 14.9 s after two saw it
    assert not two.attempt()
    clock.now += 0.2
    assert two.attempt()
    assert leases.spec["holderIdentity"] == "two"
    assert leases.spec["leaseTransitions"] == 1
    assert not one.attempt()
    assert one.holder == "two"


def test_what_others_write_as_the_time_means_nothing(cluster, leases, kit):
    """A clock that is years ahead or behind neither keeps a lease nor loses it."""
    clock = kit.clock()
    one, two = candidate(cluster, "one", clock), candidate(cluster, "two", clock)
    one.attempt()
    for written in ("1999-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z", "soon"):
        leases.spec["renewTime"] = written
        assert not two.attempt()
    clock.now += 15
    assert two.attempt()


def test_a_lease_that_is_renewed_is_not_taken(cluster, leases, kit):
    clock = kit.clock()
    one, two = candidate(cluster, "one", clock), candidate(cluster, "two", clock)
    for _ in range(10):
        assert one.attempt()
        assert not two.attempt()
        clock.now += 9


def test_time_counts_from_when_a_renewal_was_sent_not_from_when_it_was_answered(cluster, leases, kit):
    clock = kit.clock()
    one = candidate(cluster, "one", clock)
    one.attempt()
    answered = leases.put

    def slow(to, asked):
        clock.now += 4
        return answered(to, asked)

    leases.api.always(f"PUT {PATH}", slow)
    assert one.attempt()
    clock.now += 6.1  # 10.1 s after it was sent
    assert not one.is_leader()


def test_of_two_at_once_one_leads(cluster, leases, kit):
    clock = kit.clock()
    one, two = candidate(cluster, "one", clock), candidate(cluster, "two", clock)
    one.attempt()
    clock.now += 20
    one.attempt()
    two.attempt()
    clock.now += 20
    answered, first = leases.get, [True]

    def get(to, asked):
        answered(to, asked)
        if first.pop() if first else False:
            leases.keep({**leases.item, "spec": {**leases.spec, "holderIdentity": "three"}})

    leases.api.always(f"GET {PATH}", get)
    assert not two.attempt()
    assert not two.is_leader()


def test_both_making_the_lease_is_a_conflict_and_no_error(cluster, leases, kit):
    one = candidate(cluster, "one", kit.clock())
    leases.api.next(f"GET {PATH}", kit.refuse(404, "NotFound"))
    leases.keep({"metadata": {"name": "door"}, "spec": {"holderIdentity": "two", "leaseDurationSeconds": 15}})
    assert not one.attempt()


@pytest.mark.parametrize(
    "spec", [{}, {"holderIdentity": ""}, {"holderIdentity": None, "leaseDurationSeconds": None, "leaseTransitions": "x"}]
)
def test_a_lease_that_nobody_holds_is_free(cluster, leases, kit, spec):
    leases.keep({"metadata": {"name": "door"}, "spec": spec})
    assert candidate(cluster, "one", kit.clock()).attempt()


def test_an_answer_that_is_lost_is_no_leadership_and_the_next_attempt_mends_it(cluster, leases, kit):
    clock = kit.clock()
    one = candidate(cluster, "one", clock, terms=QUICK)
    leases.keep({"metadata": {"name": "door"}, "spec": {}})
    leases.hang = 1.0
    with pytest.raises(ClusterError):
        one.attempt()
    assert leases.spec["holderIdentity"] == "one", "the write had come through"
    assert not one.is_leader()
    leases.hang = 0.0
    assert one.attempt()


@pytest.mark.parametrize("status", [403, 429, 500])
def test_an_error_while_it_leads_ends_leadership_by_the_clock(cluster, leases, kit, status):
    clock = kit.clock()
    one = candidate(cluster, "one", clock)
    one.attempt()
    leases.api.always(f"GET {PATH}", kit.refuse(status, "No"))
    clock.now += 9
    with pytest.raises(ClusterError):
        one.attempt()
    assert one.is_leader()
    clock.now += 1.1
    assert not one.is_leader()


def test_it_renews_by_itself_tells_of_changes_and_lets_go_at_the_end(cluster, leases, kit):
    told = []
    one = candidate(cluster, "one", terms=QUICK, changed=told.append).start()
    assert kit.wait_for(one.is_leader)
    assert kit.wait_for(lambda: leases.version > 5)
    two = candidate(cluster, "two", terms=Terms(lease=60, renew=40, retry=0.05, request=0.3)).start()
    time.sleep(0.3)
    assert not two.is_leader()
    one.stop()
    assert not one.is_leader()
    assert kit.wait_for(two.is_leader, 5), "released, so that nobody waits a minute"
    two.stop()
    assert leases.spec["holderIdentity"] == ""
    assert told == [True, False]


def test_one_that_does_not_lead_releases_nothing(cluster, leases, kit):
    leases.keep({"metadata": {"name": "door"}, "spec": {"holderIdentity": "two", "leaseDurationSeconds": 3600}})
    with candidate(cluster, "one", terms=QUICK) as one:
        assert kit.wait_for(lambda: one.holder == "two")
    assert leases.spec["holderIdentity"] == "two"


def test_a_hanging_server_ends_leadership_in_time_and_is_asked_again(cluster, leases, kit):
    one = candidate(cluster, "one", terms=QUICK).start()
    assert kit.wait_for(one.is_leader)
    leases.api.always(f"GET {PATH}", lambda to, _: leases.api.sleep(30))
    began = time.monotonic()
    assert kit.wait_for(lambda: not one.is_leader())
    assert time.monotonic() - began < 5
    leases.api.always(f"GET {PATH}", leases.get)
    assert kit.wait_for(one.is_leader, 10)
    one.stop()


@pytest.mark.parametrize("times", [{"lease": 10}, {"renew": 2}, {"lease": 15.5}, {"request": 11}])
def test_terms_that_would_let_two_lead_are_refused(times):
    with pytest.raises(ValueError, match="request < renew < lease"):
        Terms(**times)
