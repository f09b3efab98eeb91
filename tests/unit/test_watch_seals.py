"""A partner's edge seals what it registers, as soon as it was handed a key of the exchange's."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from consumers import watch_seals
from consumers.exchange_key import trust_exchange
from consumers.placing import remove_watch
from consumers.registrations import deliver, unconfirmed
from consumers.vault import SETTINGS
from schemas import codec
from schemas.messages import SealedRegistration, WatchRegistration
from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.blinding.sealed_watches import WatchOpener, fresh_key
from silenthit.bus.clients import Message
from silenthit.errors import InputError, RetryError
from stream_processors.admission import AdmittedWatch, admit_watch
from stream_processors.watch_keys import WatchKeys, make_watch_key
from tests.exchange_room import EPOCHS
from tests.partner_room import NOW, PARTNER, Room, john, mary, watch_on

SLOTS = fresh_key()[1].hex()


class Broker:
    """Stands where a publisher stands, and keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes | None]] = []
        self.away = False

    def send(self, topic: str, key: bytes, value: bytes | None) -> Future[Any]:
        future: Future[Any] = Future()
        if self.away:
            future.set_exception(RetryError("expected a broker, got none"))
        else:
            self.sent.append((topic, key, value))
            future.set_result(None)
        return future

    def flush(self, _seconds: float) -> None:
        pass


class Town:
    """A partner and the folder of its exchange's watch keys."""

    def __init__(self, folder: Path) -> None:
        self.room, self.broker = Room.make(folder), Broker()
        self.keys = folder / "watches"

    def new_key(self) -> DeconflictionKey:
        key = make_watch_key(self.keys)
        return DeconflictionKey(key=SLOTS, watches=key.public.hex())

    def trust(self, found: DeconflictionKey) -> int:
        with self.room.vault.write() as into:
            return trust_exchange(into, found)

    def deliver(self) -> list[bytes | None]:
        """Return what was sent by this."""
        before = len(self.broker.sent)
        deliver(self.room.vault, self.broker, PARTNER)  # type: ignore[arg-type]
        return [value for _, _, value in self.broker.sent[before:]]

    def admitted(self) -> list[WatchRegistration]:
        """Return what the exchange has of what was sent last under each key."""
        opener, last = WatchOpener(WatchKeys(self.keys)), {}
        for topic, key, value in self.broker.sent:
            last[key] = admit_watch(Message(topic, 0, 1, 1_000, key, value, ()), EPOCHS, opener)
        return [each.registration for each in last.values() if isinstance(each, AdmittedWatch)]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def read(value: bytes | None) -> SealedRegistration:
    return codec.decode(value or b"", SealedRegistration)


def test_whoever_was_handed_a_key_sends_only_what_is_sealed(town: Town) -> None:
    town.trust(town.new_key())
    town.room.add(watch_on(john(), label="one"), watch_on(mary(), label="two"))
    sent = [read(value) for value in town.deliver()]
    assert len(sent) == 2
    assert len({each.content_key for each in sent}) == 1, "one encapsulation for partner and epoch"
    assert len({each.sealed[:12] for each in sent}) == 2, "a nonce each"
    ours = sorted(town.room.registrations(), key=lambda each: each.registration_id)
    assert sorted(town.admitted(), key=lambda each: each.registration_id) == ours


def test_the_content_key_is_kept_and_used_again_by_the_next_process(town: Town) -> None:
    town.trust(town.new_key())
    keys = set()
    for label in "abc":
        town.room.add(watch_on(label=label))
        keys |= {read(value).content_key for value in town.deliver()}
    assert len(keys) == 1


def test_without_a_key_registrations_go_as_they_are(town: Town) -> None:
    town.trust(DeconflictionKey(key=SLOTS))
    town.room.add()
    (value,) = town.deliver()
    assert codec.decode(value or b"", WatchRegistration) == town.room.registrations()[0]
    assert town.admitted() == town.room.registrations()


def test_what_went_plain_is_sent_again_when_a_key_comes(town: Town) -> None:
    town.room.add(watch_on(label="one"), watch_on(label="two"))
    assert len(town.deliver()) == 2
    assert town.trust(town.new_key()) == 2
    assert unconfirmed(town.room.vault) == 2
    assert all(read(value) for value in town.deliver())
    assert len(town.admitted()) == 2


def test_another_key_of_the_exchange_makes_another_content_key_for_every_watch(town: Town) -> None:
    first = town.new_key()
    town.trust(first)
    kept, gone = town.room.add(watch_on(label="kept"), watch_on(label="gone"))
    before = {read(value).content_key for value in town.deliver()}
    remove_watch(town.room.vault, gone, NOW)
    assert town.deliver() == [None]
    second = town.new_key()
    assert town.trust(second) == 1
    (value,) = town.deliver()
    assert read(value).watch_key == WatchKeys(town.keys).newest.id  # type: ignore[union-attr]
    assert read(value).content_key not in before
    (town.keys / "0001.key").unlink()
    assert [each.registration_id for each in town.admitted()] == [
        each.registration_id for each in town.room.registrations()
    ]
    assert kept


def test_the_same_key_again_sends_nothing_again(town: Town) -> None:
    found = town.new_key()
    town.trust(found)
    town.room.add()
    town.deliver()
    assert town.trust(found) == 0
    assert town.deliver() == []


def test_a_file_without_a_watch_key_does_not_make_registrations_plain_again(town: Town) -> None:
    town.trust(town.new_key())
    with pytest.raises(InputError, match="unsealed"):
        town.trust(DeconflictionKey(key=SLOTS))
    town.room.add()
    assert all(read(value) for value in town.deliver())


def test_a_tombstone_is_a_tombstone(town: Town) -> None:
    town.trust(town.new_key())
    (watch_id,) = town.room.add()
    town.deliver()
    remove_watch(town.room.vault, watch_id, NOW)
    assert town.deliver() == [None]


def test_a_key_that_has_sealed_enough_is_changed_before_it_seals_more(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_seals, "MOST_MESSAGES", 3)
    town.trust(town.new_key())
    used = []
    for label in "abcde":
        town.room.add(watch_on(label=label))
        used += [read(value).content_key for value in town.deliver()]
    assert [used.count(each) for each in dict.fromkeys(used)] == [3, 2]
    assert len(town.admitted()) == 5


def test_what_could_not_be_sent_counts_too(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_seals, "MOST_MESSAGES", 3)
    town.trust(town.new_key())
    town.room.add()
    used = []
    for _ in range(4):
        town.broker.away = True
        with pytest.raises(RetryError):
            town.deliver()
        with town.room.vault.read() as rows:
            row = rows.get(SETTINGS, b"exchange/watch-seal/" + (1).to_bytes(4, "big"))
        assert row
        used.append(watch_seals._Kept.model_validate_json(row["private"]))
    assert [each.messages for each in used] == [1, 2, 3, 1]
    assert used[3].key != used[0].key == used[2].key
    assert used[0].key not in str(used[0].seal)
