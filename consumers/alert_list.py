"""The alerts in the vault: listed, found, followed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from consumers.groups import group_of
from consumers.opened_alerts import summary, unopened_summary
from consumers.times import to_ms
from consumers.vault import ALERTS, CASES, UNOPENED, WATCHES, Rows, Values, Vault
from consumers.watches import Watch
from silenthit.call_tree.escalation import Case
from silenthit.errors import InputError

_SHORTEST_PREFIX = 4
_NOBODY: dict[str, Any] = {"stage": None, "owner": None}
_STATE = ("revision", "status", "decision", "stage", "owner")
_MARGIN_MS = 60_000
_OPEN = {"climbing", "last_resort", "owned"}


def alerts_listed(vault: Vault, *, since: int = 0) -> list[dict[str, Any]]:
    """Return a summary of each alert and unopened message changed since (ms), oldest first."""
    with vault.read() as rows:
        changed = list(rows.find(ALERTS, ALERTS.c.updated_at >= since))
        standings = {row["id"]: _standing(row) for row in rows.find(CASES)} if changed else {}
        found = [
            {
                **summary(row),
                **_purged_label(rows, row),
                **standings.get(group_of(row), _NOBODY),
                "group": group_of(row).hex(),
            }
            for row in changed
        ]
        late = rows.find(UNOPENED, UNOPENED.c.received_at >= since)
        found += [{**unopened_summary(row), **_NOBODY, "group": None} for row in late]
    return sorted(found, key=lambda each: (each["updated_at"], each["alert_id"]))


def _purged_label(rows: Rows, row: Values) -> dict[str, str]:
    """Return the label of a purged alert's watch: it is the partner's own, not the agency's."""
    purged = row["private"] is None and row["watch_id"] is not None
    watch = rows.get(WATCHES, row["watch_id"]) if purged else None
    return {"label": Watch.model_validate_json(watch["private"]).label} if watch else {}


def _standing(row: Values) -> dict[str, Any]:
    return {"stage": row["stage"], "owner": Case.model_validate_json(row["private"]).owner or None}


def changes(vault: Vault, since: int) -> Iterator[list[dict[str, Any]]]:
    """Yield, each time it is asked, what changed since it was asked before; at first since (ms)."""
    seen: dict[str, tuple[Any, ...]] = {}
    while True:
        fresh = []
        for each in alerts_listed(vault, since=since):
            state = tuple(each[name] for name in _STATE)
            if seen.get(each["alert_id"]) != state:
                seen[each["alert_id"]] = state
                fresh.append(each)
            # Who wrote it read the clock before it committed, so look a little further back.
            since = max(since, to_ms(datetime.fromisoformat(each["updated_at"])) - _MARGIN_MS)
        yield fresh


def others_of_watch(vault: Vault, alert: Values) -> list[dict[str, Any]]:
    """Return the other alerts of the same watch, the oldest first."""
    same = (ALERTS.c.watch_id == alert["watch_id"], ALERTS.c.id != alert["id"])
    with vault.read() as rows:
        found = [summary(row) for row in rows.find(ALERTS, *same)] if alert["watch_id"] else []
    return sorted(found, key=lambda each: str(each["occurred_at"] or each["appended_at"]))


def is_open(each: dict[str, Any]) -> bool:
    """Whether an alert still needs somebody."""
    return each["stage"] in _OPEN or each["status"] == "unopened"


def case_named(vault: Vault, name: str) -> bytes:
    """Find what a case is about by the beginning of an alert's id, or of the case's own.

    Raises InputError unless there is one such.
    """
    with vault.read() as rows:
        ids = [row["id"] for row in rows.find(CASES, columns=("stage",))]
    found = [each for each in ids if each.hex().startswith(name.lower())]
    if len(found) == 1 and len(name) >= _SHORTEST_PREFIX:
        return bytes(found[0])
    return group_of(alert_row(vault, name))


def alert_row(vault: Vault, name: str) -> Values:
    """Find one alert by the beginning of its id. Raises InputError unless there is one such."""
    with vault.read() as rows:
        ids = [row["id"] for row in rows.find(ALERTS, columns=("status",))]
        found = [each for each in ids if each.hex().startswith(name.lower())]
        row = rows.get(ALERTS, found[0]) if len(found) == 1 else None
    if row is None or len(name) < _SHORTEST_PREFIX:
        raise InputError(
            f"expected {_SHORTEST_PREFIX} or more digits of one alert's id, got some that "
            f"{len(found)} answer to; see `silenthit alerts list`"
        )
    return row
