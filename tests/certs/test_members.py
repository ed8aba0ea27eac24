"""The certificates of a service's members: each step, and whole rotations cut short between any two writes."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from stateward.certs import members
from stateward.certs.authority import Authority
from stateward.certs.context import client_context
from stateward.certs.members import PATIENCE, SOON, Held, Wanted, Write, first, read, step
from stateward.certs.pem import issued_by, untimely
from stateward.certs.rotation import Wait, fingerprint

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
WANTED = {
    "server": Wanted("prod/db", ("db.prod.svc", "*.db-members.prod.svc"), ("server", "client")),
    "operator": Wanted("operator", ("operator.db.prod.svc",), ("client",)),
}


def all_trust() -> str:
    return ""


def nobody_trusts() -> str:
    return "db-0 does not"


@pytest.fixture(scope="module")
def held() -> Held:
    return first(WANTED, START)


def after(found: object) -> Held:
    assert isinstance(found, Write), found
    return found.held


def test_a_service_begins_with_an_authority_and_a_leaf_for_each_use(held: Held) -> None:
    assert held.kept.authority is not None
    for name, usages in (
        ("server", {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}),
        ("operator", {ExtendedKeyUsageOID.CLIENT_AUTH}),
    ):
        leaf = held.leaves[name].certificate
        assert issued_by(leaf, held.kept.authority.certificate)
        assert set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == usages
    assert step(held, START, WANTED, nobody_trusts) is None


def test_leaves_are_renewed_with_a_third_of_their_life_left_and_trust_stays(held: Held) -> None:
    assert step(held, START + 59 * DAY, WANTED, nobody_trusts) is None
    now = START + 61 * DAY
    renewed = after(step(held, now, WANTED, nobody_trusts))
    assert renewed.bundle(now) == held.bundle(now)
    assert all(untimely(leaf.certificate, START + 140 * DAY) is None for leaf in renewed.leaves.values())
    assert step(renewed, now, WANTED, nobody_trusts) is None


def test_a_leaf_that_lacks_a_name_is_issued_anew_and_the_others_stay(held: Held) -> None:
    more = {**WANTED, "server": replace(WANTED["server"], names=(*WANTED["server"].names, "localhost"))}
    renewed = after(step(held, START, more, nobody_trusts))
    assert renewed.leaves["operator"] is held.leaves["operator"]
    assert renewed.leaves["server"] is not held.leaves["server"]


def test_nothing_is_issued_by_the_next_authority_before_everybody_trusts_it(held: Held) -> None:
    prepared = after(step(held, START, WANTED, nobody_trusts, asked="1"))
    assert prepared.kept.next is not None
    assert prepared.leaves == held.leaves
    assert prepared.bundle(START).count(b"BEGIN") == 2
    late = START + 30 * DAY
    assert step(prepared, late, WANTED, nobody_trusts, asked="1") == Wait("db-0 does not")
    assert isinstance(step(prepared, START + SOON / 2, WANTED, all_trust, asked="1"), Wait)
    assert isinstance(step(prepared, START + PATIENCE / 2, WANTED, all_trust), Wait)
    taken = after(step(prepared, START + SOON, WANTED, all_trust, asked="1"))
    assert taken.bundle(START + SOON) == prepared.bundle(START + SOON)
    assert all(issued_by(leaf.certificate, prepared.kept.next.certificate) for leaf in taken.leaves.values())


def test_leaves_are_renewed_also_while_somebody_does_not_trust_the_next_authority(held: Held) -> None:
    prepared = after(step(held, START, WANTED, nobody_trusts, asked="1"))
    renewed = after(step(prepared, START + 61 * DAY, WANTED, nobody_trusts, asked="1"))
    assert renewed.kept.next is prepared.kept.next
    assert held.kept.authority is not None
    assert issued_by(renewed.leaves["server"].certificate, held.kept.authority.certificate)


def test_the_former_authority_is_trusted_until_its_last_leaf_has_expired(held: Held) -> None:
    prepared = after(step(held, START, WANTED, all_trust, asked="1"))
    now = START + SOON
    taken = after(step(prepared, now, WANTED, all_trust, asked="1"))
    assert taken.bundle(now + 89 * DAY).count(b"BEGIN") == 2
    assert taken.bundle(now + 91 * DAY).count(b"BEGIN") == 1
    renewed = after(step(taken, now + 91 * DAY, WANTED, all_trust))
    gone = after(step(renewed, now + 91 * DAY, WANTED, all_trust))
    assert gone.kept.old == ()
    assert step(gone, now + 91 * DAY, WANTED, all_trust) is None


def test_what_was_asked_for_is_done_once(held: Held) -> None:
    prepared = after(step(held, START, WANTED, all_trust, asked="1"))
    taken = after(step(prepared, START + SOON, WANTED, all_trust, asked="1"))
    assert step(taken, START + SOON, WANTED, all_trust, asked="1") is None
    assert isinstance(step(taken, START + SOON, WANTED, all_trust, asked="2"), Write)


def test_a_key_that_got_out_is_trusted_no_more_where_that_is_asked_for(held: Held) -> None:
    prepared = after(step(held, START, WANTED, all_trust, asked="1"))
    taken = after(step(prepared, START + SOON, WANTED, all_trust, asked="1"))
    forgotten = after(step(taken, START + SOON, WANTED, all_trust, asked="forget-1"))
    assert forgotten.bundle(START + SOON).count(b"BEGIN") == 1
    assert forgotten.leaves == taken.leaves
    assert step(forgotten, START + SOON, WANTED, all_trust, asked="forget-1") is None


def test_an_authority_of_ones_own_takes_over_with_the_same_overlap_and_is_never_replaced_by_ours(held: Held) -> None:
    own = Authority.create(START)
    prepared = after(step(held, START, WANTED, all_trust, own=own))
    assert prepared.kept.next is own
    now = START + PATIENCE
    taken = after(step(prepared, now, WANTED, all_trust, own=own))
    assert taken.kept.authority is own
    old = START + timedelta(days=3600)  # ours would be replaced by now
    renewed = after(step(taken, old, WANTED, all_trust, own=own))
    assert (renewed.kept.authority, renewed.kept.next) == (own, None)
    asked = after(step(renewed, old, WANTED, all_trust, own=own, asked="1"))
    assert (asked.kept.authority, asked.kept.next) == (own, None)
    assert fingerprint(asked.leaves["server"].certificate) != fingerprint(renewed.leaves["server"].certificate)


def test_an_authority_whose_key_is_lost_is_followed_by_another_with_overlap(held: Held) -> None:
    from stateward.certs.rotation import Former

    assert held.kept.authority is not None
    root = held.kept.authority.certificate
    lost = Held(replace(held.kept, authority=None, old=(Former(root, START + 90 * DAY),)), {"server": held.leaves["server"]})
    prepared = after(step(lost, START, WANTED, nobody_trusts))
    assert prepared.bundle(START).count(b"BEGIN") == 2
    assert prepared.leaves == lost.leaves
    assert isinstance(step(prepared, START + PATIENCE, WANTED, nobody_trusts), Wait)
    assert set(after(step(prepared, START + PATIENCE, WANTED, all_trust)).leaves) == set(WANTED)


def test_what_is_written_is_read_again_and_a_damaged_entry_counts_as_missing(held: Held) -> None:
    prepared = after(step(held, START, WANTED, all_trust, asked="1"))
    data = members.write(prepared)
    again = read(data, "Secret db-authority: ", tuple(WANTED))
    assert members.write(again) == data
    assert (again.since, again.asked) == (START, "1")
    damaged = read({**data, "operator.key": b"x"}, "Secret db-authority: ", tuple(WANTED))
    assert set(damaged.leaves) == {"server"}
    assert "operator.key" in damaged.kept.problems[0]
    assert b"PRIVATE" not in "".join(damaged.kept.problems).encode()


def test_for_twelve_years_there_is_always_a_leaf_that_everybody_trusts() -> None:
    held, now, writes = first(WANTED, START), START, 0
    believed: list[bytes] = []
    """What members were given: each trusts the bundle of a day ago at the latest."""
    while now < START + 4400 * DAY:
        found = step(held, now, WANTED, all_trust)
        believed = [*believed[-1:], held.bundle(now)]
        if isinstance(found, Write):
            held, writes = found.held, writes + 1
        for leaf in held.leaves.values():
            assert untimely(leaf.certificate, now) is None
            for pem in believed:
                roots = x509.load_pem_x509_certificates(pem)
                assert any(issued_by(leaf.certificate, root) for root in roots)
        now += DAY if isinstance(found, Write) else 5 * DAY
    assert writes < 100


def test_a_client_context_takes_what_was_issued_and_refuses_what_is_none(held: Held) -> None:
    from stateward.certs.errors import CertificateError

    context = client_context(held.bundle(START), *held.leaves["operator"].to_pem())
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    with pytest.raises(CertificateError):
        client_context(b"", *held.leaves["operator"].to_pem())
