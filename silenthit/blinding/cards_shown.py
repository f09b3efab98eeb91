"""The card that a watch shows to whoever watches the same subject: sealed by the match rule.

A root is wrapped under each strong token of a subject and under each admissible pair of weak ones,
as a touch's is; the card is AES-256-GCM under a key derived from it. So the exchange carries a card
that it cannot read, and only somebody who watches one of its subjects opens it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from schemas import codec
from schemas.packing import CARD_KEY, CARD_LOCK, NO_TOKEN, pack, rows
from schemas.parts import ContactCard
from schemas.vocabulary import admissible_pair, is_of_a_subject, is_strong
from silenthit.blinding.locks import KEY_BYTES, LENGTH_BYTES, NONCE_BYTES, derived
from silenthit.blinding.slots import BOX_BYTES, MOST_LOCKS
from silenthit.errors import InputError, SealError

_PADDED_BYTES = BOX_BYTES - NONCE_BYTES - 16
MOST_CARD_BYTES = _PADDED_BYTES - LENGTH_BYTES
_LABEL = b"silenthit/1/card-shown"


class Held(NamedTuple):
    """A token of the watch: its row in the registration, whose it is, and its secret."""

    row: int
    subject: int
    kind: int
    secret: bytes

    def __repr__(self) -> str:
        return f"Held({self.subject}, {self.kind})"


def seal_card(card: ContactCard, held: Sequence[Held]) -> tuple[bytes, bytes]:
    """Return the box, 540 bytes, and its locks, rows of packing.CARD_LOCK.

    Raises InputError for a card of more than 508 bytes, or a watch of more than 79 locks.
    """
    content = codec.encode(card)
    if len(content) > MOST_CARD_BYTES:
        raise InputError(
            f"expected a card of at most {MOST_CARD_BYTES} bytes, got {len(content)}; shorten the "
            "name, the way to call or the case label"
        )
    ways = list(_ways(held))
    if len(ways) > MOST_LOCKS:
        raise InputError(
            f"expected a watch with at most {MOST_LOCKS} ways to be matched, got {len(ways)}; "
            "split it into several watches to deconflict each"
        )
    root, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    framed = len(content).to_bytes(LENGTH_BYTES, "big") + content
    box = nonce + AESGCM(_card_key(root)).encrypt(nonce, framed.ljust(_PADDED_BYTES, b"\0"), _LABEL)
    locks: list[tuple[int | bytes, ...]] = [
        (first, second, aes_key_wrap(_lock_key(nonce, position, secret), root))
        for position, (first, second, secret) in enumerate(ways)
    ]
    return box, pack(locks, CARD_LOCK)


def _ways(held: Sequence[Held]) -> Iterator[tuple[int, int, bytes]]:
    """Yield each lock's rows and what opens it: the strong ones, then the pairs of one subject."""
    ours = [each for each in held if is_of_a_subject(each.kind)]
    for each in ours:
        if is_strong(each.kind):
            yield each.row, NO_TOKEN, each.secret
    for one, other in combinations([each for each in ours if not is_strong(each.kind)], 2):
        if one.subject == other.subject and admissible_pair(one.kind, other.kind):
            yield one.row, other.row, one.secret + other.secret


def _lock_key(nonce: bytes, position: int, secret: bytes) -> bytes:
    return derived(secret, _LABEL + b"/lock" + nonce + position.to_bytes(2, "big"))


def _card_key(root: bytes) -> bytes:
    return derived(root, _LABEL + b"/card")


def open_card(
    box: bytes, keys: bytes, own: Mapping[bytes, bytes]
) -> tuple[ContactCard, tuple[bytes, ...]]:
    """Open a card with one's own token secrets; return it and the own tokens that opened it.

    `keys` are rows of packing.CARD_KEY, of which those that name no own token only fill up. Raises
    SealError when none opens it, or what it holds is no card.
    """
    nonce, card = box[:NONCE_BYTES], None
    opened: list[bytes] = []
    whole = len(keys) % CARD_KEY.itemsize == 0
    for row in rows(keys, CARD_KEY) if whole else ():
        tokens = [row["first"].tobytes(), row["second"].tobytes()]
        tokens = tokens if any(tokens[1]) else tokens[:1]
        if any(token not in own for token in tokens):
            continue
        secret = b"".join(own[token] for token in tokens)
        key = _lock_key(nonce, int(row["position"]), secret)
        try:
            root = aes_key_unwrap(key, row["wrapped"].tobytes())
            framed = AESGCM(_card_key(root)).decrypt(nonce, box[NONCE_BYTES:], _LABEL)
            end = LENGTH_BYTES + int.from_bytes(framed[:LENGTH_BYTES], "big")
            card = codec.decode(framed[LENGTH_BYTES:end], ContactCard)
        except (InvalidUnwrap, InvalidTag, ValueError):
            continue
        opened += tokens
    if card is None:
        raise SealError(
            "expected a card that one's own watch opens, got none; report the meeting to the "
            "exchange"
        )
    return card, tuple(opened)
