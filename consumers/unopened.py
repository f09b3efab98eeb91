"""Messages that could not be opened: kept with the reason, to be tried again and to be seen."""

from __future__ import annotations

from hashlib import sha256

from consumers.opening import Reason
from consumers.retracting import sent_by
from consumers.vault import UNOPENED, Rows
from schemas.codec import decode
from schemas.messages import Alert
from silenthit.bus.clients import Message

_ID_BYTES = 16


def keep_unopened(
    into: Rows, message: Message, alert: Alert | None, reason: Reason, now: int
) -> bytes:
    """Keep a message as it came; return the id by which it is listed."""
    value = message.value or b""
    row = sha256(len(message.key or b"").to_bytes(4, "big") + (message.key or b"") + value)
    columns = {
        "alert_id": alert.alert_id if alert else None,
        "revision": alert.revision if alert else None,
        "reason": reason.value,
        "appended_at": alert.appended_at if alert else message.timestamp_ms,
        "private_key": message.key,
        "private": value,
    }
    known = into.get(UNOPENED, row.digest())
    first = {"received_at": now} if known is None else {}
    into.put(UNOPENED, row.digest(), {**columns, **first})
    return alert.alert_id if alert else row.digest()[:_ID_BYTES]


def drop_unopened(into: Rows, alert_id: bytes, revision: int, owner: str = "") -> None:
    """Forget unopened messages of this alert that its state has overtaken.

    `owner`: the organisation that took it back; what names another as its sender stays.
    """
    overtaken = (UNOPENED.c.alert_id == alert_id, UNOPENED.c.revision <= revision)
    for row in into.find(UNOPENED, *overtaken, columns=("private",) if owner else ("reason",)):
        if not owner or sent_by(decode(row["private"], Alert)) in ("", owner):
            into.drop(UNOPENED, row["id"])
