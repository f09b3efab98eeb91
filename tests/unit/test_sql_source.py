"""Polling a database; SQLite stands for all of them here."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from producers.intake import Intake, Tally
from producers.ledger import Ledger
from producers.outbox import Outbox
from producers.records import Rejection
from producers.sources.mapping import ColumnMapping
from producers.sources.sql import Query
from silenthit.errors import RetryError, SettingsError

QUERY = (
    "SELECT i.number AS record_number, p.last AS surname, p.first AS given, p.phone, i.happened,"
    " i.modified_at FROM incident i JOIN person p ON p.incident = i.number"
    " WHERE i.modified_at >= :since ORDER BY i.number"
)
MAPPING = ColumnMapping(
    columns={
        "record_number": "record_number", "surname": "surname", "given": "given",
        "phone": "phone", "occurred_at": "happened",
    }
)  # fmt: skip


class Rms:
    """A records system with two tables."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("CREATE TABLE incident (number TEXT, happened TEXT, modified_at TEXT)")
        self.db.execute("CREATE TABLE person (incident TEXT, last TEXT, first TEXT, phone TEXT)")

    def add(self, number: str, minute: int, phone: str = "802-555-0100") -> None:
        moment = f"2026-03-01 10:{minute:02}:00.000000"
        self.db.execute("INSERT INTO incident VALUES (?, ?, ?)", (number, moment, moment))
        self.db.execute("INSERT INTO person VALUES (?, 'Ro', 'Ana', ?)", (number, phone))


@pytest.fixture
def rms(tmp_path):
    made = Rms(tmp_path / "rms.db")
    yield made
    made.db.close()


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


@pytest.fixture
def ledger(tmp_path, outbox):
    made = Ledger(tmp_path / "outbox.db")
    yield made
    made.close()


@pytest.fixture
def intake(outbox):
    return Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)


@pytest.fixture
def rejected() -> list[Rejection]:
    return []


@pytest.fixture
def query(rms, ledger, rejected):
    def make(**changes: object) -> Query:
        fields = {
            "name": "cad", "every_s": 1, "url": f"sqlite:///{rms.path}", "query": QUERY,
            "modified": "modified_at", "since": datetime(1970, 1, 1),  # noqa: DTZ001
            "overlap": timedelta(minutes=10), "mapping": MAPPING, "timezone": UTC,
            "ledger": ledger, "reject": rejected.append,
        }  # fmt: skip
        return Query(**{**fields, **changes})

    return make


def test_what_changed_is_read_and_what_is_read_again_changes_nothing(rms, query, intake):
    rms.add("A-1", 1)
    assert query().poll(intake.take).new == 1
    rms.add("A-2", 2)
    tally = query().poll(intake.take)
    assert (tally.new, tally.unchanged) == (1, 1)


def test_what_lies_behind_the_overlap_is_not_read_again(rms, query, intake):
    rms.add("A-1", 1)
    rms.add("A-2", 30)
    query().poll(intake.take)
    assert query().poll(intake.take) == Tally(unchanged=1)


def test_a_row_that_was_committed_late_is_read(rms, query, intake):
    rms.add("A-2", 12)
    query().poll(intake.take)
    rms.add("A-1", 5)
    assert query().poll(intake.take).new == 1


def test_a_correction_is_a_new_revision(rms, query, intake):
    rms.add("A-1", 1)
    query().poll(intake.take)
    rms.db.execute("UPDATE person SET phone = '802-555-0199'")
    rms.db.execute("UPDATE incident SET modified_at = '2026-03-01 10:02:00.000000'")
    assert query().poll(intake.take).corrected == 1


def test_several_rows_of_one_number_are_one_record(rms, query, intake, outbox):
    rms.add("A-1", 1)
    rms.db.execute("INSERT INTO person VALUES ('A-1', 'Li', 'Bo', NULL)")
    query().poll(intake.take)
    [entry] = outbox.drafts(10)
    assert len(entry.draft.record.subjects) == 2


def test_the_watermark_moves_only_once_the_records_are_kept(rms, query, intake, ledger):
    rms.add("A-1", 1)

    def full(outcomes, reject):
        list(outcomes)
        raise RetryError("expected to write the outbox, got SQLITE_FULL; free disk space")

    with pytest.raises(RetryError):
        query().poll(full)
    assert ledger.watermark("cad") == ""
    query().poll(intake.take)
    assert ledger.watermark("cad") == "2026-03-01T10:01:00"


def test_a_bad_row_is_told_and_the_rest_goes_through(rms, query, intake, rejected):
    rms.add("A-1", 1)
    rms.add("A-2", 2)
    rms.db.execute("UPDATE incident SET happened = 'yesterday' WHERE number = 'A-1'")
    assert query().poll(intake.take).new == 1
    assert "cad, row 1, column 'happened'" in str(rejected[0])


def test_a_database_that_is_away_is_tried_later_and_its_query_is_not_quoted(query, intake):
    with pytest.raises(RetryError) as caught:
        query(url="sqlite:////nowhere/at/all.db").poll(intake.take)
    assert "SELECT" not in str(caught.value)


def test_a_query_without_the_mapped_columns_is_refused_by_name(rms, query, intake):
    with pytest.raises(SettingsError, match="changed_at"):
        query(modified="changed_at").poll(intake.take)
    with pytest.raises(SettingsError, match="Nope"):
        query(mapping=ColumnMapping(columns={"surname": "Nope"})).poll(intake.take)


def test_neither_url_nor_password_shows(query):
    assert "sqlite" not in repr(query())


def test_a_query_can_be_tried_without_reading_anything(rms, query, ledger):
    rms.add("A-1", 1)
    assert query().columns() == 5
    assert ledger.watermark("cad") == ""
    with pytest.raises(RetryError):
        query(query="SELECT nonsense WHERE :since").columns()
