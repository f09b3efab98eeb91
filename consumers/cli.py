"""The partner's commands: `silenthit partner`, `silenthit watch`, `silenthit alerts`."""

from __future__ import annotations

from consumers.alert_commands import alerts
from consumers.partner_commands import partner
from consumers.watch_commands import watch

__all__ = ["alerts", "partner", "watch"]
