"""The log: what was done and seen, by whom; only ever appended, each entry chained to all before.

    link = HMAC-SHA256(chain key, previous link | number | about | at | action | content)

The key is derived from the vault's, so that who can write to the database but has not the key can
neither change, nor drop, nor add an entry unnoticed. Who cuts off the newest ones leaves a chain
that is sound but shorter: an auditor notes number and link of the last entry, and compares.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from schemas.parts import Frozen
from silenthit.errors import SealError

SEEN = "seen"  # written by the vault itself, when a person's transaction opened private cells
NO_LINK = bytes(32)


class Event(Frozen):
    """The sealed part of an entry."""

    who: str
    text: str = ""
    seen: tuple[str, ...] = ()  # ids (hex) of the watches and alerts that were opened


class Entry(NamedTuple):
    """An entry as it is chained; times in ms."""

    number: int
    about: bytes
    at: int
    action: str
    content: bytes  # Event


def link(key: bytes, previous: bytes, entry: Entry) -> bytes:
    """Return the link of an entry, 32 bytes."""
    mac = hmac.new(key, previous, sha256)
    for each in (
        entry.number.to_bytes(8, "big"),
        entry.about,
        entry.at.to_bytes(8, "big"),
        entry.action.encode(),
        entry.content,
    ):
        mac.update(len(each).to_bytes(4, "big") + each)
    return mac.digest()


def links(key: bytes, previous: bytes, entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the link of each entry in turn."""
    for entry in entries:
        previous = link(key, previous, entry)
        yield previous


def check(key: bytes, entries: Iterable[tuple[Entry, bytes]]) -> None:
    """Raise SealError naming the first entry that is missing, was changed or does not belong."""
    previous, expected = NO_LINK, 1
    for entry, found in entries:
        if entry.number != expected:
            raise SealError(
                f"expected entry {expected} of the log, got {entry.number}: what is between was "
                "taken out; restore the vault from a backup and see who can write to it"
            )
        previous = link(key, previous, entry)
        if not hmac.compare_digest(previous, found):
            raise SealError(
                f"expected entry {entry.number} of the log as it was written, got another; "
                "restore the vault from a backup and see who can write to it"
            )
        expected += 1
