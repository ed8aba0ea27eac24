"""pgBackRest as members and Jobs run it: beside PostgreSQL, and in the pods that take and restore backups.

It stands alone in the engine's image, with Python 3.9 or later and nothing else: members have it as a file, Jobs as an
argument. What opens the repository is read from files and given to pgBackRest by its environment, never as an argument
(https://pgbackrest.org/configuration.html). Whatever ends a command is its last line.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEYS = Path("/etc/stateward-repository")
"""Where the Secrets that open the repository are mounted."""
SECRETS = {
    "PGBACKREST_REPO1_S3_KEY": "accessKeyId",
    "PGBACKREST_REPO1_S3_KEY_SECRET": "secretAccessKey",
    "PGBACKREST_REPO1_CIPHER_PASS": "password",
}
MEMBER = Path("/etc/stateward/pgbackrest.conf")
SERVER = Path("/etc/stateward/pgbackrest-server.conf")
WORK = Path("/stateward/backup")
REPORT = Path("/dev/termination-log")
MARK = "stateward"
"""The annotation of a backup: whose it is."""
LEFT = "left"
"""The same of one that is wanted no more."""
LEVELS = ("--log-level-console=off", "--log-level-file=off", "--log-level-stderr=warn")
HOPELESS = 13
"""The exit code that no further try helps against."""
ROUND = 5.0
"""Seconds between two looks of the one beside PostgreSQL."""
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_ERROR = re.compile(r"ERROR:\s*(\[\d+\]:.*)")
_LONGEST = 600
_UTC = timezone.utc  # noqa: UP017 - Python 3.9 knows no other name


class FailedError(Exception):
    """Why something cannot be done, in one line."""


class Backrest:
    """pgBackRest with one configuration, which has one stanza."""

    def __init__(self, config: Path) -> None:
        self.config = config
        found = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        found.read_string(config.read_text(encoding="utf-8"))
        self.stanza = next(name for name in found.sections() if not name.startswith("global"))
        self.values = dict(found[self.stanza])
        self.spool = Path(found["global"].get("spool-path", "/tmp")) / "archive" / self.stanza / "out"  # noqa: S108

    def command(self, name: str, *more: str) -> list[str]:
        """A command line."""
        return ["pgbackrest", f"--config={self.config}", f"--stanza={self.stanza}", *LEVELS, *more, name]

    def run(self, name: str, *more: str) -> str:
        """What it prints. Raises FailedError with its own word."""
        return told(self.command(name, *more), opened())

    def info(self) -> dict[str, Any]:
        """What is in the repository of this stanza; empty where there is none."""
        several = json.loads(self.run("info", "--output=json"))
        return next((dict(one) for one in several if one.get("name") == self.stanza), {})

    def backups(self) -> list[dict[str, Any]]:
        """Those that are whole, the oldest first."""
        found = [one for one in self.info().get("backup", []) if not one.get("error")]
        return sorted(found, key=lambda one: int(one["timestamp"]["stop"]))


def opened() -> dict[str, str]:
    """The environment with what opens the repository."""
    found = dict(os.environ)
    for name, file in SECRETS.items():
        try:
            found[name] = (KEYS / file).read_text(encoding="utf-8").strip("\n")
        except OSError:
            raise FailedError(f"the Secret with the key {file} is not there: make it") from None
    return found


def told(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a program prints. Raises FailedError."""
    ended = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)  # noqa: S603
    sys.stderr.write(ended.stderr)
    if ended.returncode:
        raise FailedError(reason(ended.stderr) or f"{command[0]} ended with {ended.returncode}")
    return ended.stdout


def reason(text: str) -> str:
    """The first error of what pgBackRest has logged; its hints come after it."""
    found = [match[1].strip() for line in text.splitlines() if (match := _ERROR.search(line))]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (found[0] if found else lines[-1] if lines else "")[:_LONGEST]


# --- beside PostgreSQL --------------------------------------------------------------------------------------------


def push(segment: str) -> None:
    """`archive_command`: gives a segment to the archive, or ends with why not."""
    backrest = Backrest(MEMBER)
    command = backrest.command("archive-push", segment)
    os.execvpe(command[0], [*command[:-2], command[-1], command[-2]], opened())  # noqa: S606


