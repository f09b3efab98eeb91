"""Deconfliction: which two partners watch the same and both want to be told, and when they are.

Held in memory are willing registrations alone, by token. Nothing is made of a pair unless both are
willing, live and counted; a refusal and an absence are one and the same here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes

from schemas.deconfliction import FirstSeen, Meeting, Side, Told, meeting_id
from schemas.messages import WatchRegistration, registration_key
from schemas.packing import CARD_KEY, CARD_LOCK, NO_TOKEN, TOKEN, pack, rows
from schemas.rule import Match, satisfies
from schemas.topics import DAY_MS
from schemas.vocabulary import is_of_a_subject
from silenthit.blinding.slots import Slot
from stream_processors.deconfliction_settings import DeconflictionSettings

KEY_ROWS = 8
_MARK_BYTES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Willing:
    """A registration whose partner wants to be told."""

    registration: WatchRegistration = field(repr=False)
    slot: Slot = field(repr=False)
    counts_from: int  # ms: by its partner's word and by the exchange's own

    @property
    def key(self) -> bytes:
        """Its key on its topic."""
        return registration_key(self.registration.registration_id, self.registration.epoch)

    def counts(self, now: int) -> bool:
        """Whether it is live and old enough."""
        return self.counts_from <= now < self.registration.expires_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Encounter:
    """What is to be written at one moment: a message each, and that they were told."""

    told: Told
    messages: tuple[tuple[str, Meeting], ...] = field(repr=False)  # partner, message


class Deconfliction:
    """Willing registrations and who was told of whom; fed in the order of the topics."""

    def __init__(self, settings: DeconflictionSettings) -> None:
        """Know nobody."""
        self._settings = settings
        self._willing: dict[bytes, Willing] = {}
        self._by_token: dict[bytes, set[bytes]] = defaultdict(set)
        self._pairs: dict[bytes, set[frozenset[bytes]]] = defaultdict(set)  # by meeting id
        self._seen: dict[bytes, FirstSeen] = {}
        self._told: dict[bytes, Told] = {}
        self.held: set[bytes] = set()  # meetings that wait for room

    def remember(self, key: bytes, entry: FirstSeen | Told | None) -> None:
        """Take in what was written down before; None: it was taken back."""
        if isinstance(entry, FirstSeen):
            self._seen[key] = entry
        elif isinstance(entry, Told):
            self._told[key] = entry
        else:
            self._seen.pop(key, None)
            self._told.pop(key, None)

    def see(self, registration: WatchRegistration, at: int) -> FirstSeen | None:
        """Note a registration, willing or not; return what is to be written down, if anything.

        With other tokens it is another watch, however old its id is.
        """
        key = registration_key(registration.registration_id, registration.epoch)
        tokens = sha256(registration.tokens).digest()[:_MARK_BYTES]
        known = self._seen.get(key)
        if known is not None and known.tokens == tokens:
            return None
        self._seen[key] = FirstSeen(at=at, tokens=tokens)
        return self._seen[key]

    def take(self, registration: WatchRegistration, slot: Slot | None) -> None:
        """Put a registration, seen before, in the place of its last version."""
        key = registration_key(registration.registration_id, registration.epoch)
        self._drop(key)
        if slot is None:
            return
        counts_from = max(slot.counts_from, self._seen[key].at + self._settings.settles_s * 1000)
        one = Willing(registration=registration, slot=slot, counts_from=counts_from)
        for other in self._candidates(one):
            pair = meeting_id(registration.registration_id, other.registration.registration_id)
            if satisfies(_of_subjects(other), _of_subjects(one)):
                self._pairs[pair].add(frozenset((key, other.key)))
        self._willing[key] = one
        for token in _tokens(one):
            self._by_token[token].add(key)

    def forget(self, key: bytes) -> bool:
        """Forget a registration that was taken back; return whether it was written down."""
        self._drop(key)
        return self._seen.pop(key, None) is not None

    def _drop(self, key: bytes) -> None:
        gone = self._willing.pop(key, None)
        if gone is None:
            return
        for token in _tokens(gone):
            self._by_token[token].discard(key)
            if not self._by_token[token]:
                del self._by_token[token]
        for meeting, pairs in list(self._pairs.items()):
            pairs -= {pair for pair in pairs if key in pair}
            if not pairs:
                del self._pairs[meeting]

    def _candidates(self, one: Willing) -> list[Willing]:
        keys = {key for token in _tokens(one) for key in self._by_token.get(token, ())}
        found = (self._willing[key] for key in sorted(keys))
        ours = one.registration
        return [
            each
            for each in found
            if each.registration.partner != ours.partner and each.registration.epoch == ours.epoch
        ]

    def due(self, now: int) -> Iterator[Encounter]:
        """Yield what is to be told now; the caller writes each and then calls `remember`.

        Who has had as many meetings today as a day allows has to wait, and whom it would meet too.
        """
        self.held &= self._pairs.keys()
        waiting = []
        for meeting, pairs in self._pairs.items():
            ready = [pair for pair in map(self._two, pairs) if all(e.counts(now) for e in pair)]
            if ready:
                newest = max(ready, key=lambda pair: pair[0].registration.epoch)
                since = min(max(each.counts_from for each in pair) for pair in ready)
                waiting.append((since, meeting, newest))
        for _, meeting, pair in sorted(waiting, key=lambda each: each[:2]):
            found = self._encounter(meeting, pair, now)
            if found is not None:
                yield found

    def _two(self, pair: frozenset[bytes]) -> tuple[Willing, Willing]:
        one, other = sorted(
            (self._willing[key] for key in pair), key=lambda e: e.registration.registration_id
        )
        return one, other

    def _encounter(self, meeting: bytes, pair: Sequence[Willing], now: int) -> Encounter | None:
        sides = tuple(
            Side(
                partner=each.registration.partner,
                registration_id=each.registration.registration_id,
                mark=each.slot.mark,
            )
            for each in pair
        )
        known = self._told.get(meeting)
        if known is not None and known.sides == sides:
            return None
        if known is None and any(self.met_today(side.partner, now) for side in sides):
            self.held.add(meeting)
            return None
        self.held.discard(meeting)
        made = [(a, _message(meeting, own=a, other=b)) for a, b in (pair, pair[::-1])]
        if any(message is None for _, message in made):
            return None
        # Of a card that changed later, only who reads it is told.
        shown = {s.registration_id: s.mark for s in known.sides} if known else {}
        fresh = {
            b.registration.registration_id
            for b in pair
            if shown.get(b.registration.registration_id) != b.slot.mark
        }
        other = {a.key: b.registration.registration_id for a, b in (pair, pair[::-1])}
        return Encounter(
            told=Told(meeting_id=meeting, at=known.at if known else now, sides=sides),
            messages=tuple(
                (each.registration.partner, message)
                for each, message in made
                if message is not None and other[each.key] in fresh
            ),
        )

    def met_today(self, partner: str, now: int) -> bool:
        """Whether a partner has had as many meetings on this day (UTC) as it may have."""
        return self.meetings_on(now)[partner] >= self._settings.per_day

    def meetings_on(self, at: int) -> Counter[str]:
        """Count each partner's meetings on the day (UTC) of a time in ms."""
        return Counter(
            side.partner
            for told in self._told.values()
            if told.at // DAY_MS == at // DAY_MS
            for side in told.sides
        )

    def over(self, now: int) -> list[bytes]:
        """Return the meetings of past days whose two registrations are not both there any more."""
        there = {key[:_MARK_BYTES] for key in self._seen}
        return [
            meeting
            for meeting, told in self._told.items()
            if told.at // DAY_MS < now // DAY_MS
            and not all(side.registration_id in there for side in told.sides)
        ]


