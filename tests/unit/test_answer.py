"""One inquiry, one answer: who may ask, how much, in which size, and what is written down."""

from __future__ import annotations

import asyncio
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from schemas.inquiries import AnswerStatus, Purpose
from schemas.vocabulary import MatchKeyKind
from silenthit.clock import SimulatedClock
from stream_processors.answer import TICK_S
from stream_processors.answer_book import BOOK, Book, lines, summed
from stream_processors.answer_quota import Allowance, LookUpSettings
from stream_processors.look_up import Found
from tests.exchange_room import HARBOR, SIGNER, token
from tests.look_up_room import NOW, TRUSTED, Desk, asked, inquiry_message

PHONE = token(MatchKeyKind.PHONE, "802-555-0142")
OTHER = token(MatchKeyKind.PHONE, "802-555-0199")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_an_answer_opens_for_the_asker(desk: Desk) -> None:
    from silenthit.look_up.findings import findings

    await desk.touched("a", [PHONE])
    question = asked(PHONE)
    body = await desk.ask(question)
    assert body.status is AnswerStatus.ANSWERED
    found = findings(body, question.token_secrets, TRUSTED)
    assert [each.agency for each in found.contacts] == ["Harbor City PD"]
    assert desk.sent[-1].topic == "answers.ma0140200"
    assert SIGNER.key_id.startswith(found.contacts[0].ori)


async def test_nothing_little_a_spent_quota_and_a_bad_form_have_one_size(tmp_path: Path) -> None:
    desk = Desk(tmp_path, LookUpSettings(allowance=Allowance(per_hour=2)))
    for number in range(8):
        await desk.touched(f"r{number}", [PHONE])
    bad = asked(PHONE)
    bad_inquiry = bad.inquiry.model_copy(update={"tokens": b"x" * 17})
    statuses = [
        (await desk.ask(each)).status for each in (asked(PHONE), asked(OTHER), asked(PHONE))
    ]
    await desk.answerer.take(inquiry_message(_with(bad, bad_inquiry)), desk)
    statuses.append(desk.opened(_with(bad, bad_inquiry)).status)
    assert statuses == [
        AnswerStatus.ANSWERED,
        AnswerStatus.ANSWERED,
        AnswerStatus.QUOTA_SPENT,
        AnswerStatus.MALFORMED,
    ]
    assert len({len(message.value or b"") for message in desk.sent}) == 1


@pytest.mark.parametrize("took_s", [0.001, 0.012, 0.049, 0.012 + TICK_S])
async def test_an_answer_leaves_at_a_tick_however_long_it_took_to_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took_s: float
) -> None:
    clock = SimulatedClock()
    desk = Desk(tmp_path, clock=clock)
    await desk.touched("a", [PHONE])
    look_up = desk.look_up.find

    async def slow(*question: Any) -> Found:
        await clock.sleep(took_s)
        return await look_up(*question)

    left: list[float] = []

    async def leaves(messages: Any) -> None:
        left.append(clock.monotonic())

    monkeypatch.setattr(desk.look_up, "find", slow)
    monkeypatch.setattr(desk, "send", leaves)
    asking = asyncio.create_task(desk.answerer.take(inquiry_message(asked(PHONE)), desk))
    while not asking.done():
        for _ in range(100):
            await asyncio.sleep(0)
        await clock.advance(0.001)
    assert left == [pytest.approx(TICK_S * ceil(took_s / TICK_S))]


def _with(question, inquiry):
    from dataclasses import replace

    return replace(question, inquiry=inquiry)


async def test_the_quota_is_each_organisations_own_and_comes_back_with_the_hour(
    tmp_path: Path,
) -> None:
    own = LookUpSettings(
        allowance=Allowance(per_hour=1), organisations={"fbi": Allowance(per_hour=2)}
    )
    desk = Desk(tmp_path, own)
    quota = desk.answerer._quota
    assert await quota.spend("ma0140200", b"1", NOW) == 0
    wait_s = await quota.spend("ma0140200", b"2", NOW)
    assert 0 < wait_s <= 3600
    assert await quota.spend("ma0140200", b"1", NOW) == 0  # the same one again is free
    assert await quota.spend("ma0140200", b"2", NOW + wait_s * 1000) == 0
    assert [await quota.spend("fbi", bytes([n]), NOW) > 0 for n in range(3)] == [False, False, True]


async def test_the_day_has_a_limit_of_its_own(tmp_path: Path) -> None:
    desk = Desk(tmp_path, LookUpSettings(allowance=Allowance(per_hour=5, per_day=1)))
    quota, hour = desk.answerer._quota, 3_600_000
    assert await quota.spend("fbi", b"1", NOW) == 0
    assert await quota.spend("fbi", b"2", NOW) > 0
    assert await quota.spend("fbi", b"2", NOW + hour) > 0
    assert await quota.spend("fbi", b"2", NOW + 24 * hour) == 0


async def test_an_agency_has_to_prove_itself_and_a_partner_is_known_by_its_topic(
    desk: Desk,
) -> None:
    for message in (
        inquiry_message(asked(PHONE), sender=None),
        inquiry_message(asked(PHONE), sender=HARBOR),
        inquiry_message(asked(PHONE), organisation="nobody", sender=None),
    ):
        await desk.answerer.take(message, desk)
    assert desk.sent == []
    assert desk.room.reasons() == ["forged_sender"] * 3
    await desk.answerer.take(inquiry_message(asked(PHONE), "fbi", sender=None), desk)
    assert [each.topic for each in desk.sent] == ["answers.fbi"]


async def test_the_book_says_who_asked_how_much_and_never_what(desk: Desk, tmp_path: Path) -> None:
    await desk.touched("a", [PHONE])
    await desk.ask(asked(PHONE))
    await desk.ask(asked(OTHER))
    assert [(each.organisation, each.status, each.cards) for each in lines(tmp_path)] == [
        ("ma0140200", "answered", 1),
        ("ma0140200", "answered", 0),
    ]
    (day,) = summed(tmp_path)
    assert (day["look_ups"], day["cards"], day["purpose"]) == (2, 1, "investigation")
    written = (tmp_path / "look-ups.jsonl").read_bytes()
    assert PHONE.value.hex().encode() not in written
    assert oct((tmp_path / "look-ups.jsonl").stat().st_mode)[-3:] == "600"


async def test_an_inquiry_under_another_key_than_its_own_is_set_aside(desk: Desk) -> None:

    message = inquiry_message(asked(PHONE), "fbi", sender=None)
    await desk.answerer.take(message._replace(key=b"k" * 16), desk)
    await desk.answerer.take(message._replace(value=b"junk"), desk)
    await desk.answerer.take(message._replace(value=None), desk)
    assert desk.sent == []
    assert desk.room.reasons() == ["wrong_key", "undecodable", "undecodable"]


def test_a_line_that_a_crash_tore_is_passed_over_and_the_book_goes_on(tmp_path: Path) -> None:
    book, asked_for = Book(tmp_path), Purpose.INVESTIGATION
    line = {"organisation": "fbi", "purpose": asked_for, "status": AnswerStatus.ANSWERED}
    book.write(at=NOW, cards=1, **line)  # type: ignore[arg-type]
    path = tmp_path / BOOK
    path.write_bytes(path.read_bytes() + b'{"at": 17, "organ')
    assert [each.cards for each in lines(tmp_path)] == [1]
    book.write(at=NOW, cards=2, **line)  # type: ignore[arg-type]
    assert [each.cards for each in lines(tmp_path)] == [1, 2]
