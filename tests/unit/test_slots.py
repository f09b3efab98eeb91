"""A slot says nothing to whom it is not sealed, a card nothing to who does not watch the same."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from schemas import codec
from schemas.messages import WatchRegistration
from schemas.packing import CARD_KEY, CARD_LOCK, NO_TOKEN, pack, rows
from schemas.parts import ContactCard
from schemas.vocabulary import MATCH_KEY_KINDS, MatchKeyKind, TokenClass, is_strong
from silenthit.blinding.cards_shown import MOST_CARD_BYTES, Held, open_card, seal_card
from silenthit.blinding.slots import (
    BOX_BYTES,
    MOST_LOCKS,
    SLOT_BYTES,
    Slot,
    fresh_key,
    open_slot,
    seal_slot,
    slot_place,
)
from silenthit.errors import InputError, SealError

CARD = ContactCard(ori="", agency="Task Force 7", name="SA Reyes", phone="203-555-0100")
PLACE = slot_place(b"r" * 16, 1, "fbi-ct")
SSN, PHONE, NAME, ADDRESS = (
    MatchKeyKind.SSN,
    MatchKeyKind.PHONE,
    MatchKeyKind.FULL_NAME,
    MatchKeyKind.ADDRESS,
)
HELD = [
    Held(0, 0, SSN, b"s" * 32),
    Held(1, 0, PHONE, b"p" * 32),
    Held(2, 0, NAME, b"n" * 32),
    Held(3, 0, ADDRESS, b"a" * 32),
    Held(5, 1, NAME, b"m" * 32),
]
TOKENS = {0: b"S" * 16, 1: b"P" * 16, 2: b"N" * 16, 3: b"A" * 16, 5: b"M" * 16}
SECRETS = {TOKENS[each.row]: each.secret for each in HELD}


def willing() -> Slot:
    box, locks = seal_card(CARD, HELD)
    return Slot(counts_from=7, mark=b"m" * 16, box=box, locks=locks)


def keys_of(locks: bytes) -> list[bytes]:
    """Each lock as the exchange would pass it on."""
    return [
        pack(
            [
                (
                    place,
                    TOKENS[int(lock["first"])],
                    TOKENS.get(int(lock["second"]), bytes(16)),
                    lock["wrapped"].tobytes(),
                )
            ],
            CARD_KEY,
        )
        for place, lock in enumerate(rows(locks, CARD_LOCK))
    ]


def test_willing_and_unwilling_have_one_size_and_look_like_a_point_and_noise() -> None:
    _, public = fresh_key()
    for key in (public, None):
        for slot in (willing(), None):
            sealed = seal_slot(key, slot, PLACE)
            assert len(sealed) == SLOT_BYTES
            assert sealed[31] < 0x80, "an X25519 public key has no highest bit; random bytes may"
            X25519PublicKey.from_public_bytes(sealed[:32])


def test_only_the_process_reads_it_and_only_in_its_place() -> None:
    private, public = fresh_key()
    sealed, slot = seal_slot(public, willing(), PLACE), None
    slot = open_slot(private, sealed, PLACE)
    assert slot is not None
    assert (slot.counts_from, slot.mark) == (7, b"m" * 16)
    other, _ = fresh_key()
    assert open_slot(other, sealed, PLACE) is None
    for place in (
        slot_place(b"q" * 16, 1, "fbi-ct"),
        slot_place(b"r" * 16, 2, "fbi-ct"),
        slot_place(b"r" * 16, 1, "fbi-ny"),
    ):
        assert open_slot(private, sealed, place) is None


def test_a_refusal_an_empty_slot_and_noise_are_all_nobody() -> None:
    private, public = fresh_key()
    for sealed in (
        seal_slot(public, None, PLACE),
        seal_slot(None, willing(), PLACE),
        b"",
        b"x" * 9,
    ):
        assert open_slot(private, sealed, PLACE) is None


def test_every_changed_byte_makes_it_nobodys() -> None:
    private, public = fresh_key()
    sealed = seal_slot(public, willing(), PLACE)
    for at in range(0, SLOT_BYTES, 61):
        changed = bytearray(sealed)
        changed[at] ^= 1
        assert open_slot(private, bytes(changed), PLACE) is None


def test_each_strong_token_and_each_admissible_pair_of_one_subject_opens_the_card() -> None:
    box, locks = seal_card(CARD, HELD)
    assert len(box) == BOX_BYTES
    found = [(int(lock["first"]), int(lock["second"])) for lock in rows(locks, CARD_LOCK)]
    assert found == [(0, NO_TOKEN), (1, NO_TOKEN), (2, 3)]
    for key in keys_of(locks):
        card, tokens = open_card(box, key + b"\xee" * CARD_KEY.itemsize, SECRETS)
        assert card == CARD
        assert set(tokens) <= set(SECRETS)


def test_a_token_without_its_secret_opens_nothing() -> None:
    box, locks = seal_card(CARD, HELD)
    for key in keys_of(locks):
        with pytest.raises(SealError):
            open_card(box, key, dict.fromkeys(SECRETS, b"x" * 32))
        with pytest.raises(SealError):
            open_card(box, key, {})
    half = {TOKENS[2]: b"n" * 32}
    with pytest.raises(SealError):
        open_card(box, keys_of(locks)[2], half)


def test_a_card_a_lock_or_a_row_that_was_changed_opens_nothing() -> None:
    box, locks = seal_card(CARD, HELD)
    key = keys_of(locks)[0]
    for at in range(0, BOX_BYTES, 23):
        changed = bytearray(box)
        changed[at] ^= 1
        with pytest.raises(SealError):
            open_card(bytes(changed), key, SECRETS)
    for at in (0, 1, *range(34, CARD_KEY.itemsize)):
        changed = bytearray(key)
        changed[at] ^= 1
        with pytest.raises(SealError):
            open_card(box, bytes(changed), SECRETS)
    for cut in (key[:-1], b""):
        with pytest.raises(SealError):
            open_card(box, cut, SECRETS)


def test_too_long_a_card_and_too_many_locks_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(InputError, match="shorten"):
        seal_card(CARD.model_copy(update={"case_number": "x" * MOST_CARD_BYTES}), HELD)
    crowd = [Held(n, n % 200, SSN, b"s" * 32) for n in range(MOST_LOCKS)]
    box, locks = seal_card(CARD, crowd)
    slot = Slot(counts_from=0, mark=bytes(16), box=box, locks=locks)
    assert len(seal_slot(None, slot, PLACE)) == SLOT_BYTES
    with pytest.raises(InputError, match="split it"):
        seal_card(CARD, [*crowd, Held(999, 0, SSN, b"s" * 32)])


def test_of_single_tokens_the_strong_ones_of_people_and_things_open_a_card() -> None:
    for kind, facts in MATCH_KEY_KINDS.items():
        _, locks = seal_card(CARD, [Held(0, 0, kind, b"s" * 32)])
        someones = facts.token_class is not TokenClass.PLACE_TIME
        assert bool(locks) == (is_strong(kind) and someones), kind


def test_a_registration_of_before_there_were_slots_is_still_read() -> None:
    now = WatchRegistration(
        registration_id=b"r" * 16, partner="p", epoch=1, tokens=b"t", kinds=(), expires_at=5
    )
    whole = codec.encode(now)
    (before,) = codec.earlier(WatchRegistration)
    written = before + whole[codec.PREFIX_BYTES : -1]  # an empty slot is one byte, its length
    assert codec.decode(written, WatchRegistration) == now
