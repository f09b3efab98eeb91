"""The key holder's log, alarm, epochs and backups."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from key_holder import backup, log
from key_holder.alarm import HOUR_S, count_hour
from key_holder.database import open_book, transaction
from key_holder.lifecycle import Lifecycle
from key_holder.settings import AlarmSettings
from key_holder.setup import Address, found, open_lifecycle
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.epochs import EpochState
from silenthit.errors import InputError, RefusedError, SettingsError

ADDRESS = Address(host="127.0.0.1", port=8443, names=["127.0.0.1"])


@pytest.fixture
def book() -> sqlite3.Connection:
    opened = open_book(None)
    for number in range(5):
        log.append(opened, 1000.0 + number, "batch", organisation="A", counts={"person": number})
    return opened


def rewrite(book: sqlite3.Connection, statement: str) -> None:
    """As somebody with the file in hand would: past the triggers."""
    book.execute("DROP TRIGGER log_is_not_changed")
    book.execute("DROP TRIGGER log_is_not_shortened")
    book.execute(statement)


def test_an_unchanged_log_verifies(book: sqlite3.Connection) -> None:
    assert log.verify(book) == log.head(book)
    assert log.head(book).number == 5


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET entry = replace(entry, '\"person\": 2', '\"person\": 1') WHERE number = 3",
        "DELETE FROM log WHERE number = 3",
        "INSERT INTO log SELECT 6, entry, hash FROM log WHERE number = 5",
        "UPDATE log SET number = number + 1 WHERE number = 5",
    ],
    ids=["changed", "taken out", "added", "renumbered"],
)
def test_a_log_that_was_touched_does_not(book: sqlite3.Connection, statement: str) -> None:
    rewrite(book, statement)
    with pytest.raises(RefusedError, match="changed, added or taken out"):
        log.verify(book)


def test_a_log_cut_short_shows_against_a_noted_head(book: sqlite3.Connection) -> None:
    noted = log.head(book)
    assert log.verify(book, noted=noted) == noted
    rewrite(book, "DELETE FROM log WHERE number = 5")
    log.verify(book)
    with pytest.raises(RefusedError, match="cut short"):
        log.verify(book, noted=noted)


@pytest.mark.parametrize("statement", ["DELETE FROM log", "UPDATE log SET entry = ''"])
def test_the_book_itself_lets_nobody_change_the_log(
    book: sqlite3.Connection, statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        book.execute(statement)


def test_the_alarm_compares_with_the_organisations_own_past() -> None:
    book, settings = open_book(None), AlarmSettings(factor=3, floor=100)
    assert count_hour(book, settings, "BUSY", 1000, 0), "no past: the floor"
    for hour in range(1, 10):
        assert not count_hour(book, settings, "BUSY", 1000, hour * HOUR_S)
        assert not count_hour(book, settings, "QUIET", 20, hour * HOUR_S)
    now = 10 * HOUR_S
    assert not count_hour(book, settings, "BUSY", 3000, now)
    assert count_hour(book, settings, "BUSY", 1, now)
    assert not count_hour(book, settings, "BUSY", 1, now), "once an hour"
    assert not count_hour(book, settings, "QUIET", 100, now), "the floor"
    assert count_hour(book, settings, "QUIET", 1, now)


@pytest.fixture
def lifecycle(tmp_path: Path) -> Lifecycle:
    config = found(tmp_path / "holder", "federal", ADDRESS, EpochSecrets.generate(1))
    return open_lifecycle(config)


def states(lifecycle: Lifecycle) -> dict[int, str]:
    return {n: each.state.value for n, each in lifecycle.document().epochs.items()}


def test_an_epoch_goes_its_way_and_no_other(lifecycle: Lifecycle) -> None:
    with pytest.raises(InputError, match="prepare"):
        lifecycle.rotate()
    lifecycle.prepare()
    with pytest.raises(InputError, match="got 2"):
        lifecycle.prepare()
    assert states(lifecycle) == {1: "current", 2: "prepared"}
    lifecycle.rotate()
    assert states(lifecycle) == {1: "draining", 2: "current"}
    for wrong in (lifecycle.destroy, lambda epoch: lifecycle.retire(epoch + 1)):
        with pytest.raises(InputError):
            wrong(1)
    lifecycle.retire(1)
    lifecycle.destroy(1)
    assert states(lifecycle) == {1: "destroyed", 2: "current"}
    assert lifecycle.document().version == 5
    events = [row[0] for row in lifecycle.book.execute("SELECT entry FROM log ORDER BY number")]
    assert len(events) == 5
    log.verify(lifecycle.book)


def test_a_preparation_that_was_cut_off_goes_on(lifecycle: Lifecycle) -> None:
    lifecycle.custody.generate(2)
    public = lifecycle.custody.public_keys(2)
    assert lifecycle.prepare().epochs[2].public_keys == public


def test_destroying_erases_the_secrets_and_their_public_keys(lifecycle: Lifecycle) -> None:
    seed = lifecycle.custody.read(1).seeds
    lifecycle.prepare()
    lifecycle.rotate()
    lifecycle.retire(1)
    lifecycle.destroy(1)
    left = b"".join(
        each.read_bytes() for each in lifecycle.config.secrets.parent.rglob("*") if each.is_file()
    )
    for secret in seed.values():
        assert secret not in left
        assert secret.hex().encode() not in left
    assert lifecycle.document().epochs[1].public_keys == {}
    with pytest.raises(SettingsError, match="got none"):
        lifecycle.custody.public_keys(1)
    lifecycle.destroy(1)


def test_secrets_that_others_may_read_are_not_used(lifecycle: Lifecycle) -> None:
    lifecycle.custody.path(1).chmod(0o640)
    lifecycle.custody.forget(1)
    with pytest.raises(SettingsError, match="owner alone"):
        lifecycle.custody.public_keys(1)


def test_nothing_about_secrets_is_in_reprs_or_the_log(lifecycle: Lifecycle) -> None:
    seeds = lifecycle.custody.read(1).seeds.values()
    shown = repr(lifecycle) + repr(lifecycle.custody.read(1))
    shown += "".join(row[0] for row in lifecycle.book.execute("SELECT entry FROM log"))
    assert not any(seed.hex() in shown or repr(seed) in shown for seed in seeds)


def make_backup(lifecycle: Lifecycle, folder: Path) -> tuple[Path, Path, Path]:
    to, first, second = folder / "backup", folder / "a", folder / "b"
    with transaction(lifecycle.book):
        backup.make(lifecycle.book, lifecycle.custody.read(1), to, (first, second), 0.0)
    return to, first, second


def test_a_backup_needs_both_shares(lifecycle: Lifecycle, tmp_path: Path) -> None:
    to, first, second = make_backup(lifecycle, tmp_path)
    assert backup.restore(to, (first, second)) == lifecycle.custody.read(1)
    assert backup.restore(to, (second, first)) == lifecycle.custody.read(1)
    with pytest.raises(InputError, match="others"):
        backup.restore(to, (first, first))
    assert to.stat().st_mode & 0o077 == 0


def test_an_epoch_is_destroyed_only_after_its_backups(lifecycle: Lifecycle, tmp_path: Path) -> None:
    _, first, second = make_backup(lifecycle, tmp_path)
    lifecycle.prepare()
    lifecycle.rotate()
    lifecycle.retire(1)
    with pytest.raises(InputError, match="got 1"):
        lifecycle.destroy(1)
    with transaction(lifecycle.book):
        backup.destroy(lifecycle.book, first, 1.0)
    assert not first.exists()
    with pytest.raises(InputError, match="before"), transaction(lifecycle.book):
        backup.destroy(lifecycle.book, second, 1.0)
    lifecycle.destroy(1)
    assert lifecycle.document().epochs[1].state is EpochState.DESTROYED
