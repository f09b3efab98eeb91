"""Claim links: who follows one may answer for one case, as one person, until it expires.

    signer = LinkSigner.open(settings)
    token = signer.token(about, "reyes", now)
    signer.read(token, now)          # Claim(about=..., person="reyes")

A token is base64url of `about (16) | expiry in s (4) | person | HMAC-SHA256, first 16 bytes`. It
names no subject, and who has it can do no more than claim, release, close, snooze and note.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from silenthit.call_tree.durations import Duration
from silenthit.errors import RefusedError, SettingsError

_KEY_BYTES = 32
_ABOUT, _EXPIRY, _MAC = 16, 4, 16
_LONGEST = 400  # characters of a token


def _web(value: object) -> str:
    text = str(value).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
        raise ValueError("expected an https:// URL: whoever reads a link could answer with it")
    return text


class ReplySettings(BaseModel):
    """`[replies]`: where people answer. Links are in messages only where this is set."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, BeforeValidator(_web)]  # what links begin with, as people reach it
    host: str = "127.0.0.1"
    port: int = Field(default=8480, ge=0, le=65535)
    key: Path = Path("keys/replies.key")  # made when it is not there
    valid: Duration = timedelta(hours=24)
    tls_certificate: Path | None = None  # none: something in front of it ends TLS
    tls_key: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a link allows: to act on this, as this person (empty: whoever says who they are)."""

    about: bytes
    person: str


@dataclass(frozen=True, slots=True)
class LinkSigner:
    """Makes and reads tokens; its repr holds no key."""

    url: str
    valid: timedelta
    key: bytes = field(repr=False)

    @classmethod
    def open(cls, settings: ReplySettings) -> LinkSigner:
        """Read the key, or make it. Raises SettingsError for a file that is no key."""
        return cls(settings.url, settings.valid, _key(settings.key))

    def link(self, about: bytes, person: str, now: datetime) -> str:
        """Return the link of somebody for a case."""
        return f"{self.url}/r/{self.token(about, person, now)}"

    def token(self, about: bytes, person: str, now: datetime) -> str:
        """Return what a link ends with."""
        expiry = int((now + self.valid).timestamp()).to_bytes(_EXPIRY, "big")
        said = about + expiry + person.encode()
        return base64.urlsafe_b64encode(said + self._mac(said)).decode().rstrip("=")

    def read(self, token: str, now: datetime) -> Claim:
        """Return what a token allows. Raises RefusedError when it is not ours or has expired."""
        try:
            whole = base64.urlsafe_b64decode(token[:_LONGEST] + "=" * (-len(token) % 4))
        except ValueError:
            whole = b""
        said, mac = whole[:-_MAC], whole[-_MAC:]
        if len(said) < _ABOUT + _EXPIRY or not hmac.compare_digest(self._mac(said), mac):
            raise RefusedError("expected a link as it was sent, got another; follow the whole link")
        if int.from_bytes(said[_ABOUT : _ABOUT + _EXPIRY], "big") < now.timestamp():
            raise RefusedError(
                "expected a link that still holds, got one that has expired; use the newest "
                "message, or `silenthit alerts claim`"
            )
        return Claim(about=said[:_ABOUT], person=said[_ABOUT + _EXPIRY :].decode())

    def _mac(self, said: bytes) -> bytes:
        return hmac.new(self.key, b"silenthit/1/claim" + said, sha256).digest()[:_MAC]


def _key(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        # Linked whole, so that of two processes that start at once both have the same key.
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise SettingsError(
            f"expected a key of {_KEY_BYTES} bytes in {path}, got {len(key)}; delete it, and links "
            "that were sent so far no longer hold"
        )
    return key
