"""Invented touches and watches of the right form and size, made at the speed they are read.

Sealed touches are taken as moulds: record id and tokens of each are replaced by random ones, and
the sender's code is computed anew. What is sealed in them opens to nobody, and the exchange, being
blind, can't tell. A watch's tokens follow from its number, so that a touch can be made to meet it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader, WatchRegistration, registration_key
from schemas.packing import TOKEN, TOKEN_BYTES
from schemas.parts import ContactCard, PersonName, Subject, TouchCommon
from schemas.topics import WATCHES
from schemas.vocabulary import CoarseKind, MatchKeyKind, TouchKind
from silenthit.blinding.prf import Token
from silenthit.blinding.sealed_watches import Place, WatchSeal
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.blinding.slots import SLOT_BYTES
from silenthit.bus.sender import Headers, SenderKey, sender_headers

SUBJECTS = {1: 70, 2: 20, 3: 7, 4: 3}  # of a hundred touches, how many have so many subjects
MOULDS = 100
SENDER = SenderKey("MA0130100#1", b"b" * 32)
PARTNER = "fbi"
WATCH_KEY = X25519PrivateKey.from_private_bytes(b"w" * 32)
WATCH_KINDS = [MatchKeyKind(number) for number in (*range(14, 29), 32, 33, 34, 36, 7)]
TOUCH_KINDS = [MatchKeyKind(number) for number in (*range(14, 24), 24, 25, 26, 27, 32, 33, 36, 7)]
MET_BY = MatchKeyKind.PHONE  # the strong key that a touch and a watch are made to share
BLOCK = 1_000
EXPIRES = 4_000_000_000_000
_SEED = 20_261_123


@dataclass(frozen=True, slots=True)
class Mould:
    """A sealed touch, and where in its bytes the random parts go."""

    value: bytes
    record_at: int
    tokens_at: int
    rows: int
    met_row: int


def moulds(sender: SenderKey = SENDER) -> list[Mould]:
    """Seal an agency's touches in the mix of SUBJECTS."""
    signer = Signer(sender.key_id, Ed25519PrivateKey.generate())
    counts = [count for count, share in SUBJECTS.items() for _ in range(share * MOULDS // 100)]
    return [_mould(count, signer) for count in counts]


def _mould(subjects: int, signer: Signer) -> Mould:
    header = TouchHeader(
        record_id=os.urandom(16),
        revision=1,
        sender=signer.key_id,
        epoch=1,
        expiry_month="2031-01",
        kind=CoarseKind.CONTACT,
    )
    tokens = [
        [Token(kind, os.urandom(16), os.urandom(32)) for kind in TOUCH_KINDS]
        for _ in range(subjects)
    ]
    everyone = frozenset(range(subjects))
    card = ContactCard(ori="MA0130100", agency="Harbor City PD", phone="+16175550100")
    common = TouchCommon(record_number="24-1187", kind=TouchKind.FIELD_CONTACT, narrative="x" * 400)
    person = Subject(names=(PersonName(surname="Quillfeather", given="John"),))
    parts = [Part(card, everyone), Part(common, everyone)]
    parts += [Part(person, frozenset({number})) for number in range(subjects)]
    touch = seal(header, tokens, parts, signer)
    value = codec.encode(touch)
    rows = np.frombuffer(touch.tokens, TOKEN)
    met_row = int(np.flatnonzero(rows["kind"] == MET_BY)[0])
    return Mould(
        value, value.index(header.record_id), value.index(touch.tokens), len(rows), met_row
    )


def touches(
    count: int, matching: float, watches: int, *, seed: int = 0, sender: SenderKey = SENDER
) -> Iterator[tuple[bytes, bytes, Headers]]:
    """Yield key, value and headers of touches, a share of which meets one of the watches each."""
    chance = random.Random(_SEED + seed)
    cast = moulds(sender)
    for _ in range(count):
        mould = chance.choice(cast)
        value = bytearray(mould.value)
        record_id = os.urandom(TOKEN_BYTES)
        value[mould.record_at : mould.record_at + TOKEN_BYTES] = record_id
        fresh = os.urandom(TOKEN_BYTES * mould.rows)
        for row in range(mould.rows):
            at = mould.tokens_at + row * TOKEN.itemsize + 2
            value[at : at + TOKEN_BYTES] = fresh[row * TOKEN_BYTES : (row + 1) * TOKEN_BYTES]
        if chance.random() < matching:
            at = mould.tokens_at + mould.met_row * TOKEN.itemsize + 2
            value[at : at + TOKEN_BYTES] = met_token(chance.randrange(watches))
        content = bytes(value)
        yield record_id, content, sender_headers(sender, record_id, content)


def watch_tokens(block: int) -> np.ndarray:
    """Return the tokens of a block of watches, (BLOCK, 20, 16) bytes, and their ids before."""
    drawn = np.random.Generator(np.random.Philox(key=_SEED + block))
    each = 1 + len(WATCH_KINDS)
    return np.frombuffer(drawn.bytes(BLOCK * each * TOKEN_BYTES), np.uint8).reshape(
        BLOCK, each, TOKEN_BYTES
    )


def met_token(watch: int) -> bytes:
    """Return the token that a touch needs to meet a watch."""
    return watch_tokens(watch // BLOCK)[watch % BLOCK, 1 + WATCH_KINDS.index(MET_BY)].tobytes()


def registrations(first: int, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of the watches with these numbers, sealed as a partner seals them."""
    topic, seal = (
        WATCHES.of(PARTNER),
        WatchSeal.fresh(WATCH_KEY.public_key().public_bytes_raw(), PARTNER, 1),
    )
    for key, registration in _plain_registrations(first, count):
        yield key, codec.encode(seal.message(registration, Place(topic, key, PARTNER)))


def _plain_registrations(first: int, count: int) -> Iterator[tuple[bytes, bytes]]:
    rows = np.zeros(len(WATCH_KINDS), TOKEN)
    rows["kind"] = WATCH_KINDS
    mould = WatchRegistration(
        registration_id=bytes(16),
        partner=PARTNER,
        epoch=1,
        tokens=rows.tobytes(),
        kinds=(),
        expires_at=EXPIRES,
        slot=os.urandom(SLOT_BYTES),
    )
    value = bytearray(codec.encode(mould))
    id_at, tokens_at = 10, value.index(rows.tobytes())
    block = -1
    for number in range(first, first + count):
        if number // BLOCK != block:
            block = number // BLOCK
            drawn = watch_tokens(block)
        registration_id = drawn[number % BLOCK, 0].tobytes()
        rows["token"] = np.ascontiguousarray(drawn[number % BLOCK, 1:]).view("V16")[:, 0]
        value[id_at : id_at + 16] = registration_id
        value[tokens_at : tokens_at + len(rows) * TOKEN.itemsize] = rows.tobytes()
        yield registration_key(registration_id, 1), bytes(value)


def describe(values: list[bytes]) -> str:
    """Say what the touches are like, as measured."""
    decoded = [codec.decode(value, SubjectTouch) for value in values]
    rows = [np.frombuffer(each.tokens, TOKEN) for each in decoded]
    people = sum(len(set(each["subject"].tolist())) for each in rows)
    mix = ", ".join(f"{share} % {count}" for count, share in SUBJECTS.items())
    return (
        f"subjects a touch: {mix}; a subject: {sum(map(len, rows)) / people:.0f} tokens, "
        f"{sum(map(len, values)) / people / 1000:.1f} KB"
    )
