from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from producers import publisher
from producers.outbox import Outbox
from producers.pace import Pace
from producers.publisher import Dispatcher, Published
from producers.records import Record
from producers.sharing import SharingPolicy
from producers.touch import Draft, Sealer, drafted, record_id
from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.parts import Identifier, Subject
from schemas.topics import TOUCHES
from schemas.vocabulary import IdentifierKind, TouchKind
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.prf import LocalKey, Token
from silenthit.blinding.sealing import Signer
from silenthit.bus.clients import Delivered
from silenthit.bus.sender import SenderKey, verified_sender
from silenthit.errors import RefusedError, RetryError
from silenthit.identity.match_keys import MatchKey

SENDER = SenderKey("VT0040100#1", b"s" * 32)
PRF = LocalKey([EpochSecrets.generate(epoch=1)])


class Bus:
    """A broker that loses the messages whose number is in `failing`."""

    def __init__(self, failing: dict[int, Exception] | None = None) -> None:
        self.failing = failing or {}
        self.tried = 0
        self.log: list[tuple[str, bytes, bytes | None, dict[str, bytes]]] = []

    def send(self, topic, key, value, *, headers=(), partition=None) -> Future[Delivered]:
        future: Future[Delivered] = Future()
        error = self.failing.get(self.tried)
        self.tried += 1
        if error:
            future.set_exception(error)
        else:
            self.log.append((topic, key, value, dict(headers)))
            future.set_result(Delivered(topic, 0, len(self.log), 0))
        return future


class AwayPrf:
    """A key holder that is away for its first `times` questions."""

    def __init__(self, times: int) -> None:
        self.times = times

    def tokens(self, epoch: int, keys: Sequence[MatchKey]) -> list[Token]:
        if self.times:
            self.times -= 1
            raise RetryError("expected the key holder, got nobody; try again")
        return PRF.tokens(epoch, keys)


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


def dispatcher(outbox: Outbox, bus: Bus, prf: object = PRF) -> Dispatcher:
    sealer = Sealer(
        prf=prf,
        current_epoch=lambda: 1,
        sender="VT0040100#1",
        signer=Signer("VT0040100#1", Ed25519PrivateKey.generate()),
        ori="VT0040100",
        agency="PD",
        policy=SharingPolicy(),
    )
    return Dispatcher(outbox=outbox, sealer=sealer, bus=bus, sender=SENDER)


def fill(
    outbox: Outbox, count: int, narrative: str = "", *, first: int = 0, history: bool = False
) -> list[bytes]:
    ids = []
    for n in range(first, first + count):
        phone = Identifier(kind=IdentifierKind.PHONE, value=f"802-555-{n:04}")
        record = Record(
            number=str(n),
            kind=TouchKind.TIP,
            subjects=(Subject(identifiers=(phone,)),),
            narrative=narrative,
        )
        draft = drafted(record)
        assert isinstance(draft, Draft)
        ids.append(record_id(b"r", record.number))
        outbox.accept([(ids[-1], draft)], "2031-01", history=history)
    return ids


def test_every_record_is_sent_once_under_its_id_with_proof_of_its_sender(outbox):
    ids, bus = fill(outbox, 600), Bus()
    assert dispatcher(outbox, bus).publish() == Published(confirmed=600)
    assert [key for _, key, _, _ in bus.log] == ids
    for topic, key, value, headers in bus.log:
        assert topic == TOUCHES.name
        assert verified_sender({SENDER.key_id: SENDER}, key, value, headers) == SENDER
        header = codec.decode(codec.decode(value, SubjectTouch).header, TouchHeader)
        assert (header.record_id, header.revision) == (key, 1)
    assert dispatcher(outbox, bus).publish() == Published()


def test_what_the_broker_did_not_confirm_is_sent_again_as_it_was(outbox):
    ids = fill(outbox, 5)
    bus = Bus(failing={2: RetryError("expected the broker, got none; try again")})
    with pytest.raises(RetryError):
        dispatcher(outbox, bus).publish()
    assert outbox.counts()["published"] == 4
    kept = [each.touch for _, each in outbox.outgoing(10)]
    assert dispatcher(outbox, bus).publish() == Published(confirmed=1)
    assert (bus.log[-1][1], [bus.log[-1][2]]) == (ids[2], kept)


def test_a_retraction_goes_out_as_a_tombstone_with_its_revision_and_proof(outbox):
    [ident], bus = fill(outbox, 1), Bus()
    dispatcher(outbox, bus).publish()
    outbox.retract(ident)
    dispatcher(outbox, bus).publish()
    _, key, value, headers = bus.log[-1]
    assert (key, value, headers["revision"]) == (ident, None, b"2")
    assert verified_sender({SENDER.key_id: SENDER}, key, value, headers) == SENDER


