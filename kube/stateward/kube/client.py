"""The cluster as HTTP: the official client for configuration, authentication and transport, raw dicts in and out.

Its generated models are not used: they drop fields that they do not know and refuse YAML that the API server takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import orjson

from stateward.kube import configure
from stateward.kube.answer import Answer, error_body
from stateward.kube.errors import ClusterError, ConfigError, UnreachableError, first_line, from_answer

if TYPE_CHECKING:
    from stateward.kube.executing import Ran

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
"""Server-side apply. JSON is YAML, so JSON is what is sent."""
MERGE: Final = "application/merge-patch+json"
FIELD_MANAGER: Final = "stateward"
PATIENCE: Final = 15.0
"""Seconds. A kind that has just been defined is served after a few."""
_LONGEST_WAIT: Final = 2.0


class Cluster:
    """One API server. Thread-safe; one a process (each holds a pool of connections). Close it.

    Every call has a timeout for connecting and one for each read, and raises ClusterError: with the HTTP status and
    the API server's reason, or UnreachableError (status 0).
    """

    def __init__(
        self,
        api: Any,
        *,
        connect_seconds: float = 5.0,
        read_seconds: float = 30.0,
        total_seconds: float = 120.0,
        patience_seconds: float = 0.0,
    ) -> None:
        """`patience_seconds`: how long what is read is asked for again where the API server sheds load (429)."""
        self._api = api
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._total_seconds = total_seconds
        self._patience_seconds = patience_seconds
        self._credentials = threading.Lock()
        self.host: str = str(api.configuration.host).rstrip("/")
        """`https://10.0.0.1:6443`"""

    @classmethod
    def connect(cls, kubeconfig: str | Path | None = None, context: str | None = None, **timeouts: float) -> Cluster:
        """As kubectl does: the file given, or $KUBECONFIG, or ~/.kube/config, or the pod's service account.

        Reads files, may run the kubeconfig's credential plugin, asks no server. Raises ConfigError. Somebody waits for
        what it is asked: nobody else asks again.
        """
        return cls(configure.as_kubectl(kubeconfig, context), **{"patience_seconds": PATIENCE, **timeouts})

    @classmethod
    def from_kubeconfig(cls, kubeconfig: str | Path | None = None, context: str | None = None, **timeouts: float) -> Cluster:
        """From a kubeconfig (several, joined by ":", are merged) and one of its contexts. Raises ConfigError."""
        return cls(configure.from_kubeconfig(kubeconfig, context), **timeouts)

    @classmethod
    def in_cluster(cls, **timeouts: float) -> Cluster:
        """As the service account of the pod that this runs in. Its token is read again each minute. Raises ConfigError."""
        return cls(configure.in_cluster(), **timeouts)

    def close(self) -> None:
        """Closes idle connections. Answers that are still open stay so."""
        self._api.close()

    # --- calls ---------------------------------------------------------------------------------------------------

    def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        *,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        read_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """An answer with its body unread; the caller closes it. `path` is absolute and quoted (see `path_of`)."""
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        what = f"{method} {path}"
        sent = {"Accept": accept, "User-Agent": "stateward", **(headers or {}), **self._authorization(what)}
        data = None
        if body is not None:
            data = orjson.dumps(body)
            sent["Content-Type"] = content_type
        url = f"{self.host}{path}?{urlencode(query)}" if query else f"{self.host}{path}"
        read = read_seconds if read_seconds is not None else self._read_seconds
        try:
            response = self._api.rest_client.pool_manager.request(
                method,
                url,
                body=data,
                headers=sent,
                timeout=Timeout(connect=self._connect_seconds, read=read),
                preload_content=False,
                retries=False,  # who asks knows whether to ask again
                redirect=False,
            )
        except (HTTPError, OSError) as error:
            raise UnreachableError(
                f"{what}: {self.host} does not answer ({type(error).__name__}: {first_line(error)}); "
                "see whether the address, the network and the certificate authority are right: kubectl get --raw /readyz"
            ) from None
        if not 200 <= response.status <= 299:
            raise from_answer(what, response.status, error_body(response), response.headers.get("Retry-After"))
        return Answer(what, response)

    def call(self, method: str, path: str, query: Mapping[str, str | int] | None = None, **more: Any) -> dict[str, Any]:
        """The object that a call answers with; see `open` for `more`."""
        until = time.monotonic() + self._patience_seconds
        while True:
            try:
                with self.open(method, path, query, **more) as answer:
                    found = answer.json(self._total_seconds)
                break
            except ClusterError as error:
                wait = min(error.retry_after or 1.0, _LONGEST_WAIT)
                # A write that is refused so may be refused for a reason of its own: an eviction, by a budget.
                if method != "GET" or error.status != 429 or time.monotonic() + wait > until:
                    raise
            time.sleep(wait)
        if type(found) is not dict:
            raise ClusterError(0, "Broken", f"{method} {path}: a JSON object is wanted, got {type(found).__name__}")
        return found

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """One object, or a discovery document. 404 is a ClusterError with status 404."""
        return self.call("GET", path, query)

    def find(self, path: str) -> dict[str, Any] | None:
        """An object by its path, None where there is none. Raises ClusterError."""
        try:
            return self.get(path)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def list_page(
        self, path: str, *, limit: int = 500, token: str = "", accept: str = JSON, read_seconds: float | None = None
    ) -> dict[str, Any]:
        """One page of a list: {items, metadata: {resourceVersion, continue}}. `token`: `continue` of the page before."""
        return self.call("GET", path, list_query(limit, token), accept=accept, read_seconds=read_seconds)

    def watch(
        self, path: str, resource_version: str, *, seconds: int, accept: str = JSON, read_seconds: float | None = None
    ) -> Answer:
        """An open watch from a resourceVersion on: `lines()` are events {type, object}. It ends after `seconds`."""
        query = watch_query(resource_version, seconds)
        return self.open("GET", path, query, accept=accept, read_seconds=read_seconds)

    def create(self, path: str, item: Mapping[str, Any], *, field_manager: str = FIELD_MANAGER) -> dict[str, Any]:
        """Creates an object in a collection's path."""
        return self.call("POST", path, {"fieldManager": field_manager}, body=item)

    def patch(
        self,
        path: str,
        patch: Any,
        content_type: str = MERGE,
        *,
        field_manager: str = FIELD_MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Patches an object. `force` is for server-side apply alone: take over fields that others own."""
        query = {"fieldManager": field_manager}
        if force:
            query["force"] = "true"
        if dry_run:
            query["dryRun"] = "All"
        return self.call("PATCH", path, query, body=patch, content_type=content_type)

    def apply(self, path: str, item: Mapping[str, Any], *, field_manager: str = FIELD_MANAGER) -> dict[str, Any]:
        """Server-side apply: creates the object or makes our fields what they are here, taking them over by force."""
        return self.patch(path, item, APPLY, field_manager=field_manager, force=True)

    def delete(self, path: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Deletes an object; `options` are DeleteOptions (preconditions, propagationPolicy)."""
        return self.call("DELETE", path, body=dict(options) if options else None)

    def execute(
        self, namespace: str, pod: str, container: str, command: Sequence[str], given: str = "", *, seconds: float = 20.0
    ) -> Ran:
        """Runs a command in a container and gives it a text. Raises ClusterError, and UnreachableError: it may have run."""
        from stateward.kube.executing import execute

        path = f"{path_of('api', 'v1', 'namespaces', namespace, 'pods', pod)}/exec"
        query = [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        asked = [*query, *(("command", word) for word in command)]
        headers = self._authorization(f"exec {path}")
        return execute(self.host, path, asked, self._api.configuration, headers, given, seconds)

    def bearer_token(self) -> str:
        """The token that calls are authenticated by, "" where something else does it. Raises ConfigError."""
        scheme, _, token = self._authorization("credentials").get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else ""

    def _authorization(self, what: str) -> dict[str, str]:
        # Reading the setting runs the hook that renews tokens (a file, a plugin): by one thread at a time.
        try:
            with self._credentials:
                found = self._api.configuration.auth_settings().get("BearerToken")
        except Exception as error:  # noqa: BLE001,RUF100 - whatever a credential plugin does
            raise ConfigError(f"{what}: credentials cannot be renewed: {first_line(error)}") from None
        return {"Authorization": found["value"]} if found and found.get("value") else {}


def list_query(limit: int, token: str) -> dict[str, str | int]:
    """The query of a page; `limit` 0 asks for the whole list."""
    return {**({"limit": limit} if limit else {}), **({"continue": token} if token else {})}


def watch_query(resource_version: str, seconds: int) -> dict[str, str | int]:
    """The query of a watch with bookmarks."""
    return {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": seconds,
    }


def path_of(*steps: str) -> str:
    """`/api/v1/namespaces/prod/pods/db-0`, each step quoted."""
    return "".join(f"/{quote(step, safe='')}" for step in steps)
