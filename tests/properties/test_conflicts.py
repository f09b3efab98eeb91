"""Which agencies are told of each other's operations, held to a judge that compares every pair."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.operations import Conflict, ConflictBody, ConflictNote, ConflictStatus, conflict_id
from schemas.packing import GRANT, LOCK, NO_TOKEN, TOKEN, pack
from schemas.vocabulary import CoarseKind, MatchKeyKind
from silenthit.blinding.envelope import fresh_key, open_sealed
from stream_processors.conflict_admission import Ended, Planned
from stream_processors.conflict_settings import ConflictSettings
from stream_processors.conflicts import Conflicts, Telling

AGENCIES = ("ct0009900", "ma0130100", "vt0040100")
KEY, PUBLIC = fresh_key()
DAY = 86_400_000


@dataclass(frozen=True)
class Plan:
    """One revision of an operation; what happens and what is asked are small sets of numbers."""

    number: int
    happens: frozenset[int]
    asks: frozenset[int]
    revision: int = 1
    expires_at: int = 10 * DAY
    epoch: int = 1

    @property
    def organisation(self) -> str:
        return AGENCIES[self.number % len(AGENCIES)]

    @property
    def record_id(self) -> bytes:
        return bytes([self.number]) * 16

    def planned(self) -> Planned:
        header = TouchHeader(
            record_id=self.record_id,
            revision=self.revision,
            sender=f"{self.organisation.upper()}#1",
            epoch=self.epoch,
            expiry_month="2031-11",
            kind=CoarseKind.OPERATION,
        )
        happening = sorted(self.happens)
        touch = SubjectTouch(
            header=codec.encode(header),
            tokens=_rows(happening, self.epoch),
            locks=pack([(i, 0, i, NO_TOKEN, bytes(40)) for i in range(len(happening))], LOCK),
            grants=pack([(0, part, bytes(40)) for part in range(4)], GRANT),
            parts=(bytes([self.number]) * 284,) * 4,
        )
        return Planned(
            organisation=self.organisation,
            record_id=self.record_id,
            revision=self.revision,
            epoch=self.epoch,
            expires_at=self.expires_at,
            touch=touch,
            asks=_rows(sorted(self.asks), self.epoch),
            reply_key=PUBLIC,
        )


def _rows(values: list[int], epoch: int) -> bytes:
    return pack([(0, MatchKeyKind.PHONE, bytes([v, epoch] * 8)) for v in values], TOKEN)


def meet(one: Plan, other: Plan, now: int) -> bool:
    return (
        one.organisation != other.organisation
        and one.epoch == other.epoch
        and bool(one.asks & other.happens)
        and bool(other.asks & one.happens)
        and now < min(one.expires_at, other.expires_at)
    )


@dataclass
class Exchange:
    """The engine, its notes as they lie on the topic, and what each agency was told."""

    settings: ConflictSettings = field(default_factory=lambda: ConflictSettings(per_day=50))
    notes: dict[bytes, bytes] = field(default_factory=dict)
    seen: dict[bytes, object] = field(default_factory=dict)
    there: dict[bytes, Plan] = field(default_factory=dict)
    told: dict[tuple[str, bytes], ConflictBody] = field(default_factory=dict)
    now: int = 1_000

    def __post_init__(self) -> None:
        self.state = Conflicts(self.settings)

    def restart(self, *, backwards: bool = False) -> None:
        """Begin anew from the topics; those of several agencies come in any order."""
        self.state = Conflicts(self.settings)
        for key, value in self.notes.items():
            self.state.remember(key, codec.decode(value, ConflictNote))
        for key, entry in self.seen.items():
            self.state.remember(key, entry)
        for plan in sorted(
            self.there.values(), key=lambda each: each.organisation, reverse=backwards
        ):
            self._put(plan)

    def put(self, plan: Plan) -> list[Telling]:
        self.there[plan.record_id] = plan
        self._put(plan)
        return self.tell()

    def _put(self, plan: Plan) -> None:
        made = plan.planned()
        seen = self.state.see(made, self.now)
        if seen is not None:
            self.seen[made.record_id + b"s"] = seen
        self.state.take(made)

    def end(self, plan: Plan) -> list[Telling]:
        """Whoever ends an operation knows itself that nothing is in its way any more."""
        stands = self.there.get(plan.record_id)
        if stands is not None and plan.revision >= stands.revision:
            del self.there[plan.record_id]
            for key, note in self.notes.items():
                sides = codec.decode(note, ConflictNote).sides
                if plan.record_id in {side.record_id for side in sides}:
                    self.told.pop((plan.organisation, key), None)
        self.state.end(Ended(plan.organisation, plan.record_id, plan.revision))
        return self.tell()

    def tell(self) -> list[Telling]:
        found = list(self.state.due(self.now))
        for each in found:
            self.notes[each.conflict_id] = codec.encode(each.note)
            self.state.remember(each.conflict_id, each.note)
            for organisation, message in each.messages:
                self.told[organisation, each.conflict_id] = opened(message)
        return found

    def expected(self) -> dict[bytes, frozenset[str]]:
        """Conflict id of every pair that stands in each other's way, with the two agencies."""
        return {
            conflict_id(one.record_id, other.record_id): frozenset(
                (one.organisation, other.organisation)
            )
            for one, other in combinations(self.there.values(), 2)
            if meet(one, other, self.now)
        }

    def active(self) -> dict[bytes, frozenset[str]]:
        found: dict[bytes, set[str]] = {}
        for (organisation, key), body in self.told.items():
            if body.status is ConflictStatus.ACTIVE:
                found.setdefault(key, set()).add(organisation)
        return {key: frozenset(who) for key, who in found.items()}

    def check(self) -> None:
        """What each agency believes of an operation of its own that stands is what is so."""
        expected, active = self.expected(), self.active()
        for key, who in expected.items():
            assert active.get(key) == who
        for key, who in active.items():
            for side in codec.decode(self.notes[key], ConflictNote).sides:
                own = self.there.get(side.record_id)
                if side.organisation in who and own is not None and self.now < own.expires_at:
                    assert side.organisation in expected.get(key, ())


