"""Planned operations on the wire: what agencies are told of each other's, and what is remembered.

Two agencies that would be at one place at one time, or meet one person, are both told whom to call.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Annotated

from pydantic import Field

from schemas.inquiries import SealedCard
from schemas.messages import Count, Id16
from schemas.parts import Frozen

# One for all, so that two agencies never disagree on whether they are in each other's way.
DISTANCE_M = 1_000.0
SEEN_MARK = b"s"  # behind the record id in the key of an OperationSeen


def conflict_id(one: bytes, other: bytes) -> bytes:
    """Name the pair of two operations' records, in either order: 16 bytes of SHA-256."""
    return sha256(b"silenthit/1/conflict" + b"".join(sorted((one, other)))).digest()[:16]


class PlannedOperation(Frozen):
    """An operation against the other agencies': topic `operations.<ori>`, key record id.

    `touch` and `asks` are of one epoch. Subject 0 of `asks` is the place and the time.
    """

    record_id: Id16
    revision: Count
    expires_at: int  # ms: some hours after its end
    touch: bytes  # SubjectTouch, single-object encoded; its card says where and when
    asks: bytes  # rows of packing.TOKEN: whose tokens would be a conflict
    reply_key: Annotated[bytes, Field(min_length=32, max_length=32)]  # X25519


class ConflictStatus(StrEnum):
    """Whether a conflict still stands."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"  # moved, cancelled or over


class Conflict(Frozen):
    """One conflict as one side is told of it: topic `conflicts.<ori>`, key conflict id.

    `sealed` is RFC 9180 base mode to the operation's reply key over a ConflictBody, of one size
    whatever it says; it is bound to conflict id and record id.
    """

    conflict_id: Id16  # of the function conflict_id
    record_id: Id16  # the reader's own operation
    sealed: bytes


class ConflictBody(Frozen):
    """What is inside a Conflict."""

    status: ConflictStatus
    at: int  # ms, the exchange's clock
    revision: Count  # of the other's operation
    probes: Count = 0  # how often, by now, one agency came upon this one of the other's
    card: SealedCard | None = None  # the other's; none once it is withdrawn
    parts: tuple[bytes, ...] = ()  # sealed, of the first matched subjects in order


class ConflictSide(Frozen):
    """One of the two operations in a conflict, as the exchange knows it."""

    organisation: str  # as in topics
    record_id: Id16
    revision: Count


class ConflictNote(Frozen):
    """What two agencies were told last: topic `conflicts`, key conflict id."""

    at: int  # ms, when they were first told
    status: ConflictStatus
    times: Count  # that it began: it may end and begin again
    sides: tuple[ConflictSide, ...]


class OperationSeen(Frozen):
    """Since when the exchange knows an operation: topic `conflicts`, key record id and SEEN_MARK.

    It outlives the operation by some days, so that a day's ceiling holds over a restart.
    """

    organisation: str
    at: int  # ms, broker time
