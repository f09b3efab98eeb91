"""Let in an inquiry that is what it claims to be, and a publication that its partner wrote."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from schemas import codec
from schemas.codec import WireError
from schemas.inquiries import Inquiry, Publication
from schemas.messages import SubjectTouch, TouchHeader, registration_key
from schemas.packing import TOKEN
from schemas.topics import INQUIRIES
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, verified_sender
from stream_processors.admission import Place, Reason, Refused, form_fault

MOST_TOKENS = 2_048
_ASKED = INQUIRIES.name.partition("{org}")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmittedInquiry:
    """An inquiry whose sender is in order; `organisation` is its name in topics."""

    place: Place
    organisation: str
    inquiry: Inquiry = field(repr=False)

    @property
    def well_formed(self) -> bool:
        """Whether its tokens are whole rows, and not too many."""
        count, rest = divmod(len(self.inquiry.tokens), TOKEN.itemsize)
        return 0 < count <= MOST_TOKENS and not rest


def admit_inquiry(
    message: Message, keys: Mapping[str, SenderKey], partners: Collection[str]
) -> AdmittedInquiry | Refused:
    """Check a message of `inquiries.<org>`: who sent it, then encoding and key.

    A partner is known by the topic that it alone may write; an agency proves itself as on
    `touches`, and a name that is both has to.
    """
    place, organisation = Place.of(message), message.topic.removeprefix(_ASKED)
    oris = {key.organisation.lower() for key in keys.values()}
    if organisation in oris or organisation not in partners:
        sender = verified_sender(keys, message.key or b"", message.value, message.headers)
        if sender is None or sender.organisation.lower() != organisation:
            return Refused(place, Reason.FORGED_SENDER)
    try:
        inquiry = codec.decode(message.value or b"", Inquiry)
    except WireError as error:
        return Refused(place, Reason(error.reason))
    if inquiry.inquiry_id != message.key:
        return Refused(place, Reason.WRONG_KEY)
    return AdmittedInquiry(place=place, organisation=organisation, inquiry=inquiry)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmittedPublication:
    """A publication whose form is in order."""

    place: Place
    key: bytes = field(repr=False)
    expires_at: int
    touch: SubjectTouch = field(repr=False)


def admit_publication(message: Message) -> AdmittedPublication | Refused:
    """Check a message of `publications.<partner>` that is no tombstone."""
    place, key = Place.of(message), message.key or b""
    try:
        publication = codec.decode(message.value or b"", Publication)
        touch = codec.decode(publication.sealed, SubjectTouch)
        header = codec.decode(touch.header, TouchHeader)
    except WireError as error:
        return Refused(place, Reason(error.reason))
    own = publication.publication_id
    if header.record_id != own or registration_key(own, header.epoch) != key:
        return Refused(place, Reason.WRONG_KEY)
    fault = form_fault(touch)
    if fault:
        return Refused(place, fault)
    return AdmittedPublication(place=place, key=key, expires_at=publication.expires_at, touch=touch)
