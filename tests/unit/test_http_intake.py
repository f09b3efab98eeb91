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
    go_on, accept = threading.Event(), outbox.accept

    def slow(*args: object, **more: object) -> object:
        assert go_on.wait(20)
        return accept(*args, **more)

    outbox.accept = slow

    async def flood() -> tuple[list[int], httpx.Response]:
        transport = httpx.ASGITransport(served.app())
        async with httpx.AsyncClient(
            transport=transport, base_url="http://intake", headers=BEARER
        ) as client:

            def ask(number: int) -> asyncio.Task[httpx.Response]:
                body = {"records": [record(f"A-{number}")]}
                return asyncio.create_task(client.post("/records", json=body))

            asked = [ask(n) for n in range(MAX_IN_HAND)]
            while served._in_hand < MAX_IN_HAND:  # noqa: ASYNC110 it tells nobody
                await asyncio.sleep(0)
            refused = await ask(MAX_IN_HAND)
            go_on.set()
            return [(await each).status_code for each in asked], refused

    codes, refused = asyncio.run(flood())
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert codes == [202] * MAX_IN_HAND


def together(served: HttpIntake, *asked: tuple[dict[str, Any], str]) -> list[httpx.Response]:
    """Post records, each with an idempotency key (or none), all at once."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(served.app())
        async with httpx.AsyncClient(
            transport=transport, base_url="http://intake", headers=BEARER
        ) as client:
            return await asyncio.gather(
                *(
                    client.post(
                        "/records",
                        json={"records": [each]},
                        headers={"Idempotency-Key": key} if key else {},
                    )
                    for each, key in asked
                )
            )

    return asyncio.run(ask())


def test_requests_that_come_together_are_written_together_and_answered_each(served, outbox):
    writes, accept = [], outbox.accept

    def counted(drafts: Iterable[Any], *args: object, **more: object) -> object:
        listed = list(drafts)
        writes.append(len(listed))
        return accept(listed, *args, **more)

    outbox.accept = counted
    bad = record("bad", offences=["99X"])
    asked = [(record(f"A-{n}"), "") for n in range(40)]
    answers = together(served, *asked[:20], (bad, ""), *asked[20:])
    assert [each.status_code for each in answers] == [202] * 20 + [422] + [202] * 20
    assert sum(writes) == outbox.counts()["accepted"] == 40
    assert len(writes) <= 4


def test_a_disk_that_is_full_refuses_a_whole_group_and_the_next_one_is_taken(served, outbox):
    accept = outbox.accept
    outbox.accept = lambda *_, **__: (_ for _ in ()).throw(RetryError("expected room"))
    assert {e.status_code for e in together(served, (record("A-1"), ""), (record("A-2"), ""))} == {
        503
    }
    outbox.accept = accept
    assert [e.status_code for e in together(served, (record("A-1"), "one"))] == [202]


def test_one_key_twice_at_once_is_one_request_and_another_body_a_conflict(served, outbox):
    asked = [(record("A-1"), ""), (record("A-2"), "k"), (record("A-2"), "k"), (record("A-3"), "k")]
    first, second, again, other = together(served, *asked)
    assert (first.status_code, second.status_code, other.status_code) == (202, 202, 409)
    assert again.json() == second.json() == {"accepted": 1, "unchanged": 0, "rejected": []}
    assert outbox.counts()["accepted"] == 2


def test_who_sends_slowly_is_told_so_and_gives_the_place_back(served, monkeypatch):
    monkeypatch.setattr("producers.http_intake.BODY_S", 0.01)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    client = Client(served.app(), BEARER)
    answer = client.post("/records", content=slowly(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 408
    assert served._in_hand == 0


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


def test_a_tip_comes_as_json_or_as_a_form_and_twice_under_one_key_is_one(client, outbox):
    told = {"text": "Ana Ro, 802-555-0100, sells at the pier", "place": "Pier 7"}
    key = {"Idempotency-Key": "call-7"}
    first = client.post("/tips", json=told, headers=key)
    assert (first.status_code, first.json()["accepted"]) == (202, 1)
    assert client.post("/tips", json=told, headers=key).json() == first.json()
    assert client.post("/tips", data=told).status_code == 202
    entries = outbox.drafts(10)
    assert [each.draft.record.place for each in entries] == ["Pier 7", "Pier 7"]
    assert {each.draft.record.kind for each in entries} == {"tip"}
    assert client.post("/tips", data={"place": "x"}).status_code == 422
    assert client.post("/tips", data={"text": ["a", "b"]}).status_code == 422
    assert client.post("/tips", content=b"x").status_code == 415
