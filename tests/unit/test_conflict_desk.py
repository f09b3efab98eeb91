"""Two agencies' operations, all the way through the exchange's rule to whom each has to call."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from producers.conflict_desk import AWAY, OVER, ConflictDesk
from producers.conflicts import Conflicts as Kept
from producers.operation_publisher import OperationPublisher
from producers.operations import Operation
from producers.outbox import Outbox
from producers.sharing import SharingPolicy
from producers.tips import Tips
from producers.touch import Sealer, record_id
from schemas import codec
from schemas.operations import PlannedOperation
from schemas.topics import CONFLICTS
from schemas.vocabulary import TouchKind
from silenthit.blinding.sealing import Signer
from silenthit.bus.clients import KafkaSettings, Message
from silenthit.bus.sender import SenderKey
from silenthit.call_tree.protocol import parse_protocol
from silenthit.errors import RetryError
from stream_processors.conflict_admission import Ended, Planned, admit_operation
from stream_processors.conflict_settings import ConflictSettings
from stream_processors.conflicts import Conflicts
from tests.unit.test_operations import ANA, PRF, START, draft, operation
from tests.unit.test_publisher import Bus

PROTOCOL = parse_protocol(
    {
        "timezone": "UTC",
        "people": {"reyes": {"channels": ["desk"]}},
        "branches": [
            {
                "name": "operations",
                "when": {"kind": "planned_operation"},
                "levels": [{"call": ["reyes"], "within": "10m"}],
            }
        ],
        "last_resort": {"call": ["reyes"], "every": "30m", "times": 2},
    }
)


class FedDesk(ConflictDesk):
    """A desk whose topic is a list."""

    def _read(self) -> list[Message]:
        found, FEEDS[self.ori][:] = list(FEEDS[self.ori]), []
        return found


FEEDS: dict[str, list[Message]] = {}


@dataclass
class Agency:
    """One agency's room: outbox, keys, desk."""

    ori: str
    folder: Path
    policy: SharingPolicy = field(default_factory=SharingPolicy)
    trusts: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signing = Ed25519PrivateKey.generate()
        self.sender = SenderKey(f"{self.ori}#1", self.ori.encode().ljust(32, b"s"))
        path = self.folder / f"{self.ori}.db"
        self.outbox, self.bus, self.offset = Outbox(path, b"o" * 32), Bus(), 0
        self.tips = Tips(path, b"o" * 32, PROTOCOL)
        FEEDS[self.ori] = []
        self.desk = FedDesk(
            bus=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
            ori=self.ori,
            conflicts=Kept(path, b"o" * 32),
            operations=self.outbox.operations,
            keys=lambda: self.trusts,
            tips=self.tips,
        )

    def plan(self, made: Operation) -> Message:
        record = made.record()
        ident = record_id(self.ori.encode(), record.number)
        self.outbox.accept([(ident, draft(record))], "2031-11", reinstate=True)
        return self.send()

    def cancel(self, number: str) -> Message:
        self.outbox.retract(record_id(self.ori.encode(), number))
        return self.send()

    def send(self) -> Message:
        sealer = Sealer(
            prf=PRF,
            current_epoch=lambda: 1,
            sender=self.sender.key_id,
            signer=Signer(self.sender.key_id, self.signing),
            ori=self.ori,
            agency=f"{self.ori} PD",
            policy=self.policy,
        )
        OperationPublisher(
            outbox=self.outbox,
            sealer=sealer,
            bus=self.bus,
            sender=self.sender,
            now=lambda: START - timedelta(days=1),
        ).publish()
        topic, key, value, headers = self.bus.log[-1]
        self.offset += 1
        return Message(topic, 0, self.offset, 1_000, key, value, tuple(headers.items()))

    def standing(self) -> list:
        return [known for _, known in self.desk.conflicts.all(active=True)]


