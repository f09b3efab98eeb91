from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from consumers.answering import PartnerDesk
from consumers.cases import case_of, cases_in
from consumers.history import history
from consumers.paging import post_pages
from consumers.times import to_ms
from silenthit.call_tree.channels import ChannelSettings, Outlet
from silenthit.call_tree.escalation import Stage
from silenthit.call_tree.links import LinkSigner, ReplySettings
from silenthit.call_tree.protocol import parse_protocol
from silenthit.call_tree.reply_app import reply_app
from silenthit.errors import RefusedError
from tests.partner_room import NOW, Room

PROTOCOL = {
    "timezone": "UTC",
    "people": {"reyes": {"channels": ["sms"]}, "okafor": {"channels": ["sms"]}},
    "branches": [{"name": "all", "levels": [{"call": ["reyes", "okafor"], "within": "1h"}]}],
    "last_resort": {"call": ["okafor"]},
}
PRIVATE = ("quillfeather", "oxenbrook", "203-555", "219-09", "1980", "tanglewood", "tail light")


class Squad:
    """A partner whose people were called about one alert, each with a link of their own."""

    def __init__(self, folder: Path) -> None:
        self.room = Room.make(folder)
        self.room.channels = ()
        self.protocol = self.room.protocol = parse_protocol(PROTOCOL)
        self.room.add()
        self.alert = self.room.alert(self.room.touch(), self.room.registrations()[0])
        self.room.receive(self.alert)
        self.vault, self.time = self.room.vault, NOW
        settings = ReplySettings(url="https://replies.fbi.test", key=folder / "replies.key")
        self.signer = LinkSigner.open(settings)
        self.desk = PartnerDesk(self, self.signer)  # type: ignore[arg-type]  # enough of a partner
        self.heard: list[str] = []
        self.work()

    def now(self) -> Any:
        return self.time

    def post(self, title: str, body: str, key: str) -> None:
        self.heard.append(f"{title}\n{body}")

    def work(self) -> None:
        with self.vault.write() as into:
            cases_in(into, self.protocol, self.time).escalate()
        outlet = Outlet(self, ChannelSettings(url=SecretStr("json://x")))
        post_pages(
            self.vault,
            {"sms": outlet},
            lambda: to_ms(self.time),
            lambda about, person: self.signer.link(about, person, self.time) if person else "",
        )

    def path(self, number: int) -> str:
        """Of the link in that message."""
        found = re.search(r"https://replies\.fbi\.test(/r/\S+)", self.heard[number])
        assert found is not None
        return found[1]

    def case(self) -> Any:
        with self.vault.read() as rows:
            return case_of(rows, self.alert.alert_id)


@pytest.fixture
def squad(tmp_path: Path) -> Squad:
    return Squad(tmp_path)


class Client:
    """A browser, without a socket."""

    def __init__(self, squad: Squad) -> None:
        self._app = reply_app(squad.desk)

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="https://x") as client:
                return await client.request(method, path, **content)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self._ask("GET", path)

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self._ask("POST", path, **content)


@pytest.fixture
def client(squad: Squad) -> Client:
    return Client(squad)


def test_to_follow_a_link_shows_where_it_stands_and_changes_nothing(
    squad: Squad, client: Client
) -> None:
    page = client.get(squad.path(0))
    assert page.status_code == 200
    assert "Blue Heron 1" in page.text
    assert "You are reyes" in page.text
    assert squad.case().stage is Stage.CLIMBING
    assert page.headers["referrer-policy"] == "no-referrer"
    for word in PRIVATE:
        assert word not in page.text.lower(), word


def test_a_claim_by_link_stops_the_climbing_and_tells_everybody_else(
    squad: Squad, client: Client
) -> None:
    answer = client.post(squad.path(0), data={"action": "claim"})
    assert answer.status_code == 200
    assert "reyes answers for it" in answer.text
    assert (squad.case().stage, squad.case().owner) == (Stage.OWNED, "reyes")
    before = len(squad.heard)
    squad.time = NOW + timedelta(days=300)
    squad.work()
    assert [text.splitlines()[1] for text in squad.heard[before:]] == ["claimed by reyes"]


def test_one_owner_at_a_time_also_by_link(squad: Squad, client: Client) -> None:
    client.post(squad.path(0), data={"action": "claim"})
    second = client.post(squad.path(1), data={"action": "claim"})
    assert second.status_code == 403
    assert "reyes does; ask" in second.text
    assert squad.case().owner == "reyes"


