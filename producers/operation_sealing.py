"""Seal a planned operation for the other agencies: whom to call, where and when, and what it asks.

Who meets one of its subjects opens that subject alone; who meets its place opens no subject.
"""

from __future__ import annotations

from producers.operation_rows import Own
from producers.records import Record
from producers.touch import Entry, Sealer, place_of
from schemas import codec
from schemas.operations import DISTANCE_M, PlannedOperation
from schemas.packing import TOKEN, pack
from schemas.parts import Subject, TouchCommon
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.dummies import dummy_tokens, token_padding
from silenthit.blinding.envelope import fresh_key
from silenthit.blinding.prf import Token
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.identity.areas import asking_keys
from silenthit.identity.match_keys import MatchKey

_KINDS = {int(kind): kind for kind in MatchKeyKind}
_Row = tuple[int, int, bytes]


def seal_operation(
    sealer: Sealer, entry: Entry, epoch: int, expires_at: int, known: Own | None
) -> tuple[PlannedOperation, Own]:
    """Return what is sent, and what opens the answers; `known` is what opened them before.

    Raises RetryError when the key holder is away.
    """
    record = entry.draft.record
    place = place_of(record)
    subjects = [[MatchKey(_KINDS[kind], v) for kind, v in keys] for keys in entry.draft.keys]
    asked = [list(asking_keys(record.area, DISTANCE_M)) if record.area else []]
    asked += [keys for number, keys in enumerate(subjects) if number != place]
    every = list(dict.fromkeys(key for keys in (*subjects, *asked) for key in keys))
    tokens = dict(zip(every, sealer.prf.tokens(epoch, every), strict=True))
    touch = seal(
        sealer.header(entry, epoch),
        [[tokens[key] for key in keys] for keys in subjects],
        _parts(sealer, entry),
        sealer.signer,
    )
    own = _own(known, [tokens[key] for keys in asked for key in keys])
    rows = [
        (number, int(key.kind), tokens[key].value)
        for number, keys in enumerate(asked)
        for key in keys
    ]
    message = PlannedOperation(
        record_id=entry.record_id,
        revision=entry.revision,
        expires_at=expires_at,
        touch=codec.encode(touch),
        asks=_packed(rows, len(asked), _seed(sealer.signer, entry.record_id, epoch)),
        reply_key=own.reply_key.public_key().public_bytes_raw(),
    )
    return message, own


def _parts(sealer: Sealer, entry: Entry) -> list[Part]:
    record = entry.draft.record
    everyone = frozenset(range(len(record.subjects)))
    pointer = record.kind in sealer.policy.pointer_only
    card = sealer.card(record).model_copy(update={"area": record.area})
    return [
        Part(card, everyone),
        Part(TouchCommon(record_number="", kind=record.kind), frozenset()),
        *(
            Part(Subject() if pointer else shown(record, number), frozenset({number}))
            for number in range(len(record.subjects))
        ),
    ]


def shown(record: Record, number: int) -> Subject:
    """A subject as other agencies compare it: with the items that are tied to nobody."""
    subject = record.subjects[number]
    if number == place_of(record):
        return subject
    identifiers = (*subject.identifiers, *record.items)
    return subject.model_copy(update={"identifiers": identifiers})


def _own(known: Own | None, asked: list[Token]) -> Own:
    """An operation keeps its reply key, and what it asked before: answers may be on their way."""
    before = known.token_secrets if known else {}
    return Own(
        known.reply_key if known else fresh_key()[0],
        {**before, **{token.value: token.secret for token in asked}},
    )


def _packed(rows: list[_Row], subjects: int, seed: bytes) -> bytes:
    """Fill up with dummies, in an order that does not tell them apart."""
    fillers = dummy_tokens(seed, token_padding(len(rows)), subjects, places={0})
    rows += [(subject, int(kind), value) for subject, kind, value in fillers]
    ordered = sorted(rows, key=lambda row: (row[0], row[2]))
    return pack(list[tuple[int | bytes, ...]](ordered), TOKEN)


def _seed(signer: Signer, record_id: bytes, epoch: int) -> bytes:
    """The same dummies at each revision: fresh ones would show by changing."""
    return signer.key.sign(b"silenthit/1/asks" + record_id + epoch.to_bytes(4, "big"))
