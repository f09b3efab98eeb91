"""Paging: tell people of an alert, on each of its channels, once.

A page is queued in the transaction that stores its alert, and says nothing of a subject: label,
kind, agency, time, score, alert id. Whoever posts takes a lease first and records each attempt, so
that only a crash between a post and its record can repeat one, and at most once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from silenthit.call_tree.channels import Channel
from consumers.opened_alerts import OpenedAlert, iso
from consumers.triage import worse
from consumers.vault import ALERTS, ATTEMPTS, PAGES, Rows, Values, Vault
from schemas.parts import Frozen
from silenthit.errors import SilentHitError
from silenthit.identity.compare import Decision

LEASE_MS = 120_000
FIRST_RETRY_MS = 5_000
LONGEST_RETRY_MS = 600_000
_ID_BYTES = 16


class PageState(StrEnum):
    """Where a page is on its way."""

    DUE = "due"
    POSTING = "posting"  # somebody holds a lease; due again when that runs out
    POSTED = "posted"
    CANCELLED = "cancelled"  # the alert was withdrawn or retracted first


class Page(Frozen):
    """What is posted, and where."""

    title: str
    body: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PageText:
    """A page with the decision that it tells."""

    decision: Decision
    page: Page = field(repr=False)


@dataclass(frozen=True, slots=True)
class Posted:
    """One round: how many posts went through and how many have to be tried again."""

    posted: int = 0
    failed: int = 0


def page_text(alert_id: bytes, opened: OpenedAlert, channels: tuple[str, ...]) -> PageText:
    """Return what is posted; no subject data, whatever the alert holds."""
    score = f"{opened.verdict.probability:.0%}" if opened.verdict else "not scored"
    kind = opened.kind.replace("_", " ")
    at = iso(opened.occurred_at) if opened.occurred_at else "time not given"
    title = f"SilentHit {opened.decision.value}: {opened.label}"
    body = f"{kind}, {opened.agency}, {at}\nscore {score}\nalert {alert_id.hex()}"
    return PageText(opened.decision, Page(title=title, body=body, channels=channels))


def page_if_worse(into: Rows, alert: Values, text: PageText, now: int) -> bool:
    """Queue a page unless people heard of it with a decision as bad; whether it did.

    `alert` has the columns of its row. A watch has a registration an epoch, so a record that is
    corrected in the next epoch comes under another alert id: it is heard of all the same. A page
    that nobody has begun to post gives way to this one.
    """
    same = (ALERTS.c.watch_id == alert["watch_id"], ALERTS.c.record_id == alert["record_id"])
    ids = [row["id"] for row in into.find(ALERTS, *same, columns=("status",))]
    for each in ids:
        cancel_pages(into, each)
    heard = (PAGES.c.alert_id.in_(ids), PAGES.c.state != PageState.CANCELLED)
    told = [Decision(row["decision"]) for row in into.find(PAGES, *heard, columns=("decision",))]
    if not all(worse(text.decision, each) for each in (*told, None)):
        return False
    into.put(
        PAGES,
        alert["id"] + alert["revision"].to_bytes(4, "big"),
        {
            "alert_id": alert["id"],
            "due_at": now,
            "tries": 0,
            "state": PageState.DUE if text.page.channels else PageState.POSTED,
            "decision": text.decision.value,
            "private": text.page.model_dump_json().encode(),
        },
    )
    return True


def cancel_pages(into: Rows, alert_id: bytes) -> None:
    """Do not post what nobody has begun to post."""
    waiting = (PAGES.c.alert_id == alert_id, PAGES.c.state == PageState.DUE, PAGES.c.tries == 0)
    for row in into.find(PAGES, *waiting, columns=("state",)):
        into.put(PAGES, row["id"], {"state": PageState.CANCELLED})


def post_due(vault: Vault, channels: Mapping[str, Channel], clock: Callable[[], int]) -> Posted:
    """Post what is due, each page to those of its channels that have not had it."""
    posted = failed = 0
    while (row := _lease(vault, clock())) is not None:
        page = Page.model_validate_json(row["private"])
        left = 0
        for name in page.channels:
            if name in _done(vault, row["id"]):
                continue
            outcome = _post(channels.get(name), page)
            _record(vault, row["id"], name, outcome, clock())
            posted += outcome == "posted"
            left += outcome != "posted"
        failed += left
        _finish(vault, row, left, clock())
    return Posted(posted, failed)


def _lease(vault: Vault, now: int) -> Values | None:
    """Take the page that has waited longest; nobody else will take it for as long as the lease."""
    due = (PAGES.c.state.in_([PageState.DUE, PageState.POSTING]), PAGES.c.due_at <= now)
    with vault.write() as into:
        found = min(into.find(PAGES, *due), key=lambda row: row["due_at"], default=None)
        if found is not None:
            into.put(PAGES, found["id"], {"state": PageState.POSTING, "due_at": now + LEASE_MS})
    return found


def _done(vault: Vault, page_id: bytes) -> set[str]:
    had = (ATTEMPTS.c.page_id == page_id, ATTEMPTS.c.outcome == "posted")
    with vault.read() as rows:
        return {row["private"].decode() for row in rows.find(ATTEMPTS, *had)}


def _post(channel: Channel | None, page: Page) -> str:
    if channel is None:
        return "no_channel"
    try:
        channel.post(page.title, page.body)
    except SilentHitError:
        return "failed"
    return "posted"


def _record(vault: Vault, page_id: bytes, name: str, outcome: str, now: int) -> None:
    columns = {"page_id": page_id, "at": now, "outcome": outcome, "private": name.encode()}
    with vault.write() as into:
        into.put(ATTEMPTS, secrets.token_bytes(_ID_BYTES), columns)


def _finish(vault: Vault, row: Values, left: int, now: int) -> None:
    wait = min(FIRST_RETRY_MS * 2 ** min(row["tries"], 10), LONGEST_RETRY_MS)
    again = {"state": PageState.DUE, "tries": row["tries"] + 1, "due_at": now + wait}
    with vault.write() as into:
        into.put(PAGES, row["id"], again if left else {"state": PageState.POSTED})
