"""Planned operations: a raid or a warrant is matched before it happens, so that no case is wrecked.

number = "OP-26-014"
place = "Seaview Motel, Harbor City"
starts_at = 2026-03-01T05:00:00-05:00
ends_at = 2026-03-01T09:00:00-05:00
contact = { name = "Sgt. Lee", phone = "802-555-0199", unit = "Vice" }
[[subject]]
surname = "Quimby"
given = "Ana"
birth_dates = ["1990-02-03"]
identifiers = [{ kind = "plate", value = "ABC123", issuer = "VT" }]
"""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from producers.records import Contact, Record
from producers.sources.times import BadTimeError, birth_date
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import NameKind, SubjectRole, TouchKind


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class OperationSubject(_Closed):
    """Somebody who will be met."""

    surname: str = ""
    given: str = ""
    middle: str = ""
    full: str = ""
    aliases: tuple[str, ...] = ()
    street_names: tuple[str, ...] = ()
    birth_dates: tuple[str, ...] = ()
    identifiers: tuple[Identifier, ...] = ()

    @field_validator("birth_dates")
    @classmethod
    def _possible(cls, dates: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(birth_date(each) for each in dates)
        except BadTimeError as error:
            raise ValueError(f"expected {error}") from None

    def subject(self) -> Subject:
        """The subject of the touch."""
        own = PersonName(surname=self.surname, given=self.given, middle=self.middle, full=self.full)
        named = any((self.surname, self.given, self.full))
        return Subject(
            role=SubjectRole.SUSPECT,
            names=(
                *((own,) if named else ()),
                *(PersonName(full=each, kind=NameKind.ALIAS) for each in self.aliases),
                *(PersonName(full=each, kind=NameKind.STREET_NAME) for each in self.street_names),
            ),
            birth_dates=self.birth_dates,
            identifiers=self.identifiers,
        )


class Operation(_Closed):
    """One planned operation; publishing it again under its number moves or changes it."""

    number: str = Field(min_length=1)
    place: str = ""
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    contact: Contact
    items: tuple[Identifier, ...] = ()
    subject: tuple[OperationSubject, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("expected `ends_at` after `starts_at`")
        if not self.contact.name or not self.contact.phone:
            raise ValueError("expected `contact` with name and phone: somebody will call")
        return self

    def record(self) -> Record:
        """The record that is published; its free text says until when."""
        window = f"Planned from {_said(self.starts_at)} until {_said(self.ends_at)}."
        return Record(
            number=self.number,
            kind=TouchKind.PLANNED_OPERATION,
            occurred_at=self.starts_at,
            place=self.place,
            contact=self.contact,
            subjects=tuple(each.subject() for each in self.subject),
            items=self.items,
            narrative=f"{window} {self.note}".strip(),
            read_from="the operation",
        )


def _said(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="minutes")
