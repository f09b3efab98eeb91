"""Match a batch of touches against the index: one vectorised lookup, then the match rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.messages import Alert, AlertStatus, alert_id
from schemas.packing import GRANT, LOCK, MATCH, NO_TOKEN, pack, rows
from schemas.rule import Match, counting
from stream_processors.admission import AdmittedTouch
from stream_processors.watch_index import Hit, Watched, WatchIndex, concatenated


@dataclass(frozen=True, slots=True)
class Candidate:
    """A touch and a watch that satisfy the match rule, and by which tokens."""

    watched: Watched
    matches: tuple[Match, ...] = field(repr=False)


def match_batch(touches: Sequence[AdmittedTouch], index: WatchIndex) -> list[tuple[Candidate, ...]]:
    """Return, for each touch in order, its candidates ordered by registration id."""
    tokens = concatenated([admitted.touch.tokens for admitted in touches])
    counts = [len(admitted.touch.tokens) // tokens.dtype.itemsize for admitted in touches]
    ends = np.cumsum(counts)
    hits: list[list[Hit]] = [[] for _ in touches]
    for hit in index.lookup(tokens):
        hits[int(np.searchsorted(ends, hit.row, side="right"))].append(hit)
    return [
        tuple(_candidates(admitted, tokens, int(end) - count, found, index)) if found else ()
        for admitted, end, count, found in zip(touches, ends, counts, hits, strict=True)
    ]


def _candidates(
    admitted: AdmittedTouch,
    tokens: NDArray[np.void],
    start: int,
    hits: Sequence[Hit],
    index: WatchIndex,
) -> Iterator[Candidate]:
    pairs: dict[int, dict[tuple[int, int], list[Match]]] = {}
    for hit in hits:
        row = tokens[hit.row]
        match = Match(
            hit.row - start,
            int(row["subject"]),
            hit.watch_subject,
            int(row["kind"]),
            row["token"].tobytes(),
        )
        by_subjects = pairs.setdefault(hit.slot, {})
        by_subjects.setdefault((match.touch_subject, match.watch_subject), []).append(match)
    found = []
    for slot, by_subjects in pairs.items():
        watched = index.watched(slot, admitted.header.kind, admitted.place.appended_at)
        matches = sorted(m for common in by_subjects.values() for m in counting(common))
        if watched is not None and matches:
            found.append(Candidate(watched, tuple(matches)))
    yield from sorted(found, key=lambda candidate: candidate.watched.registration_id)


def alert(admitted: AdmittedTouch, candidate: Candidate, *, earlier: bool) -> Alert:
    """Build the alert of a candidate; of the locks, only those that the matched tokens open."""
    touch, registration_id = admitted.touch, candidate.watched.registration_id
    locks = _openable(rows(touch.locks, LOCK), {match.row for match in candidate.matches})
    grants = rows(touch.grants, GRANT)
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
        grants=grants[np.isin(grants["subject"], locks["subject"])].tobytes(),
        parts=touch.parts,
    )


def _openable(locks: NDArray[np.void], matched: set[int]) -> NDArray[np.void]:
    indices = np.array(sorted(matched), dtype=np.uint16)
    second = (locks["second"] == NO_TOKEN) | np.isin(locks["second"], indices)
    kept: NDArray[np.void] = locks[np.isin(locks["first"], indices) & second]
    return kept


def notice(
    record_id: bytes, registration_id: bytes, revision: int, status: AlertStatus, appended_at: int
) -> Alert:
    """Build the update that withdraws or retracts an alert; it carries nothing of the touch."""
    return Alert(
        alert_id=alert_id(record_id, registration_id),
        registration_id=registration_id,
        record_id=record_id,
        revision=revision,
        status=status,
        earlier=False,
        appended_at=appended_at,
    )
