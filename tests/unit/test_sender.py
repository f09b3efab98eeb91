"""A message is its sender's only with that sender's code over exactly these bytes."""

from __future__ import annotations

import pytest

from silenthit.bus.sender import (
    SenderKey,
    sender_headers,
    tombstone_revision,
    verified_sender,
)

KEY = SenderKey("VT0040100#1", bytes(range(32)))
OTHER = SenderKey("NH0010000#1", bytes(range(1, 33)))
KEYS = {KEY.key_id: KEY, OTHER.key_id: OTHER}
RECORD, VALUE = bytes(range(16)), b"a touch"


def test_the_organisation_is_what_stands_before_the_number() -> None:
    assert KEY.organisation == "VT0040100"


def test_a_touch_is_its_senders_whether_headers_come_as_a_list_or_a_mapping() -> None:
    headers = sender_headers(KEY, RECORD, VALUE)
    assert verified_sender(KEYS, RECORD, VALUE, headers) is KEY
    assert verified_sender(KEYS, RECORD, VALUE, dict(headers)) is KEY


def test_every_changed_byte_of_record_value_or_code_is_refused() -> None:
    headers = sender_headers(KEY, RECORD, VALUE)
    (_, sender), (_, mac) = headers
    for content in (RECORD, VALUE, mac):
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= 1
            record, value, code = (
                bytes(changed) if each is content else each for each in (RECORD, VALUE, mac)
            )
            forged = (("sender", sender), ("mac", code))
            assert verified_sender(KEYS, record, value, forged) is None


def test_bytes_moved_between_record_and_value_are_refused() -> None:
    headers = sender_headers(KEY, RECORD, VALUE)
    assert verified_sender(KEYS, RECORD + VALUE[:1], VALUE[1:], headers) is None


def test_a_sender_cannot_speak_for_another() -> None:
    headers = dict(sender_headers(OTHER, RECORD, VALUE))
    headers["sender"] = KEY.key_id.encode()
    assert verified_sender(KEYS, RECORD, VALUE, headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sender": b"VT0040100#1"},
        {"mac": bytes(32)},
        {"sender": None, "mac": None},
        {"sender": b"VT0040100#1", "mac": None},
        {"sender": b"VT0040100#1", "mac": b""},
        {"sender": b"\xff\xfe", "mac": bytes(32)},
        {"sender": b"XX", "mac": bytes(32)},
    ],
)
def test_missing_empty_or_foreign_headers_prove_nothing(headers: dict[str, bytes | None]) -> None:
    assert verified_sender(KEYS, RECORD, VALUE, headers) is None
    assert verified_sender(KEYS, RECORD, None, headers | {"revision": b"1"}) is None


def test_a_tombstone_is_proven_with_its_revision() -> None:
    headers = dict(sender_headers(KEY, RECORD, None, 4))
    assert verified_sender(KEYS, RECORD, None, headers) is KEY
    assert tombstone_revision(headers) == 4
    assert verified_sender(KEYS, RECORD, None, headers | {"revision": b"5"}) is None
    assert verified_sender(KEYS, RECORD, None, headers | {"revision": None}) is None


def test_a_touch_and_a_tombstone_do_not_prove_each_other() -> None:
    tombstone = sender_headers(KEY, RECORD, None, 0)
    assert verified_sender(KEYS, RECORD, b"", tombstone) is None
    touch = dict(sender_headers(KEY, RECORD, b""))
    assert verified_sender(KEYS, RECORD, None, touch | {"revision": b"0"}) is None


@pytest.mark.parametrize("text", [b"", b"-1", b"1.0", b"x", b"1" * 10, b"\xb2", None])
def test_what_is_no_revision_is_none(text: bytes | None) -> None:
    assert tombstone_revision({"revision": text}) is None


def test_a_key_does_not_show_its_secret() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
