"""Planned operations: a raid or a warrant is matched before it happens, so that no case is wrecked.

number = "OP-26-014"
place = "Seaview Motel, Harbor City"
starts_at = 2026-03-01T05:00:00-05:00
ends_at = 2026-03-01T09:00:00-05:00
contact = { name = "Sgt. Lee", phone = "802-555-0199", unit = "Vice" }
supervisor = { name = "Lt. Ortiz", phone = "802-555-0150" }
[area]
lat = 41.3101
lon = -72.9242
radius_m = 200
[[subject]]
surname = "Quimby"
given = "Ana"
birth_dates = ["1990-02-03"]
identifiers = [{ kind = "plate", value = "ABC123", issuer = "VT" }]
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from producers.records import Contact, Record
from producers.sources.times import BadTimeError, birth_date
from schemas.areas import AreaPlan
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import NameKind, SubjectRole, TouchKind
from silenthit.errors import InputError

MOST_SUBJECTS = 50
LONGEST_CONTACT = 500  # characters: it has to fit the one size of what others are told


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class OperationLimits(_Closed):
    """`[operations]` of agency.toml: how much one operation may claim, and how many a day."""

    most_radius_m: float = Field(default=5_000, gt=0)
    longest_days: float = Field(default=14, gt=0, le=200)
    per_day: int = Field(default=50, ge=1)

    def check(self, record: Record, today: int) -> None:
        """Refuse what is too large; `today` counts the day's other new operations.

        Raises InputError naming the ceiling.
        """
        times = [(record.occurred_at, record.until)]
        times += [(record.area.starts_at, record.area.ends_at)] if record.area else []
        lasts = max((end - begin for begin, end in times if begin and end), default=timedelta())
        if lasts > timedelta(days=self.longest_days):
            raise InputError(
                f"expected a window of at most {self.longest_days:g} days, got a longer one; plan "
                "the next part as another operation"
            )
        if record.area and record.area.radius_m > self.most_radius_m:
            raise InputError(
                f"expected a radius of at most {self.most_radius_m:,.0f} m, got a larger one; "
                "split the operation into several places"
            )
        if len(record.subjects) > MOST_SUBJECTS:
            raise InputError(
                f"expected at most {MOST_SUBJECTS} subjects in an operation, got "
                f"{len(record.subjects)}; split it"
            )
        if today >= self.per_day:
            raise InputError(
                f"expected at most {self.per_day} new operations a day, got one more; add it "
                "tomorrow, or change one that stands"
            )


class OperationArea(_Closed):
    """Where it will be: a circle, in degrees (WGS 84) and metres."""

    lat: float
    lon: float
    radius_m: float


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
    supervisor: Contact = Contact()
    area: OperationArea | None = None
    items: tuple[Identifier, ...] = ()
    subject: tuple[OperationSubject, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("expected `ends_at` after `starts_at`")
        if not self.contact.name or not self.contact.phone:
            raise ValueError("expected `contact` with name and phone: somebody will call")
        if self.area and not (self.supervisor.name and self.supervisor.phone):
            raise ValueError("expected `supervisor` with name and phone beside an area")
        said = "".join(each for _, each in (*self.contact, *self.supervisor))
        if len(said) > LONGEST_CONTACT:
            raise ValueError(f"expected at most {LONGEST_CONTACT} characters of contacts in all")
        self.plan()
        return self

    def plan(self) -> AreaPlan | None:
        """Where and when, exactly; None where no area is given. Raises ValueError for none."""
        if self.area is None:
            return None
        try:
            return AreaPlan(
                **self.area.model_dump(), starts_at=self.starts_at, ends_at=self.ends_at
            )
        except ValidationError:
            raise ValueError(
                "expected an area with lat -90 to 90, lon -180 to 180 and radius_m above 0"
            ) from None

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
            until=self.ends_at,
            area=self.plan(),
            supervisor=", ".join(filter(None, (self.supervisor.name, self.supervisor.phone))),
            read_from="the operation",
        )


def _said(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="minutes")
