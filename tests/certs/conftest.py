"""What the tests of certificates share: a fixed instant, a TLS server on 127.0.0.1 and clients that verify strictly."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
from cryptography import x509


@pytest.fixture
def now():
    """The real time to the second: OpenSSL's clock, against which handshakes are verified, cannot be turned."""
    return datetime.now(UTC).replace(microsecond=0)


class EchoServer:
    """An asyncio TLS server on 127.0.0.1, in a thread of its own, that sends each line back."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self.port = 0

    @contextmanager
    def running(self) -> Iterator["EchoServer"]:
        thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        thread.start()
        try:
            assert self._ready.wait(5)
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(5)
            self._loop.close()

    async def _serve(self) -> None:
        self._loop.set_exception_handler(lambda *_: None)  # handshakes that the client refuses are part of the tests
        server = await asyncio.start_server(self._echo, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.02)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        writer.close()


class StrictClient:
    """Connects to a server as Python 3.13 and later do by default: X.509 strict, host name checked."""

    def __init__(self, bundle: bytes, **limits) -> None:
        self.context = ssl.create_default_context(cadata=bundle.decode())
        self.context.verify_flags |= ssl.VERIFY_X509_STRICT
        for field, value in limits.items():
            setattr(self.context, field, value)

    @contextmanager
    def connected(self, port: int, name: str = "localhost") -> Iterator[ssl.SSLSocket]:
        # An IP address as server_hostname is verified against the IP entries and sends no SNI (RFC 6066 3).
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            self.context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            yield secured

    def certificate(self, port: int, name: str = "localhost") -> x509.Certificate:
        """The certificate served, after a line has gone there and back."""
        with self.connected(port, name) as connection:
            assert spoken(connection, b"hello\n") == b"hello\n"
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))


def spoken(connection: ssl.SSLSocket, line: bytes) -> bytes:
    connection.sendall(line)
    answer = b""
    while not answer.endswith(b"\n"):
        part = connection.recv(4096)
        if not part:
            break
        answer += part
    return answer


@pytest.fixture
def serving() -> Callable[[ssl.SSLContext], EchoServer]:
    """`with serving(context) as server:` runs an EchoServer."""
    return lambda context: EchoServer(context).running()


@pytest.fixture
def trusting() -> type[StrictClient]:
    """`trusting(bundle).certificate(server.port)` is a verified handshake."""
    return StrictClient


@pytest.fixture
def say():
    """`say(connection, line)` is the server's answer."""
    return spoken
