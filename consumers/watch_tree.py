"""The tree of watches: one that somebody placed, and those that were followed from it.

What happens to a watch happens to what was followed from it: it leaves with its parent, and never
outlives it. What was seen only in a record that an agency took back is forgotten with the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from consumers import catalogue
from consumers.associations import Association
from consumers.history import Event, write_down
from consumers.registrations import withdraw
from consumers.states import State
from consumers.times import to_ms
from consumers.vault import REGISTRATIONS, WATCHES, Rows, Values
from consumers.watches import Watch
from schemas import codec
from schemas.messages import WatchRegistration
from schemas.topics import DAY_MS
from silenthit.errors import InputError, RefusedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """A watch in its tree."""

    row: Values = field(repr=False)
    watch: Watch = field(repr=False)

    @property
    def stands(self) -> bool:
        """Whether it has not been taken off."""
        return self.row["removed_at"] is None

    @property
    def step(self) -> int:
        """How many steps from the watch that was placed."""
        return self.watch.association.step if self.watch.association else 0


def branch(rows: Rows, watch_id: bytes) -> Branch:
    """Return a watch. Raises InputError for none."""
    row = rows.get(WATCHES, watch_id)
    if row is None:
        raise InputError("expected a watch that is in the vault, got none; see `watch list`")
    return Branch(row=row, watch=Watch.model_validate_json(row["private"]))


def tree(rows: Rows, watch_id: bytes) -> Iterator[Branch]:
    """Yield a watch and all that was followed from it, removed ones too, step by step."""
    level = [branch(rows, watch_id)]
    while level:
        yield from level
        below = (
            Branch(row=row, watch=Watch.model_validate_json(row["private"]))
            for parent in level
            for row in rows.find(WATCHES, WATCHES.c.parent_id == parent.row["id"])
        )
        level = sorted(below, key=lambda each: (each.row["created_at"], each.watch.label))


def root_of(watch: Branch) -> bytes:
    """Return the id of the watch at the root of its tree."""
    own: bytes = watch.row["id"]
    return bytes.fromhex(watch.watch.association.root) if watch.watch.association else own


def take_off(into: Rows, watch_id: bytes, action: str, event: Event, now: datetime) -> None:
    """Take a watch off the list, and with it what was followed from it."""
    stands = WATCHES.c.removed_at.is_(None)
    if not into.change(
        WATCHES, WATCHES.c.id == watch_id, stands, values={"removed_at": to_ms(now)}
    ):
        return
    withdraw(into, watch_id)
    write_down(into, watch_id, action, event, now)
    gone = Event(who=event.who, text="so was the watch that it was followed from")
    below = (WATCHES.c.parent_id == watch_id, stands)
    for row in list(into.find(WATCHES, *below, columns=("parent_id",))):
        take_off(into, row["id"], action, gone, now)


def check_life(into: Rows, watch_id: bytes, watch: Watch) -> None:
    """Refuse to let a followed watch outlive its parent. Raises RefusedError."""
    row = into.get(WATCHES, watch_id)
    parent = into.get(WATCHES, row["parent_id"]) if row and row["parent_id"] else None
    if parent is not None and to_ms(watch.expires_at) > parent["expires_at"]:
        raise RefusedError(
            "expected a followed watch to end with the one it was followed from at the latest, got "
            "a later end; renew that one first, or choose fewer --days"
        )


def cut(into: Rows, watch_id: bytes, until: datetime, now: datetime) -> None:
    """Let nothing that was followed from a watch outlive it, at the exchange neither."""
    for each in list(tree(into, watch_id))[1:]:
        if each.stands and each.watch.expires_at > until:
            shorter = each.watch.model_copy(update={"expires_at": until})
            private = shorter.model_dump_json().encode()
            into.put(WATCHES, each.row["id"], {"private": private, "expires_at": to_ms(until)})
            _shorten(into, each.row["id"], shorter)
            text = "ends with the watch that it was followed from"
            write_down(into, each.row["id"], "edited", Event(who=into.actor.name, text=text), now)


def _shorten(into: Rows, watch_id: bytes, watch: Watch) -> None:
    standing = REGISTRATIONS.c.state.in_([State.PENDING, State.PLACED])
    expires_at = -(-to_ms(watch.leaves_at) // DAY_MS) * DAY_MS
    for row in list(into.find(REGISTRATIONS, REGISTRATIONS.c.watch_id == watch_id, standing)):
        message = codec.decode(row["private"], WatchRegistration)
        private = codec.encode(message.model_copy(update={"expires_at": expires_at}))
        into.put(REGISTRATIONS, row["id"], {"private": private, "state": State.PENDING})


def let_go(into: Rows, found: Branch, why: str, now: datetime) -> None:
    """Follow something no more, and remember why."""
    _remember(into, found, {"let_go": why})
    take_off(into, found.row["id"], "let go", Event(who=into.actor.name, text=why), now)


def unground(
    into: Rows,
    watch_id: bytes,
    alert_id: bytes,
    still: Callable[[Watch], bool],
    now: datetime,
    *,
    purge: bool = False,
) -> int:
    """Take off what was followed from an alert that no longer shows it; return how many.

    `purge`: the agency took its record back, so what was read in it leaves the vault too.
    """
    gone = 0
    for row in list(into.find(WATCHES, WATCHES.c.parent_id == watch_id)):
        each = Branch(row=row, watch=Watch.model_validate_json(row["private"]))
        association = each.watch.association
        if association is None or association.alert_id != alert_id.hex() or still(each.watch):
            continue
        why = "the record that it was seen in was taken back or corrected"
        take_off(into, row["id"], "let go", Event(who=into.actor.name, text=why), now)
        if purge:
            _purge(into, each)
        gone += 1
    return gone


def _remember(into: Rows, found: Branch, changed: Values) -> Association:
    association = found.watch.association
    assert association is not None
    fresh = association.model_copy(update=changed)
    watch = found.watch.model_copy(update={"association": fresh})
    into.put(WATCHES, found.row["id"], {"private": watch.model_dump_json().encode()})
    return fresh


def _purge(into: Rows, found: Branch) -> None:
    association = found.watch.association
    assert association is not None
    bare = association.model_copy(update={"record_number": "", "seen_at": None})
    watch = found.watch.model_copy(update={"subjects": (), "association": bare})
    into.put(WATCHES, found.row["id"], {"private": watch.model_dump_json().encode()})
    catalogue.change(into, found.row["page"], catalogue.entry(found.row["id"], watch.found_by()))
