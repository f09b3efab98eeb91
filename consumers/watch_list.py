"""The private watch list: add, list, find, remove and expire, each written to the vault at once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from consumers.registrations import State, forget_epochs, fresh_id, store, to_ms, tokenise, withdraw
from consumers.vault import REGISTRATIONS, WATCHES, Rows, Values, Vault
from consumers.watches import Watch, check_watch
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import Prf
from silenthit.errors import InputError

ID_BYTES = 16
_SHORTEST_PREFIX = 4
_AT_ONCE = 500


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
        for watch_id, watch in zip(ids, watches, strict=True):
            into.put(WATCHES, watch_id, _columns(watch, now))
        for registrations in blinded:
            for watch_id, registration in zip(ids, registrations, strict=True):
                store(into, watch_id, registration)
    return ids


def retoken(vault: Vault, *, partner: str, epochs: Epochs, prf: Prf) -> int:
    """Register each watch in every epoch that is watchable now; return how many were added.

    Registrations of destroyed epochs are taken back, and their token secrets forgotten.
    """
    standing = [each for each in listed(vault) if each.removed_at is None]
    added = 0
    for epoch in epochs.watchable:
        missing = [each for each in standing if epoch not in each.epochs]
        for start in range(0, len(missing), _AT_ONCE):
            batch = missing[start : start + _AT_ONCE]
            own = [each.registration_id for each in batch]
            made = tokenise([each.watch for each in batch], own, partner, epoch, prf)
            with vault.write() as into:
                for each, registration in zip(batch, made, strict=True):
                    store(into, each.watch_id, registration)
            added += len(batch)
    gone = [epoch for epoch, state in epochs.states.items() if state is EpochState.DESTROYED]
    with vault.write() as into:
        forget_epochs(into, gone)
    return added


def _columns(watch: Watch, now: datetime) -> Values:
    return {
        "private": watch.model_dump_json().encode(),
        "created_at": to_ms(now),
        "expires_at": to_ms(watch.expires_at),
    }


def listed(vault: Vault, *, removed: bool = False) -> list[Listed]:
    """Return the watches, the newest first; the removed ones only if asked for."""
    wanted = [] if removed else [WATCHES.c.removed_at.is_(None)]
    with vault.read() as rows:
        placed: dict[bytes, list[Values]] = {}
        for row in rows.find(REGISTRATIONS, columns=("watch_id", "state", "epoch")):
            placed.setdefault(row["watch_id"], []).append(row)
        found = [_listed(row, placed.get(row["id"], [])) for row in rows.find(WATCHES, *wanted)]
    return sorted(found, key=lambda each: each.created_at, reverse=True)


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
    every = listed(vault, removed=True)
    by_id = len(name) >= _SHORTEST_PREFIX
    found = [each for each in every if by_id and each.watch_id.hex().startswith(name.lower())]
    found = found or [each for each in every if each.watch.label == name and not each.removed_at]
    if len(found) != 1:
        raise InputError(
            f"expected the id or the label of one watch, got one that {len(found)} answer to; see "
            "`silenthit watch list`"
        )
    return found[0]


def remove_watch(vault: Vault, watch_id: bytes, now: datetime) -> None:
    """Take a watch off the list; its tombstones go out with the next `registrations.deliver`."""
    with vault.write() as into:
        _remove(into, watch_id, now)


def expire_watches(vault: Vault, now: datetime) -> int:
    """Remove the watches whose time has passed; return how many."""
    due = (WATCHES.c.removed_at.is_(None), WATCHES.c.expires_at <= to_ms(now))
    with vault.write() as into:
        expired = list(into.find(WATCHES, *due, columns=("expires_at",)))
        for row in expired:
            _remove(into, row["id"], now)
    return len(expired)


def _remove(into: Rows, watch_id: bytes, now: datetime) -> None:
    into.put(WATCHES, watch_id, {"removed_at": to_ms(now)})
    withdraw(into, watch_id)
