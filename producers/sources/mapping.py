"""Which column holds which of our fields, and how rows become records: for CSV, Excel and SQL.

    [columns]
    record_number = "Report No"
    surname = "Last Name"
    [values.kind]
    "TS" = "traffic_stop"
    [formats]
    date = "%m/%d/%Y"

One row is one subject's involvement; rows of one record number are one record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from producers.records import Contact, Record
from producers.sources.times import ADULT, BadTimeError, aware, birth_date, under_age
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import (
    INDICATORS,
    NIBRS_OFFENCES,
    IdentifierKind,
    NameKind,
    SubjectRole,
    TouchKind,
)
from silenthit.identity.dates import birth_year_at
from silenthit.identity.places import located

RECORD_FIELDS = (
    "record_number", "kind", "occurred_at", "place", "narrative", "offences", "indicators", "unit",
    "officer", "officer_phone", "case_number", "latitude", "longitude",
)  # fmt: skip
SUBJECT_FIELDS = (
    "role", "surname", "given", "middle", "suffix", "name", "alias", "street_name", "birth_date",
    "age", "sex", "minor",
)  # fmt: skip
IDENTIFIER_FIELDS = {kind.value: kind for kind in IdentifierKind}
ISSUER = "_issuer"
FIELDS = (
    *RECORD_FIELDS,
    *SUBJECT_FIELDS,
    *IDENTIFIER_FIELDS,
    *(name + ISSUER for name in IDENTIFIER_FIELDS),
)
_SEPARATOR = ";"
_AGE = re.compile(r"\d{1,3}")
_TRUE = {"1", "y", "yes", "true", "t", "x", "j", "juvenile", "minor"}

Row = Mapping[str, str]
Word = TypeVar("Word", bound=StrEnum)


class Formats(BaseModel):
    """How dates are written (strptime) and in which zone; empty formats mean ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: str = ""
    datetime: str = ""
    timezone: str = ""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return name and ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(
                "expected a time zone of the IANA database, such as America/New_York"
            ) from None


class ColumnMapping(BaseModel):
    """A mapping file. Without one, columns bear the names of our fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sheet: str = ""  # of a workbook; by default every sheet that has the columns
    kind: TouchKind = TouchKind.INCIDENT  # of rows that name none, such as a log of inquiries
    columns: dict[str, str] = Field(default={})
    values: dict[str, dict[str, str]] = Field(default={})
    formats: Formats = Formats()

    @field_validator("columns")
    @classmethod
    def _our_fields(cls, columns: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(columns) - set(FIELDS))
        if unknown:
            raise ValueError(f"no field {unknown[0]}; the fields are {', '.join(FIELDS)}")
        return columns

    @field_validator("values")
    @classmethod
    def _our_words(cls, values: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        words: dict[str, type[StrEnum]] = {"kind": TouchKind, "role": SubjectRole}
        for name, table in values.items():
            if name not in words:
                raise ValueError(f"no value table {name}; there are values.kind and values.role")
            allowed = {word.value for word in words[name]}
            wrong = sorted(set(table.values()) - allowed)
            if wrong:
                raise ValueError(f"no {name} {wrong[0]}; there are {', '.join(sorted(allowed))}")
        return {name: {k.casefold(): v for k, v in table.items()} for name, table in values.items()}

    def resolved(self, header: Sequence[str]) -> dict[str, str]:
        """Return field → column for a table with this header.

        Raises KeyError with the first column that is mapped but missing.
        """
        if not self.columns:
            return {name: name for name in FIELDS if name in header}
        for column in self.columns.values():
            if column not in header:
                raise KeyError(column)
        return self.columns


class CellError(ValueError):
    """A cell that can't be used: its column, what was expected there, and the remedy."""

    def __init__(self, column: str, expected: str, remedy: str) -> None:
        super().__init__(f"expected {expected}; {remedy}")
        self.column, self.expected, self.remedy = column, expected, remedy


