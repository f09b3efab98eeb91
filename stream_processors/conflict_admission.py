"""Let in a planned operation that is what it claims to be: a message on `operations.<ori>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from schemas import codec
from schemas.codec import WireError
from schemas.messages import SubjectTouch, TouchHeader
from schemas.operations import PlannedOperation
from schemas.packing import TOKEN
from schemas.topics import OPERATIONS
from silenthit.blinding.envelope import seal_to
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, tombstone_revision, verified_sender
from silenthit.errors import InputError
from stream_processors.admission import ID_BYTES, Place, Reason, Refused, form_fault

MOST_TOKENS = 4_096  # of the touch, and of what is asked
# What is told of it has one size, into which these have to go.
MOST_HEADER, MOST_CARD, MOST_PARTS = 512, 4_200, 64
_OURS = OPERATIONS.name.partition("{org}")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """An operation whose sender and form are in order; `organisation` is its name in topics."""

    organisation: str
    record_id: bytes = field(repr=False)
    revision: int
    epoch: int
    expires_at: int  # ms
    touch: SubjectTouch = field(repr=False)
    asks: bytes = field(repr=False)
    reply_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A tombstone: cancelled, or over."""

    organisation: str
    record_id: bytes = field(repr=False)
    revision: int


def admit_operation(
    message: Message, keys: Mapping[str, SenderKey], accepts: Callable[[int], bool]
) -> Planned | Ended | Refused:
    """Check who sent it, then encoding, key, epoch and form. `accepts` is asked for the epoch."""
    place, record_id = Place.of(message), message.key or b""
    organisation = message.topic.removeprefix(_OURS)
    sender = verified_sender(keys, record_id, message.value, message.headers)
    if sender is None or sender.organisation.lower() != organisation:
        return Refused(place, Reason.FORGED_SENDER)
    if len(record_id) != ID_BYTES:
        return Refused(place, Reason.WRONG_KEY)
    if message.value is None:
        return Ended(organisation, record_id, tombstone_revision(dict(message.headers)) or 0)
    try:
        found = codec.decode(message.value, PlannedOperation)
        touch = codec.decode(found.touch, SubjectTouch)
        header = codec.decode(touch.header, TouchHeader)
    except WireError as error:
        return Refused(place, Reason(error.reason))
    fault = _header_fault(found, header, record_id, sender) or _fault(found, touch)
    if fault is None and not accepts(header.epoch):
        fault = Reason.UNKNOWN_EPOCH
    if fault is not None:
        return Refused(place, fault)
    return Planned(
        organisation=organisation,
        record_id=record_id,
        revision=found.revision,
        epoch=header.epoch,
        expires_at=found.expires_at,
        touch=touch,
        asks=found.asks,
        reply_key=found.reply_key,
    )


def _header_fault(
    found: PlannedOperation, header: TouchHeader, record_id: bytes, sender: SenderKey
) -> Reason | None:
    if not found.record_id == header.record_id == record_id:
        return Reason.WRONG_KEY
    if header.sender.partition("#")[0] != sender.organisation:
        return Reason.FORGED_SENDER
    return None if header.revision == found.revision else Reason.MALFORMED


def _fault(found: PlannedOperation, touch: SubjectTouch) -> Reason | None:
    if fault := form_fault(touch):
        return fault
    asked, rest = divmod(len(found.asks), TOKEN.itemsize)
    sized = (
        0 < asked <= MOST_TOKENS
        and not rest
        and len(touch.tokens) <= MOST_TOKENS * TOKEN.itemsize
        and len(touch.header) <= MOST_HEADER
        and 1 < len(touch.parts) <= MOST_PARTS
        and max(map(len, (touch.parts[0], touch.parts[-1]))) <= MOST_CARD
    )
    return None if sized and _can_be_told(found.reply_key) else Reason.MALFORMED


def _can_be_told(reply_key: bytes) -> bool:
    try:
        seal_to(reply_key, b"", b"")
    except InputError:
        return False
    return True
