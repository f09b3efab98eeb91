"""A record becomes a touch: match keys, tokens, sealed parts.

draft = drafted(record)            # match keys, or why there are none
[touch] = sealer.seal([Entry(record_id, revision, "2030-11", draft)], epoch=1)
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

from producers.narrative import with_narrative
from producers.records import Place, Record, Rejection
from producers.sharing import SharingPolicy
from schemas.messages import SubjectTouch, TouchHeader
from schemas.parts import ContactCard, Frozen, Subject, TouchCommon
from schemas.vocabulary import COARSE_KIND, MatchKeyKind, SubjectRole
from silenthit.blinding.prf import Prf, Token
from silenthit.blinding.sealing import MAX_SUBJECTS, Part, Signer, seal
from silenthit.identity.areas import happening_keys
from silenthit.identity.match_keys import MatchKey, match_keys

RECORD_ID_BYTES = 16
_KINDS = {int(kind): kind for kind in MatchKeyKind}
READ_CHARACTERS = 16_000  # of a narrative; hostile text must not hold up the others


class Draft(Frozen):
    """A record with the match keys (kind, value) of each of its subjects, ready for tokens."""

    record: Record
    keys: tuple[tuple[tuple[int, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A draft with what its header needs."""

    record_id: bytes
    revision: int
    expiry_month: str
    draft: Draft = field(repr=False)
    history: bool = False  # backfill


def record_id(secret: bytes, number: str) -> bytes:
    """Name a record over all its revisions: HMAC-SHA256 of its number, 16 bytes."""
    return hmac.digest(secret, b"silenthit/1/record" + number.encode(), "sha256")[:RECORD_ID_BYTES]


def expiry_month(today: date, years: int) -> str:
    """The last month in which a touch accepted today may be kept (28 CFR 23.20(h): five years)."""
    return f"{today.year + years:04}-{today.month:02}"


def drafted(record: Record, area_code: str = "", *, narratives: bool = False) -> Draft | Rejection:
    """Return the record with its match keys, or a Rejection when nobody could ever match it.

    With `narratives`, the people and identifiers that only its free text mentions count too.
    """
    if narratives and record.narrative:
        beginning = record
        if len(record.narrative) > READ_CHARACTERS:
            beginning = record.model_copy(update={"narrative": record.narrative[:READ_CHARACTERS]})
        read = with_narrative(beginning, area_code=area_code)
        record = record.model_copy(update={"subjects": read.subjects, "items": read.items})
    subjects = record.subjects
    if not subjects and record.items:
        subjects = (Subject(role=SubjectRole.UNKNOWN),)
    keys = tuple(match_keys(each, items=record.items, area_code=area_code) for each in subjects)
    if record.area is not None:  # the last one is nobody: the place and the time
        subjects = (*subjects, Subject(role=SubjectRole.UNKNOWN))
        keys = (*keys, happening_keys(record.area))
    place = Place(record.read_from or "the record")
    if not any(keys):
        return Rejection(
            place,
            "a record with at least one usable identifier (full name, birth date and name, phone, "
            "plate, document, …)",
            "add one in the records system, or leave the record out",
        )
    if len(subjects) > MAX_SUBJECTS:
        return Rejection(place, f"at most {MAX_SUBJECTS} subjects in a record", "split the record")
    return Draft(
        record=record.model_copy(update={"subjects": subjects}),
        keys=tuple(tuple((int(key.kind), key.value) for key in each) for each in keys),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealer:
    """Seals drafts as the touches of one agency, each batch in the epoch that is current then."""

    prf: Prf
    current_epoch: Callable[[], int]
    sender: str  # key id
    signer: Signer
    ori: str
    agency: str
    policy: SharingPolicy

    def header(self, entry: Entry, epoch: int) -> TouchHeader:
        """What the exchange sees in clear, beside tokens and sizes."""
        return TouchHeader(
            record_id=entry.record_id,
            revision=entry.revision,
            sender=self.sender,
            epoch=epoch,
            expiry_month=entry.expiry_month,
            kind=COARSE_KIND[entry.draft.record.kind],
            unlisted=self._unlisted(entry.draft.record),
        )

    def _unlisted(self, record: Record) -> bytes:
        found = self.policy.unlisted(record.subjects)
        place = place_of(record)
        return found if place is None or place in found else found + bytes([place])

    def seal(self, entries: Sequence[Entry], epoch: int) -> list[SubjectTouch]:
        """Return one touch an entry, in order, asking the key holder once for all of them.

        Raises RetryError when the key holder is away.
        """
        tokens = self._tokens([entry.draft for entry in entries], epoch)
        return [self._sealed(entry, tokens, epoch) for entry in entries]

    def _tokens(self, drafts: Sequence[Draft], epoch: int) -> dict[tuple[int, str], Token]:
        asked = list(dict.fromkeys(k for draft in drafts for keys in draft.keys for k in keys))
        keys = [MatchKey(_KINDS[kind], value) for kind, value in asked]
        return dict(zip(asked, self.prf.tokens(epoch, keys), strict=True))

    def _sealed(
        self, entry: Entry, tokens: dict[tuple[int, str], Token], epoch: int
    ) -> SubjectTouch:
        subjects = [[tokens[key] for key in keys] for keys in entry.draft.keys]
        return seal(self.header(entry, epoch), subjects, self.parts(entry), self.signer)

    def parts(self, entry: Entry) -> list[Part]:
        """The parts of a record before sealing: card, common, one a subject."""
        record = entry.draft.record
        everyone = frozenset(range(len(record.subjects)))
        reach = self.policy.reach(record.subjects)
        card = Part(self.card(record), everyone)
        if record.kind in self.policy.pointer_only and not record.canary:
            # Nothing that no root reaches is put into the box at all.
            blank = TouchCommon(record_number="", kind=record.kind, history=entry.history)
            read_by = everyone if entry.history else frozenset()
            return [card, Part(blank, read_by), *(Part(Subject(), frozenset()) for _ in reach)]
        return [
            card,
            Part(self._common(entry), everyone),
            *map(Part, record.subjects, _but_place(reach, place_of(record))),
        ]

    def card(self, record: Record) -> ContactCard:
        """Whom to call about a record."""
        contact = record.contact
        return ContactCard(
            ori=contact.ori or self.ori,
            agency=contact.agency or self.agency,
            unit=contact.unit,
            name=contact.name,
            phone=contact.phone,
            email=contact.email,
            case_number=contact.case_number or record.number,
            kind=record.kind,
            month=f"{record.occurred_at:%Y-%m}" if record.occurred_at else "",
            supervisor=record.supervisor,
        )

    def _common(self, entry: Entry) -> TouchCommon:
        record = entry.draft.record
        return TouchCommon(
            record_number=record.number,
            kind=record.kind,
            occurred_at=record.occurred_at,
            place=record.place,
            offences=record.offences,
            indicators=record.indicators,
            items=record.items,
            narrative=record.narrative if self.policy.shares_narrative(record.subjects) else "",
            history=entry.history,
            canary=record.canary,
            area=record.area,
        )


def place_of(record: Record) -> int | None:
    """Number of the subject that is the place and the time of a drafted record, if it has one."""
    return len(record.subjects) - 1 if record.area is not None else None


def _but_place(reach: Sequence[frozenset[int]], place: int | None) -> list[frozenset[int]]:
    """Who met the place alone reads no subject."""
    if place is None:
        return list(reach)
    return [*(subjects - {place} for subjects in reach[:-1]), frozenset({place})]
