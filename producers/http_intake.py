"""HTTP intake: vendors who push, and tip lines, put records straight into the outbox.

    POST /records            {"records": [{"number": "A-1", "kind": "tip", …}, …]}
    DELETE /records/A-1      take it back
    POST /tips               {"text": "…", "place": "…"}, or the same as a form
    GET /openapi.json        the whole contract

The answer comes once the records are kept. `Idempotency-Key` makes a repeated request answer what
the first one did, even when the record was corrected in between.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import uuid4

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from producers.group_commit import GroupCommit
from producers.http_bodies import answer_of, checked, form, parsed, places
from producers.http_contract import MAX_BYTES, Posted, Told, openapi
from producers.idempotency import Answer, Answers, repeated
from producers.intake import Intake
from silenthit.errors import InputError, RetryError

MAX_IN_HAND = 64  # requests being taken; more are told to come back
BODY_S = 30.0  # for a request to arrive; who sends slower holds a place for nothing
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
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
    _writes: GroupCommit[tuple[bytes, str], Answer] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Write what arrives together together."""
        self._writes = GroupCommit(self._take)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/records", self._guarded(self._post), methods=["POST"]),
                Route("/records/{number:path}", self._guarded(self._delete), methods=["DELETE"]),
                Route("/tips", self._guarded(self._tip), methods=["POST"]),
                Route("/openapi.json", _contract),
                Route("/healthz", _healthy),
            ],
            exception_handlers={HTTPException: _no_such_thing},
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
            except TimeoutError:
                return _problem(408, f"the whole request within {BODY_S:g} seconds")
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
        if _content_type(request) != _JSON:
            return _problem(415, f"the content type {_JSON}")
        body = await _body_in_time(request)
        return body if isinstance(body, Response) else await self._answered(request, body)

    async def _tip(self, request: Request) -> Response:
        """A tip becomes a record of a number of its own, which its idempotency key decides."""
        kind = _content_type(request)
        if kind not in (_JSON, _FORM):
            return _problem(415, f"the content type {_JSON} or {_FORM}")
        body = await _body_in_time(request)
        if isinstance(body, Response):
            return body
        try:
            told = Told.model_validate_json(form(body) if kind == _FORM else body, strict=True)
        except ValidationError as error:
            return JSONResponse({"problems": places(error)}, 422)
        key = request.headers.get(_KEY_HEADER, "")
        number = _digest(f"tip {key}").hex()[:32] if key else uuid4().hex
        tip = {
            "number": f"tip-{number}",
            "kind": "tip",
            "place": told.place,
            "narrative": told.text,
        }
        return await self._answered(request, json.dumps({"records": [tip]}).encode())

    async def _answered(self, request: Request, body: bytes) -> Response:
        key = request.headers.get(_KEY_HEADER, "")
        if len(key) > _KEY_LENGTH:
            return _problem(400, f"an Idempotency-Key of at most {_KEY_LENGTH} characters")
        answer = await self._writes.do((body, key))
        return JSONResponse(answer.content, answer.status)

    def _take(self, asked: list[tuple[bytes, str]]) -> list[Answer]:
        """Answer requests that arrived together, their records and answers kept in one write."""
        answers: dict[int, Answer] = {}
        posted: dict[int, Posted] = {}
        firsts: dict[str, int] = {}
        for number, (body, key) in enumerate(asked):
            known = self.answers.known(key, body) if key else None
            again = key and firsts.setdefault(key, number) != number
            found = known or (None if again else parsed(body))
            if isinstance(found, Posted):
                posted[number] = found
            elif found is not None:
                answers[number] = found
        groups = [[checked(n, each) for n, each in enumerate(p.records)] for p in posted.values()]
        taken = zip(posted, self.intake.take_together(groups), strict=True)
        answers |= {number: answer_of(*result) for number, result in taken}
        self.answers.remember(
            (key, body, answers[n]) for n, (body, key) in enumerate(asked) if key and n in posted
        )
        return [
            answers[n]
            if n in answers
            else repeated(answers[firsts[key]], asked[firsts[key]][0], body)
            for n, (body, key) in enumerate(asked)
        ]

    async def _delete(self, request: Request) -> Response:
        number = request.path_params["number"]
        try:
            retracted = await run_in_threadpool(self.intake.withdraw, number)
        except InputError as error:
            return _problem(404, str(error))
        return JSONResponse({"retracted": retracted}, 202)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body_in_time(request: Request) -> bytes | Response:
    async with asyncio.timeout(BODY_S):
        body = await _body(request)
    return _problem(413, f"at most {MAX_BYTES:,} bytes") if body is None else body


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


def _problem(status: int, expected: str, headers: dict[str, str] | None = None) -> Response:
    text = expected if expected.startswith("expected") else f"expected {expected}"
    return JSONResponse({"problem": text}, status, headers)


async def _no_such_thing(_: Request, error: Exception) -> Response:
    """Answer for a path or a method that there is not, in the form of every other problem."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return _problem(error.status_code, "a path and method of /openapi.json", headers)


async def _contract(_: Request) -> Response:
    return Response(json.dumps(openapi()), media_type="application/json")


async def _healthy(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
