"""A publication is found by who knows the subject, under the name chosen, until its end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consumers import publications
from consumers.publications import Published, expire, listed, publish, republish, send, withdraw
from schemas import codec
from schemas.inquiries import Publication
from schemas.messages import SubjectTouch, TouchHeader, registration_key
from schemas.packing import TOKEN, pack
from schemas.parts import ContactCard, Subject
from silenthit.blinding.cards import open_card
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import EpochSecrets, LocalKey
from silenthit.bus.clients import Delivered, Message
from silenthit.errors import InputError, RetryError
from silenthit.identity.match_keys import match_keys
from stream_processors.answer_publications import Publications
from tests.partner_room import NOW, PARTNER, Room, john, mary

CARD = ContactCard(ori="", agency="Task Force 7", name="Desk", phone="203-555-0100")
PRF = LocalKey([EpochSecrets.generate(epoch) for epoch in (1, 2)])
DAY_MS = 86_400_000


class Broker:
    """A publisher that keeps what it is given, or is away."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes, bytes | None]] = []
        self.away = False

    def send(self, topic: str, key: bytes, value: bytes | None) -> Future[Delivered]:
        future: Future[Delivered] = Future()
        if self.away:
            future.set_exception(RetryError("away"))
        else:
            self.kept.append((topic, key, value))
            future.set_result(Delivered(topic, 0, len(self.kept), 0))
        return future

    def flush(self) -> None:
        """Everything is settled at once."""


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room.make(tmp_path)
    yield made
    made.vault.close()


@pytest.fixture
def broker() -> Broker:
    return Broker()


def published(
    subject: Subject | None = None, days: int = 30, card: ContactCard = CARD
) -> Published:
    return Published(subject=subject or john(), card=card, expires_at=NOW + timedelta(days=days))


def make(room: Room, *epochs: int, **more: Any) -> bytes:
    with room.vault.write() as into:
        return publish(into, published(**more), epochs=epochs or (1,), prf=PRF, now=NOW)


def found(broker: Broker, subject: Subject, epoch: int = 1, at: int = 0) -> list[ContactCard]:
    """What somebody who knows the subject finds at the exchange and opens."""
    exchange = Publications()
    messages = [Message(t, 0, n, n, k, v) for n, (t, k, v) in enumerate(broker.kept)]
    assert exchange.take(messages) == []
    tokens = PRF.tokens(epoch, match_keys(subject))
    rows = pack([(0, int(each.kind), each.value) for each in tokens], TOKEN)
    mine = {each.value: each.secret for each in tokens}
    return [open_card(card, mine, {}).card for card in exchange.find(rows, at)]


def test_who_knows_the_subject_reads_the_card_and_nobody_else(room: Room, broker: Broker) -> None:
    make(room)
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert found(broker, john()) == [CARD]
    assert found(broker, mary()) == []


def test_nothing_that_is_sent_names_the_partner_or_links_two_of_its_publications(
    room: Room, broker: Broker
) -> None:
    make(room)
    make(room)
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    senders = []
    for _, _, value in broker.kept:
        assert PARTNER.encode() not in (value or b"")
        sealed = codec.decode(codec.decode(value or b"", Publication).sealed, SubjectTouch)
        senders.append(codec.decode(sealed.header, TouchHeader).sender)
    assert len(set(senders)) == 2


def test_it_ends_by_itself_at_the_exchange_and_in_the_vault(room: Room, broker: Broker) -> None:
    make(room, days=2)
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    at = round(NOW.timestamp() * 1000)
    assert found(broker, john(), at=at + DAY_MS) == [CARD]
    assert found(broker, john(), at=at + 4 * DAY_MS) == []
    assert expire(room.vault, NOW + timedelta(days=1)) == 0
    assert expire(room.vault, NOW + timedelta(days=4)) == 1
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert broker.kept[-1][2] is None
    assert found(broker, john()) == []


def test_a_withdrawal_sends_a_tombstone_for_every_epoch(room: Room, broker: Broker) -> None:
    made = make(room, 1, 2)
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    with room.vault.write() as into:
        withdraw(into, made.hex()[:6])
        assert listed(into) == []
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    gone = {key for _, key, value in broker.kept if value is None}
    assert gone == {registration_key(made, epoch) for epoch in (1, 2)}
    assert publications.unsent(room.vault) == 0


def test_a_broker_that_is_away_loses_nothing(room: Room, broker: Broker) -> None:
    make(room)
    broker.away = True
    with pytest.raises(RetryError):
        send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert publications.unsent(room.vault) == 1
    broker.away = False
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert found(broker, john()) == [CARD]


def test_it_follows_the_epochs(room: Room, broker: Broker) -> None:
    made = make(room, 1)
    turned = Epochs({1: EpochState.DRAINING, 2: EpochState.CURRENT})
    assert republish(room.vault, epochs=turned, prf=PRF, now=NOW) == 1
    assert republish(room.vault, epochs=turned, prf=PRF, now=NOW) == 0
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert found(broker, john(), epoch=1) == found(broker, john(), epoch=2) == [CARD]
    over = Epochs({1: EpochState.DESTROYED, 2: EpochState.CURRENT})
    republish(room.vault, epochs=over, prf=PRF, now=NOW)
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    assert broker.kept[-1] == (f"publications.{PARTNER}", registration_key(made, 1), None)
    assert found(broker, john(), epoch=2) == [CARD]


@pytest.mark.parametrize(
    "more",
    [
        {"subject": Subject(birth_dates=("1980-01-02",))},
        {"card": ContactCard(ori="", agency="Task Force 7")},
        {"days": 0},
        {"days": 400},
    ],
    ids=["too-little", "no-way-to-call", "over", "too-long"],
)
def test_what_could_not_be_found_called_or_would_stay_for_ever_is_refused(
    room: Room, more: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        make(room, **more)
    assert publications.unsent(room.vault) == 0


def test_a_withdrawal_of_none_or_of_several_is_refused(room: Room) -> None:
    make(room)
    with room.vault.write() as into, pytest.raises(InputError):
        withdraw(into, "")
    with room.vault.write() as into, pytest.raises(InputError):
        withdraw(into, "zzzz")


def test_a_partner_that_left_is_found_no_more(room: Room, broker: Broker) -> None:
    make(room)
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    exchange = Publications()
    exchange.take([Message(t, 0, 1, 1, k, v) for t, k, v in broker.kept])
    assert len(exchange) == 1
    exchange.keep(frozenset({"publications.another"}))
    assert len(exchange) == 0


def test_what_is_no_publication_or_anothers_is_set_aside(room: Room, broker: Broker) -> None:
    make(room)
    send(room.vault, broker, PARTNER)  # type: ignore[arg-type]
    ((topic, key, value),) = broker.kept
    exchange = Publications()
    refused = exchange.take(
        [
            Message(topic, 0, 1, 1, b"k" * 20, value),
            Message(topic, 0, 2, 1, key, b"junk"),
            Message(topic, 0, 3, 1, key, (value or b"")[:-1]),
        ]
    )
    assert [each.reason.value for each in refused] == ["wrong_key", "undecodable", "undecodable"]
    assert len(exchange) == 0
