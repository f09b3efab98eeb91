"""Who may do what with which table: the roles, enforced where the data are.

Every transaction of a vault is somebody's. The partner's own processes (the inbox) are nobody in
particular and may do everything; a person may do what their role allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Table

from consumers.roles import Right, Role, whom_to_ask
from consumers.vault.tables import (
    ALERTS,
    ATTEMPTS,
    CASES,
    CATALOGUE,
    EVENTS,
    MEETINGS,
    PAGES,
    PUBLICATIONS,
    REGISTRATIONS,
    SETTINGS,
    SIGNERS,
    UNOPENED,
    USERS,
    WATCHES,
)
from silenthit.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Actor:
    """Whose transaction it is; no role: a process of the partner's own."""

    name: str = ""
    role: Role | None = None

    def may(self, *rights: Right) -> bool:
        """Whether one of these rights is theirs."""
        return self.role is None or not self.role.rights.isdisjoint(rights)

    def need(self, *rights: Right) -> None:
        """Raise RefusedError, saying whom to ask, unless one of these rights is theirs."""
        if not self.may(*rights):
            raise RefusedError(
                f"expected the right to {rights[0].value}, got {self.name}, who as {self.role} "
                f"has not; ask {whom_to_ask(rights)}, or a supervisor to change the role"
            )


PROCESS = Actor()

_WATCH_SIDE = (Right.ENTER, Right.CHANGE)
_READ: dict[Table, tuple[Right, ...]] = {
    SETTINGS: tuple(Right),
    WATCHES: (Right.VIEW_WATCHES,),
    CATALOGUE: (Right.VIEW_WATCHES,),
    REGISTRATIONS: (Right.VIEW_WATCHES,),
    PUBLICATIONS: (Right.VIEW_WATCHES,),
    ALERTS: (Right.VIEW_ALERTS,),
    UNOPENED: (Right.VIEW_ALERTS,),
    MEETINGS: (Right.VIEW_ALERTS,),
    PAGES: (Right.VIEW_ALERTS,),
    ATTEMPTS: (Right.VIEW_ALERTS,),
    CASES: (Right.VIEW_ALERTS,),
    EVENTS: (Right.AUDIT, Right.VIEW_ALERTS, Right.VIEW_WATCHES),  # consumers.history asks more
    SIGNERS: (Right.MANAGE, Right.VIEW_ALERTS),
    USERS: (Right.MANAGE,),
}
_ADD: dict[Table, tuple[Right, ...]] = {
    WATCHES: _WATCH_SIDE,
    CATALOGUE: _WATCH_SIDE,
    REGISTRATIONS: _WATCH_SIDE,
    EVENTS: tuple(Right),
}
_CHANGE: dict[Table, tuple[Right, ...]] = {
    SETTINGS: (Right.MANAGE,),
    WATCHES: (Right.CHANGE,),
    CATALOGUE: _WATCH_SIDE,  # a page holds the entries of several watches
    REGISTRATIONS: (Right.CHANGE,),
    PUBLICATIONS: (Right.CHANGE,),
    ALERTS: (Right.TRIAGE,),
    PAGES: (Right.TRIAGE,),
    CASES: (Right.TRIAGE,),
    SIGNERS: (Right.MANAGE,),
    USERS: (Right.MANAGE,),
}


def reading(actor: Actor, table: Table) -> None:
    """Raise RefusedError unless this actor may read this table."""
    if actor.role is not None:
        actor.need(*_READ.get(table, (Right.MANAGE,)))


def adding(actor: Actor, table: Table) -> None:
    """Raise RefusedError unless this actor may write new rows of this table."""
    if actor.role is not None:
        actor.need(*_ADD.get(table, _CHANGE.get(table, (Right.MANAGE,))))


def changing(actor: Actor, table: Table) -> None:
    """Raise RefusedError unless this actor may change rows of this table. Nobody changes events."""
    if table is EVENTS:
        raise RefusedError("expected an event to be added, got one changed; events stay as written")
    if actor.role is not None:
        actor.need(*_CHANGE.get(table, (Right.MANAGE,)))
