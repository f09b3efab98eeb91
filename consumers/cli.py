"""The partner's commands, by the names that they have under `silenthit`."""

from __future__ import annotations

from consumers.alert_commands import alerts
from consumers.board_commands import board
from consumers.case_commands import CASE_COMMANDS
from consumers.coverage_commands import coverage
from consumers.deconfliction_commands import deconflictions, trust_exchange_command
from consumers.look_up import lookup
from consumers.model_commands import estimate_model
from consumers.network_commands import network
from consumers.partner_commands import partner
from consumers.protocol_commands import protocol
from consumers.publication_commands import publish
from consumers.reply_commands import replies
from consumers.watch_cli import watch

partner.add_command(estimate_model)
partner.add_command(trust_exchange_command)
for command in (*CASE_COMMANDS, board, replies):
    alerts.add_command(command)
watch.load()

__all__ = [
    "alerts",
    "coverage",
    "deconflictions",
    "lookup",
    "network",
    "partner",
    "protocol",
    "publish",
    "watch",
]
