"""Match a batch of touches against the index: one vectorised lookup, then the match rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.messages import Alert, AlertStatus, alert_id
from schemas.packing import GRANT, LOCK, MATCH, NO_TOKEN, TOKEN, pack, rows
from schemas.rule import Match, counting
from schemas.vocabulary import is_strong
from stream_processors.admission import AdmittedTouch
from stream_processors.token_store import Found
from stream_processors.watch_index import KIND_BIT, Watched, WatchIndex

MOST_AT_ONCE = 1 << 16  # touches: their numbers share 64 bits with slot and subjects
_ROWS = NO_TOKEN + 1
_SUBJECTS = 256
_STRONG = np.array([is_strong(kind) for kind in range(256)], np.bool_)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A touch and a watch that satisfy the match rule, and by which tokens."""

    watched: Watched
    matches: tuple[Match, ...] = field(repr=False)


def match_batch(touches: Sequence[AdmittedTouch], index: WatchIndex) -> list[tuple[Candidate, ...]]:
    """Return, for each touch in order, its candidates ordered by registration id."""
    result: list[tuple[Candidate, ...]] = []
    for start in range(0, len(touches), MOST_AT_ONCE):
        result += _match(touches[start : start + MOST_AT_ONCE], index)
    return result


def _match(touches: Sequence[AdmittedTouch], index: WatchIndex) -> list[tuple[Candidate, ...]]:
    tokens = np.frombuffer(b"".join([touch.tokens for touch in touches]), TOKEN)
    result: list[tuple[Candidate, ...]] = [()] * len(touches)
    found = index.find(tokens)
    if not len(found.row):
        return result
    lengths = np.fromiter((len(touch.tokens) for touch in touches), np.int64, len(touches))
    ends = np.cumsum(lengths // TOKEN.itemsize)
    owner = np.searchsorted(ends, found.row, side="right")
    kept = np.flatnonzero(_wanted(touches, owner, found, index) & _may_count(tokens, owner, found))
    hits: dict[int, dict[int, list[Match]]] = {}
    for at in kept.tolist():
        number, row = int(owner[at]), int(found.row[at])
        start = int(ends[number]) - int(lengths[number]) // TOKEN.itemsize
        subject, kind, token = tokens[row]
        match = Match(row - start, int(subject), int(found.subject[at]), int(kind), bytes(token))
        hits.setdefault(number, {}).setdefault(int(found.slot[at]), []).append(match)
    for number, by_slot in hits.items():
        result[number] = tuple(_candidates(by_slot, index))
    return result


def _wanted(
    touches: Sequence[AdmittedTouch], owner: NDArray[Any], found: Found, index: WatchIndex
) -> NDArray[Any]:
    """Whether the watch wants the touch it has a token in common with, and was there in time."""
    numbers = np.unique(owner)
    several = [touches[number] for number in numbers.tolist()]
    kinds = np.array([KIND_BIT[touch.clear.kind] for touch in several], np.uint8)
    times = np.array([touch.place.appended_at for touch in several], np.int64)
    at = np.searchsorted(numbers, owner)
    return index.wanted(found.slot, kinds[at], times[at])


def _may_count(tokens: NDArray[np.void], owner: NDArray[Any], found: Found) -> NDArray[Any]:
    """Whether a token in common is strong, or has company in its pair of subjects.

    The match rule decides; this only spares it the many touches that share a single weak token.
    """
    strong: NDArray[Any] = _STRONG[tokens["kind"][found.row]]
    if strong.all():
        return strong
    subjects = tokens["subject"][found.row].astype(np.uint64) << np.uint64(8) | found.subject
    slots = found.slot.astype(np.uint64) << np.uint64(16)
    pair = owner.astype(np.uint64) << np.uint64(48) | slots | subjects
    _, inverse, counts = np.unique(pair, return_inverse=True, return_counts=True)
    strong |= counts[inverse] > 1
    return strong


def _candidates(hits: Mapping[int, Sequence[Match]], index: WatchIndex) -> Iterator[Candidate]:
    """Apply the match rule to what each watch (slot) has in common with one touch."""
    found = []
    for slot, matches in hits.items():
        by_subjects: dict[tuple[int, int], list[Match]] = {}
        for match in matches:
            pair = match.touch_subject, match.watch_subject
            by_subjects.setdefault(pair, []).append(match)
        count = sorted(match for common in by_subjects.values() for match in counting(common))
        if count:
            found.append(Candidate(index.watched(slot), tuple(count)))
    yield from sorted(found, key=lambda candidate: candidate.watched.registration_id)


def alert(admitted: AdmittedTouch, candidate: Candidate, *, earlier: bool) -> Alert:
    """Build the alert of a candidate; of the locks, only those that the matched tokens open."""
    touch, registration_id = admitted.touch, candidate.watched.registration_id
    locks = _openable(rows(touch.locks, LOCK), {match.row for match in candidate.matches})
    grants = rows(touch.grants, GRANT)
    opened = _marked(locks["subject"], _SUBJECTS)
    return Alert(
        alert_id=alert_id(admitted.record_id, registration_id),
        registration_id=registration_id,
        record_id=admitted.record_id,
        revision=admitted.revision,
        status=AlertStatus.ACTIVE,
        earlier=earlier,
        appended_at=admitted.place.appended_at,
        header=touch.header,
        matches=pack(list(candidate.matches), MATCH),
        locks=locks.tobytes(),
        grants=grants[opened[grants["subject"]]].tobytes(),
        parts=touch.parts,
    )


def _openable(locks: NDArray[np.void], matched: set[int]) -> NDArray[np.void]:
    """A lock needs its first token and, unless it is NO_TOKEN, its second."""
    opens = _marked(list(matched), _ROWS)
    first = opens[locks["first"]]
    opens[NO_TOKEN] = True
    kept: NDArray[np.void] = locks[first & opens[locks["second"]]]
    return kept


def _marked(numbers: Sequence[int] | NDArray[Any], size: int) -> NDArray[np.bool_]:
    """Return which of the numbers below `size` are there: for a few, `np.isin` takes ten times."""
    marks = np.zeros(size, np.bool_)
    marks[numbers] = True
    return marks


def notice(  # noqa: PLR0917 a row of the alert's columns
    record_id: bytes,
    registration_id: bytes,
    revision: int,
    status: AlertStatus,
    appended_at: int,
    proof: bytes = b"",
) -> Alert:
    """Build the update that withdraws or retracts an alert; it carries nothing of the touch.

    `proof` is the agency's, of a retraction, passed on unread.
    """
    return Alert(
        alert_id=alert_id(record_id, registration_id),
        registration_id=registration_id,
        record_id=record_id,
        revision=revision,
        status=status,
        earlier=False,
        appended_at=appended_at,
        proof=proof,
    )
