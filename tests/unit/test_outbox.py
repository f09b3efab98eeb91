from __future__ import annotations

import hmac
import os
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from producers.outbox import Accepted, Outbox, Outgoing, State
from producers.records import Record
from producers.touch import Draft, drafted
from schemas.parts import Identifier, Subject
from schemas.vocabulary import IdentifierKind, TouchKind
from silenthit.errors import InputError, RetryError, SettingsError

KEY = b"k" * 32
ID = b"1" * 16


def draft(narrative: str = "", phone: str = "802-555-0100") -> Draft:
    found = drafted(
        Record(
            number="R-1",
            kind=TouchKind.TIP,
            subjects=(Subject(identifiers=(Identifier(kind=IdentifierKind.PHONE, value=phone),)),),
            narrative=narrative,
        )
    )
    assert isinstance(found, Draft)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path):
    box = Outbox(path, KEY)
    yield box
    box.close()


def accept(outbox: Outbox, *drafts: Draft, record_id: bytes = ID, **more: bool) -> list[Accepted]:
    return outbox.accept([(record_id, each) for each in drafts], "2031-01", **more)


def seal(outbox: Outbox, epoch: int = 1) -> list[Outgoing]:
    outbox.sealed([(each, b"touch %d" % each.revision) for each in outbox.drafts(100)], epoch)
    return [each for _, each in outbox.outgoing(100)]


def test_the_same_content_again_changes_nothing(outbox):
    assert accept(outbox, draft(), draft()) == [Accepted.NEW, Accepted.UNCHANGED]
    outbox.finished(seal(outbox))
    assert accept(outbox, draft()) == [Accepted.UNCHANGED]
    assert outbox.drafts(10) == []


def test_where_it_was_read_from_is_no_content(outbox):
    moved = draft().record.model_copy(update={"read_from": "elsewhere.csv, line 9"})
    again = drafted(moved)
    assert isinstance(again, Draft)
    assert accept(outbox, draft(), again) == [Accepted.NEW, Accepted.UNCHANGED]


def test_other_content_is_the_next_revision_and_only_the_last_is_sent(outbox):
    assert accept(outbox, draft("a"), draft("b")) == [Accepted.NEW, Accepted.CORRECTED]
    [entry] = outbox.drafts(10)
    assert (entry.revision, entry.draft.record.narrative) == (2, "b")


def test_a_confirmation_of_an_older_revision_leaves_the_newer_one_waiting(outbox):
    accept(outbox, draft("a"))
    sent = seal(outbox)
    accept(outbox, draft("b"))
    outbox.finished(sent)
    assert [each.revision for each in seal(outbox)] == [2]


def test_a_touch_sealed_for_an_older_revision_is_dropped(outbox):
    accept(outbox, draft("a"))
    entries = outbox.drafts(10)
    accept(outbox, draft("b"))
    outbox.sealed([(each, b"old") for each in entries], 1)
    assert outbox.outgoing(10) == []
    assert [each.revision for each in seal(outbox)] == [2]


def test_what_was_accepted_is_there_after_reopening_with_its_stage(path):
    first = Outbox(path, KEY)
    accept(first, draft("a"))
    accept(first, draft("b"), record_id=b"2" * 16)
    first.sealed([(first.drafts(1)[0], b"touch")], 1)
    first.close()
    second = Outbox(path, KEY)
    assert [each.record_id for each in second.drafts(10)] == [b"2" * 16]
    assert [each.touch for _, each in second.outgoing(10)] == [b"touch"]
    second.close()


def test_records_leave_in_the_order_in_which_they_came(outbox):
    ids = [os.urandom(16) for _ in range(50)]
    for each in ids:
        accept(outbox, draft(), record_id=each)
    assert [each.record_id for each in seal(outbox)] == ids


def test_a_retraction_is_a_tombstone_of_the_next_revision(outbox):
    accept(outbox, draft())
    outbox.finished(seal(outbox))
    assert outbox.retract(ID)
    [tombstone] = [each for _, each in outbox.outgoing(10)]
    assert (tombstone.revision, tombstone.touch) == (2, None)
    assert not outbox.retract(ID)


def test_a_record_retracted_before_it_left_is_never_sent(outbox):
    accept(outbox, draft())
    outbox.retract(ID)
    assert [each.touch for each in seal(outbox)] == [None]


def test_a_retracted_record_comes_back_only_when_asked_for(outbox):
    accept(outbox, draft())
    outbox.retract(ID)
    assert accept(outbox, draft(), draft("new")) == [Accepted.RETRACTED] * 2
    assert accept(outbox, draft(), reinstate=True) == [Accepted.CORRECTED]
    assert [each.revision for each in outbox.drafts(10)] == [3]


def test_a_record_that_was_never_accepted_cannot_be_retracted(outbox):
    with pytest.raises(InputError):
        outbox.retract(ID)


