"""The match rule: one strong token in common, or two weak ones with disjoint fields.

`satisfies` is the reference that alerts, locks and tests are held to. It is written to be read;
the exchange's vectorised matching must agree with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from schemas.packing import TOKEN, rows
from schemas.vocabulary import admissible_pair, is_strong


class Match(NamedTuple):
    """A token in common that counts: its row in the touch, the subjects it ties, kind and value."""

    row: int
    touch_subject: int
    watch_subject: int
    kind: int
    token: bytes

    def __repr__(self) -> str:
        """Nothing but the kind of thing: a matched token in a log would tell who is watched."""
        return "Match()"


def satisfies(touch: bytes, watch: bytes) -> tuple[Match, ...]:
    """Return the tokens in common that satisfy the match rule, none if it is not satisfied.

    `touch` and `watch` are packed rows of `packing.TOKEN`. A pair of subjects, one on each side,
    satisfies the rule when they share one strong token or two weak ones built from disjoint fields.
    A kind that is not in the vocabulary, as a later version may send, never counts.
    The matches are ordered by their row in the touch, then by watch subject.
    """
    found: list[Match] = []
    pairs: dict[tuple[int, int], list[Match]] = {}
    watched: dict[tuple[int, bytes], set[int]] = {}
    for row in rows(watch, TOKEN):
        key = (int(row["kind"]), row["token"].tobytes())
        watched.setdefault(key, set()).add(int(row["subject"]))
    for index, row in enumerate(rows(touch, TOKEN)):
        kind, token, subject = int(row["kind"]), row["token"].tobytes(), int(row["subject"])
        for watch_subject in watched.get((kind, token), ()):
            match = Match(index, subject, watch_subject, kind, token)
            pairs.setdefault((subject, watch_subject), []).append(match)
    for common in pairs.values():
        found += counting(common)
    return tuple(sorted(found))


def can_satisfy(kinds: Sequence[int]) -> bool:
    """Whether a subject with tokens of these kinds could satisfy the rule with any touch."""
    weak = [kind for kind in kinds if not is_strong(kind)]
    return len(weak) < len(kinds) or any(admissible_pair(a, b) for a, b in combinations(weak, 2))


def counting(common: list[Match]) -> list[Match]:
    """Keep, of what one pair of subjects shares, the strong and the admissibly paired weak."""
    weak = [match for match in common if not is_strong(match.kind)]
    paired = {
        match
        for a, b in combinations(weak, 2)
        if admissible_pair(a.kind, b.kind)
        for match in (a, b)
    }
    return [match for match in common if is_strong(match.kind) or match in paired]
