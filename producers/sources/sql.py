"""Poll a records system's database: a query that gives rows changed since a watermark.

    SELECT i.number AS record_number, p.last AS surname, …, i.modified_at
    FROM incident i JOIN person p ON p.incident = i.id
    WHERE i.modified_at >= :since ORDER BY i.number

The watermark stays `overlap` behind the newest row seen, so that a transaction that commits late
is still read; what is read twice is unchanged and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import CursorResult, DateTime, bindparam, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from producers.intake import Reject, Take, Tally
from producers.ledger import Ledger
from producers.records import Outcome, Place, Rejection
from producers.sources.cells import WrongTypeError, cell_text, day_columns
from producers.sources.grouping import Placed, outcomes
from producers.sources.mapping import ColumnMapping
from producers.sources.rows import RowReader
from silenthit.errors import RetryError, SettingsError

FETCH = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One query of one database. `modified` is the column of the watermark."""

    name: str
    every_s: float
    url: str = field(repr=False)
    query: str
    modified: str
    since: datetime  # where the first poll begins
    overlap: timedelta
    mapping: ColumnMapping
    timezone: tzinfo
    ledger: Ledger
    reject: Reject

    def poll(self, take: Take, stopped: Callable[[], bool] = lambda: False) -> Tally:  # noqa: ARG002 a poll is short
        """Read what changed and return what became of it; move the watermark once it is kept.

        Raises RetryError when the database is away, SettingsError when the query does not fit.
        """
        since = self._since(self.ledger.watermark(self.name))
        newest = _Newest()
        try:
            tally = take(self._outcomes(since, newest), self.reject)
        except SQLAlchemyError as error:
            raise self._away(error) from None
        if newest.text:
            self.ledger.advance(self.name, newest.text)
        return tally

    def columns(self) -> int:
        """Ask the query for nothing, and return how many columns it has.

        Raises RetryError when the database is away, SettingsError when the query does not fit.
        """
        never = datetime(9999, 1, 1, tzinfo=self.since.tzinfo)
        try:
            with self._result(never) as result:
                return len(self._fitting(list(result.keys())))
        except SQLAlchemyError as error:
            raise self._away(error) from None

    def _since(self, watermark: str) -> datetime:
        if not watermark:
            return self.since
        return datetime.fromisoformat(watermark) - self.overlap

    def _outcomes(self, since: datetime, newest: _Newest) -> Iterator[Outcome]:
        with self._result(since) as result:
            columns = self._fitting(list(result.keys()))
            reader = RowReader(self.mapping, columns, self.timezone)
            rows = self._rows(result.mappings(), day_columns(columns), newest)
            yield from outcomes(rows, reader, self.name)

    @contextmanager
    def _result(self, since: datetime) -> Iterator[CursorResult[Any]]:
        parameter = bindparam("since", type_=DateTime(timezone=since.tzinfo is not None))
        engine = create_engine(self.url)
        try:
            with engine.connect().execution_options(yield_per=FETCH) as connection:
                yield connection.execute(text(self.query).bindparams(parameter), {"since": since})
        finally:
            engine.dispose()

    def _fitting(self, columns: list[str]) -> dict[str, str]:
        """Field → column. Raises SettingsError when a mapped column or the watermark is missing."""
        wanted = (self.modified, *self.mapping.columns.values())
        missing = next((column for column in wanted if column not in columns), None)
        if missing is not None:
            raise SettingsError(
                f"expected the query of source {self.name} to give the column {missing!r}; add it "
                "to the query or correct the mapping"
            )
        return self.mapping.resolved(columns)

    def _away(self, error: SQLAlchemyError) -> RetryError:
        """What to say of an error whose own text quotes the query and its values."""
        return RetryError(
            f"expected the database of source {self.name} to answer, got {type(error).__name__}; "
            "check that it is up, the url and the query"
        )

    def _rows(
        self, rows: Iterable[Any], days: Collection[str], newest: _Newest
    ) -> Iterator[Placed | Rejection]:
        for number, row in enumerate(rows, start=1):
            newest.see(row[self.modified])
            cells = {}
            for key, value in row.items():
                try:
                    cells[key] = cell_text(value, self.mapping.formats, day=key in days)
                except WrongTypeError as error:
                    place = Place(self.name, f"row {number}, column {key!r}")
                    yield Rejection(place, error.expected, error.remedy)
                    break
            else:
                yield Placed(f"row {number}", cells)


class _Newest:
    """The newest modification seen in one poll."""

    def __init__(self) -> None:
        self._moment: datetime | None = None

    def see(self, value: object) -> None:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        if self._moment is None or moment > self._moment:
            self._moment = moment

    @property
    def text(self) -> str:
        return self._moment.isoformat() if self._moment else ""
