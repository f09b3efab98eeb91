"""Every answer leaves an entry before it is given; who asks as a partner is in the boxes alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas import codec
from schemas.disclosures import Disclosed, Disclosure, Event, What
from schemas.topics import ANSWER_DISCLOSURES
from silenthit.blinding.disclosure_boxes import BOX_BYTES, open_box
from silenthit.bus.clients import Message
from silenthit.errors import RetryError
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.disclosures_verify import Verifier
from tests.exchange_room import identified, ssn
from tests.look_up_room import Desk, asked, inquiry_message


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def links_of(desk: Desk) -> list[Disclosure]:
    return [codec.decode(link.value or b"", Disclosure) for link in desk.disclosed.links]


def entries_of(desk: Desk) -> list[Disclosed]:
    return [entry for link in links_of(desk) for entry in link.entries]


def faults(desk: Desk) -> list[str]:
    verifier = Verifier()
    verifier.take(
        Message(link.topic, 0, number, 0, link.key, link.value, ())
        for number, link in enumerate(desk.disclosed.links)
    )
    return [fault.what for fault in verifier.faults()]


async def test_what_an_agency_is_answered_is_written_down_first(desk: Desk) -> None:
    await desk.touched("r1", [ssn("1")])
    question = asked(ssn("1"))
    assert len((await desk.ask(question)).cards) == 1
    (entry,) = entries_of(desk)
    assert (entry.what, entry.id) == (What.ANSWER, question.inquiry.inquiry_id)
    assert (entry.status, entry.agency) == ("answered", "MA0140200")
    assert entry.records == identified("r1")
    assert (list(entry.kinds), entry.strong) == ([int(ssn("1").kind)], True)
    assert desk.disclosed.after == [0, 0]  # the chain's opening and the entry, before any answer
    assert {link.topic for link in desk.disclosed.links} == {ANSWER_DISCLOSURES.name}


async def test_an_answer_without_cards_leaves_an_entry_of_nearly_the_same_size(desk: Desk) -> None:
    await desk.ask(asked(ssn("1")))
    (entry,) = entries_of(desk)
    assert (entry.status, entry.records, entry.kinds) == ("answered", b"", b"")
    assert [len(box) for box in entry.boxes] == [BOX_BYTES] * 2


async def test_a_partner_that_asks_is_named_to_itself_and_the_court_alone(tmp_path: Path) -> None:
    own, court = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    keys = [each.public_key().public_bytes_raw().hex() for each in (own, court)]
    desk = Desk(tmp_path, disclosing=DisclosureSettings(partners={"fbi": keys[0]}, court=keys[1]))
    question = asked(ssn("1"))
    await desk.answerer.take(inquiry_message(question, "fbi", None), desk)
    (entry,) = entries_of(desk)
    assert entry.agency == ""
    assert b"fbi" not in b"".join(link.value or b"" for link in desk.disclosed.links)
    for key, box in zip((own, court), entry.boxes, strict=True):
        told = open_box(box, key, question.inquiry.inquiry_id)
        assert told is not None
        assert told.content == {"partner": "fbi"}


async def test_an_entry_that_is_not_confirmed_keeps_its_answer_back(desk: Desk) -> None:
    question = asked(ssn("1"))
    desk.disclosed.failures = 1
    with pytest.raises(RetryError):
        await desk.answerer.take(inquiry_message(question), desk)
    assert desk.sent == []
    await desk.ask(question)
    assert {entry.id for entry in entries_of(desk)} == {question.inquiry.inquiry_id}
    assert faults(desk) == []


async def test_many_at_once_share_links_and_each_is_written_before_its_answer(desk: Desk) -> None:
    questions = [asked(ssn(str(number))) for number in range(40)]
    await asyncio.gather(*(desk.answerer.take(inquiry_message(each), desk) for each in questions))
    assert {entry.id for entry in entries_of(desk)} == {q.inquiry.inquiry_id for q in questions}
    assert len(links_of(desk)) < len(questions)
    assert faults(desk) == []


async def test_who_shares_a_link_that_failed_is_not_answered_without_it(desk: Desk) -> None:
    desk.disclosed.failures = 2
    questions = [asked(ssn(str(number))) for number in range(6)]
    done = await asyncio.gather(
        *(desk.answerer.take(inquiry_message(each), desk) for each in questions),
        return_exceptions=True,
    )
    assert sum(isinstance(each, RetryError) for each in done) == 2
    assert len(desk.sent) == 4
    assert len(entries_of(desk)) >= 4
    assert faults(desk) == []


async def test_a_process_that_stops_in_order_ends_its_chain(desk: Desk) -> None:
    await desk.ask(asked(ssn("1")))
    await desk.answerer._disclosures.close()
    assert [link.event for link in links_of(desk)] == [Event.OPEN, Event.TOLD, Event.CLOSE]
    assert faults(desk) == []
