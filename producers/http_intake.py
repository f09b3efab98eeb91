"""HTTP intake: vendors who push, and tip lines, put records straight into the outbox.

    POST /records            {"records": [{"number": "A-1", "kind": "tip", …}, …]}
    DELETE /records/A-1      take it back
    GET /openapi.json        the whole contract

The answer comes once the records are kept. `Idempotency-Key` makes a repeated request answer what
the first one did, even when the record was corrected in between.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from producers.http_contract import MAX_BYTES, Posted, openapi
from producers.idempotency import Answers
from producers.intake import Intake
from producers.records import Outcome, Place, Record, Rejection
from producers.sources.times import BadTimeError, birth_date
from producers.touch import record_id
from schemas.vocabulary import INDICATORS, NIBRS_OFFENCES
from silenthit.errors import InputError, RetryError

MAX_IN_HAND = 32  # requests being taken; more are told to come back
_KEY_HEADER = "idempotency-key"
_KEY_LENGTH = 128

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(kw_only=True)
class HttpIntake:
    """The intake of one agency. `token` is empty where client certificates do its work."""

    intake: Intake
    answers: Answers
    token: str = field(repr=False)
    _in_hand: int = 0

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/records", self._guarded(self._post), methods=["POST"]),
                Route("/records/{number:path}", self._guarded(self._delete), methods=["DELETE"]),
                Route("/openapi.json", _contract),
                Route("/healthz", _healthy),
            ],
        )

    def _guarded(self, handler: Handler) -> Handler:
        """Let through who has the token, while there is room; answer for what goes wrong."""

        async def guarded(request: Request) -> Response:
            if not self._knows(request.headers.get("authorization", "")):
                return _problem(401, "a valid bearer token", {"WWW-Authenticate": "Bearer"})
            if self._in_hand >= MAX_IN_HAND:
                return _problem(429, "fewer requests at once", {"Retry-After": "1"})
            self._in_hand += 1
            try:
                return await handler(request)
            except RetryError as error:
                return _problem(503, str(error), {"Retry-After": "30"})
            except ClientDisconnect:
                return _problem(400, "the whole request")
            finally:
                self._in_hand -= 1

        return guarded

    def _knows(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        if not self.token:
            return True
        same = hmac.compare_digest(_digest(given.strip()), _digest(self.token))
        return same and scheme.lower() == "bearer"

    async def _post(self, request: Request) -> Response:
        key = request.headers.get(_KEY_HEADER, "")
        if len(key) > _KEY_LENGTH:
            return _problem(400, f"an Idempotency-Key of at most {_KEY_LENGTH} characters")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _problem(415, "the content type application/json")
        body = await _body(request)
        if body is None:
            return _problem(413, f"at most {MAX_BYTES:,} bytes")
        return await run_in_threadpool(self._take, body, key)

    def _take(self, body: bytes, key: str) -> Response:
        known = self.answers.known(key, body) if key else None
        if known is not None:
            return JSONResponse(known.content, known.status)
        try:
            posted = Posted.model_validate_json(body)
        except ValidationError as error:
            return JSONResponse({"problems": _places(error)}, 422)
        status, content = self._accept(posted)
        if key:
            self.answers.remember(key, body, status, content)
        return JSONResponse(content, status)

    def _accept(self, posted: Posted) -> tuple[int, dict[str, Any]]:
        rejections: list[Rejection] = []
        outcomes = (_checked(number, each) for number, each in enumerate(posted.records))
        tally = self.intake.take(outcomes, rejections.append)
        content = {
            "accepted": tally.accepted,
            "unchanged": tally.unchanged,
            "rejected": [
                {"where": str(r.place), "expected": r.expected, "remedy": r.remedy}
                for r in rejections
            ],
        }
        return (422 if rejections else 202), content

    async def _delete(self, request: Request) -> Response:
        ident = record_id(self.intake.record_secret, request.path_params["number"])
        try:
            retracted = await run_in_threadpool(self.intake.outbox.retract, ident)
        except InputError as error:
            return _problem(404, str(error))
        return JSONResponse({"retracted": retracted}, 202)


async def _body(request: Request) -> bytes | None:
    """The body, or None as soon as it is too large."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BYTES:
        return None
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BYTES:
            return None
    return bytes(received)


def _checked(number: int, record: Record) -> Outcome:
    """A record with the place that messages name, or why its content can't be."""
    place = f"records[{number}]"
    try:
        for subject in record.subjects:
            for each in subject.birth_dates:
                birth_date(each)
    except BadTimeError as error:
        return Rejection(Place(place, "birth_dates"), str(error), "correct the date")
    if not set(record.offences) <= set(NIBRS_OFFENCES):
        return Rejection(Place(place, "offences"), "NIBRS offence codes", "correct the code")
    if not set(record.indicators) <= set(INDICATORS):
        known = ", ".join(INDICATORS)
        return Rejection(Place(place, "indicators"), f"indicators of {known}", "correct it")
    return record.model_copy(update={"read_from": place})


def _places(error: ValidationError) -> list[dict[str, str]]:
    """Where a body does not fit and what was expected, without what stood there."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"where": ".".join(str(part) for part in each["loc"]), "expected": each["msg"]}
        for each in found[:20]
    ]


def _problem(status: int, expected: str, headers: dict[str, str] | None = None) -> Response:
    text = expected if expected.startswith("expected") else f"expected {expected}"
    return JSONResponse({"problem": text}, status, headers)


async def _contract(_: Request) -> Response:
    return Response(json.dumps(openapi()), media_type="application/json")


async def _healthy(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