def _tokens(each: Willing) -> set[bytes]:
    return {row["token"].tobytes() for row in rows(_of_subjects(each), TOKEN)}


def _of_subjects(each: Willing) -> bytes:
    """The rows of people and things; what says where and when is for operations."""
    found = rows(each.registration.tokens, TOKEN)
    return found[[is_of_a_subject(int(kind)) for kind in found["kind"]]].tobytes()


def _message(meeting: bytes, *, own: Willing, other: Willing) -> Meeting | None:
    """What one side is told; None where the other's slot has no lock that it could open."""
    keys = _keys(own, other)
    if not keys:
        return None
    spare = KEY_ROWS * CARD_KEY.itemsize - len(keys)
    return Meeting(
        meeting_id=meeting,
        registration_id=own.registration.registration_id,
        epoch=own.registration.epoch,
        keys=keys + token_bytes(spare),
        card=other.slot.box,
    )


def _keys(own: Willing, other: Willing) -> bytes:
    """Return, for each of one's own subjects that the other watches, one lock of the other's card.

    Of the first eight subjects, in rows of packing.CARD_KEY.
    """
    theirs = other.registration.tokens
    by_pair: dict[tuple[int, int], dict[int, Match]] = defaultdict(dict)
    for match in satisfies(theirs, own.registration.tokens):
        if is_of_a_subject(match.kind):
            by_pair[match.watch_subject, match.touch_subject][match.row] = match
    found: dict[int, tuple[int | bytes, ...]] = {}
    for (subject, _), matches in sorted(by_pair.items()):
        if subject not in found and (row := _opened_by(other.slot.locks, matches)):
            found[subject] = row
    return pack(list(found.values())[:KEY_ROWS], CARD_KEY)


def _opened_by(locks: bytes, matches: dict[int, Match]) -> tuple[int | bytes, ...] | None:
    for position, lock in enumerate(rows(locks, CARD_LOCK)):
        first, second = int(lock["first"]), int(lock["second"])
        if first in matches and (second == NO_TOKEN or second in matches):
            pair = bytes(16) if second == NO_TOKEN else matches[second].token
            return position, matches[first].token, pair, lock["wrapped"].tobytes()
    return None
