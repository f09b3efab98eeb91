from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC
from pathlib import Path

import pytest

from producers.intake import Intake, Reject, Tally
from producers.outbox import Outbox
from producers.records import Outcome
from producers.sources.folder import Folder
from producers.sources.mapping import ColumnMapping
from silenthit.errors import RetryError

GOOD = "record_number,name,phone\nA-{n},Ana Ro,802-555-{n:04}\n"


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


@pytest.fixture
def intake(outbox):
    return Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)


@pytest.fixture
def folder(tmp_path) -> Folder:
    path = tmp_path / "incoming"
    path.mkdir()
    return Folder(name="f", every_s=1, path=path, mapping=ColumnMapping(), timezone=UTC)


def put(folder: Folder, name: str, content: str | bytes) -> Path:
    path = folder.path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def polls(
    folder: Folder, take: Callable[[Iterable[Outcome], Reject], Tally], times: int = 2
) -> Tally:
    total = Tally()
    for _ in range(times):
        total += folder.poll(take)
    return total


def names(folder: Folder, of: str) -> list[str]:
    return sorted(each.name for each in (folder.path / of).iterdir())


def test_a_file_is_read_once_it_rests_and_put_away(folder, intake):
    put(folder, "a.csv", GOOD.format(n=1))
    assert folder.poll(intake.take) == Tally()
    assert folder.poll(intake.take).new == 1
    assert names(folder, "done") == ["a.csv"]
    assert polls(folder, intake.take) == Tally()


def test_a_file_that_still_grows_is_left_alone(folder, intake):
    path = put(folder, "a.csv", GOOD.format(n=1))
    folder.poll(intake.take)
    with path.open("a") as file:
        file.write("A-2,Bo Li,802-555-0002\n")
    assert folder.poll(intake.take) == Tally()
    assert folder.poll(intake.take).new == 2


def test_a_clock_that_runs_backwards_changes_nothing(folder, intake):
    path = put(folder, "a.csv", GOOD.format(n=1))
    os.utime(path, (4_000_000_000, 4_000_000_000))
    assert polls(folder, intake.take).new == 1


@pytest.mark.parametrize("name", ["a.csv.part", ".a.csv", "a.csv~", "a.tmp", "a.CSV.filepart"])
def test_names_of_unfinished_files_wait_until_they_are_renamed(folder, intake, name):
    path = put(folder, name, GOOD.format(n=1))
    assert polls(folder, intake.take, 3) == Tally()
    path.rename(folder.path / "a.csv")
    assert polls(folder, intake.take).new == 1


def test_symbolic_links_and_folders_are_not_followed(folder, intake, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text(GOOD.format(n=1))
    (folder.path / "link.csv").symlink_to(secret)
    (folder.path / "sub.csv").mkdir()
    assert polls(folder, intake.take, 3) == Tally()
    assert secret.exists()


def test_a_bad_file_goes_to_failed_with_its_reasons_and_its_good_records_are_kept(folder, intake):
    put(folder, "a.csv", GOOD.format(n=1) + "A-2,,\n")
    put(folder, "b.xml", "<a>")
    tally = polls(folder, intake.take)
    assert (tally.new, tally.rejected) == (1, 2)
    assert names(folder, "failed") == ["a.csv", "a.csv.reasons.txt", "b.xml", "b.xml.reasons.txt"]
    assert "a.csv, line 3" in (folder.path / "failed" / "a.csv.reasons.txt").read_text()


def test_the_same_name_again_hides_nothing(folder, intake):
    for n in (1, 2, 3):
        put(folder, "a.csv", GOOD.format(n=n))
        polls(folder, intake.take)
    assert names(folder, "done") == ["a.2.csv", "a.3.csv", "a.csv"]


def test_what_a_crash_left_in_hand_is_read_first(folder, intake):
    (folder.path / "working").mkdir()
    (folder.path / "working" / "a.csv").write_text(GOOD.format(n=1))
    assert folder.poll(intake.take).new == 1
    assert names(folder, "done") == ["a.csv"]


def test_while_the_outbox_cannot_be_written_the_file_stays_in_hand(folder, intake):
    put(folder, "a.csv", GOOD.format(n=1))

    def full(outcomes: Iterable[Outcome], reject: Reject) -> Tally:
        raise RetryError("expected to write the outbox, got SQLITE_FULL; free disk space")

    with pytest.raises(RetryError):
        polls(folder, full)
    assert names(folder, "working") == ["a.csv"]
    assert folder.poll(intake.take).new == 1


def test_a_bug_with_one_file_stops_no_other(folder, intake):
    put(folder, "a.csv", GOOD.format(n=1))
    put(folder, "b.csv", GOOD.format(n=2))
    calls: list[int] = []

    def breaks_once(outcomes: Iterable[Outcome], reject: Reject) -> Tally:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return intake.take(outcomes, reject)

    tally = polls(folder, breaks_once)
    assert (tally.new, tally.rejected) == (1, 1)
    assert names(folder, "failed") == ["a.csv", "a.csv.reasons.txt"]


def test_corrections_are_taken_in_the_order_of_their_files(folder, intake, outbox):
    for moment, (name, phone) in enumerate([("z.csv", "0001"), ("a.csv", "0002")], start=1):
        path = put(folder, name, f"record_number,name,phone\nA-1,Ana Ro,802-555-{phone}\n")
        os.utime(path, (moment, moment))
    tally = polls(folder, intake.take)
    assert (tally.new, tally.corrected) == (1, 1)
    [entry] = outbox.drafts(10)
    assert entry.draft.record.subjects[0].identifiers[0].value == "802-555-0002"


def test_it_stops_between_two_files(folder, intake):
    for n in range(5):
        put(folder, f"{n}.csv", GOOD.format(n=n))
    folder.poll(intake.take)
    done: list[int] = []

    def take(outcomes: Iterable[Outcome], reject: Reject) -> Tally:
        done.append(1)
        return intake.take(outcomes, reject)

    folder.poll(take, lambda: len(done) == 2)
    assert len(names(folder, "done")) == 2
    assert polls(folder, intake.take, 3).new == 3
