"""Who is asking: the client certificate of the connection, handed to the application.

uvicorn keeps the TLS object to itself; this protocol reads the verified certificate once a
connection and puts it into every request's scope, under `extensions`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from cryptography import x509
from cryptography.x509.oid import NameOID
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

EXTENSION = "silenthit.peer"
_FLUSH_S = 0.2  # for an answer that is still being written


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """The organisation of a certificate that the TLS layer has verified."""

    organisation: str
    serial: str  # hex
    not_after: float  # epoch seconds


def peer_of(certificate: bytes) -> Peer | None:
    """Read a DER certificate; None when its subject has no single common name."""
    parsed = x509.load_der_x509_certificate(certificate)
    names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        return None
    return Peer(
        organisation=str(names[0].value),
        serial=f"{parsed.serial_number:x}",
        not_after=parsed.not_valid_after_utc.timestamp(),
    )


class PeerProtocol(H11Protocol):
    """HTTP/1.1 over mutual TLS, telling the application who is at the other end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the peer's certificate, which the handshake has verified."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        peer = peer_of(certificate) if certificate else None
        self.app = _told(self.app, peer)

    def shutdown(self) -> None:
        """Close an idle connection without waiting for the other side's farewell."""
        idle = getattr(self.cycle, "response_complete", True)  # None before the first request
        super().shutdown()
        if idle:
            self.loop.call_later(_FLUSH_S, self.transport.abort)


def _told(app: ASGI3Application, peer: Peer | None) -> ASGI3Application:
    async def with_peer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        cast("dict[str, Any]", scope).setdefault("extensions", {})[EXTENSION] = peer
        await app(scope, receive, send)

    return with_peer
