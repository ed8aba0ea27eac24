"""What a cluster has: the objects that manifests would change, and what else exists there.

A manifest as an update is the live object with the manifest laid over it. The API server itself is asked for it (a
server-side apply as a dry run: exactly what would be stored); where it refuses, the manifest is laid over here.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
import orjson
import yaml

from stateward.cli import inputs, manifests, overlay
from stateward.cli.asked import Asked
from stateward.cli.edits import Edit
from stateward.cli.files import Given, Problem
from stateward.cli.positions import Span, Text
from stateward.cli.sources import Gathered, settle
from stateward.policies import secrets
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.paths import Path
from stateward.policies.rules import RULES
from stateward.policies.view import (
    UNKNOWN,
    Kind,
    MemoryView,
    Object,
    Unknown,
    items_of,
    kind_of_object,
    mapping_of,
    metadata_of,
    nothing_complete,
    text_of,
)

if TYPE_CHECKING:
    from stateward.kube.client import Cluster
    from stateward.kube.discovery import Discovery, Resource
    from stateward.kube.store import Listing

SECRET: Final = "Secret"  # noqa: S105 - the kind
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER: Final = "stateward-lint"
"""Who asks for dry runs of what nobody has applied on the server before."""
PAGE: Final = 500


def gather(
    asked: Asked, after: manifests.Loaded, others: manifests.Loaded, notes: list[str], unwritable: frozenset[str]
) -> Gathered:
    """The edits of a cluster that manifests mean. Ends with exit code 2 where the cluster cannot be asked."""
    from stateward.kube.errors import ClusterError

    cluster, namespace = _connected(asked)
    reader = _Reader(cluster, namespace, notes)
    try:
        problems = [*after.problems, *others.problems]
        edits = [edit for document in after.documents if (edit := reader.edit(document, problems)) is not None]
        for document in others.documents:
            reader.settle(document)  # what is context is given too, and so not pruned
        pruned = list(reader.pruned(asked.selector or "", problems)) if asked.prune and not problems else []
    except ClusterError as error:
        inputs.stop(f"--cluster: {error}")
    edits += pruned
    given = [*(one.object for one in others.documents), *(edit.new.object for edit in edits if edit.new is not None)]
    home = {id(one.object): one for edit in edits for one in (edit.old, edit.new) if one is not None}
    view = LiveView(cluster, reader.discovery, given, notes)
    return Gathered(edits, view, home, problems, [*after.skipped], notes, unwritable)


def _connected(asked: Asked) -> tuple[Cluster, str]:
    """The cluster, for as long as the command runs, and the namespace of what names none."""
    try:
        import kubernetes  # noqa: F401,RUF100 - its use is deep inside
        import urllib3

        from stateward.kube import configure
        from stateward.kube.client import Cluster
        from stateward.kube.errors import ClusterError
    except ImportError as error:
        _missing(error)
    # A kubeconfig with insecure-skip-tls-verify says so knowingly.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        cluster = Cluster.connect(asked.kubeconfig, asked.kube_context)
        namespace = asked.namespace or configure.namespace(asked.kubeconfig, asked.kube_context)
        click.get_current_context().call_on_close(cluster.close)
        cluster.get("/version")
    except ClusterError as error:
        if error.status != 403:  # who may not read the version may read other things
            inputs.stop(f"--cluster: {error}")
    return cluster, namespace


def _missing(error: ImportError) -> NoReturn:
    if (error.name or "").partition(".")[0] not in ("kubernetes", "urllib3"):
        raise error
    inputs.stop(f"--cluster: {error.name} is missing; install it with: pip install 'stateward[serve]'")


# --- documents -----------------------------------------------------------------------------------------------------


class Merged(manifests.Document):
    """A manifest as the API server would store it: fields are found where the manifest has them."""

    __slots__ = ("_manifest",)

    def __init__(self, manifest: manifests.Document, merged: Object) -> None:
        super().__init__(manifest.source, manifest.index, merged, manifest.prefix, manifest._part)
        self._manifest = manifest.object

    def written(self, path: Path) -> Path:
        """The path of a field as the manifest has it."""
        return overlay.written_path(path, self.object, self._manifest)

    def locate(self, path: Sequence[str | int]) -> Span:
        """See `Document.locate`."""
        return super().locate(self.written(tuple(path)))


class Live(manifests.Document):
    """A live object; its text, as `kubectl get -o yaml` would print it, is made when it is first looked at."""

    __slots__ = ("_made",)

    def __init__(self, item: Object) -> None:
        metadata = metadata_of(item)
        where = "/".join(filter(None, (text_of(metadata, "namespace"), str(item.get("kind")), text_of(metadata, "name"))))
        self._made: manifests.Document | None = None
        super().__init__(f"live:{where}", 0, item, (), None)  # type: ignore[arg-type]

    @property
    def _part(self) -> Any:
        if self._made is None:
            text = yaml.safe_dump(self.object, sort_keys=False, allow_unicode=True, width=1 << 30)
            loaded = manifests.Loaded([], [], [])
            manifests.take(Given(self.source, named=True), Text(text), loaded)
            self._made = loaded.documents[0]
        return self._made._part

    @_part.setter
    def _part(self, _: Any) -> None:
        """There is none until somebody looks."""


# --- reading -------------------------------------------------------------------------------------------------------

_FIELDS: Final = re.compile(
    r"([A-Za-z][\w.\[\]/-]*): (?:Invalid value|Forbidden|Required value|Unsupported value|Duplicate value|Not found)"
)


class _Reader:
    """Reads what manifests would change. Raises ConfigError and UnreachableError; what else fails is told."""

    def __init__(self, cluster: Cluster, namespace: str, notes: list[str]) -> None:
        from stateward.kube.discovery import Discovery

        self.cluster = cluster
        self.discovery = Discovery(cluster)
        self._namespace = namespace
        self._notes = notes
        self._may_not_try: set[Kind] = set()
        self._unserved: set[Kind] = set()
        self._given: set[tuple[Kind, str, str]] = set()
        self._collections: dict[tuple[Kind, str], Resource] = {}

    def settle(self, document: manifests.Document) -> Resource | None:
        """The resource of a document, which then has the namespace that the API server would put it in."""
        item = document.object
        resource = self.discovery.served(str(item.get("apiVersion")), str(item.get("kind")))
        if resource is None or resource.namespaced:
            settle(item, self._namespace)
        self._given.add((kind_of_object(item), *_key(item)))
        return resource

    def edit(self, document: manifests.Document, problems: list[Problem]) -> Edit | None:
        """A document as an edit of the cluster; None where what is there cannot be read: that is a problem."""
        from stateward.kube.errors import ClusterError, ConfigError, UnreachableError

        try:
            return self._edit(document)
        except (ConfigError, UnreachableError):
            raise
        except ClusterError as error:
            span = document.locate(("metadata", "name"))
            message = f"what the cluster has of it cannot be read: {str(error).rstrip('.')}."
            problems.append(Problem(document.source, span.line, span.column, message))
            return None

    def _edit(self, document: manifests.Document) -> Edit:
        resource = self.settle(document)
        item = document.object
        kind, metadata = kind_of_object(item), metadata_of(item)
        namespace, name = text_of(metadata, "namespace"), text_of(metadata, "name")
        if resource is None:
            if kind not in self._unserved:
                self._unserved.add(kind)
                self._notes.append(
                    f"{item.get('apiVersion')}, {item.get('kind')}: not served by this cluster; judged as created"
                )
            return Edit(None, document)
        namespace = namespace if resource.namespaced else ""
        self._collections[kind, namespace] = resource
        live = self.cluster.find(resource.path_to(namespace, name)) if name else None
        if kind == SECRET:
            item = document.object = _digested(item)
        if live is None:
            return Edit(None, document)
        old = {"apiVersion": resource.api_version, "kind": resource.kind_name, **_cleaned(live, kind)}
        return Edit(Live(old), Merged(document, self._merged(document, resource, live, old)))

    def _merged(self, document: manifests.Document, resource: Resource, live: Object, old: Object) -> Object:
        item, kind = document.object, resource.kind
        applied = _last_applied(live)
        if kind != SECRET and kind not in self._may_not_try:
            tried = self._tried(document, resource, live)
            if tried is not None:
                return overlay.without(_cleaned(tried, kind), item, applied)
        return overlay.laid_over(old, item, applied)

    def _tried(self, document: manifests.Document, resource: Resource, live: Object) -> Object | None:
        """What the API server would store; None where it refuses to say."""
        from stateward.kube.client import APPLY
        from stateward.kube.errors import ClusterError, ConfigError, UnreachableError

        metadata = metadata_of(document.object)
        path = resource.path_to(text_of(metadata, "namespace"), text_of(metadata, "name"))
        try:
            return self.cluster.patch(path, document.object, APPLY, field_manager=_manager(live), force=True, dry_run=True)
        except (ConfigError, UnreachableError):
            raise
        except ClusterError as error:
            self._refused(document, resource, error.status, error.message)
            return None

    def _refused(self, document: manifests.Document, resource: Resource, status: int, message: str) -> None:
        """Says it without the words of the API server: they repeat values, and values may be secret."""
        if "denied the request" in message:
            why = "an admission webhook refuses it"
        elif status == 403 and "cannot patch" in message:
            self._may_not_try.add(resource.kind)
            self._notes.append(
                f"{resource.kind}: this account may not patch {resource.plural}, so the API server is not asked what it "
                "would store; manifests are laid over the live objects here"
            )
            return
        else:
            fields = list(dict.fromkeys(_FIELDS.findall(message)))
            why = f"the API server refuses it{': ' + ', '.join(fields[:3]) if fields else f' with {status}'}"
        self._notes.append(f"{document.source}: {why}; judged with the manifest laid over the live object here")

    # --- what is no longer given ---------------------------------------------------------------------------------

    def pruned(self, selector: str, problems: list[Problem]) -> Iterator[Edit]:
        """Live objects of the same kinds and namespaces that kubectl applied, with these labels, and that are not given."""
        from stateward.kube.errors import ClusterError, ConfigError, UnreachableError

        for (kind, namespace), resource in sorted(self._collections.items()):
            path = resource.path_to(namespace) if resource.namespaced else resource.path
            try:
                for item in self._labelled(path, selector):
                    metadata = metadata_of(item)
                    if LAST_APPLIED not in mapping_of(metadata, "annotations") or metadata.get("deletionTimestamp"):
                        continue
                    if (kind, namespace, text_of(metadata, "name")) not in self._given:
                        named = {"apiVersion": resource.api_version, "kind": resource.kind_name}
                        yield Edit(Live({**named, **_cleaned(item, kind)}), None)
            except (ConfigError, UnreachableError):
                raise
            except ClusterError as error:
                problems.append(
                    Problem("--prune", None, None, f"what would be deleted cannot be read: {str(error).rstrip('.')}.")
                )

    def _labelled(self, path: str, selector: str) -> Iterator[Object]:
        token = ""
        while True:
            query: dict[str, str | int] = {"limit": PAGE, "labelSelector": selector}
            page = self.cluster.get(path, {**query, "continue": token} if token else query)
            yield from items_of(page, "items")
            token = text_of(mapping_of(page, "metadata"), "continue")
            if not token:
                return


def _manager(live: Object) -> str:
    """Whoever applies this object on the server: asked in another's name, what is no longer written would stay."""
    managers = [
        text_of(entry, "manager")
        for entry in items_of(metadata_of(live), "managedFields")
        if entry.get("operation") == "Apply"
    ]
    if "kubectl" in managers:
        return "kubectl"
    return managers[0] if len(managers) == 1 and managers[0] else MANAGER


