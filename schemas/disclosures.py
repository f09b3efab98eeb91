"""Disclosures on the wire: who was told what, by which rule, each link bound to the one before."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.messages import Count, Id16
from schemas.parts import Frozen

Hash = Annotated[bytes, Field(min_length=32, max_length=32)]
FIRST = bytes(32)  # what the first link has for a previous one
HEAD_BYTES = 16 + 4 + 32


class What(StrEnum):
    """What was told."""

    ALERT = "alert"
    ANSWER = "answer"
    MEETING = "meeting"


class Event(StrEnum):
    """What a link is for."""

    OPEN = "open"  # a process started
    TOLD = "told"
    CLOSE = "close"  # it was stopped in order


class Disclosed(Frozen):
    """One thing told to one organisation. In clear the touch side; the watch side is in `boxes`."""

    what: What
    id: Id16  # record id, inquiry id or meeting id
    revision: Count = 0
    status: str = ""
    agency: str = ""  # whose record it is, or that was answered; a partner is only in the boxes
    kinds: bytes = b""  # of match keys that counted, ascending
    strong: bool = False  # else, of an active alert, a pair of weak ones
    records: bytes = b""  # whose cards an answer held, 16 bytes each
    boxes: tuple[bytes, ...] = ()  # to the partner's key, to the court's: one size


class Disclosure(Frozen):
    """One link of a chain: topic `disclosures`, key chain id."""

    chain: Id16
    number: Count
    previous: Hash  # SHA-256 of the link before, as encoded
    event: Event
    process: str
    at: int  # ms, the process's clock
    before: bytes = b""  # of the first link: the head that the process's last chain had
    entries: tuple[Disclosed, ...] = ()
    # 32 bytes an entry: what its boxes say, and nobody can change any more
    # (silenthit.blinding.disclosure_boxes). Empty in links from before there were any.
    commitments: bytes = b""
