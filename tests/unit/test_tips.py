from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from producers.intake import Intake
from producers.outbox import Outbox
from producers.records import Record, Rejection
from producers.sharing import SharingPolicy
from producers.sources.files import read
from producers.sources.mapping import ColumnMapping
from producers.tip_desk import TipDesk
from producers.tip_replies import TipReplies
from producers.tips import Link, Tips, no_link
from schemas.vocabulary import TouchKind
from silenthit.call_tree.channels import ChannelSettings, Outlet
from silenthit.call_tree.escalation import Stage
from silenthit.call_tree.links import LinkSigner, ReplySettings
from silenthit.call_tree.protocol import parse_protocol
from silenthit.call_tree.reply_app import reply_app
from silenthit.errors import InputError, RefusedError, RetryError

PROTOCOL = parse_protocol(
    {
        "timezone": "UTC",
        "people": {"reyes": {"channels": ["reyes"]}, "duty": {"channels": ["desk"]}},
        "branches": [
            {
                "name": "tips",
                "when": {"kind": "tip"},
                "levels": [{"call": ["reyes"], "within": "10m"}],
            }
        ],
        "last_resort": {"call": ["duty"], "every": "30m", "times": 2},
    }
)


class Phone:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.dead = False

    def post(self, title: str, body: str, key: str) -> None:
        if self.dead:
            raise RetryError("expected an answer, got none")
        self.heard.append(f"{title} {body}")


class Room:
    def __init__(self, folder: Path) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.path = folder / "outbox.db"
        self.outbox = Outbox(self.path, b"k" * 32)
        self.tips = Tips(self.path, b"k" * 32, PROTOCOL, lambda: self.now)
        self.phones = {"reyes": Phone(), "desk": Phone()}

    def intake(self, **more: object) -> Intake:
        return Intake(
            outbox=self.outbox, record_secret=b"r" * 32, area_code="", retention_years=5,
            tips=self.tips, **more,
        )  # fmt: skip

    def work(self, minutes: float = 0, link: Link = no_link) -> None:
        self.now += timedelta(minutes=minutes)
        settings = ChannelSettings(url=SecretStr("json://x"))
        self.tips.work({name: Outlet(each, settings) for name, each in self.phones.items()}, link)

    def heard(self) -> dict[str, int]:
        return {name: len(each.heard) for name, each in self.phones.items()}


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.outbox.close()


def tip(number: str = "T-1", text: str = "Ana Ro, 802-555-0100, sells at the pier") -> Record:
    return Record(number=number, kind=TouchKind.TIP, narrative=text)


def refuse(rejection: Rejection) -> None:
    raise AssertionError(str(rejection))


def test_a_tip_is_a_touch_and_somebody_is_called_until_one_answers(room):
    assert room.intake().take([tip()], refuse).new == 1
    assert room.outbox.counts()["accepted"] == 1
    room.work()
    room.work(9)
    assert room.heard() == {"reyes": 1, "desk": 0}
    room.work(2)
    room.work(31)
    assert room.heard() == {"reyes": 1, "desk": 2}
    [found] = room.tips.all()
    room.tips.claim(found.about, "duty")
    room.work(600)
    assert room.tips.find(found.about.hex()[:6]).case.owner == "duty"
    assert room.heard() == {"reyes": 2, "desk": 2}  # who was called is told of the claim


def test_one_person_answers_and_closes_and_every_step_is_written_down(room):
    room.intake().take([tip()], refuse)
    [found] = room.tips.all()
    room.tips.claim(found.about, "reyes")
    with pytest.raises(RefusedError, match="a tip that nobody answers for, got one that reyes"):
        room.tips.claim(found.about, "duty")
    with pytest.raises(RefusedError, match="silenthit agency tips claim"):
        room.tips.close(found.about, "duty", "no")
    room.tips.note(found.about, "reyes", "called back")
    room.tips.close(found.about, "reyes", "nothing in it")
    [closed] = room.tips.all()
    assert closed.case.stage is Stage.CLOSED
    assert [e["action"] for e in closed.events] == ["opened", "claimed", "noted", "closed"]
    with pytest.raises(InputError, match="reyes, duty"):
        room.tips.claim(found.about, "nobody-known")


def test_released_it_climbs_again_and_the_same_tip_again_is_nothing_new(room):
    room.intake().take([tip()], refuse)
    [found] = room.tips.all()
    room.tips.claim(found.about, "reyes")
    room.tips.release(found.about, "reyes", "off duty")
    room.work()
    room.intake().take([tip()], refuse)
    room.work()
    assert len(room.tips.all()) == 1
    assert room.heard()["reyes"] == 1
    room.tips.claim(found.about, "reyes")
    room.tips.close(found.about, "reyes", "")
    room.intake().take([tip(text="He is back at the pier, 802-555-0100")], refuse)
    assert room.tips.all()[0].case.stage is Stage.CLIMBING


