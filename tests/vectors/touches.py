"""Hypothesis strategies for sealed touches and for partners who know some of their tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import GRANT, LOCK, MATCH, NO_TOKEN, TOKEN, pack, rows
from schemas.parts import ContactCard, Frozen, Subject, TouchCommon
from schemas.rule import satisfies
from schemas.vocabulary import CoarseKind, MatchKeyKind, SubjectRole, TouchKind
from silenthit.blinding.opening import Opened, Sealed, open_touch
from silenthit.blinding.prf import Token
from silenthit.blinding.sealing import Part, Signer, seal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer("VT0040100#1", KEY)
TRUSTED = {SIGNER.key_id: KEY.public_key()}
HEADER = TouchHeader(
    record_id=bytes(range(16)),
    revision=3,
    sender="VT0040100#2",
    epoch=7,
    expiry_month="2031-12",
    kind=CoarseKind.CONTACT,
)
CARD = ContactCard(ori="VT0040100", agency="Springfield PD", phone="802-555-0100")
COMMON = TouchCommon(record_number="24-1", kind=TouchKind.TRAFFIC_STOP, narrative="narrative")

Owned = tuple[int, Token]  # a token and the subject of the watch that it belongs to


def token(kind: MatchKeyKind) -> Token:
    """A token as a key holder would give, of a match key that nobody else has."""
    return Token(kind, secrets.token_bytes(16), secrets.token_bytes(32))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A sealed touch with what went into it."""

    touch: SubjectTouch
    subjects: tuple[tuple[Token, ...], ...]
    contents: tuple[Frozen, ...]
    reach: tuple[frozenset[int], ...]

    def reached_by(self, matched: Iterable[int]) -> set[int]:
        own = set(matched)
        return {part for part, subjects in enumerate(self.reach) if subjects & own}


def sealed_case(
    subjects: Sequence[Sequence[Token]],
    reach: Sequence[frozenset[int]] | None = None,
    *,
    header: TouchHeader = HEADER,
    signer: Signer = SIGNER,
    narrative: str = "narrative",
) -> Case:
    people = [
        Subject(role=SubjectRole.CONTACT, birth_dates=(f"1980-01-{number + 1:02d}",))
        for number in range(len(subjects))
    ]
    contents = (CARD, COMMON.model_copy(update={"narrative": narrative}), *people)
    everybody = frozenset(range(len(subjects)))
    policy = tuple(reach) if reach is not None else (everybody,) * len(contents)
    parts = [Part(each, to) for each, to in zip(contents, policy, strict=True)]
    return Case(
        touch=seal(header, subjects, parts, signer),
        subjects=tuple(map(tuple, subjects)),
        contents=contents,
        reach=policy,
    )


@st.composite
def cases(draw: st.DrawFn, most_subjects: int = 3, most_tokens: int = 5) -> Case:
    """Touches of several subjects, strong and weak tokens, some shared, any sharing policy."""
    count = draw(st.integers(1, most_subjects))
    kinds = st.lists(st.sampled_from(MatchKeyKind), max_size=most_tokens)
    subjects = [[token(kind) for kind in draw(kinds)] for _ in range(count)]
    if not any(subjects):
        subjects[0].append(token(draw(st.sampled_from(MatchKeyKind))))
    pool = [each for tokens in subjects for each in tokens]
    for tokens in subjects:  # a phone of two people, a surname and address of a family
        tokens += [
            each
            for each in draw(st.sets(st.sampled_from(range(len(pool))), max_size=2))
            for each in [pool[each]]
            if each not in tokens
        ]
    some = st.frozensets(st.integers(0, count - 1))
    return sealed_case(subjects, [draw(some) for _ in range(count + 2)])


@st.composite
def known_tokens(draw: st.DrawFn, case: Case) -> list[Owned]:
    """What a partner watches: some tokens of the touch under any subjects, and some others."""
    pool = sorted({t for tokens in case.subjects for t in tokens}, key=lambda t: t.value)
    chosen = draw(st.lists(st.sampled_from(pool), unique=True, max_size=len(pool)))
    owned = [(draw(st.integers(0, 1)), each) for each in chosen]
    return owned + [(0, token(MatchKeyKind.SSN))] * draw(st.integers(0, 1))


def watch_rows(owned: Sequence[Owned]) -> bytes:
    return pack([(subject, each.kind, each.value) for subject, each in owned], TOKEN)


def alert_for(touch: SubjectTouch, owned: Sequence[Owned]) -> Sealed:
    """What the exchange passes on: the tokens in common, and the locks and grants they reach."""
    matches = satisfies(touch.tokens, watch_rows(owned))
    own = {match.row for match in matches}
    locks = rows(touch.locks, LOCK)
    kept = np.array(
        [r["first"] in own and (r["second"] == NO_TOKEN or r["second"] in own) for r in locks],
        dtype=bool,
    )
    locks = locks[kept]
    grants = rows(touch.grants, GRANT)
    return Sealed(
        header=touch.header,
        matches=pack(list(matches), MATCH),
        locks=locks.tobytes(),
        grants=grants[np.isin(grants["subject"], locks["subject"])].tobytes(),
        parts=touch.parts,
    )


def claimed(touch: SubjectTouch, tokens: Iterable[Token]) -> Sealed:
    """What a partner would try that takes every token of its own for a match, and all the rest."""
    own = {each.value for each in tokens}
    found: list[tuple[Any, ...]] = [
        (index, int(row["subject"]), 0, int(row["kind"]), row["token"].tobytes())
        for index, row in enumerate(rows(touch.tokens, TOKEN))
        if row["token"].tobytes() in own
    ]
    return replace(whole(touch), matches=pack(found, MATCH))


def whole(touch: SubjectTouch) -> Sealed:
    """All that the exchange has of a touch."""
    every = [
        (index, int(row["subject"]), 0, int(row["kind"]), row["token"].tobytes())
        for index, row in enumerate(rows(touch.tokens, TOKEN))
    ]
    return Sealed(
        header=touch.header,
        matches=pack(every, MATCH),
        locks=touch.locks,
        grants=touch.grants,
        parts=touch.parts,
    )


def opened(sealed: Sealed, tokens: Iterable[Token]) -> Opened:
    return open_touch(sealed, {each.value: each.secret for each in tokens}, TRUSTED)