def test_a_touch_of_a_closed_epoch_is_sealed_again_with_the_same_revision(outbox):
    accept(outbox, draft())
    seal(outbox, epoch=1)
    assert outbox.reopen(2) == 1
    [entry] = outbox.drafts(10)
    assert entry.revision == 1
    assert outbox.reopen(2) == 0


def test_nothing_of_a_record_is_readable_in_the_files_before_or_after_it_left(path):
    outbox = Outbox(path, KEY)
    accept(outbox, draft("a narrative that would show", "802-555-0100"))
    files = [each.read_bytes() for each in path.parent.iterdir()]
    outbox.finished(seal(outbox))
    assert outbox.waiting(ID) is None
    outbox.close()
    for content in [*files, path.read_bytes()]:
        assert b"narrative that" not in content
        assert b"5550100" not in content
        assert b"555-0100" not in content
        assert b"R-1" not in content


def test_what_waits_can_be_read_with_the_key_and_with_no_other(path):
    outbox = Outbox(path, KEY)
    accept(outbox, draft("mine"))
    waiting = outbox.waiting(ID)
    assert waiting is not None
    assert waiting.record.narrative == "mine"
    outbox.close()
    stranger = Outbox(path, b"x" * 32)
    with pytest.raises(SettingsError, match=r"outbox\.key"):
        stranger.drafts(1)
    stranger.close()


def test_only_the_owner_may_read_the_file(outbox, path):
    assert path.stat().st_mode & 0o077 == 0


def test_counts_say_what_waits(outbox):
    accept(outbox, draft())
    accept(outbox, draft(), record_id=b"2" * 16)
    assert outbox.counts()[State.ACCEPTED] == 2
    assert outbox.oldest_waiting() is not None
    outbox.finished(seal(outbox))
    assert outbox.counts() == {"accepted": 0, "sealed": 0, "published": 2, "refused": 0}
    assert outbox.oldest_waiting() is None


def test_a_batch_that_does_not_fit_on_the_disk_is_refused_whole(outbox):
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(RetryError, match="SQLITE_FULL"):
        outbox.accept([(os.urandom(16), draft("x" * 2000)) for _ in range(50)], "2031-01")
    outbox._db.execute("PRAGMA max_page_count = 1000000")
    assert outbox.counts()[State.ACCEPTED] == 0
    assert accept(outbox, draft()) == [Accepted.NEW]


def test_a_file_that_is_no_database_is_refused_by_name(path):
    path.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(SettingsError, match=r"outbox\.db"):
        Outbox(path, KEY)


def test_it_survives_a_power_cut_as_sqlite_promises(outbox):
    assert outbox._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert outbox._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert sqlite3.threadsafety >= 1


def test_what_the_records_schedule_no_longer_allows_is_taken_back_once(outbox):
    accept(outbox, draft())
    accept(outbox, draft(), record_id=b"2" * 16)
    outbox.finished(seal(outbox))
    assert outbox.expire("2031-01") == 0
    assert outbox.expire("2031-02") == 2
    assert [(e.revision, e.touch) for _, e in outbox.outgoing(10)] == [(2, None), (2, None)]
    assert outbox.expire("2031-02") == 0


def test_a_full_outbox_refuses_clearly_and_goes_on_when_there_is_room(path):
    outbox = Outbox(path, KEY, max_bytes=2_500_000)
    for _ in range(5):
        accept(outbox, draft("x" * 500_000), record_id=os.urandom(16))
    with pytest.raises(RetryError, match="outbox_max_mb"):
        accept(outbox, draft())
    assert outbox.counts()[State.ACCEPTED] == 5
    outbox.finished(seal(outbox))
    assert accept(outbox, draft()) == [Accepted.NEW]
    outbox.close()


def test_history_goes_behind_live_records_and_says_so(outbox):
    old, new = b"2" * 16, b"3" * 16
    accept(outbox, draft(), record_id=old, history=True)
    accept(outbox, draft(), record_id=new)
    assert [(e.record_id, e.history) for e in outbox.drafts(10)] == [(new, False)]
    assert [(e.record_id, e.history) for e in outbox.drafts(10, history=True)] == [(old, True)]
    assert outbox.history_waiting() == 1
    assert [each.history for each in outbox.waiting_list(10)] == [True, False]


def test_a_correction_overtakes_its_history_and_history_never_slows_what_is_live(outbox):
    accept(outbox, draft("a"), history=True)
    accept(outbox, draft("b"))
    assert [each.revision for each in outbox.drafts(10)] == [2]
    accept(outbox, draft("c"), history=True)
    assert [each.revision for each in outbox.drafts(10)] == [3]
    outbox.finished(seal(outbox))
    accept(outbox, draft("d"), history=True)
    assert [each.revision for each in outbox.drafts(10, history=True)] == [4]


def test_history_of_what_was_published_live_is_nothing_new(outbox):
    accept(outbox, draft())
    outbox.finished(seal(outbox))
    assert accept(outbox, draft(), history=True) == [Accepted.UNCHANGED]


