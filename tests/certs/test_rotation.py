"""The steps of a rotation, one by one and over simulated years, cut short between any two writes."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stateward.certs import stored
from stateward.certs.authority import Authority
from stateward.certs.choosing import Choice
from stateward.certs.keeper import Keeper, readable
from stateward.certs.pem import issued_by
from stateward.certs.rotation import (
    IMPATIENCE,
    LAG,
    Former,
    Kept,
    Publish,
    Published,
    Wait,
    Write,
    bundle,
    fingerprint,
    step,
    trusts,
)

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ("stateward.stateward.svc",)


def settled(*certificates):
    """Everything wanted is published, and has been for long."""
    return Published(certificates, timedelta(hours=1), tried=True)


@pytest.fixture(scope="module")
def first():
    return Authority.create(START)


@pytest.fixture(scope="module")
def good(first):
    return Kept(authority=first, leaf=first.issue(NAMES, START))


def test_nothing_kept_makes_an_authority_that_issues_nothing_yet():
    made = step(Kept(), START, NAMES, Published())
    assert isinstance(made, Write)
    assert made.kept.next is not None
    assert (made.kept.authority, made.kept.leaf) == (None, None)
    assert made.reason == "made an authority: there is none"


def test_where_nobody_trusts_anything_the_first_leaf_waits_for_its_publication_alone():
    kept = step(Kept(), START, NAMES, Published()).kept
    assert step(kept, START, NAMES, Published()) == Publish(bundle(kept, START))
    assert isinstance(step(kept, START, NAMES, Published(tried=True)), Wait)
    done = step(kept, START, NAMES, Published(held=timedelta(), tried=True))
    assert issued_by(done.kept.leaf.certificate, done.kept.authority.certificate)
    assert step(done.kept, START, NAMES, settled()) is None


def test_what_is_good_needs_its_publication_and_nothing_else(good):
    assert step(good, START, NAMES, Published()) == Publish(good.authority.bundle)
    assert step(good, START, NAMES, Published(tried=True)) is None
    assert step(good, START + 59 * DAY, NAMES, settled()) is None


@pytest.mark.parametrize(
    ("days", "names", "asked", "reason"),
    [
        (61, NAMES, "", "issued a certificate: expires soon"),
        (91, NAMES, "", "issued a certificate: expired at"),
        (1, (*NAMES, "more.svc"), "", "issued a certificate: the one there does not cover more.svc"),
        (1, NAMES, "leaf", "issued a certificate: asked for"),
        (1, NAMES, "authority", "made the next authority: asked for"),
        (3286, NAMES, "", "made the next authority: expires soon"),
        (3651, NAMES, "", "made an authority: Stateward authority 2026-11-21"),
        (-1, NAMES, "", "made an authority: Stateward authority 2026-11-21"),
    ],
)
def test_what_is_due_is_done_with_its_reason(good, days, names, asked, reason):
    done = step(replace(good, asked=asked), START + days * DAY, names, settled())
    assert done.reason.startswith(reason)
    assert done.kept.asked == ""


def test_a_leaf_is_renewed_by_the_authority_that_is_trusted_while_the_next_one_waits(good):
    later = START + 61 * DAY
    waiting = replace(good, next=Authority.create(later))
    renewed = step(waiting, later, NAMES, Published(tried=True)).kept
    assert issued_by(renewed.leaf.certificate, good.authority.certificate)
    assert isinstance(step(renewed, later, NAMES, Published(tried=True)), Wait)


@pytest.mark.parametrize(
    ("held", "takes_over"), [(None, False), (timedelta(), False), (LAG - timedelta(seconds=1), False), (LAG, True)]
)
def test_the_next_authority_takes_over_when_its_publication_has_been_held_for_a_while(good, held, takes_over):
    waiting = replace(good, next=Authority.create(START))
    done = step(waiting, START, NAMES, Published(held=held, tried=True), waited=10 * DAY)
    assert isinstance(done, Write) == takes_over
    if takes_over:
        assert done.kept.authority is waiting.next
        assert done.kept.next is None
        [former] = done.kept.old
        assert former.certificate == good.authority.certificate
        assert former.until == START + 90 * DAY
        assert bundle(done.kept, START) == bundle(waiting, START), "what is published stays byte for byte"


def test_without_a_usable_authority_the_next_does_not_wait_for_ever():
    waiting = Kept(next=Authority.create(START), old=(Former(Authority.create(START).certificate, START + DAY),))
    assert isinstance(step(waiting, START, NAMES, Published(tried=True)), Wait)
    done = step(waiting, START, NAMES, Published(tried=True), waited=IMPATIENCE)
    assert done.kept.leaf is not None


def test_a_former_authority_goes_from_the_bundle_first_and_then_from_what_is_kept(good, first):
    former = Authority.create(START)
    kept = replace(good, old=(Former(former.certificate, START + DAY),))
    assert fingerprint(former.certificate) in set(map(fingerprint, readable(bundle(kept, START))))
    later = START + DAY
    assert step(kept, later, NAMES, Published((former.certificate,))) == Publish(first.bundle)
    # While somebody still trusts it, it is known, and not taken in again.
    assert step(kept, later, NAMES, Published((former.certificate,), tried=True)) is None
    gone = step(kept, later, NAMES, settled())
    assert gone.kept.old == ()


def test_former_authorities_are_forgotten_at_once_where_that_is_asked_for(good, first):
    former = Authority.create(START).certificate
    kept = replace(good, old=(Former(former, START + DAY),), asked="forget")
    told = step(kept, START, NAMES, Published((former,))).kept
    assert told.asked == ""
    assert bundle(told, START) == first.bundle
    assert step(told, START, NAMES, Published((former,))) == Publish(first.bundle), "known, so not taken in again"
    assert step(told, START, NAMES, settled()).kept.old == ()


def test_an_authority_of_ours_that_is_published_but_not_kept_stays_trusted(good, first):
    """The Secret was emptied or overwritten: replicas still serve leaves of it."""
    taken = step(Kept(), START, NAMES, Published((first.certificate,)))
    assert [one.certificate for one in taken.kept.old] == [first.certificate]
    other = Authority.create(START)
    taken = step(good, START, NAMES, settled(first.certificate, other.certificate))
    assert [one.certificate for one in taken.kept.old] == [other.certificate]
    assert step(taken.kept, START, NAMES, settled(first.certificate, other.certificate)) is None


def test_what_else_is_in_a_bundle_is_none_of_ours(good, first):
    foreign, expired = rsa_authority(), Authority.create(START - 4000 * DAY)
    leaf = first.issue(NAMES, START)
    assert step(good, START, NAMES, settled(foreign.certificate, expired.certificate, leaf.certificate)) is None


def test_a_bundle_that_is_filled_without_end_does_not_fill_the_store(good):
    many = [Authority.create(START).certificate for _ in range(20)]
    taken = step(good, START, NAMES, settled(*many))
    assert len(taken.kept.old) == 8
    assert step(taken.kept, START, NAMES, settled(*many)) is None


def test_a_lost_key_keeps_its_certificate_trusted(first, good):
    data = {**stored.write(good), "ca.key": b""}
    kept = stored.read(data, "Secret ")
    assert kept.problems == ("Secret ca.key is empty",)
    taken = step(kept, START, NAMES, Published())
    assert [one.certificate for one in taken.kept.old] == [first.certificate]
    assert taken.kept.leaf.certificate == good.leaf.certificate
    # Written, the pair without a key is gone.
    again = stored.read(stored.write(taken.kept), "Secret ")
    assert again.loose == ()
    assert step(again, START, NAMES, Published()).reason == "made an authority: there is none"


def rsa_authority(now=START):
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ours")])
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), 2 << 100, now - DAY, now + 365 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Authority(key, root)


def test_an_rsa_authority_of_ones_own_is_used_and_followed_by_an_ecdsa_one_in_time():
    theirs = rsa_authority()
    kept = Kept(authority=theirs, leaf=theirs.issue(NAMES, START))
    assert step(kept, START + 50 * DAY, NAMES, settled()) is None
    later = START + 250 * DAY  # 115 days before its end: more than a leaf lives
    made = step(kept, later, NAMES, settled()).kept
    done = step(made, later, NAMES, settled()).kept
    assert [former.certificate for former in done.old] == [theirs.certificate]
    assert done.authority.certificate.subject != theirs.certificate.subject


def test_a_leaf_that_ends_with_its_authority_is_not_issued_again_and_again():
    short = Authority.create(START, lifetime=9 * DAY)
    kept = Kept(authority=short, next=Authority.create(START), leaf=short.issue(NAMES, START))
    assert isinstance(step(kept, START + 8 * DAY, NAMES, Published(tried=True)), Wait)


# --- as texts --------------------------------------------------------------------------------------------------------


def test_what_is_kept_survives_being_written_and_read(good):
    kept = replace(good, next=Authority.create(START), old=(Former(Authority.create(START).certificate, START + DAY),))
    again = stored.read(stored.write(kept), "Secret ")
    assert stored.write(again) == stored.write(kept)
    assert again.old[0].until == START + DAY
    assert again.problems == ()


def test_nothing_is_kept_in_nothing():
    assert stored.write(stored.read({}, "Secret ")) == dict.fromkeys(stored.ENTRIES, b"")


@pytest.mark.parametrize("until", [b"", b"# trusted until tomorrow\n", b"garbage\n"])
def test_a_former_authority_without_a_date_is_trusted_until_it_expires(first, until):
    [former] = stored.read_old(until + first.bundle)
    assert former.until == first.certificate.not_valid_after_utc


@given(entry=st.sampled_from(stored.ENTRIES), junk=st.binary(max_size=60), cut=st.integers(0, 800))
@settings(deadline=None, max_examples=60)
def test_any_damage_is_survived_and_mended(good, entry, junk, cut):
    whole = stored.write(replace(good, next=Authority.create(START), old=(Former(good.authority.certificate, START + DAY),)))
    kept = stored.read({**whole, entry: whole[entry][:cut] + junk}, "Secret ")
    for _ in range(6):
        following = step(kept, START, NAMES, settled())
        if not isinstance(following, Write):
            break
        kept = stored.read(stored.write(following.kept), "Secret ")
    assert following is None
    assert trusts(readable(bundle(kept, START)), kept.leaf.certificate, START)


# --- a cluster of the mind -------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The leader dies: nothing may catch it and go on."""


