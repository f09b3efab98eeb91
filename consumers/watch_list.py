"""The private watch list: listed, searched, and one found by its name."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from sqlalchemy.sql.elements import ColumnElement

from consumers import catalogue
from consumers.states import State
from consumers.times import from_ms
from consumers.vault import REGISTRATIONS, WATCHES, Rows, Values, Vault
from consumers.watches import Watch
from silenthit.errors import InputError

ID_BYTES = 16
_SHORTEST_PREFIX = 4
_AT_ONCE = 500
MOST_LISTED = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A watch as it stands in the list."""

    watch_id: bytes
    watch: Watch = field(repr=False)
    created_at: datetime
    approved_at: datetime | None
    removed_at: datetime | None
    page: int  # of the catalogue
    states: tuple[str, ...]  # of its registrations, one an epoch
    epochs: tuple[int, ...]
    registration_id: bytes = field(repr=False)  # one over all its epochs

    @property
    def standing_epochs(self) -> tuple[int, ...]:
        """The epochs in which the exchange has it, or will have."""
        placed = zip(self.epochs, self.states, strict=True)
        return tuple(epoch for epoch, state in placed if state in (State.PENDING, State.PLACED))

    @property
    def state(self) -> str:
        """One word for a person: waiting, sending, active, removing, removed or expired."""
        if self.removed_at is not None:
            if State.REMOVING in self.states:
                return "removing"
            return "expired" if self.watch_expired else "removed"
        if self.approved_at is None:
            return "waiting"
        return "sending" if State.PENDING in self.states or not self.states else "active"

    watch_expired: bool = False


def listed(
    vault: Vault, *, removed: bool = False, limit: int = MOST_LISTED, search: str = ""
) -> list[Listed]:
    """Return at most `limit` watches, the newest first; the removed ones only if asked for.

    `search` is text that label, numbers or names of the watch have to hold, in any case.
    """
    with vault.read() as rows:
        if search.strip():
            ids = _holding(rows, search, limit, removed=removed)
            return _with_registrations(rows, _in_order(rows, ids))
        wanted = [] if removed else [WATCHES.c.removed_at.is_(None)]
        return _with_registrations(rows, list(rows.find(WATCHES, *wanted, newest=limit)))


def _holding(rows: Rows, search: str, limit: int, *, removed: bool) -> list[bytes]:
    """Return the ids of the newest watches that hold a text."""
    found = catalogue.holding(rows, search)
    ids: list[bytes] = []
    while len(ids) < limit and (batch := list(islice(found, min(limit, _AT_ONCE)))):
        # By id alone: with a second condition, SQLite reads every watch that meets that one.
        own = rows.find(WATCHES, WATCHES.c.id.in_(batch), columns=("removed_at",))
        there = {row["id"] for row in own if removed or row["removed_at"] is None}
        ids += [each for each in batch if each in there]
    return ids[:limit]


def _in_order(rows: Rows, ids: Sequence[bytes]) -> list[Values]:
    found: dict[bytes, Values] = {}
    for start in range(0, len(ids), _AT_ONCE):
        batch = WATCHES.c.id.in_(ids[start : start + _AT_ONCE])
        found |= {row["id"]: row for row in rows.find(WATCHES, batch)}
    return [found[each] for each in ids]


def count_watches(vault: Vault, *, removed: bool = False) -> int:
    """Return how many watches there are."""
    wanted = [] if removed else [WATCHES.c.removed_at.is_(None)]
    with vault.read() as rows:
        return rows.count(WATCHES, *wanted)


def waiting_ids(vault: Vault) -> list[bytes]:
    """Return the watches that wait for approval, the oldest first."""
    waits = (WATCHES.c.approved_at.is_(None), WATCHES.c.removed_at.is_(None))
    with vault.read() as rows:
        found = list(rows.find(WATCHES, *waits, columns=("created_at",)))
    return [row["id"] for row in sorted(found, key=lambda row: int(row["created_at"]))]


def watches_of(vault: Vault, ids: Sequence[bytes]) -> list[Listed]:
    """Return the watches of these ids, in no particular order."""
    with vault.read() as rows:
        return _with_registrations(rows, list(rows.find(WATCHES, WATCHES.c.id.in_(ids))))


def _with_registrations(rows: Rows, found: Sequence[Values]) -> list[Listed]:
    placed: dict[bytes, list[Values]] = {}
    for start in range(0, len(found), _AT_ONCE):
        ids = [row["id"] for row in found[start : start + _AT_ONCE]]
        theirs = REGISTRATIONS.c.watch_id.in_(ids)
        for row in rows.find(REGISTRATIONS, theirs, columns=("watch_id", "state", "epoch")):
            placed.setdefault(row["watch_id"], []).append(row)
    return [_listed(row, placed.get(row["id"], [])) for row in found]


def _listed(row: Values, registrations: Sequence[Values]) -> Listed:
    removed = row["removed_at"]
    fresh = secrets.token_bytes(ID_BYTES)
    return Listed(
        watch_id=row["id"],
        watch=Watch.model_validate_json(row["private"]),
        created_at=from_ms(row["created_at"]),
        approved_at=None if row["approved_at"] is None else from_ms(row["approved_at"]),
        removed_at=None if removed is None else from_ms(removed),
        page=row["page"],
        states=tuple(each["state"] for each in registrations),
        epochs=tuple(each["epoch"] for each in registrations),
        registration_id=next((each["id"][:ID_BYTES] for each in registrations), fresh),
        watch_expired=removed is not None and row["expires_at"] <= removed,
    )


def watch_named(vault: Vault, name: str) -> Listed:
    """Find one watch by the beginning of its id (hex, four digits or more) or by its whole label.

    Raises InputError when none or several answer to it.
    """
    with vault.read() as rows:
        ids = [row["id"] for row in rows.find(WATCHES, *_beginning(name), columns=("expires_at",))]
        if not ids:
            own = (WATCHES.c.id.in_(catalogue.labelled(rows, name)), WATCHES.c.removed_at.is_(None))
            ids = [row["id"] for row in rows.find(WATCHES, *own, columns=("expires_at",))]
        one = ids if len(ids) == 1 else []
        found = list(rows.find(WATCHES, WATCHES.c.id.in_(one)))
        watches = _with_registrations(rows, found)
    if not watches:
        raise InputError(
            f"expected the id or the label of one watch, got one that {len(ids)} answer to; see "
            "`silenthit watch list`"
        )
    return watches[0]


def _beginning(name: str) -> tuple[ColumnElement[bool], ...]:
    """Conditions on an id that begins like this; impossible ones where it cannot be an id."""
    digits = name.lower()
    if len(digits) < _SHORTEST_PREFIX or not set(digits) <= set("0123456789abcdef"):
        return (WATCHES.c.id == b"",)
    low, high = digits.ljust(2 * ID_BYTES, "0"), digits.ljust(2 * ID_BYTES, "f")
    if len(low) > 2 * ID_BYTES:
        return (WATCHES.c.id == b"",)
    return (WATCHES.c.id >= bytes.fromhex(low), WATCHES.c.id <= bytes.fromhex(high))
