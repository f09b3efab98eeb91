"""Whom the exchange tells of whom, held to a judge that compares every pair at each event."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.deconfliction import Told, meeting_id
from schemas.messages import WatchRegistration, registration_key
from schemas.packing import CARD_LOCK, NO_TOKEN, TOKEN, pack
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.slots import BOX_BYTES, Slot
from stream_processors.deconfliction import Deconfliction
from stream_processors.deconfliction_settings import DeconflictionSettings

PARTNERS = ("fbi", "hsi", "dea")
SETTLES_S = 5
# What a subject may have: two strong kinds, and three weak ones of which the names do not pair.
KINDS = (
    MatchKeyKind.SSN,
    MatchKeyKind.PHONE,
    MatchKeyKind.FULL_NAME,
    MatchKeyKind.NAME_STARTS,
    MatchKeyKind.ADDRESS,
)
ADMISSIBLE = ({MatchKeyKind.FULL_NAME, MatchKeyKind.ADDRESS},
              {MatchKeyKind.NAME_STARTS, MatchKeyKind.ADDRESS})  # fmt: skip
Held = frozenset[tuple[int, int, int]]  # subject, place in KINDS, which value


@dataclass(frozen=True)
class Entry:
    number: int  # of the registration
    held: Held
    willing: bool
    counts_from: int
    expires_at: int
    card: int

    @property
    def partner(self) -> str:
        return PARTNERS[self.number % len(PARTNERS)]

    @property
    def registration_id(self) -> bytes:
        return bytes([self.number]) * 16

    def registration(self) -> WatchRegistration:
        ordered = sorted(self.held)
        return WatchRegistration(
            registration_id=self.registration_id,
            partner=self.partner,
            epoch=1,
            tokens=pack([(s, KINDS[k], _token(k, v)) for s, k, v in ordered], TOKEN),
            kinds=(),
            expires_at=self.expires_at,
        )

    def slot(self) -> Slot | None:
        if not self.willing:
            return None
        ordered = sorted(self.held)
        singles = [(row, NO_TOKEN) for row, (_, k, _) in enumerate(ordered) if k < 2]
        pairs = [
            (a, b)
            for (a, one), (b, other) in combinations(enumerate(ordered), 2)
            if one[0] == other[0] and {KINDS[one[1]], KINDS[other[1]]} in ADMISSIBLE
        ]
        locks = [(a, b, bytes([self.number]) * 40) for a, b in singles + pairs]
        mark = sha256(bytes([self.number, self.card])).digest()[:16]
        box = bytes([self.number]) * BOX_BYTES
        return Slot(counts_from=self.counts_from, mark=mark, box=box, locks=pack(locks, CARD_LOCK))


def _token(kind: int, value: int) -> bytes:
    return bytes([kind, value]) * 8


@dataclass
class Judge:
    """Knows all, and looks at every pair each time."""

    there: dict[int, Entry] = field(default_factory=dict)
    since: dict[int, tuple[Held, int]] = field(default_factory=dict)
    told: set[bytes] = field(default_factory=set)

    def put(self, entry: Entry, now: int) -> None:
        self.there[entry.number] = entry
        if self.since.get(entry.number, (None, 0))[0] != entry.held:
            self.since[entry.number] = (entry.held, now)

    def remove(self, number: int) -> None:
        self.there.pop(number, None)
        self.since.pop(number, None)

    def tell(self, now: int) -> None:
        for one, other in combinations(self.there.values(), 2):
            ready = self._ready(one, now) and self._ready(other, now)
            if one.partner != other.partner and ready and _same(one.held, other.held):
                self.told.add(meeting_id(one.registration_id, other.registration_id))

    def _ready(self, entry: Entry, now: int) -> bool:
        old = self.since[entry.number][1] + SETTLES_S * 1000 <= now
        return entry.willing and old and entry.counts_from <= now < entry.expires_at


def _same(ours: Held, theirs: Held) -> bool:
    for subject in {s for s, _, _ in ours}:
        for other in {s for s, _, _ in theirs}:
            common = {(k, v) for s, k, v in ours if s == subject}
            common &= {(k, v) for s, k, v in theirs if s == other}
            kinds = {KINDS[k] for k, _ in common}
            if kinds & {MatchKeyKind.SSN, MatchKeyKind.PHONE}:
                return True
            if any(pair <= kinds for pair in ADMISSIBLE):
                return True
    return False


held = st.frozensets(
    st.tuples(st.integers(0, 1), st.integers(0, len(KINDS) - 1), st.integers(0, 1)),
    min_size=1,
    max_size=5,
)
entries = st.builds(
    Entry,
    number=st.integers(0, 5),
    held=held,
    willing=st.sampled_from((True, True, True, False)),
    counts_from=st.sampled_from((0, 0, 12_000)),
    expires_at=st.sampled_from((10**9, 10**9, 20_000)),
    card=st.integers(0, 1),
)
events = st.lists(
    entries | st.integers(0, 5).map(lambda n: ("remove", n)) | st.integers(1, 9_000),
    max_size=25,
)


def put(state: Deconfliction, entry: Entry, now: int) -> None:
    registration = entry.registration()
    state.see(registration, now)
    state.take(registration, entry.slot())


def told_now(state: Deconfliction, now: int) -> list[Told]:
    done = []
    for each in state.due(now):
        sizes = {len(codec.encode(message)) for _, message in each.messages}
        assert len(sizes) == 1, "every message has one size"
        known = {side.partner for side in each.told.sides}
        assert {partner for partner, _ in each.messages} <= known
        state.remember(each.told.meeting_id, each.told)
        done.append(each.told)
    return done


@settings(max_examples=150, deadline=None)
@given(events)
def test_told_are_just_those_whom_the_judge_names(happened: list[object]) -> None:
    state, judge, now = Deconfliction(DeconflictionSettings(settles_s=SETTLES_S)), Judge(), 1_000
    first_told: set[bytes] = set()
    for event in happened:
        match event:
            case Entry():
                put(state, event, now)
                judge.put(event, now)
            case ("remove", number):
                state.forget(registration_key(bytes([number]) * 16, 1))
                judge.remove(number)
            case int():
                now += event
        judge.tell(now)
        first_told |= {told.meeting_id for told in told_now(state, now)}
        assert first_told == judge.told
        assert not told_now(state, now), "once told, nothing is told again"


@settings(max_examples=60, deadline=None)
@given(events)
def test_a_process_that_begins_anew_tells_nobody_twice_and_forgets_no_one(
    happened: list[object],
) -> None:
    rules = DeconflictionSettings(settles_s=0, per_day=2)
    steady, now, there = Deconfliction(rules), 1_000, {}
    for event in happened:
        if isinstance(event, Entry):
            put(steady, event, now)
            there[event.number] = event
            told_now(steady, now)
    anew = Deconfliction(rules)
    for key, entry in (*steady._seen.items(), *steady._told.items()):
        anew.remember(key, entry)
    for entry in there.values():
        put(anew, entry, now)
    assert not told_now(anew, now)
    assert anew.meetings_on(now) == steady.meetings_on(now)
    assert anew.held == steady.held
    assert all(count <= rules.per_day for count in steady.meetings_on(now).values())