@dataclass
class Room:
    """Two agencies and the exchange between them."""

    folder: Path

    def __post_init__(self) -> None:
        self.ours, self.theirs = Agency("CT0009900", self.folder), Agency("MA0130100", self.folder)
        self.state, self.now, self.messages = Conflicts(ConflictSettings()), 1_000, 0
        self.trust()

    def trust(self) -> None:
        both = (self.ours, self.theirs)
        for each in both:
            each.trusts = {a.sender.key_id: a.signing.public_key() for a in both}

    def exchange(self, message: Message) -> None:
        keys = {a.sender.key_id: a.sender for a in (self.ours, self.theirs)}
        found = admit_operation(message, keys, lambda _: True)
        if isinstance(found, Ended):
            self.state.end(found)
        else:
            assert isinstance(found, Planned), found
            self.state.see(found, message.timestamp_ms)
            assert self.state.take(found)
        self.now += 1_000
        for each in list(self.state.due(self.now)):
            self.messages += len(each.messages)
            self.state.remember(each.conflict_id, each.note)
            for organisation, told in each.messages:
                feed = FEEDS[organisation.upper()]
                place = (CONFLICTS.of(organisation), 0, len(feed), 1_000)
                feed.append(Message(*place, each.conflict_id, codec.encode(told), ()))

    def poll(self) -> None:
        for each in (self.ours, self.theirs):
            each.desk.poll(lambda *_: None)  # type: ignore[arg-type,return-value]


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.ours.outbox.close()
    made.theirs.outbox.close()


def near(**changed: object) -> Operation:
    """Another operation of another subject, 600 m away from `operation()` an hour later."""
    fields = {
        "number": "RAID-7",
        "starts_at": START + timedelta(hours=1),
        "area": {"lat": 41.3154, "lon": -72.92, "radius_m": 100},
        "contact": {"name": "Sgt. Ward", "phone": "413-555-0101"},
        "supervisor": {"name": "Capt. Holt", "phone": "413-555-0102"},
        "subject": [],
        **changed,
    }
    return operation(**fields)


def meet(room: Room, theirs: Operation, ours: Operation | None = None) -> None:
    room.exchange(room.ours.plan(ours or operation()))
    room.exchange(room.theirs.plan(theirs))
    room.poll()


def test_each_is_told_whom_to_call_and_what_overlaps(room):
    meet(room, near())
    [ours], [theirs] = room.ours.standing(), room.theirs.standing()
    assert (ours.number, ours.card.name, ours.card.phone) == ("OP-1", "Sgt. Ward", "413-555-0101")
    assert ours.card.supervisor == "Capt. Holt, 413-555-0102"
    assert (theirs.number, theirs.card.name) == ("RAID-7", "Sgt. Lee")
    assert ours.overlaps == theirs.overlaps
    assert ours.overlaps[0].startswith("place and time: 600 m apart, both from 2026-11-30 06:00")


def test_somebody_is_called_by_the_call_tree_and_once(room):
    meet(room, near())
    room.poll()
    [tip] = room.ours.tips.all()
    assert tip.record.kind is TouchKind.PLANNED_OPERATION
    assert "Call MA0130100 PD, Sgt. Ward, 413-555-0101. Supervisor: Capt. Holt" in (
        tip.record.narrative
    )
    assert tip.case.route == ("operations",)
    assert [event["action"] for event in tip.events] == ["opened"]
    assert "Quimby" not in json.dumps(tip.record.model_dump(mode="json"))


def test_one_subject_in_two_operations_is_a_conflict_wherever_they_are(room):
    far = {"lat": 44.5, "lon": -69.0, "radius_m": 100}
    meet(room, near(area=far, subject=[{**ANA, "surname": "Quimbey"}]))
    assert room.ours.standing()[0].overlaps == ("subject: Ana Quimby",)
    assert room.theirs.standing()[0].overlaps == ("subject: Ana Quimbey",)


def test_a_car_that_is_tied_to_nobody_is_compared_too(room):
    car = [{"kind": "plate", "value": "ABC123", "issuer": "CT"}]
    bob = {"surname": "Ng", "given": "Bob", "birth_dates": ["1970-01-09"]}
    far = {"lat": 44.5, "lon": -69.0, "radius_m": 100}
    meet(room, near(area=far, items=car, subject=[bob]), operation(items=car))
    assert room.ours.standing()
    assert room.theirs.standing()


@pytest.mark.parametrize(
    "theirs",
    [
        {"starts_at": START + timedelta(hours=4), "ends_at": START + timedelta(hours=8)},
        {"area": {"lat": 41.45, "lon": -72.92, "radius_m": 100}},
    ],
)
def test_the_place_alone_or_the_time_alone_tells_nobody(room, theirs):
    meet(room, near(**theirs))
    assert room.ours.standing() == room.theirs.standing() == []
    assert room.ours.tips.all() == []


