"""No repr, text or traceback of the wire and the blinding says what a record holds."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pkgutil import iter_modules
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import silenthit.blinding
from schemas.codec import SCHEMA_FILES, WireError, decode, encode, prefix
from schemas.parts import Frozen, PersonName, Subject
from schemas.rule import satisfies
from schemas.vocabulary import MatchKeyKind, TokenClass
from silenthit.blinding.prf import EpochSecrets, LocalKey, Token
from silenthit.blinding.sealing import Part, Signer
from silenthit.bus.sender import SenderKey
from silenthit.errors import InputError, SealError, SettingsError
from silenthit.identity.match_keys import MatchKey
from tests.vectors.touches import HEADER, alert_for, opened, sealed_case, token, watch_rows
from tests.vectors.wire_records import RECORDS

MARKER = "QXZMARKERZXQ"
FIXED = (16, 32)  # lengths of ids and keys, which the wire holds to
MODELS = pytest.mark.parametrize("model", SCHEMA_FILES, ids=lambda model: model.__name__)


def forms(secret: bytes) -> set[str]:
    return {repr(secret)[2:-1], secret.hex(), str(list(secret))}


def texts_of(thing: Any) -> str:
    return "\n".join([repr(thing), str(thing), f"{thing}", repr([thing]), repr({"x": thing})])


def told(error: BaseException) -> str:
    return texts_of(error) + "".join(traceback.format_exception(error))


def _more(value: bytes) -> bytes:
    return value + MARKER.encode()


def marked(value: Any) -> Any:
    """The same value with the marker in every text and every byte string."""
    if isinstance(value, dict):
        return {name: marked(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return tuple(marked(each) for each in value)
    if type(value) is str:
        return value + MARKER
    if type(value) is bytes:
        return MARKER.encode().ljust(len(value), b"\0") if len(value) in FIXED else _more(value)
    return value


@MODELS
@given(data=st.data())
@settings(max_examples=20)
def test_a_record_says_nothing_of_its_content(model: type[Frozen], data: st.DataObject) -> None:
    content = marked(data.draw(RECORDS[model]).model_dump())
    assume(MARKER in str(content))  # an answer without cards holds nothing that could be quoted
    message = model.model_validate(content)
    assert MARKER.encode() in encode(message)
    assert MARKER not in texts_of(message)


def refusal(content: bytes, model: type[Frozen]) -> WireError | None:
    try:
        decode(content, model)
    except WireError as error:
        return error
    return None


@MODELS
@given(data=st.data())
@settings(max_examples=20)
def test_no_error_about_a_records_bytes_quotes_them(
    model: type[Frozen], data: st.DataObject
) -> None:
    message = model.model_validate(marked(data.draw(RECORDS[model]).model_dump()))
    packed = encode(message)
    broken = bytearray(packed)
    broken[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    other = next(each for each in SCHEMA_FILES if each is not model)
    attempts = [(packed[:-1], model), (bytes(broken), model), (packed + b"x", model)]
    attempts += [(packed, other), (prefix(other) + packed, other)]
    for content, read_as in attempts:
        error = refusal(content, read_as)
        assert error is None or MARKER not in told(error)


@MODELS
def test_a_value_that_a_model_refuses_is_not_quoted(model: type[Frozen]) -> None:
    # No mapping: in a record within a record its keys would be names of fields, and are quoted.
    wrong = {name: {MARKER} for name in model.model_fields}
    with pytest.raises(ValidationError) as refused:
        model.model_validate(wrong)
    assert MARKER not in str(refused.value)
    assert MARKER not in repr(refused.value)
    with pytest.raises(ValidationError) as unencodable:
        model.model_validate_json(f'{{"{next(iter(model.model_fields))}": ["{MARKER}"]}}')
    assert MARKER not in told(unencodable.value)


def test_a_record_that_cannot_be_encoded_is_not_quoted() -> None:
    subject = Subject(names=(PersonName.model_construct(surname=7, given=MARKER),))
    with pytest.raises(WireError) as error:
        encode(subject)
    assert MARKER not in told(error.value)


SECRET = MARKER.encode() + bytes(20)
VALUE = MARKER.encode() + bytes(4)


def silent_things() -> Iterator[Any]:
    own = Token(MatchKeyKind.SSN, VALUE, SECRET)
    case = sealed_case([[own]], narrative=MARKER)
    sealed = alert_for(case.touch, [(0, own)])
    signing = Ed25519PrivateKey.from_private_bytes(SECRET)
    epoch = EpochSecrets(1, dict.fromkeys(TokenClass, SECRET))
    yield own
    yield Part(case.contents[1], frozenset({0}))
    yield case.touch
    yield sealed
    yield opened(sealed, [own])
    yield Signer("VT0040100#1", signing)
    yield SenderKey("VT0040100#1", SECRET)
    yield epoch
    yield LocalKey([epoch])
    yield from satisfies(case.touch.tokens, watch_rows([(0, own)]))


@pytest.mark.parametrize("thing", list(silent_things()), ids=lambda thing: type(thing).__name__)
def test_what_holds_secrets_or_content_does_not_show_them(thing: Any) -> None:
    told_of = texts_of(thing)
    assert MARKER not in told_of
    assert not any(form in told_of for form in forms(SECRET) | forms(VALUE))


@given(st.integers(0, 4), st.data())
@settings(max_examples=60)
def test_no_error_of_opening_quotes_content_or_secrets(which: int, data: st.DataObject) -> None:
    own = Token(MatchKeyKind.SSN, VALUE, SECRET)
    sealed = alert_for(sealed_case([[own]], narrative=MARKER).touch, [(0, own)])
    column = ["header", "matches", "locks", "grants", "parts"][which]
    content = getattr(sealed, column)
    if column == "parts":
        changed: Any = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        changed = content[: data.draw(st.integers(0, len(content) - 1))]
    with pytest.raises(SealError) as error:
        opened(replace(sealed, **{column: changed}), [own])
    told_of = told(error.value)
    assert MARKER not in told_of
    assert not any(form in told_of for form in forms(SECRET) | forms(VALUE))


def test_no_error_of_sealing_or_of_the_prf_quotes_a_key() -> None:
    epoch = EpochSecrets.generate(1)
    with pytest.raises(SettingsError) as unknown:
        LocalKey([epoch]).tokens(2, [MatchKey(MatchKeyKind.EMAIL, MARKER)])
    with pytest.raises(InputError) as long:
        LocalKey([epoch]).tokens(1, [MatchKey(MatchKeyKind.EMAIL, MARKER * 6000)])
    with pytest.raises(InputError) as many:
        sealed_case([[token(MatchKeyKind.SSN)]] * 300, narrative=MARKER, header=HEADER)
    for error in (unknown.value, long.value, many.value):
        assert MARKER not in texts_of(error)


def blinding_dataclasses() -> list[type]:
    found = [
        f"silenthit.blinding.{each.name}" for each in iter_modules(silenthit.blinding.__path__)
    ]
    return [
        thing
        for name in found
        for thing in vars(importlib.import_module(name)).values()
        if isinstance(thing, type) and is_dataclass(thing) and thing.__module__ == name
    ]


PUBLIC = {
    ("Sealed", "header"),  # in the clear on the wire
    ("Batch", "batch_id"),  # random, names a request
    ("Batch", "sections"),  # blinded: random to whoever has not the client's secret
    ("EpochEntry", "public_keys"),
    ("HolderLink", "signer"),  # a function
    ("WatchSeal", "watch_key"),  # id of a public key, in the clear on the wire
}


@pytest.mark.parametrize("thing", blinding_dataclasses(), ids=lambda thing: thing.__name__)
def test_no_dataclass_of_the_blinding_shows_its_bytes(thing: type) -> None:
    shown = {(thing.__name__, f.name) for f in fields(thing) if f.repr and "bytes" in str(f.type)}
    assert shown <= PUBLIC
