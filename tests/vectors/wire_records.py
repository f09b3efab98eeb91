"""Hypothesis strategies for every record on the wire, made from the models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import strategies as st

from schemas import deconfliction, disclosures, inquiries, messages, operations, parts
from schemas.areas import AreaPlan
from schemas.parts import Frozen
from schemas.vocabulary import CoarseKind, IdentifierKind, NameKind, SubjectRole, TouchKind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")

texts = st.text(max_size=30)
ids = st.binary(min_size=16, max_size=16)
counts = st.integers(0, 2**31 - 1)
longs = st.integers(-(2**63), 2**63 - 1)
blobs = st.binary(max_size=60)
# Avro's timestamp-millis; the year 1 to 9999 as Python has it.
moments = st.integers(-62_135_596_800_000, 253_402_300_799_999).map(
    lambda ms: EPOCH + timedelta(milliseconds=ms)
)


def tuples(of: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(of, max_size=3).map(tuple)


names = st.builds(
    parts.PersonName,
    surname=texts,
    given=texts,
    middle=texts,
    suffix=texts,
    full=texts,
    kind=st.sampled_from(NameKind),
)
identifiers = st.builds(
    parts.Identifier, kind=st.sampled_from(IdentifierKind), value=texts, issuer=texts
)
areas = st.builds(
    AreaPlan,
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    radius_m=st.floats(0, 1e6, exclude_min=True),
    starts_at=moments.filter(lambda each: each.year < 5000),
    ends_at=moments.filter(lambda each: each.year > 5000),
)
sent_entries = st.builds(messages.SentEntry, partner=texts, registration_id=ids)

sealed_cards = st.builds(
    inquiries.SealedCard,
    published=st.booleans(),
    header=blobs,
    matches=blobs,
    locks=blobs,
    grants=blobs,
    digests=blobs,
    card=blobs,
    signature=blobs,
)

RECORDS: dict[type[Frozen], st.SearchStrategy[Frozen]] = {
    messages.TouchHeader: st.builds(
        messages.TouchHeader,
        record_id=ids,
        revision=counts,
        sender=texts,
        epoch=counts,
        expiry_month=texts,
        kind=st.sampled_from(CoarseKind),
        unlisted=blobs,
    ),
    messages.SubjectTouch: st.builds(
        messages.SubjectTouch,
        header=blobs,
        tokens=blobs,
        locks=blobs,
        grants=blobs,
        parts=tuples(blobs),
    ),
    messages.WatchRegistration: st.builds(
        messages.WatchRegistration,
        registration_id=ids,
        partner=texts,
        epoch=counts,
        tokens=blobs,
        kinds=tuples(st.sampled_from(CoarseKind)),
        expires_at=longs,
        slot=blobs,
    ),
    messages.SealedRegistration: st.builds(
        messages.SealedRegistration, watch_key=ids, content_key=blobs, sealed=blobs
    ),
    messages.Alert: st.builds(
        messages.Alert,
        alert_id=ids,
        registration_id=ids,
        record_id=ids,
        revision=counts,
        status=st.sampled_from(messages.AlertStatus),
        earlier=st.booleans(),
        appended_at=longs,
        header=blobs,
        matches=blobs,
        locks=blobs,
        grants=blobs,
        parts=tuples(blobs),
        proof=blobs,
        carriers=blobs,
    ),
    messages.Sent: st.builds(
        messages.Sent,
        record_id=ids,
        revision=counts,
        sender=texts,
        alerted=tuples(sent_entries),
        retracted=st.booleans(),
    ),
    messages.Quarantined: st.builds(
        messages.Quarantined,
        topic=texts,
        partition=counts,
        offset=longs,
        reason=texts,
        worker=texts,
    ),
    inquiries.Inquiry: st.builds(
        inquiries.Inquiry,
        inquiry_id=ids,
        purpose=st.sampled_from(inquiries.Purpose),
        tokens=blobs,
        reply_key=st.binary(min_size=32, max_size=32),
    ),
    inquiries.Answer: st.builds(inquiries.Answer, inquiry_id=ids, sealed=blobs),
    inquiries.AnswerBody: st.builds(
        inquiries.AnswerBody,
        status=st.sampled_from(inquiries.AnswerStatus),
        cards=tuples(sealed_cards),
        more=st.booleans(),
        after_s=counts,
    ),
    inquiries.Publication: st.builds(
        inquiries.Publication, publication_id=ids, expires_at=longs, sealed=blobs
    ),
    deconfliction.Meeting: st.builds(
        deconfliction.Meeting,
        meeting_id=ids,
        registration_id=ids,
        epoch=counts,
        keys=blobs,
        card=blobs,
    ),
    deconfliction.Told: st.builds(
        deconfliction.Told,
        meeting_id=ids,
        at=longs,
        sides=tuples(st.builds(deconfliction.Side, partner=texts, registration_id=ids, mark=ids)),
    ),
    deconfliction.FirstSeen: st.builds(deconfliction.FirstSeen, at=longs, tokens=ids),
    operations.PlannedOperation: st.builds(
        operations.PlannedOperation,
        record_id=ids,
        revision=counts,
        expires_at=longs,
        touch=blobs,
        asks=blobs,
        reply_key=st.binary(min_size=32, max_size=32),
    ),
    operations.Conflict: st.builds(
        operations.Conflict, conflict_id=ids, record_id=ids, sealed=blobs
    ),
    operations.ConflictBody: st.builds(
        operations.ConflictBody,
        status=st.sampled_from(operations.ConflictStatus),
        at=longs,
        revision=counts,
        probes=counts,
        card=st.none() | sealed_cards,
        parts=tuples(blobs),
    ),
    disclosures.Disclosure: st.builds(
        disclosures.Disclosure,
        chain=ids,
        number=counts,
        previous=st.binary(min_size=32, max_size=32),
        event=st.sampled_from(disclosures.Event),
        process=texts,
        at=longs,
        before=blobs,
        entries=tuples(
            st.builds(
                disclosures.Disclosed,
                what=st.sampled_from(disclosures.What),
                id=ids,
                revision=counts,
                status=texts,
                agency=texts,
                kinds=blobs,
                strong=st.booleans(),
                records=blobs,
                boxes=tuples(blobs),
            )
        ),
        commitments=blobs,
    ),
    operations.ConflictNote: st.builds(
        operations.ConflictNote,
        at=longs,
        status=st.sampled_from(operations.ConflictStatus),
        times=counts,
        sides=tuples(
            st.builds(operations.ConflictSide, organisation=texts, record_id=ids, revision=counts)
        ),
    ),
    operations.OperationSeen: st.builds(operations.OperationSeen, organisation=texts, at=longs),
    parts.ContactCard: st.builds(
        parts.ContactCard,
        ori=texts,
        agency=texts,
        unit=texts,
        name=texts,
        phone=texts,
        email=texts,
        case_number=texts,
        kind=st.none() | st.sampled_from(TouchKind),
        month=texts,
        supervisor=texts,
        area=st.none() | areas,
    ),
    parts.TouchCommon: st.builds(
        parts.TouchCommon,
        record_number=texts,
        kind=st.sampled_from(TouchKind),
        occurred_at=st.none() | moments,
        place=texts,
        offences=tuples(texts),
        indicators=tuples(texts),
        items=tuples(identifiers),
        narrative=texts,
        history=st.booleans(),
        canary=st.booleans(),
        area=st.none() | areas,
    ),
    parts.Subject: st.builds(
        parts.Subject,
        role=st.sampled_from(SubjectRole),
        names=tuples(names),
        birth_dates=tuples(texts),
        sex=texts,
        identifiers=tuples(identifiers),
        minor=st.booleans(),
        mentioned=st.booleans(),
    ),
    parts.AgencySignature: st.builds(parts.AgencySignature, signer=texts, signature=blobs),
}
