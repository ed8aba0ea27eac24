"""Who may ask for more than a verdict: in a cluster whoever holds a token that RBAC grants the path.

    rules: [{nonResourceURLs: [/v1/*], verbs: [get, post]}]

Admission, `/livez` and `/readyz` are open: an API server and a kubelet send no token. The API server's own proxy takes
`Authorization` away, so a token is also read from `X-Stateward-Authorization`.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from stateward.kube.errors import ClusterError
from stateward.kube.reviews import Account
from stateward.webhook import asgi
from stateward.webhook.asgi import Header, Scope
from stateward.webhook.logs import line

OPEN: Final = frozenset({"/livez", "/readyz"})
METRICS: Final = "/metrics"
HEADER: Final = "X-Stateward-Authorization"

KEPT: Final = 60.0
"""Seconds that a yes holds: a token that is taken back is good for so long at most."""
KEPT_NO: Final = 10.0
"""Seconds that a no holds: a right that is granted is waited for so long at most."""
_CACHED: Final = 1_000
_THREADS: Final = 4
_WAITING: Final = 32
"""Questions that may wait for the API server; more are turned away, whoever sends made-up tokens."""
_LONGEST: Final = 16 * 1024
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750, section 2.1."""

_log = logging.getLogger("stateward.webhook")


class Reviews(Protocol):
    """What is needed of `stateward.kube.reviews.Reviews`."""

    def account(self, token: str) -> Account | None:
        """Whose token it is."""
        ...

    def allowed(self, account: Account, verb: str, path: str) -> bool:
        """Whether the account may."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a call that is turned away."""

    status: int
    message: str
    headers: tuple[Header, ...] = ()

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return asgi.error(self.message)


