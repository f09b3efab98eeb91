"""Channels: where people are told, through apprise (Slack, Teams, e-mail, pager, webhook …)."""

from __future__ import annotations

import logging
from typing import Protocol

from pydantic import SecretStr

from silenthit.errors import RetryError, SettingsError


class Channel(Protocol):
    """Somewhere to post a message."""

    def post(self, title: str, body: str) -> None:
        """Post once. Raises RetryError when the other side did not take it."""
        ...


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

    def post(self, title: str, body: str) -> None:
        """Post once, as plain text. Raises RetryError when the other side did not take it."""
        try:
            taken = bool(self._apprise.notify(title=title, body=body))
        except Exception:  # noqa: BLE001 whatever a service's client raises, it may quote the URL
            taken = False
        if not taken:
            raise RetryError(f"expected the channel {self._name} to take a message, it did not")
