"""The HTTP intake behind TLS: who has no certificate of the agency's own authority gets no word."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from producers.http_intake import HttpIntake
from producers.http_server import HttpServer
from producers.idempotency import Answers
from producers.intake import Intake
from producers.outbox import Outbox
from producers.settings import IntakeSettings
from silenthit.certificates import Authority, new_key, write_certificate, write_key

DAY = timedelta(days=1)
TOKEN = "a-token-of-twenty-and-more"
BODY = {
    "records": [
        {
            "number": "A-1",
            "kind": "arrest",
            "subjects": [{"identifiers": [{"kind": "phone", "value": "802-555-0100"}]}],
        }
    ]
}


class Room:
    """An authority with a server's certificate and clients', and another authority's client."""

    def __init__(self, folder: Path) -> None:
        self.folder, now = folder, datetime.now(UTC)
        ours, foreign = Authority.create("ours", now), Authority.create("foreign", now)
        write_certificate(folder / "ca.pem", ours.certificate)
        keys = {name: new_key() for name in ("server", "vendor", "expired", "foreign")}
        made = {
            "server": ours.server(["127.0.0.1"], keys["server"].public_key(), now, 1),
            "vendor": ours.client("vendor", keys["vendor"].public_key(), now, DAY),
            "expired": ours.client("vendor", keys["expired"].public_key(), now - 2 * DAY, DAY),
            "foreign": foreign.client("vendor", keys["foreign"].public_key(), now, DAY),
        }
        for name, certificate in made.items():
            write_certificate(folder / f"{name}.pem", certificate)
            write_key(folder / f"{name}.key", keys[name])

    def client(self, port: int, certificate: str, token: str = "") -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if certificate:
            chain = self.folder / f"{certificate}.pem", self.folder / f"{certificate}.key"
            context.load_cert_chain(*chain)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, headers=headers)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


@contextmanager
def serving(room: Room, outbox: Outbox, path: Path, token: str = "") -> Iterator[int]:
    settings = IntakeSettings(
        port=0,
        token=Path("unused") if token else None,
        tls_certificate=room.folder / "server.pem",
        tls_key=room.folder / "server.key",
        client_ca=room.folder / "ca.pem",
    )
    intake = Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)
    answers = Answers(path / "outbox.db", b"k" * 32)
    server = HttpServer(settings, HttpIntake(intake=intake, answers=answers, token=token).app())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.port
    finally:
        server.stop()
        thread.join()
        answers.close()


def test_a_certificate_of_our_authority_stands_for_the_token(room, outbox, tmp_path):
    with serving(room, outbox, tmp_path) as port, room.client(port, "vendor") as client:
        assert client.post("/records", json=BODY).status_code == 202
    assert outbox.counts()["accepted"] == 1


@pytest.mark.parametrize("certificate", ["", "foreign", "expired", "server"])
def test_any_other_gets_no_answer_at_all(room, outbox, tmp_path, certificate):
    with serving(room, outbox, tmp_path) as port:
        with room.client(port, certificate) as client, pytest.raises(httpx.TransportError):
            client.post("/records", json=BODY)
        with room.client(port, "vendor") as client:  # and it goes on serving those that may
            assert client.get("/healthz").status_code == 200
    assert outbox.counts()["accepted"] == 0


def test_with_a_token_too_both_are_asked_for(room, outbox, tmp_path):
    with serving(room, outbox, tmp_path, TOKEN) as port:
        with room.client(port, "vendor") as client:
            assert client.post("/records", json=BODY).status_code == 401
        with room.client(port, "vendor", TOKEN) as client:
            assert client.post("/records", json=BODY).status_code == 202
        with room.client(port, "", TOKEN) as client, pytest.raises(httpx.TransportError):
            client.post("/records", json=BODY)
    assert outbox.counts()["accepted"] == 1


def test_who_speaks_no_tls_gets_no_answer(room, outbox, tmp_path):
    with (
        serving(room, outbox, tmp_path) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
        pytest.raises(httpx.TransportError),
    ):
        client.post("/records", json=BODY)
    assert outbox.counts()["accepted"] == 0
