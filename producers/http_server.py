"""Serve the HTTP intake, or the answers to tips' links, from a thread of the agent."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette

from producers.settings import IntakeSettings
from silenthit.call_tree.links import ReplySettings
from silenthit.errors import SettingsError

_KEEP_ALIVE_S = 30
_GRACE_S = 5
_MAX_CONNECTIONS = 256


@dataclass(slots=True)
class HttpServer:
    """Listens from the moment it is made; answers from `run`."""

    settings: IntakeSettings | ReplySettings
    app: Starlette
    _socket: socket.socket = field(init=False)
    _server: uvicorn.Server = field(init=False)

    def __post_init__(self) -> None:
        """Take the address. Raises SettingsError when it is not free."""
        host, port = self.settings.host, self.settings.port
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise SettingsError(
                f"expected {host}:{port} free, got: {error.strerror}; change its `port` in "
                "agency.toml"
            ) from None
        self._server = uvicorn.Server(self._config())

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def run(self) -> None:
        """Serve until `stop`; requests in hand are answered first."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ask it to end."""
        self._server.should_exit = True

    def _config(self) -> uvicorn.Config:
        tls = self.settings
        client_ca = tls.client_ca if isinstance(tls, IntakeSettings) else None
        return uvicorn.Config(
            self.app,
            ws="none",
            lifespan="off",
            access_log=False,  # lines of it would hold record numbers and links
            log_config=None,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=tls.tls_certificate,
            ssl_keyfile=tls.tls_key,
            ssl_ca_certs=str(client_ca) if client_ca else None,
            ssl_cert_reqs=ssl.CERT_REQUIRED if client_ca else ssl.CERT_NONE,
        )