class Watch:
    """What a member says of its log, and the stanza, which the member that leads makes where there is none."""

    def __init__(self, backrest: Backrest) -> None:
        self.backrest = backrest
        self.data = Path(backrest.values["pg1-path"])
        self.made = False
        self.reason = ""

    def leads(self) -> bool:
        """Whether PostgreSQL runs here, and follows nobody."""
        return (self.data / "postmaster.pid").exists() and not (self.data / "standby.signal").exists()

    def step(self) -> None:
        """Makes the stanza once; where another major or other data is there, it takes those up."""
        if not self.leads():
            self.made, self.reason = False, ""
            return
        if self.made and not self.said().get("reason"):
            return
        try:
            try:
                self.backrest.run("stanza-create")
            except FailedError as error:
                if not str(error).startswith("[028]"):  # BackupMismatchError, FileInvalidError: see `upgrade`
                    raise
                self.backrest.run("stanza-upgrade")
            self.made, self.reason = True, ""
        except FailedError as error:
            self.made, self.reason = False, str(error)

    def said(self) -> dict[str, Any]:
        """How far the archive is behind: segments that are complete and not there yet, and since when."""
        waiting, oldest = 0, 0.0
        try:
            with os.scandir(self.data / "pg_wal" / "archive_status") as several:
                for one in several:
                    if one.name.endswith(".ready"):
                        waiting += 1
                        since = one.stat().st_mtime
                        oldest = min(oldest, since) if oldest else since
        except OSError:
            return {"leads": False}
        space = os.statvfs(self.data)
        return {
            "leads": self.leads(),
            "waiting": waiting,
            "behind": max(0, int(time.time() - oldest)) if waiting else 0,
            "free": space.f_bavail * space.f_frsize,
            "size": space.f_blocks * space.f_frsize,
            "reason": self.reason or (self._refused() if waiting else ""),
        }

    def _refused(self) -> str:
        """What pgBackRest says of the segment that it could not archive: it keeps that in its spool."""
        try:
            several = sorted(self.backrest.spool.glob("*.error"))
            lines = several[0].read_text(encoding="utf-8", errors="replace").splitlines() if several else []
        except OSError:
            return ""
        text = " ".join(line.strip() for line in lines[1:2])
        return (f"[{int(lines[0]):03}]: {text}" if lines and lines[0].isdecimal() else text)[:_LONGEST]


