"""Roles: what each may do, and which right each command needs. One table, for code and docs.

    >>> Right.ENTER in Role.REGISTRAR.rights
    True

The vault enforces the rights on its tables (`consumers.vault.guard`), whatever the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Right(StrEnum):
    """What somebody may do, in words that finish "the right to …"."""

    ENTER = "enter watches"
    VIEW_WATCHES = "view watches"
    CHANGE = "approve and change watches"
    VIEW_ALERTS = "view alerts"
    TRIAGE = "triage alerts"
    EXPORT = "hand an alert on"
    AUDIT = "read the log"
    MANAGE = "manage users, keys and trusted agencies"


class Role(StrEnum):
    """What somebody is."""

    REGISTRAR = "registrar"  # enters watches; they stand once a supervisor approves
    ANALYST = "analyst"  # views, and answers for alerts
    SUPERVISOR = "supervisor"  # approves, edits, manages
    AUDITOR = "auditor"  # reads the log and nothing else

    @property
    def rights(self) -> frozenset[Right]:
        """What this role may do."""
        return _RIGHTS[self]


_RIGHTS = {
    Role.REGISTRAR: frozenset({Right.ENTER, Right.VIEW_WATCHES}),
    Role.ANALYST: frozenset({Right.VIEW_WATCHES, Right.VIEW_ALERTS, Right.TRIAGE, Right.EXPORT}),
    Role.SUPERVISOR: frozenset(Right),
    Role.AUDITOR: frozenset({Right.AUDIT}),
}

# Commands that need nobody: they make the first user, or are a process of the partner's own.
NOBODY = None
COMMANDS: dict[str, Right | None] = {
    "partner init": NOBODY,
    "partner upgrade": NOBODY,
    "partner roles": NOBODY,
    "partner estimate-model": NOBODY,  # reads files alone
    "partner trust": Right.MANAGE,
    "partner trust-exchange": Right.MANAGE,
    "partner user add": Right.MANAGE,
    "partner user list": Right.MANAGE,
    "partner user key": Right.MANAGE,
    "partner user role": Right.MANAGE,
    "partner user disable": Right.MANAGE,
    "partner audit": Right.AUDIT,
    "partner backup": Right.MANAGE,
    "partner disclosure-key": Right.MANAGE,
    "partner disclose": Right.MANAGE,
    "partner restore": NOBODY,
    "watch add": Right.ENTER,
    "watch import": Right.ENTER,
    "watch list": Right.VIEW_WATCHES,
    "watch show": Right.VIEW_WATCHES,
    "watch history": Right.VIEW_WATCHES,
    "watch approve": Right.CHANGE,
    "watch edit": Right.CHANGE,
    "watch renew": Right.CHANGE,
    "watch expire": Right.CHANGE,
    "watch remove": Right.CHANGE,
    "watch retoken": Right.CHANGE,
    "watch follow": Right.CHANGE,
    "watch followed": Right.VIEW_ALERTS,
    "watch policy": Right.CHANGE,
    "watch deconflict": Right.CHANGE,
    "alerts receive": NOBODY,
    "alerts tail": Right.VIEW_ALERTS,
    "alerts list": Right.VIEW_ALERTS,
    "alerts show": Right.VIEW_ALERTS,
    "alerts claim": Right.TRIAGE,
    "alerts release": Right.TRIAGE,
    "alerts close": Right.TRIAGE,
    "alerts note": Right.TRIAGE,
    "alerts snooze": Right.TRIAGE,
    "alerts export": Right.EXPORT,
    "alerts board": Right.VIEW_ALERTS,  # its keys ask for more
    "alerts replies": NOBODY,
    "lookup": Right.VIEW_ALERTS,
    "deconflictions list": Right.VIEW_ALERTS,
    "deconflictions show": Right.VIEW_ALERTS,
    "network": Right.EXPORT,
    "publish contact": Right.CHANGE,
    "publish list": Right.VIEW_WATCHES,
    "publish withdraw": Right.CHANGE,
    "coverage": Right.VIEW_ALERTS,
    "coverage add": Right.MANAGE,
    "protocol check": NOBODY,
    "protocol explain": Right.VIEW_ALERTS,
}


def whom_to_ask(rights: Sequence[Right]) -> str:
    """Return who has one of these rights, in words."""
    able = [role.value for role in Role if not role.rights.isdisjoint(rights)]
    return " or ".join(f"{'an' if each[0] in 'aeiou' else 'a'} {each}" for each in able)


def may_run(role: Role, command: str) -> bool:
    """Whether this role may run this command, such as "watch add"."""
    right = COMMANDS[command]
    return right is None or right in role.rights


def table() -> list[tuple[str, ...]]:
    """Return one line a command: its words, then "yes" or "" for each role in order."""
    return [
        (command, *("yes" if may_run(role, command) else "" for role in Role))
        for command in COMMANDS
    ]
