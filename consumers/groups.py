"""Groups: the alerts on one subject from one incident, which people hear of as one.

Alerts are of one group when one record raised them about one of its subjects, through several
watches; or when one watch found one subject in several records that an agency filed under one case
number within a day. A group bears the id of its first alert, and keeps it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from consumers.opened_alerts import OpenedAlert, read_opened
from consumers.triage import SEVERITY
from consumers.vault import ALERTS, WATCHES, Rows, Values
from consumers.watches import Watch
from schemas.messages import AlertStatus

SPAN = timedelta(days=1)
_ID_BYTES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """An alert of a group that stands, with the watch that raised it."""

    row: Values = field(repr=False)
    opened: OpenedAlert = field(repr=False)
    watch: Watch = field(repr=False)


def group_of(row: Values) -> bytes:
    """Return the id of the group that an alert of the vault is in."""
    group: bytes | None = row.get("group_id")
    return group or row["id"]


def incident(rows: Rows, watch_id: bytes, opened: OpenedAlert) -> bytes | None:
    """Return 16 bytes that stand for this subject in this case of this agency, None if not known.

    Keyed: a case number is quickly guessed by who has the vault's file alone.
    """
    verdict, card = opened.verdict, opened.card
    if verdict is None or card is None or not card.case_number.strip():
        return None
    told = (watch_id, bytes([verdict.watch_subject]), card.ori.encode(), card.case_number.encode())
    framed = b"".join(len(each).to_bytes(4, "big") + each for each in told)
    return hmac.new(rows.log_key, b"silenthit/1/incident" + framed, sha256).digest()[:_ID_BYTES]


def find_group(rows: Rows, alert_id: bytes, columns: Values, opened: OpenedAlert) -> bytes:
    """Return the group that an alert belongs to: another's that stands, or its own."""
    standing = (ALERTS.c.status == AlertStatus.ACTIVE, ALERTS.c.id != alert_id)
    for row in rows.find(ALERTS, ALERTS.c.record_id == columns["record_id"], *standing):
        if _same_subject(read_opened(row), opened):
            return group_of(row)
    if columns["incident"] is not None:
        for row in rows.find(ALERTS, ALERTS.c.incident == columns["incident"], *standing):
            if _same_day(row, columns, read_opened(row), opened):
                return group_of(row)
    return alert_id


def _same_subject(one: OpenedAlert | None, other: OpenedAlert) -> bool:
    if one is None or one.verdict is None or other.verdict is None:
        return False
    return one.verdict.touch_subject == other.verdict.touch_subject


def _same_day(row: Values, columns: Values, one: OpenedAlert | None, other: OpenedAlert) -> bool:
    """Whether both happened within a day; by when they reached the exchange if one does not say."""
    first, second = one.occurred_at if one else None, other.occurred_at
    if first is not None and second is not None:
        return abs(first - second) <= SPAN
    apart = abs(int(row["appended_at"]) - int(columns["appended_at"]))
    return apart <= SPAN // timedelta(milliseconds=1)


def members(rows: Rows, group: bytes) -> Iterator[Member]:
    """Yield the alerts of a group that stand, with their plaintext."""
    for row in rows.find(ALERTS, ALERTS.c.group_id == group, ALERTS.c.status == AlertStatus.ACTIVE):
        opened, watch = read_opened(row), rows.get(WATCHES, row["watch_id"])
        if opened is not None and watch is not None:
            known = Watch.model_validate_json(watch["private"])
            yield Member(row=row, opened=opened, watch=known)


def worst(found: list[Member]) -> Member | None:
    """Return the member that weighs most: by decision, then by score."""
    return max(found, key=_weight, default=None)


def _weight(each: Member) -> tuple[int, float, bytes]:
    score = each.opened.verdict.probability if each.opened.verdict else 0.0
    return SEVERITY[each.opened.decision], score, each.row["id"]
