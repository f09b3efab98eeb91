"""The server: TLS 1.3 with client certificates around the service, one process."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

import uvicorn
from prometheus_client import start_http_server
from starlette.applications import Starlette

from key_holder.custody import FileCustody, shield_process
from key_holder.database import open_book
from key_holder.lifecycle import load_signer, signer_public
from key_holder.peer import PeerProtocol
from key_holder.service import Service
from key_holder.settings import KeyHolderConfig
from silenthit.errors import SettingsError

KEEP_ALIVE_S = 75
GRACE_S = 3  # on SIGTERM, for requests that are half read


def bind(config: KeyHolderConfig) -> socket.socket:
    """Take the address. Raises SettingsError when it is in use or not this machine's."""
    try:
        return socket.create_server((config.host, config.port))
    except OSError as error:
        raise SettingsError(
            f"expected {config.host}:{config.port} free, got: {error.strerror}; change `port`"
        ) from None


def serve(config: KeyHolderConfig, port_file: Path | None) -> None:
    """Serve until SIGTERM. `port_file` gets "host:port" once connections are taken."""
    shield_process()
    signer = signer_public(load_signer(config.signer_key))
    service = Service(
        config=config,
        custody=FileCustody(config.secrets),
        book=open_book(config.database),
        signer=signer,
    )
    service.check_custody()
    settings = behind_tls(config, service.app())
    listener = bind(config)
    if config.metrics_port is not None:
        start_http_server(config.metrics_port, addr="127.0.0.1")
    host, port = listener.getsockname()[:2]
    if port_file is not None:
        # The socket listens already: whoever reads the file may connect, and waits a little.
        beside = port_file.with_name(port_file.name + ".new")
        beside.write_text(f"{host}:{port}\n", "ascii")
        os.replace(beside, port_file)  # noqa: PTH105 the atomic call by its name
    uvicorn.Server(settings).run(sockets=[listener])


def behind_tls(config: KeyHolderConfig, app: Starlette) -> uvicorn.Config:
    """Return how the application is served: TLS 1.3, to whoever has a certificate."""
    settings = uvicorn.Config(
        app,
        http=PeerProtocol,
        ws="none",
        ssl_certfile=config.tls_certificate,
        ssl_keyfile=config.tls_key,
        ssl_ca_certs=str(config.client_ca),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    settings.load()
    assert settings.ssl is not None
    settings.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return settings
