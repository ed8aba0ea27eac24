"""What becomes of a backup's data: where nobody writes any more, the last one takes all of it along."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.operator.api.parts import Destination
from stateward.operator.backup.forgetting import written_to
from stateward.operator.backup.record import Record

RECORD = Record(destination=Destination(), folder="shop/orders", uid="u-1", engine="postgresql", version="15.20")


def service(uid: str = "u-1", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "orders", "uid": uid}, "status": status}


@pytest.mark.parametrize(
    ("found", "written"),
    [
        (service(finalisedVersion="15"), True),
        (service(), True),  # nothing is known of it yet
        (service(runningVersion="17.12", finalisedVersion="15"), True),  # it may go back
        (service(runningVersion="17.12", finalisedVersion="17"), False),
        (service(uid="u-2", finalisedVersion="15"), False),  # another one of that name
        (None, False),
    ],
)
def test_a_service_writes_where_its_backups_lie_until_it_is_gone_or_has_another_major_for_good(
    found: dict[str, Any] | None, written: bool
) -> None:
    assert written_to(found, RECORD) is written
