"""Every record comes back from its bytes, and Apache avro reads and writes the same bytes."""

from __future__ import annotations

import contextlib
import json
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

import pytest
from avro.io import BinaryDecoder, BinaryEncoder, DatumReader, DatumWriter
from avro.schema import parse
from fastavro.schema import to_parsing_canonical_form
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import PREFIX_BYTES, SCHEMA_FILES, WireError, decode, encode, prefix
from schemas.parts import Frozen
from tests.vectors.wire_records import RECORDS

MODELS = pytest.mark.parametrize("model", SCHEMA_FILES, ids=lambda model: model.__name__)


@cache
def apache_schema(model: type[Frozen]) -> Any:
    return parse(schema_text(model))


def apache_read(body: bytes, model: type[Frozen]) -> Any:
    buffer = BytesIO(body)
    fields = DatumReader(apache_schema(model)).read(BinaryDecoder(buffer))
    assert buffer.tell() == len(body)
    return fields


def apache_write(fields: Any, model: type[Frozen]) -> bytes:
    buffer = BytesIO()
    DatumWriter(apache_schema(model)).write(fields, BinaryEncoder(buffer))
    return buffer.getvalue()


def plain(message: Frozen) -> Any:
    """The record as dicts, lists and strings, as Apache avro has it."""

    def simplified(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: simplified(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [simplified(each) for each in value]
        return str(value) if isinstance(value, str) else value

    return simplified(message.model_dump())


def test_there_is_a_strategy_for_every_record() -> None:
    assert set(RECORDS) == set(SCHEMA_FILES)


@MODELS
@settings(max_examples=60)
@given(data=st.data())
def test_a_record_comes_back(model: type[Frozen], data: st.DataObject) -> None:
    message = data.draw(RECORDS[model])
    assert decode(encode(message), model) == message


@MODELS
@settings(max_examples=40)
@given(data=st.data())
def test_apache_avro_reads_what_we_write(model: type[Frozen], data: st.DataObject) -> None:
    message = data.draw(RECORDS[model])
    assert apache_read(encode(message)[PREFIX_BYTES:], model) == plain(message)


@MODELS
@settings(max_examples=40)
@given(data=st.data())
def test_we_read_what_apache_avro_writes(model: type[Frozen], data: st.DataObject) -> None:
    message = data.draw(RECORDS[model])
    body = apache_write(plain(message), model)
    assert decode(prefix(model) + body, model) == message


def rabin(canonical: str) -> int:
    """CRC-64-AVRO as the specification writes it, bit by bit."""
    empty = fingerprint = 0xC15D213AA4D7A795
    for byte in canonical.encode():
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty & -(fingerprint & 1))
    return fingerprint


def canonical(schema: Any) -> Any:
    """Parsing canonical form as the specification writes it, for schemas such as ours."""
    if isinstance(schema, list):
        return [canonical(each) for each in schema]
    if isinstance(schema, str):
        named = schema[0].isupper()
        return f"org.silenthit.{schema}" if named else schema
    kept = {name: schema[name] for name in ("symbols", "size") if name in schema}
    if "name" in schema:
        kept = {"name": f"org.silenthit.{schema['name']}", "type": schema["type"], **kept}
    elif "items" in schema:
        kept = {"type": "array", "items": canonical(schema["items"])}
    else:
        return schema["type"]  # a primitive with a logical type is reduced to its name
    if "fields" in schema:
        kept["fields"] = [
            {"name": field["name"], "type": canonical(field["type"])} for field in schema["fields"]
        ]
    return kept


def schema_text(model: type[Frozen]) -> str:
    return files("schemas").joinpath("avro", f"{SCHEMA_FILES[model]}.avsc").read_text("utf-8")


def test_the_fingerprint_of_null_is_that_of_the_specifications_own_tests() -> None:
    # schema-tests.txt of Apache Avro.
    assert rabin('"null"') == 7195948357588979594


@MODELS
def test_the_prefix_is_the_marker_and_the_fingerprint_of_the_specification(
    model: type[Frozen],
) -> None:
    text = json.dumps(canonical(json.loads(schema_text(model))), separators=(",", ":"))
    assert prefix(model) == b"\xc3\x01" + rabin(text).to_bytes(8, "little")


@MODELS
def test_the_prefix_is_the_fingerprint_that_apache_avro_computes(model: type[Frozen]) -> None:
    theirs = apache_schema(model)
    if theirs.canonical_form != to_parsing_canonical_form(json.loads(schema_text(model))):
        # Apache's Python repeats a named type where the specification refers to it, and keeps
        # {"type": "long"} around a primitive; its fingerprint is then that of another text.
        assert model.__name__ in {
            "Alert", "Conflict", "ConflictBody", "ConflictNote", "ContactCard", "Disclosure",
            "Meeting", "Sent", "Told", "TouchCommon"}  # fmt: skip
        return
    assert prefix(model)[2:] == bytes(theirs.fingerprint("CRC-64-AVRO"))


def test_no_two_records_share_a_prefix() -> None:
    assert len({prefix(model) for model in SCHEMA_FILES}) == len(SCHEMA_FILES)


@MODELS
@settings(max_examples=15)
@given(data=st.data())
def test_a_record_cut_anywhere_is_refused(model: type[Frozen], data: st.DataObject) -> None:
    packed = encode(data.draw(RECORDS[model]))
    for length in range(len(packed)):
        with pytest.raises(WireError) as error:
            decode(packed[:length], model)
        assert error.value.reason in {"undecodable", "unknown_schema"}


@MODELS
@settings(max_examples=30)
@given(data=st.data(), more=st.binary(min_size=1, max_size=20))
def test_bytes_after_a_record_are_refused(
    model: type[Frozen], data: st.DataObject, more: bytes
) -> None:
    with pytest.raises(WireError):
        decode(encode(data.draw(RECORDS[model])) + more, model)


@MODELS
@settings(max_examples=150)
@given(body=st.binary(max_size=120))
def test_any_bytes_are_a_record_or_a_wire_error(model: type[Frozen], body: bytes) -> None:
    with contextlib.suppress(WireError):
        message = decode(prefix(model) + body, model)
        assert decode(encode(message), model) == message


@MODELS
@settings(max_examples=30)
@given(data=st.data(), fingerprint=st.binary(min_size=8, max_size=8))
def test_another_fingerprint_is_an_unknown_schema(
    model: type[Frozen], data: st.DataObject, fingerprint: bytes
) -> None:
    packed = encode(data.draw(RECORDS[model]))
    if fingerprint != packed[2:PREFIX_BYTES]:
        with pytest.raises(WireError) as error:
            decode(packed[:2] + fingerprint + packed[PREFIX_BYTES:], model)
        assert error.value.reason == "unknown_schema"
