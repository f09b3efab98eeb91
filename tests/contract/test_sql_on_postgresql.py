"""Polling PostgreSQL while others write to it, with transactions that commit late."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from producers.intake import Intake
from producers.ledger import Ledger
from producers.outbox import Outbox
from producers.sources.mapping import ColumnMapping
from producers.sources.sql import Query
from tests.services import free_port, missing

psycopg = pytest.importorskip("psycopg")

WRITERS, EACH = 10, 25
QUERY = "SELECT record_number, name, phone, modified_at FROM incident WHERE modified_at >= :since"
MAPPING = ColumnMapping(columns={each: each for each in ("record_number", "name", "phone")})


def _programs() -> Path:
    found = shutil.which("pg_ctl") or next(
        (str(each) for each in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), None
    )
    if found is None:
        missing("PostgreSQL", "apt-get install -y --no-install-recommends postgresql")
    assert found is not None
    return Path(found).parent


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """Address of a PostgreSQL of the test's own. It refuses root, so there its user runs it."""
    programs, port = _programs(), free_port()
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="silenthit-postgresql-"))
    if os.geteuid() == 0:
        shutil.chown(folder, user)

    def call(program: str, *words: str) -> None:
        subprocess.run(
            [str(programs / program), "-D", str(folder / "data"), *words],
            check=True, capture_output=True, cwd=folder, user=user if os.geteuid() == 0 else None,
        )  # fmt: skip

    call("initdb", "--auth=trust", "--username=rms", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://rms@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def table(postgresql: str) -> Iterator[str]:
    with psycopg.connect(postgresql, autocommit=True) as db:
        db.execute(
            "CREATE TABLE incident (record_number text, name text, phone text,"
            " modified_at timestamptz NOT NULL)"
        )
        yield postgresql
        db.execute("DROP TABLE incident")


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


@pytest.fixture
def query(table: str, tmp_path: Path, outbox: Outbox) -> Iterator[Query]:
    ledger = Ledger(tmp_path / "outbox.db")
    yield Query(
        name="rms",
        every_s=1,
        url=table.replace("postgresql:", "postgresql+psycopg:"),
        query=QUERY,
        modified="modified_at",
        since=datetime(1970, 1, 1, tzinfo=UTC),
        overlap=timedelta(seconds=30),
        mapping=MAPPING,
        timezone=UTC,
        ledger=ledger,
        reject=lambda rejection: pytest.fail(str(rejection)),
    )
    ledger.close()


@pytest.fixture
def intake(outbox: Outbox) -> Intake:
    return Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)


def insert(db: psycopg.Connection, number: str, phone: int) -> None:
    db.execute(
        "INSERT INTO incident VALUES (%s, 'Ana Ro', %s, clock_timestamp())",
        (number, f"802-555-{phone:04}"),
    )


def test_a_row_stamped_early_and_committed_late_is_read(table, query, intake):
    with psycopg.connect(table) as slow, psycopg.connect(table, autocommit=True) as quick:
        insert(slow, "slow", 1)
        insert(quick, "quick", 2)
        assert query.poll(intake.take).new == 1
        slow.commit()
    assert query.poll(intake.take).new == 1


def test_no_row_of_ten_writers_that_commit_late_is_missed(table, query, intake, outbox):
    failed: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            with psycopg.connect(table) as db:
                for n in range(EACH):
                    insert(db, f"{writer}-{n}", writer * EACH + n)
                    db.execute("SELECT pg_sleep(random() * 0.2)")
                    db.commit()
        except psycopg.Error as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(WRITERS)]
    for each in writers:
        each.start()
    polls = 0
    while any(each.is_alive() for each in writers):
        query.poll(intake.take)
        polls += 1
    for each in writers:
        each.join()
    query.poll(intake.take)
    assert not failed
    assert polls > 2
    assert outbox.counts()["accepted"] == WRITERS * EACH
