"""The disclosure record: written first, chained, sealed, and every way to break it noticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas import codec
from schemas.disclosures import Disclosed, Disclosure, Event, What
from schemas.topics import DISCLOSURES
from silenthit.blinding.disclosure_boxes import BOX_BYTES, open_box
from silenthit.bus.clients import Message
from silenthit.errors import RetryError
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.disclosures import Chain
from stream_processors.disclosures_verify import Verifier
from stream_processors.outgoing import Outgoing
from tests.exchange_room import Room, identified, ssn

NOTHING = DisclosureSettings()


def lying(links: Sequence[Outgoing]) -> list[Message]:
    return [
        Message(DISCLOSURES.name, 0, number, 0, link.key, link.value, ())
        for number, link in enumerate(links)
    ]


def judged(links: Sequence[Outgoing], verifier: Verifier | None = None) -> list[tuple[int, str]]:
    verifier = verifier or Verifier()
    verifier.take(lying(links))
    return [(fault.number, fault.what.split(":", maxsplit=1)[0]) for fault in verifier.faults()]


def told(chain: Chain, count: int) -> list[Outgoing]:
    """Meetings, each confirmed."""
    links: list[Outgoing] = []
    for number in range(count):
        links += (new := chain.meeting(bytes([number]) * 16, [("fbi", bytes(16))]))
        chain.confirmed(new)
    return links


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(NOTHING, process="w1", heads=tmp_path)


def test_a_chain_that_nobody_touched_is_in_order(chain: Chain) -> None:
    links = [*told(chain, 5), *chain.close()]
    assert judged(links) == []
    assert [codec.decode(link.value or b"", Disclosure).event for link in links] == [
        Event.OPEN,
        *[Event.TOLD] * 5,
        Event.CLOSE,
    ]


def test_a_link_twice_is_counted_and_no_fault(chain: Chain) -> None:
    links = told(chain, 3)
    verifier = Verifier()
    assert judged([*links, links[2]], verifier) == []
    (seen,) = verifier.chains.values()
    assert (seen.repeated, seen.entries) == (1, 3)


def test_links_under_way_together_are_sent_with_all_before_them(
    chain: Chain, tmp_path: Path
) -> None:
    first = chain.meeting(b"a" * 16, [("fbi", bytes(16))])
    second = chain.meeting(b"b" * 16, [("fbi", bytes(16))])
    assert second[:-1] == first
    assert judged(second) == []
    chain.confirmed(second[-1:])  # the last one alone: what is before it may be lost yet
    assert _left(tmp_path) == b""
    assert chain.meeting(b"c" * 16, [("fbi", bytes(16))])[:-1] == first
    chain.confirmed(first)
    assert int.from_bytes(_left(tmp_path)[16:20], "big") == len(second) - 1


def _left(heads: Path) -> bytes:
    """The head that the next start of the process begins from."""
    begun = Chain(NOTHING, process="w1", heads=heads).close()[0]
    return codec.decode(begun.value or b"", Disclosure).before


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_link_that_is_missing_is_named(chain: Chain, number: int) -> None:
    links = told(chain, 4)
    assert judged(links[:number] + links[number + 1 :]) == [(number, "missing")]


def test_an_altered_link_breaks_the_chain_after_it(chain: Chain) -> None:
    links = told(chain, 4)
    link = codec.decode(links[2].value or b"", Disclosure)
    other = link.model_copy(update={"entries": (Disclosed(what=What.MEETING, id=bytes(16)),)})
    links[2] = Outgoing(topic=links[2].topic, key=links[2].key, value=codec.encode(other))
    assert judged(links) == [(3, "altered")]


def test_bytes_that_are_no_link_are_a_fault(chain: Chain) -> None:
    links = told(chain, 2)
    links.append(Outgoing(topic=DISCLOSURES.name, key=links[0].key, value=b"x"))
    assert judged(links) == [(-1, "altered")]


def test_two_links_of_one_number_are_a_fork(chain: Chain) -> None:
    links = told(chain, 3)
    link = codec.decode(links[3].value or b"", Disclosure)
    other = codec.encode(link.model_copy(update={"at": link.at + 1}))
    links.append(Outgoing(topic=DISCLOSURES.name, key=links[3].key, value=other))
    assert judged(links) == [(3, "forked")]


def test_what_was_not_confirmed_goes_again_as_it_was_before_what_follows(chain: Chain) -> None:
    lost = chain.meeting(bytes(16), [("fbi", bytes(16))])
    again = chain.meeting(bytes(16), [("fbi", bytes(16))])
    assert again[: len(lost)] == lost
    assert judged([*lost, *again]) == []


@pytest.mark.parametrize("which", ["partner", "court"])
def test_the_watch_side_opens_for_its_owner_and_the_court_alone(tmp_path: Path, which: str) -> None:
    keys = {name: X25519PrivateKey.generate() for name in ("partner", "court")}
    public = {name: key.public_key().public_bytes_raw().hex() for name, key in keys.items()}
    settings = DisclosureSettings(partners={"fbi": public["partner"]}, court=public["court"])
    opener = Chain(settings, process="w1", heads=tmp_path)
    links = opener.meeting(b"m" * 16, [("fbi", b"r" * 16), ("hsi", b"s" * 16)])
    ours, others = codec.decode(links[-1].value or b"", Disclosure).entries
    at = ["partner", "court"].index(which)
    told = open_box(ours.boxes[at], keys[which], b"m" * 16)
    assert told is not None
    assert told.content == {"partner": "fbi", "registration": (b"r" * 16).hex()}
    assert {len(box) for entry in (ours, others) for box in entry.boxes} == {BOX_BYTES}
    assert open_box(ours.boxes[1 - at], keys[which], b"m" * 16) is None
    assert open_box(others.boxes[0], keys["partner"], b"m" * 16) is None
    assert open_box(ours.boxes[at], keys[which], b"n" * 16) is None  # of another meeting


class Recording(Room):
    """A worker that keeps the record; `away` makes the brokers refuse."""

    away = False

    def keep(self, heads: Path) -> None:
        self.worker._disclosures = Chain(NOTHING, process="w1", heads=heads)

    async def send(self, messages: Sequence[Outgoing]) -> None:
        if self.away:
            raise RetryError("expected a broker, got none; try again")
        await super().send(messages)

    def links(self) -> list[Outgoing]:
        return [message for message in self.written if message.topic == DISCLOSURES.name]

    def entries(self) -> list[Disclosed]:
        links = [codec.decode(link.value or b"", Disclosure) for link in self.links()]
        return [entry for link in links for entry in link.entries]


@pytest.fixture
async def room(tmp_path: Path) -> Recording:
    room = Recording()
    room.keep(tmp_path)
    await room.worker.take_watches([room.registration("w", [ssn("1")])])
    return room


async def test_an_alert_and_its_withdrawal_are_recorded_before_they_are_told(
    room: Recording,
) -> None:
    await room.touched("r", [ssn("1")])
    assert [m.topic for m in room.written] == ["sent", "disclosures", "disclosures", "alerts.fbi"]
    await room.touched("r", [ssn("2")], revision=2)
    assert [(e.id, e.revision, e.status, e.strong) for e in room.entries()] == [
        (identified("r"), 1, "active", True),
        (identified("r"), 2, "withdrawn", False),
    ]
    assert len(room.entries()) == len(room.alerts())
    assert judged(room.links()) == []
    assert not any(b"fbi" in (link.value or b"") for link in room.links())


async def test_a_touch_that_nobody_watches_leaves_no_record(room: Recording) -> None:
    await room.touched("r", [ssn("2")])
    assert room.links() == []


async def test_no_alert_goes_while_its_record_can_not_and_retries_add_nothing(
    room: Recording,
) -> None:
    room.away = True
    for _ in range(3):
        with pytest.raises(RetryError):
            await room.touched("r", [ssn("1")])
    assert room.alerts() == []
    room.away = False
    await room.touched("r", [ssn("1")])
    assert (len(room.entries()), len(room.alerts())) == (1, 1)
    assert judged(room.links()) == []