class World:
    """A Secret, two configurations, API servers that hear of them late, replicas that are cut off now and then."""

    HEARD = 3.0  # seconds; less than LAG, as a watch is

    def __init__(self, seed=1, *, by_order_alone=False):
        self.by_order_alone = by_order_alone  # replicas serve what is kept at once, and the leader sees nothing published
        self.chance, self.crashes = Random(seed), 0.0  # noqa: S311
        self.seconds = 0.0
        self.data, self.version = {}, 0
        self.configurations = {"validating": [(0.0, b"")], "mutating": [(0.0, b"")]}
        self.replicas = [Replica(self) for _ in range(3)]
        self.begun = not by_order_alone
        self.asked = ""
        self.repaired = {}
        self.new_leader()

    # What the keeper needs of a store.
    def read(self):
        self.seen = self.version
        return replace(stored.read(self.data, "Secret "), asked=self.asked)

    def write(self, kept):
        self.maybe_crash()
        if self.seen != self.version:
            return False
        self.data, self.asked = stored.write(kept), kept.asked
        self.version += 1
        self.maybe_crash()
        return True

    def publish(self, wanted):
        for name, history in self.configurations.items():
            if history[-1][1] != wanted:
                self.maybe_crash()
                history.append((self.seconds, wanted))
                self.maybe_crash()
            if name in self.repaired and self.repaired[name] is None:
                self.repaired[name] = self.seconds
        return True

    def published(self):
        return {} if self.by_order_alone else {name: history[-1][1] for name, history in self.configurations.items()}

    def maybe_crash(self):
        if self.chance.random() < self.crashes:
            raise Crash

    # The cluster.
    def now(self):
        return START + timedelta(seconds=self.seconds)

    def new_leader(self):
        self.keeper = Keeper(
            self,
            NAMES,
            publish=self.publish,
            published=self.published,
            may_write=lambda: True,
            monotonic=lambda: self.seconds,
        )

    def pass_time(self, seconds):
        """Leader and replicas look every five seconds, and before and after long times in which nobody can."""
        self.seconds += seconds
        try:
            self.keeper.turn(self.now)
        except Crash:
            self.new_leader()
        for replica in self.replicas:
            if not replica.cut_off:
                replica.look()
        self.check()

    def believed(self, name):
        """Every bundle that some API server may go by at this instant."""
        history = self.configurations[name]
        current = [pem for at, pem in history if at > self.seconds - self.HEARD]
        before = [pem for at, pem in history if at <= self.seconds - self.HEARD][-1:]
        return before + current

    def check(self):
        for name in self.configurations if self.begun else ():
            if name in self.repaired and (self.repaired[name] is None or self.seconds < self.repaired[name] + self.HEARD):
                continue  # somebody overwrote it: not ours to answer for, until it is mended
            for replica in self.replicas:
                leaf = replica.served
                if leaf is None or leaf.not_valid_after_utc < self.now():
                    assert leaf is None or replica.cut_off, "a leaf expired while everything could be reached"
                    continue
                for pem in self.believed(name):
                    assert trusts(readable(pem), leaf, self.now()), f"a served leaf fails at {name}"


