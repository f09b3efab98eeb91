"""Paging: tell people of an alert, on each of its channels, once.

A page is queued in the transaction that stores its alert. Whoever posts takes a lease, and records
each try before it and its outcome after it. A try without outcome is a crash: the page may have
been posted, so it is tried once more on that channel and never again, and the next channel is used
where one is enough. What is shown is the channel's template, by default without subject data.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from consumers.opened_alerts import OpenedAlert, read_opened
from consumers.settings import ChannelSettings
from consumers.templates import BODY, CALL_BODY, TITLE, private_fields, render
from consumers.triage import worse
from consumers.vault import ALERTS, ATTEMPTS, PAGES, Rows, Values, Vault
from schemas.parts import Frozen
from silenthit.call_tree.channels import Channel
from silenthit.errors import SilentHitError
from silenthit.identity.compare import Decision

LEASE_MS = 30_000
FIRST_RETRY_MS = 5_000
LONGEST_RETRY_MS = 600_000
MOST_UNKNOWN = 2  # tries without outcome on one channel
_ID_BYTES = 16


class PageState(StrEnum):
    """Where a page is on its way."""

    DUE = "due"
    POSTING = "posting"  # somebody holds a lease; due again when that runs out
    POSTED = "posted"
    CANCELLED = "cancelled"  # withdrawn, claimed or overtaken before it was posted


class PageKind(StrEnum):
    """What a page is for."""

    ALERT = "alert"  # to the channels of the watch
    CALL = "call"  # to one person, by the call tree
    NOTICE = "notice"  # to those who have it: it was claimed, closed, withdrawn …


class Page(Frozen):
    """What is posted, and where."""

    kind: PageKind
    fields: dict[str, str]  # templates.PUBLIC, and for a notice its text
    channels: tuple[str, ...]
    first_is_enough: bool = False  # stop at the first channel that takes it


@dataclass(frozen=True, slots=True)
class Outlet:
    """A channel with what it may show."""

    channel: Channel
    settings: ChannelSettings = field(repr=False)


@dataclass(frozen=True, slots=True)
class Posted:
    """One round: how many posts went through and how many have to be tried again."""

    posted: int = 0
    failed: int = 0


def page_if_worse(
    into: Rows,
    alert: Values,
    fields: Mapping[str, str],
    channels: tuple[str, ...],
    now: int,
    *,
    anew: bool = False,
) -> bool:
    """Queue a page unless people heard of it with a decision as bad; whether they have to hear.

    `alert` has the columns of its row. A page that nobody has begun to post gives way to this one.
    `anew`: it was withdrawn or retracted in the meantime, so what they heard before is void.
    """
    cancel_pages(into, alert["id"], PageKind.ALERT)
    heard = (
        PAGES.c.alert_id == alert["id"],
        PAGES.c.kind == PageKind.ALERT,
        PAGES.c.state != PageState.CANCELLED,
    )
    told = [Decision(row["decision"]) for row in into.find(PAGES, *heard, columns=("decision",))]
    decision = Decision(alert["decision"])
    if not all(worse(decision, each) for each in (None, *(() if anew else told))):
        return False
    page = Page(kind=PageKind.ALERT, fields=dict(fields), channels=channels)
    queue_page(into, alert["id"], page, decision, now)
    return True


def queue_page(into: Rows, alert_id: bytes, page: Page, decision: Decision, now: int) -> None:
    """Write a page to be posted; one without channels is only remembered."""
    into.put(
        PAGES,
        secrets.token_bytes(_ID_BYTES),
        {
            "alert_id": alert_id,
            "due_at": now,
            "tries": 0,
            "state": PageState.DUE if page.channels else PageState.POSTED,
            "kind": page.kind,
            "decision": decision.value,
            "private": page.model_dump_json().encode(),
        },
    )


def cancel_pages(into: Rows, alert_id: bytes, *kinds: PageKind) -> None:
    """Do not post what nobody has begun to post, of these kinds."""
    waiting = (
        PAGES.c.alert_id == alert_id,
        PAGES.c.kind.in_(kinds),
        PAGES.c.state == PageState.DUE,
        (PAGES.c.tries == 0) | (PAGES.c.kind == PageKind.CALL),
    )
    for row in into.find(PAGES, *waiting, columns=("state",)):
        into.put(PAGES, row["id"], {"state": PageState.CANCELLED})


def post_due(vault: Vault, outlets: Mapping[str, Outlet], clock: Callable[[], int]) -> Posted:
    """Post what is due, each page to those of its channels that have not had it."""
    posted = failed = 0
    while (row := _lease(vault, clock())) is not None:
        page = Page.model_validate_json(row["private"])
        had, spent = _tried(vault, row["id"])
        for name in page.channels:
            if name in had | spent or (page.first_is_enough and had):
                continue
            if _try(vault, row, name, outlets, page=page, clock=clock):
                posted, had = posted + 1, had | {name}
            else:
                failed += 1
        enough = bool(had) if page.first_is_enough else False
        _finish(vault, row, clock(), done=enough or had | spent >= set(page.channels))
    return Posted(posted, failed)


def _lease(vault: Vault, now: int) -> Values | None:
    """Take the page that has waited longest; nobody else will take it for as long as the lease."""
    due = (PAGES.c.state.in_([PageState.DUE, PageState.POSTING]), PAGES.c.due_at <= now)
    with vault.read() as rows:  # most of the time there is nothing, and nobody has to be locked out
        if not rows.count(PAGES, *due):
            return None
    with vault.write() as into:
        waiting = sorted(into.find(PAGES, *due), key=lambda row: int(row["due_at"]))
        for row in waiting:
            as_seen = {"state": row["state"], "due_at": row["due_at"]}
            taken = {"state": PageState.POSTING, "due_at": now + LEASE_MS}
            if into.swap(PAGES, row["id"], as_seen, taken):
                return row
    return None


def _tried(vault: Vault, page_id: bytes) -> tuple[set[str], set[str]]:
    """Return the channels that had the page, and those that may have had it often enough."""
    had: set[str] = set()
    unknown: Counter[str] = Counter()
    with vault.read() as rows:
        for row in rows.find(ATTEMPTS, ATTEMPTS.c.page_id == page_id):
            name = row["private"].decode()
            if row["outcome"] == "posted":
                had.add(name)
            unknown[name] += row["outcome"] == "trying"
    return had, {name for name, times in unknown.items() if times >= MOST_UNKNOWN}


def _try(
    vault: Vault,
    row: Values,
    name: str,
    outlets: Mapping[str, Outlet],
    *,
    page: Page,
    clock: Callable[[], int],
) -> bool:
    """Post to one channel, the try written down before and its outcome after."""
    attempt, made = secrets.token_bytes(_ID_BYTES), {"page_id": row["id"], "at": clock()}
    with vault.write() as into:
        begun = {**made, "outcome": "trying", "private": name.encode()}
        into.put(ATTEMPTS, attempt, begun)
    outcome = _post(vault, row, outlets.get(name), page)
    with vault.write() as into:
        into.put(ATTEMPTS, attempt, {"outcome": outcome})
    return outcome == "posted"


def _post(vault: Vault, row: Values, outlet: Outlet | None, page: Page) -> str:
    if outlet is None:
        return "no_channel"
    try:
        outlet.channel.post(*_shown(vault, row, outlet.settings, page))
    except SilentHitError:
        return "failed"
    return "posted"


def _shown(vault: Vault, row: Values, settings: ChannelSettings, page: Page) -> tuple[str, str]:
    """Return title and body by the channel's template; a notice is always the same."""
    if page.kind is PageKind.NOTICE:
        return render(TITLE, page.fields), _notice(page.fields)
    fields = dict(page.fields)
    if settings.subject_data:
        fields |= private_fields(_still_there(vault, row["alert_id"]))
    body = settings.body or (CALL_BODY if page.kind is PageKind.CALL else BODY)
    return render(settings.title or TITLE, fields), render(body, fields)


def _notice(fields: Mapping[str, str]) -> str:
    about = f"\nalert {fields['alert_id']}" if "alert_id" in fields else ""
    return fields.get("why", "") + about


def _still_there(vault: Vault, alert_id: bytes) -> OpenedAlert | None:
    with vault.read() as rows:
        row = rows.get(ALERTS, alert_id)
    return read_opened(row) if row else None


def _finish(vault: Vault, row: Values, now: int, *, done: bool) -> None:
    wait = min(FIRST_RETRY_MS * 2 ** min(row["tries"], 10), LONGEST_RETRY_MS)
    again = {"state": PageState.DUE, "tries": row["tries"] + 1, "due_at": now + wait}
    with vault.write() as into:
        into.put(PAGES, row["id"], {"state": PageState.POSTED} if done else again)
