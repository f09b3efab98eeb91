"""Touches of any size and partners of any appetite: refused early, or counted where it shows."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from producers import publisher
from schemas import codec
from schemas.packing import MAX_TOKENS, TOKEN
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.sealed_watches import WatchOpener
from silenthit.bus.clients import KafkaSettings, Message, Publisher
from silenthit.bus.sender import sender_headers
from silenthit.cli import root
from stream_processors import watch_holdings
from stream_processors.admission import MOST_TOUCH_BYTES, Reason, Refused
from stream_processors.batch_admission import BatchAdmission
from stream_processors.watch_bounds import WatchBounds
from stream_processors.watch_holdings import DAY_MS, Holding, Holdings
from tests.exchange_room import EPOCHS, HARBOR, WATCH_KEYS, Room, identified, ssn, token, touch_of

KEYS = {HARBOR.key_id: HARBOR}
NOW = 10 * DAY_MS


def message(value: bytes, record: str = "r") -> Message:
    key = identified(record)
    return Message("touches", 0, 1, 1_000, key, value, sender_headers(HARBOR, key, value))


def with_tokens(count: int) -> bytes:
    touch = touch_of("r", [ssn("1")])
    return codec.encode(touch.model_copy(update={"tokens": bytes(count * TOKEN.itemsize)}))


def admitted(each: Message, few: int) -> object:
    return BatchAdmission(few=few).admit([each], KEYS, EPOCHS.accepts_touch)[0]


@pytest.mark.parametrize("few", [0, 2])
def test_millions_of_tokens_are_refused_before_any_of_them_is_copied(few: int) -> None:
    huge = message(with_tokens(2_000_000))
    admitted(message(with_tokens(1)), few)  # what is made once is made
    tracemalloc.start()
    try:
        found = admitted(huge, few)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, Refused)
    assert found.reason is Reason.TOO_LARGE
    assert peak < len(huge.value or b"") / 100


@pytest.mark.parametrize("few", [0, 2])
def test_the_limit_itself_passes_and_a_byte_more_does_not(few: int) -> None:
    most = (MOST_TOUCH_BYTES - len(with_tokens(0))) // TOKEN.itemsize - 1
    found = admitted(message(with_tokens(most)), few)
    assert not isinstance(found, Refused), found
    at_limit = admitted(message(bytes(MOST_TOUCH_BYTES)), few)
    above = admitted(message(bytes(MOST_TOUCH_BYTES + 1)), few)
    assert isinstance(at_limit, Refused)
    assert isinstance(above, Refused)
    assert (at_limit.reason, above.reason) == (Reason.UNDECODABLE, Reason.TOO_LARGE)


def test_what_fits_has_no_more_tokens_than_can_be_numbered() -> None:
    assert MOST_TOUCH_BYTES // TOKEN.itemsize < MAX_TOKENS
    assert publisher.MAX_BYTES < MOST_TOUCH_BYTES


async def test_a_huge_touch_goes_to_quarantine_and_the_next_is_matched() -> None:
    room = Room()
    await room.worker.take_watches([room.registration("w", [ssn("1")])])
    huge = message(with_tokens(100_000))
    await room.worker.take_touches([huge, room.message(touch_of("s", [ssn("1")]), "s")])
    assert room.reasons() == ["too_large"]
    assert [alert.record_id for alert in room.alerts()] == [identified("s")]


def counted(*messages: Message) -> Holding:
    found = Holdings(EPOCHS, WatchOpener(WATCH_KEYS), NOW)
    found.take(messages)
    return found.of("fbi")


def registered(room: Room, name: str, *tokens: object, at: int) -> Message:
    return room.registration(name, tokens)._replace(timestamp_ms=at)


def test_watches_are_counted_in_their_last_version_and_those_removed_are_not() -> None:
    room = Room()
    first = registered(room, "a", ssn("1"), ssn("2"), ssn("3"), at=NOW - 3 * DAY_MS)
    again = registered(room, "a", ssn("1"), token(MatchKeyKind.FULL_NAME, "x"), at=NOW - 5)
    other = registered(room, "b", ssn("4"), at=NOW - 2 * DAY_MS)
    third = registered(room, "c", ssn("5"), at=NOW - 2 * DAY_MS)
    gone = third._replace(value=None)
    noise = other._replace(key=identified("n") + (1).to_bytes(4, "big"), value=b"noise")
    found = counted(first, other, third, again, gone, noise)
    assert (found.watches, found.unreadable, found.tokens, found.strong) == (2, 1, 3, 2)
    assert found.kinds == {"full_name": 1, "ssn": 2}
    assert (found.most_in_a_watch, found.most_of_a_kind) == (2, 1)
    assert (found.watches_of_a_day, found.tokens_of_a_day) == (1, 2)


def test_every_phone_number_of_an_exchange_shows_as_fishing() -> None:
    room = Room()
    every = [token(MatchKeyKind.PHONE, f"617555{number:04}") for number in range(10_000)]
    one = counted(registered(room, "f", *every, at=NOW - 1))
    assert one.beyond(WatchBounds()) == ("tokens_of_a_kind",)
    split = counted(
        *(registered(room, str(n), *every[n : n + 100], at=NOW - 1) for n in range(0, 10_000, 100))
    )
    bounds = WatchBounds(tokens_a_day=9_999, tokens=10_000)
    assert split.beyond(bounds) == ("tokens_a_day",)
    assert counted(registered(room, "w", ssn("1"), at=NOW)).beyond(WatchBounds()) == ()


def test_the_report_has_numbers_and_no_watch_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room()
    fishing = registered(room, "f", *(ssn(str(n)) for n in range(3)), at=NOW)
    honest = Holding(partner="atf", watches=1, tokens=2, kinds={"ssn": 2})
    monkeypatch.setattr(watch_holdings, "holdings", lambda _: [honest, counted(fishing)])
    invoke = CliRunner().invoke
    invoke(root, ["exchange", "init", str(tmp_path / "x"), "--bootstrap", "127.0.0.1:1"])
    config = tmp_path / "x" / "exchange.toml"
    config.write_text(config.read_text() + "\n[watch_bounds]\ntokens_of_a_kind = 2\n")
    said = invoke(root, ["exchange", "holdings", "--config", str(config)])
    assert said.exit_code == 1
    assert [("FISHING?" in line) for line in said.output.splitlines()] == [False, True]
    as_json = invoke(root, ["exchange", "holdings", "--json", "--config", str(config)])
    told = [json.loads(line) for line in as_json.output.splitlines()]
    assert told[1] == {**asdict(counted(fishing)), "beyond": ["tokens_of_a_kind"]}
    assert identified("f").hex() not in as_json.output


def test_what_is_on_the_broker_is_counted_for_every_partner(
    embedded_broker: KafkaSettings, tmp_path: Path
) -> None:
    run("init", str(tmp_path / "x"), "--bootstrap", embedded_broker.bootstrap_servers)
    config = str(tmp_path / "x" / "exchange.toml")
    for partner in ("atf", "fbi"):
        run("enrol", "partner", partner, "--config", config)
    (key,) = (tmp_path / "x" / "keys" / "watches").glob("*.key")
    key.write_text(next(iter(WATCH_KEYS.values())).private_bytes_raw().hex())
    room = Room()
    with Publisher(embedded_broker, client_id="partner") as publishing:
        for name, several in (("a", [ssn("1"), ssn("2")]), ("b", [ssn("3")])):
            each = room.registration(name, several, seal=True)
            publishing.send(each.topic, each.key or b"", each.value)
        publishing.flush()
    lines = run("holdings", "--json", "--config", config).splitlines()
    found = {each["partner"]: each for each in map(json.loads, lines)}
    assert (found["fbi"]["watches"], found["fbi"]["tokens"]) == (2, 3)
    assert (found["atf"]["watches"], found["atf"]["unreadable"]) == (0, 0)


def run(*words: str) -> str:
    done = CliRunner().invoke(root, ["exchange", *words])
    assert done.exit_code == 0, done.output
    return done.output
