"""Look-up on the wire: what is asked, what is answered, and what a partner lets others find."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.messages import Count, Id16
from schemas.parts import Frozen


class Purpose(StrEnum):
    """Why somebody looks a subject up; stated with every inquiry and counted at the exchange."""

    INVESTIGATION = "investigation"
    VICTIM_SAFETY = "victim_safety"
    MISSING_PERSON = "missing_person"
    OFFICER_SAFETY = "officer_safety"
    PROSECUTION = "prosecution"
    DECONFLICTION = "deconfliction"


class Inquiry(Frozen):
    """One look-up: topic `inquiries.<org>`, key inquiry id."""

    inquiry_id: Id16  # 16 random bytes
    purpose: Purpose
    tokens: bytes  # rows of packing.TOKEN: one subject's tokens, of every epoch that can be read
    reply_key: Annotated[bytes, Field(min_length=32, max_length=32)]  # X25519, for this answer


class SealedCard(Frozen):
    """One point of contact, as far as the inquiry's tokens open it: the card and who signed it."""

    published: bool  # a partner's publication, not a touch
    header: bytes  # TouchHeader, as in the touch
    matches: bytes  # rows of packing.MATCH: the tokens that open the locks below
    locks: bytes  # rows of packing.LOCK, one a matched subject
    grants: bytes  # rows of packing.GRANT, of the card and the signature alone
    digests: bytes  # SHA-256 of each sealed part before the signature: what it covers
    card: bytes  # sealed part 0
    signature: bytes  # the last sealed part


class AnswerStatus(StrEnum):
    """What became of an inquiry."""

    ANSWERED = "answered"
    QUOTA_SPENT = "quota_spent"
    MALFORMED = "malformed"


class AnswerBody(Frozen):
    """What is inside an answer, once the asker has opened it."""

    status: AnswerStatus
    cards: tuple[SealedCard, ...] = ()  # the latest first
    more: bool = False  # older ones were left out
    after_s: Count = 0  # with a spent quota: come back in so many seconds


class Answer(Frozen):
    """The answer to one inquiry: topic `answers.<org>`, key inquiry id.

    `sealed` is RFC 9180 base mode to the inquiry's reply key, over an AnswerBody padded to one of
    few sizes: nothing found, little found and a refusal look alike.
    """

    inquiry_id: Id16
    sealed: bytes


class Publication(Frozen):
    """What a partner chose to let look-ups find: topic `publications.<partner>`.

    Its key is `messages.registration_key` of publication id and epoch.
    """

    publication_id: Id16  # 16 random bytes
    expires_at: int  # ms
    sealed: bytes  # SubjectTouch in single-object encoding; its record id is the publication id