def _last_applied(live: Object) -> Any:
    """What `kubectl apply` has noted in the object; None where nobody has, or it cannot be read."""
    try:
        return orjson.loads(text_of(mapping_of(metadata_of(live), "annotations"), LAST_APPLIED))
    except orjson.JSONDecodeError:
        return None


def _cleaned(item: Object, kind: Kind) -> Object:
    """Without what the API server keeps for itself; the values of a Secret as digests."""
    from stateward.kube.trim import trimmer

    kept = trimmer(kind, None)(item)
    return {**kept, "data": _digested(item)["data"]} if kind == SECRET else kept


_SALT: Final = os.urandom(32)
_LINE: Final = re.compile(rb"\s*(?:export\s+)?([A-Za-z_][\w.]*)\s*=\s*(.*?)\s*")


def _digested(item: Object) -> Object:
    """A Secret whose values are digests: rules see that one differs and where, and nobody holds what it is.

    Of a file of `NAME=value` lines each line is one. The salt is this run's own.
    """
    values = secrets.contents(item)
    data = {key: base64.b64encode(_digest(value)).decode() for key, value in values.items()}
    return {**{key: value for key, value in item.items() if key != "stringData"}, "data": data}


def _digest(value: bytes) -> bytes:
    lines = [line for line in value.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    matches = [_LINE.fullmatch(line) for line in lines]
    if lines and all(matches):
        return b"\n".join(match[1] + b"=" + _digest_of(match[2].strip(b"\"'")) for match in matches if match)
    return _digest_of(value)


def _digest_of(value: bytes) -> bytes:
    return hmac.new(_SALT, value, "sha256").hexdigest().encode()


# --- what else exists ----------------------------------------------------------------------------------------------


class LiveView:
    """A View over the objects given, and behind them the cluster: a kind is listed when a rule first asks for it.

    A kind that is not served has no objects. One that may not be listed is unknown, except for what single reads and
    lists of one namespace show.
    """

    def __init__(self, cluster: Cluster, discovery: Discovery, given: Sequence[Object], notes: list[str]) -> None:
        from stateward.kube.declared import needed

        self._cluster = cluster
        self._discovery = discovery
        self._given = MemoryView(given, nothing_complete)
        self._notes = notes
        self._needed: Mapping[Kind, frozenset[str] | None] = needed(RULES, ADAPTERS)
        self._listings: dict[tuple[Kind, str | None], Listing | None] = {}
        self._single: dict[tuple[Kind, str, str], Object | Unknown | None] = {}

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """See `View.get`."""
        found = self._given.get(kind, namespace, name)
        if found is not UNKNOWN:
            return found
        listing = self._listings.get((kind, None))
        if listing is not None:
            return listing.spaces.get(namespace, {}).get(name)
        if (kind, namespace, name) not in self._single:
            self._single[kind, namespace, name] = self._read(kind, namespace, name)
        return self._single[kind, namespace, name]

    def select(self, kind: Kind, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """See `View.select`."""
        listing = self._listing(kind, None)
        if listing is None and namespace is not None:
            listing = self._listing(kind, namespace)
        given = self._given.select(kind, namespace) or []
        if listing is None:
            return given or UNKNOWN
        mine = {_key(item) for item in given}
        spaces = listing.spaces.values() if namespace is None else (listing.spaces.get(namespace, {}),)
        return [*given, *(item for space in spaces for item in space.values() if _key(item) not in mine)]

    def complete(self, kind: Kind) -> bool:
        """See `View.complete`."""
        return self._listing(kind, None) is not None

    def _resource(self, kind: Kind) -> Resource | Unknown | None:
        from stateward.kube.errors import ClusterError

        try:
            return self._discovery.resource(kind)
        except ClusterError:
            return UNKNOWN

    def _read(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        from stateward.kube.errors import ClusterError

        resource = self._resource(kind)
        if resource is None or resource is UNKNOWN:
            return resource
        try:
            item = self._cluster.get(resource.path_to(namespace, name))
        except ClusterError as error:
            return None if error.status == 404 else UNKNOWN
        return self._trim(resource)(self._named(resource, item))

    def _listing(self, kind: Kind, namespace: str | None) -> Listing | None:
        """The objects of a kind, in all namespaces or one; None where they may not be listed."""
        if (kind, namespace) not in self._listings:
            self._listings[kind, namespace] = self._list(kind, namespace)
        return self._listings[kind, namespace]

    def _list(self, kind: Kind, namespace: str | None) -> Listing | None:
        from stateward.kube.client import JSON
        from stateward.kube.errors import ClusterError
        from stateward.kube.paging import read_list
        from stateward.kube.reflector import METADATA_LIST
        from stateward.kube.store import UNLIMITED, Listing

        resource = self._resource(kind)
        if resource is UNKNOWN or (resource is not None and namespace is not None and not resource.namespaced):
            return None
        if resource is None:
            return Listing(kind, lambda item: item, UNLIMITED)
        trim = self._trim(resource)
        path = resource.path if namespace is None else resource.path_to(namespace)
        accept = JSON if self._fields(kind) != frozenset() else METADATA_LIST
        try:
            found, _ = read_list(
                lambda limit, token: self._cluster.list_page(path, limit=limit, token=token, accept=accept),
                lambda: Listing(kind, trim, UNLIMITED),
                lambda item: self._named(resource, item),
                PAGE,
            )
        except ClusterError as error:
            if namespace is None:
                reason = f"{error.status} {error.reason}".strip() if error.status else error.reason
                self._notes.append(f"{kind}: not listed ({reason}), so what rules look for there is unknown")
            return None
        return found

    def _fields(self, kind: Kind) -> frozenset[str] | None:
        # A kind that only a request names (that of a CRD): whether there are objects of it is all that is asked.
        return self._needed.get(kind, frozenset())

    def _trim(self, resource: Resource) -> Callable[[Object], Object]:
        from stateward.kube.trim import trimmer

        return trimmer(resource.kind, self._fields(resource.kind))

    def _named(self, resource: Resource, item: Object) -> Object:
        """The items of a list do not say what they are."""
        return {**item, "apiVersion": resource.api_version, "kind": resource.kind_name}


def _key(item: Object) -> tuple[str, str]:
    metadata = metadata_of(item)
    return text_of(metadata, "namespace"), text_of(metadata, "name")