def opened(message: Conflict) -> ConflictBody:
    plain = open_sealed(KEY, message.sealed, message.conflict_id + message.record_id)
    return codec.decode(plain, ConflictBody)


few = st.frozensets(st.integers(0, 4), min_size=1, max_size=3)
plans = st.builds(
    Plan,
    number=st.integers(0, 5),
    happens=few,
    asks=few,
    expires_at=st.sampled_from([DAY, 5 * DAY]),
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("put"), plans),
        st.tuples(st.just("end"), plans),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("wait"), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(events)
def test_just_the_pairs_that_meet_both_ways_are_told_once_and_both_at_once(history) -> None:
    exchange, revisions = Exchange(), dict[int, int]()
    for what, about in history:
        found = happen(exchange, revisions, what, about)
        assert list(exchange.state.due(exchange.now)) == []
        for each in found:
            if each.what != "withdrawn":
                assert {organisation for organisation, _ in each.messages} == {
                    side.organisation for side in each.note.sides
                }
        exchange.check()


def happen(exchange: Exchange, revisions: dict[int, int], what: str, about) -> list[Telling]:
    if what == "put":
        revisions[about.number] = revisions.get(about.number, 0) + 1
        return exchange.put(replace(about, revision=revisions[about.number]))
    if what == "end" and about.record_id in exchange.there:
        return exchange.end(exchange.there[about.record_id])
    if what == "restart":
        exchange.restart(backwards=about)
        assert not exchange.tell(), "who was told before is told nothing by a restart"
    if what == "wait":
        exchange.now += 2 * DAY
    return exchange.tell()


@settings(max_examples=60, deadline=None)
@given(plans, plans)
def test_either_order_of_arrival_tells_the_same(one: Plan, other: Plan) -> None:
    if one.number == other.number:
        return
    first, second = Exchange(), Exchange()
    for exchange, order in ((first, (one, other)), (second, (other, one))):
        for each in order:
            exchange.put(each)
    assert first.told.keys() == second.told.keys()
    assert first.active() == second.active()
