"""Whether a backup can become the service that is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from stateward.operator.api.v1beta1 import ServiceRestoreSpec, StatefulService
from stateward.operator.backup.metadata import Metadata
from stateward.operator.drivers.protocol import Driver
from stateward.operator.service import not_carried_out
from stateward.policies import quantity, version
from stateward.policies.engines.profile import judge
from stateward.policies.engines.recognise import PROFILES

NAME: Final = 40
"""Characters that a service's name may have."""


def refused(spec: ServiceRestoreSpec, told: Metadata, wanted: StatefulService, driver: Driver | None) -> str:
    """Why not, as field, value, reason and next step; "" where it can."""
    if driver is None:
        return f"engine: {told.engine}: nobody here knows how to run it"
    if len(spec.service) > NAME:
        return f"service: {spec.service}: {len(spec.service)} characters; a service's name has at most {NAME}"
    if problem := of_version(told.engine, told.version, wanted.spec.version):
        return problem
    problems = driver.problems(wanted.spec.version, dict(wanted.spec.parameters))
    if problems:
        return "; ".join(problems)
    given, needed = quantity.parse(wanted.spec.storage.size), quantity.parse(told.service_spec().storage.size)
    if given is not None and needed is not None and given < needed:
        old = told.service_spec().storage.size
        return f"overrides.storage.size: {wanted.spec.storage.size}: the backup is of volumes of {old}; give that or more"
    return not_carried_out(wanted, bool(driver.container(wanted.spec.version).wal))


def of_time(until: datetime | None, told: Metadata, driver: Driver | None, now: datetime, *, named: bool) -> str:
    """Whether it can be restored to a time, as far as that is known before it is tried. `named`: this very backup."""
    if until is None or driver is None:
        return ""
    shown = f"pointInTime: {until.isoformat().replace('+00:00', 'Z')}"
    if not driver.archives:
        return f"{shown}: {told.engine} keeps no log with its backups; leave it out"
    if until > now:
        return f"{shown}: that is to come; give a time that is over"
    if named and until < told.taken:
        return f"{shown}: the backup was begun at {told.taken:%Y-%m-%dT%H:%M:%SZ}; name an earlier one, or a later time"
    return ""


def of_version(engine: str, old: str, new: str) -> str:
    """Whether the engine of one version takes over what another wrote, by the engine's profile."""
    before, after = version.parse(old), version.parse(new)
    profile = PROFILES.get(engine)
    if before is None or after is None or profile is None:
        return "" if old == new else f"overrides.version: {new}: whether it reads data of {old} is not known; leave it out"
    if after < before and profile.series_of(after) != profile.series_of(before):
        return f"overrides.version: {new}: it does not read data of {old}; give that series or a later one"
    verdict = judge(profile, before, after, {}).verdict
    if verdict == "deny" and profile.series_of(after) != profile.series_of(before):
        return f"overrides.version: {new}: it does not read data of {old}; restore that version, then upgrade step by step"
    return ""
