"""Placing: watches are put on the list, changed, approved, renewed for an epoch and taken off.

Each is one transaction with its entry in the log. What goes to the exchange is written to the vault
here and sent by `registrations.deliver`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime

from consumers import catalogue
from consumers.exchange_key import deconflicting
from consumers.history import Event, write_down, write_down_all
from consumers.registrations import columns, forget_epochs, fresh_id, store, tokenise
from consumers.roles import Right
from consumers.times import to_ms
from consumers.vault import REGISTRATIONS, WATCHES, Values, Vault
from consumers.watch_checks import check_watch
from consumers.watch_list import Listed, watches_of
from consumers.watch_tree import check_life, cut, take_off
from consumers.watches import GRACE, Watch
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import Prf
from silenthit.errors import RefusedError

_ID_BYTES = 16
_AT_ONCE = 500


def add_watches(
    vault: Vault,
    watches: Sequence[Watch],
    *,
    partner: str,
    epochs: Sequence[int],
    prf: Prf,
    now: datetime,
    parent_id: bytes | None = None,
    did: tuple[str, str] = ("added", ""),
) -> list[bytes]:
    """Check, tokenise and store watches with their registrations; return their ids.

    Nothing is stored unless all can be. Those of somebody who may not approve wait for approval
    and are not registered. `parent_id` is the watch they were followed from; `did` is what the log
    says: action and text.
    """
    vault.actor.need(Right.ENTER)
    for watch in watches:
        check_watch(watch, now)
    # Whoever enters a watch shows nothing by it: that takes a command of its own.
    watches = [w.model_copy(update={"basis_at": now, "shows": None}) for w in watches]
    stand = vault.actor.may(Right.CHANGE)
    ids = [secrets.token_bytes(_ID_BYTES) for _ in watches]
    own = [(fresh_id(), each) for each in ids]
    slots = deconflicting(vault)
    blinded = [
        tokenise(watches, own, partner, epoch, prf, deconflicting=slots)
        for epoch in epochs
        if stand
    ]
    with vault.write() as into:
        lines = [catalogue.entry(i, w.found_by()) for i, w in zip(ids, watches, strict=True)]
        created = {"created_at": to_ms(now), "approved_at": to_ms(now) if stand else None}
        origin = {"parent_id": parent_id}
        placed = zip(ids, watches, catalogue.add(into, lines), strict=True)
        into.add(
            WATCHES, ((i, _columns(w) | created | origin | {"page": page}) for i, w, page in placed)
        )
        for made in blinded:
            into.add(REGISTRATIONS, (columns(i, r) for i, r in zip(ids, made, strict=True)))
        write_down_all(into, ids, did[0], Event(who=vault.actor.name, text=did[1]), now)
    return ids


def change_watch(
    vault: Vault,
    before: Listed,
    watch: Watch,
    *,
    partner: str,
    prf: Prf,
    now: datetime,
    did: tuple[str, str] = ("edited", ""),
) -> None:
    """Put another version in a watch's place, at the exchange too, under the same registration id.

    `did` is what the log says: action and text. Raises what `check_watch` and the PRF raise, and
    RefusedError for a watch that was removed, having changed nothing.
    """
    vault.actor.need(Right.CHANGE)
    if before.removed_at is not None:
        raise RefusedError("expected a watch that stands, got a removed one; add it anew")
    check_watch(watch, now)
    watch = watch.model_copy(update={"basis_at": _stated_since(before, watch, now)})
    own, slots = [(before.registration_id, before.watch_id)], deconflicting(vault)
    made = [
        tokenise([watch], own, partner, epoch, prf, deconflicting=slots)[0]
        for epoch in before.standing_epochs
    ]
    action, text = did
    with vault.write() as into:
        check_life(into, before.watch_id, watch)
        into.put(WATCHES, before.watch_id, _columns(watch))
        cut(into, before.watch_id, watch.expires_at, now)
        catalogue.change(into, before.page, catalogue.entry(before.watch_id, watch.found_by()))
        for registration in made:
            store(into, before.watch_id, registration)
        write_down(into, before.watch_id, action, Event(who=vault.actor.name, text=text), now)


def _stated_since(before: Listed, watch: Watch, now: datetime) -> datetime:
    """Since when it stands on its ground: another ground, or other subjects, begin anew."""
    was = before.watch
    same = (was.legal_basis, was.subjects) == (watch.legal_basis, watch.subjects)
    return was.stated_since(before.created_at) if same else now


def approve_watches(vault: Vault, ids: Iterable[bytes], now: datetime) -> int:
    """Let watches that wait for it stand; return how many. `retoken` then registers them."""
    vault.actor.need(Right.CHANGE)
    approved = 0
    with vault.write() as into:
        for each in ids:
            waits = (WATCHES.c.approved_at.is_(None), WATCHES.c.removed_at.is_(None))
            values = {"approved_at": to_ms(now)}
            if into.change(WATCHES, WATCHES.c.id == each, *waits, values=values):
                write_down(into, each, "approved", Event(who=vault.actor.name), now)
                approved += 1
    return approved


def retoken(vault: Vault, *, partner: str, epochs: Epochs, prf: Prf) -> int:
    """Register each watch in every epoch that is watchable now; return how many were added.

    Registrations of destroyed epochs are taken back, and their token secrets forgotten.
    """
    added, slots = 0, deconflicting(vault)
    for epoch in epochs.watchable:
        missing = _without_epoch(vault, epoch)
        for start in range(0, len(missing), _AT_ONCE):
            batch = watches_of(vault, missing[start : start + _AT_ONCE])
            own = [(each.registration_id, each.watch_id) for each in batch]
            watches = [each.watch for each in batch]
            made = tokenise(watches, own, partner, epoch, prf, deconflicting=slots)
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
    stands = (WATCHES.c.removed_at.is_(None), WATCHES.c.approved_at.is_not(None))
    with vault.read() as rows:
        placed = {row["watch_id"] for row in rows.find(REGISTRATIONS, there, columns=("watch_id",))}
        standing = rows.find(WATCHES, *stands, columns=("created_at",))
        return [row["id"] for row in standing if row["id"] not in placed]


def _columns(watch: Watch) -> Values:
    # Only the grace of an owner is counted from here, and what ends with its time has none.
    until = watch.expires_at - GRACE if watch.ends_with_its_time else watch.expires_at
    return {"private": watch.model_dump_json().encode(), "expires_at": to_ms(until)}


def remove_watch(vault: Vault, watch_id: bytes, now: datetime) -> None:
    """Take a watch off the list; its tombstones go out with the next `registrations.deliver`."""
    vault.actor.need(Right.CHANGE)
    with vault.write() as into:
        take_off(into, watch_id, "removed", Event(who=vault.actor.name), now)


def expire_watch(vault: Vault, watch_id: bytes, why: str, now: datetime) -> None:
    """Let a watch expire before its time."""
    vault.actor.need(Right.CHANGE)
    with vault.write() as into:
        into.put(WATCHES, watch_id, {"expires_at": to_ms(now)})
        take_off(into, watch_id, "expired", Event(who=vault.actor.name, text=why), now)


def expire_watches(vault: Vault, now: datetime) -> int:
    """Remove the watches whose time has passed, and the grace after it; return how many."""
    over = (WATCHES.c.expires_at <= to_ms(now)) & WATCHES.c.parent_id.is_not(None)
    over |= WATCHES.c.expires_at <= to_ms(now - GRACE)
    due = (WATCHES.c.removed_at.is_(None), over)
    with vault.read() as rows:  # most of the time there is none, and nobody has to be locked out
        if not rows.count(WATCHES, *due):
            return 0
    with vault.write() as into:
        expired = list(into.find(WATCHES, *due, columns=("expires_at",)))
        for row in expired:
            take_off(into, row["id"], "expired", Event(who=vault.actor.name), now)
    return len(expired)
