"""`silenthit alerts replies`: the server behind the links in messages."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from consumers.command_line import config_option, example, opened
from consumers.settings import PartnerSettings
from silenthit.call_tree.links import ReplySettings
from silenthit.errors import SettingsError

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

_KEEP_ALIVE_S = 5
_MOST_CONNECTIONS = 100


@click.command()
@click.option(
    "--port-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the port it listens on to this file.",
)
@config_option
@example("silenthit alerts replies --config fbi/partner.toml")
def replies(*, port_file: Path | None, config: Path) -> None:
    """Serve the links by which people answer, until SIGTERM or Ctrl-C.

    `[replies]` of partner.toml says where. A call then ends with its receiver's own link, which
    holds for a day: who opens it may claim, release, close, note or snooze, as that person.
    """
    import uvicorn  # noqa: PLC0415 no other command needs it

    from consumers.answering import PartnerDesk  # noqa: PLC0415
    from silenthit.call_tree.links import LinkSigner  # noqa: PLC0415
    from silenthit.call_tree.reply_app import reply_app  # noqa: PLC0415

    with opened(config) as ours:
        settings = _settings(ours.settings)
        listening = _listen(settings)
        if port_file is not None:
            port_file.write_text(str(listening.getsockname()[1]), "utf-8")
        app = reply_app(PartnerDesk(ours, LinkSigner.open(settings)))
        uvicorn.Server(served(settings, app)).run(sockets=[listening])


def served(settings: ReplySettings, app: Starlette) -> uvicorn.Config:
    """Return how the application is served; with TLS where there is a certificate."""
    import uvicorn  # noqa: PLC0415 no other command needs it

    return uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        access_log=False,  # its lines would hold the links
        log_config=None,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )


def _settings(settings: PartnerSettings) -> ReplySettings:
    if settings.replies is None:
        raise SettingsError(
            "expected [replies] in partner.toml with `url`, got none; set it to the https address "
            "under which people reach this server"
        )
    return settings.replies


def _listen(settings: ReplySettings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port))
    except OSError as error:
        raise SettingsError(
            f"expected {settings.host}:{settings.port} free, got: {error.strerror}; change "
            "[replies] `port`"
        ) from None
