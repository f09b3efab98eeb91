"""What operators meet: huge files, many files, bombs, wrong encodings, clocks, full disks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path

import pytest

from producers.intake import Intake, Tally
from producers.outbox import Outbox
from producers.records import Outcome
from producers.sources.folder import MOST_REASONS, Folder
from producers.sources.mapping import ColumnMapping
from silenthit.errors import RetryError

LEXS_HEAD = (
    '<lexs:PublishMessage xmlns:lexs="http://usdoj.gov/leisp/lexs/3.1"'
    ' xmlns:nc="http://niem.gov/niem/niem-core/2.0">'
)
BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><x>&a;</x>'


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", b"k" * 32)
    yield box
    box.close()


@pytest.fixture
def intake(outbox: Outbox) -> Intake:
    return Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return at(tmp_path / "incoming")


def at(path: Path) -> Folder:
    path.mkdir(parents=True, exist_ok=True)
    return Folder(name="f", every_s=1, path=path, mapping=ColumnMapping(), timezone=UTC)


def polled(folder: Folder, intake: Intake, times: int = 2) -> Tally:
    total = Tally()
    for _ in range(times):
        total += folder.poll(intake.take)
    return total


def names(folder: Folder, of: str) -> list[str]:
    return sorted(each.name for each in (folder.path / of).iterdir())


def rows(start: int, stop: int) -> str:
    return "".join(
        f'R-{n},Ana Ro,802-555-{n % 10_000:04},"two\nlines"\n' for n in range(start, stop)
    )


HEAD = "record_number,name,phone,narrative\n"


def test_the_same_file_again_or_under_another_name_is_nothing_new(folder, intake, outbox):
    for name in ("a.csv", "a.csv", "renamed.csv"):
        (folder.path / name).write_text(HEAD + rows(0, 3), "utf-8")
        polled(folder, intake)
    assert names(folder, "done") == ["a.2.csv", "a.csv", "renamed.csv"]
    assert {each.revision for each in outbox.drafts(10)} == {1}
    assert outbox.counts()["accepted"] == 3


def test_a_file_still_being_written_waits_whatever_the_clock_says(folder, intake):
    path = folder.path / "a.csv"
    for part, stamp in ((0, 2_000_000_000), (1, 1_000_000_000), (2, 500)):
        with path.open("a", encoding="utf-8") as file:
            file.write((HEAD if not part else "") + rows(part, part + 1))
        os.utime(path, (stamp, stamp))  # the file server's clock runs backwards
        assert folder.poll(intake.take) == Tally()
    assert folder.poll(intake.take).new == 3


def test_a_renamed_file_is_read_once_under_its_last_name(folder, intake):
    path = folder.path / "a.csv"
    path.write_text(HEAD + rows(0, 2), "utf-8")
    folder.poll(intake.take)
    path.rename(folder.path / "b.csv")
    assert polled(folder, intake).new == 2
    assert names(folder, "done") == ["b.csv"]


@pytest.mark.parametrize("content", [BOMB, EXTERNAL])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_bombs_and_external_entities_lie_in_failed_with_the_reason(
    folder, intake, content, encoding
):
    (folder.path / "a.xml").write_text(content, encoding)
    assert polled(folder, intake).rejected == 1
    reasons = (folder.path / "failed" / "a.xml.reasons.txt").read_text("utf-8")
    assert "no document type declaration" in reasons


def test_a_wrong_encoding_is_said_and_what_stood_before_is_taken(folder, intake):
    good = (HEAD + rows(0, 20_000)).encode()
    (folder.path / "a.csv").write_bytes(good + b'R-x,Jos\xe9 Ro,802-555-0100,""\n')
    tally = polled(folder, intake)
    assert tally.rejected == 1
    reasons = (folder.path / "failed" / "a.csv.reasons.txt").read_text("utf-8")
    assert "iconv -f WINDOWS-1252" in reasons


def test_a_wrong_mapping_on_a_long_file_gives_reasons_that_can_be_read(folder, intake):
    lines = "".join(f"R-{n},Ana,not-a-date\n" for n in range(3 * MOST_REASONS))
    (folder.path / "b.csv").write_text("record_number,name,birth_date\n" + lines, "utf-8")
    polled(folder, intake)
    reasons = (folder.path / "failed" / "b.csv.reasons.txt").read_text("utf-8").splitlines()
    assert len(reasons) == MOST_REASONS + 1
    assert reasons[-1] == f"and {2 * MOST_REASONS:,} more"


def test_stopped_in_the_middle_of_a_file_it_goes_on_where_it_was(folder, intake, outbox):
    (folder.path / "a.csv").write_text(HEAD + rows(0, 2000), "utf-8")
    folder.poll(intake.take)
    folder.poll(intake.take, lambda: outbox.counts()["accepted"] >= 500)
    assert names(folder, "working") == ["a.csv"]
    assert 500 <= outbox.counts()["accepted"] < 2000
    again = folder.poll(intake.take)
    assert (again.new + again.unchanged, again.corrected) == (2000, 0)
    assert names(folder, "done") == ["a.csv"]


def test_while_the_disk_is_full_the_file_waits_and_nothing_is_lost(folder, intake, outbox):
    (folder.path / "a.csv").write_text(HEAD + rows(0, 600), "utf-8")
    folder.poll(intake.take)
    accept = outbox.accept
    written = []

    def full(drafts: object, *args: object, **more: object) -> object:
        if written:
            raise RetryError("expected to write the outbox, got SQLITE_FULL; free disk space")
        written.append(1)
        return accept(drafts, *args, **more)

    outbox.accept = full
    with pytest.raises(RetryError, match="free disk space"):
        folder.poll(intake.take)
    assert names(folder, "working") == ["a.csv"]
    outbox.accept = accept
    assert folder.poll(intake.take).accepted == 600
    assert {each.revision for each in outbox.drafts(1000)} == {1}


def test_no_room_for_the_reasons_keeps_the_file_in_working(folder, intake, monkeypatch):
    (folder.path / "a.csv").write_text(HEAD + "R-1,,,\n", "utf-8")
    folder.poll(intake.take)
    write = Path.write_text

    def full(path: Path, *args: object, **more: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        folder.poll(intake.take)
    monkeypatch.setattr(Path, "write_text", write)
    assert names(folder, "working") == ["a.csv"]
    assert folder.poll(intake.take).rejected == 1
    assert names(folder, "failed") == ["a.csv", "a.csv.reasons.txt"]


COUNT = """
import sys, time
from datetime import UTC
from pathlib import Path
from producers.records import Record
from producers.sources.files import read
from producers.sources.mapping import ColumnMapping
begun = time.monotonic()
records = sum(isinstance(each, Record) for each in read(Path(sys.argv[1]), ColumnMapping(), UTC))
status = Path("/proc/self/status").read_text()
peak = next(int(line.split()[1]) for line in status.splitlines() if line[:6] == "VmHWM:") // 1024
print(records, peak, round(time.monotonic() - begun))
"""


def counted(path: Path) -> tuple[int, int]:
    """Records of a file, and the MiB that reading it took, in a process of its own.

    By VmHWM: `ru_maxrss` of a child begins with what the process that started it once held.
    """
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(path)], capture_output=True, text=True, check=True
    )
    records, peak, seconds = map(int, done.stdout.split())
    size = path.stat().st_size / 2**20
    found = f"{records:,} records in {peak} MiB, {seconds} s"
    sys.stdout.write(f"{path.suffix} of {size:,.0f} MiB: {found}\n")
    return records, peak


def filled(path: Path, head: str, piece: Callable[[int], str], size: int, tail: str = "") -> int:
    """Write pieces until a file is so large; return how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(head)
        while file.tell() < size:
            file.write("".join(map(piece, range(count, count + 100))))
            count += 100
        file.write(tail)
    return count