def test_a_correction_made_meanwhile_follows_its_predecessor(outbox):
    bus = Bus()
    fill(outbox, 1)
    dispatcher(outbox, bus).publish()
    fill(outbox, 1, narrative="more")
    dispatcher(outbox, bus).publish()
    revisions = [
        codec.decode(codec.decode(value, SubjectTouch).header, TouchHeader).revision
        for _, _, value, _ in bus.log
    ]
    assert revisions == [1, 2]


def test_patience_waits_longer_each_time_and_goes_on_where_it_stopped(outbox):
    fill(outbox, 3)
    pauses: list[float] = []
    bus = Bus()
    sent = dispatcher(outbox, bus, AwayPrf(3)).publish_patiently(
        60, clock=lambda: sum(pauses), sleep=pauses.append
    )
    assert sent.confirmed == 3
    assert pauses == [0.5, 1.0, 2.0]


def test_patience_ends_and_the_records_are_kept(outbox):
    fill(outbox, 3)
    pauses: list[float] = []
    with pytest.raises(RetryError):
        dispatcher(outbox, Bus(), AwayPrf(99)).publish_patiently(
            10, clock=lambda: sum(pauses), sleep=pauses.append
        )
    assert sum(pauses) <= 10
    assert outbox.counts()["accepted"] == 3


def test_what_only_the_operator_can_mend_is_not_tried_again(outbox):
    fill(outbox, 1)
    bus = Bus(failing={0: RefusedError("expected the right to write; ask the operator")})
    with pytest.raises(RefusedError):
        dispatcher(outbox, bus).publish_patiently(60, sleep=lambda _: pytest.fail("waited"))
    assert outbox.counts()["sealed"] == 1


def test_a_record_too_large_for_any_broker_is_set_aside_and_the_rest_goes_through(outbox):
    fill(outbox, 1, narrative="x" * 1_500_000)
    phone = Identifier(kind=IdentifierKind.PHONE, value="802-555-0199")
    small = drafted(Record(number="s", kind=TouchKind.TIP, items=(phone,)))
    outbox.accept([(b"s" * 16, small)], "2031-01")
    assert dispatcher(outbox, Bus()).publish() == Published(confirmed=1, refused=1)
    assert outbox.counts()["refused"] == 1


@pytest.mark.parametrize(("less", "sent"), [(0, Published(confirmed=1)), (1, Published(refused=1))])
def test_a_touch_of_the_largest_size_goes_and_one_a_byte_larger_is_set_aside(
    outbox, monkeypatch, less, sent
):
    large = fill(outbox, 1, narrative="x" * 300_000)
    (sealed,) = dispatcher(outbox, Bus()).sealer.seal(outbox.drafts(1), 1)
    monkeypatch.setattr(publisher, "MAX_BYTES", len(codec.encode(sealed)) - less)
    bus = Bus()
    assert dispatcher(outbox, bus).publish() == sent
    assert [key for _, key, _, _ in bus.log] == (large if sent.confirmed else [])


def test_expired_records_leave_as_tombstones(outbox):
    ids, bus = fill(outbox, 3), Bus()
    dispatcher(outbox, bus).publish()
    later = replace(dispatcher(outbox, bus), now=lambda: datetime(2031, 2, 1, tzinfo=UTC))
    assert later.publish() == Published(confirmed=3)
    assert [(key, value) for _, key, value, _ in bus.log[3:]] == [(each, None) for each in ids]


def test_progress_is_told(outbox):
    fill(outbox, 300)
    steps: list[int] = []
    dispatcher(outbox, Bus()).publish(steps.append)
    assert sum(steps) == 300


def test_history_goes_out_at_its_pace_and_live_records_before_it(outbox):
    now, bus, slept = [100.0], Bus(), []
    old = fill(outbox, 7, history=True)
    live = fill(outbox, 3, first=7)
    pace = Pace(per_s=2, clock=lambda: now[0])

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds + 1e-6

    sending = replace(dispatcher(outbox, bus), pace=pace)
    sent = sending.publish_patiently(60, history=True, clock=lambda: now[0], sleep=sleep)
    assert sent == Published(confirmed=10)
    assert [key for _, key, _, _ in bus.log] == live + old
    assert 2.0 <= sum(slept) <= 3.0  # two at once, five more at two a second


def test_publishing_live_records_leaves_history_where_it_is(outbox):
    old, bus = fill(outbox, 2, history=True), Bus()
    assert dispatcher(outbox, bus).publish() == Published()
    assert dispatcher(outbox, bus).publish_history() == Published(confirmed=2)
    assert [key for _, key, _, _ in bus.log] == old
