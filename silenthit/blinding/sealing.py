"""Seal a touch: its parts are opened by the match rule and by nothing else (design section 4).

A root key a subject, wrapped (AES-KW, RFC 3394) once for each strong token and once for each
admissible pair of weak ones. A content key a part, wrapped under a key derived from each root that
the agency's sharing policy lets reach it. Parts are AES-256-GCM over padded plaintext.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import GRANT, LOCK, MAX_TOKENS, NO_TOKEN, TOKEN, pack
from schemas.parts import AgencySignature, Frozen
from schemas.vocabulary import MatchKeyKind, admissible_pair, is_strong
from silenthit.blinding.dummies import TOKEN_BUCKET, dummy_tokens, places_of, token_padding
from silenthit.blinding.locks import (
    KEY_BYTES,
    NONCE_BYTES,
    associated_data,
    derived,
    derived_many,
    grant_label,
    lock_label,
    pad,
    signed_digest,
)
from silenthit.blinding.prf import Token
from silenthit.errors import InputError

MAX_SUBJECTS = 200
MAX_LOCKS = 0xFFFF
_WRAPPED_BYTES = 40
_STRONG = frozenset(kind for kind in MatchKeyKind if is_strong(kind))


@dataclass(frozen=True, slots=True)
class Part:
    """One part before sealing: its content and the subjects, by number, whose root reaches it."""

    content: Frozen = field(repr=False)
    reached_by: frozenset[int]


@dataclass(frozen=True, slots=True)
class Signer:
    """The agency's signing key and the id under which partners know it, "<ORI>#<n>"."""

    key_id: str
    key: Ed25519PrivateKey = field(repr=False)


class _Row(NamedTuple):
    """A row of the touch's tokens; a dummy, which only fills the bucket, has no secret."""

    subject: int
    value: bytes
    kind: MatchKeyKind
    secret: bytes

    def __repr__(self) -> str:
        return f"_Row({self.subject}, {self.kind!r})"


def seal(
    header: TouchHeader,
    subjects: Sequence[Sequence[Token]],
    parts: Sequence[Part],
    signer: Signer,
) -> SubjectTouch:
    """Seal the parts of a touch for whoever satisfies the match rule with one of its subjects.

    `subjects` holds each subject's tokens, at place = subject number. A signature part, reached by
    every subject, is added last. Raises InputError for a touch that nobody could ever open, or one
    too large for its counters.
    """
    _check(subjects)
    roots = [secrets.token_bytes(KEY_BYTES) for _ in subjects]
    rows = _token_rows(subjects, _dummy_seed(header, signer))
    clear = codec.encode(header)
    sealed, keys = _seal_parts(clear, [codec.encode(part.content) for part in parts])
    signature = signer.key.sign(signed_digest(clear, sealed))
    signed = codec.encode(AgencySignature(signer=signer.key_id, signature=signature))
    key = secrets.token_bytes(KEY_BYTES)
    sealed.append(_encrypt(key, signed, clear, len(sealed)))
    reach = [part.reached_by for part in parts] + [frozenset(range(len(subjects)))]
    return SubjectTouch(
        header=clear,
        tokens=pack([(row.subject, row.kind, row.value) for row in rows], TOKEN),
        locks=pack(_locks(header, rows, roots), LOCK),
        grants=pack(_grants(roots, reach, [*keys, key]), GRANT),
        parts=tuple(sealed),
    )


@lru_cache(maxsize=8)
def _dummy_key(signer: Signer) -> bytes:
    return signer.key.sign(b"silenthit/1/dummies")


def _dummy_seed(header: TouchHeader, signer: Signer) -> bytes:
    """What a record's dummies are drawn from: nobody but the agency can tell."""
    return derived(_dummy_key(signer), header.record_id + header.epoch.to_bytes(4, "big"))


def _check(subjects: Sequence[Sequence[Token]]) -> None:
    if not 0 < len(subjects) <= MAX_SUBJECTS:
        raise InputError(f"expected 1 to {MAX_SUBJECTS} subjects, got {len(subjects)}")
    if not any(subjects):
        raise InputError("expected at least one identifier that gives a match key, got none")
    if sum(map(len, subjects)) + TOKEN_BUCKET > MAX_TOKENS:
        raise InputError(f"expected at most {MAX_TOKENS - TOKEN_BUCKET} tokens in one touch")


def _token_rows(subjects: Sequence[Sequence[Token]], seed: bytes) -> list[_Row]:
    """Number the tokens and fill up with dummies, in an order that does not tell them apart.

    A record has the same dummies in each of its revisions: fresh ones would show by changing.
    """
    rows = [
        _Row(number, token.value, token.kind, token.secret)
        for number, tokens in enumerate(subjects)
        for token in tokens
    ]
    places = places_of((row.subject, row.kind) for row in rows)
    fillers = dummy_tokens(seed, token_padding(len(rows)), len(subjects), places=places)
    rows += [_Row(subject, value, kind, b"") for subject, kind, value in fillers]
    return sorted(rows)


def _locks(
    header: TouchHeader, rows: Sequence[_Row], roots: Sequence[bytes]
) -> list[tuple[int | bytes, ...]]:
    """One lock a strong token and one an admissible pair of weak ones, ordered by their rows."""
    weak = [i for i, row in enumerate(rows) if row.kind not in _STRONG]
    strong = [(i, NO_TOKEN) for i, row in enumerate(rows) if row.kind in _STRONG]
    pairs = [
        (i, j)
        for i, j in combinations(weak, 2)
        if rows[i].subject == rows[j].subject and admissible_pair(rows[i].kind, rows[j].kind)
    ]
    if len(strong) + len(pairs) > MAX_LOCKS:
        raise InputError(f"expected at most {MAX_LOCKS} locks in one touch; split the record")
    locks: list[tuple[int | bytes, ...]] = []
    label = lock_label(header)
    for position, (i, j) in enumerate(sorted(strong + pairs)):
        subject, secret = rows[i].subject, rows[i].secret
        if j != NO_TOKEN:
            secret += rows[j].secret
        wrapped = (
            aes_key_wrap(derived(secret, label + position.to_bytes(2, "big")), roots[subject])
            if secret
            else secrets.token_bytes(_WRAPPED_BYTES)
        )
        locks.append((position, subject, i, j, wrapped))
    return locks


def _seal_parts(header: bytes, contents: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    keys = [secrets.token_bytes(KEY_BYTES) for _ in contents]
    sealed = [
        _encrypt(key, content, header, number)
        for number, (key, content) in enumerate(zip(keys, contents, strict=True))
    ]
    return sealed, keys


def _encrypt(key: bytes, content: bytes, header: bytes, number: int) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, pad(content), associated_data(header, number))


def _grants(
    roots: Sequence[bytes], reach: Sequence[frozenset[int]], keys: Sequence[bytes]
) -> list[tuple[int | bytes, ...]]:
    """A row for every subject and part, so that whose parts are withheld shows nowhere."""
    grants: list[tuple[int | bytes, ...]] = []
    for subject, root in enumerate(roots):
        withheld = [subject not in subjects for subjects in reach]
        labels = [grant_label(part, withheld=each) for part, each in enumerate(withheld)]
        for part, key in enumerate(derived_many(root, labels)):
            content = secrets.token_bytes(KEY_BYTES) if withheld[part] else keys[part]
            grants.append((subject, part, aes_key_wrap(key, content)))
    return grants
