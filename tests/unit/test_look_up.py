"""What an inquiry finds: by the match rule, the latest first, and nothing that is not for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import codec
from schemas.messages import TouchHeader
from schemas.vocabulary import CoarseKind, MatchKeyKind
from silenthit.blinding.sealing import Part, seal
from stream_processors.look_up import MOST_CARDS
from stream_processors.look_up_cards import sealed_card
from tests.exchange_room import HARBOR, SIGNER, identified, ssn, token, touch_of
from tests.look_up_room import NOW, Desk, rows_of

PHONE = token(MatchKeyKind.PHONE, "802-555-0142")
OTHER = token(MatchKeyKind.PHONE, "802-555-0199")
NAME = token(MatchKeyKind.FULL_NAME, "john quill")
ADDRESS = token(MatchKeyKind.ADDRESS, "12 tanglewood")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_every_touch_that_satisfies_the_rule_is_found_the_latest_first(desk: Desk) -> None:
    await desk.touched("a", [PHONE])
    await desk.touched("b", [OTHER])
    await desk.touched("c", [OTHER], [PHONE])
    found = await desk.found(PHONE)
    assert [each.header.record_id for each in found] == [identified("c"), identified("a")]
    assert {each.card.agency for each in found} == {"Harbor City PD"}


async def test_two_weak_tokens_of_one_subject_find_and_of_two_do_not(desk: Desk) -> None:
    await desk.touched("one", [NAME, ADDRESS])
    await desk.touched("two", [NAME], [ADDRESS, OTHER])
    assert [e.header.record_id for e in await desk.found(NAME, ADDRESS)] == [identified("one")]
    assert await desk.found(NAME) == []


@pytest.mark.parametrize("kind", [CoarseKind.INQUIRY, CoarseKind.OPERATION])
async def test_neither_look_ups_nor_planned_operations_are_found(
    desk: Desk, kind: CoarseKind
) -> None:
    await desk.touched("a", [PHONE], kind=kind)
    await desk.touched("b", [PHONE])
    assert [each.header.record_id for each in await desk.found(PHONE)] == [identified("b")]


async def test_many_who_asked_do_not_bury_what_is_to_be_found(desk: Desk) -> None:
    await desk.touched("a", [PHONE])
    for number in range(100):
        await desk.touched(f"asked {number}", [PHONE], kind=CoarseKind.INQUIRY)
    found = await desk.look_up.find(rows_of(PHONE), NOW)
    assert (len(found.cards), found.more) == (1, False)


async def test_a_correction_and_a_retraction_count_at_once(desk: Desk) -> None:
    await desk.touched("a", [PHONE])
    await desk.touched("a", [OTHER], revision=2)
    assert await desk.found(PHONE) == []
    assert len(await desk.found(OTHER)) == 1
    await desk.lay(desk.room.message(None, "a", revision=3))
    assert await desk.found(OTHER) == []


async def test_what_has_expired_is_not_found(desk: Desk) -> None:
    await desk.touched("a", [PHONE])
    later = NOW + 8 * 366 * 86_400_000
    assert (await desk.look_up.find(rows_of(PHONE), later)).cards == ()
    assert len((await desk.look_up.find(rows_of(PHONE), NOW)).cards) == 1


async def test_a_popular_token_gives_the_latest_and_says_that_there_are_more(desk: Desk) -> None:
    for number in range(MOST_CARDS + 5):
        await desk.touched(f"r{number}", [PHONE])
    found = await desk.look_up.find(rows_of(PHONE), NOW)
    assert (len(found.cards), found.more) == (MOST_CARDS, True)
    latest = codec.decode(found.cards[0].header, TouchHeader)
    assert latest.record_id == identified(f"r{MOST_CARDS + 4}")


def test_by_an_unlisted_subject_nothing_is_found_and_by_the_others_it_is() -> None:
    header = TouchHeader(
        record_id=identified("v"),
        revision=1,
        sender=HARBOR.key_id,
        epoch=1,
        expiry_month="2031-01",
        kind=CoarseKind.CONTACT,
        unlisted=bytes([1]),
    )
    touch = touch_of("v", [PHONE], [ssn("victim")])
    sealed = touch.model_copy(update={"header": codec.encode(header)})
    assert sealed_card(sealed, rows_of(ssn("victim")), unlisted=header.unlisted) is None
    assert sealed_card(sealed, rows_of(PHONE), unlisted=header.unlisted) is not None


def test_a_card_carries_nothing_of_the_other_parts_and_one_lock() -> None:
    touch = touch_of("r", [PHONE, ssn("1"), ssn("2")], [OTHER])
    card = sealed_card(touch, rows_of(PHONE, ssn("1")))
    assert card is not None
    assert len(card.locks) == 47
    assert len(card.matches) == 21
    assert len(card.grants) == 2 * 42
    carried = b"".join(each for each in card.model_dump().values() if isinstance(each, bytes))
    for part in touch.parts[1:-1]:
        assert part[:16] not in carried
    assert {card.card, card.signature} == {touch.parts[0], touch.parts[-1]}


async def test_the_agencys_policy_hides_a_role_by_marking_its_subjects() -> None:
    from producers.sharing import SharingPolicy
    from schemas.parts import Subject
    from schemas.vocabulary import SubjectRole

    subjects = [Subject(role=SubjectRole.SUSPECT), Subject(role=SubjectRole.VICTIM)]
    assert SharingPolicy().unlisted(subjects) == b""
    policy = SharingPolicy(unlisted_roles=frozenset({SubjectRole.VICTIM}))
    assert policy.unlisted(subjects) == bytes([1])


def test_a_touch_that_withholds_its_card_from_a_subject_does_not_open() -> None:
    from schemas.parts import ContactCard, Subject, TouchCommon
    from schemas.vocabulary import TouchKind
    from silenthit.blinding.cards import open_card
    from silenthit.errors import SealError
    from tests.look_up_room import TRUSTED

    header = codec.decode(touch_of("r", [PHONE]).header, TouchHeader)
    card, common = (
        ContactCard(ori="X", agency="Y"),
        TouchCommon(record_number="1", kind=TouchKind.TIP),
    )
    only_second = frozenset({1})
    parts = [Part(card, only_second), Part(common, only_second)]
    parts += [Part(Subject(), only_second)] * 2
    touch = seal(header, [[PHONE], [OTHER]], parts, SIGNER)
    first, second = sealed_card(touch, rows_of(PHONE)), sealed_card(touch, rows_of(OTHER))
    assert first is not None
    assert second is not None
    assert open_card(second, {OTHER.value: OTHER.secret}, TRUSTED).card == card
    with pytest.raises(SealError):
        open_card(first, {PHONE.value: PHONE.secret}, TRUSTED)
