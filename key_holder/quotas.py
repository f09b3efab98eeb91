"""Quotas: how many elements an organisation may have evaluated, live or from a booking."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from key_holder.settings import ClassQuotas, Quota
from schemas.vocabulary import TokenClass
from silenthit.blinding.batches import BATCH_WINDOW_MS, Cause, Purpose, batch_time_ms

DAY_S = 86_400
MINUTE_S = 60
_NO_LIMIT = 2**62  # a booking is limited by its remaining elements
_ROUNDING = 1e-6  # elements; a refill in floating point may end just below a whole one


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a batch is not evaluated: an expected answer, not a failure."""

    cause: Cause
    message: str
    after_s: float | None = None
    most: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What is left of one class: `level` at time `at`, and `spent` on the UTC day `day`."""

    level: float
    at: float
    day: int
    spent: int

    def refilled(self, quota: Quota, now: float) -> Allowance:
        """Return the allowance as time has refilled it; a clock set back refills nothing."""
        elapsed = max(0.0, now - self.at)
        day = int(now // DAY_S)
        return Allowance(
            level=min(float(quota.capacity), self.level + elapsed * quota.per_minute / MINUTE_S),
            at=max(now, self.at),
            day=max(day, self.day),
            spent=self.spent if day <= self.day else 0,
        )

    def wait_s(self, quota: Quota, count: int, now: float) -> float:
        """Seconds until `count` elements may be asked; 0 when they may be now."""
        if self.spent + count > quota.per_day:
            return (self.day + 1) * DAY_S - now
        missing = count - self.level
        return missing * MINUTE_S / quota.per_minute if missing > _ROUNDING else 0.0

    def less(self, count: int) -> Allowance:
        """Return what is left after `count` elements."""
        return replace(self, level=max(0.0, self.level - count), spent=self.spent + count)


def charge(
    book: sqlite3.Connection,
    organisation: str,
    quotas: ClassQuotas,
    counts: Mapping[TokenClass, int],
    now: float,
    *,
    purpose: Purpose = Purpose.LIVE,
) -> Refusal | None:
    """Take a batch off the allowances, all its classes or none. Call it within a transaction.

    `now` in epoch seconds. Returns why not, with the time to come back, or None when charged.
    """
    left: dict[TokenClass, Allowance] = {}
    waits = [0.0]
    for of, count in counts.items():
        quota = quotas.of(of)
        if count > min(quota.capacity, quota.per_day):
            most = min(quota.capacity, quota.per_day)
            return Refusal(
                cause=Cause.TOO_LARGE,
                message=f"expected at most {most} elements of a class in a batch, got {count}",
                most=most,
            )
        held = _allowance(book, organisation, of, purpose)
        allowance = (held or _full(quota, now)).refilled(quota, now)
        waits.append(allowance.wait_s(quota, count, now))
        left[of] = allowance.less(count)
    if max(waits) > 0:
        return Refusal(
            cause=Cause.QUOTA,
            message=f"the {purpose} quota of {organisation} is spent; ask the key holder for more",
            after_s=max(waits),
        )
    book.executemany(
        "INSERT OR REPLACE INTO allowances VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(organisation, of, purpose, a.level, a.at, a.day, a.spent) for of, a in left.items()],
    )
    return None


def _full(quota: Quota, now: float) -> Allowance:
    return Allowance(level=quota.capacity, at=now, day=int(now // DAY_S), spent=0)


def _allowance(
    book: sqlite3.Connection, organisation: str, of: TokenClass, purpose: Purpose
) -> Allowance | None:
    row = book.execute(
        "SELECT level, at, day, spent FROM allowances"
        " WHERE organisation = ? AND class = ? AND purpose = ?",
        (organisation, of, purpose),
    ).fetchone()
    return Allowance(level=row[0], at=row[1], day=row[2], spent=row[3]) if row else None


def book_backfill(
    book: sqlite3.Connection, organisation: str, *, elements: int, per_minute: int, until: float
) -> None:
    """Grant an organisation an allowance of its own for old records, in place of one it had."""
    book.execute(
        "INSERT OR REPLACE INTO bookings VALUES (?, ?, ?, ?)",
        (organisation, elements, per_minute, until),
    )


def charge_booking(
    book: sqlite3.Connection, organisation: str, counts: Mapping[TokenClass, int], now: float
) -> Refusal | None:
    """Take a batch off a booking: its remaining elements, at its pace. As `charge` otherwise."""
    row = book.execute(
        "SELECT remaining, per_minute, until FROM bookings WHERE organisation = ?", (organisation,)
    ).fetchone()
    total = sum(counts.values())
    if row is None or row[2] <= now or row[0] < total:
        return Refusal(
            cause=Cause.NO_BOOKING,
            message=f"{organisation} has no booking with {total} elements left; ask the key holder "
            "for one (`silenthit keyholder book`)",
        )
    pace = Quota(per_minute=row[1], per_day=_NO_LIMIT)
    paces = ClassQuotas(person=pace, item=pace, place_time=pace)
    refusal = charge(book, organisation, paces, counts, now, purpose=Purpose.BACKFILL)
    if refusal is None:
        book.execute(
            "UPDATE bookings SET remaining = remaining - ? WHERE organisation = ?",
            (total, organisation),
        )
    return refusal


def refuse_replay(book: sqlite3.Connection, batch_id: bytes, now: float) -> Refusal | None:
    """Note a batch id, or say why it is not a new one. Call it within a transaction."""
    if abs(batch_time_ms(batch_id) / 1000 - now) > BATCH_WINDOW_MS / 1000:
        return Refusal(
            cause=Cause.STALE,
            message="expected a batch sent within five minutes of now, got another time; set the "
            "clock or send it anew",
        )
    book.execute("DELETE FROM batches WHERE at < ?", (now - 2 * BATCH_WINDOW_MS / 1000,))
    noted = book.execute("INSERT OR IGNORE INTO batches VALUES (?, ?)", (batch_id, now))
    if noted.rowcount:
        return None
    return Refusal(
        cause=Cause.REPLAYED, message="expected a new batch, got a replayed one; send it anew"
    )
