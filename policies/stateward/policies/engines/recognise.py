"""Which engine a container runs, and which version: by its command, its image and, weaker, its labels.

A command outranks the image: an image of Kafka whose command is `zookeeper-server-start.sh` runs ZooKeeper. Whatever
JSON is given, nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, Literal

from stateward.policies import data, images, version
from stateward.policies.engines.profile import Profile, parse_profile
from stateward.policies.structs import dataclass
from stateward.policies.version import Version

_FOLDER: Final = "engines/data"
_HEADS: Final[dict[str, tuple[str, Mapping[str, Any]]]] = {
    head["engine"]: (file, head) for file, head in data.parts(_FOLDER, ("engine", "title", "images", "commands"))
}
"""By the engine's name: its file, and what it is recognised by."""


class _Profiles(Mapping[str, Profile]):
    """Reads a profile when it is first asked for: most runs meet few engines."""

    def __init__(self) -> None:
        self._read: dict[str, Profile] = {}

    def __getitem__(self, name: str) -> Profile:
        found = self._read.get(name)
        if found is None:
            file, _ = _HEADS[name]
            found = self._read[name] = parse_profile(file, data.file(f"{_FOLDER}/{file}"))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_HEADS)

    def __len__(self) -> int:
        return len(_HEADS)


PROFILES: Final[Mapping[str, Profile]] = _Profiles()
"""All engine profiles, by the engine's name."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """An engine that was recognised."""

    profile: Profile
    version: Version | None
    state: Literal["known", "opaque", "unset"]
    """Whether the version is known, written but unreadable (a digest, a word), or not written (`latest`)."""
    text: str
    """What is written: the tag, the digest, "" for nothing."""
    strong: bool
    """Whether image or command say so; labels alone are weak evidence."""


_LONGEST_REFERENCE: Final = 1024
_LONGEST_COMMAND: Final = 16_384
_FLOATING: Final = re.compile(
    r"(latest|stable|lts|innovation|current|rolling|mainline|edge|nightly|dev|main|master|"
    r"alpine|management|trixie|bookworm|bullseye|buster|noble|jammy|focal)([-._].*)?"
)
_DATE: Final = re.compile(r"(?:20)?\d\d(?P<sep>[-_])(?:0[1-9]|1[0-2])(?P=sep)\d\d(?!\d)|20\d\d(?:0[1-9]|1[0-2])\d\d(?!\d)")
"""A day at the head of a tag (18-11-26_9.4): when the image was built, no version of what is in it."""
_SIDECAR: Final = re.compile(
    r"(?:^|.*[-_])(?:exporter|metrics|backups?|restore|proxy|pooler|pgbouncer|haproxy|agent|monitor|pmm|logs?|"
    r"logcollector|init|sidecar|reloader|tunnel|client|console|ui|operator)(?:[-_].*|$)"
)
_SENTINEL: Final = re.compile(r"(?:^|.*[-_])sentinel(?:[-_].*|$)")
_TEMPORARY: Final = ("emptyDir", "configMap", "secret", "projected", "downwardAPI")

# --- images ------------------------------------------------------------------------------------------------------


@cache
def _compiled_names() -> list[tuple[re.Pattern[str], str]]:
    heads = ((engine, head.get("images")) for engine, (_, head) in _HEADS.items())
    return [(re.compile("|".join(f"(?:{image})" for image in images)), engine) for engine, images in heads if images]


@cache
def _compiled_tag(engine: str) -> re.Pattern[str] | None:
    tag = PROFILES[engine].tag
    return re.compile(tag, re.VERBOSE) if tag else None


def _profile_of_name(name: str) -> Profile | None:
    for pattern, engine in _compiled_names():
        if pattern.fullmatch(name):
            return PROFILES[engine]
    return None


def recognise_image(reference: str) -> Recognised | None:
    """The engine of an image by the last part of its repository, with the version of its tag; None where it is none."""
    return _recognise_image(reference) if len(reference) <= _LONGEST_REFERENCE else None


@lru_cache(maxsize=4096)
def _recognise_image(reference: str) -> Recognised | None:
    image = images.parse(reference.strip())
    profile = _profile_of_name(image.name)
    if profile is None:
        return None
    found, state, text = _read_version(profile, image)
    return Recognised(profile, found, state, text, strong=True)


def _read_version(profile: Profile, image: images.Image) -> tuple[Version | None, Literal["known", "opaque", "unset"], str]:
    if not image.tag and image.digest:
        return None, "opaque", image.digest
    pattern = _compiled_tag(profile.name)
    match = pattern.search(f"{image.repository}:{image.tag}") if pattern is not None else None
    written = image.tag if match is None else next((group for group in match.groups() if group is not None), "")
    found = version.parse(written) if not _DATE.match(written) else None
    if found is not None:
        return found, "known", image.tag
    if not image.tag or (_FLOATING.fullmatch(image.tag) and not image.digest):
        return None, "unset", image.tag
    return None, "opaque", image.tag


# --- commands ----------------------------------------------------------------------------------------------------


def _compiled_programs() -> dict[str, tuple[str, ...]]:
    """Program → the engines it may mean; first the one whose list has it earliest (`mysqld`: MySQL, then MariaDB)."""
    owners: dict[str, list[tuple[int, str]]] = {}
    for engine, (_, head) in _HEADS.items():
        for place, program in enumerate(head.get("commands") or ()):
            owners.setdefault(program, []).append((place, engine))
    return {
        program: tuple(engine for _, engine in sorted(found, key=lambda entry: entry[0]))
        for program, found in owners.items()
    }


_PROGRAMS: Final = _compiled_programs()
_SHELLS: Final = frozenset({"sh", "bash", "ash", "dash", "zsh", "busybox"})
_WRAPPERS: Final = {
    "tini": 0, "dumb-init": 0, "catatonit": 0, "env": 0, "exec": 0, "nohup": 0, "nice": 0, "ionice": 0, "numactl": 0,
    "setpriv": 0, "setsid": 0, "stdbuf": 0, "sudo": 0, "runuser": 0, "time": 0, "command": 0, "builtin": 0, "eval": 0,
    "gosu": 1, "su-exec": 1, "chpst": 0, "timeout": 1, "chroot": 1, "docker-entrypoint.sh": 0, "entrypoint.sh": 0,
    "if": 0, "then": 0, "else": 0, "elif": 0, "do": 0, "while": 0, "until": 0, "!": 0, "{": 0, "}": 0, "--": 0,
}  # fmt: skip
"""Programs and words of the shell that run the program after them → how many words stand before it."""
_TAKES_VALUE: Final = frozenset({"-u", "-g", "-n", "-c", "--user", "--group", "--adjustment"})
_CLIENTS: Final = re.compile(
    r"pg_dump|pg_dumpall|pg_restore|pg_isready|pg_basebackup|pg_receivewal|psql|pgbackrest|wal-g|barman|pgbouncer|"
    r"mysql|mysqldump|mysqladmin|mysqlsh|mysqlrouter|mariadb|mariadb-dump|mariadb-backup|mariadb-admin|xtrabackup|"
    r"mongo|mongos|mongosh|mongodump|mongorestore|nodetool|cqlsh|sstableloader|redis-cli|valkey-cli|"
    r"kafka-(?!server-start|run)[\w-]+(?:\.sh)?|connect-(?:distributed|standalone|mirror-maker)(?:\.sh)?|"
    r"kafka_(?:connect|mirror)\w*\.sh|rabbitmqctl|rabbitmqadmin|rabbitmq-(?:diagnostics|queues|upgrade)|mc|"
    r"etcdctl|etcdutl|zkCli\.sh|nats|curl|wget|kubectl|aws|gsutil|s3cmd|rclone|restic"
)
"""Programs beside an engine: a container that runs nothing else is a job with the engine's image, no member."""
_NEUTRAL: Final = frozenset(
    {
        "sleep", "echo", "cat", "cp", "mv", "rm", "ln", "mkdir", "chmod", "chown", "set", "cd", "export", "unset",
        "test", "[", "[[", "true", "false", "for", "done", "fi", "case", "esac", "exit", "trap", "wait", "date",
        "printf", "find", "grep", "sed", "awk", "tr", "cut", "head", "tail", "hostname", "source", ".", "read",
        "break", "continue", "tar", "gzip", "touch", "ls", "return", "local", "shift", "umask", "ulimit", ":",
        "crond", "cron", "xargs", "tee", "in",
    }
)  # fmt: skip
_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<end>[\n;&|()`]+)|"""
    r"""(?P<word>(?:[^\s;&|()`"'\\]|\\.|"(?:[^"\\]|\\.)*+"?|'[^']*+'?)++)""",
    re.DOTALL,
)
_PROGRAM: Final = re.compile(r"[A-Za-z_./$\[:]")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")


def _basename(word: str) -> str:
    return word.rstrip("/").rpartition("/")[2]


def _commands_of(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell script, as words without quotes. No shell, but good enough to find programs."""
    words: list[str] = []
    for token in _TOKEN.finditer(script.replace("\\\n", " ")):
        if token.lastgroup == "word":
            words.append(token.group().strip("\"'"))
        elif token.lastgroup == "end" and words:
            yield words
            words = []
    if words:
        yield words


def _programs(words: Sequence[str], depth: int = 0) -> list[str]:
    """The programs that a command line starts, their paths cut off; scripts given with `-c` are looked into."""
    index = 0
    while index < len(words):
        word = words[index]
        if _ASSIGNMENT.match(word):
            index += 1
            continue
        name = _basename(word)
        if name in _SHELLS:
            return _programs_of_shell(words[index + 1 :], depth)
        skipped = _WRAPPERS.get(name)
        if skipped is None:
            return [name] if _PROGRAM.match(word) else []
        index += 1
        while index < len(words) and words[index].startswith("-") and words[index] != "--":
            index += 2 if words[index] in _TAKES_VALUE else 1
        index += skipped
    return []


def _programs_of_shell(words: Sequence[str], depth: int) -> list[str]:
    script = False
    for word in words:
        if word.startswith(("-", "+")):
            script = script or (not word.startswith("--") and "c" in word)
            continue
        if not script:
            return [_basename(word)]
        if depth > 1:
            return []
        return [program for command in _commands_of(word) for program in _programs(command, depth + 1)]
    return []


def _texts(value: object) -> list[str]:
    return [word for word in value if type(word) is str] if type(value) is list else []


_NO_ENGINE: Final = "no engine"


@lru_cache(maxsize=2048)
def _by_command(line: tuple[str, ...]) -> tuple[Profile, ...] | str | None:
    """The engines that a command line may mean; _NO_ENGINE if it only runs other known programs; None: no evidence."""
    return _by_command_uncached(line)


def _by_command_uncached(line: tuple[str, ...]) -> tuple[Profile, ...] | str | None:
    programs = _programs(line)
    for program in programs:
        found = _PROGRAMS.get(program)
        if found is not None:
            return tuple(PROFILES[engine] for engine in found)
    telling = [program for program in programs if program not in _NEUTRAL]
    if telling and all(_CLIENTS.fullmatch(program) for program in telling):
        return _NO_ENGINE
    return None


def recognise_container(container: Mapping[str, Any]) -> Recognised | None:
    """The engine that a container runs: by its command, then by its image; None where neither names one."""
    if type(container) is not dict:
        return None
    reference = container.get("image")
    by_image = recognise_image(reference) if type(reference) is str else None
    command, args = container.get("command"), container.get("args")
    if not command and not (args and type(args) is list and type(args[0]) is str and args[0][:1] != "-"):
        return by_image
    first = command[0] if command and type(command) is list else None
    if by_image is not None and type(first) is str and _basename(first) in by_image.profile.commands:
        return by_image  # the usual case, and the fast one: the image's own engine is started by its own name
    line = (*_texts(command), *_texts(args))
    size = sum(map(len, line))
    if not line or size > _LONGEST_COMMAND:
        return by_image
    if not command and by_image is None and type(reference) is str and _is_sidecar(reference):
        return None
    found = _by_command(line) if size <= 2048 else _by_command_uncached(line)
    if found is None:
        return by_image
    if isinstance(found, str):
        # Arguments without a command go to the image's own entrypoint, they may be words of it.
        return None if command else by_image
    if by_image is not None and by_image.profile in found:
        return by_image
    image = images.parse(reference) if type(reference) is str and len(reference) <= _LONGEST_REFERENCE else None
    return Recognised(found[0], None, "opaque", (image.tag or image.digest) if image else "", strong=True)


# --- pods --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _sidecar_name(name: str) -> bool:
    return _SIDECAR.fullmatch(name) is not None


def _is_sidecar(reference: str) -> bool:
    return len(reference) <= _LONGEST_REFERENCE and _sidecar_name(images.parse(reference).name)


def recognise_pod(spec: Mapping[str, Any]) -> tuple[int, Recognised] | None:
    """The engine's container in a pod's specification: its index and what it is. Init containers do not count.

    Of several the one wins that mounts a claim, then one that mounts anything, then the first; Sentinels come last and
    containers that are named as sidecars (exporters, backups, proxies) never win.
    """
    containers = spec.get("containers") if type(spec) is dict else None
    if type(containers) is not list:
        return None
    engines: list[tuple[int, Recognised]] = []
    alone = len(containers) == 1
    for index, container in enumerate(containers):
        found = recognise_container(container)
        if found is None:
            continue
        name = container.get("name")
        if alone or not (type(name) is str and len(name) <= _LONGEST_REFERENCE and _sidecar_name(name)):
            engines.append((index, found))
    if len(engines) < 2:
        return engines[0] if engines else None

    def rank(engine: tuple[int, Recognised]) -> tuple[int, int]:
        container = containers[engine[0]]
        return 0 if _is_sentinel(container.get("name"), container.get("image")) else 1, _mounts(container, spec)

    return max(engines, key=rank)


def container_of(spec: Mapping[str, Any], profile: Profile, supposed: bool = False) -> tuple[int, Recognised] | None:
    """The container that runs an engine which is known to run in this pod, and the version of its image's tag.

    The one that is recognised as it; else the one that mounts a claim, then one that mounts anything, then the first.
    Where the engine is only supposed a tag that fits none of its releases is no version of it: its maker counts otherwise.
    """
    found = recognise_pod(spec)
    if found is not None and found[1].profile is profile:
        return found
    containers = spec.get("containers") if type(spec) is dict else None
    best: tuple[int, Mapping[str, Any]] | None = None
    best_rank = (-1, -1)
    for index, container in enumerate(containers if type(containers) is list else ()):
        if type(container) is not dict:
            continue
        name = container.get("name")
        aside = type(name) is str and len(name) <= _LONGEST_REFERENCE and _sidecar_name(name)
        rank = (0 if aside else 1, _mounts(container, spec))
        if rank > best_rank:
            best, best_rank = (index, container), rank
    if best is None:
        return None
    reference = best[1].get("image")
    if type(reference) is not str or len(reference) > _LONGEST_REFERENCE:
        return best[0], Recognised(profile, None, "unset", "", strong=True)
    image = images.parse(reference.strip())
    read = Recognised(profile, *_read_version(profile, image), strong=True)
    if supposed and read.version is not None and not _is_series_of(profile, read.version):
        read = Recognised(profile, None, "opaque", read.text, strong=True)
    return best[0], read


def _is_series_of(profile: Profile, read: Version) -> bool:
    """Whether a release of the engine begins with the same number."""
    return not profile.releases or any(release.parts[:1] == read.parts[:1] for release in profile.releases)


def _is_sentinel(name: object, reference: object) -> bool:
    for text in (name, _basename(reference).partition(":")[0] if type(reference) is str else None):
        if type(text) is str and len(text) <= _LONGEST_REFERENCE and _SENTINEL.fullmatch(text):
            return True
    return False


def _mounts(container: Mapping[str, Any], spec: Mapping[str, Any]) -> int:
    """2 where a claim is mounted (a volume that the pod does not define comes from a claim template), 1 for others."""
    mounts = container.get("volumeMounts")
    if type(mounts) is not list or not mounts:
        return 0
    volumes = spec.get("volumes")
    temporary = {
        volume["name"]
        for volume in (volumes if type(volumes) is list else ())
        if type(volume) is dict and type(volume.get("name")) is str and any(kind in volume for kind in _TEMPORARY)
    }
    for mount in mounts:
        if type(mount) is dict and type(mount.get("name")) is str and mount["name"] not in temporary:
            return 2
    return 1


# --- labels ------------------------------------------------------------------------------------------------------

_LABELS: Final = ("app.kubernetes.io/name", "app")
_TITLES: Final = {
    text: engine for engine, (_, head) in _HEADS.items() for text in (engine, head["title"].lower().replace(" ", "-"))
}


def by_label(template: Mapping[str, Any]) -> Recognised | None:
    """The engine that the labels of a pod template (or of any object) name: weak evidence, without a version."""
    metadata = template.get("metadata") if type(template) is dict else None
    labels = metadata.get("labels") if type(metadata) is dict else None
    if type(labels) is not dict:
        return None
    for label in _LABELS:
        value = labels.get(label)
        if type(value) is not str or len(value) > 63:
            continue
        engine = _TITLES.get(value.lower())
        profile = PROFILES[engine] if engine is not None else _profile_of_name(value.lower())
        if profile is not None:
            return Recognised(profile, None, "opaque", "", strong=False)
    return None


_PORTS: Final = {
    2181: "zookeeper", 2379: "etcd", 4222: "nats", 5432: "postgresql", 5672: "rabbitmq", 9042: "cassandra", 9092: "kafka",
    26257: "cockroachdb", 27017: "mongodb",
}  # fmt: skip
"""Ports that one engine is known by (IANA's registry, the engines' own documents). Those that several share (3306, 6379,
9200) tell nothing."""


def by_port(spec: Mapping[str, Any]) -> Recognised | None:
    """The engine that the port of a pod's container is known by: weak evidence. Sidecars and proxies do not count."""
    containers = spec.get("containers") if type(spec) is dict else None
    for container in containers if type(containers) is list else ():
        if type(container) is not dict or _aside(container):
            continue
        ports = container.get("ports")
        for row in ports if type(ports) is list else ():
            port = row.get("containerPort") if type(row) is dict else None
            engine = _PORTS.get(port) if type(port) is int else None
            if engine is not None and engine in PROFILES:
                return Recognised(PROFILES[engine], None, "opaque", "", strong=False)
    return None


def _aside(container: Mapping[str, Any]) -> bool:
    name, reference = container.get("name"), container.get("image")
    named = type(name) is str and len(name) <= _LONGEST_REFERENCE and _sidecar_name(name)
    return named or (type(reference) is str and _is_sidecar(reference))


def recognise_weakly(template: Mapping[str, Any]) -> Recognised | None:
    """The engine that a pod template's labels or its containers' ports make likely."""
    spec = template.get("spec") if type(template) is dict else None
    if type(spec) is dict and _runs_something_else(spec):
        return None
    return by_label(template) or (by_port(spec) if type(spec) is dict else None)


def _runs_something_else(spec: Mapping[str, Any]) -> bool:
    """Whether the only container is by its name or its image a proxy, an exporter or the like of an engine."""
    containers = spec.get("containers")
    rows = [one for one in containers if type(one) is dict] if type(containers) is list else []
    return bool(rows) and all(_aside(one) for one in rows)