def test_a_tip_that_names_nobody_or_is_not_shared_has_its_owner_all_the_same(room):
    tally = room.intake().take([tip(text="it smells of gas on Elm St")], refuse)
    assert (tally.kept, tally.accepted, tally.rejected) == (1, 1, 0)
    unshared = SharingPolicy(kinds=frozenset({TouchKind.ARREST}))
    assert room.intake(policy=unshared).take([tip("T-2")], refuse).withheld == 1
    assert room.outbox.counts()["accepted"] == 0
    [(tally, rejected)] = room.intake().take_together([[tip("T-3", "strange noises")]])
    assert (tally.kept, rejected) == (1, [])
    assert len(room.tips.all()) == 3


def test_what_a_tip_says_lies_encrypted_and_a_page_shows_nothing_of_it(room):
    room.intake().take([tip()], refuse)
    [found] = room.tips.all()
    room.tips.note(found.about, "reyes", "a zanzibar note")
    room.work()
    with sqlite3.connect(room.path) as db:
        dump = "\n".join(db.iterdump())
    raw = b"".join(each.read_bytes() for each in room.path.parent.iterdir() if each.is_file())
    for private in ("802-555-0100", "pier", "zanzibar"):
        assert private not in dump
        assert private.encode() not in raw
        assert private not in repr(found)
    assert "pier" not in room.phones["reyes"].heard[0]
    assert found.about.hex()[:10] in room.phones["reyes"].heard[0]


def test_a_dead_channel_is_tried_again_and_nothing_is_lost_over_a_restart(room):
    room.phones["reyes"].dead = True
    room.intake().take([tip()], refuse)
    room.work()
    room.phones["reyes"].dead = False
    room.tips = Tips(room.path, b"k" * 32, PROTOCOL, lambda: room.now)
    room.work(1)
    assert room.heard()["reyes"] == 1


