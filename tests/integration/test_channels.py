"""What arrives where people read it: Slack, Teams, a webhook, a confirming webhook, and mail.

The services are stood for by servers on loopback, spoken to through apprise as it is; of Slack only
the address is another.
"""

from __future__ import annotations

import email
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from consumers.cases import cases_in
from consumers.paging import post_pages
from consumers.times import to_ms
from silenthit.call_tree.channels import ChannelSettings, open_channel
from silenthit.call_tree.links import LinkSigner, ReplySettings
from silenthit.call_tree.protocol import parse_protocol
from silenthit.certificates import Authority, new_key, write_certificate, write_key
from tests.partner_room import NOW, Room
from tests.services import free_port

# apprise imports modules that Python is about to drop.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]

PRIVATE = (
    *("quillfeather", "oxenbrook", "203-555", "2035550142", "219-09", "219099999", "1980"),
    *("tanglewood", "tail light", "h-1", "50a-nh", "affidavit"),
)
SERVICES = ("slack", "teams", "webhook", "ledger", "mail")


class Office:
    """HTTP, HTTPS and SMTP servers on loopback that keep what they were sent."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self.took: dict[str, Queue[str]] = {name: Queue() for name in SERVICES}
        self.keys: list[str] = []
        self.refusals = 0
        self._http = self._serve(None)
        self._https = self._serve(certificate)
        self._mail = Controller(self, hostname="127.0.0.1", port=free_port())
        self._mail.start()

    def _serve(self, certificate: tuple[Path, Path] | None) -> ThreadingHTTPServer:
        office = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                office.take(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"])).decode()
        if self.refusals:
            self.refusals -= 1
            request.send_response(503)
        else:
            name = "teams" if "/workflows/" in request.path else request.path.split("/")[1]
            self.took["slack" if name == "services" else name].put(body)
            if key := request.headers["Idempotency-Key"]:
                self.keys.append(key)
            request.send_response(200)
        request.end_headers()
        request.wfile.write(b"ok")

    async def handle_DATA(  # noqa: N802 aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=default)
        text = message.get_body(("plain", "html"))
        assert text is not None
        self.took["mail"].put(f"{message['subject']}\n{text.get_content()}")
        return "250 kept"

    @property
    def urls(self) -> dict[str, str]:
        http, https = (f"127.0.0.1:{each.server_port}" for each in (self._http, self._https))
        mail = self._mail.port
        people = "from=silenthit@fbi.test&to=reyes@fbi.test&mode=insecure"
        return {
            "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7zx",
            "teams": f"workflows://{https}/643e6f0b2d4b4e7d/c2lnbmF0dXJl/?verify=no",
            "webhook": f"json://{http}/webhook",
            "ledger": f"http://{http}/ledger",
            "mail": f"mailto://127.0.0.1:{mail}/?{people}",
        }

    @property
    def slack_services(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/services"

    def arrived(self, name: str) -> str:
        return self.took[name].get(timeout=20)

    def stop(self) -> None:
        self._mail.stop()
        for server in (self._http, self._https):
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of 127.0.0.1, and its key."""
    folder, now = tmp_path_factory.mktemp("tls"), datetime.now(UTC)
    key = new_key()
    made = Authority.create("test", now).server(["127.0.0.1"], key.public_key(), now, days=1)
    write_certificate(folder / "server.pem", made)
    write_key(folder / "server.key", key)
    return folder / "server.pem", folder / "server.key"


@pytest.fixture
def office(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Office]:
    made = Office(certificate)
    monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", made.slack_services)
    monkeypatch.setattr("apprise.plugins.slack.NotifySlack.request_rate_per_sec", 0)
    monkeypatch.setattr("apprise.plugins.workflows.NotifyWorkflows.request_rate_per_sec", 0)
    yield made
    made.stop()


def received(folder: Path, *channels: str) -> Room:
    """A room that received an alert for these channels, and calls reyes by Slack."""
    room = Room.make(folder)
    room.channels = channels
    room.protocol = parse_protocol(
        {
            "timezone": "UTC",
            "people": {"reyes": {"channels": ["slack"]}},
            "branches": [{"name": "all", "levels": [{"call": ["reyes"], "within": "1h"}]}],
            "last_resort": {"call": ["reyes"]},
        }
    )
    room.add()
    room.receive(room.alert(room.touch(), room.registrations()[0]))
    return room


def post(room: Room, office: Office, folder: Path, later: int = 0, **template: Any) -> None:
    now = NOW + timedelta(seconds=later)
    outlets = {
        name: open_channel(
            name,
            ChannelSettings(url=SecretStr(url), confirms=name == "ledger", **template),
        )
        for name, url in office.urls.items()
    }
    replies = ReplySettings(url="https://replies.fbi.test", key=folder / "replies.key")
    signer = LinkSigner.open(replies)
    with room.vault.write() as into:
        cases_in(into, room.protocol, now).escalate()
    post_pages(
        room.vault,
        outlets,
        lambda: to_ms(now),
        lambda about, person: signer.link(about, person, now) if person else "",
    )


def test_every_service_gets_the_alert_and_nothing_of_its_subjects(
    office: Office, tmp_path: Path
) -> None:
    post(received(tmp_path, *SERVICES), office, tmp_path)
    for name in SERVICES:
        text = office.arrived(name)
        assert "Blue Heron 1" in text, name
        assert "Hartford PD" in text, name
        assert "traffic stop" in text, name
        for word in PRIVATE:
            assert word not in text.lower(), (name, word)


def test_who_is_called_gets_a_link_and_no_subject_data(office: Office, tmp_path: Path) -> None:
    post(received(tmp_path), office, tmp_path)
    text = office.arrived("slack")
    assert "https://replies.fbi.test/r/" in text
    assert "silenthit alerts claim" in text
    for word in PRIVATE:
        assert word not in text.lower(), word


@pytest.mark.parametrize("name", SERVICES)
def test_a_template_that_may_quotes_the_record(office: Office, tmp_path: Path, name: str) -> None:
    template: dict[str, Any] = {
        "title": "{label}!",
        "body": "{subjects} at {place}",
        "subject_data": True,
    }
    room = received(tmp_path, name)
    post(room, office, tmp_path, **template)
    text = office.arrived(name)
    assert "Quillfeather" in text
    assert "12 Tanglewood Ave" in text
    assert "Blue Heron 1!" in text


def test_a_service_that_refuses_is_asked_again_and_gets_it_once(
    office: Office, tmp_path: Path
) -> None:
    room = received(tmp_path, "webhook")
    room.protocol = None
    office.refusals = 1
    for later in (0, 6, 600):
        post(room, office, tmp_path, later)
    assert "Blue Heron 1" in office.arrived("webhook")
    assert office.took["webhook"].empty()


def test_a_confirming_webhook_gets_the_same_key_again_after_each_crash(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CrashError(Exception):
        pass

    def crash(*_: object) -> None:
        raise CrashError

    room = received(tmp_path, "ledger")
    room.protocol = None
    for later in (0, 100, 200):
        with monkeypatch.context() as broken:
            broken.setattr("consumers.paging.PageRows.end", crash)
            with pytest.raises(CrashError):
                post(room, office, tmp_path, later)
    post(room, office, tmp_path, 300)
    post(room, office, tmp_path, 400)
    assert len(office.keys) == 4
    assert len(set(office.keys)) == 1