def test_everything_can_be_done_as_json_and_is_written_down(squad: Squad, client: Client) -> None:
    path = squad.path(1)
    steps: list[dict[str, str]] = [
        {"action": "claim"},
        {"action": "note", "text": "spoke with the desk"},
        {"action": "snooze", "wait": "4h"},
        {"action": "release", "text": "off duty"},
        {"action": "claim"},
        {"action": "close", "text": "done"},
    ]
    stages = []
    for minute, step in enumerate(steps):
        squad.time = NOW + timedelta(minutes=minute)
        stages.append(client.post(path, json=step).json()["stage"])
    assert stages == ["owned", "owned", "owned", "climbing", "owned", "closed"]
    with squad.vault.read() as rows:
        done = [(each["action"], each["who"]) for each in history(rows, squad.alert.alert_id)]
    assert [each for each in done if each[1] == "okafor"][1:] == [
        ("claimed", "okafor"),
        ("noted", "okafor"),
        ("snoozed", "okafor"),
        ("released", "okafor"),
        ("claimed", "okafor"),
        ("closed", "okafor"),
    ]


def test_a_link_expires(squad: Squad, client: Client) -> None:
    squad.time = NOW + timedelta(hours=24, seconds=1)
    for answer in (client.get(squad.path(0)), client.post(squad.path(0), data={"action": "claim"})):
        assert answer.status_code == 403
        assert "expired" in answer.text
    assert squad.case().stage is Stage.CLIMBING


def test_no_other_token_holds(squad: Squad, client: Client) -> None:
    token = squad.path(0).removeprefix("/r/")
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        changed = token[:place] + other + token[place + 1 :]
        assert client.post(f"/r/{changed}", data={"action": "claim"}).status_code == 403
    for other in ("x", "AAAA", token[:20], token + "A", "é" * 30):
        assert client.get(f"/r/{other}").status_code == 403
    assert squad.case().stage is Stage.CLIMBING


def test_a_link_of_somebody_who_left_no_longer_holds(squad: Squad, client: Client) -> None:
    path = squad.path(1)
    people = {"reyes": {"channels": ["sms"]}}
    left = {**PROTOCOL, "people": people, "last_resort": {"call": ["reyes"]}}
    squad.protocol = parse_protocol({**left, "branches": []})
    assert client.post(path, data={"action": "claim"}).status_code == 403


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"action": "delete"}, "an action of claim"),
        ({}, "an action of claim"),
        ({"action": "snooze"}, "how long to snooze"),
        ({"action": "snooze", "wait": "soon"}, "a duration"),
        ({"action": "note", "text": "x" * 20_000}, "bytes"),
        (["claim"], "an object"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_remedy(
    squad: Squad, client: Client, content: Any, said: str
) -> None:
    answer = client.post(squad.path(0), json=content)
    assert answer.status_code == 422
    assert said in answer.json()["error"]


@pytest.mark.parametrize("content", [b"[" * 8_000, b'{"a":' * 1_500, b"\xff", b"NaN"])
def test_a_body_that_is_no_object_is_refused_however_it_is_made(
    squad: Squad, client: Client, content: bytes
) -> None:
    sent = {"content": content, "headers": {"content-type": "application/json"}}
    answer = client.post(squad.path(0), **sent)
    assert answer.status_code == 422
    assert "an object" in answer.json()["error"]


def test_a_page_quotes_nobodys_markup(squad: Squad, client: Client) -> None:
    client.post(squad.path(0), data={"action": "claim"})
    refused = client.post(squad.path(0), data={"action": "<script>"})
    assert "<script>" not in refused.text


def test_the_key_of_links_is_its_owners_alone_and_one_for_all_processes(tmp_path: Path) -> None:
    settings = ReplySettings(url="https://x.test", key=tmp_path / "keys" / "replies.key")
    first, second = LinkSigner.open(settings), LinkSigner.open(settings)
    token = first.token(b"a" * 16, "reyes", NOW)
    assert second.read(token, NOW).person == "reyes"
    assert settings.key.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in settings.key.parent.iterdir()] == ["replies.key"]
    assert first.key.hex() not in repr(first)
    with pytest.raises(RefusedError, match="the whole link"):
        LinkSigner.open(ReplySettings(url="https://x.test", key=tmp_path / "other")).read(
            token, NOW
        )


@pytest.mark.parametrize("url", ["http://replies.fbi.test", "http://127.0.0.1.test", "replies"])
def test_links_are_for_https_only(url: str) -> None:
    with pytest.raises(ValidationError, match="https"):
        ReplySettings(url=url)