class Replica:
    def __init__(self, world):
        self.world, self.cut_off = world, False
        self.start()

    def start(self):
        self.choice, self.served = Choice(), None

    def look(self):
        leaf = stored.read(self.world.data, "Secret ").leaf
        world = self.world
        if leaf is None or leaf.certificate.not_valid_after_utc < world.now():
            return
        allowed = self.choice.allows(leaf.certificate, self.served, world.published(), world.now(), world.seconds)
        # A replica that serves nothing yet waits until it is trusted: it is not ready before.
        ready = self.served or all(self.choice.settled(name, world.seconds) for name in world.configurations)
        if world.by_order_alone or (allowed and ready):
            self.served = leaf.certificate


def settle(world, seconds=75):
    world.crashes, before = 0.0, world.crashes
    for _ in range(seconds // 5):
        world.pass_time(5)
    world.crashes = before


def test_a_cluster_left_alone_for_twelve_years_never_serves_what_is_not_trusted():
    world = World()
    settle(world)
    authorities, leaves = set(), set()
    for _ in range(12 * 365 // 25):
        world.pass_time(25 * 86400)
        settle(world, 15)
        kept = stored.read(world.data, "Secret ")
        authorities.add(fingerprint(kept.authority.certificate))
        leaves.add(fingerprint(kept.leaf.certificate))
        assert len(kept.old) <= 1
        assert all(replica.served for replica in world.replicas)
    assert len(authorities) == 2
    assert 50 <= len(leaves) <= 75


TAMPERING = {
    "emptied": lambda world, _: world.data.clear(),
    "overwritten with what it was before": lambda world, before: setattr(world, "data", dict(before)),
    "a key lost": lambda world, _: world.data.update({"ca.key": b""}),
    "half-written": lambda world, _: world.data.update({"tls.crt": world.data.get("tls.crt", b"")[:200]}),
    "the next one damaged": lambda world, _: world.data.update({"next-ca.key": b"?"}),
    "former ones forgotten": lambda world, _: world.data.update({"old-ca.crt": b""}),
}
EVENTS = (
    [("time", days) for days in (0.0001, 0.01, 1, 13, 26)]
    + [("tamper", how) for how in TAMPERING]
    + [("ask", what) for what in ("authority", "leaf")]
    + [("bundle", name) for name in ("validating", "mutating")]
    + [("cut off", 0), ("restart", 1), ("leader", 0)]
)


@given(events=st.lists(st.sampled_from(EVENTS), max_size=8), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_no_served_leaf_fails_to_verify(events, seed):
    happens(World(seed), events)


@given(
    events=st.lists(st.sampled_from([one for one in EVENTS if one[0] not in ("tamper", "bundle")]), max_size=8),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_the_leaders_order_of_writes_is_enough_where_nobody_tampers(events, seed):
    """Without the second line: replicas that ask nobody, a leader that cannot read what is published."""
    happens(World(seed, by_order_alone=True), events)


def test_a_good_secret_of_another_authority_is_published_before_any_replica_serves_it():
    world = World()
    settle(world)
    other = Authority.create(world.now())
    world.data = stored.write(Kept(authority=other, leaf=other.issue(NAMES, world.now())))
    world.version += 1
    settle(world)
    assert {replica.served.issuer for replica in world.replicas} == {other.certificate.subject}


def happens(world, events):
    settle(world)
    world.begun = True  # before, nobody trusts anything and a first leaf harms nobody
    world.crashes = 0.2
    before = dict(world.data)
    for what, which in events:
        if what == "time":
            before = dict(world.data) or before
            world.pass_time(which * 86400)
        elif what == "tamper":
            TAMPERING[which](world, before)
            world.version += 1
        elif what == "ask":
            world.asked = which
            world.version += 1
        elif what == "bundle":
            history = world.configurations[which]
            history.append((world.seconds, world.chance.choice(history)[1]))
            world.repaired[which] = None
        elif what == "cut off":
            world.replicas[0].cut_off = not world.replicas[0].cut_off
        elif what == "restart":
            world.replicas[1].start()
        else:
            world.new_leader()
        for _ in range(3):
            world.pass_time(5)
    settle(world)
    kept = stored.read(world.data, "Secret ")
    assert kept.problems == ()
    assert kept.next is None
    for replica in world.replicas:
        assert replica.cut_off or fingerprint(replica.served) == fingerprint(kept.leaf.certificate)


def test_the_check_of_the_simulation_finds_a_leader_that_serves_before_it_publishes():
    world = World()
    settle(world)
    other = Authority.create(world.now())
    world.replicas[0].served = other.issue(NAMES, world.now()).certificate
    with pytest.raises(AssertionError, match="fails at"):
        world.check()


def test_a_turn_ends_when_leadership_does(first):
    world = World()
    keeper = Keeper(
        world, NAMES, publish=world.publish, published=world.published, may_write=lambda: False, monotonic=lambda: 0.0
    )
    assert keeper.turn(world.now) == "another replica leads"
    assert world.data == {}


def test_of_two_leaders_one_writes_and_the_other_begins_anew():
    world = World()
    said = []
    keeper = Keeper(
        world,
        NAMES,
        publish=world.publish,
        published=world.published,
        may_write=lambda: True,
        monotonic=lambda: world.seconds,
        say=said.append,
    )
    real, once = world.read, [True]

    def read():
        found = real()
        if once and once.pop():
            world.version += 1  # the other one wrote in between
        return found

    world.read = read
    with suppress(Crash):
        keeper.turn(world.now)
    assert said == ["made an authority: there is none", "the next authority takes over, with its first certificate"]
