"""What the HTTP intake takes and answers, as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from producers.records import Record
from schemas.parts import Frozen

MAX_BYTES = 4 * 2**20
MAX_RECORDS = 500
_REF = "#/components/schemas/{model}"


class Posted(Frozen):
    """Records to keep. The same content under the same number again changes nothing."""

    records: tuple[Record, ...] = Field(min_length=1, max_length=MAX_RECORDS)


class Told(Frozen):
    """A tip as a hotline or a web form takes it: what was said, and where."""

    text: str = Field(min_length=1, max_length=100_000)
    place: str = Field(default="", max_length=1_000)


def openapi() -> dict[str, Any]:
    """Return the document that the intake serves under /openapi.json."""
    schema = Posted.model_json_schema(ref_template=_REF)
    told = Told.model_json_schema(ref_template=_REF)
    models = schema.pop("$defs")
    del models["Record"]["properties"]["read_from"]
    models["Record"]["required"] = ["number", "kind"]
    return {
        "openapi": "3.1.0",
        "info": {"title": "SilentHit intake", "version": "1"},
        "components": {
            "schemas": {
                **models,
                "Posted": schema,
                "Told": told,
                "Taken": _TAKEN,
                "Problem": _PROBLEM,
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
        "paths": {
            "/records": {"post": _POST},
            "/records/{number}": {"delete": _DELETE},
            "/tips": {"post": _TIP},
            "/healthz": {"get": {"security": [], "responses": {"200": _says("alive")}}},
        },
    }


def _says(text: str, model: str = "") -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=model)} if model else {"type": "object"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_TEXT = {"type": "string"}
_PROBLEM = {"type": "object", "properties": {"problem": _TEXT}}
_TAKEN = {
    "type": "object",
    "properties": {
        "accepted": {"type": "integer", "description": "kept now, or kept already as they are"},
        "unchanged": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"where": _TEXT, "expected": _TEXT, "remedy": _TEXT},
            },
        },
        "problems": {"type": "array", "items": {"type": "object"}},
    },
}
_COMMON = {
    "400": _says("not a whole request", "Problem"),
    "401": _says("no valid bearer token", "Problem"),
    "408": _says("the request came too slowly", "Problem"),
    "429": _says("too many requests at once: come back after Retry-After", "Problem"),
    "503": _says("the outbox can't be written: come back after Retry-After", "Problem"),
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 128},
}
_POST: dict[str, Any] = {
    "summary": "Keep records; the answer comes once they are on disk",
    "parameters": [_KEY],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": _REF.format(model="Posted")}}},
    },
    "responses": {
        "202": _says("all are kept", "Taken"),
        "409": _says("this Idempotency-Key came with another body", "Problem"),
        "413": _says("too large", "Problem"),
        "415": _says("not application/json", "Problem"),
        "422": _says("some were not taken, and why; the others are kept", "Taken"),
        **_COMMON,
    },
}
_TIP = {
    "summary": "Keep one tip; somebody at the agency answers for it",
    "parameters": [_KEY],
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"$ref": _REF.format(model="Told")}}
            for kind in ("application/json", "application/x-www-form-urlencoded")
        },
    },
    "responses": _POST["responses"],
}
_DELETE = {
    "summary": "Take a record back: expunged, sealed by a court, a juvenile's",
    "parameters": [{"name": "number", "in": "path", "required": True, "schema": _TEXT}],
    "responses": {
        "202": _says("taken back now, or earlier"),
        "404": _says("no record of that number was ever accepted", "Problem"),
        **_COMMON,
    },
}
