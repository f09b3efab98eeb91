"""Paging: pages in the vault, and what a channel is shown of an alert.

A page is queued in the transaction that stores its cause; `silenthit.call_tree.posting` posts it.
Without leave, nothing of a subject is shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy.sql.elements import ColumnElement

from consumers.opened_alerts import OpenedAlert, read_opened
from consumers.templates import BODY, CALL_BODY, TITLE, private_fields
from consumers.triage import worse
from consumers.vault import ALERTS, ATTEMPTS, PAGES, Rows, Values, Vault
from silenthit.call_tree.channels import ChannelSettings, Outlet
from silenthit.call_tree.pages import Leased, Page, PageKind, PageState, TryOutcome
from silenthit.call_tree.posting import Posted, post_due
from silenthit.call_tree.templates import render
from silenthit.identity.compare import Decision

_ID_BYTES = 16
_DUE = PAGES.c.state.in_([PageState.DUE, PageState.POSTING])

# The claim link of somebody (empty: of whoever reads a channel) for what a page is about.
Link = Callable[[bytes, str], str]


def no_link(_about: bytes, _person: str) -> str:
    """Return the link of a partner without a reply server: none."""
    return ""


def queue_page(into: Rows, about: bytes, page: Page, decision: Decision, now: int) -> None:
    """Write a page to be posted; one without channels is only remembered."""
    into.put(
        PAGES,
        secrets.token_bytes(_ID_BYTES),
        {
            "alert_id": about,
            "due_at": now,
            "tries": 0,
            "state": PageState.DUE if page.channels else PageState.POSTED,
            "kind": page.kind,
            "decision": decision.value,
            "private": page.model_dump_json().encode(),
        },
    )


def cancel_pages(into: Rows, about: bytes, kinds: Collection[PageKind]) -> None:
    """Take back what nobody has begun to post, of these kinds; of calls whatever is not posted.

    A channel that may have had an alert has to hear what becomes of it: that page stays.
    """
    untouched = (PAGES.c.state == PageState.DUE) & (PAGES.c.tries == 0)
    waiting = (
        PAGES.c.alert_id == about,
        PAGES.c.kind.in_(kinds),
        untouched | (_DUE & (PAGES.c.kind == PageKind.CALL)),
    )
    into.change(PAGES, *waiting, values={"state": PageState.CANCELLED})


def told(rows: Rows, about: bytes) -> dict[str, Decision]:
    """Return the worst decision that each channel was told; "" is told of every page."""
    found: dict[str, Decision] = {}
    posted = (
        PAGES.c.alert_id == about,
        PAGES.c.kind == PageKind.ALERT,
        PAGES.c.state != PageState.CANCELLED,
    )
    for row in rows.find(PAGES, *posted):
        decision = Decision(row["decision"])
        for name in ("", *Page.model_validate_json(row["private"]).channels):
            if worse(decision, found.get(name)):
                found[name] = decision
    return found


@dataclass(frozen=True, slots=True)
class PageRows:
    """The pages of a vault, as posting asks for them."""

    vault: Vault

    def lease(self, now: int, until: int) -> Leased | None:
        """Take the page that has waited longest; nobody else will take it until then."""
        due = (_DUE, PAGES.c.due_at <= now)
        with self.vault.read() as rows:  # most of the time there is nothing: lock nobody out
            if not rows.count(PAGES, *due):
                return None
        with self.vault.write() as into:
            waiting = into.find(PAGES, *due, columns=("state", "due_at"))
            for row in sorted(waiting, key=lambda each: int(each["due_at"])):
                as_seen = {"state": row["state"], "due_at": row["due_at"]}
                taken = {"state": PageState.POSTING, "due_at": until}
                if into.swap(PAGES, row["id"], as_seen, taken):
                    return _leased(into.get(PAGES, row["id"]) or {}, until)
        return None

    def tries(self, page_id: bytes) -> list[tuple[str, TryOutcome]]:
        """Return channel and outcome of every try of a page so far."""
        with self.vault.read() as rows:
            found = list(rows.find(ATTEMPTS, ATTEMPTS.c.page_id == page_id))
        return [(row["private"].decode(), TryOutcome(row["outcome"])) for row in found]

    def begin(self, leased: Leased, channel: str, now: int) -> bytes | None:
        """Write down that a post is about to be made, None if it must not be any more."""
        attempt = secrets.token_bytes(_ID_BYTES)
        made = {"page_id": leased.page_id, "at": now, "outcome": TryOutcome.TRYING}
        with self.vault.write() as into:
            if not into.count(PAGES, *_held(leased)):
                return None
            into.add(ATTEMPTS, [(attempt, {**made, "private": channel.encode()})])
        return attempt

    def end(self, try_id: bytes, outcome: TryOutcome) -> None:
        """Write down what became of it."""
        with self.vault.write() as into:
            into.put(ATTEMPTS, try_id, {"outcome": outcome})

    def done(self, leased: Leased) -> None:
        """It is posted."""
        with self.vault.write() as into:
            into.change(PAGES, *_held(leased), values={"state": PageState.POSTED})

    def again(self, leased: Leased, due_at: int) -> None:
        """It is due again then."""
        again = {"state": PageState.DUE, "tries": leased.tries + 1, "due_at": due_at}
        with self.vault.write() as into:
            into.change(PAGES, *_held(leased), values=again)


def _held(leased: Leased) -> tuple[ColumnElement[bool], ...]:
    """Conditions on a page that is still leased as it was."""
    posting = PAGES.c.state == PageState.POSTING
    return (PAGES.c.id == leased.page_id, posting, PAGES.c.due_at == leased.until)


def _leased(row: Values, until: int) -> Leased:
    return Leased(
        page_id=row["id"],
        about=row["alert_id"],
        page=Page.model_validate_json(row["private"]),
        tries=row["tries"],
        until=until,
    )


def post_pages(
    vault: Vault, outlets: Mapping[str, Outlet], clock: Callable[[], int], link: Link = no_link
) -> Posted:
    """Post what is due from this vault."""
    return post_due(PageRows(vault), outlets, clock, partial(_shown, vault, link))


def _shown(vault: Vault, link: Link, leased: Leased, settings: ChannelSettings) -> tuple[str, str]:
    """Return title and body by the channel's template; a notice is always the same."""
    page = leased.page
    if page.kind is PageKind.NOTICE:
        return render(TITLE, page.fields), _notice(page.fields)
    fields = {**page.fields, "link": link(leased.about, page.person)}
    if settings.subject_data:
        fields |= private_fields(_still_there(vault, fields.get("alert_id", "")))
    body = settings.body or (CALL_BODY if page.kind is PageKind.CALL else BODY)
    return render(settings.title or TITLE, fields), render(body, fields).rstrip()


def _notice(fields: Mapping[str, str]) -> str:
    about = f"\nalert {fields['alert_id']}" if "alert_id" in fields else ""
    return fields.get("why", "") + about


def _still_there(vault: Vault, alert_id: str) -> OpenedAlert | None:
    with vault.read() as rows:
        row = rows.get(ALERTS, bytes.fromhex(alert_id))
    return read_opened(row) if row else None
