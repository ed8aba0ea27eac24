"""Other passwords for members and Sentinels that run, told in an order in which nobody is cut off.

All of them take all passwords first, then all use the last one where they connect to each other (`masterauth`, `auth-pass`,
`sentinel-pass`), then the others are forgotten. Sentinels before 7.0 are told nothing: they take one alone, or write what
they are told into their log (`+set master mymaster auth-pass`). They start anew by themselves once there is another one
(start.sh). What was told is gone with the process; a member that starts reads its files, which say the same soon after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from stateward.operator.drivers.http import NoAnswerError, RefusedError
from stateward.operator.drivers.protocol import Access, Result, Rotation, Target
from stateward.operator.drivers.sentinel.asking import MASTER, PASSWORD, Line, information, opened

CLIENT: Final = "client"
SENTINEL: Final = "sentinel"
USER: Final = "default"
_TOLD: Final = 7
"""First release whose Sentinels are told."""


def taken(answer: Any) -> frozenset[str]:
    """Hashes of the passwords that a user has, as `ACL GETUSER` says."""
    if not isinstance(answer, list):
        return frozenset()
    found = dict(zip(answer[::2], answer[1::2], strict=False)).get("passwords")
    return frozenset(str(one) for one in found) if isinstance(found, list) else frozenset()


def hashed(password: str) -> str:
    """As the engine keeps it."""
    return hashlib.sha256(password.encode()).hexdigest()


def wanted(access: Access) -> list[str]:
    """The passwords that all have to take now; the last one is that which they use."""
    previous = (access.rotation or Rotation("")).previous.get(PASSWORD, "")
    return [one for one in (previous, access.passwords.get(PASSWORD, "")) if one]


def amiss(access: Access, takes: frozenset[str], uses: str | None) -> bool:
    """Whether a member or a Sentinel takes others, or uses another one (`uses`, a hash; None: that is not to be seen).

    The one before and the one that is about to come may be there or not: which it is says how far a rotation is.
    """
    coming = (access.rotation or Rotation("")).coming.get(PASSWORD, "")
    several = wanted(access)
    used, may = {hashed(one) for one in (*several[-1:], coming) if one}, {hashed(one) for one in (*several, coming) if one}
    return not {hashed(one) for one in several[-1:]} <= takes <= may or (uses is not None and uses not in used)


def tell(several: Sequence[str], targets: Sequence[Target]) -> Result:
    """Has all of them take these passwords and no others, and use the last one. May be told twice."""
    where = ""
    try:
        # Sentinels before members: a member forgets what no Sentinel uses any more.
        for step in (_take, _use, _waits, _forget):
            for target, port in [(target, port) for port in (SENTINEL, CLIENT) for target in targets]:
                where = f"{target.name}: {port}"
                with opened(target, port) as line:
                    if waits := step(line, port, several):
                        return Result("unknown", f"{where}: {waits}")
    except RefusedError:
        # What it says may have a password in it.
        return Result("refused", f"{where}: it does not take other passwords")
    except NoAnswerError as error:
        return Result("unknown", str(error))
    return Result("done")


def _take(line: Line, port: str, several: Sequence[str]) -> str:
    if _is_told(line, port):
        lacking = [one for one in several if hashed(one) not in _taken(line)]
        if lacking:
            line.ask("ACL", "SETUSER", USER, *(f">{one}" for one in lacking))
    return ""


def _use(line: Line, port: str, several: Sequence[str]) -> str:
    for words in _uses(line, port, several[-1]):
        line.ask(*words)
    return ""


def _uses(line: Line, port: str, password: str) -> Iterator[Sequence[str]]:
    if port == CLIENT:
        yield "CONFIG", "SET", "masterauth", password
    elif _is_told(line, port):
        yield "SENTINEL", "SET", MASTER, "auth-pass", password
        yield "SENTINEL", "CONFIG", "SET", "sentinel-pass", password


def _waits(line: Line, port: str, several: Sequence[str]) -> str:
    """What has to happen before anything is forgotten: a Sentinel that is not told has started with the last one."""
    if len(several) > 1 or _is_told(line, port):
        return ""
    try:
        line.ask("AUTH", several[-1])
    except RefusedError:
        return "it starts anew with the new password once its kubelet has brought it"
    return ""


def _forget(line: Line, port: str, several: Sequence[str]) -> str:
    if not _is_told(line, port):
        return ""
    others = _taken(line) - {hashed(one) for one in several}
    if others:
        line.ask("ACL", "SETUSER", USER, *(f"!{one}" for one in sorted(others)))
    return ""


def _taken(line: Line) -> frozenset[str]:
    return taken(line.ask("ACL", "GETUSER", USER))


def _is_told(line: Line, port: str) -> bool:
    """Whether it is told passwords at all."""
    if port == CLIENT:
        return True
    release = information(line.ask("INFO", "server"))
    return int(release.get("redis_version", "0").partition(".")[0] or 0) >= _TOLD
