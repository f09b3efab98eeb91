"""Every TLS connection is of version 1.2 or later, whichever end of it is ours."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from confluent_kafka.admin import AdminClient
from starlette.applications import Starlette

from consumers.reply_commands import served
from key_holder.server import behind_tls
from key_holder.settings import KeyHolderConfig
from producers.http_server import HttpServer
from producers.settings import IntakeSettings
from silenthit.blinding.holder_link import HolderLink
from silenthit.bus.settings import KafkaSettings
from silenthit.bus.tls import ssl_context
from silenthit.call_tree.links import ReplySettings
from silenthit.certificates import Authority, new_key, write_certificate, write_key
from stream_processors.pointers import open_redis

V1_1, V1_2, V1_3 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
OLD_TOO = "ALL:@SECLEVEL=0"  # OpenSSL itself refuses 1.1 above it


class Paper:
    """An authority's certificate, and one that it issued for both ends."""

    def __init__(self, folder: Path) -> None:
        now, key = datetime.now(UTC), new_key()
        authority = Authority.create("test", now)
        self.ca, self.key = folder / "ca.pem", folder / "own.key"
        self.server, self.client = folder / "server.pem", folder / "client.pem"
        write_certificate(self.ca, authority.certificate)
        write_certificate(self.server, authority.server(["127.0.0.1"], key.public_key(), now, 1))
        day = timedelta(days=1)
        write_certificate(self.client, authority.client("o", key.public_key(), now, day))
        write_key(self.key, key)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Paper:
    return Paper(tmp_path_factory.mktemp("paper"))


def lax(paper: Paper, version: ssl.TLSVersion, protocol: int) -> ssl.SSLContext:
    """The other end: it speaks this version alone, however old."""
    context = ssl.SSLContext(protocol)
    context.set_ciphers(OLD_TOO)
    context.minimum_version = context.maximum_version = version
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    own = paper.server if protocol == ssl.PROTOCOL_TLS_SERVER else paper.client
    context.load_cert_chain(own, paper.key)
    return context


def agree(client: ssl.SSLContext, server: ssl.SSLContext) -> bool:
    """Shake hands in memory; whether both ends are done with it."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname="127.0.0.1")
    asked = server.wrap_bio(there, back, server_side=True)
    waiting = [asking, asked]
    for _ in range(6):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return not waiting


def intake(paper: Paper) -> ssl.SSLContext | None:
    settings = IntakeSettings(
        port=0, tls_certificate=paper.server, tls_key=paper.key, client_ca=paper.ca
    )
    server = HttpServer(settings, Starlette())
    server._socket.close()
    config = server._config()
    config.load()
    return config.ssl


def replies(paper: Paper) -> ssl.SSLContext | None:
    settings = ReplySettings(url="https://x.test", tls_certificate=paper.server, tls_key=paper.key)
    config = served(settings, Starlette())
    config.load()
    return config.ssl


def key_holder(paper: Paper) -> ssl.SSLContext | None:
    config = KeyHolderConfig(
        name="federal",
        url="https://x.test",
        tls_certificate=paper.server,
        tls_key=paper.key,
        client_ca=paper.ca,
    )
    return behind_tls(config, Starlette()).ssl


def to_key_holder(paper: Paper) -> ssl.SSLContext:
    link = HolderLink(
        name="federal",
        url="https://127.0.0.1",
        ca=paper.ca,
        certificate=paper.client,
        key=paper.key,
        signer=bytes(32),
    )
    return link._tls()


def to_brokers(paper: Paper) -> ssl.SSLContext:
    """Of the workers: asyncio's Kafka client, and Faust, which has it from the same place."""
    return ssl_context(
        {
            "ssl.ca.location": str(paper.ca),
            "ssl.certificate.location": str(paper.client),
            "ssl.key.location": str(paper.key),
        }
    )


def to_webhook(paper: Paper) -> ssl.SSLContext:
    """As httpx makes one for a channel that confirms; told of the test's authority."""
    context = httpx.create_ssl_context()
    context.load_verify_locations(paper.ca)
    return context


def to_redis(paper: Paper) -> ssl.SSLContext:
    """Of the workers' pointers, where the URL says `rediss`."""
    pool = open_redis(f"rediss://127.0.0.1:1/0?ssl_ca_certs={paper.ca}").connection_pool
    context: ssl.SSLContext = pool.make_connection().ssl_context.get()
    return context


def to_mail(paper: Paper) -> ssl.SSLContext:
    """As apprise's mail makes one."""
    return ssl.create_default_context(cafile=str(paper.ca))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("ours", [intake, replies, key_holder])
def test_our_servers_speak_1_2_or_later_and_nothing_before(
    paper: Paper, ours: Callable[[Paper], ssl.SSLContext | None]
) -> None:
    server = ours(paper)
    assert server is not None
    spoken = [
        v for v in (V1_1, V1_2, V1_3) if agree(lax(paper, v, ssl.PROTOCOL_TLS_CLIENT), server)
    ]
    assert spoken == ([V1_3] if ours is key_holder else [V1_2, V1_3])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("ours", [to_key_holder, to_brokers, to_redis, to_webhook, to_mail])
def test_our_clients_speak_1_2_or_later_and_nothing_before(
    paper: Paper, ours: Callable[[Paper], ssl.SSLContext]
) -> None:
    client = ours(paper)
    spoken = [
        v for v in (V1_1, V1_2, V1_3) if agree(client, lax(paper, v, ssl.PROTOCOL_TLS_SERVER))
    ]
    assert spoken == ([V1_3] if ours is to_key_holder else [V1_2, V1_3])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_two_ends_that_are_not_ours_agree_on_1_1(paper: Paper) -> None:
    """So that it is ours that refuse it above, and not the library they all have."""
    ends = (lax(paper, V1_1, each) for each in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER))
    assert agree(*ends)


class Listener:
    """Answers each connection with one version of TLS, and says which were agreed on."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.agreed: list[bool] = []
        self._context, self._socket = context, socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(20)
        self.port = self._socket.getsockname()[1]
        self.answered = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        with suppress(OSError):
            plain, _ = self._socket.accept()
            plain.settimeout(20)
            try:
                with self._context.wrap_socket(plain, server_side=True):
                    self.agreed.append(True)
            except (ssl.SSLError, OSError):
                self.agreed.append(False)
        self.answered.set()

    def close(self) -> None:
        self._socket.close()
        self._thread.join(20)


@pytest.fixture
def listening(paper: Paper) -> Iterator[Callable[[ssl.TLSVersion], Listener]]:
    opened: list[Listener] = []

    def listen(version: ssl.TLSVersion) -> Listener:
        opened.append(Listener(lax(paper, version, ssl.PROTOCOL_TLS_SERVER)))
        return opened[-1]

    yield listen
    for each in opened:
        each.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("version", "agreed"), [(V1_1, False), (V1_2, True), (V1_3, True)])
def test_librdkafka_does_as_ours_do(
    paper: Paper,
    listening: Callable[[ssl.TLSVersion], Listener],
    version: ssl.TLSVersion,
    agreed: bool,
) -> None:
    listener = listening(version)
    settings = KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{listener.port}",
        security={
            "security.protocol": "ssl",
            "ssl.ca.location": str(paper.ca),
            "ssl.certificate.location": str(paper.client),
            "ssl.key.location": str(paper.key),
        },
    )
    client = AdminClient(settings.properties("versions"))
    client.poll(0)
    assert listener.answered.wait(20)
    assert listener.agreed == [agreed]
