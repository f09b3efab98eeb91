"""The canary: an hourly synthetic record whose alert proves the whole way, from agency to partner.

One record whose revision rises each hour: a partner has one alert that is updated, the exchange one
pointer, and nothing has to be taken back. It goes the way of every record, but no sharing policy
holds it up. The agency learns that the broker confirmed it and nothing more, as whether anybody
watches for it is the partners' affair: docs/decisions/canary.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from producers.intake import Intake, Take, Tally
from producers.records import Record, Rejection
from producers.touch import record_id
from schemas.vocabulary import TouchKind
from silenthit.canary import canary_subject
from silenthit.errors import InputError

NUMBER = "silenthit-canary"


def canary_record(ori: str, now: datetime) -> Record:
    """Return this hour's canary of an agency."""
    return Record(
        number=NUMBER,
        kind=TouchKind.FIELD_CONTACT,
        occurred_at=now.replace(minute=0, second=0, microsecond=0),
        subjects=(canary_subject(ori),),
        canary=True,
    )


def canary_id(record_secret: bytes) -> bytes:
    """Return the record id of an agency's canary."""
    return record_id(record_secret, NUMBER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """A source with one record; polled again within the hour it yields what the outbox has."""

    intake: Intake
    ori: str
    now: Callable[[], datetime]
    name: str = "canary"
    every_s: float = 60.0

    def poll(self, take: Take, stopped: Callable[[], bool]) -> Tally:  # noqa: ARG002 a source's
        """Put this hour's canary into the outbox. Raises RetryError when that is full."""
        return self.intake.take([canary_record(self.ori, self.now())], _impossible)


def _impossible(rejection: Rejection) -> None:
    raise InputError(str(rejection))
