"""Avro single-object encoding of every record on the wire, both ways.

    >>> from schemas.messages import Quarantined
    >>> message = Quarantined(topic="touches", partition=0, offset=7, reason="mac", worker="w1")
    >>> decode(encode(message), Quarantined) == message
    True

Two bytes C3 01, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian), the body (Avro 1.12
specification, "Single-object encoding").
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, TypeVar

import fastavro

from schemas import deconfliction, disclosures, inquiries, messages, operations, parts
from schemas.parts import Frozen

MARKER = b"\xc3\x01"
PREFIX_BYTES = 10

M = TypeVar("M", bound=Frozen)

SCHEMA_FILES: dict[type[Frozen], str] = {
    messages.TouchHeader: "touch_header",
    messages.SubjectTouch: "subject_touch",
    messages.WatchRegistration: "watch_registration",
    messages.SealedRegistration: "sealed_registration",
    messages.Alert: "alert",
    messages.Sent: "sent",
    messages.Quarantined: "quarantined",
    inquiries.Inquiry: "inquiry",
    inquiries.Answer: "answer",
    inquiries.AnswerBody: "answer_body",
    inquiries.Publication: "publication",
    deconfliction.Meeting: "meeting",
    deconfliction.Told: "told",
    deconfliction.FirstSeen: "first_seen",
    disclosures.Disclosure: "disclosure",
    operations.PlannedOperation: "planned_operation",
    operations.Conflict: "conflict",
    operations.ConflictBody: "conflict_body",
    operations.ConflictNote: "conflict_note",
    operations.OperationSeen: "operation_seen",
    parts.ContactCard: "contact_card",
    parts.TouchCommon: "touch_common",
    parts.Subject: "subject",
    parts.AgencySignature: "agency_signature",
}

# Fields at the end of a record that an earlier version of it did not have: what that one wrote is
# still on the brokers and in vaults, and is read.
ADDED: dict[type[Frozen], tuple[int, ...]] = {
    messages.WatchRegistration: (1,),
    parts.ContactCard: (2,),
    parts.TouchCommon: (1,),
    disclosures.Disclosure: (1,),
}


class WireError(ValueError):
    """Bytes that are not a record of the expected kind; `reason` is a code fit for a quarantine."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@cache
def schema(model: type[Frozen]) -> Any:
    """Return the parsed Avro schema of a model."""
    text = files("schemas").joinpath("avro", f"{SCHEMA_FILES[model]}.avsc").read_text("utf-8")
    return fastavro.parse_schema(json.loads(text))


@cache
def earlier(model: type[Frozen]) -> dict[bytes, Any]:
    """Return the parsed schemas of a model's earlier versions, by the ten bytes they begin with."""
    text = files("schemas").joinpath("avro", f"{SCHEMA_FILES[model]}.avsc").read_text("utf-8")
    found = {}
    for added in ADDED.get(model, ()):
        now = json.loads(text)
        before = fastavro.parse_schema({**now, "fields": now["fields"][:-added]}, {})
        found[_prefix(before)] = before
    return found


@cache
def prefix(model: type[Frozen]) -> bytes:
    """Return the ten bytes that begin every encoding of a model."""
    return _prefix(schema(model))


def _prefix(parsed: Any) -> bytes:
    canonical = fastavro.schema.to_parsing_canonical_form(parsed)
    return MARKER + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


def encode(message: Frozen) -> bytes:
    """Encode a record with its schema's fingerprint in front.

    Raises WireError with reason `unencodable` for values that the schema has no room for.
    """
    model = type(message)
    buffer = BytesIO()
    buffer.write(prefix(model))
    try:
        fastavro.schemaless_writer(buffer, schema(model), message.model_dump())
    except Exception:  # noqa: BLE001 whatever fails here may quote the record, so it is not chained
        raise WireError("unencodable", f"expected a {model.__name__} within its schema") from None
    return buffer.getvalue()


def decode(data: bytes, model: type[M]) -> M:
    """Decode exactly one record of the given model.

    Raises WireError with reason `undecodable` (marker, body or trailing bytes wrong) or
    `unknown_schema` (another fingerprint).
    """
    if data[:2] != MARKER:
        raise WireError("undecodable", "expected single-object encoding (C3 01), got other bytes")
    written = schema(model)
    if data[:PREFIX_BYTES] != prefix(model):
        written = earlier(model).get(data[:PREFIX_BYTES])
    if written is None:
        raise WireError(
            "unknown_schema",
            f"expected the fingerprint of {model.__name__}, got another; update the reader",
        )
    buffer = BytesIO(data)
    buffer.seek(PREFIX_BYTES)
    try:
        fields = fastavro.schemaless_reader(buffer, written, None)
        message = model.model_validate(fields)
    except Exception:  # noqa: BLE001 whatever fails here may quote the body, so it is not chained
        raise WireError("undecodable", f"expected the body of a {model.__name__}") from None
    if buffer.tell() != len(data):
        raise WireError("undecodable", f"expected one {model.__name__}, got bytes after it")
    return message
