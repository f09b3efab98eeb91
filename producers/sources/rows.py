"""Rows become records: one row is one subject's involvement, rows of one number are one record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from producers.records import Contact, Record
from producers.sources.mapping import IDENTIFIER_FIELDS, ISSUER, ColumnMapping
from producers.sources.times import ADULT, BadTimeError, aware, birth_date, under_age
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import INDICATORS, NIBRS_OFFENCES, NameKind, SubjectRole, TouchKind
from silenthit.identity.dates import birth_year_at
from silenthit.identity.places import located

_SEPARATOR = ";"
_AGE = re.compile(r"\d{1,3}")
_TRUE = {"1", "y", "yes", "true", "t", "x", "j", "juvenile", "minor"}

Row = Mapping[str, str]
Word = TypeVar("Word", bound=StrEnum)


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
