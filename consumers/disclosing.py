"""A partner's side of the record of disclosures: its key, and its own boxes, opened."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from consumers.roles import Right
from consumers.vault import SETTINGS, Rows
from consumers.vault.log import Event
from silenthit.blinding.disclosure_boxes import open_box
from silenthit.errors import InputError, RefusedError

_ID = b"disclosure/private"
PARTNERS = 0  # of an entry's boxes


@dataclass(frozen=True, kw_only=True, slots=True)
class Own:
    """An entry of the record that is about this partner, with what its box says."""

    alert_id: bytes  # empty of a meeting, or an answer
    line: dict[str, Any] = field(repr=False)  # as the auditor gets it


def disclosure_key(into: Rows) -> X25519PrivateKey:
    """Return the partner's private key, made at the first call."""
    row = into.get(SETTINGS, _ID)
    if row is not None:
        return X25519PrivateKey.from_private_bytes(row["private"])
    key = X25519PrivateKey.generate()
    into.put(SETTINGS, _ID, {"private": key.private_bytes_raw()})
    return key


def own_entries(lines: Iterable[str], key: X25519PrivateKey) -> Iterator[Own]:
    """Yield, of the auditor's list, what is sealed to this key. InputError for another list."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            each = json.loads(line)
            place = {name: each[name] for name in ("chain", "number", "index", "at", "what")}
            boxes, about = list(map(bytes.fromhex, each["boxes"])), bytes.fromhex(each["id"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                "expected what `silenthit exchange disclosures list` prints, one JSON object a "
                f"line, got another in line {number}"
            ) from None
        told = open_box(boxes[PARTNERS], key, about) if boxes else None
        if told is not None:
            yield Own(
                alert_id=bytes.fromhex(told.content.get("alert", "")),
                line=place | {"told": dict(told.content), "opening": told.opening.hex()},
            )


def disclose(
    into: Rows, entries: Collection[Own], *, recipient: str, purpose: str, who: str, at: int
) -> None:
    """Write down, about each, who gets it and why; only then may it leave.

    Raises RefusedError without recipient or purpose, or the right to do it.
    """
    into.actor.need(Right.MANAGE)
    if not recipient.strip() or not purpose.strip():
        raise RefusedError(
            "expected whom it is for and why, got no answer; state --to and --purpose: what is "
            "disclosed shows whom you watch"
        )
    event = Event(who=who, text=f"to {recipient}: {purpose}")
    into.append([(each.alert_id, "disclosed", event) for each in entries], at)
