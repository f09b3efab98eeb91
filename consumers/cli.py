"""The partner's commands: `partner`, `watch`, `alerts` and `protocol` of `silenthit`."""

from __future__ import annotations

from consumers.alert_commands import alerts
from consumers.case_commands import CASE_COMMANDS
from consumers.model_commands import estimate_model
from consumers.partner_commands import partner
from consumers.protocol_commands import protocol
from consumers.watch_commands import watch
from consumers.watch_upkeep import UPKEEP_COMMANDS

partner.add_command(estimate_model)
for command in CASE_COMMANDS:
    alerts.add_command(command)
for command in UPKEEP_COMMANDS:
    watch.add_command(command)

__all__ = ["alerts", "partner", "protocol", "watch"]
