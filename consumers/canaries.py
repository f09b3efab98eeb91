"""Canaries: one agency's synthetic touch that came the whole way, and the one that did not.

Of each agency that has a canary watch the vault remembers when its canary last came through. One
that is missed opens a case for the partner's operator, which ends when a canary comes again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from pydantic import AwareDatetime

from consumers.templates import code
from consumers.times import iso
from consumers.vault import SETTINGS, Rows
from consumers.watches import LONGEST_LIFE, Watch
from schemas.parts import Frozen
from silenthit.canary import DOMAIN, canary_subject

_PREFIX, _AFTER = b"canary/", b"canary0"  # of the ids in SETTINGS; 0 follows / in ASCII
_ID_BYTES = 16


class Canary(Frozen):
    """What is known of one agency's canary."""

    ori: str
    agency: str
    placed_at: AwareDatetime  # since when it is watched for
    published_at: AwareDatetime | None = None  # of the last that came: when the exchange had it
    arrived_at: AwareDatetime | None = None
    missed: bool = False  # its operator was called

    @property
    def about(self) -> bytes:
        """What its case is about."""
        return canary_id(self.ori)


def canary_id(ori: str) -> bytes:
    """Return the 16 bytes that stand for an agency's canary among the cases."""
    return sha256(b"silenthit/1/canary" + ori.encode()).digest()[:_ID_BYTES]


def canary_watch(ori: str, now: datetime) -> Watch:
    """Return the watch for an agency's canary. 28 CFR 23 does not apply: it is of nobody."""
    return Watch(
        label=f"canary {ori}",
        legal_basis="not applicable: a canary is of nobody",
        stated_by="nobody",
        subjects=(canary_subject(ori),),
        expires_at=now + LONGEST_LIFE,
    )


def is_canary(watch: Watch) -> bool:
    """Whether a watch is for a canary and nothing else."""
    held = [each for subject in watch.subjects for each in subject.identifiers]
    return bool(held) and all(each.value.endswith(f"@{DOMAIN}") for each in held)


def canaries(rows: Rows) -> list[Canary]:
    """Return what is known of every canary, by ORI."""
    ours = (SETTINGS.c.id >= _PREFIX, SETTINGS.c.id < _AFTER)
    found = (Canary.model_validate_json(row["private"]) for row in rows.find(SETTINGS, *ours))
    return sorted(found, key=lambda each: each.ori)


def place(into: Rows, ori: str, agency: str, now: datetime) -> None:
    """Begin to wait for an agency's canary."""
    _put(into, Canary(ori=ori, agency=agency, placed_at=now))


def arrived(into: Rows, ori: str, published_at: datetime, now: datetime) -> bool:
    """A canary came through. Return whether it had been missed and is now in time again."""
    known = _get(into, ori)
    if known is None or (known.published_at is not None and known.published_at >= published_at):
        return False
    fresh = {"published_at": published_at, "arrived_at": now, "missed": False}
    _put(into, known.model_copy(update=fresh))
    return known.missed


def newly_missed(rows: Rows, limit: timedelta, now: datetime, since: datetime) -> list[Canary]:
    """Return the canaries that are overdue and were not yet.

    `since` is when this process began to read: what lay at the exchange before may be on its way.
    """
    return [
        each
        for each in canaries(rows)
        if not each.missed
        and now - max(filter(None, (each.placed_at, each.published_at, since))) > limit
    ]


def mark_missed(into: Rows, canary: Canary) -> None:
    """Its operator is being called."""
    _put(into, canary.model_copy(update={"missed": True}))


def canary_fields(rows: Rows, about: bytes) -> dict[str, str]:
    """Return what may be shown of a missed canary, nothing if this is about none."""
    for each in canaries(rows):
        if each.about == about:
            last = iso(each.published_at) if each.published_at else "never"
            return {
                "decision": "canary missed",
                "label": each.agency,
                "kind": "canary",
                "agency": each.agency,
                "at": f"last one {last}",
                "score": "none",
                "alert_id": about.hex(),
                "code": code(about),
            }
    return {}


def _get(rows: Rows, ori: str) -> Canary | None:
    row = rows.get(SETTINGS, _PREFIX + ori.encode())
    return Canary.model_validate_json(row["private"]) if row else None


def _put(into: Rows, canary: Canary) -> None:
    private = canary.model_dump_json().encode()
    into.put(SETTINGS, _PREFIX + canary.ori.encode(), {"private": private})
