"""Cut one sealed card out of a touch: what an inquiry's tokens open, and nothing beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256

import numpy as np

from schemas.inquiries import SealedCard
from schemas.messages import SubjectTouch
from schemas.packing import GRANT, LOCK, MATCH, NO_TOKEN, pack, rows
from schemas.rule import Match, satisfies

CARD_PART = 0


def sealed_card(
    touch: SubjectTouch, asked: bytes, *, unlisted: Collection[int] = (), published: bool = False
) -> SealedCard | None:
    """Return the card of a touch for an inquiry, None when the match rule is not satisfied.

    `asked` are packed rows of `packing.TOKEN`; by `unlisted` subjects nothing is found. Of the
    locks one a matched subject is kept, of the grants those of the card and the signature.
    """
    matches = [m for m in satisfies(touch.tokens, asked) if m.touch_subject not in unlisted]
    if not matches:
        return None
    locks, opened_by = _locks(touch, matches)
    if not opened_by:
        return None
    every, last = rows(touch.grants, GRANT), len(touch.parts) - 1
    reached = np.isin(every["subject"], [match.touch_subject for match in opened_by])
    kept = every[reached & np.isin(every["part"], [CARD_PART, last])]
    return SealedCard(
        published=published,
        header=touch.header,
        matches=pack(list(opened_by), MATCH),
        locks=locks,
        grants=kept.tobytes(),
        digests=b"".join(sha256(part).digest() for part in touch.parts[:last]),
        card=touch.parts[CARD_PART],
        signature=touch.parts[last],
    )


def _locks(touch: SubjectTouch, matches: Sequence[Match]) -> tuple[bytes, list[Match]]:
    """Return one lock a matched subject, packed, and the matches that open them."""
    by_row = {match.row: match for match in matches}
    kept, opened_by, subjects = [], dict[int, Match](), set[int]()
    for lock in rows(touch.locks, LOCK):
        subject = int(lock["subject"])
        needed = [row for row in (int(lock["first"]), int(lock["second"])) if row != NO_TOKEN]
        if subject in subjects or any(row not in by_row for row in needed):
            continue
        subjects.add(subject)
        kept.append(lock.tobytes())
        opened_by |= {row: by_row[row] for row in needed}
    return b"".join(kept), [opened_by[row] for row in sorted(opened_by)]
