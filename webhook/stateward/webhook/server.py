"""The server: uvicorn over TLS in a thread of its own, with a start and an end that lose no request."""

from __future__ import annotations

import asyncio
import gc
import http.client
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import uvicorn

from stateward.webhook.app import App
from stateward.webhook.clients import Clients, guarding

KEEP_ALIVE: Final = 120
"""Seconds that an idle connection stays open. The API server keeps its own for 90 (apimachinery, SetTransportDefaults);
whoever closes first must not be us, for a POST on a connection that closes is not sent again."""
DRAIN_IN_CLUSTER: Final = 10.0
"""Seconds that requests are answered after the end was asked for: until every kube-proxy has heard of it (10 to 15)."""
GRACE: Final = 5.0
"""Seconds that requests under way get when nothing new is accepted: more than a webhook's timeout of 3."""
_FAREWELL: Final = 0.3  # seconds for a peer's answer to the TLS farewell; one that is idle may never read it
_BACKLOG: Final = 2048
_TURN: Final = 0.0005
"""Seconds for which a thread that computes keeps a request waiting, each time that one reads or writes: Python's own 5 ms
are a pause of 30 ms where a list of thousands of objects comes in meanwhile."""
_TICK: Final = 0.1  # uvicorn's own


class ServeError(Exception):
    """The server cannot start. The message names the address and what can be done."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Connections wait in it until a Server accepts them.

    Raises ServeError.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ServeError(f"{host}: no address to listen on ({error.strerror}); see --host") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ServeError(f"{host} port {port}: {error.strerror}; stop what listens there or use --port") from None
    listening.setblocking(False)
    return listening


class Server:
    """Runs an App on a listening socket. `context` None is HTTP without TLS: for measurements only.

    With `clients` admission asks for a client certificate; the context has to have their authorities.

    `start` returns when it accepts; `stop` ends it in this order: `/readyz` says no while everything is answered on
    (`drain` seconds), nothing new is accepted and what is under way is finished (at most `GRACE` seconds), the end.
    """

    def __init__(
        self,
        app: App,
        listening: socket.socket,
        *,
        context: ssl.SSLContext | None = None,
        drain: float = 0.0,
        clients: Clients | None = None,
    ) -> None:
        self.ended = threading.Event()
        """Set when it serves no more, whatever the reason."""
        self.port: int = listening.getsockname()[1]
        self._socket = listening
        self._accepting = threading.Event()
        self._failure: BaseException | None = None
        self._uvicorn = _Uvicorn(app, context, drain, self._accepting, clients)
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self) -> None:
        """Serves until `stop`. Raises ServeError where it cannot."""
        self._thread.start()
        self._accepting.wait()
        if self._failure is not None:
            raise ServeError(f"port {self.port}: the server cannot start ({self._failure})") from self._failure

    def stop(self) -> None:
        """Ends it as above, and returns when it has ended."""
        self._uvicorn.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def hurry(self) -> None:
        """Ends what is left of `drain`."""
        self._uvicorn.hurried = True

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._uvicorn.run([self._socket])
        except BaseException as failure:  # noqa: BLE001,RUF100 - uvicorn leaves by SystemExit
            self._failure = failure
        finally:
            self.ended.set()
            self._accepting.set()


class _Uvicorn(uvicorn.Server):
    """uvicorn, whose end waits for the callers to go elsewhere first. Signals are somebody else's: it is no main thread."""

    def __init__(
        self,
        app: App,
        context: ssl.SSLContext | None,
        drain: float,
        accepting: threading.Event,
        clients: Clients | None,
    ) -> None:
        self.hurried = False
        self._app = app
        self._drain = drain
        self._accepting = accepting
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http="httptools" if clients is None else guarding(clients),  # twice the throughput of h11
                loop="auto",  # uvloop wherever it exists
                ws="none",
                lifespan="off",
                ssl_context_factory=None if context is None else lambda _config, _default: context,
                timeout_keep_alive=KEEP_ALIVE,
                limit_concurrency=None,  # it would count idle connections, and an API server keeps 25
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                log_level="warning",
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        sys.setswitchinterval(_TURN)
        await super().startup(sockets)
        self._accepting.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.leave()
        until = time.monotonic() + self._drain
        ticks = 0
        while time.monotonic() < until and not self.hurried:
            ticks += 1
            await self.on_tick(ticks)  # keeps the Date header
            await asyncio.sleep(_TICK)
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()  # an idle one closes, a busy one after its answer
        await self._while(lambda: bool(self.server_state.tasks), GRACE)
        await self._while(lambda: bool(self.server_state.connections), _FAREWELL)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    @staticmethod
    async def _while(busy: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while busy() and time.monotonic() < until:
            await asyncio.sleep(0.01)


@contextmanager
def ending() -> Iterator[Ending]:
    """Inside the `with`, SIGTERM and SIGINT set the Ending instead of ending the process. Main thread only."""
    asked = Ending()
    before = {number: signal.signal(number, asked.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Ending:
    """Whether a signal has asked for the end; a second one hurries."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._server: Server | None = None

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """A signal."""
        if self.asked.is_set() and self._server is not None:
            self._server.hurry()
        self.asked.set()

    def wait(self, server: Server) -> None:
        """Returns when the end is asked for, or the server has ended by itself."""
        self._server = server
        # A wait without an end would do, but for a server that dies.
        while not self.asked.wait(1.0) and not server.ended.is_set():
            pass


def settle() -> None:
    """After start-up: what is there stays, and no garbage collection need look at it again (a pause of milliseconds).

    Later collections are rarer than Python's own: they look at every cached object that came since, and neither those nor
    requests leave cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def trouble(host: str, port: int, bundle: bytes, *, seconds: float = 5.0) -> str:
    """Why `/readyz` at this address, asked over TLS by somebody who trusts `bundle`, does not say yes; "" if it does."""
    connection = http.client.HTTPSConnection(
        host, port, timeout=seconds, context=ssl.create_default_context(cadata=bundle.decode("ascii"))
    )
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        text = answer.read(1000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return f"https://{host}:{port}/readyz: {error or type(error).__name__}"
    finally:
        connection.close()
    return "" if answer.status == 200 else f"https://{host}:{port}/readyz: {answer.status} {text}"
