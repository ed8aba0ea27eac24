"""etcd, run by Stateward on three real nodes: what was acknowledged is there, whatever goes meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from cluster_kit import eventually
from etcd_kit import VOTERS, Writer, ask
from operated import KIND, Operated, built, operated, version_of
from pace import answered

NAME = "orders"
BACK = '{"spec":{"version":"3.4.23"}}'


@pytest.fixture(scope="module")
def orders() -> Iterator[Operated]:
    with operated("etcd", "etcd:3.5", NAME, VOTERS) as one:
        yield one


def voters(one: Operated) -> list[str]:
    """The members that etcd itself lists, those with a vote."""
    found = answered(lambda: ask(one.address(), "/v3/cluster/member/list", {}), OSError)["members"]
    return sorted(peer["name"] for peer in found if not peer.get("isLearner"))


def test_three_members_come_up_on_three_nodes_under_the_restricted_profile(
    orders: Operated, say: Callable[[str], None]
) -> None:
    began = time.monotonic()
    orders.settle(3)
    say(f"etcd: three members serve after {time.monotonic() - began:.1f} s")
    assert voters(orders) == [f"{NAME}-{number}" for number in range(3)]
    status = orders.service()["status"]
    assert {one["role"] for one in status["members"]} == {"leader", "follower"}
    assert len({one["node"] for one in status["members"]}) == 3
    assert status["runningVersion"].startswith("3.5.")
    assert orders.condition("Ready")["status"] == "True"
    assert orders.condition("Ready")["observedGeneration"] == 1


def test_no_acknowledged_write_is_lost_when_a_member_is_killed(orders: Operated, say: Callable[[str], None]) -> None:
    orders.settle(3)
    leader = orders.service()["status"]["primary"]
    with Writer(orders.address()) as writer:
        writer.more()
        orders.kill(leader)
        orders.settle(3)
        writer.more()
    lost = writer.lost()
    say(f"etcd: the leader was killed under {len(writer.acknowledged)} acknowledged writes: {len(lost)} lost; {writer.pace}")
    assert lost == []


def test_whoever_leads_hands_over_where_that_is_asked_for(orders: Operated, say: Callable[[str], None]) -> None:
    orders.settle(3)
    with Writer(orders.address()) as writer:
        writer.more()
        for request in ("first", "second"):
            orders.switch_over(request)
        writer.more()
    lost = writer.lost()
    say(f"etcd: two switchovers under {len(writer.acknowledged)} acknowledged writes: {len(lost)} lost; {writer.pace}")
    assert lost == []


def test_members_are_added_and_taken_away_one_at_a_time_and_nothing_is_lost(
    orders: Operated, say: Callable[[str], None]
) -> None:
    orders.settle(3)
    with Writer(orders.address()) as writer:
        writer.more(100)
        for members in (5, 3, 5):  # the second time over what the first left behind
            began = time.monotonic()
            orders.change(members=members)
            orders.settle(members, 300)
            say(f"etcd: scaled to {members} in {time.monotonic() - began:.0f} s")
            assert voters(orders) == [f"{NAME}-{number}" for number in range(members)]
    lost = writer.lost()
    say(f"etcd: 3, 5, 3, 5 members under {len(writer.acknowledged)} acknowledged writes: {len(lost)} lost; {writer.pace}")
    assert lost == []


def test_an_upgrade_to_the_next_minor_loses_no_acknowledged_write(orders: Operated, say: Callable[[str], None]) -> None:
    before, after = built("etcd:3.4"), built("etcd:3.5")
    older = orders.other("older", before)
    older.create()
    try:
        upgraded(older, before, after, say)
    finally:
        older.delete()


def upgraded(older: Operated, before: str, after: str, say: Callable[[str], None]) -> None:
    """An upgrade, and after it a restart, with a writer all along."""
    version = version_of(after)
    older.settle(3)
    with Writer(older.address()) as writer:
        writer.more(200)
        for what, change in (
            ("upgraded", {"version": version, "image": after}),
            ("restarted", {"resources": {"requests": {"cpu": "50m"}}}),
        ):
            kept, began = older.uids(), time.monotonic()
            writer.pace.again()
            older.change(**change)
            eventually(lambda kept=kept: not older.uids() & kept and older.runs(version), f"all are {what}", 300)  # type: ignore[misc]
            seconds = time.monotonic() - began
            say(f"etcd: {version_of(before)}, {what} to {version} in {seconds:.0f} s under {writer.pace}")
    assert writer.lost() == []
    assert older.status()["finalisedVersion"] == "3.5"
    refused = older.kubectl("patch", KIND, older.name, "--type=merge", "-p", BACK)
    assert "older members cannot read it" in refused.err


def test_a_deleted_service_takes_its_claims_along_where_that_is_asked_for(orders: Operated) -> None:
    orders.delete()
    eventually(lambda: not orders.left(), "nothing is left", 60)