def csv_piece(number: int) -> str:
    return f'R-{number},Ana Ro,802-555-0100,"{"word " * 2000}\n"\n'


def lexs_piece(number: int) -> str:
    return (
        f"<lexs:DataItemPackage><lexs:DataItemID>R-{number}</lexs:DataItemID><nc:Activity>"
        f"<nc:ActivityDescriptionText>{'word ' * 2000}</nc:ActivityDescriptionText></nc:Activity>"
        "</lexs:DataItemPackage>"
    )


def test_what_the_tests_own_process_holds_is_not_counted(tmp_path):
    path, held = tmp_path / "few.csv", b"x" * (400 * 2**20)
    path.write_text(HEAD + rows(0, 3), "utf-8")
    records, peak = counted(path)
    assert (records, len(held)) == (3, 400 * 2**20)
    assert peak < 300


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suffix", [".csv", ".xml"])
def test_two_gigabytes_are_read_in_little_memory(tmp_path, suffix):
    path, size = tmp_path / f"big{suffix}", 2 * 2**30
    if suffix == ".csv":
        wrote = filled(path, HEAD, csv_piece, size)
    else:
        wrote = filled(path, LEXS_HEAD, lexs_piece, size, "</lexs:PublishMessage>")
    records, peak = counted(path)
    path.unlink()
    assert records == wrote
    assert peak < 300


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_small_files_are_read_each_once(tmp_path, monkeypatch):
    folder = at(tmp_path / "incoming")
    for number in range(100_000):
        (folder.path / f"{number}.csv").write_text(HEAD + rows(number, number + 1), "utf-8")
    seen: list[Outcome] = []

    def take(outcomes: Iterator[Outcome], _: object) -> Tally:
        seen.extend(outcomes)
        return Tally(new=1)

    begun = time.monotonic()
    folder.poll(take)
    assert folder.poll(take).new == 100_000
    sys.stdout.write(f"100,000 files in {time.monotonic() - begun:.0f} s\n")
    assert len({each.number for each in seen}) == 100_000
    assert len(names(folder, "done")) == 100_000
