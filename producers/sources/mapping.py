"""Which column holds which of our fields: for CSV, Excel and SQL.

    [columns]
    record_number = "Report No"
    surname = "Last Name"
    [values.kind]
    "TS" = "traffic_stop"
    [formats]
    date = "%m/%d/%Y"

`rows` makes records of a table with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.vocabulary import (
    IdentifierKind,
    SubjectRole,
    TouchKind,
)

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