def test_what_only_seemed_a_conflict_is_discarded_on_both_sides_in_silence(room):
    meet(room, near(area={"lat": 41.3236, "lon": -72.92, "radius_m": 100}))  # 1.5 km: one piece
    assert room.messages == 2, "the exchange can't tell"
    assert room.ours.desk.conflicts.all() == room.theirs.desk.conflicts.all() == []
    assert room.ours.tips.all() == room.theirs.tips.all() == []


def test_a_move_away_withdraws_and_closes_the_case(room):
    meet(room, near())
    room.exchange(room.theirs.plan(near(area={"lat": 44.5, "lon": -69.0, "radius_m": 100})))
    room.poll()
    assert room.ours.standing() == room.theirs.standing() == []
    assert [k.withdrawn for _, k in room.ours.desk.conflicts.all()] == [AWAY]
    assert room.ours.tips.all()[0].case.stage.value == "closed"
    room.exchange(room.theirs.plan(near()))
    room.poll()
    assert len(room.ours.standing()) == 1
    assert room.ours.tips.all()[0].case.stage.value == "climbing", "back in the way: called again"


def test_a_move_that_seems_near_and_is_not_withdraws_as_well(room):
    meet(room, near())
    room.exchange(room.theirs.plan(near(area={"lat": 41.3236, "lon": -72.92, "radius_m": 100})))
    room.poll()
    assert room.ours.standing() == room.theirs.standing() == []


def test_a_cancellation_withdraws_on_both_sides(room):
    meet(room, near())
    room.exchange(room.theirs.cancel("RAID-7"))
    room.poll()
    assert [k.withdrawn for _, k in room.ours.desk.conflicts.all()] == [AWAY]
    assert [k.withdrawn for _, k in room.theirs.desk.conflicts.all()] == [OVER]


def test_an_agency_whose_signature_is_not_trusted_waits_until_it_is(room):
    room.ours.trusts = {}
    meet(room, near())
    assert room.ours.standing() == []
    assert len(room.ours.desk.conflicts.waiting()) == 1
    assert len(room.theirs.standing()) == 1
    room.trust()
    room.poll()
    assert len(room.ours.standing()) == 1
    assert room.ours.desk.conflicts.waiting() == []


def test_where_the_other_shows_pointers_alone_the_subject_is_not_named(room):
    room.theirs.policy = SharingPolicy(pointer_only=frozenset({TouchKind.PLANNED_OPERATION}))
    far = {"lat": 44.5, "lon": -69.0, "radius_m": 100}
    meet(room, near(area=far, subject=[ANA]))
    assert "does not show" in room.ours.standing()[0].overlaps[0]


def test_a_message_that_was_changed_on_the_way_opens_nothing(room):
    room.exchange(room.ours.plan(operation()))
    room.exchange(room.theirs.plan(near()))
    for feed in FEEDS.values():
        feed[:] = [m._replace(value=m.value[:-1] + bytes([m.value[-1] ^ 1])) for m in feed]
    room.poll()
    assert room.ours.standing() == room.theirs.standing() == []


def test_nothing_of_a_conflict_is_readable_in_the_file(room):
    meet(room, near())
    content = b"".join(each.read_bytes() for each in room.folder.iterdir())
    for word in (b"Sgt. Ward", b"413-555", b"RAID-7", b"600 m"):
        assert word not in content


def test_the_planned_operation_shows_no_place_and_no_subject(room):
    value = room.ours.plan(operation()).value
    assert value is not None
    for word in (b"Quimby", b"Seaview", b"41.31", b"Sgt. Lee"):
        assert word not in value
    assert codec.decode(value, PlannedOperation).record_id == record_id(b"CT0009900", "OP-1")


def test_a_crash_between_keeping_and_calling_leaves_nobody_uncalled(room, monkeypatch):
    def crash(*_: object) -> None:
        raise RetryError("expected to write the outbox, got a full disk; free some space")

    with monkeypatch.context() as broken:
        broken.setattr(Tips, "hear", crash)
        with pytest.raises(RetryError):
            meet(room, near())
        assert room.ours.desk.conflicts.all() == []
    room.exchange(room.theirs.plan(near(area={"lat": 41.3153, "lon": -72.92, "radius_m": 100})))
    room.poll()
    assert len(room.ours.tips.all()) == len(room.ours.standing()) == 1


def test_one_that_cannot_be_compared_stops_no_other_and_is_tried_again(room, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("producers.conflict_desk.overlaps", lambda *_: 1 / 0)
        meet(room, near())
        assert room.ours.standing() == []
    room.poll()
    assert len(room.ours.standing()) == 1
