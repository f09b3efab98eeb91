"""Registrations sealed to the matching workers open there, in their place, whole, or not at all."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas import codec
from schemas.messages import SealedRegistration, WatchRegistration, registration_key
from schemas.packing import TOKEN, pack
from schemas.vocabulary import CoarseKind, MatchKeyKind
from silenthit.blinding.sealed_watches import (
    MOST_REMEMBERED,
    STEP_BYTES,
    Place,
    WatchOpener,
    WatchSeal,
    fresh_key,
    watch_key_id,
)
from silenthit.blinding.slots import BOX_BYTES, SLOT_BYTES, Slot, seal_slot, slot_place
from silenthit.bus.clients import Message
from silenthit.errors import InputError, RetryError, SettingsError
from stream_processors import early_watches
from stream_processors.admission import (
    AdmittedWatch,
    Reason,
    Refused,
    Removal,
    admit_watch,
    watch_key_of,
)
from stream_processors.deconfliction_app import Deconflicting
from stream_processors.settings import ExchangeSettings
from stream_processors.watch_keys import WatchKeys, make_watch_key
from tests.exchange_room import EPOCHS, FAR, Room, identified, seal_of, ssn, token

PRIVATE, PUBLIC = fresh_key()
OPENER = WatchOpener({watch_key_id(PUBLIC): PRIVATE})
KEY = registration_key(identified("w"), 1)
NOWHERE = {"bootstrap_servers": "127.0.0.1:1"}
HERE = Place("watches.fbi", KEY, "fbi")


def registration(partner: str = "fbi", kinds: tuple[CoarseKind, ...] = ()) -> bytes:
    tokens = [token(MatchKeyKind.SSN, str(number)) for number in range(8)]
    made = WatchRegistration(
        registration_id=identified("w"),
        partner=partner,
        epoch=1,
        tokens=pack([(0, each.kind, each.value) for each in tokens], TOKEN),
        kinds=kinds,
        expires_at=FAR,
        slot=b"s" * SLOT_BYTES,
    )
    return codec.encode(made)


def sealed(place: Place = HERE, seal: WatchSeal | None = None) -> SealedRegistration:
    seal = seal or WatchSeal.fresh(PUBLIC, place.partner, place.epoch)
    return seal.message(registration(place.partner), place)


def admitted(
    value: bytes | None,
    *,
    topic: str = "watches.fbi",
    key: bytes = KEY,
    opener: WatchOpener = OPENER,
) -> AdmittedWatch | Removal | Refused:
    return admit_watch(Message(topic, 0, 7, 1_000, key, value, ()), EPOCHS, opener)


def refused(found: AdmittedWatch | Removal | Refused) -> Reason:
    assert isinstance(found, Refused)
    return found.reason


def test_a_sealed_registration_is_admitted_as_the_plain_one_is() -> None:
    plain, opened = admitted(registration()), admitted(codec.encode(sealed()))
    assert isinstance(plain, AdmittedWatch)
    assert opened == plain


def test_nothing_of_it_can_be_read_and_no_two_are_alike() -> None:
    seal = WatchSeal.fresh(PUBLIC, "fbi", 1)
    one, other = (codec.encode(sealed(seal=seal)) for _ in range(2))
    plain = codec.decode(registration(), WatchRegistration)
    for value in (one, other):
        assert not any(row in value for row in (plain.tokens[2:18], plain.registration_id, b"fbi"))
        assert b"ssss" not in value
    assert len(one) == len(other)
    assert one != other
    assert seal.key not in one
    assert seal.key.hex() not in repr(seal)


@pytest.mark.parametrize("field", ["content_key", "sealed"])
def test_every_byte_counts(field: str) -> None:
    message = sealed()
    content: bytes = getattr(message, field)
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        assert OPENER.opened(message.model_copy(update={field: bytes(changed)}), HERE) is None
    for kept in (0, 1, 11, 12, 27, 28, 79, len(content) - 1):
        assert OPENER.opened(message.model_copy(update={field: content[:kept]}), HERE) is None


def test_one_changed_on_the_broker_is_quarantined_and_nothing_is_said_of_it() -> None:
    value = bytearray(codec.encode(sealed()))
    value[-1] ^= 1
    found = admitted(bytes(value))
    assert refused(found) is Reason.NOT_OPENED
    assert "ssss" not in repr(found)
    assert KEY.hex() not in repr(found)


@pytest.mark.parametrize(
    "place",
    [
        HERE._replace(topic="watches.hsi"),
        HERE._replace(partner="hsi"),
        HERE._replace(topic="watches.hsi", partner="hsi"),
        HERE._replace(key=registration_key(identified("other"), 1)),
        HERE._replace(key=registration_key(identified("w"), 2)),
        HERE._replace(topic="watches.fb", partner="ifbi"),
    ],
)
def test_it_opens_in_no_other_place(place: Place) -> None:
    assert OPENER.opened(sealed(), HERE) == registration()
    assert OPENER.opened(sealed(), place) is None


def test_a_partner_that_copies_anothers_message_gets_nothing_of_it() -> None:
    value = codec.encode(sealed())
    assert refused(admitted(value, topic="watches.hsi")) is Reason.NOT_OPENED
    assert refused(admitted(value, key=registration_key(identified("x"), 1))) is Reason.NOT_OPENED


def test_a_content_key_serves_one_partner_and_one_epoch() -> None:
    mine = sealed(seal=WatchSeal.fresh(PUBLIC, "fbi", 1))
    for partner, epoch in (("hsi", 1), ("fbi", 2)):
        foreign = WatchSeal.fresh(PUBLIC, partner, epoch)
        assert OPENER.opened(sealed(seal=foreign), HERE) is None
        other = mine.model_copy(update={"content_key": foreign.content_key})
        assert OPENER.opened(other, HERE) is None


def test_another_key_of_the_exchange_does_not_open_it() -> None:
    private, public = fresh_key()
    other = WatchOpener({watch_key_id(public): private})
    value = codec.encode(sealed())
    assert refused(admitted(value, opener=other)) is Reason.UNKNOWN_WATCH_KEY
    posing = WatchOpener({watch_key_id(PUBLIC): private})
    assert refused(admitted(value, opener=posing)) is Reason.NOT_OPENED


def test_what_is_sealed_is_judged_as_what_is_plain() -> None:
    seal = WatchSeal.fresh(PUBLIC, "fbi", 1)
    stolen = seal.message(registration("hsi"), HERE)
    assert refused(admitted(codec.encode(stolen))) is Reason.WRONG_PARTNER
    noise = seal.message(b"noise", HERE)
    assert refused(admitted(codec.encode(noise))) is Reason.UNDECODABLE
    assert refused(admitted(codec.encode(sealed())[:-1])) is Reason.UNDECODABLE
    unknown = registration_key(identified("w"), 99)
    far = sealed(HERE._replace(key=unknown))
    assert refused(admitted(codec.encode(far), key=unknown)) is Reason.UNKNOWN_EPOCH
    assert isinstance(admitted(None), Removal)


def test_the_size_does_not_tell_how_many_kinds_are_wanted() -> None:
    seal = WatchSeal.fresh(PUBLIC, "fbi", 1)
    chosen = [tuple(CoarseKind)[:count] for count in range(len(CoarseKind) + 1)]
    sizes = {len(seal.message(registration(kinds=kinds), HERE).sealed) for kinds in chosen}
    assert len(sizes) == 1
    assert (sizes.pop() - 28) % STEP_BYTES == 0


def test_a_content_key_is_opened_once_however_many_messages_carry_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opener, asked = WatchOpener({watch_key_id(PUBLIC): PRIVATE}), []
    unsealed = WatchOpener._unsealed

    def counting(self: WatchOpener, *given: object) -> object:
        asked.append(given)
        return unsealed(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(WatchOpener, "_unsealed", counting)
    seal = WatchSeal.fresh(PUBLIC, "fbi", 1)
    assert all(opener.opened(sealed(seal=seal), HERE) for _ in range(20))
    assert len(asked) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("silenthit.blinding.sealed_watches.MOST_REMEMBERED", 3)
    opener = WatchOpener({watch_key_id(PUBLIC): PRIVATE})
    for _ in range(8):
        assert opener.opened(sealed(), HERE)
    assert len(opener._opened) <= 3
    assert MOST_REMEMBERED >= 1_000


@pytest.mark.parametrize("key", [b"", b"short", bytes(32), b"x" * 33])
def test_no_seal_is_made_for_what_is_no_public_key(key: bytes) -> None:
    with pytest.raises(InputError):
        WatchSeal.fresh(key, "fbi", 1)


def test_the_key_that_a_message_is_sealed_to_is_named_in_it() -> None:
    assert watch_key_of(codec.encode(sealed())) == watch_key_id(PUBLIC)
    assert watch_key_of(registration()) == watch_key_of(None) == b""


async def test_a_worker_matches_what_is_sealed_and_what_is_plain_alike() -> None:
    room = Room()
    await room.worker.take_watches([room.registration("s", [ssn("a")], seal=True)])
    await room.worker.take_watches([room.registration("p", [ssn("a")], partner="hsi")])
    await room.touched("r", [ssn("a")])
    assert [each.registration_id for each in room.alerts("fbi")] == [identified("s")]
    assert [each.registration_id for each in room.alerts("hsi")] == [identified("p")]
    (sealed,) = [room.registration("s", [ssn("b")], seal=True)]
    assert len(await room.worker.take_watches([sealed])) == 1
    assert len(room.worker.live_watches([sealed])) == 1
    await room.touched("q", [ssn("a")])
    assert len(room.alerts("fbi")) == 1, "the later version took the earlier one's place"


async def test_what_does_not_open_is_set_aside_and_the_version_before_it_stands() -> None:
    room = Room()
    await room.worker.take_watches([room.registration("s", [ssn("a")], seal=True)])
    message = room.registration("s", [ssn("b")], seal=True)
    assert message.value
    changed = message._replace(value=message.value[:-1] + bytes([message.value[-1] ^ 1]))
    assert await room.worker.take_watches([changed]) == []
    assert room.reasons() == ["not_opened"]
    assert room.worker.early.places() == []
    await room.touched("r", [ssn("a")])
    assert len(room.alerts()) == 1


async def test_what_is_sealed_to_a_key_that_is_not_here_yet_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_watches, "MOST", 2)
    room, later = Room(), make_watch_key(tmp_path / "elsewhere")
    room.worker._opener = WatchOpener(WatchKeys(tmp_path))
    monkeypatch.setattr("tests.exchange_room.WATCH_KEY", later.private)
    seal_of.cache_clear()
    messages = [room.registration(number, [ssn(str(number))], seal=True) for number in range(4)]
    seal_of.cache_clear()
    assert await room.worker.take_watches(messages) == []
    assert room.reasons() == ["unknown_watch_key"] * 4
    assert room.worker.early.due() == []
    assert room.worker.early.due_again() == {}
    assert len(room.worker.early.places()) == 3
    later.path.rename(tmp_path / "0001.key")
    assert room.worker.early.due() == messages[:2]
    assert room.worker.early.due_again() == {("watches.fbi", 0): messages[2].offset}
    assert len(await room.worker.take_watches(messages)) == 4
    assert room.worker.early.places() == []


async def test_what_opens_in_vain_once_its_key_is_here_waits_no_more(tmp_path: Path) -> None:
    room, later = Room(), make_watch_key(tmp_path / "elsewhere")
    room.worker._opener = WatchOpener(WatchKeys(tmp_path))
    seal = WatchSeal.fresh(later.public, "hsi", 1)  # another's
    await room.worker.take_watches([room.raw("watches.fbi", KEY, codec.encode(sealed(seal=seal)))])
    later.path.rename(tmp_path / "0001.key")
    await room.worker.take_watches(room.worker.early.due())
    assert room.reasons() == ["unknown_watch_key", "not_opened"]
    assert room.worker.early.places() == []


def test_the_deconflicting_process_opens_what_is_sealed(tmp_path: Path) -> None:
    private, public = fresh_key()
    watch_key = make_watch_key(tmp_path / "keys")
    process = deconflicting(tmp_path, private)
    willing = Slot(counts_from=1, mark=bytes(16), box=bytes(BOX_BYTES), locks=b"")
    made = codec.decode(registration(), WatchRegistration).model_copy(
        update={"slot": seal_slot(public, willing, slot_place(identified("w"), 1, "fbi"))}
    )
    seal = WatchSeal.fresh(watch_key.public, "fbi", 1)
    value = codec.encode(seal.message(codec.encode(made), HERE))
    written: list[bytes] = []
    process._take([Message(HERE.topic, 0, 1, 1_000, KEY, value, ())], Writer(written))  # type: ignore[arg-type]
    assert process._state._willing.keys() == {KEY}
    assert written == [KEY]


def test_the_deconflicting_process_begins_anew_when_a_key_that_was_missing_comes(
    tmp_path: Path,
) -> None:
    later = make_watch_key(tmp_path / "elsewhere")
    process = deconflicting(tmp_path, fresh_key()[0])
    value = codec.encode(sealed(seal=WatchSeal.fresh(later.public, "fbi", 1)))
    written: list[bytes] = []
    process._take([Message(HERE.topic, 0, 1, 1_000, KEY, value, ())], Writer(written))  # type: ignore[arg-type]
    process._check_waiting()
    later.path.rename(tmp_path / "keys" / "0001.key")
    with pytest.raises(RetryError):
        process._check_waiting()
    assert written == []


def deconflicting(folder: Path, private: X25519PrivateKey) -> Deconflicting:
    (folder / "keys").mkdir(exist_ok=True)
    settings = ExchangeSettings.model_validate(
        {
            "bus": {"agency": NOWHERE, "partner": NOWHERE},
            "watch_keys": folder / "keys",
            "data": folder,
            "organisations": folder / "none.json",
        }
    )
    return Deconflicting(settings, private, name="d")


class Writer:
    """Stands where a publisher stands."""

    def __init__(self, written: list[bytes]) -> None:
        self._written = written

    def send(self, _topic: str, key: bytes, _value: bytes | None) -> Future[None]:
        self._written.append(key)
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def flush(self) -> None:
        pass


def test_watch_keys_are_read_from_their_folder_the_newest_last(tmp_path: Path) -> None:
    assert WatchKeys(tmp_path / "none").newest is None
    made = [make_watch_key(tmp_path / "watches") for _ in range(11)]
    keys = WatchKeys(tmp_path / "watches")
    assert list(keys) == [key.id for key in made]
    assert keys.newest
    assert keys.newest.id == made[-1].id
    assert all(key.path.stat().st_mode & 0o077 == 0 for key in made)


def test_a_key_that_comes_later_is_found_when_it_is_asked_for(tmp_path: Path) -> None:
    make_watch_key(tmp_path)
    keys = WatchKeys(tmp_path)
    opener = WatchOpener(keys)
    later = make_watch_key(tmp_path)
    message = sealed(seal=WatchSeal.fresh(later.public, "fbi", 1))
    assert opener.opened(message, HERE) == registration()
    assert watch_key_id(fresh_key()[1]) not in keys


def test_one_that_is_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    keys = WatchKeys(tmp_path)
    private = X25519PrivateKey.generate()
    wanted = watch_key_id(private.public_key().public_bytes_raw())
    path = tmp_path / "0001.key"
    path.write_text("ab")
    assert wanted not in keys
    path.write_text(private.private_bytes_raw().hex())
    assert wanted in keys


@pytest.mark.parametrize("content", ["", "ab", "x" * 64])
def test_a_file_that_holds_no_key_is_named_and_not_quoted(tmp_path: Path, content: str) -> None:
    (tmp_path / "0001.key").write_text(content)
    with pytest.raises(SettingsError, match=r"0001\.key") as caught:
        WatchKeys(tmp_path)
    assert not content or content not in str(caught.value).replace(str(tmp_path), "")


def test_the_key_of_a_snapshot_differs_for_each_salt_and_key(tmp_path: Path) -> None:
    one, other = make_watch_key(tmp_path), make_watch_key(tmp_path)
    salts = (b"a" * 32, b"b" * 32)
    derived = {key.snapshot_key(salt) for key in (one, other) for salt in salts}
    assert len(derived) == 4
    assert one.private.private_bytes_raw() not in derived