class Guard:
    """Turns away who may not ask. Without `reviews` nobody is known: then whoever calls from this machine may.

    `local`: whether callers on this machine need no token though there is a cluster: said on a laptop, never in a pod,
    where `kubectl port-forward` and every container beside come from the loopback address.
    """

    def __init__(
        self,
        reviews: Reviews | None = None,
        *,
        local: bool = False,
        open_paths: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reviews = reviews
        self._local = local or reviews is None
        self._open = OPEN | set(open_paths)
        self._accounts: _Kept[Account | None] = _Kept(clock)
        self._rights: _Kept[bool] = _Kept(clock)
        self._asking: dict[tuple[str, ...], asyncio.Task[Refusal | None]] = {}
        self._threads: ThreadPoolExecutor | None = None
        self.counts: dict[tuple[str], int] = {}
        """What came of calls that needed a token: allowed, unauthenticated, forbidden, unavailable."""

    async def refusal(self, scope: Scope) -> Refusal | None:
        """Why this call is turned away, None where it may pass. Never blocks the event loop."""
        path: str = scope["path"]
        if path in self._open or (self._local and _is_local(scope)):
            return None
        if self._reviews is None:
            return self._counted(_FAR)
        token = _token(scope["headers"])
        if token is None:
            return self._counted(_unauthenticated("a Kubernetes token is needed: send Authorization: Bearer TOKEN"))
        verb = str(scope["method"]).lower()
        # Not the token: nothing that is kept can be used by whoever reads this memory.
        who = hashlib.sha256(token.encode()).hexdigest()
        known = self._known(who, verb, path)
        if known is not _ASK:
            return self._counted(known)
        asking = self._asking.get((who, verb, path))
        if asking is None:
            if len(self._asking) >= _WAITING:
                return self._counted(_unavailable("too many tokens are being checked"))
            asking = asyncio.create_task(self._ask(self._reviews, token, who, verb, path))
            self._asking[who, verb, path] = asking
            asking.add_done_callback(lambda _: self._asking.pop((who, verb, path), None))
        # Shielded: a caller that goes away must not end what others wait for.
        return self._counted(await asyncio.shield(asking))

    def close(self) -> None:
        """Ends what is being asked."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _known(self, who: str, verb: str, path: str) -> Refusal | None:
        """What is known of a token; `_ASK` where it has to be asked."""
        account = self._accounts.get((who,))
        if account is None:
            return _NOBODY if self._accounts.has((who,)) else _ASK
        right = self._rights.get((who, verb, path))
        if right is None:
            return _ASK
        return None if right else _forbidden(account, verb, path)

    async def _ask(self, reviews: Reviews, token: str, who: str, verb: str, path: str) -> Refusal | None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "authenticate")
        run = asyncio.get_running_loop().run_in_executor
        try:
            if not self._accounts.has((who,)):
                account = await run(self._threads, reviews.account, token)
                self._accounts.put((who,), account, KEPT if account is not None else KEPT_NO)
            account = self._accounts.get((who,))
            if account is None:
                return _NOBODY
            right = await run(self._threads, reviews.allowed, account, verb, path)
        except (ClusterError, RuntimeError) as error:  # RuntimeError: the threads are being shut down
            _log.warning(line("token-not-checked", reason=str(error)))
            return _unavailable("the API server cannot be asked about this token")
        self._rights.put((who, verb, path), right, KEPT if right else KEPT_NO)
        return None if right else _forbidden(account, verb, path)

    def _counted(self, refusal: Refusal | None) -> Refusal | None:
        result = ("allowed" if refusal is None else _RESULTS[refusal.status],)
        self.counts[result] = self.counts.get(result, 0) + 1
        return refusal


V = TypeVar("V")
_Key = tuple[str, ...]


class _Kept(Generic[V]):
    """Answers for a while, the newest `_CACHED` of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[_Key, tuple[float, V]] = OrderedDict()

    def has(self, key: _Key) -> bool:
        """Whether an answer is known."""
        found = self._kept.get(key)
        return found is not None and self._clock() < found[0]

    def get(self, key: _Key) -> V | None:
        """The answer, None where none is known."""
        found = self._kept.get(key)
        return found[1] if found is not None and self._clock() < found[0] else None

    def put(self, key: _Key, value: V, seconds: float) -> None:
        """Keeps an answer for so long."""
        self._kept[key] = (self._clock() + seconds, value)
        self._kept.move_to_end(key)
        while len(self._kept) > _CACHED:
            self._kept.popitem(last=False)


def _token(headers: Iterable[Header]) -> str | None:
    """The token that a call brings; None without one."""
    found: Mapping[bytes, bytes] = {name.lower(): value for name, value in headers}
    for name in (HEADER.lower().encode(), b"authorization"):
        scheme, _, token = found.get(name, b"").decode("latin-1").strip().partition(" ")
        token = token.strip()
        if scheme.lower() == "bearer" and len(token) <= _LONGEST and _TOKEN.fullmatch(token):
            return token
    return None


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(str(client[0]).partition("%")[0]) if client else None
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address is not None and (mapped or address).is_loopback


def _unauthenticated(message: str) -> Refusal:
    return Refusal(401, message, ((b"www-authenticate", b'Bearer realm="stateward"'),))


def _forbidden(account: Account, verb: str, path: str) -> Refusal:
    shown = path if len(path) <= 100 else f"{path[:100]}…"
    rule = f'nonResourceURLs: ["{shown}"], verbs: [{verb}]'
    return Refusal(403, f"{account.name} may not {verb} {shown}; grant it by a ClusterRole with {rule}")


def _unavailable(message: str) -> Refusal:
    return Refusal(503, f"{message}; try again", ((b"retry-after", b"2"),))


_RESULTS: Final = {401: "unauthenticated", 403: "forbidden", 503: "unavailable"}
_NOBODY: Final = _unauthenticated("the API server does not know this token; get a new one: kubectl create token NAME")
_FAR: Final = Refusal(
    403, "only callers on this machine are answered here: there is no cluster that could say who others are (--kubeconfig)"
)
_ASK: Final = Refusal(0, "not known yet")
