"""The schemas keep their promises: documented, as the models are, open to what came before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from io import BytesIO
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin

import fastavro
import pytest
from fastavro.utils import generate_many
from pydantic import AwareDatetime

from schemas.codec import SCHEMA_FILES, WireError, decode, encode, prefix
from schemas.messages import Quarantined, TouchHeader
from schemas.parts import Frozen, TouchCommon
from schemas.vocabulary import CoarseKind, TouchKind

ROOT = Path(__file__).parents[2]
TODAY = ROOT / "schemas" / "avro"
RELEASED = sorted((ROOT / "tests" / "vectors" / "released").iterdir())
MODELS = pytest.mark.parametrize("model", SCHEMA_FILES, ids=lambda model: model.__name__)


def today(model: type[Frozen]) -> Any:
    return json.loads((TODAY / f"{SCHEMA_FILES[model]}.avsc").read_text("utf-8"))


def types_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Every type written out in a schema: records, enums, fixed, arrays."""
    if isinstance(schema, list):
        for each in schema:
            yield from types_in(each)
    elif isinstance(schema, dict):
        yield schema
        yield from types_in(schema.get("items"))
        for field in schema.get("fields", ()):
            yield from types_in(field["type"])


def test_every_schema_file_has_a_model_and_every_model_a_file() -> None:
    assert {path.stem for path in TODAY.iterdir()} == set(SCHEMA_FILES.values())


@MODELS
def test_every_record_enum_and_field_is_documented(model: type[Frozen]) -> None:
    for each in types_in(today(model)):
        if each["type"] in {"record", "enum"}:
            assert each["doc"].strip(), each["name"]
        for field in each.get("fields", ()):
            assert field["doc"].strip(), field["name"]


@MODELS
def test_every_enum_has_a_default_for_symbols_that_later_versions_add(model: type[Frozen]) -> None:
    for each in types_in(today(model)):
        if each["type"] == "enum":
            assert each["default"] in each["symbols"], each["name"]