def watch(port: int) -> None:
    """Runs as long as the member does: pgBackRest's server, by which Jobs read the data, and word of the archive."""
    seen, stop = Watch(Backrest(MEMBER)), threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(seen.said()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with subprocess.Popen(["pgbackrest", f"--config={SERVER}", *LEVELS, "server"]) as program:  # noqa: S603, S607
        # The first process of a container ends by a signal only where it says so.
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        while program.poll() is None and not stop.is_set():
            seen.step()
            stop.wait(ROUND)
        program.terminate()
    if not stop.is_set():
        raise FailedError(f"pgbackrest server ended with {program.returncode}")


# --- in Jobs ------------------------------------------------------------------------------------------------------


def configured() -> Backrest:
    """By the configuration that the Job was made with."""
    config = WORK / "pgbackrest.conf"
    config.write_text(os.environ["CONFIG"], encoding="utf-8")
    return Backrest(config)


def backup() -> None:
    """Takes a full backup, unless an earlier try has; has it read back; says what it is."""
    backrest, mark = configured(), os.environ["BACKUP"]

    def ours() -> list[dict[str, Any]]:
        return [one for one in backrest.backups() if (one.get("annotation") or {}).get(MARK) == mark]

    if not ours():
        full = ("--type=full", "--start-fast", "--no-expire-auto", f"--annotation={MARK}={mark}")
        try:
            # The member that leads has other things to do.
            backrest.run("backup", *full, *(["--backup-standby"] if os.environ.get("STANDBY") else []))
        except FailedError:
            if not os.environ.get("STANDBY"):
                raise
            backrest.run("backup", *full)
    found = next(iter(ours()), None)
    if found is None:
        raise FailedError("pgBackRest says that it has taken a backup, and has none")
    swept(backrest)
    verified(backrest, str(found["label"]))
    said = described(backrest, found)
    dump = Path(os.environ["DUMP"])
    dump.mkdir(exist_ok=True)
    text = json.dumps(said)
    (dump / "backup.json").write_text(text, encoding="utf-8")
    REPORT.write_text(text, encoding="utf-8")


def verified(backrest: Backrest, label: str) -> None:
    """Has every file of a backup and of the log read back and compared with its checksum. Raises FailedError."""
    # Without the name of one it would read that of its package, which may be somebody else's.
    environment = {**os.environ, "PGBACKREST_CONFIG": str(backrest.config)}
    known = "--set" in told(["pgbackrest", "help", "verify"], environment)
    said = backrest.run("verify", "--output=text", "--verbose", *([f"--set={label}"] if known else []))
    sys.stderr.write(said)
    if "status: ok" not in said:
        raise FailedError(f"pgbackrest verify: {label}: {' '.join(said.split())}"[:_LONGEST])


def described(backrest: Backrest, one: Mapping[str, Any]) -> dict[str, Any]:
    """A backup, as its Job reports it."""
    return {
        "stanza": backrest.stanza,
        "label": one["label"],
        "started": one["timestamp"]["start"],
        "stopped": one["timestamp"]["stop"],
        "from": one["lsn"]["start"],
        "to": one["lsn"]["stop"],
        "size": one["info"]["repository"]["delta"],
    }


def forget() -> None:
    """Deletes the backups of one mark, and the log that only they needed."""
    backrest, mark = configured(), os.environ["BACKUP"]
    several = backrest.info().get("backup", [])
    ours = [str(one["label"]) for one in several if (one.get("annotation") or {}).get(MARK) == mark]
    if ours and len(ours) == len(several) and os.environ.get("GONE"):
        # Nobody writes there any more, and nothing can be restored from a log alone.
        backrest.run("stop")
        backrest.run("stanza-delete", "--force")
        return
    for label in ours:
        if len(several) > 1:
            backrest.run("expire", f"--set={label}")
            several = several[1:]
        else:
            # pgBackRest lets go of the last one only once there is another: `backup` sees to it.
            backrest.run("annotate", f"--set={label}", f"--annotation={MARK}={LEFT}")


def swept(backrest: Backrest) -> None:
    """Deletes what `forget` had to leave."""
    several = backrest.backups()
    for one in several[:-1]:
        if (one.get("annotation") or {}).get(MARK) == LEFT:
            backrest.run("expire", f"--set={one['label']}")


def restore() -> None:
    """A backup onto an empty volume, the log replayed up to the time, or to its end; PostgreSQL is left stopped.

    Nothing of where it came from is left in it: what runs on it later archives to a place of its own, or nowhere.
    """
    backrest, data = configured(), Path(os.environ["PGDATA"])
    told_of = json.loads((Path(os.environ["DUMP"]) / "backup.json").read_text(encoding="utf-8"))
    until, pinned = os.environ.get("UNTIL", ""), bool(os.environ.get("PINNED"))
    several = backrest.backups()
    chosen: Mapping[str, Any] | None = next((one for one in several if one["label"] == told_of["label"]), None)
    if until:
        at = datetime.fromisoformat(until.replace("Z", "+00:00"))
        chosen = reaching(at, several, chosen if pinned else None)
    if chosen is None:
        raise FailedError(f"the backup {told_of['label']} is not in the repository any more")
    emptied(data.parent)
    data.mkdir(mode=0o700)
    target = ["--type=time", f"--target={at:%Y-%m-%d %H:%M:%S.%f+00}", "--target-action=promote"] if until else []
    backrest.run("restore", f"--set={chosen['label']}", "--archive-mode=off", "--target-timeline=latest", *target)
    said = recovered(data, until)
    reached = until or archived(backrest)
    REPORT.write_text(json.dumps({**described(backrest, chosen), **said, "recovered": reached}), encoding="utf-8")


def archived(backrest: Backrest) -> str:
    """When the last segment came into the archive; "" where that is not known."""
    several = [one for one in backrest.info().get("archive", []) if one.get("max")]
    if not several:
        return ""
    last = several[-1]
    folder = f"archive/{backrest.stanza}/{last['id']}/{last['max'][:16]}"
    rows = json.loads(
        told(["pgbackrest", f"--config={backrest.config}", *LEVELS, "--output=json", "repo-ls", folder], opened())
    )
    times = [one["time"] for one in rows.values() if type(one.get("time")) is int]
    return datetime.fromtimestamp(max(times), _UTC).isoformat() if times else ""


def reaching(at: datetime, several: Sequence[Mapping[str, Any]], named: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The newest backup that was over by that time. Raises FailedError, which names the field."""
    shown = f"pointInTime: {at.isoformat().replace('+00:00', 'Z')}"
    # In whole seconds: it was over within the one that is told.
    ended = {str(one["label"]): datetime.fromtimestamp(one["timestamp"]["stop"] + 1, _UTC) for one in several}
    if named is not None:
        over = ended[str(named["label"])]
        if at < over:
            raise FailedError(
                f"{shown}: the backup was over at {over:%Y-%m-%dT%H:%M:%SZ}; name an earlier one, or a later time"
            )
        return named
    early = [one for one in several if ended[str(one["label"])] <= at]
    if not early:
        first = min(ended.values(), default=None)
        when = f"the first was over at {first:%Y-%m-%dT%H:%M:%SZ}" if first is not None else "there is none"
        raise FailedError(f"{shown}: no backup is from before that; {when}")
    return early[-1]


def emptied(folder: Path) -> None:
    """Of what an earlier try has left."""
    for one in folder.iterdir():
        if one.name != "lost+found":
            told(["rm", "-rf", str(one)], os.environ)


def recovered(data: Path, until: str) -> dict[str, Any]:
    """Has PostgreSQL replay the log, and end. Nobody can reach it meanwhile but this."""
    open_ = WORK / "pg_hba.conf"
    open_.write_text("local all all trust\n", encoding="utf-8")
    settings = {
        "listen_addresses": "", "unix_socket_directories": str(WORK), "hba_file": str(open_), "archive_mode": "off",
        "ssl": "off", "hot_standby": "off", "logging_collector": "off", "log_destination": "stderr",
        "synchronous_standby_names": "", "shared_buffers": "64MB", "primary_conninfo": "", "log_line_prefix": "",
    }  # fmt: skip
    log, binaries = WORK / "postgresql.log", Path(os.environ["BINARIES"])
    given = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
    start = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-t", "40000", "-l", str(log), "-o", given, "start"]
    try:
        told(start, opened())
        row = waited(data, lambda: asked(binaries, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))
    except FailedError as error:
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        sys.stderr.write(text)
        raise FailedError(why(text, until) or str(error)) from None
    finally:
        if (data / "postmaster.pid").exists():
            told([str(binaries / "pg_ctl"), "-D", str(data), "-w", "-t", "3600", "-m", "fast", "stop"], os.environ)
    cleaned(data)
    text = log.read_text(encoding="utf-8", errors="replace")
    times = re.findall(r"last completed transaction was at log time (.+)", text)
    return {"position": row[0], "last": times[-1].strip() if times else ""}


def waited(data: Path, ask: Callable[[], list[str]]) -> list[str]:
    """The answer once the log is replayed: nobody is let in before. Raises FailedError where PostgreSQL ends meanwhile."""
    while True:
        try:
            return ask()
        except FailedError:
            if not (data / "postmaster.pid").exists():
                raise
        time.sleep(1)


def asked(binaries: Path, statement: str) -> list[str]:
    """The first row of an answer."""
    command = [
        str(binaries / "psql"),
        "-X",
        "-A",
        "-t",
        "-h",
        str(WORK),
        "-U",
        "postgres",
        "-d",
        "postgres",
        "-c",
        statement,
    ]
    return told(command, os.environ).strip().split("|")


def why(text: str, until: str) -> str:
    """What PostgreSQL says of why it has ended."""
    if "recovery ended before configured recovery target was reached" in text:
        times = re.findall(r"last completed transaction was at log time (.+)", text)
        last = f"; its last transaction is of {times[-1].strip()}" if times else ""
        return f"pointInTime: {until}: the archive ends before that{last}; leave it out for the archive's end"
    found = re.findall(r"(?:FATAL|PANIC):\s*(.+)", text)
    return str(found[-1]) if found else ""


def cleaned(data: Path) -> None:
    """Takes out what tells of where the data came from, and of how it was recovered; marks that it is new."""
    auto = data / "postgresql.auto.conf"
    lines = auto.read_text(encoding="utf-8").splitlines() if auto.exists() else []
    gone = re.compile(r"\s*(#.*pgBackRest|restore_command|recovery_target|archive_|primary_conninfo|primary_slot_name)")
    auto.write_text("".join(f"{line}\n" for line in lines if not gone.match(line)), encoding="utf-8")
    for name in ("recovery.signal", "standby.signal", "patroni.dynamic.json"):
        (data / name).unlink(missing_ok=True)
    if os.environ.get("SHARED"):
        (data / "patroni.dynamic.json").write_text(os.environ["SHARED"], encoding="utf-8")
    if os.environ.get("WAL"):
        # The log has a volume of its own.
        shutil.move(data / "pg_wal", os.environ["WAL"])
        (data / "pg_wal").symlink_to(os.environ["WAL"])
    (data.parent / "restored").write_text("", encoding="utf-8")
    os.sync()


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 where it is done."""
    name, *rest = arguments
    try:
        if name == "push":
            push(*rest)
        elif name == "watch":
            watch(int(rest[0]))
        else:
            {"backup": backup, "restore": restore, "forget": forget}[name]()
    except FailedError as error:
        print(str(error), file=sys.stderr)
        return HOPELESS if str(error).startswith("pointInTime:") else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
