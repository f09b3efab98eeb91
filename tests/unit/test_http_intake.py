from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from producers.http_contract import MAX_BYTES, openapi
from producers.http_intake import MAX_IN_HAND, HttpIntake
from producers.idempotency import KEPT_S, Answers
from producers.intake import Intake
from producers.outbox import Outbox
from silenthit.errors import RetryError

TOKEN = "a-token-of-twenty-and-more"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Client:
    """Asks an application without a socket; each request in a loop of its own."""

    def __init__(self, app: Starlette, headers: dict[str, str] | None = None) -> None:
        self._transport, self._headers = httpx.ASGITransport(app), headers or {}

    def post(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask("POST", path, **more))

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._ask("GET", path))

    def delete(self, path: str) -> httpx.Response:
        return asyncio.run(self._ask("DELETE", path))

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(
            transport=self._transport, base_url="http://intake", headers=self._headers
        ) as client:
            return await client.request(method, path, **more)


async def in_pieces(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for each in pieces:
        yield each


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def record(number: str = "A-1", phone: str = "802-555-0100", **more: Any) -> dict[str, Any]:
    subject = {"identifiers": [{"kind": "phone", "value": phone}], **more.pop("subject", {})}
    return {"number": number, "kind": "tip", "subjects": [subject], **more}


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def answers(tmp_path, outbox, clock):
    made = Answers(tmp_path / "outbox.db", b"k" * 32, clock)
    yield made
    made.close()


@pytest.fixture
def served(outbox, answers):
    intake = Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)
    return HttpIntake(intake=intake, answers=answers, token=TOKEN)


@pytest.fixture
def client(served):
    return Client(served.app(), BEARER)


def post(client: Client, *records: dict[str, Any], **headers: str):
    return client.post("/records", json={"records": records}, headers=headers)


def test_records_are_kept_before_the_answer(client, outbox):
    answer = post(client, record("A-1"), record("A-2"))
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert outbox.counts()["accepted"] == 2


def test_the_same_content_again_changes_nothing(client, outbox):
    post(client, record())
    assert post(client, record()).json() == {"accepted": 1, "unchanged": 1, "rejected": []}
    assert [each.revision for each in outbox.drafts(10)] == [1]


def test_a_repeated_request_answers_as_before_even_after_a_correction(client, outbox):
    first = post(client, record(), **{"Idempotency-Key": "one"})
    post(client, record(phone="802-555-0199"))
    again = post(client, record(), **{"Idempotency-Key": "one"})
    assert again.json() == first.json()
    assert [each.revision for each in outbox.drafts(10)] == [2]


def test_a_key_with_another_body_is_a_conflict_until_it_is_forgotten(client, clock):
    post(client, record(), **{"Idempotency-Key": "one"})
    assert post(client, record("A-2"), **{"Idempotency-Key": "one"}).status_code == 409
    clock.now += KEPT_S + 1
    assert post(client, record("A-2"), **{"Idempotency-Key": "one"}).status_code == 202


def test_what_can_not_be_taken_is_told_by_its_place_and_the_rest_is_kept(client, outbox):
    answer = post(
        client,
        record("A-1"),
        {"number": "A-2", "kind": "tip"},
        record("A-3", subject={"birth_dates": ["1990-02-31"]}),
        record("A-4", offences=["99X"]),
        record("A-5", indicators=["sad"]),
    )
    assert answer.status_code == 422
    assert answer.json()["accepted"] == 1
    wheres = [each["where"] for each in answer.json()["rejected"]]
    assert wheres == [
        "records[1]", "records[2], birth_dates", "records[3], offences", "records[4], indicators",
    ]  # fmt: skip
    assert "1990-02-31" not in answer.text
    assert "99X" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"{}", b'{"records": []}', b'{"records": [{"kind": "tip"}]}',
        b'{"records": [{"number": "A", "kind": "secretparty"}]}', b"\xff\xfe", b"[" * 100_000,
        b'{"records": [{"number": "A", "kind": "tip", "surprise": 1}]}',
        b'{"records": [{"number": "A", "kind": "tip", "occurred_at": "2026-01-01T00:00:00"}]}',
    ],
)  # fmt: skip
def test_a_body_that_does_not_fit_is_refused_without_quoting_it(client, body):
    answer = client.post("/records", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["problems"]
    assert "secretparty" not in answer.text


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
def test_without_the_token_nothing_is_taken(served, outbox, header):
    client = Client(served.app(), {"Authorization": header})
    assert post(client, record()).status_code == 401
    assert client.delete("/records/A-1").status_code == 401
    assert outbox.counts()["accepted"] == 0


def test_another_content_type_is_refused(client):
    assert client.post("/records", content=b"<a/>").status_code == 415


def test_too_much_is_refused_whether_announced_or_not(client):
    kind = {"Content-Type": "application/json"}
    large = b" " * (MAX_BYTES + 1)
    assert client.post("/records", content=large, headers=kind).status_code == 413
    pieces = (b" " * 65536 for _ in range(MAX_BYTES // 65536 + 1))
    assert client.post("/records", content=in_pieces(pieces), headers=kind).status_code == 413


def test_while_the_outbox_cannot_be_written_the_vendor_is_told_to_come_back(client, outbox):
    def full(*_: object, **__: object) -> None:
        raise RetryError("expected to write the outbox, got SQLITE_FULL; free disk space")

    outbox.accept = full
    answer = post(client, record())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


def test_a_flood_is_told_to_come_back_and_those_in_hand_are_answered(served, outbox):
    begun, go_on = threading.Semaphore(0), threading.Event()
    accept = outbox.accept

    def slow(*args: object, **more: object) -> object:
        begun.release()
        assert go_on.wait(20)
        return accept(*args, **more)

    outbox.accept = slow
    codes: list[int] = []
    client = Client(served.app(), BEARER)

    def one(number: int) -> None:
        codes.append(post(client, record(f"A-{number}")).status_code)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(MAX_IN_HAND)]
    for each in threads:
        each.start()
    for _ in threads:
        assert begun.acquire(timeout=20)
    refused = post(client, record("late"))
    go_on.set()
    for each in threads:
        each.join()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert codes == [202] * MAX_IN_HAND


def test_a_record_is_taken_back_by_its_number(client, outbox):
    post(client, record("A/1 x"))
    assert client.delete("/records/A%2F1%20x").json() == {"retracted": True}
    assert client.delete("/records/A%2F1%20x").json() == {"retracted": False}
    missing = client.delete("/records/NEVER-SEEN")
    assert missing.status_code == 404
    assert "NEVER-SEEN" not in missing.text


def test_the_contract_names_every_status_that_is_answered_and_no_inner_field(client):
    document = client.get("/openapi.json").json()
    assert document == json.loads(json.dumps(openapi()))
    assert {"202", "401", "409", "413", "415", "422", "429", "503"} <= set(
        document["paths"]["/records"]["post"]["responses"]
    )
    assert "read_from" not in json.dumps(document)


def test_health_is_told_without_a_token(served):
    assert Client(served.app()).get("/healthz").status_code == 200
