"""Records as agencies hand them in: documents, mail, bodies of the intake, tables."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC
from io import BytesIO
from typing import Any

from openpyxl import Workbook
from starlette.requests import Request

from producers.http_bodies import checked, form, parsed
from producers.idempotency import Answer
from producers.records import Record, Rejection
from producers.sources import csv, eml, excel, lexs, nibrs
from producers.sources.mapping import ColumnMapping
from schemas.parts import Subject
from silenthit.call_tree.reply_app import _fields, _reply
from silenthit.errors import InputError
from tests.fuzz.folder import file

MAPPING = ColumnMapping.model_validate(
    {
        "columns": {
            "record_number": "No",
            "kind": "Type",
            "occurred_at": "When",
            "name": "Name",
            "alias": "AKA",
            "birth_date": "DOB",
            "age": "Age",
            "ssn": "SSN",
            "phone": "Phone",
            "latitude": "Lat",
            "longitude": "Lon",
            "offences": "NIBRS",
            "narrative": "Notes",
        },
        "values": {"kind": {"TS": "traffic_stop"}},
        "formats": {"date": "%m/%d/%Y", "datetime": "%m/%d/%Y %H:%M"},
    }
)
AS_OUR_FIELDS = ColumnMapping()
_FIELDS = [(each, name) for each in (Record, Subject) for name in each.model_fields]


def xml(data: bytes) -> None:
    """A LEXS document, and a NIBRS submission."""
    list(lexs.read_bytes(data, "fuzzed.xml", UTC))
    list(nibrs.read(file(data), UTC))


def mail(data: bytes) -> None:
    """A message dropped into a folder."""
    list(eml.read(file(data), ColumnMapping.model_construct(), UTC))


def http(data: bytes) -> None:
    """A body posted to the intake, as JSON and as a form; then to the server of replies."""
    for body in (data, form(data), _with_field(data)):
        posted = parsed(body)
        if not isinstance(posted, Answer):
            for number, record in enumerate(posted.records):
                checked(number, record)
    for as_json in (True, False):
        with suppress(InputError):  # the documented refusal
            _reply(_replied(data, as_json=as_json))


def _with_field(data: bytes) -> bytes:
    """A body that is right but for one field of a record or subject: random bytes never get far."""
    number, content = data[0] if data else 0, data[1:].decode("utf-8", "replace")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = content
    subject: dict[str, object] = {"birth_dates": ["1980-01-02"]}
    record: dict[str, object] = {"number": "1", "kind": "tip", "subjects": [subject]}
    where, name = _FIELDS[number % len(_FIELDS)]
    (record if where is Record else subject)[name] = value
    return json.dumps({"records": [record]}).encode("utf-8", "surrogatepass")


def _replied(data: bytes, *, as_json: bool) -> Mapping[str, Any]:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": data, "more_body": False}

    asked = _fields(Request({"type": "http"}, receive), as_json=as_json)
    try:
        asked.send(None)
    except StopIteration as done:
        found: Mapping[str, Any] = done.value
        return found
    raise AssertionError("nothing here waits")


def sheets(data: bytes) -> None:
    """A CSV, whole in memory and row by row; a workbook; and one of whose parts this is one."""
    table = file(data, "fuzzed.csv")
    for mapping in (MAPPING, AS_OUR_FIELDS):
        held = list(csv.read(table, mapping, UTC))
        assert all(isinstance(each, Record | Rejection) for each in held)
    list(excel.read(file(data, "fuzzed.xlsx"), MAPPING, UTC))
    if data[:1] and data[0] < len(_PARTS):
        book = file(_with_part(_PARTS[data[0]], data[1:]), "fuzzed.xlsx")
        list(excel.read(book, MAPPING, UTC))


def _workbook() -> dict[str, bytes]:
    """The parts of a workbook that reads well."""
    book, buffer = Workbook(), BytesIO()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(MAPPING.columns.values()))
    row = ["A-1", "TS", "11/02/2026 22:15", "Ro, Ana", "Annie", "01/02/1990", 36, 219451234]
    sheet.append([*row, 8025550100.0, 41.3, -72.9, "35A", "first\nsecond"])
    book.save(buffer)
    with zipfile.ZipFile(buffer) as whole:
        return {name: whole.read(name) for name in sorted(whole.namelist())}


def _with_part(name: str, content: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for each, kept in _BOOK.items():
            made.writestr(each, content if each == name else kept)
    return buffer.getvalue()


_BOOK = _workbook()
_PARTS = sorted(_BOOK)
