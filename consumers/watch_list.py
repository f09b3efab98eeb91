"""The private watch list: add, list, find, remove and expire, each written to the vault at once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.sql.elements import ColumnElement

from consumers.registrations import (
    State,
    columns,
    forget_epochs,
    fresh_id,
    store,
    to_ms,
    tokenise,
    withdraw,
)
from consumers.vault import REGISTRATIONS, WATCHES, Rows, Values, Vault
from consumers.watches import GRACE, Watch, check_watch
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import Prf
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
    removed_at: datetime | None
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
        """One word for a person: active, sending, removing or removed."""
        if self.removed_at is not None:
            return "removing" if State.REMOVING in self.states else "removed"
        return "sending" if State.PENDING in self.states else "active"


def add_watches(
    vault: Vault,
    watches: Sequence[Watch],
    *,
    partner: str,
    epochs: Sequence[int],
    prf: Prf,
    now: datetime,
) -> list[bytes]:
    """Check, tokenise and store watches with their registrations; return their ids.

    Nothing is stored unless all can be. Sending is `registrations.deliver`.
    """
    for watch in watches:
        check_watch(watch, now)
    own = [fresh_id() for _ in watches]
    blinded = [tokenise(watches, own, partner, epoch, prf) for epoch in epochs]
    ids = [secrets.token_bytes(ID_BYTES) for _ in watches]
    with vault.write() as into:
        created = {"created_at": to_ms(now)}
        into.add(WATCHES, ((i, _columns(w) | created) for i, w in zip(ids, watches, strict=True)))
        for made in blinded:
            into.add(REGISTRATIONS, (columns(i, r) for i, r in zip(ids, made, strict=True)))
    return ids


def change_watch(
    vault: Vault, before: Listed, watch: Watch, *, partner: str, prf: Prf, now: datetime
) -> None:
    """Put another version in a watch's place, at the exchange too, under the same registration id.

    Raises what `check_watch` and the PRF raise, having changed nothing.
    """
    check_watch(watch, now)
    own = [before.registration_id]
    made = [tokenise([watch], own, partner, epoch, prf)[0] for epoch in before.standing_epochs]
    with vault.write() as into:
        into.put(WATCHES, before.watch_id, _columns(watch))
        for registration in made:
            store(into, before.watch_id, registration)


def retoken(vault: Vault, *, partner: str, epochs: Epochs, prf: Prf) -> int:
    """Register each watch in every epoch that is watchable now; return how many were added.

    Registrations of destroyed epochs are taken back, and their token secrets forgotten.
    """
    added = 0
    for epoch in epochs.watchable:
        missing = _without_epoch(vault, epoch)
        for start in range(0, len(missing), _AT_ONCE):
            batch = _found(vault, missing[start : start + _AT_ONCE])
            own = [each.registration_id for each in batch]
            made = tokenise([each.watch for each in batch], own, partner, epoch, prf)
            with vault.write() as into:
                for each, registration in zip(batch, made, strict=True):
                    # It may have been removed while the key holder was asked.
                    row = into.get(WATCHES, each.watch_id)
                    if row is not None and row["removed_at"] is None:
                        store(into, each.watch_id, registration)
            added += len(batch)
    gone = [epoch for epoch, state in epochs.states.items() if state is EpochState.DESTROYED]
    with vault.write() as into:
        forget_epochs(into, gone)
    return added


def _without_epoch(vault: Vault, epoch: int) -> list[bytes]:
    there = REGISTRATIONS.c.epoch == epoch
    with vault.read() as rows:
        placed = {row["watch_id"] for row in rows.find(REGISTRATIONS, there, columns=("watch_id",))}
        standing = rows.find(WATCHES, WATCHES.c.removed_at.is_(None), columns=("created_at",))
        return [row["id"] for row in standing if row["id"] not in placed]


def _columns(watch: Watch) -> Values:
    return {
        "private": watch.model_dump_json().encode(),
        "private_label": f"{watch.label}\n{watch.case_number}".encode(),
        "expires_at": to_ms(watch.expires_at),
    }


def listed(
    vault: Vault, *, removed: bool = False, limit: int = MOST_LISTED, search: str = ""
) -> list[Listed]:
    """Return at most `limit` watches, the newest first; the removed ones only if asked for.

    `search` is text that label or case number have to hold, in any case.
    """
    wanted = [] if removed else [WATCHES.c.removed_at.is_(None)]
    with vault.read() as rows:
        if search:
            wanted.append(WATCHES.c.id.in_(_holding(rows, search, wanted)))
        found = list(rows.find(WATCHES, *wanted, newest=limit))
        return _with_registrations(rows, found)


def _holding(rows: Rows, search: str, wanted: Sequence[ColumnElement[bool]]) -> list[bytes]:
    text = search.casefold()
    cells = rows.cells(WATCHES, "private_label", *wanted)
    return [row for row, cell in cells if text in cell.decode().casefold()][:MOST_LISTED]


def count_watches(vault: Vault, *, removed: bool = False) -> int:
    """Return how many watches there are."""
    wanted = [] if removed else [WATCHES.c.removed_at.is_(None)]
    with vault.read() as rows:
        return rows.count(WATCHES, *wanted)


def _found(vault: Vault, ids: Sequence[bytes]) -> list[Listed]:
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
    return Listed(
        watch_id=row["id"],
        watch=Watch.model_validate_json(row["private"]),
        created_at=from_ms(row["created_at"]),
        removed_at=None if row["removed_at"] is None else from_ms(row["removed_at"]),
        states=tuple(each["state"] for each in registrations),
        epochs=tuple(each["epoch"] for each in registrations),
        registration_id=next((each["id"][:ID_BYTES] for each in registrations), fresh_id()),
    )


def from_ms(moment: int) -> datetime:
    """The time, UTC, of milliseconds since the epoch."""
    return datetime.fromtimestamp(moment / 1000, UTC)


def watch_named(vault: Vault, name: str) -> Listed:
    """Find one watch by the beginning of its id (hex, four digits or more) or by its whole label.

    Raises InputError when none or several answer to it.
    """
    label = name.encode()
    with vault.read() as rows:
        ids = [row["id"] for row in rows.find(WATCHES, *_beginning(name), columns=("expires_at",))]
        if not ids:
            cells = rows.cells(WATCHES, "private_label", WATCHES.c.removed_at.is_(None))
            ids = [row for row, cell in cells if cell.rpartition(b"\n")[0] == label]
        found = list(rows.find(WATCHES, WATCHES.c.id.in_(ids[:2])))
        watches = _with_registrations(rows, found)
    if len(found) != 1:
        raise InputError(
            f"expected the id or the label of one watch, got one that {len(found)} answer to; see "
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


def remove_watch(vault: Vault, watch_id: bytes, now: datetime) -> None:
    """Take a watch off the list; its tombstones go out with the next `registrations.deliver`."""
    with vault.write() as into:
        _remove(into, watch_id, now)


def expire_watches(vault: Vault, now: datetime) -> int:
    """Remove the watches whose time has passed, and the grace after it; return how many."""
    due = (WATCHES.c.removed_at.is_(None), WATCHES.c.expires_at <= to_ms(now - GRACE))
    with vault.write() as into:
        expired = list(into.find(WATCHES, *due, columns=("expires_at",)))
        for row in expired:
            _remove(into, row["id"], now)
    return len(expired)


def _remove(into: Rows, watch_id: bytes, now: datetime) -> None:
    into.put(WATCHES, watch_id, {"removed_at": to_ms(now)})
    withdraw(into, watch_id)
