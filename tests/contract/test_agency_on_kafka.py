"""What the agency's outbox promises, on Apache Kafka with the topic as the exchange creates it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from producers.intake import Intake
from producers.outbox import Outbox
from producers.publisher import Dispatcher
from producers.records import Record
from producers.sharing import SharingPolicy
from producers.sources.lexs import read
from producers.touch import Sealer, record_id
from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import TOKEN, rows
from schemas.topics import TOUCHES
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.prf import LocalKey
from silenthit.blinding.sealing import Signer
from silenthit.bus.admin import create_topics, wait_until_ready
from silenthit.bus.clients import KafkaSettings, Message, Publisher, TopicReader
from silenthit.bus.sender import SenderKey, verified_sender

SENDER = SenderKey("VT0040100#1", b"s" * 32)
RECORDS = b"r" * 32


@pytest.fixture
def touches(fresh_kafka: KafkaSettings) -> KafkaSettings:
    wait_until_ready(fresh_kafka)
    create_topics(fresh_kafka, [(TOUCHES, TOUCHES.name)])
    return fresh_kafka


def publish(bus: KafkaSettings, outbox: Outbox) -> int:
    sealer = Sealer(
        prf=LocalKey([EpochSecrets.generate(epoch=1)]),
        current_epoch=lambda: 1,
        sender=SENDER.key_id,
        signer=Signer(SENDER.key_id, Ed25519PrivateKey.generate()),
        ori="VT0040100",
        agency="Burlington PD",
        policy=SharingPolicy(),
    )
    with Publisher(bus, client_id="agency") as client:
        return (
            Dispatcher(outbox=outbox, sealer=sealer, bus=client, sender=SENDER).publish().confirmed
        )


def topic(bus: KafkaSettings) -> list[Message]:
    reader = TopicReader(bus, [TOUCHES.name], client_id="test")
    messages: list[Message] = []
    while not reader.caught_up():
        messages += reader.read(1000, 1.0)
    reader.close()
    return messages


def test_all_outside_reports_reach_the_topic_once_each_under_their_record_id(
    outside_data: Path, touches: KafkaSettings, tmp_path: Path
):
    outbox = Outbox(tmp_path / "outbox.db", b"k" * 32)
    records: list[Record] = []
    rejected: list[object] = []
    intake = Intake(
        outbox=outbox,
        record_secret=RECORDS,
        area_code="",
        retention_years=5,
    )
    for path in sorted((outside_data / "lexs").glob("*.xml")):
        for outcome in read(path, UTC):
            assert isinstance(outcome, Record)
            records.append(outcome)
    assert intake.take(records, rejected.append).new == len(records) == 26
    assert not rejected
    assert publish(touches, outbox) == 26
    assert intake.take(records, rejected.append).unchanged == 26
    assert publish(touches, outbox) == 0
    messages = topic(touches)
    expected = Counter(record_id(RECORDS, each.number) for each in records)
    assert Counter(each.key for each in messages) == expected
    subjects = {record_id(RECORDS, each.number): len(each.subjects) for each in records}
    for message in messages:
        assert message.key is not None
        assert message.value is not None
        proven = verified_sender(
            {SENDER.key_id: SENDER}, message.key, message.value, message.headers
        )
        assert proven == SENDER
        touch = codec.decode(message.value, SubjectTouch)
        assert codec.decode(touch.header, TouchHeader).record_id == message.key
        numbers = {int(number) for number in rows(touch.tokens, TOKEN)["subject"]}
        assert numbers == set(range(subjects[message.key]))
    outbox.close()
