"""Propose a mapping file from the columns and values that a table has; a clerk then corrects it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

from producers.sources.csv import delimiter_of, encoding_of
from producers.sources.mapping import FIELDS
from producers.sources.rows import Row
from schemas.vocabulary import SubjectRole, TouchKind
from silenthit.errors import InputError

SAMPLE = 500  # rows looked at
WORKBOOKS = (".xlsx", ".xlsm")
_MAX_WORDS = 20  # a column of more different values is no list of kinds or roles

_DATES = ("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d.%m.%Y", "%Y%m%d", "%m/%d/%y")
_TIMES = (" %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", " %I:%M %p", "")

# What columns are called, without case, blanks and signs. The first field that fits takes it.
_NAMES: dict[str, tuple[str, ...]] = {
    "record_number": (
        "recordnumber", "recordno", "reportnumber", "reportno", "report", "incidentnumber",
        "incidentno", "incident", "bookingnumber", "bookingno", "citationno", "citation", "fino",
        "tipno", "tip", "eventnumber", "eventno", "number", "no", "id",
    ),
    "case_number": ("casenumber", "caseno", "case"),
    "kind": ("kind", "type", "recordtype", "incidenttype", "eventtype", "contacttype", "calltype"),
    "role": ("role", "involvement", "partytype", "personrole", "personinvolvement"),
    "occurred_at": (
        "occurredat", "occurred", "datetime", "when", "date", "incidentdate", "reported",
        "datereported", "booked", "bookingdate", "arrestdate", "received", "dateandtime",
    ),
    "place": (
        "place", "location", "where", "incidentlocation", "incidentaddress", "placeofarrest",
        "arrestlocation",
    ),
    "latitude": ("latitude", "lat", "gpslat", "ycoord"),
    "longitude": ("longitude", "lon", "lng", "long", "gpslon", "xcoord"),
    "narrative": ("narrative", "remarks", "comments", "notes", "text", "summary", "description"),
    "offences": ("offences", "offenses", "charges", "charge", "offense", "nibrs", "ucr"),
    "indicators": ("indicators", "flags"),
    "unit": ("unit", "beat", "division", "squad"),
    "officer": ("officer", "officername", "reportingofficer", "ro", "deputy", "takenby"),
    "officer_phone": ("officerphone", "callback", "contactphone"),
    "surname": ("surname", "last", "lastname", "lname", "familyname"),
    "given": ("given", "first", "firstname", "fname", "givenname", "forename", "forenames"),
    "middle": ("middle", "middlename", "mname", "mi", "middleinitial"),
    "suffix": ("suffix", "namesuffix"),
    "name": ("name", "fullname", "personname", "subject", "subjectname", "person"),
    "alias": ("alias", "aliases", "aka", "akas"),
    "street_name": ("streetname", "moniker", "nickname", "nicknames"),
    "birth_date": ("birthdate", "dob", "dateofbirth", "birthday", "born"),
    "sex": ("sex", "gender"),
    "minor": ("minor", "juv", "juvenile"),
    "ssn": ("ssn", "socialsecurity", "socialsecuritynumber", "soc"),
    "fbi_number": ("fbinumber", "fbino", "fbi", "ucn"),
    "state_id": ("stateid", "sid", "sidnumber"),
    "state_id_issuer": ("sidstate", "stateidstate"),
    "driver_licence": (
        "driverlicence", "driverlicense", "driverslicense", "dl", "dlno", "dlnumber", "oln",
        "licence", "license",
    ),
    "driver_licence_issuer": ("dlstate", "olnstate", "licensestate", "licencestate", "dlst"),
    "passport": ("passport", "passportno", "passportnumber"),
    "passport_issuer": ("passportcountry",),
    "a_number": ("anumber", "alienno", "aliennumber"),
    "phone": ("phone", "telephone", "tel", "cell", "cellphone", "mobile", "phonenumber"),
    "email": ("email", "emailaddress", "mail"),
    "social_handle": ("socialhandle", "handle", "socialmedia", "screenname", "username"),
    "social_handle_issuer": ("platform", "network", "app"),
    "address": ("address", "homeaddress", "residence", "personaddress", "street"),
    "plate": (
        "plate", "plateno", "platenumber", "licenseplate", "vehicleplate", "tag", "lic", "reg",
    ),
    "plate_issuer": ("platestate", "tagstate", "licstate", "platest"),
    "vin": ("vin", "vinnumber"),
    "device": ("device", "imei"),
    "payment": ("payment", "cashtag", "account", "card"),
}  # fmt: skip


def propose(path: Path) -> str:
    """Return the text of a mapping file for a CSV or a workbook.

    Raises InputError when it can't be read so.
    """
    header, rows = _workbook(path) if path.suffix.lower() in WORKBOOKS else _csv(path)
    if not any(header):
        raise InputError(f"expected a header with column names in {path.name}; export it with one")
    return _text(path.name, header, _columns(header), rows)


def _csv(path: Path) -> tuple[list[str], Sequence[Row]]:
    try:
        with path.open(encoding=encoding_of(path), newline="") as file:
            reader = csv.reader(file, delimiter=delimiter_of(file))
            header = [each.strip() for each in next(reader, [])]
            return header, [
                dict(zip(header, cells, strict=False)) for cells in islice(reader, SAMPLE)
            ]
    except (UnicodeError, csv.Error):
        raise InputError(
            f"expected a table in UTF-8 in {path.name}; export it as CSV in UTF-8"
        ) from None


def _workbook(path: Path) -> tuple[list[str], Sequence[Row]]:
    from producers.sources.excel import WorkbookError, sample  # noqa: PLC0415 takes its time

    try:
        return sample(path, SAMPLE)
    except WorkbookError as error:
        raise InputError(f"{path.name}: {error}") from None


def _columns(header: Sequence[str]) -> dict[str, str]:
    """Field → column, each column once."""
    plain = {re.sub(r"[^a-z0-9]", "", each.casefold()): each for each in reversed(header)}
    found: dict[str, str] = {}
    for field in FIELDS:
        names = (field.replace("_", ""), *_NAMES.get(field, ()))
        column = next((plain[each] for each in names if each in plain), None)
        if column is not None and column not in found.values():
            found[field] = column
    return found


def _text(name: str, header: Sequence[str], columns: dict[str, str], rows: Sequence[Row]) -> str:
    lines = [f"# Proposed for {name}: check every line.", "[columns]"]
    if "record_number" not in columns:
        lines.append('record_number = ""  # none of the columns looks like it: name it')
    lines += [f"{field} = {_quoted(column)}" for field, column in columns.items()]
    left = [each for each in header if each not in columns.values()]
    if left:
        lines.append(f"# not used: {', '.join(map(_quoted, left))}")
    lines += _words("kind", columns, rows, [each.value for each in TouchKind])
    lines += _words("role", columns, rows, [each.value for each in SubjectRole])
    return "\n".join([*lines, *_formats(columns, rows)]) + "\n"


def _words(
    field: str, columns: dict[str, str], rows: Sequence[Row], ours: Sequence[str]
) -> list[str]:
    """A table of the words that a column uses, to be given our words."""
    used = sorted(set(_values(columns, rows, field)))
    unknown = [each for each in used if each.casefold().replace(" ", "_") not in ours]
    if not unknown or len(used) > _MAX_WORDS:
        return []
    head = ["", f"[values.{field}]  # one of: {', '.join(ours)}"]
    return head + [f'{_quoted(each)} = ""  # fill in' for each in unknown]


def _formats(columns: dict[str, str], rows: Sequence[Row]) -> list[str]:
    lines = []
    for key, field, patterns in (
        ("date", "birth_date", _DATES),
        ("datetime", "occurred_at", [date + time for date in _DATES for time in _TIMES]),
    ):
        values = _values(columns, rows, field)
        fitting = [each for each in patterns if values and all(_fits(v, each) for v in values)]
        if fitting and not _iso(values):
            doubt = f"  # or {fitting[1]}: check" if len(fitting) > 1 else ""
            lines.append(f"{key} = {_quoted(fitting[0])}{doubt}")
    return ["", "[formats]", *lines] if lines else []


def _values(columns: dict[str, str], rows: Sequence[Row], field: str) -> list[str]:
    column = columns.get(field, "")
    return [each for row in rows if (each := row.get(column, "").strip())]


def _fits(value: str, pattern: str) -> bool:
    try:
        datetime.strptime(value, pattern)  # noqa: DTZ007 only the form matters
    except ValueError:
        return False
    return True


def _iso(values: Iterable[str]) -> bool:
    return all(re.match(r"\d{4}-\d\d-\d\d([T ]|$)", each) for each in values)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
