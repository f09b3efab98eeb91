"""E-mail that was dropped into a folder (.eml): each is a tip, its text the narrative.

Who sent it is the tip's source and no subject: the sender's address becomes no match key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, tzinfo
from email import message_from_bytes
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any

from producers.records import Outcome, Place, Record, Rejection
from producers.sources.mapping import ColumnMapping
from schemas.vocabulary import TouchKind

MAX_BYTES = 32 * 2**20
# The library takes time as the square of a header's length: one of a megabyte, half an hour.
MAX_HEADER, MAX_HEADERS = 2_000, 200_000  # characters of one, and of all that are parsed
# None of these looks at a character more than a few times, whatever a stranger wrote.
_UNSHOWN = re.compile(r"<(script|style)\b")
_TAGS = re.compile(r"<[^<>]*>")
# What the library's parser raises over headers that are written wrongly.
_UNREADABLE = (ValueError, LookupError, OverflowError)
_NO_CHARACTER = re.compile(r"&#[0-9]{8,};?")  # more digits than any character's number has


class _Headers:
    """Parses the headers of one message, none that is very long and not very many.

    Raises ValueError over those.
    """

    def __init__(self) -> None:
        self._parse, self._left = HeaderRegistry(), MAX_HEADERS

    def __call__(self, name: str, value: str) -> Any:
        self._left -= len(value)
        if len(value) > MAX_HEADER or self._left < 0:
            raise ValueError(f"expected headers of at most {MAX_HEADER} characters")
        return self._parse(name, value)


def read(path: Path, _: ColumnMapping, timezone: tzinfo) -> Iterator[Outcome]:
    """Yield the tip of one message; the same message again is the same tip."""
    if path.stat().st_size > MAX_BYTES:
        yield Rejection(Place(path.name), "a message of at most 32 MiB", "read it by hand")
        return
    data = path.read_bytes()
    try:
        message = message_from_bytes(data, policy=default.clone(header_factory=_Headers()))
        assert isinstance(message, EmailMessage)
        text = "\n".join(filter(None, (_header(message, "Subject"), _body(message)))).strip()
    except _UNREADABLE:
        yield Rejection(Place(path.name), "a message whose headers can be read", "read it by hand")
        return
    if not text or not message.keys():
        yield Rejection(Place(path.name), "a message with a subject or a text", "read it by hand")
        return
    ident = _header(message, "Message-ID").encode() or data
    yield Record(
        number=f"mail-{sha256(ident).hexdigest()[:20]}",
        kind=TouchKind.TIP,
        occurred_at=_moment(message, timezone),
        narrative=text,
        read_from=path.name,
    )


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, "")).strip()
    except _UNREADABLE:
        return ""  # written wrongly; the text still counts


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    try:
        text = raw.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):  # no such charset, or none that could be named so
        text = raw.decode("utf-8", "replace")
    return _shown(text) if part.get_content_subtype() == "html" else text


def _shown(html: str) -> str:
    """Return the text of HTML without tags, scripts and styles."""
    kept, start = [], 0
    for opening in _UNSHOWN.finditer(html):
        if opening.start() < start:
            continue
        closing = f"</{opening[1]}>"
        end = html.find(closing, opening.end())
        if end < 0:
            break
        kept.append(html[start : opening.start()])
        start = end + len(closing)
    kept.append(html[start:])
    return unescape(_NO_CHARACTER.sub(" ", _TAGS.sub(" ", " ".join(kept))))


def _moment(message: EmailMessage, timezone: tzinfo) -> datetime | None:
    try:
        moment = parsedate_to_datetime(_header(message, "Date"))
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone)