def assert_same(schema: Any, annotation: Any, where: str) -> None:
    """Hold an Avro type to a model's annotation."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(schema, list):
        assert get_origin(annotation) is UnionType, where
        nullable, other = schema
        assert nullable == "null", where
        assert NoneType in get_args(annotation), where
        (inner,) = set(get_args(annotation)) - {NoneType}
        assert_same(other, inner, where)
    elif isinstance(schema, str):
        expected: dict[str, type] = {"string": str, "bytes": bytes, "boolean": bool}
        expected |= {"int": int, "long": int, "double": float}
        assert annotation is (bytes if schema == "Id16" else expected[schema]), where
    elif schema["type"] == "array":
        assert get_origin(annotation) is tuple, where
        assert_same(schema["items"], get_args(annotation)[0], where)
    elif schema["type"] == "enum":
        assert issubclass(annotation, Enum), where
        assert [member.value for member in annotation] == schema["symbols"], where
    elif schema["type"] == "record":
        assert issubclass(annotation, Frozen), where
        assert_record(schema, annotation)
    elif schema["type"] == "fixed":
        assert annotation is bytes, where
    else:
        assert (schema["type"], schema["logicalType"]) == ("long", "timestamp-millis"), where
        assert annotation in {datetime, AwareDatetime}, where


def assert_record(schema: dict[str, Any], model: type[Frozen]) -> None:
    assert schema["name"] == model.__name__
    assert [field["name"] for field in schema["fields"]] == list(model.model_fields)
    for field in schema["fields"]:
        known = model.model_fields[field["name"]]
        annotation = known.annotation
        where = f"{model.__name__}.{field['name']}"
        assert_same(field["type"], annotation, where)
        if "default" in field:
            default = known.default
            written = default.decode() if isinstance(default, bytes) else default
            written = list(written) if isinstance(written, tuple) else written
            assert written == field["default"], where


@MODELS
def test_fields_types_symbols_and_defaults_of_model_and_schema_are_the_same(
    model: type[Frozen],
) -> None:
    assert_record(today(model), model)


def frozen_schemas() -> list[Any]:
    return [
        pytest.param(path, id=f"{folder.name}-{path.stem}")
        for folder in RELEASED
        for path in sorted(folder.glob("*.avsc"))
    ]


def test_version_1_is_kept() -> None:
    assert RELEASED[0].name == "1"
    assert len(frozen_schemas()) >= 10


@pytest.mark.parametrize("released", frozen_schemas())
def test_a_released_record_is_still_there_with_all_its_fields_and_symbols(released: Path) -> None:
    """Nothing is renamed, reused, reordered or retyped; what is added has a default."""
    before = json.loads(released.read_text("utf-8"))
    assert_grown(before, json.loads((TODAY / released.name).read_text("utf-8")))


def assert_grown(before: Any, now: Any) -> None:
    if not isinstance(before, dict):
        if isinstance(before, list):
            assert len(before) == len(now)
            for old, new in zip(before, now, strict=True):
                assert_grown(old, new)
        else:
            assert before == now
        return
    for fixed in ("type", "name", "namespace", "size", "logicalType", "default"):
        assert before.get(fixed) == now.get(fixed), before.get("name")
    symbols = before.get("symbols", [])
    assert now.get("symbols", [])[: len(symbols)] == symbols, before.get("name")
    if "items" in before:
        assert_grown(before["items"], now["items"])
    fields, later = before.get("fields", []), now.get("fields", [])
    for old, new in zip(fields, later[: len(fields)], strict=True):
        assert old["name"] == new["name"]
        assert old.get("default", "none") == new.get("default", "none"), old["name"]
        assert_grown(old["type"], new["type"])
    for added in later[len(fields) :]:
        assert "default" in added, added["name"]


@pytest.mark.parametrize("released", frozen_schemas())
def test_what_a_released_version_wrote_is_read_by_todays_schema(released: Path) -> None:
    before = fastavro.parse_schema(json.loads(released.read_text("utf-8")), {})
    now = fastavro.parse_schema(json.loads((TODAY / released.name).read_text("utf-8")), {})
    (model,) = (each for each, name in SCHEMA_FILES.items() if name == released.stem)
    for fields in generate_many(before, 5):
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, before, fields)
        buffer.seek(0)
        read = fastavro.schemaless_reader(buffer, before, now)
        assert set(read) == set(model.model_fields)


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema["fields"].pop(),
        lambda schema: schema["fields"].reverse(),
        lambda schema: schema["fields"][0].update(name="renamed"),
        lambda schema: schema["fields"][1].update(type="long"),
        lambda schema: schema["fields"][-1]["type"]["symbols"].remove("contact"),
        lambda schema: schema["fields"].append({"name": "new", "type": "string"}),
    ],
    ids=["removed", "reordered", "renamed", "retyped", "symbol-removed", "added-without-default"],
)
def test_the_guard_of_evolution_finds_what_is_forbidden(change: Any) -> None:
    before = json.loads((RELEASED[0] / "touch_header.avsc").read_text("utf-8"))
    now = json.loads((RELEASED[0] / "touch_header.avsc").read_text("utf-8"))
    assert_grown(before, now)
    change(now)
    with pytest.raises((AssertionError, ValueError)):
        assert_grown(before, now)


def test_adding_a_field_with_a_default_and_a_symbol_is_allowed() -> None:
    before = json.loads((RELEASED[0] / "touch_header.avsc").read_text("utf-8"))
    now = json.loads((RELEASED[0] / "touch_header.avsc").read_text("utf-8"))
    now["fields"][-1]["type"]["symbols"].append("later")
    now["fields"].append({"name": "new", "type": "string", "default": ""})
    assert_grown(before, now)


def test_times_are_the_same_instant_whatever_zone_they_came_in() -> None:
    local = datetime(2024, 3, 1, 23, 30, 0, 5000, tzinfo=timezone(timedelta(hours=-5)))
    common = TouchCommon(record_number="1", kind=TouchKind.ARREST, occurred_at=local)
    read = decode(encode(common), TouchCommon)
    assert read.occurred_at == local
    assert read.occurred_at is not None
    assert read.occurred_at.tzinfo == UTC


def header(**changed: Any) -> TouchHeader:
    fields: dict[str, Any] = {
        "record_id": bytes(16),
        "revision": 1,
        "sender": "VT0040100#1",
        "epoch": 1,
        "expiry_month": "2027-01",
        "kind": CoarseKind.CUSTODY,
    }
    return TouchHeader(**fields | changed)


@pytest.mark.parametrize("field", ["revision", "epoch"])
@pytest.mark.parametrize("number", [-1, 2**31, 2**40])
def test_a_header_whose_numbers_key_derivation_cannot_take_is_undecodable(
    field: str, number: int
) -> None:
    forged = encode(header().model_copy(update={field: number}))
    with pytest.raises(WireError) as error:
        decode(forged, TouchHeader)
    assert error.value.reason == "undecodable"


def test_a_value_outside_the_schema_is_unencodable_and_not_quoted() -> None:
    with pytest.raises(WireError) as error:
        encode(header().model_copy(update={"record_id": b"MARKER"}))
    assert error.value.reason == "unencodable"
    assert "MARKER" not in str(error.value)
    assert error.value.__suppress_context__


def test_a_count_of_array_items_far_beyond_the_data_is_refused_at_once() -> None:
    from schemas.messages import SubjectTouch

    empty_columns = bytes(4)
    huge = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"  # zigzag of some 4.6e18 items
    with pytest.raises(WireError):
        decode(prefix(SubjectTouch) + empty_columns + huge, SubjectTouch)


def test_a_record_is_not_read_as_another() -> None:
    message = Quarantined(topic="t", partition=0, offset=0, reason="mac", worker="w")
    with pytest.raises(WireError) as error:
        decode(encode(message), TouchHeader)
    assert error.value.reason == "unknown_schema"
