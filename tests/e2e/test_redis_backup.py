"""Redis and Valkey on real nodes: backed up under writes, drilled, destroyed, and restored under another name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from backup_kit import BACKUPS, RESTORES, asked, claim, ended, restic
from cluster_kit import eventually
from operated import KIND, operated
from redis_kit import NAME, ROLES, Sessions, Writer

CLAIM = {"claim": {"name": "archive", "path": "all"}}
Say = Callable[[str], None]


@pytest.fixture(scope="module", params=["redis:7.0", "valkey:8.1"])
def sessions(request: pytest.FixtureRequest) -> Iterator[Sessions]:
    engine = request.param.partition(":")[0]
    more = {"tls": {"enabled": True}, "backup": {"schedule": "@yearly", "destination": CLAIM}}
    namespace = f"backup-e2e-{engine}"
    with operated(engine, request.param, NAME, ROLES, namespace=namespace, arguments=restic, **more) as one:
        one.kubectl.must("apply", "-f", "-", stdin=claim("archive", "256Mi"))
        one.settle(3)
        yield Sessions(one, f"{engine} {one.manifest['spec']['version']}")
        for kind in (RESTORES, BACKUPS):
            one.kubectl("delete", kind, "--all", "--timeout=60s", seconds=90)


def test_all_that_was_acknowledged_before_a_backup_is_there_after_all_was_destroyed(sessions: Sessions, say: Say) -> None:
    on = sessions.on
    with Writer(sessions) as writer:
        kept = dict(writer.acknowledged)
        on.kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "first", service=NAME))
        status = ended(on.kubectl, BACKUPS, "first")
        assert status["phase"] == "Complete", status
        writer.more()
    say(f"{sessions.title}: {status['size']} bytes backed up and read back under {writer.pace}")
    on.change(backup={"drill": {"schedule": "* * * * *"}})
    eventually(lambda: on.status().get("drill"), "a drill has ended", 300)
    on.change(backup={"drill": None})
    drill = on.status()["drill"]
    assert drill["succeeded"], drill
    say(f"{sessions.title}: a drill serves after {drill['rtoSeconds']} s, {drill['rpoSeconds']} s of the past are missing")
    eventually(lambda: on.kubectl.names(KIND) == [NAME], "the scratch service is gone", 180)
    on.delete()
    assert on.kubectl.names("persistentvolumeclaims", "-l", f"stateward.dev/service={NAME}") == []
    item = asked("ServiceRestore", "again", service="again", source={"backup": {"name": "first"}})
    on.kubectl.must("apply", "-f", "-", stdin=item)
    status = ended(on.kubectl, RESTORES, "again")
    assert status["phase"] == "Complete", status
    again = replace(on, name="again")
    again.settle(3, 240)
    lost = Writer(Sessions(again, sessions.title), kept).lost()
    say(f"{sessions.title}: {len(kept)} keys, {len(lost)} of them lost, {status['rtoSeconds']} s after it was asked for")
    assert lost == []
    again.delete()
