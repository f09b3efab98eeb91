"""Deconfliction on the wire: what two partners are told, and what the exchange remembers of it."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

from pydantic import Field

from schemas.messages import Count, Id16
from schemas.parts import Frozen

Mark = Annotated[bytes, Field(min_length=16, max_length=16)]


def meeting_id(one: bytes, other: bytes) -> bytes:
    """Name the pair of two registrations, in either order: 16 bytes of SHA-256."""
    return sha256(b"silenthit/1/meeting" + b"".join(sorted((one, other)))).digest()[:16]


class Meeting(Frozen):
    """Somebody else watches a subject of yours, and both agreed to be told.

    Topic `deconflictions.<partner>`, key meeting id. Every one has the same size.
    """

    meeting_id: Id16  # of the function meeting_id
    registration_id: Id16  # the reader's own
    epoch: Count
    keys: bytes  # rows of packing.CARD_KEY; random ones fill up
    card: bytes  # the other's, sealed: blinding.cards_shown


class Side(Frozen):
    """One of the two in a meeting, as the exchange knows it."""

    partner: str
    registration_id: Id16
    mark: Mark  # of the card it showed: another one is told again


class Told(Frozen):
    """Two partners were told of each other: topic `meetings`, key meeting id."""

    meeting_id: Id16
    at: int  # ms, the exchange's clock
    sides: tuple[Side, ...]


class FirstSeen(Frozen):
    """Since when the exchange knows a registration, willing or not, with just these tokens.

    Topic `meetings`, key `messages.registration_key`.
    """

    at: int  # ms, broker time
    tokens: Mark  # SHA-256 of the registration's tokens, the first half
