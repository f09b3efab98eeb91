"""The records that cross a trust boundary, as frozen models: what `avro/*.avsc` says, in Python.

Packed columns (`tokens`, `locks`, `grants`, `matches`) are fixed-width rows in one byte string, so
that the exchange reads them as arrays and never walks nested records; `schemas.packing` gives their
layouts. Times are milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Annotated

from pydantic import Field

from schemas.parts import Frozen
from schemas.vocabulary import CoarseKind

Id16 = Annotated[bytes, Field(min_length=16, max_length=16)]
# Avro's int is 32 bits wide, but its readers take wider ones, and key derivation can't.
Count = Annotated[int, Field(ge=0, lt=2**31)]


class TouchHeader(Frozen):
    """The clear header of a touch; its bytes are the associated data of every sealed part."""

    record_id: Id16  # 16 bytes: HMAC of the agency's secret over its record number
    revision: Count  # rises by one with each correction
    sender: str  # key id of the sending organisation, "<ORI>#<n>"
    epoch: Count
    expiry_month: str  # "YYYY-MM", the last month in which the touch may be kept
    kind: CoarseKind
    unlisted: bytes = b""  # numbers (u8) of the subjects by whom no look-up finds the touch


class SubjectTouch(Frozen):
    """One recorded contact, blinded: topic `touches`, key record id."""

    header: bytes  # TouchHeader, single-object encoded; passed on to the partner byte by byte
    tokens: bytes  # rows of packing.TOKEN
    locks: bytes  # rows of packing.LOCK
    grants: bytes  # rows of packing.GRANT
    parts: tuple[bytes, ...]  # sealed; the number of a part is its place in this list


class WatchRegistration(Frozen):
    """Tokens of a partner at the exchange: topic `watches.<partner>`.

    Its key is `registration_key`.
    """

    registration_id: Id16  # 16 random bytes
    partner: str
    epoch: Count
    tokens: bytes  # rows of packing.TOKEN
    kinds: tuple[CoarseKind, ...]  # empty: every kind
    expires_at: int  # ms
    slot: bytes = b""  # blinding.slots: one size, whether the partner is willing or not


class SealedRegistration(Frozen):
    """A registration that only the matching workers open: topic `watches.<partner>`.

    Its key is `registration_key`, in clear; `blinding.sealed_watches` says how it is sealed.
    """

    watch_key: Id16  # id of the exchange's public key
    content_key: bytes  # of a partner and epoch, sealed to that key: 80 bytes
    sealed: bytes  # a WatchRegistration, padded


def alert_id(record_id: bytes, registration_id: bytes) -> bytes:
    """Name the pair of a record and a registration: 16 bytes of SHA-256, over every revision."""
    return sha256(b"silenthit/1/alert" + record_id + registration_id).digest()[:16]


def registration_key(registration_id: bytes, epoch: int) -> bytes:
    """Key of a registration on its topic: 16 bytes of id and the epoch (u32).

    A watch keeps its registration id over its epochs, with one message each, so that a record
    corrected in the next epoch updates the alert it raised in the last.
    """
    return registration_id + epoch.to_bytes(4, "big")


class AlertStatus(StrEnum):
    """Whether the touch behind an alert still stands."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"  # corrected: the record no longer satisfies the match rule
    RETRACTED = "retracted"  # the agency took the record back; the partner must purge


class Alert(Frozen):
    """A candidate for the partner that watches: topic `alerts.<partner>`, key alert id."""

    alert_id: Id16  # of the function alert_id
    registration_id: Id16
    record_id: Id16
    revision: Count
    status: AlertStatus
    earlier: bool  # found by look-back: the touch was there before the watch
    appended_at: int  # ms, broker time of the touch
    header: bytes = b""  # as in the touch; empty unless active
    matches: bytes = b""  # rows of packing.MATCH: the tokens in common
    locks: bytes = b""  # the rows of packing.LOCK that those tokens can open
    grants: bytes = b""
    parts: tuple[bytes, ...] = ()
    proof: bytes = b""  # of a retraction: AgencySignature, over blinding.retractions
    # One byte a row of `matches`: the power of two of how many records hold the token, UNCOUNTED
    # where that is not counted; empty when nothing was.
    carriers: bytes = b""


class SentEntry(Frozen):
    """One partner's registration that was alerted of a record."""

    partner: str
    registration_id: Id16


class Sent(Frozen):
    """Who was alerted of which revision of a record: topic `sent`, key record id."""

    record_id: Id16
    revision: Count
    sender: str  # organisation (ORI) whose record it is
    alerted: tuple[SentEntry, ...]
    retracted: bool = False


class Quarantined(Frozen):
    """A message that could not be processed: where it lies and why, never what it says."""

    topic: str
    partition: int
    offset: int
    reason: str
    worker: str
