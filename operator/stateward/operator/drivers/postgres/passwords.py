"""Other passwords for the roles of a running PostgreSQL, and for the Patroni of each member.

A role has one password at a time. So members have theirs in their files before it is another: the kubelet has brought the
files everywhere, then all roles change in one transaction of the primary, then every Patroni reads its file. A member that
starts in between reads the new file; connections that there are stay. What is sent are verifiers, over the standard input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from stateward.operator.drivers.http import NoAnswerError, RefusedError, ask
from stateward.operator.drivers.postgres.scram import fits, verifier
from stateward.operator.drivers.protocol import Place, Result, Target
from stateward.operator.drivers.schema import Http

ROLES: Final[Mapping[str, str]] = {
    "superuser": "postgres",
    "replication": "replicator",
    "rewind": "rewind",
    "app": "app",
}
"""Name of a password → the role that it is of. That of Patroni's commands is in no database."""
_PATRONI: Final = "patroni"
_RELOAD: Final = Http(port="patroni", path="/reload", method="POST", login=_PATRONI, text=True, seconds=5.0)
_FILES: Final = "/etc/stateward-secrets"
_SQL: Final = """IFS= read -r PGPASSWORD && export PGPASSWORD && exec "$0" -X -q -A -t -F ' ' -v ON_ERROR_STOP=1 \
-h /run/postgresql -U postgres -d postgres -f -"""
"""The first line that is given is the password; the shell keeps it to itself and to the program."""
_ASK: Final = "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = ANY ('{{{}}}');\n\\q\n"
# Nobody who looks into the log, or into the statistics of statements, is to find even the verifiers.
_QUIET: Final = """SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL pg_stat_statements.track_utility = 'off';
"""


def change(
    passwords: Mapping[str, Sequence[str]], targets: Sequence[Target], place: Place, files: Mapping[str, str]
) -> Result:
    """Makes the last of each the one that counts; done where it is, for all members. The first target leads.

    `files`: what each member's file is to be.
    """
    absent = sorted(set(place.members) - {target.name for target in targets})
    if absent:
        return Result("unknown", f"{', '.join(absent)} must serve before passwords are changed")
    try:
        for target in targets:
            if why := _behind(target, files[f"{target.name}.yaml"]):
                return Result("unknown", why)
        new = {name: several[-1] for name, several in passwords.items()}
        if not _roles(passwords, new, targets[0], place):
            return Result("unknown", f"{targets[0].name}: its roles have other passwords still")
        return _reloaded(new, targets)
    except NoAnswerError as error:
        return Result("unknown", str(error))
    except RefusedError as error:
        return Result("refused", str(error))


def _behind(target: Target, content: str) -> str:
    """Why a member has not got its file yet; "" where it has."""
    path = f"{_FILES}/{target.name}.yaml"
    said = _inside(target, ["sha256sum", path])
    if said.partition(" ")[0] == hashlib.sha256(content.encode()).hexdigest():
        return ""
    return f"{target.name} has not got its new file yet; a kubelet brings it within two minutes"


def _roles(passwords: Mapping[str, Sequence[str]], new: Mapping[str, str], primary: Target, place: Place) -> bool:
    """Whether all roles have the new ones; where they had not, they are told first."""
    opens = list(dict.fromkeys(passwords.get("superuser", ())))
    wanted = {ROLES[name]: value for name, value in new.items() if name in ROLES}
    other = _others(wanted, _query(primary, place, opens, _ASK.format(",".join(sorted(wanted)))))
    if not other:
        return True
    changes = "".join(f"ALTER ROLE {role} PASSWORD '{verifier(wanted[role])}';\n" for role in sorted(other))
    _query(primary, place, opens, f"BEGIN;\n{_QUIET}{changes}COMMIT;\n\\q\n")
    return not _others(wanted, _query(primary, place, opens[::-1], _ASK.format(",".join(sorted(wanted)))))


def _others(wanted: Mapping[str, str], said: str) -> list[str]:
    """Roles that have another password."""
    kept = {role: text for role, _, text in (line.partition(" ") for line in said.splitlines())}
    return [role for role, password in wanted.items() if not fits(password, kept.get(role, ""))]


def _query(primary: Target, place: Place, opens: Sequence[str], statements: str) -> str:
    """What the primary answers the superuser, by whichever password opens it: a crash may lie between two of them."""
    program = f"/usr/lib/postgresql/{place.major}/bin/psql"
    refused: RefusedError | None = None
    for password in opens:
        try:
            return _inside(primary, ["sh", "-c", _SQL, program], f"{password}\n{statements}")
        except RefusedError as error:
            if "authentication failed" not in str(error):
                raise
            refused = error
    raise refused or RefusedError(f"{primary.name}: there is no password of the superuser")


def _reloaded(new: Mapping[str, str], targets: Sequence[Target]) -> Result:
    """Every Patroni reads its file; it has when it takes the new password. It does so in its next round."""
    if _PATRONI not in new:
        return Result("done")
    waits = ""
    for target in targets:
        access = replace(target.access, passwords={**target.access.passwords, _PATRONI: new[_PATRONI]}, rotation=None)
        after = replace(target, access=access)
        try:
            ask(after, _RELOAD)
            continue
        except RefusedError as error:
            if ": 401" not in str(error):
                raise
        ask(target, _RELOAD)
        waits = waits or f"{target.name}: its Patroni reads its new file"
    return Result("unknown", waits) if waits else Result("done")


def _inside(target: Target, command: Sequence[str], given: str = "") -> str:
    if target.inside is None:
        raise RefusedError(f"{target.name}: no command can be run in its container")
    return target.inside(command, given)
