"""Touches read in columns against the reference that decodes them, over damaged and odd bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.packing import LOCK, NO_TOKEN
from schemas.vocabulary import CoarseKind, MatchKeyKind
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, sender_headers
from stream_processors.admission import AdmittedTouch, admit_touch
from stream_processors.batch_admission import BatchAdmission
from tests.exchange_room import EPOCHS, HARBOR, MILLBROOK, identified, ssn, token, touch_of

KEYS = {key.key_id: key for key in (HARBOR, MILLBROOK)}
BASES = {
    1: touch_of(1, [ssn("1"), token(MatchKeyKind.FULL_NAME, "a")]),
    2: touch_of(2, [ssn("1")], [ssn("2"), ssn("3")], revision=1_000_000, kind=CoarseKind.CUSTODY),
    3: touch_of(3, *([ssn(str(n))] for n in range(70)), sender=MILLBROOK, epoch=2),
    4: touch_of(4, [token(MatchKeyKind.PHONE, str(n)) for n in range(40)], revision=0, epoch=9),
}
VALUES = {number: codec.encode(touch) for number, touch in BASES.items()}

# What an agency could send and sign: bytes changed, cut off or put in, anywhere.
edits = st.tuples(
    st.sampled_from(["as it is", "flip", "cut", "insert", "drop"]),
    st.integers(0, 1 << 16),
    st.integers(1, 255),
)


def edited(value: bytes, how: str, at: int, byte: int) -> bytes:
    at %= len(value)
    return {
        "as it is": value,
        "flip": value[:at] + bytes([value[at] ^ byte]) + value[at + 1 :],
        "cut": value[:at],
        "insert": value[:at] + bytes([byte]) + value[at:],
        "drop": value[:at] + value[at + 1 :],
    }[how]


def message(number: int, value: bytes | None, sender: SenderKey, offset: int) -> Message:
    key = identified(number)
    headers = sender_headers(sender, key, value, None if value else 2)
    return Message("touches", 0, offset, 1_000, key, value, headers)


messages = st.builds(
    lambda number, edit, sender, offset: message(
        number, edited(VALUES[number], *edit), sender, offset
    ),
    st.sampled_from(sorted(VALUES)),
    edits,
    st.sampled_from([HARBOR, MILLBROOK]),
    st.integers(0, 9),
)


def both(batch: list[Message]) -> None:
    found = BatchAdmission(few=0).admit(batch, KEYS, EPOCHS.accepts_touch)
    assert found == [admit_touch(each, KEYS, EPOCHS.accepts_touch) for each in batch]


@given(batch=st.lists(messages, max_size=8))
def test_a_batch_is_admitted_as_each_message_alone_would_be(batch: list[Message]) -> None:
    both(batch)


@given(number=st.sampled_from([1, 2]), at=st.integers(0, 199), byte=st.integers(1, 255))
def test_the_first_bytes_are_read_as_the_codec_reads_them(number: int, at: int, byte: int) -> None:
    sender = HARBOR
    both([message(number, edited(VALUES[number], "flip", at, byte), sender, 1)])


def test_what_does_not_prove_its_sender_or_is_a_tombstone_is_left_to_the_reference() -> None:
    value = VALUES[1]
    good = message(1, value, HARBOR, 1)
    odd = [
        message(1, None, HARBOR, 2),
        Message("touches", 0, 3, 1, identified(1), value, ()),
        Message("touches", 0, 3, 1, identified(1), value, good.headers[::-1]),
        Message("touches", 0, 4, 1, None, value, good.headers),
        Message("touches", 0, 4, 1, b"short", value, good.headers),
        Message("touches", 0, 5, 1, identified(2), value, good.headers),
        Message("touches", 0, 6, 1, identified(1), b"", good.headers),
    ]
    both([good, *odd, good])


def test_locks_and_grants_that_name_nothing_are_refused() -> None:
    touch = BASES[1]
    locks = bytearray(touch.locks)
    for place, number in ((3, 0xFFFE), (5, NO_TOKEN - 1), (5, 8)):
        locks[place : place + 2] = number.to_bytes(2, "little")
        changed = touch.model_copy(update={"locks": bytes(locks)})
        both([message(1, codec.encode(changed), HARBOR, 1)])
    assert LOCK.itemsize == 47
    grants = bytearray(touch.grants)
    grants[1] = len(touch.parts)
    both([message(1, codec.encode(touch.model_copy(update={"grants": bytes(grants)})), HARBOR, 1)])


def test_plain_touches_never_need_the_reference() -> None:
    batch = [message(number, VALUES[number], HARBOR, 1) for number in (1, 2)] * 3
    admission = BatchAdmission(few=0)
    admission.admit(batch, KEYS, EPOCHS.accepts_touch)
    senders = [admission._sender(each) for each in batch]
    assert all(senders)
    found = admission.admit(batch, KEYS, EPOCHS.accepts_touch)
    assert all(isinstance(each, AdmittedTouch) for each in found)


def test_a_senders_key_that_was_withdrawn_counts_no_more() -> None:
    admission = BatchAdmission(few=0)
    batch = [message(1, VALUES[1], HARBOR, 1)]
    assert isinstance(admission.admit(batch, KEYS, EPOCHS.accepts_touch)[0], AdmittedTouch)
    left = {MILLBROOK.key_id: MILLBROOK}
    assert admission.admit(batch, left, EPOCHS.accepts_touch) == [
        admit_touch(batch[0], left, EPOCHS.accepts_touch)
    ]
