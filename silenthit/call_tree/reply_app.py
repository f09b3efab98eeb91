"""The reply server: people answer by the link in their message.

    GET  /r/TOKEN   what the case is about and where it stands, with a form; changes nothing, since
                    chat services and mail scanners follow every link
    POST /r/TOKEN   `action` of claim, release, close, note, snooze, with `text` or `wait`, as a
                    form or as JSON; answers in kind

Nothing of a subject is shown. A token is worth what it says (`silenthit.call_tree.links`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from typing import Any, Protocol
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from silenthit.call_tree.durations import parse_duration
from silenthit.call_tree.links import Claim
from silenthit.errors import InputError, RefusedError, RetryError, SilentHitError

ACTIONS = ("claim", "release", "close", "note", "snooze")
_MOST_BYTES = 16_384
_STATUS: Mapping[type[SilentHitError], int] = {RefusedError: 403, InputError: 422, RetryError: 503}
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; style-src 'unsafe-inline'",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a case stands, in words that may be shown anywhere."""

    title: str
    text: str
    stage: str
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What somebody does."""

    action: str
    text: str = ""
    wait: timedelta | None = None


class Desk(Protocol):
    """The cases behind the server. Its methods block; each is one transaction."""

    def read(self, token: str) -> Claim:
        """Return what a token allows. Raises RefusedError when it is not ours or has expired."""
        ...

    def standing(self, claim: Claim) -> Standing:
        """Return where the case stands."""
        ...

    def act(self, claim: Claim, reply: Reply) -> Standing:
        """Do it, as the link's person. Raises RefusedError when they may not."""
        ...


def reply_app(desk: Desk) -> Starlette:
    """Return the application that serves this desk."""

    async def show(request: Request) -> Response:
        try:
            claim = desk.read(request.path_params["token"])
            standing = await run_in_threadpool(desk.standing, claim)
        except SilentHitError as error:
            return _page(_refusal(error), status=_status(error))
        return _page(_form(standing, claim.person))

    async def answer(request: Request) -> Response:
        as_json = request.headers.get("content-type", "").startswith("application/json")
        try:
            claim = desk.read(request.path_params["token"])
            reply = _reply(await _fields(request, as_json=as_json))
            standing = await run_in_threadpool(desk.act, claim, reply)
        except SilentHitError as error:
            if as_json:
                return JSONResponse({"error": str(error)}, _status(error), _HEADERS)
            return _page(_refusal(error), status=_status(error))
        if as_json:
            told = {"stage": standing.stage, "owner": standing.owner or None}
            return JSONResponse(told, headers=_HEADERS)
        return _page(_form(standing, claim.person))

    return Starlette(
        routes=[
            Route("/r/{token}", show, methods=["GET"]),
            Route("/r/{token}", answer, methods=["POST"]),
        ]
    )


async def _fields(request: Request, *, as_json: bool) -> Mapping[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise InputError(f"expected at most {_MOST_BYTES} bytes, got more; shorten the text")
    try:
        content = json.loads(body) if as_json else dict(parse_qsl(body.decode()))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError("expected an object with `action`, got something else")
    return content


def _reply(fields: Mapping[str, Any]) -> Reply:
    action, wait = str(fields.get("action", "")), fields.get("wait")
    if action not in ACTIONS:
        raise InputError(f"expected an action of {', '.join(ACTIONS)}, got another")
    if action == "snooze" and not wait:
        raise InputError('expected how long to snooze as `wait`, such as "4h", got nothing')
    try:
        duration = parse_duration(wait) if wait else None
    except ValueError as error:
        raise InputError(f"{error}, got another text") from None
    return Reply(action=action, text=str(fields.get("text", "")), wait=duration)


def _status(error: SilentHitError) -> int:
    return next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)


def _page(content: str, *, status: int = 200) -> Response:
    style = "body{font:1.1em sans-serif;margin:2em auto;max-width:32em}button{margin:.3em}"
    html = (
        '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>SilentHit</title><style>{style}</style>{content}"
    )
    return HTMLResponse(html, status, _HEADERS)


def _refusal(error: SilentHitError) -> str:
    return f"<p>{escape(str(error))}</p>"


def _form(standing: Standing, person: str) -> str:
    lines = "<br>".join(map(escape, standing.text.splitlines()))
    owner = f", {escape(standing.owner)} answers for it" if standing.owner else ""
    buttons = "".join(f"<button name=action value={each}>{each}</button>" for each in ACTIONS)
    return (
        f"<h1>{escape(standing.title)}</h1><p>{lines}</p><p>{escape(standing.stage)}{owner}</p>"
        f"<form method=post><p>You are {escape(person)}.</p>"
        "<p><label>Text <input name=text></label> <label>Snooze for "
        f"<input name=wait size=4 placeholder=4h></label></p>{buttons}</form>"
    )
