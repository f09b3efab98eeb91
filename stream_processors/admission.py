"""Let in what is what it claims to be: a message on `touches` or `watches.*`, or a reason why not.

Refusals are values with a fixed code, because they are expected; the code goes to quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Self

from schemas import codec
from schemas.codec import WireError
from schemas.messages import (
    SealedRegistration,
    SubjectTouch,
    TouchHeader,
    WatchRegistration,
    registration_key,
)
from schemas.packing import GRANT, LOCK, NO_TOKEN, TOKEN, rows
from schemas.topics import HEADER_PROOF, WATCHES
from schemas.vocabulary import CoarseKind
from silenthit.blinding import sealed_watches
from silenthit.blinding.epochs import Epochs
from silenthit.blinding.sealed_watches import WatchOpener
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, tombstone_revision, verified_sender

ID_BYTES = 16
# Of a whole touch. Brokers take no more unless told to; agencies send less. Tokens are numbered in
# two bytes, which so many bytes do not exceed.
MOST_TOUCH_BYTES = 2**20
MOST_PROOF = 256  # bytes; a longer one is cut, and then proves nothing
REGISTRATION_KEY_BYTES = 20
EPOCH_BYTES = 4  # at the end of a registration's key
# nonce 12, tag 16, padded content of 256 bytes or a power of two above
SEALED_OVERHEAD = 28
SMALLEST_BUCKET = 256


class Reason(StrEnum):
    """Why a message is quarantined; never more than this is said of it."""

    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNKNOWN_EPOCH = "unknown_epoch"
    FORGED_SENDER = "forged_sender"
    WRONG_KEY = "wrong_key"
    MALFORMED = "malformed"
    TRUNCATED_PART = "truncated_part"
    FOREIGN_RECORD = "foreign_record"
    EXPIRED = "expired"
    WRONG_PARTNER = "wrong_partner"
    UNKNOWN_WATCH_KEY = "unknown_watch_key"
    NOT_OPENED = "not_opened"
    WORKER_ERROR = "worker_error"


class Place(NamedTuple):
    """Where a message lies in Kafka, and the broker's time for it."""

    topic: str
    partition: int
    offset: int
    appended_at: int

    @classmethod
    def of(cls, message: Message) -> Place:
        """Return the place of a message."""
        return cls(message.topic, message.partition, message.offset, message.timestamp_ms)


@dataclass(frozen=True, slots=True)
class Clear:
    """What a touch's header says beside record and revision: many touches have the same."""

    sender: str
    epoch: int
    expiry_month: str
    kind: CoarseKind
    unlisted: bytes

    @classmethod
    def of(cls, header: TouchHeader) -> Clear:
        """Take it from a whole header."""
        return cls(header.sender, header.epoch, header.expiry_month, header.kind, header.unlisted)


# Not frozen, because making a frozen one takes three times as long, once a touch.
@dataclass(slots=True)
class AdmittedTouch:
    """A touch whose sender, form and epoch are in order. Nobody changes it."""

    place: Place
    organisation: str
    record_id: bytes = field(repr=False)
    revision: int
    clear: Clear = field(repr=False)
    tokens: bytes = field(repr=False)  # rows of packing.TOKEN
    value: bytes = field(repr=False)  # the message's, whole

    @classmethod
    def of(cls, place: Place, organisation: str, touch: SubjectTouch) -> Self:
        """Return a touch that is at hand decoded."""
        header = codec.decode(touch.header, TouchHeader)
        return cls(
            place,
            organisation,
            header.record_id,
            header.revision,
            Clear.of(header),
            touch.tokens,
            codec.encode(touch),
        )

    @property
    def touch(self) -> SubjectTouch:
        """The whole touch, decoded anew each time: few touches are ever asked for it."""
        return codec.decode(self.value, SubjectTouch)

    @property
    def header(self) -> TouchHeader:
        """Its header, decoded anew each time."""
        return codec.decode(self.touch.header, TouchHeader)


