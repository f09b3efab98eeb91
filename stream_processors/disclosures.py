"""The disclosure record: a chain of links a process start, each confirmed before what it records.

A link that was not confirmed is sent again as it was, before anything that follows it: the chain
has no gap, and a link that arrived twice is the same twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from schemas import codec
from schemas.disclosures import FIRST, HEAD_BYTES, Disclosed, Disclosure, Event, What
from schemas.inquiries import AnswerBody
from schemas.messages import Alert, TouchHeader
from schemas.packing import MATCH, rows
from schemas.topics import DISCLOSURES, Topic
from schemas.vocabulary import is_strong
from silenthit.blinding.disclosure_boxes import SealedTold
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.outgoing import Outgoing

MOST_ENTRIES = 500  # a link: some 450 KB
_Entry = tuple[Disclosed, bytes]  # with the commitment to what its boxes say


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An answer about to be given, to an agency or a partner: the other is empty."""

    inquiry_id: bytes
    body: AnswerBody = field(repr=False)
    agency: str = ""
    partner: str = field(repr=False, default="")


@dataclass(slots=True)
class _Link:
    """A link, and the head of the chain that ends with it."""

    message: Outgoing
    head: bytes = field(repr=False)
    confirmed: bool = False


class Chain:
    """The chain of one process start.

    Several may have links under way: whoever sends one sends those before it, too, that are not
    confirmed yet.
    """

    def __init__(
        self,
        settings: DisclosureSettings,
        *,
        process: str,
        heads: Path,
        topic: Topic = DISCLOSURES,
    ) -> None:
        """`heads` is the folder that keeps this process's head for its next start."""
        self.settings = settings  # whose keys are known; the owner may replace them
        self._process, self._topic = process, topic
        self._head_file = heads / f"disclosures-{process}.head"
        self._id, self._number, self._previous = os.urandom(16), 0, FIRST
        self._links: list[_Link] = []  # from the first that is not confirmed
        self._waiting: set[tuple[object, ...]] = set()  # what the unconfirmed links say
        self._link(Event.OPEN, before=self._left())

    def alerts(
        self, told: Iterable[tuple[str, Alert]], agencies: Mapping[bytes, str]
    ) -> list[Outgoing]:
        """Return the links to send before these alerts, by partner; `agencies` by record id."""
        several = [(partner, each) for partner, each in told if self._is_new(partner, each)]
        return self._told(
            self._alert(partner, each, agencies[each.record_id]) for partner, each in several
        )

    def meeting(self, meeting_id: bytes, sides: Iterable[tuple[str, bytes]]) -> list[Outgoing]:
        """Return the links to send with a meeting; `sides` are partners and registration ids."""
        return self._told(
            _sealed(
                Disclosed(what=What.MEETING, id=meeting_id),
                self.settings.sealed(partner, meeting_id, registration=registration),
            )
            for partner, registration in sides
        )

    def answers(self, given: Iterable[Given]) -> list[Outgoing]:
        """Return the links to send before these answers; of no more, those not confirmed yet."""
        return self._told(map(self._answer, given))

    def close(self) -> list[Outgoing]:
        """Return the links to send last, when the process is stopped in order."""
        self._link(Event.CLOSE)
        return self._unconfirmed()

    def confirmed(self, links: Iterable[Outgoing]) -> None:
        """Take note that these are on the brokers, for this start and for the next."""
        done = {id(each) for each in links}
        for link in self._links:
            link.confirmed |= id(link.message) in done
        head = b""
        while self._links and self._links[0].confirmed:
            head = self._links.pop(0).head
        if not self._links:
            self._waiting.clear()
        if head:
            _write_in_place(self._head_file, head)

    def _is_new(self, partner: str, each: Alert) -> bool:
        """Whether no unconfirmed link says it: a retry does not make the chain longer."""
        said = partner, each.alert_id, each.revision, each.status
        new = said not in self._waiting
        self._waiting.add(said)
        return new

    def _alert(self, partner: str, each: Alert, agency: str) -> _Entry:
        kinds = sorted({int(kind) for kind in rows(each.matches, MATCH)["kind"]})
        entry = Disclosed(
            what=What.ALERT,
            id=each.record_id,
            revision=each.revision,
            status=each.status,
            agency=agency,
            kinds=bytes(kinds),
            strong=any(map(is_strong, kinds)),
        )
        ids = {"registration": each.registration_id, "alert": each.alert_id}
        return _sealed(entry, self.settings.sealed(partner, each.record_id, **ids))

    def _answer(self, given: Given) -> _Entry:
        """A partner that asks is named in the boxes alone: whom it looks up is whom it watches."""
        cards = given.body.cards
        kinds = sorted({int(kind) for card in cards for kind in rows(card.matches, MATCH)["kind"]})
        headers = [codec.decode(card.header, TouchHeader) for card in cards]
        entry = Disclosed(
            what=What.ANSWER,
            id=given.inquiry_id,
            status=given.body.status,
            agency=given.agency,
            kinds=bytes(kinds),
            strong=any(map(is_strong, kinds)),
            records=b"".join(header.record_id for header in headers),
        )
        return _sealed(entry, self.settings.sealed(given.partner, given.inquiry_id))

    def _told(self, entries: Iterable[_Entry]) -> list[Outgoing]:
        several = tuple(entries)
        for start in range(0, len(several), MOST_ENTRIES):
            self._link(Event.TOLD, several[start : start + MOST_ENTRIES])
        return self._unconfirmed()

    def _unconfirmed(self) -> list[Outgoing]:
        return [link.message for link in self._links if not link.confirmed]

    def _link(self, event: Event, entries: tuple[_Entry, ...] = (), before: bytes = b"") -> None:
        value = codec.encode(
            Disclosure(
                chain=self._id,
                number=self._number,
                previous=self._previous,
                event=event,
                process=self._process,
                at=time.time_ns() // 1_000_000,
                before=before,
                entries=tuple(entry for entry, _ in entries),
                commitments=b"".join(commitment for _, commitment in entries),
            )
        )
        digest = sha256(value).digest()
        message = Outgoing(topic=self._topic.name, key=self._id, value=value)
        self._links.append(_Link(message, self._id + self._number.to_bytes(4, "big") + digest))
        self._number, self._previous = self._number + 1, digest

    def _left(self) -> bytes:
        """The head that this process's last chain left, empty when there is none."""
        try:
            head = self._head_file.read_bytes()
        except FileNotFoundError:
            return b""
        return head if len(head) == HEAD_BYTES else b""


def _sealed(entry: Disclosed, told: SealedTold) -> _Entry:
    return entry.model_copy(update={"boxes": told.boxes}), told.commitment


def _write_in_place(path: Path, head: bytes) -> None:
    """Write a head over the one before, in one write: a new file would cost a batch 1/4 ms."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, head, 0)
    finally:
        os.close(descriptor)
