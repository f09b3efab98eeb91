"""What the exchange's processes read off the brokers, and off the worker's own disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas import codec
from schemas.codec import WireError
from schemas.inquiries import Inquiry, Publication
from schemas.messages import SealedRegistration, WatchRegistration, registration_key
from schemas.operations import PlannedOperation
from silenthit.blinding.sealed_watches import NONCE_BYTES, Place, WatchOpener
from silenthit.bus.clients import Message
from silenthit.bus.sender import sender_headers
from silenthit.errors import SettingsError
from stream_processors.admission import (
    AdmittedTouch,
    AdmittedWatch,
    Reason,
    Refused,
    Removal,
    admit_touch,
    admit_watch,
)
from stream_processors.batch_admission import BatchAdmission
from stream_processors.conflict_admission import admit_operation
from stream_processors.look_up_admission import AdmittedInquiry, admit_inquiry, admit_publication
from stream_processors.matching import match_batch
from stream_processors.watch_index import WatchIndex
from stream_processors.watch_keys import WatchKey, WatchKeys, make_watch_key
from stream_processors.watch_snapshot import Snapshot, restored
from tests.exchange_room import (
    EPOCHS,
    HARBOR,
    WATCH_KEYS,
    Room,
    identified,
    seal_of,
    ssn,
    touch_of,
)
from tests.fuzz.folder import file, folder

MODELS = sorted(codec.SCHEMA_FILES, key=lambda model: codec.SCHEMA_FILES[model])
KEYS = {HARBOR.key_id: HARBOR}
HERE = Place("watches.fbi", registration_key(identified("w"), 1), "fbi")
OPENER = WatchOpener(WATCH_KEYS)


def wire(data: bytes) -> None:
    """Every record's decoder, with its own prefix put in front; then an agency that signs this."""
    for model in MODELS:
        for value in (data, codec.prefix(model) + data):
            try:
                codec.decode(value, model)
            except WireError:
                continue  # the documented refusal
    key = identified(1)
    headers = sender_headers(HARBOR, key, data, None)
    touch = Message("touches", 0, 1, 1_000, key, data, headers)
    found = BatchAdmission(few=0).admit([touch], KEYS, EPOCHS.accepts_touch)
    assert found == [admit_touch(touch, KEYS, EPOCHS.accepts_touch)]


def watches(data: bytes) -> None:
    """A partner that sends, signs and seals this; then a damaged snapshot and a damaged key."""
    _registered(data)
    _registered(codec.prefix(WatchRegistration) + data)
    assert _admitted(codec.prefix(SealedRegistration) + data) == _admitted(
        codec.prefix(SealedRegistration) + data
    ), "what a content key was remembered of"
    _restored(data)
    with suppress(SettingsError):  # the documented refusal
        WatchKey.load(file(data, "fuzzed-watch.key"))


def _registered(plain: bytes) -> None:
    """Sealed, it is judged as it is unsealed; what is let in goes through index and matching."""
    found = _admitted(plain)
    if not plain.startswith(codec.prefix(SealedRegistration)):
        seal = seal_of(HERE.partner, HERE.epoch)
        assert _admitted(codec.encode(seal.message(plain, HERE))) == found
    seal, nonce = seal_of(HERE.partner, HERE.epoch), bytes(NONCE_BYTES)
    box = AESGCM(seal.key).encrypt(nonce, plain, HERE.associated)  # not framed as ours are
    unframed = SealedRegistration(
        watch_key=seal.watch_key, content_key=seal.content_key, sealed=nonce + box
    )
    assert isinstance(_admitted(codec.encode(unframed)), AdmittedWatch | Removal | Refused)
    if isinstance(found, AdmittedWatch):
        _INDEX.apply([found.registration])
        match_batch([_TOUCH], _INDEX)
        _INDEX.maintain()


def _admitted(value: bytes) -> AdmittedWatch | Removal | Refused:
    return admit_watch(Message(HERE.topic, 0, 1, 1_000, HERE.key, value, ()), EPOCHS, OPENER)


def _restored(data: bytes) -> None:
    """Nothing but what was written is ever taken over: no other file, no other first line."""
    line, _, sealed = _SNAPSHOT.partition(b"\n")
    changed = [data, line + b"\n" + data]
    try:
        head = {**json.loads(line), **json.loads(data)}
    except (ValueError, TypeError, RecursionError):
        pass  # no head of any kind
    else:
        changed.append(json.dumps(head).encode() + b"\n" + sealed)
    for content in changed:
        if content != _SNAPSHOT:
            index, path = WatchIndex(young_limit=64), file(content, "fuzzed.snapshot")
            assert _read_back(path, index) == {}
            assert len(index) == 0


def _read_back(path: object, index: WatchIndex) -> dict[tuple[str, int], int]:
    return restored(path, index, _WATCH_KEYS, cluster="c", partners=["fbi"], now_ms=2)  # type: ignore[arg-type]


def questions(data: bytes) -> None:
    """An agency that asks, plans and publishes this, its code in order."""
    _judged(data, Inquiry, "inquiries.ma0130100", lambda each: admit_inquiry(each, KEYS, ["fbi"]))
    _judged(
        data,
        PlannedOperation,
        "operations.ma0130100",
        lambda each: admit_operation(each, KEYS, EPOCHS.accepts_touch),
    )
    _judged(data, Publication, "publications.fbi", admit_publication)


def _judged(data: bytes, model: type, topic: str, admit: Callable[[Message], object]) -> None:
    for value in (data, codec.prefix(model) + data):
        own = value[10:26]  # its id stands first in each of them
        for key in {own, registration_key(own, 1), identified(1)}:
            headers = sender_headers(HARBOR, key, value, None)
            found = admit(Message(topic, 0, 1, 1_000, key, value, headers))
            assert not isinstance(found, Refused) or found.reason in Reason
            if isinstance(found, AdmittedInquiry):
                assert found.well_formed in (True, False)


def _written() -> bytes:
    index = WatchIndex(young_limit=64)
    message = Room().registration("w", [ssn("a")])
    index.apply([codec.decode(message.value or b"", WatchRegistration)])
    path = folder() / "whole.snapshot"
    key = make_watch_key(folder() / "keys")
    Snapshot.of(index, "c", {("watches.fbi", 0): 3}).write(path, key, now_ms=1)
    return path.read_bytes()


_SNAPSHOT = _written()
_WATCH_KEYS = WatchKeys(folder() / "keys")
assert _read_back(folder() / "whole.snapshot", WatchIndex(young_limit=64))
_INDEX = WatchIndex(young_limit=64)
_TOUCH = admit_touch(Room().message(touch_of("r", [ssn("a")]), "r"), KEYS, EPOCHS.accepts_touch)
assert isinstance(_TOUCH, AdmittedTouch)
