"""A card opens for who knows the identifier, whole and signed, and for nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.inquiries import SealedCard
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.cards import open_card
from silenthit.errors import SealError, UnknownSignerError
from stream_processors.look_up_cards import sealed_card
from tests.exchange_room import SIGNER, ssn, token, touch_of
from tests.look_up_room import TRUSTED, rows_of

PHONE = token(MatchKeyKind.PHONE, "802-555-0142")
MINE = {PHONE.value: PHONE.secret}


@pytest.fixture
def card() -> SealedCard:
    made = sealed_card(touch_of("r", [PHONE, ssn("1")], [ssn("2")]), rows_of(PHONE))
    assert made is not None
    return made


def test_it_opens_for_the_holder_of_the_token_secret(card: SealedCard) -> None:
    opened = open_card(card, MINE, TRUSTED)
    assert (opened.card.agency, opened.published) == ("Harbor City PD", False)


def test_it_stays_shut_for_who_has_the_token_and_not_its_secret(card: SealedCard) -> None:
    with pytest.raises(SealError):
        open_card(card, {PHONE.value: b"x" * 32}, TRUSTED)
    with pytest.raises(SealError):
        open_card(card, {}, TRUSTED)


def test_an_unknown_signer_is_named_and_nothing_is_shown(card: SealedCard) -> None:
    with pytest.raises(UnknownSignerError) as error:
        open_card(card, MINE, {})
    assert error.value.organisation == "MA0130100"


def test_another_key_under_the_known_id_does_not_verify(card: SealedCard) -> None:
    other = {SIGNER.key_id: Ed25519PrivateKey.generate().public_key()}
    with pytest.raises(SealError):
        open_card(card, MINE, other)


# Row in the touch, touch subject, token; which of the asked subjects it is says nothing here.
NEEDED_OF_A_MATCH = {0, 1, 2, *range(5, 21)}
COLUMNS = ["header", "matches", "locks", "grants", "digests", "card", "signature"]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_byte_of_every_column_counts(card: SealedCard, column: str) -> None:
    packed: bytes = getattr(card, column)
    for at in range(0, len(packed), max(1, len(packed) // 60)):
        changed = bytearray(packed)
        changed[at] ^= 1
        if column != "matches" or at in NEEDED_OF_A_MATCH:
            refuses(card.model_copy(update={column: bytes(changed)}))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_cut_short_or_left_out_is_refused(card: SealedCard, column: str) -> None:
    packed: bytes = getattr(card, column)
    refuses(card.model_copy(update={column: packed[:-1]}))
    refuses(card.model_copy(update={column: b""}))


def test_a_touchs_card_is_not_taken_for_a_publication(card: SealedCard) -> None:
    refuses(card.model_copy(update={"published": True}))


def test_the_card_of_another_touch_of_the_same_agency_is_not_taken(card: SealedCard) -> None:
    other = sealed_card(touch_of("s", [PHONE]), rows_of(PHONE))
    assert other is not None
    refuses(card.model_copy(update={"card": other.card}))
    refuses(card.model_copy(update={"header": other.header}))


def refuses(changed: Any) -> None:
    with pytest.raises(SealError):
        open_card(changed, MINE, TRUSTED)
