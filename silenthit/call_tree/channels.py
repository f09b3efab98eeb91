"""Channels: where people are told, through apprise (Slack, Teams, e-mail, pager, webhook …).

A webhook of one's own may *confirm*: every post carries its page's id as `Idempotency-Key`, which
the other side shows once however often it comes. Of any other channel nobody can know, after a
crash, whether it had the message.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel, ConfigDict, SecretStr

from silenthit.errors import RetryError, SettingsError

_TIMEOUT_S = 10.0


class ChannelSettings(BaseModel):
    """Where messages are posted: an apprise URL, which usually holds a token and so is a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretStr
    title: str | None = None  # templates, see silenthit.call_tree.templates
    body: str | None = None
    subject_data: bool = False  # whether its templates may quote the record
    confirms: bool = False  # a webhook that keeps to Idempotency-Key


class Channel(Protocol):
    """Somewhere to post a message."""

    def post(self, title: str, body: str, key: str) -> None:
        """Post once; `key` is the same when the same message has to be posted again.

        Raises RetryError when the other side did not take it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outlet:
    """A channel with what it may show."""

    channel: Channel
    settings: ChannelSettings = field(repr=False)


def open_channel(name: str, settings: ChannelSettings) -> Outlet:
    """Open one channel of the settings; nothing is sent. Raises SettingsError for a bad URL."""
    kind = WebhookChannel if settings.confirms else AppriseChannel
    return Outlet(kind(name, settings.url), settings)


class AppriseChannel:
    """A channel behind an apprise URL."""

    def __init__(self, name: str, url: SecretStr) -> None:
        """Parse the URL; nothing is sent. Raises SettingsError when apprise does not know it."""
        from apprise import Apprise  # noqa: PLC0415 takes a second to import

        # What apprise logs may quote the URL, which holds a token, and the message.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._name = name
        self._apprise = Apprise()
        if not self._apprise.add(url.get_secret_value()):
            raise SettingsError(
                f"expected an apprise URL as channels.{name}.url, got one that apprise does not "
                "know; see its list of services"
            )

    def post(self, title: str, body: str, key: str) -> None:  # noqa: ARG002 a service keeps no keys
        """Post once, as plain text. Raises RetryError when the other side did not take it."""
        try:
            taken = bool(self._apprise.notify(title=title, body=body, body_format="text"))
        except Exception:  # noqa: BLE001 whatever a service's client raises, it may quote the URL
            taken = False
        if not taken:
            raise RetryError(f"expected the channel {self._name} to take a message, it did not")


class WebhookChannel:
    """A webhook that confirms: JSON `{"id", "title", "body"}`, its id as `Idempotency-Key`."""

    def __init__(self, name: str, url: SecretStr) -> None:
        """Keep the URL; nothing is sent. Raises SettingsError unless it is one of HTTP."""
        if not url.get_secret_value().startswith(("https://", "http://")):
            raise SettingsError(
                f"expected an http(s) URL as channels.{name}.url because it says `confirms`, got "
                "another; only a webhook of one's own can promise to show a message once"
            )
        self._name, self._url = name, url

    def post(self, title: str, body: str, key: str) -> None:
        """Post once. Raises RetryError when the other side did not take it."""
        import httpx  # noqa: PLC0415 takes its time to import

        content = {"id": key, "title": title, "body": body}
        try:
            answer = httpx.post(
                self._url.get_secret_value(),
                json=content,
                headers={"Idempotency-Key": key},
                timeout=_TIMEOUT_S,
            )
            taken = answer.is_success
        except httpx.HTTPError:
            taken = False
        if not taken:
            raise RetryError(f"expected the channel {self._name} to take a message, it did not")
