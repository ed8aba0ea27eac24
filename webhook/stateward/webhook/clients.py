"""Admission for those alone whose client certificate says that they may: the API server's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stateward.webhook import asgi
from stateward.webhook.asgi import Receive, Scope, Send

GUARDED: Final = frozenset({"/validate", "/mutate"})
"""What needs a certificate. Probes and scrapes have none; what else is served asks for a token."""

Peer = Mapping[str, Any]
"""`ssl.SSLSocket.getpeercert()`: a certificate that was verified, as a dict; empty or None where there is none."""


class Clients:
    """Who may ask for admission: holders of a certificate for one of `names`; for any, where there are none.

    A name is a subject's common name or a DNS name or URI of the certificate.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = frozenset(names)

    def refusal(self, peer: Peer | None) -> str:
        """Why the holder of this certificate may not, "" if it may."""
        if not peer:
            return "a client certificate is wanted here; see AdmissionConfiguration, --admission-control-config-file"
        if self.names and not self.names & _names(peer):
            return "the client certificate is for nobody who may ask here"
        return ""


def guarding(clients: Clients) -> type[asyncio.Protocol]:
    """The protocol of uvicorn, which looks once a connection, when its handshake is done: a request costs nothing more."""

    class Guarding(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            reason = clients.refusal(transport.get_extra_info("peercert"))
            if reason:
                self.app = cast(Any, _Refusing(self.app, reason))

    return Guarding


class _Refusing:
    """The application as those meet it who may not ask for admission."""

    def __init__(self, app: Any, reason: str) -> None:
        self._app = app
        self._body = asgi.error(reason)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in GUARDED:
            await self._app(scope, receive, send)
            return
        await asgi.answer(send, 401, self._body, asgi.CLOSE)


def _names(peer: Peer) -> frozenset[str]:
    common = {value for part in peer.get("subject", ()) for key, value in part if key == "commonName"}
    others = {value for kind, value in peer.get("subjectAltName", ()) if kind in ("DNS", "URI")}
    return frozenset(common | others)
