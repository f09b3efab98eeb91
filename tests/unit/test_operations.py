"""A planned operation: what its touch shows, what other agencies are sent, and that both arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastavro import schemaless_writer

from producers.intake import Intake
from producers.operation_publisher import OperationPublisher
from producers.operations import Operation, OperationLimits
from producers.outbox import Outbox
from producers.publisher import Dispatcher
from producers.records import Record
from producers.sharing import SharingPolicy
from producers.touch import Draft, Entry, Sealer, drafted, record_id
from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.operations import DISTANCE_M, PlannedOperation
from schemas.packing import GRANT, LOCK, MATCH, TOKEN, pack, rows
from schemas.parts import ContactCard
from schemas.rule import satisfies
from schemas.topics import OPERATIONS, TOUCHES
from schemas.vocabulary import MatchKeyKind, is_of_a_subject
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.opening import Opened, Sealed, open_touch
from silenthit.blinding.prf import LocalKey
from silenthit.blinding.sealing import Signer
from silenthit.bus.sender import SenderKey, verified_sender
from silenthit.errors import InputError, RetryError
from silenthit.identity.areas import asking_keys
from tests.unit.test_publisher import Bus

SIGNING = Ed25519PrivateKey.generate()
PRF = LocalKey([EpochSecrets.generate(epoch=1), EpochSecrets.generate(epoch=2)])
SENDER = SenderKey("VT0040100#1", b"s" * 32)
START = datetime(2026, 11, 30, 5, tzinfo=UTC)
ANA = {"surname": "Quimby", "given": "Ana", "birth_dates": ["1990-02-03"]}


def operation(**changed: object) -> Operation:
    fields = {
        "number": "OP-1",
        "starts_at": START,
        "ends_at": START + timedelta(hours=4),
        "contact": {"name": "Sgt. Lee", "phone": "802-555-0199", "unit": "Vice"},
        "supervisor": {"name": "Lt. Ortiz", "phone": "802-555-0150"},
        "area": {"lat": 41.31, "lon": -72.92, "radius_m": 200},
        "subject": [ANA],
        **changed,
    }
    return Operation.model_validate(fields)


def test_a_time_beyond_the_ceiling_is_refused_however_it_is_written() -> None:
    record = operation().record()
    assert record.area is not None
    long = record.area.model_copy(update={"ends_at": START + timedelta(days=3000)})
    for changed in ({"area": long}, {"area": long, "until": None}):
        with pytest.raises(InputError, match="at most 14 days"):
            OperationLimits().check(record.model_copy(update=changed), today=0)


def sealer(epoch: int = 1) -> Sealer:
    return Sealer(
        prf=PRF,
        current_epoch=lambda: epoch,
        sender=SENDER.key_id,
        signer=Signer(SENDER.key_id, SIGNING),
        ori="VT0040100",
        agency="Burlington PD",
        policy=SharingPolicy(),
    )


def draft(record: Record) -> Draft:
    made = drafted(record)
    assert isinstance(made, Draft)
    return made


def opened_by_place(record: Record) -> tuple[SubjectTouch, Opened]:
    entry = Entry(record_id(b"k" * 32, record.number), 1, "2031-11", draft(record))
    [touch] = sealer().seal([entry], 1)
    assert record.area is not None
    asked = PRF.tokens(1, asking_keys(record.area, DISTANCE_M))
    found = satisfies(
        touch.tokens, pack([(0, int(token.kind), token.value) for token in asked], TOKEN)
    )
    secrets = {token.value: token.secret for token in asked}
    indices = {match.row for match in found}
    locks = [row for row in rows(touch.locks, LOCK) if int(row["first"]) in indices]
    sealed = Sealed(
        header=touch.header,
        matches=pack(list(found), MATCH),
        locks=b"".join(row.tobytes() for row in locks),
        grants=rows(touch.grants, GRANT).tobytes(),
        parts=touch.parts,
    )
    return touch, open_touch(sealed, secrets, {SENDER.key_id: SIGNING.public_key()})


def test_who_watches_the_place_reads_whom_to_call_and_no_subject():
    touch, opened = opened_by_place(operation().record())
    assert opened.card is not None
    assert opened.common is not None
    assert opened.card.supervisor == "Lt. Ortiz, 802-555-0150"
    assert opened.card.area is None, "a look-up must not show where a raid is"
    assert opened.common.area == operation().plan()
    assert opened.matched == {1}
    assert set(opened.subjects) <= {1}
    assert codec.decode(touch.header, TouchHeader).unlisted == bytes([1])


def test_an_operation_may_have_a_place_and_no_subject():
    _, opened = opened_by_place(operation(subject=[]).record())
    assert opened.matched == {0}


def test_no_other_subject_has_tokens_of_a_place():
    touch, _ = opened_by_place(operation().record())
    places = {
        int(row["subject"])
        for row in rows(touch.tokens, TOKEN)
        if not is_of_a_subject(int(row["kind"]))
    }
    assert places == {1}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"area": {"lat": 41.31, "lon": -72.92, "radius_m": 5_001}}, "5,000 m"),
        ({"ends_at": START + timedelta(days=15)}, "14 days"),
        ({"subject": [ANA] * 51}, "50 subjects"),
    ],
)
def test_what_claims_too_much_is_refused_by_the_ceiling_it_breaks(changed, named):
    with pytest.raises(InputError, match=named):
        OperationLimits().check(operation(**changed).record(), today=0)
    with pytest.raises(InputError, match="a day"):
        OperationLimits(per_day=3).check(operation().record(), today=3)
    OperationLimits().check(operation().record(), today=49)


def test_no_way_into_the_outbox_leads_past_the_ceilings(desk):
    intake = Intake(outbox=desk.outbox, record_secret=b"k" * 32, area_code="", retention_years=5)
    large = {"lat": 41.31, "lon": -72.92, "radius_m": 400_000}
    rejected = []
    tally = intake.take([operation(area=large).record()], rejected.append)
    assert tally.rejected == 1
    assert "5,000 m" in str(rejected[0])
    assert intake.take([operation().record()], rejected.append).new == 1


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"supervisor": {"name": "Lt. Ortiz"}}, "supervisor"),
        ({"area": {"lat": 91, "lon": 0, "radius_m": 10}}, "lat -90 to 90"),
        ({"area": {"lat": 41, "lon": 0, "radius_m": 0}}, "radius_m above 0"),
        ({"ends_at": START}, "after `starts_at`"),
        ({"contact": {"name": "x" * 501, "phone": "1"}}, "500 characters"),
    ],
)
def test_what_cannot_be_an_operation_is_refused(changed, named):
    with pytest.raises(ValueError, match=named):
        operation(**changed)


class Desk:
    """An outbox with a broker that fails where it is told to."""

    def __init__(self, path) -> None:
        self.path, self.bus, self.now = path, Bus(), START - timedelta(days=1)
        self.outbox = Outbox(path, b"o" * 32)

    def accept(self, made: Operation) -> None:
        record = made.record()
        ident = record_id(b"k" * 32, record.number)
        self.outbox.accept([(ident, draft(record))], "2031-11", reinstate=True)

    def publish(self, epoch: int = 1) -> None:
        operations = OperationPublisher(
            outbox=self.outbox,
            sealer=sealer(epoch),
            bus=self.bus,
            sender=SENDER,
            now=lambda: self.now,
        )
        dispatcher = Dispatcher(
            outbox=self.outbox,
            sealer=sealer(epoch),
            bus=self.bus,
            sender=SENDER,
            operations=operations,
        )
        dispatcher.publish()
        dispatcher.publish_operations()

    def restart(self) -> None:
        self.outbox.close()
        self.outbox = Outbox(self.path, b"o" * 32)

    def sent(self) -> list[tuple[str, bytes | None]]:
        return [(topic, value) for topic, _, value, _ in self.bus.log]


OURS = OPERATIONS.of("vt0040100")
IDENT = record_id(b"k" * 32, "OP-1")


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "outbox.db")
    yield made
    made.outbox.close()


@pytest.mark.parametrize("failing", [0, 1])
def test_neither_message_is_lost_whichever_did_not_arrive(desk, failing):
    desk.bus.failing = {failing: RetryError("expected a broker, got none; try again")}
    desk.accept(operation())
    with pytest.raises(RetryError):
        desk.publish()
    desk.restart()
    desk.publish()
    desk.publish()
    assert sorted(topic for topic, _ in desk.sent()) == [OURS, TOUCHES.name]


def test_what_is_sent_is_proven_and_says_what_it_asks(desk):
    desk.accept(operation())
    desk.publish()
    topic, key, value, headers = desk.bus.log[-1]
    assert (topic, key) == (OURS, IDENT)
    assert verified_sender({SENDER.key_id: SENDER}, key, value, headers) == SENDER
    message = codec.decode(value, PlannedOperation)
    assert message.expires_at == (START + timedelta(hours=10)).timestamp() * 1000
    asked = rows(message.asks, TOKEN)
    assert set(asked["subject"]) == {0, 1}
    assert len(asked) % 8 == 0
    own = desk.outbox.operations.own(IDENT)
    area = operation().plan()
    assert area is not None
    for token in PRF.tokens(1, asking_keys(area, DISTANCE_M)):
        assert own.token_secrets[token.value] == token.secret
    kinds = {int(row["kind"]) for row in asked if row["subject"] == 0}
    assert kinds <= {int(kind) for kind in MatchKeyKind if not is_of_a_subject(kind)}


def test_a_change_goes_out_as_the_next_revision_under_the_same_reply_key(desk):
    desk.accept(operation())
    desk.publish()
    desk.accept(operation(area={"lat": 42.0, "lon": -72.92, "radius_m": 200}))
    desk.publish()
    one, two = (
        codec.decode(value, PlannedOperation)
        for topic, value in desk.sent()
        if topic == OURS and value is not None
    )
    assert (one.revision, two.revision) == (1, 2)
    assert one.reply_key == two.reply_key
    assert one.asks != two.asks


def test_in_the_next_epoch_it_is_sent_again(desk):
    desk.accept(operation())
    desk.publish()
    desk.publish(epoch=2)
    desk.publish(epoch=2)
    sent = [codec.decode(value, PlannedOperation) for topic, value in desk.sent() if topic == OURS]
    headers = [
        codec.decode(codec.decode(each.touch, SubjectTouch).header, TouchHeader) for each in sent
    ]
    assert [(each.revision, each.epoch) for each in headers] == [(1, 1), (1, 2)]


@pytest.mark.parametrize("way", ["cancelled", "over"])
def test_what_is_cancelled_or_over_is_taken_back_and_nothing_that_opens_is_kept(desk, way):
    desk.accept(operation())
    desk.publish()
    assert desk.outbox.operations.record(IDENT) is not None
    if way == "cancelled":
        desk.outbox.retract(IDENT)
    else:
        desk.now = START + timedelta(hours=11)
    desk.publish()
    desk.publish()
    assert [value is None for topic, value in desk.sent() if topic == OURS] == [False, True]
    assert desk.outbox.operations.own(IDENT) is None
    assert desk.outbox.operations.record(IDENT) is None


def test_the_days_new_ones_are_counted_and_a_known_one_may_change(desk):
    desk.accept(operation())
    today = datetime.now(UTC) - timedelta(hours=1)
    assert desk.outbox.operations.new_since(today, b"x" * 16) == 1
    assert desk.outbox.operations.new_since(today, IDENT) == 0


def test_nothing_of_an_operation_is_readable_in_the_file(desk):
    desk.accept(operation())
    desk.publish()
    desk.outbox.close()
    content = b"".join(each.read_bytes() for each in desk.path.parent.iterdir())
    assert b"Quimby" not in content
    assert b"41.31" not in content


def test_a_card_from_before_operations_said_where_is_read():
    [(prefix, before)] = codec.earlier(ContactCard).items()
    card = ContactCard(ori="VT0040100", agency="Burlington PD", month="2026-11")
    body = BytesIO()
    schemaless_writer(body, before, card.model_dump(exclude={"supervisor", "area"}))
    assert codec.decode(prefix + body.getvalue(), ContactCard) == card