def test_a_tip_that_is_taken_back_leaves_nothing_of_what_it_said(room):
    room.intake().take([tip()], refuse)
    [found] = room.tips.all()
    room.tips.note(found.about, "reyes", "called back")
    assert room.intake().withdraw("T-1")
    assert room.tips.all() == []
    with sqlite3.connect(room.path) as db:
        for table in ("tip", "tip_case", "tip_event"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608
    room.work(20)
    assert room.heard()["desk"] == 0


def with_links(room: Room, folder: Path) -> TipReplies:
    settings = ReplySettings(url="https://tips.pd.example", key=folder / "replies.key")
    return TipReplies(room.tips, LinkSigner.open(settings))


def ask(replies: TipReplies, method: str, url: str, **more: object) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(reply_app(replies))
        async with httpx.AsyncClient(transport=transport, base_url="https://x") as client:
            return await client.request(method, url, **more)

    return asyncio.run(asked())


def test_a_call_ends_with_its_receivers_own_link_and_whoever_follows_it_answers(room, tmp_path):
    room.intake().take([tip()], refuse)
    replies = with_links(room, tmp_path)
    room.work(link=replies.link)
    [said] = room.phones["reyes"].heard
    link = said.split()[-1]
    assert link.startswith("https://tips.pd.example/r/")
    page = ask(replies, "GET", link.removeprefix("https://tips.pd.example"))
    assert (page.status_code, "You are reyes" in page.text) == (200, True)
    assert "Ana Ro" not in page.text
    assert room.tips.all()[0].case.owner == "", "to look changes nothing"
    url = link.removeprefix("https://tips.pd.example")
    done = ask(replies, "POST", url, json={"action": "claim"})
    assert done.json() == {"stage": "owned", "owner": "reyes"}
    for action, more in (("note", {"text": "rang"}), ("snooze", {"wait": "4h"})):
        assert ask(replies, "POST", url, json={"action": action, **more}).status_code == 200
    room.work(20)
    assert room.heard()["desk"] == 0
    assert ask(replies, "POST", url, json={"action": "close"}).json()["stage"] == "closed"


def test_a_link_that_is_old_foreign_or_of_a_tip_that_is_gone_is_refused(room, tmp_path):
    room.intake().take([tip()], refuse)
    replies = with_links(room, tmp_path)
    about = room.tips.all()[0].about
    url = replies.link(about, "reyes").removeprefix("https://tips.pd.example")
    stranger = replies.link(about, "stranger").removeprefix("https://tips.pd.example")
    assert ask(replies, "GET", stranger).status_code == 403
    assert ask(replies, "GET", url[:-3] + "AAA").status_code == 403
    room.tips.forget(about)
    assert ask(replies, "GET", url).status_code == 403
    room.now += timedelta(hours=25)
    assert ask(replies, "GET", url).status_code == 403


def test_what_was_closed_long_ago_is_gone_with_its_notes_and_pages_and_nothing_else(room):
    room.intake().take([tip("T-1"), tip("T-2"), tip("T-3")], refuse)
    room.work()
    first, second, _open = (each.about for each in room.tips.all())
    for each in (first, second):
        room.tips.claim(each, "reyes")
        room.tips.close(each, "reyes", "unfounded")
    room.now += timedelta(days=30)
    room.tips.note(second, "reyes", "heard of it again")
    room.now += timedelta(days=61)
    assert room.tips.purge(timedelta(days=90)) == 1
    assert {each.about for each in room.tips.all()} == {second, _open}
    with sqlite3.connect(room.path) as db:
        for table in ("tip", "tip_case", "tip_event", "tip_page"):
            query = f"SELECT count(*) FROM {table} WHERE about = ?"  # noqa: S608
            assert db.execute(query, (first,)).fetchone() == (0,)
        orphans = "SELECT count(*) FROM tip_try WHERE page NOT IN (SELECT id FROM tip_page)"
        assert db.execute(orphans).fetchone() == (0,)


def test_the_desk_purges_every_hour(room):
    room.intake().take([tip()], refuse)
    desk = TipDesk(room.tips, {}, kept=timedelta(days=1))
    desk.poll(room.intake().take)
    about = room.tips.all()[0].about
    room.tips.claim(about, "reyes")
    room.tips.close(about, "reyes", "")
    room.now += timedelta(days=2)
    desk.poll(room.intake().take)
    assert room.tips.all() == []


MAIL = b"""From: Somebody <tipster@example.org>\r\nTo: tips@pd.example\r\nSubject: %s\r
Message-ID: <1@example.org>\r\nDate: Sun, 01 Mar 2026 22:15:00 -0500\r
Content-Type: text/html; charset=%s\r\n\r\n<p>Ana Ro sells at <b>the pier</b>&amp;c,
802-555-0100 \xe9</p>"""


def test_a_mail_is_a_tip_whose_sender_is_no_subject(tmp_path):
    for charset in (b"latin-1", b"x-unheard-of", b"utf-8"):
        path = tmp_path / "a.eml"
        path.write_bytes(MAIL % (b"=?utf-8?q?Caf=C3=A9?=", charset))
        [record] = read(path, ColumnMapping(), UTC)
        assert isinstance(record, Record)
        assert record.kind is TouchKind.TIP
        assert record.narrative.startswith("Café\n")
        assert "the pier" in record.narrative
        assert "&c,\n802-555-0100" in record.narrative
        assert "<b>" not in record.narrative
        assert "tipster" not in record.model_dump_json()
        assert record.occurred_at is not None
        assert record.occurred_at.utcoffset() == timedelta(hours=-5)


def test_the_same_mail_again_is_the_same_tip_and_an_empty_one_is_for_a_human(tmp_path):
    first, second = tmp_path / "a.eml", tmp_path / "b.eml"
    for each in (first, second):
        each.write_bytes(MAIL % (b"x", b"utf-8"))
    [one], [other] = (list(read(each, ColumnMapping(), UTC)) for each in (first, second))
    assert isinstance(one, Record)
    assert isinstance(other, Record)
    assert one.number == other.number
    for content in (b"", b"\0\0\0", b"From: a@b.example\r\n\r\n"):
        first.write_bytes(content)
        [rejection] = read(first, ColumnMapping(), UTC)
        assert isinstance(rejection, Rejection)


PARAMETERS = b"a;" * 100_000
PART = b"--x\r\nContent-Type: text/" + b"a;" * 900 + b"\r\n\r\n\r\n"


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\r\nContent-Type: text/plain; " + PARAMETERS + b"\r\n\r\ntext",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + 500 * PART,
    ],
)
def test_a_mail_whose_headers_would_take_hours_is_for_a_human(tmp_path, content):
    path = tmp_path / "a.eml"
    path.write_bytes(content)
    [rejection] = read(path, ColumnMapping(), UTC)
    assert isinstance(rejection, Rejection)


def test_of_a_mail_with_a_very_long_subject_the_text_counts(tmp_path):
    path = tmp_path / "a.eml"
    path.write_bytes(MAIL % (b"(" * 100_000, b"utf-8"))
    [record] = read(path, ColumnMapping(), UTC)
    assert isinstance(record, Record)
    assert "the pier" in record.narrative
    assert "((" not in record.narrative


def test_an_inquiries_log_becomes_inquiry_touches(tmp_path):
    log = tmp_path / "inquiries.csv"
    log.write_text("Query No,Asked,Name,Plate\nQ-1,2026-03-01T10:00:00,Ana Ro,ABC123\n", "utf-8")
    mapping = ColumnMapping.model_validate(
        {
            "kind": "inquiry",
            "columns": {
                "record_number": "Query No",
                "occurred_at": "Asked",
                "name": "Name",
                "plate": "Plate",
            },
        }
    )
    [record] = read(log, mapping, UTC)
    assert isinstance(record, Record)
    assert record.kind is TouchKind.INQUIRY
