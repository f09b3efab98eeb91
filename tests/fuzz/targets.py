"""What fuzzers try: a target takes any bytes, and raises only where the code tried is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

from producers.http_bodies import checked, form, parsed
from producers.idempotency import Answer
from producers.sources import eml, lexs, nibrs
from producers.sources.mapping import ColumnMapping
from schemas import codec
from schemas.codec import WireError
from silenthit.bus.clients import Message
from silenthit.bus.sender import sender_headers
from stream_processors.admission import admit_touch
from stream_processors.batch_admission import BatchAdmission
from tests.exchange_room import EPOCHS, HARBOR, identified

MODELS = sorted(codec.SCHEMA_FILES, key=lambda model: codec.SCHEMA_FILES[model])
KEYS = {HARBOR.key_id: HARBOR}


def wire(data: bytes) -> None:
    """Every record's decoder, with its own prefix put in front; then an agency that signs this."""
    for model in MODELS:
        for value in (data, codec.prefix(model) + data):
            try:
                codec.decode(value, model)
            except WireError:
                continue  # the documented refusal
    key = identified(1)
    headers = sender_headers(HARBOR, key, data, None)
    touch = Message("touches", 0, 1, 1_000, key, data, headers)
    found = BatchAdmission().admit([touch], KEYS, EPOCHS.accepts_touch)
    assert found == [admit_touch(touch, KEYS, EPOCHS.accepts_touch)]


def xml(data: bytes) -> None:
    """A LEXS document, and a NIBRS submission."""
    list(lexs.read_bytes(data, "fuzzed.xml", UTC))
    list(nibrs.read(_file(data), UTC))


def mail(data: bytes) -> None:
    """A message dropped into a folder."""
    list(eml.read(_file(data), ColumnMapping.model_construct(), UTC))


def http(data: bytes) -> None:
    """A body posted to the intake, as JSON and as a form."""
    for body in (data, form(data)):
        posted = parsed(body)
        if not isinstance(posted, Answer):
            for number, record in enumerate(posted.records):
                checked(number, record)


def _file(data: bytes) -> Path:
    path = Path(_FOLDER.name) / "fuzzed"
    path.write_bytes(data)
    return path


_FOLDER = tempfile.TemporaryDirectory()
TARGETS: dict[str, Callable[[bytes], None]] = {
    "wire": wire,
    "xml": xml,
    "mail": mail,
    "http": http,
}
