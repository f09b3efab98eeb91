"""Conflicts of planned operations: which two agencies are in each other's way, and what they know.

Held in memory are the operations that stand, by token. Two are in conflict when each one's tokens
open the other's card; nobody is told of what only one of them would find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.operations import (
    SEEN_MARK,
    Conflict,
    ConflictNote,
    ConflictSide,
    ConflictStatus,
    OperationSeen,
    conflict_id,
)
from schemas.packing import TOKEN, rows
from schemas.topics import DAY_MS
from stream_processors.conflict_admission import Ended, Planned
from stream_processors.conflict_messages import told, withdrawn
from stream_processors.conflict_settings import ConflictSettings
from stream_processors.look_up_cards import sealed_card

_KEPT_DAYS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """What is to be written at one moment: a message for each side that stands, and the note."""

    conflict_id: bytes
    what: str  # told, updated or withdrawn
    note: ConflictNote
    probes: int
    messages: tuple[tuple[str, Conflict], ...] = field(repr=False)  # organisation, message


class Conflicts:
    """Operations that stand and who was told of what; fed in the order of the topics."""

    def __init__(self, settings: ConflictSettings) -> None:
        """Know nothing."""
        self._settings = settings
        self._standing: dict[bytes, Planned] = {}
        self._by_touch: dict[bytes, set[bytes]] = defaultdict(set)
        self._by_asks: dict[bytes, set[bytes]] = defaultdict(set)
        self._pairs: dict[bytes, tuple[bytes, bytes]] = {}
        self._notes: dict[bytes, ConflictNote] = {}
        self._seen: dict[bytes, OperationSeen] = {}

    def remember(self, key: bytes, entry: ConflictNote | OperationSeen | None) -> None:
        """Take in what was written down before; None: it was taken back."""
        if isinstance(entry, ConflictNote):
            self._notes[key] = entry
        elif isinstance(entry, OperationSeen):
            self._seen[key] = entry
        else:
            self._notes.pop(key, None)
            self._seen.pop(key, None)

    def see(self, one: Planned, at: int) -> OperationSeen | None:
        """Note when an operation came first; return what is to be written down, if anything."""
        key = one.record_id + SEEN_MARK
        if key in self._seen:
            return None
        self._seen[key] = OperationSeen(organisation=one.organisation, at=at)
        return self._seen[key]

    def take(self, one: Planned) -> bool:
        """Put an operation, seen before, in the place of its last revision; False if refused."""
        seen, known = self._seen[one.record_id + SEEN_MARK], self._standing.get(one.record_id)
        # Record ids are an agency's own: nobody speaks for another's.
        if seen.organisation != one.organisation or one.revision > self._settings.revisions:
            return False
        if known is not None and one.revision < known.revision:
            return False
        self._drop(one.record_id)
        for other in self._candidates(one):
            if sealed_card(other.touch, one.asks) and sealed_card(one.touch, other.asks):
                first, second = sorted((one.record_id, other.record_id))
                self._pairs[conflict_id(first, second)] = first, second
        self._standing[one.record_id] = one
        for index, packed in ((self._by_touch, one.touch.tokens), (self._by_asks, one.asks)):
            for token in _tokens(packed):
                index[token].add(one.record_id)
        return True

    def end(self, gone: Ended) -> None:
        """Forget an operation that was cancelled or is over."""
        known = self._standing.get(gone.record_id)
        if (
            known is not None
            and known.organisation == gone.organisation
            and gone.revision >= known.revision
        ):
            self._drop(gone.record_id)

    def _drop(self, record_id: bytes) -> None:
        gone = self._standing.pop(record_id, None)
        if gone is None:
            return
        for index, packed in ((self._by_touch, gone.touch.tokens), (self._by_asks, gone.asks)):
            for token in _tokens(packed):
                index[token].discard(record_id)
                if not index[token]:
                    del index[token]
        self._pairs = {key: pair for key, pair in self._pairs.items() if record_id not in pair}

    def _candidates(self, one: Planned) -> list[Planned]:
        met = {key for token in _tokens(one.asks) for key in self._by_touch.get(token, ())}
        met &= {key for token in _tokens(one.touch.tokens) for key in self._by_asks.get(token, ())}
        found = (self._standing[key] for key in sorted(met))
        return [
            each
            for each in found
            if each.organisation != one.organisation and each.epoch == one.epoch
        ]

    def due(self, now: int) -> Iterator[Telling]:
        """Yield what is to be told now; the caller writes each and then calls `remember`."""
        live = {key: pair for key, pair in self._pairs.items() if all(self._counts(pair, now))}
        for key, pair in sorted(live.items()):
            known = self._notes.get(key)
            sides = tuple(_side(self._standing[each]) for each in pair)
            if known is None or known.status is not ConflictStatus.ACTIVE or known.sides != sides:
                yield self._begun(key, pair, known, now)
        for key, note in sorted(self._notes.items()):
            if note.status is ConflictStatus.ACTIVE and key not in live:
                ended = self._ended(key, note, now)
                if ended is not None:
                    yield ended

    def _counts(self, pair: tuple[bytes, bytes], now: int) -> Iterator[bool]:
        for each in pair:
            one = self._standing[each]
            yield self._counts_from(one) <= now < one.expires_at

    def _counts_from(self, one: Planned) -> int:
        """From when on an operation counts: those beyond a day's ceiling wait for the next."""
        key = one.record_id + SEEN_MARK
        seen = self._seen[key]
        before = sum(
            each.organisation == seen.organisation
            and each.at // DAY_MS == seen.at // DAY_MS
            and (each.at, other) < (seen.at, key)
            for other, each in self._seen.items()
        )
        days = before // self._settings.per_day
        return (seen.at // DAY_MS + days) * DAY_MS if days else seen.at

    def held(self, one: Planned, now: int) -> bool:
        """Whether an operation has to wait for another day."""
        return self._counts_from(one) > now

    def _begun(
        self, key: bytes, pair: tuple[bytes, bytes], known: ConflictNote | None, now: int
    ) -> Telling:
        one, other = (self._standing[each] for each in pair)
        again = known is not None and known.status is ConflictStatus.ACTIVE
        note = ConflictNote(
            at=known.at if known else now,
            status=ConflictStatus.ACTIVE,
            times=(known.times if known else 0) + (not again),
            sides=(_side(one), _side(other)),
        )
        probes = self._probes({**self._notes, key: note}, note)
        return Telling(
            conflict_id=key,
            what="updated" if again else "told",
            note=note,
            probes=probes,
            messages=tuple(
                (a.organisation, told(key, a, b, at=now, probes=probes))
                for a, b in ((one, other), (other, one))
            ),
        )

    def _ended(self, key: bytes, note: ConflictNote, now: int) -> Telling | None:
        sides = [self._standing.get(side.record_id) for side in note.sides]
        there = [each for each in sides if each is not None and now < each.expires_at]
        if len(there) == len(note.sides) and len({each.epoch for each in there}) > 1:
            return None  # the other comes to the new epoch, too; until then nobody can compare
        revisions = {side.record_id: side.revision for side in note.sides}
        return Telling(
            conflict_id=key,
            what="withdrawn",
            note=note.model_copy(update={"status": ConflictStatus.WITHDRAWN}),
            probes=0,
            messages=tuple(
                (
                    each.organisation,
                    withdrawn(
                        key,
                        each,
                        revision=next(r for i, r in revisions.items() if i != each.record_id),
                        at=now,
                    ),
                )
                for each in there
            ),
        )

    def _probes(self, notes: dict[bytes, ConflictNote], about: ConflictNote) -> int:
        """How often one agency of the two, by whichever operations, came upon the other's one."""
        most = 0
        for prober, met in (about.sides, about.sides[::-1]):
            most = max(
                most,
                sum(
                    note.times
                    for note in notes.values()
                    if any(side.record_id == met.record_id for side in note.sides)
                    and any(side.organisation == prober.organisation for side in note.sides)
                ),
            )
        return most

    def begun_on(self, at: int, organisation: str) -> int:
        """Count an agency's conflicts that were first told on the day (UTC) of a time in ms."""
        return sum(
            note.at // DAY_MS == at // DAY_MS
            and any(side.organisation == organisation for side in note.sides)
            for note in self._notes.values()
        )

    def over(self, now: int) -> list[bytes]:
        """Keys of what need not be remembered: of days past, about operations that are gone."""
        old = (now // DAY_MS - _KEPT_DAYS) * DAY_MS
        seen = [
            key
            for key, each in self._seen.items()
            if each.at < old and key[: -len(SEEN_MARK)] not in self._standing
        ]
        return seen + [
            key
            for key, note in self._notes.items()
            if note.at < old
            and note.status is ConflictStatus.WITHDRAWN
            and not any(side.record_id in self._standing for side in note.sides)
        ]


def _tokens(packed: bytes) -> set[bytes]:
    return {row["token"].tobytes() for row in rows(packed, TOKEN)}


def _side(one: Planned) -> ConflictSide:
    return ConflictSide(
        organisation=one.organisation, record_id=one.record_id, revision=one.revision
    )
