"""A question: one subject's tokens in every epoch that can be read, and the keys to its answer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas.inquiries import Inquiry, Purpose
from schemas.packing import TOKEN, pack
from schemas.parts import Subject
from schemas.rule import can_satisfy
from silenthit.blinding.dummies import dummy_tokens, token_padding
from silenthit.blinding.envelope import fresh_key
from silenthit.blinding.epochs import Epochs
from silenthit.blinding.prf import Prf, Token
from silenthit.errors import InputError
from silenthit.identity.match_keys import match_keys

ID_BYTES = 16
MOST_TOKENS = 2_048  # of one inquiry; the exchange refuses more


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is sent, and what stays here to open the answer with."""

    inquiry: Inquiry = field(repr=False)
    token_secrets: Mapping[bytes, bytes] = field(repr=False)  # token to secret
    reply_key: X25519PrivateKey = field(repr=False)


def question(
    subject: Subject, *, purpose: Purpose, prf: Prf, epochs: Epochs, area_code: str = ""
) -> Question:
    """Blind a subject into a question.

    Raises InputError for too little to find anybody by or far too many identifiers, and what the
    PRF raises: RetryError when a key holder is away.
    """
    keys = match_keys(subject, area_code=area_code)
    if not can_satisfy([key.kind for key in keys]):
        raise InputError(
            "expected enough to find anybody by, got too little; add a birth date and the full "
            "name, or an identifier: phone, plate, document, e-mail, social handle …"
        )
    tokens = [token for epoch in epochs.readable for token in prf.tokens(epoch, keys)]
    private, public = fresh_key()
    return Question(
        inquiry=Inquiry(
            inquiry_id=secrets.token_bytes(ID_BYTES),
            purpose=purpose,
            tokens=_packed(tokens),
            reply_key=public,
        ),
        token_secrets={token.value: token.secret for token in tokens},
        reply_key=private,
    )


def _packed(tokens: list[Token]) -> bytes:
    """Rows of one subject, filled up with dummies, in an order that does not tell them apart."""
    found = {(0, int(token.kind), token.value) for token in tokens}
    seed = secrets.token_bytes(32)
    for subject, kind, value in dummy_tokens(seed, token_padding(len(found)), subjects=1):
        found.add((subject, int(kind), value))
    if len(found) > MOST_TOKENS:
        raise InputError(
            f"expected at most {MOST_TOKENS:,} tokens in a look-up, got {len(found):,}; give fewer "
            "names and identifiers at once"
        )
    ordered = sorted(found, key=lambda row: row[2])
    return pack(list[tuple[int | bytes, ...]](ordered), TOKEN)
