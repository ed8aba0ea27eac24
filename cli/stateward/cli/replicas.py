"""The doors that can be asked: every replica of an installation, through the API server, or one by its URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import click
import orjson

from stateward.cli import inputs

if TYPE_CHECKING:
    from stateward.kube.client import Cluster

SELECTOR: Final = "app.kubernetes.io/name=stateward,app.kubernetes.io/component=door"
PORT: Final = "https"
"""The name of the port in the pods."""
READER: Final = "stateward-reader"
"""The service account, in the namespace of the installation, whose token is asked for: it may read and nothing else."""
HEADER: Final = "X-Stateward-Authorization"
"""The API server's proxy takes `Authorization` away."""
_USUAL_PORT: Final = 8443
_SECONDS: Final = 10.0
_TOKEN_SECONDS: Final = 600  # the shortest that an API server gives
_LONGEST: Final = 32 << 20

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom to ask, as the options say it."""

    kubeconfig: str | None
    context: str | None
    installed_in: str
    url: str | None
    token: str | None
    ca: str | None


@dataclass(slots=True)
class Heard:
    """What one door said, or why it said nothing."""

    name: str
    answer: dict[str, Any] | None = None
    problem: str = ""
    pod: Mapping[str, Any] = field(default_factory=dict)


def options(command: Command) -> Command:
    """`--kubeconfig`, `--context`, `--installed-in`; `--url`, `--token`, `--ca`."""
    for option in (
        click.option("--ca", metavar="FILE", help="The authority that --url is trusted by; of a laptop's door without."),
        click.option("--token", envvar="STATEWARD_TOKEN", metavar="TOKEN", help="For --url; better in $STATEWARD_TOKEN."),
        click.option("--url", metavar="URL", help="Ask this door directly: https://127.0.0.1:8443."),
        click.option(
            "--installed-in", default="stateward", show_default=True, metavar="NAMESPACE", help="Where Stateward runs."
        ),
        click.option("--context", metavar="NAME", help="The context of the kubeconfig."),
        click.option("--kubeconfig", metavar="FILE", help="The cluster; as kubectl finds it without."),
    ):
        command = option(command)
    return command


@contextmanager
def connected(whom: Whom) -> Iterator[Cluster]:
    """The cluster, for as long as it is asked. What it refuses or does not answer ends the command."""
    try:
        import kubernetes  # noqa: F401,RUF100 - its use is deep inside
        import urllib3

        from stateward.kube.client import Cluster
        from stateward.kube.errors import ClusterError
    except ImportError as error:
        inputs.stop(f"{error.name} is missing; install it with: pip install 'stateward[serve]'")
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    cluster = None
    try:
        cluster = Cluster.connect(whom.kubeconfig, whom.context, connect_seconds=5.0, read_seconds=_SECONDS)
        yield cluster
    except ClusterError as error:
        inputs.stop(str(error))
    finally:
        if cluster is not None:
            cluster.close()


# --- one door by its URL -------------------------------------------------------------------------------------------


def ask_directly(whom: Whom, path: str, query: Mapping[str, Any] | None = None) -> Heard:
    """What the door at `--url` says."""
    url = whom.url or ""
    heard = Heard(url)
    try:
        status, body = _call(whom, f"{path}?{urlencode(query)}" if query else path)
    except (OSError, ValueError) as error:
        heard.problem = f"{url}: {error}; see whether it runs there, and --ca"
        return heard
    heard.answer, heard.problem = _read(url, status, body)
    return heard


def _call(whom: Whom, path: str) -> tuple[int, bytes]:
    """Status and body. Raises OSError and ValueError."""
    import http.client
    import ssl

    parts = urlsplit(whom.url or "")
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("no https URL")
    authority = whom.ca if whom.ca is not None else _laptops()
    connection = http.client.HTTPSConnection(
        parts.hostname, parts.port, timeout=_SECONDS, context=ssl.create_default_context(cafile=authority)
    )
    headers = {"Authorization": f"Bearer {whom.token}"} if whom.token else {}
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}{path}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(_LONGEST)
    except http.client.HTTPException as error:
        raise OSError(f"no answer that can be read ({type(error).__name__})") from None
    finally:
        connection.close()


def _laptops() -> str | None:
    """The authority that `stateward serve` makes for itself, where there is one."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        home = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    found = home / "stateward" / "certs" / "ca.crt"
    return str(found) if found.exists() else None