@dataclass(frozen=True, slots=True)
class Retraction:
    """An authenticated tombstone: the agency took the record back."""

    place: Place
    organisation: str
    record_id: bytes = field(repr=False)
    revision: int
    proof: bytes = field(default=b"", repr=False)  # the agency's signature, for its partners


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that goes to quarantine."""

    place: Place
    reason: Reason


def admit_touch(
    message: Message, keys: Mapping[str, SenderKey], accepts: Callable[[int], bool]
) -> AdmittedTouch | Retraction | Refused:
    """Check a message of `touches`: size and sender's HMAC first, then encoding, key and form.

    `accepts` says of which epochs a touch is taken.
    """
    place, record_id = Place.of(message), message.key or b""
    if len(message.value or b"") > MOST_TOUCH_BYTES:
        return Refused(place, Reason.TOO_LARGE)  # unproven: its code is computed over a copy
    sender = verified_sender(keys, record_id, message.value, message.headers)
    if sender is None:
        return Refused(place, Reason.FORGED_SENDER)
    if len(record_id) != ID_BYTES:
        return Refused(place, Reason.WRONG_KEY)
    if message.value is None:
        revision = tombstone_revision(dict(message.headers)) or 0
        proof = dict(message.headers).get(HEADER_PROOF) or b""
        return Retraction(place, sender.organisation, record_id, revision, proof[:MOST_PROOF])
    return _admit_value(place, message.value, sender, record_id, accepts)


def _admit_value(
    place: Place,
    value: bytes,
    sender: SenderKey,
    record_id: bytes,
    accepts: Callable[[int], bool],
) -> AdmittedTouch | Refused:
    try:
        touch = codec.decode(value, SubjectTouch)
        header = codec.decode(touch.header, TouchHeader)
    except WireError as error:
        return Refused(place, Reason(error.reason))
    fault = _header_fault(header, record_id, sender, accepts) or form_fault(touch)
    if fault:
        return Refused(place, fault)
    return AdmittedTouch(
        place,
        sender.organisation,
        record_id,
        header.revision,
        Clear.of(header),
        touch.tokens,
        value,
    )


def _header_fault(
    header: TouchHeader, record_id: bytes, sender: SenderKey, accepts: Callable[[int], bool]
) -> Reason | None:
    """Why a header does not belong to its message, None when it does."""
    if header.record_id != record_id:
        return Reason.WRONG_KEY
    # Of the organisation's keys either will do: a record may be sealed before its key was changed.
    if header.sender.partition("#")[0] != sender.organisation:
        return Reason.FORGED_SENDER
    return None if accepts(header.epoch) else Reason.UNKNOWN_EPOCH


def form_fault(touch: SubjectTouch) -> Reason | None:
    """Why a touch's columns can't be what an agency sealed, None when they can."""
    try:
        tokens, locks = rows(touch.tokens, TOKEN), rows(touch.locks, LOCK)
        grants = rows(touch.grants, GRANT)
    except ValueError:
        return Reason.MALFORMED
    count = len(tokens)
    second = locks["second"]
    if not (
        count
        and (locks["first"] < count).all()
        and ((second < count) | (second == NO_TOKEN)).all()
        and (grants["part"] < len(touch.parts)).all()
    ):
        return Reason.MALFORMED
    whole = all(_is_whole(len(part) - SEALED_OVERHEAD) for part in touch.parts)
    return None if touch.parts and whole else Reason.TRUNCATED_PART


def _is_whole(size: int) -> bool:
    return size >= SMALLEST_BUCKET and size & (size - 1) == 0


@dataclass(frozen=True, slots=True)
class Removal:
    """A tombstone on `watches.<partner>`, or a registration that had expired: it is gone."""

    place: Place
    partner: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AdmittedWatch:
    """A registration whose owner, form and epoch are in order."""

    place: Place
    registration: WatchRegistration = field(repr=False)


WAITING = frozenset({Reason.UNKNOWN_EPOCH, Reason.UNKNOWN_WATCH_KEY})  # it may be known later


def admit_watch(
    message: Message, epochs: Epochs, opener: WatchOpener
) -> AdmittedWatch | Removal | Refused:
    """Check a message of `watches.<partner>`: the topic it stands in says whose it may be.

    It is sealed to one of the exchange's watch keys, or plain, as partners without one send it.
    """
    place, partner = Place.of(message), message.topic.removeprefix(WATCHES.of("x")[:-1])
    key = message.key or b""
    if len(key) != REGISTRATION_KEY_BYTES:
        return Refused(place, Reason.WRONG_KEY)
    if message.value is None:
        return Removal(place, partner, key)
    at = sealed_watches.Place(message.topic, key, partner)
    try:
        registration = _registration(message.value, at, epochs, opener)
    except WireError as error:
        registration = Reason(error.reason)
    if isinstance(registration, Reason):
        return Refused(place, registration)
    if registration.expires_at <= place.appended_at:
        return Removal(place, partner, key)  # of the version before it, too
    return AdmittedWatch(place, registration)


def _registration(
    value: bytes, at: sealed_watches.Place, epochs: Epochs, opener: WatchOpener
) -> WatchRegistration | Reason:
    """Return what stands there, or why it can't be taken. Raises WireError."""
    if not epochs.accepts_watch(at.epoch):
        return Reason.UNKNOWN_EPOCH
    plain = _opened(value, at, opener)
    if isinstance(plain, Reason):
        return plain
    found = codec.decode(plain, WatchRegistration)
    if found.partner != at.partner:
        return Reason.WRONG_PARTNER
    if registration_key(found.registration_id, found.epoch) != at.key:
        return Reason.WRONG_KEY
    whole = found.tokens and len(found.tokens) % TOKEN.itemsize == 0
    return found if whole else Reason.MALFORMED


def _opened(value: bytes, at: sealed_watches.Place, opener: WatchOpener) -> bytes | Reason:
    """Return a registration's own bytes, or why they can't be had. Raises WireError."""
    if not value.startswith(codec.prefix(SealedRegistration)):
        return value
    sealed = codec.decode(value, SealedRegistration)
    if not opener.knows(sealed.watch_key):
        return Reason.UNKNOWN_WATCH_KEY
    plain = opener.opened(sealed, at)
    return Reason.NOT_OPENED if plain is None else plain


def waits_for(message: Message) -> bytes:
    """Return by what is told apart what waiting registrations wait for: their epoch and key."""
    return (message.key or b"")[-EPOCH_BYTES:] + watch_key_of(message.value)


def watch_key_of(value: bytes | None) -> bytes:
    """Return the id of the key that a message of `watches.*` is sealed to; empty where plain."""
    start = codec.prefix(SealedRegistration)
    return value[len(start) :][:ID_BYTES] if value and value.startswith(start) else b""