class RowReader:
    """Turns the rows of one table into records."""

    def __init__(
        self, mapping: ColumnMapping, columns: Mapping[str, str], timezone: tzinfo
    ) -> None:
        """Take the mapping, its columns as `resolved`, and the zone of times without one."""
        self._mapping, self._columns = mapping, columns
        zone = mapping.formats.timezone
        self._timezone = ZoneInfo(zone) if zone else timezone

    def number(self, row: Row) -> str:
        """Return a row's record number. Raises CellError when it has none."""
        number = self._text(row, "record_number")
        if not number:
            raise CellError(self._column("record_number"), "a record number", "fill in the cell")
        return number

    def record(self, rows: Sequence[Row], read_from: str = "") -> Record:
        """Return the record that these rows, all of one record number, make. Raises CellError."""
        moment = self._occurred_at(rows)
        involved = [self._involvement(row, moment) for row in rows]
        items = [i for subject, found in involved if subject is None for i in found]
        return Record(
            number=self.number(rows[0]),
            kind=self._kind(rows),
            occurred_at=moment,
            place=self._place(rows),
            contact=Contact(
                unit=self._said(rows, "unit"),
                name=self._said(rows, "officer"),
                phone=self._said(rows, "officer_phone"),
                case_number=self._said(rows, "case_number") or self.number(rows[0]),
            ),
            subjects=tuple(dict.fromkeys(subject for subject, _ in involved if subject)),
            items=tuple(dict.fromkeys(items)),
            offences=self._codes(rows, "offences", NIBRS_OFFENCES, str.upper),
            indicators=self._codes(rows, "indicators", INDICATORS, str.lower),
            narrative="\n".join(
                dict.fromkeys(filter(None, (self._text(row, "narrative") for row in rows)))
            ),
            read_from=read_from,
        )

    def _column(self, field: str) -> str:
        return self._columns.get(field, field)

    def _text(self, row: Row, field: str) -> str:
        return row.get(self._columns.get(field, ""), "").strip()

    def _list(self, row: Row, field: str) -> list[str]:
        return list(filter(None, map(str.strip, self._text(row, field).split(_SEPARATOR))))

    def _said(self, rows: Sequence[Row], field: str) -> str:
        return next(filter(None, (self._text(row, field) for row in rows)), "")

    def _word(self, text: str, field: str, words: type[Word]) -> Word:
        named = self._mapping.values.get(field, {}).get(text.casefold(), text.casefold())
        try:
            return words(named.replace(" ", "_"))
        except ValueError:
            raise CellError(
                self._column(field),
                f"one of {', '.join(words)}, or a value of the table values.{field}",
                f"add the value to [values.{field}] of the mapping",
            ) from None

    def _place(self, rows: Sequence[Row]) -> str:
        """The place with its coordinates behind it, where there are usable ones."""
        degrees = f"{self._said(rows, 'latitude')}, {self._said(rows, 'longitude')}"
        return located(self._said(rows, "place"), degrees)

    def _kind(self, rows: Sequence[Row]) -> TouchKind:
        text = self._said(rows, "kind")
        return self._word(text, "kind", TouchKind) if text else self._mapping.kind

    def _occurred_at(self, rows: Sequence[Row]) -> datetime | None:
        text = self._said(rows, "occurred_at")
        try:
            return aware(text, self._timezone, self._mapping.formats.datetime) if text else None
        except BadTimeError as error:
            remedy = "correct the cell, or set formats.datetime of the mapping"
            raise CellError(self._column("occurred_at"), str(error), remedy) from None

    def _codes(
        self, rows: Sequence[Row], field: str, known: Mapping[str, object], form: type[str] | object
    ) -> tuple[str, ...]:
        codes = [form(each) for row in rows for each in self._list(row, field)]  # type: ignore[operator]
        if any(code not in known for code in codes):
            what = "NIBRS offence codes" if field == "offences" else f"of {', '.join(known)}"
            raise CellError(
                self._column(field), f"{what}, split at {_SEPARATOR}", "correct the cell"
            )
        return tuple(dict.fromkeys(codes))

    def _involvement(
        self, row: Row, moment: datetime | None
    ) -> tuple[Subject | None, list[Identifier]]:
        """The subject of a row, or None when only items stand in it."""
        identifiers = self._identifiers(row)
        age = self._text(row, "age")
        names, dates = self._names(row), self._birth_dates(row) or _born(age, moment)
        role = self._text(row, "role")
        if not names and not dates and not role:
            return None, identifiers
        subject = Subject(
            role=self._word(role, "role", SubjectRole) if role else SubjectRole.UNKNOWN,
            names=tuple(names),
            birth_dates=dates,
            sex=self._text(row, "sex"),
            identifiers=tuple(identifiers),
            minor=self._text(row, "minor").casefold() in _TRUE
            or (int(age) < ADULT if _AGE.fullmatch(age) else under_age(dates)),
        )
        return subject, []

    def _identifiers(self, row: Row) -> list[Identifier]:
        found = [
            Identifier(kind=kind, value=value, issuer=self._text(row, name + ISSUER))
            for name, kind in IDENTIFIER_FIELDS.items()
            for value in self._list(row, name)
        ]
        return list(dict.fromkeys(found))

    def _names(self, row: Row) -> list[PersonName]:
        parts = {each: self._text(row, each) for each in ("surname", "given", "middle", "suffix")}
        full = self._text(row, "name")
        names = []
        if full or parts["surname"] or parts["given"]:
            names.append(PersonName(**parts, full=full))
        names += [PersonName(full=each, kind=NameKind.ALIAS) for each in self._list(row, "alias")]
        nicknames = self._list(row, "street_name")
        return names + [PersonName(full=each, kind=NameKind.STREET_NAME) for each in nicknames]

    def _birth_dates(self, row: Row) -> tuple[str, ...]:
        try:
            written = self._list(row, "birth_date")
            return tuple(birth_date(each, self._mapping.formats.date) for each in written)
        except BadTimeError as error:
            remedy = "correct the cell, or set formats.date of the mapping"
            raise CellError(self._column("birth_date"), str(error), remedy) from None


def _born(age: str, moment: datetime | None) -> tuple[str, ...]:
    """The likelier birth year of somebody of that age when it happened."""
    year = birth_year_at(age, moment.date()) if moment else ""
    return (year,) if year else ()
