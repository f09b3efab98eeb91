from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from producers.intake import Tally
from producers.ledger import Ledger


def test_the_last_error_stays_when_it_is_over_and_says_so(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "outbox.db")) as ledger:
        ledger.polled("rms", Tally(new=2))
        ledger.polled("rms", Tally(), error="expected the folder, got none; make it")
        [failing] = ledger.states()
        ledger.polled("rms", Tally(new=1))
        [over] = ledger.states()
    assert failing.error == failing.last_error == over.last_error != ""
    assert (over.error, over.accepted, over.last_error_at) == ("", 3, failing.polled_at)


def test_a_file_of_before_keeps_its_watermark_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute(
            "CREATE TABLE source (name TEXT PRIMARY KEY, watermark TEXT NOT NULL DEFAULT '',"
            " polled_at TEXT NOT NULL DEFAULT '', accepted INTEGER NOT NULL DEFAULT 0,"
            " rejected INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '')"
        )
        old.execute("INSERT INTO source VALUES ('cad', '2026-01-01', '', 7, 1, '')")
    with closing(Ledger(path)) as ledger:
        [state] = ledger.states()
    assert (state.watermark, state.accepted, state.last_error) == ("2026-01-01", 7, "")
