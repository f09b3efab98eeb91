"""The story of an alert: what it says, whose it is, what was done, and what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consumers.alert_list import alert_row, others_of_watch
from consumers.cases import case_of
from consumers.groups import group_of
from consumers.history import Event, history, write_down
from consumers.opened_alerts import OpenedAlert, read_opened, summary
from consumers.vault import ALERTS, WATCHES, Rows, Values, Vault
from consumers.watches import Watch
from silenthit.call_tree.escalation import Case


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """One alert with all that a person has to know of it."""

    head: dict[str, Any]  # summary, stage, owner
    opened: OpenedAlert | None = field(repr=False)
    watch: Watch | None = field(repr=False)
    done: list[dict[str, Any]]  # to the alert and to its group, in order
    group: list[dict[str, Any]]  # summaries of the other alerts on this subject and incident
    others: list[dict[str, Any]]  # of the same watch, the oldest first


def story(vault: Vault, name: str, now: datetime) -> Story:
    """Tell of the alert whose id begins with `name`; that it was viewed is written down."""
    row = alert_row(vault, name)
    group = group_of(row)
    with vault.write() as rows:
        case, watch = case_of(rows, group), _watch(rows, row)
        done = _done(rows, row["id"], group)
        same = _group(rows, row, group)
        write_down(rows, row["id"], "viewed", Event(who=vault.actor.name), now)
    together = {each["alert_id"] for each in same}
    others = [each for each in others_of_watch(vault, row) if each["alert_id"] not in together]
    return Story(
        head={**summary(row), **standing(case)},
        opened=read_opened(row),
        watch=watch,
        done=done,
        group=same,
        others=others,
    )


def standing(case: Case | None) -> dict[str, str | None]:
    """Return stage and owner for `--json`."""
    return {
        "stage": case.stage.value if case else None,
        "owner": (case.owner or None) if case else None,
    }


def _watch(rows: Rows, row: Values) -> Watch | None:
    found = rows.get(WATCHES, row["watch_id"]) if row["watch_id"] is not None else None
    return Watch.model_validate_json(found["private"]) if found else None


def _done(rows: Rows, alert_id: bytes, group: bytes) -> list[dict[str, Any]]:
    found = history(rows, group)
    if group != alert_id:
        found += history(rows, alert_id)
    return sorted(found, key=lambda each: str(each["at"]))


def _group(rows: Rows, row: Values, group: bytes) -> list[dict[str, Any]]:
    same = rows.find(ALERTS, ALERTS.c.group_id == group, ALERTS.c.id != row["id"])
    return sorted(map(summary, same), key=lambda each: str(each["received_at"]))