def _read(name: str, status: int, body: bytes) -> tuple[dict[str, Any] | None, str]:
    """(the answer, the problem) of which one is nothing."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    if status != 200 or type(content) is not dict:
        told = content.get("error") if type(content) is dict else None
        return None, f"{name}: {status} {told if isinstance(told, str) else 'with no explanation'}"
    return content, ""


# --- every replica of an installation ------------------------------------------------------------------------------


def pods(cluster: Cluster, whom: Whom) -> list[dict[str, Any]]:
    """The replicas of the installation. Raises ClusterError."""
    from stateward.kube.client import path_of

    found = cluster.get(path_of("api", "v1", "namespaces", whom.installed_in, "pods"), {"labelSelector": SELECTOR})
    items = found.get("items")
    return [item for item in items if type(item) is dict] if type(items) is list else []


def ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is ready, and stays."""
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def ask_all(
    cluster: Cluster, whom: Whom, replicas: Sequence[Mapping[str, Any]], path: str, query: Mapping[str, Any] | None = None
) -> list[Heard]:
    """What each replica says, asked at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    if not replicas:
        return []
    tokens = list(_tokens(cluster, whom))
    with ThreadPoolExecutor(min(8, len(replicas))) as threads:
        return list(threads.map(lambda pod: _ask(cluster, whom, pod, path, query, tokens), replicas))


def _port(pod: Mapping[str, Any]) -> int:
    """The port's number: the proxy to pods takes no names."""
    for container in (pod.get("spec") or {}).get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == PORT and type(port.get("containerPort")) is int:
                return int(port["containerPort"])
    return _USUAL_PORT


def _tokens(cluster: Cluster, whom: Whom) -> Iterator[str]:
    """What to show who we are by: a token that may read here and nowhere else, before one's own that may do more."""
    from stateward.kube.client import path_of
    from stateward.kube.errors import ClusterError

    if whom.token:
        yield whom.token
        return
    path = path_of("api", "v1", "namespaces", whom.installed_in, "serviceaccounts", READER, "token")
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": _TOKEN_SECONDS}}
    try:
        token = (cluster.call("POST", path, body=asked).get("status") or {}).get("token")
        if isinstance(token, str):
            yield token
    except ClusterError:
        pass  # no such account, or no right to ask for it
    own = cluster.bearer_token()
    if own:
        yield own


def _ask(
    cluster: Cluster,
    whom: Whom,
    pod: Mapping[str, Any],
    path: str,
    query: Mapping[str, Any] | None,
    tokens: Sequence[str],
) -> Heard:
    from stateward.kube.client import path_of
    from stateward.kube.errors import ClusterError

    name = str((pod.get("metadata") or {}).get("name"))
    heard = Heard(name, pod=pod)
    to = f"https:{name}:{_port(pod)}"
    proxied = path_of("api", "v1", "namespaces", whom.installed_in, "pods", to, "proxy") + path
    heard.problem = (
        f"{name}: no token to ask with; allow this user to create tokens of the service account {READER} in "
        f"{whom.installed_in}, or give one with --token"
    )
    for token in tokens:
        try:
            answer = cluster.call("GET", proxied, query, headers={HEADER: f"Bearer {token}"}, read_seconds=_SECONDS)
        except ClusterError as error:
            heard.problem = f"{name}: {error}"
            if error.status not in (401, 403):
                return heard
            # The words of the door come as an error of the API server's, whose advice would be about the wrong account.
            heard.problem = (
                f"{name}: {error.status}, none of {len(tokens)} tokens may read {path} there; bind the ClusterRole "
                f"{READER} to this user, or allow it to create tokens of the service account {READER}"
            )
        else:
            heard.answer, heard.problem = answer, ""
            return heard
    return heard