def test_a_published_record_goes_again_as_its_next_revision_while_its_content_is_kept(path):
    outbox = Outbox(path, KEY, keep=timedelta(days=7))
    accept(outbox, draft("kept"))
    assert not outbox.again(ID)
    outbox.finished(seal(outbox))
    assert outbox.again(ID)
    [entry] = outbox.drafts(10)
    assert (entry.revision, entry.draft.record.narrative) == (2, "kept")
    outbox.finished(seal(outbox))
    outbox.forget_kept(datetime.now(UTC) + timedelta(days=8))
    with pytest.raises(InputError, match="file"):
        outbox.again(ID)
    outbox.reconsider(ID)
    assert accept(outbox, draft("kept")) == [Accepted.CORRECTED]
    outbox.close()


def test_a_tombstone_goes_again_and_what_was_taken_back_is_not_kept(path):
    outbox = Outbox(path, KEY, keep=timedelta(days=7))
    accept(outbox, draft())
    outbox.finished(seal(outbox))
    outbox.retract(ID)
    assert outbox.waiting(ID) is None
    outbox.finished(seal(outbox))
    assert outbox.again(ID)
    assert [(e.revision, e.touch) for e in seal(outbox)] == [(3, None)]
    outbox.close()


def test_kept_content_gives_way_before_anything_is_refused(path):
    outbox = Outbox(path, KEY, max_bytes=2_500_000, keep=timedelta(days=7))
    for _ in range(5):
        accept(outbox, draft("x" * 500_000), record_id=os.urandom(16))
    outbox.finished(seal(outbox))
    assert accept(outbox, draft()) == [Accepted.NEW]
    outbox.close()


def test_the_time_of_the_last_confirmation_stays_while_the_next_revision_waits(outbox):
    accept(outbox, draft("a"))
    assert outbox.confirmed_at(ID) is None
    outbox.finished(seal(outbox))
    first = outbox.confirmed_at(ID)
    accept(outbox, draft("b"))
    assert outbox.confirmed_at(ID) == first is not None


def test_an_outbox_of_the_first_version_is_read_and_written_anew(path):
    content = draft("old").model_dump_json().encode()
    old = sqlite3.connect(path, isolation_level=None)
    old.execute(
        "CREATE TABLE record (record_id BLOB PRIMARY KEY, revision INTEGER NOT NULL, digest BLOB"
        " NOT NULL, state TEXT NOT NULL, retracted INTEGER NOT NULL DEFAULT 0, sequence INTEGER NOT"
        " NULL, expiry_month TEXT NOT NULL, content BLOB, touch BLOB, epoch INTEGER, changed_at"
        " TEXT NOT NULL) WITHOUT ROWID"
    )
    box = b"n" * 12 + AESGCM(KEY).encrypt(b"n" * 12, content, ID + bytes([0, 0, 0, 1]))
    digest = hmac.digest(KEY, b"silenthit/1/digest" + content, "sha256")
    row = (ID, 1, digest, "accepted", 0, 1, "2031-01", box, None, None, "2026-01-01T00:00:00+00:00")
    old.execute("INSERT INTO record VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
    old.close()
    outbox = Outbox(path, KEY)
    assert accept(outbox, draft("old")) == [Accepted.UNCHANGED]
    [entry] = outbox.drafts(10)
    assert entry.draft.record.narrative == "old"
    assert outbox._db.execute("SELECT content FROM record").fetchone()[0] != box
    outbox.close()


def test_an_outbox_keyed_by_record_ids_keeps_what_waits_and_its_order(path):
    made = Outbox(path, KEY)
    for number in (3, 1, 2):
        accept(made, draft(str(number)), record_id=bytes([number]) * 16)
    made.close()
    old = sqlite3.connect(path, isolation_level=None)
    table = old.execute("SELECT sql FROM sqlite_master WHERE name = 'record'").fetchone()[0]
    old.execute("ALTER TABLE record RENAME TO later")
    old.execute(f"{table} WITHOUT ROWID")
    old.execute("INSERT INTO record SELECT * FROM later")
    old.execute("DROP TABLE later")
    old.execute("PRAGMA user_version = 1")
    old.close()
    outbox = Outbox(path, KEY)
    assert [each.draft.record.narrative for each in outbox.drafts(10)] == ["3", "1", "2"]
    assert accept(outbox, draft("1"), record_id=b"\1" * 16) == [Accepted.UNCHANGED]
    assert outbox._db.execute("SELECT max(rowid) FROM record").fetchone() == (3,)
    outbox.close()


def test_who_publishes_waits_until_nobody_else_does(tmp_path: Path) -> None:
    here, there = Outbox(tmp_path / "outbox.db", KEY), Outbox(tmp_path / "outbox.db", KEY)
    entered, order = threading.Event(), []

    def other() -> None:
        entered.set()
        with there.alone():
            order.append("there")

    waiting = threading.Thread(target=other)
    with here.alone():
        waiting.start()
        entered.wait(5)
        order.append("here")
    waiting.join(5)
    assert order == ["here", "there"]
    here.close()
    there.close()
