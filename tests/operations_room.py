"""Planned operations for tests, sealed as an agency seals them, whoever plans them."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

from schemas.areas import AreaPlan
from schemas.messages import SubjectTouch, TouchHeader
from schemas.parts import ContactCard, Subject, TouchCommon
from schemas.vocabulary import CoarseKind, TouchKind
from silenthit.blinding.prf import Prf
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.identity.areas import happening_keys
from silenthit.identity.match_keys import match_keys


def record_id(number: str) -> bytes:
    return sha256(number.encode()).digest()[:16]


def sealed_operation(
    prf: Prf,
    signer: Signer,
    where: AreaPlan,
    *subjects: Subject,
    number: str = "OP-1",
    revision: int = 1,
) -> SubjectTouch:
    """Seal an operation: its place and time are a subject of their own, the last, unlisted."""
    kept = where.ends_at + timedelta(days=365)
    header = TouchHeader(
        record_id=record_id(number),
        revision=revision,
        sender=signer.key_id,
        epoch=1,
        expiry_month=f"{kept:%Y-%m}",
        kind=CoarseKind.OPERATION,
        unlisted=bytes([len(subjects)]),
    )
    common = TouchCommon(
        record_number=number, kind=TouchKind.PLANNED_OPERATION, place="Seaview Motel", area=where
    )
    ori = signer.key_id.partition("#")[0]
    card = ContactCard(ori=ori, agency="Hartford PD", name="Sgt. Lee", phone="860-555-0199")
    everyone = frozenset(range(len(subjects) + 1))
    parts = [Part(card, everyone), Part(common, everyone)]
    parts += [Part(each, frozenset({n})) for n, each in enumerate((*subjects, Subject()))]
    tokens = [prf.tokens(1, match_keys(each)) for each in subjects]
    return seal(header, [*tokens, prf.tokens(1, happening_keys(where))], parts, signer)
