"""Meetings: what becomes of a message on `deconflictions.<partner>`, and who hears of it."""

from __future__ import annotations

from datetime import timedelta

import structlog

from consumers.cases import cases_in
from consumers.history import Event, write_down
from consumers.inbox import Outcome, Received
from consumers.meeting_rows import Met, meeting_fields
from consumers.news import Recipients
from consumers.paging import queue_page
from consumers.registrations import token_secrets
from consumers.times import from_ms
from consumers.vault import MEETINGS, REGISTRATIONS, WATCHES, Rows, Values
from consumers.watches import Watch
from schemas import codec
from schemas.codec import WireError
from schemas.deconfliction import Meeting
from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN, rows
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.cards_shown import open_card
from silenthit.bus.clients import Message
from silenthit.call_tree.pages import Page, PageKind
from silenthit.call_tree.protocol import Level, Protocol, Route
from silenthit.errors import SealError
from silenthit.identity.compare import Decision

log = structlog.get_logger(__name__)

_TO_ANSWER = timedelta(hours=4)


def receive_meeting(into: Rows, message: Message, to: Recipients, now: int) -> Received | None:
    """Write down whom a watch met, once, and page its owner; None for what says nothing.

    One whose card does not open is kept and told all the same: whoever sent it broke its word.
    """
    try:
        meeting = codec.decode(message.value or b"", Meeting)
    except WireError as error:
        log.warning("meeting not read", reason=error.reason)
        return None
    key = registration_key(meeting.registration_id, meeting.epoch)
    row = into.get(REGISTRATIONS, key)
    if message.key != meeting.meeting_id or row is None or row["private_secrets"] is None:
        log.warning("meeting of a watch that is not there any more")
        return None
    met, known = _met(meeting, row), into.get(MEETINGS, meeting.meeting_id)
    if known is not None and Met.model_validate_json(known["private"]).card == met.card:
        return Received(Outcome.UNCHANGED, meeting.meeting_id)
    first = {"received_at": now} if known is None else {}
    columns = first | {"watch_id": row["watch_id"], "updated_at": now}
    into.put(MEETINGS, meeting.meeting_id, columns | {"private": met.model_dump_json().encode()})
    done = "met" if known is None else "met again"
    write_down(
        into, row["watch_id"], done, Event(who="", text=meeting.meeting_id.hex()), from_ms(now)
    )
    _tell(into, meeting.meeting_id, row["watch_id"], to, now)
    return Received(Outcome.MEETING, meeting.meeting_id, paged=True)


def _met(meeting: Meeting, row: Values) -> Met:
    try:
        card, tokens = open_card(meeting.card, meeting.keys, token_secrets(row["private_secrets"]))
    except SealError:
        log.warning("meeting whose card does not open", meeting=meeting.meeting_id.hex())
        return Met(card=None)
    registration = codec.decode(row["private"], WatchRegistration)
    own = {each["token"].tobytes(): each for each in rows(registration.tokens, TOKEN)}
    held = [own[token] for token in tokens if token in own]
    return Met(
        card=card,
        subjects=tuple(sorted({int(each["subject"]) + 1 for each in held})),
        match_kinds=tuple(sorted({MatchKeyKind(int(e["kind"])).name.lower() for e in held})),
    )


def _tell(into: Rows, about: bytes, watch_id: bytes, to: Recipients, now: int) -> None:
    """Page the watch's channels, and call its owner by the call tree."""
    row = into.get(WATCHES, watch_id)
    watch = Watch.model_validate_json(row["private"]) if row else None
    channels = (watch.deliver_to if watch else ()) or to.channels
    page = Page(kind=PageKind.ALERT, fields=meeting_fields(into, about), channels=channels)
    queue_page(into, about, page, Decision.POSSIBLE, now)
    way = _to_owner(to.protocol, watch) if to.protocol is not None else None
    cases_in(into, to.protocol, from_ms(now)).open(about, way, "it shows another card")


def _to_owner(protocol: Protocol, watch: Watch | None) -> Route:
    """Whose watch it is, who stands in, then whom a fault of the way would call."""
    people = (watch.owner, watch.backup) if watch else ()
    own = [Level(call=(who,), within=_TO_ANSWER) for who in people if who in protocol.people]
    return Route(("deconfliction",), (*own, *protocol.operator), may_wait=True)
