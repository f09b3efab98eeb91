"""News: who has to hear of a group of alerts now that one of them came, changed or went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from consumers.cases import case_of, cases_in, facts_of
from consumers.groups import Member, members, worst
from consumers.paging import cancel_pages, queue_page, told
from consumers.templates import code, public_fields
from consumers.times import from_ms
from consumers.triage import worse
from consumers.vault import Rows
from silenthit.call_tree.conditions import Fact, Facts
from silenthit.call_tree.escalation import Stage
from silenthit.call_tree.pages import Page, PageKind
from silenthit.call_tree.protocol import Protocol
from silenthit.identity.compare import Decision

_UNANSWERED = (Stage.CLIMBING, Stage.LAST_RESORT)


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who is told: channels of watches that name none, and the call tree."""

    channels: tuple[str, ...] = ()
    protocol: Protocol | None = None

    def hear(self, each: Member) -> bool:
        """Whether people hear of this alert, or find it in the list only."""
        opened, watch = each.opened, each.watch
        history = opened.common is not None and opened.common.history
        asked = watch.page_history or (self.protocol is not None and self.protocol.page_history)
        score = opened.verdict.probability if opened.verdict else None
        certain = opened.decision is not Decision.DISCARDED
        return certain and (asked or not history) and watch.wants(opened.decision.value, score)


def tell_news(
    into: Rows, group: bytes, to: Recipients, now: int, *, anew: bool = False, gone: str = ""
) -> bool:
    """Queue a page if the group got worse, and open its case; return whether people have to hear.

    A channel hears of a group once, and again only of a worse decision; a page that nobody has
    begun to post gives way to this one. `anew`: it had been taken back, so what people heard is
    void. When nothing is left to hear of, a case that nobody owns ends; with `gone`, the reason,
    any does.
    """
    cancel_pages(into, group, (PageKind.ALERT,))
    heard_of = [each for each in members(into, group) if to.hear(each)]
    most = worst(heard_of)
    if most is None:
        _end(into, group, to, now, gone)
        return False
    known = {} if anew and len(heard_of) == 1 else told(into, group)
    decision = most.opened.decision
    channels = tuple(name for name in _channels(heard_of, to) if worse(decision, known.get(name)))
    news = worse(decision, known.get(""))
    if news or channels:
        fields = {**public_fields(most.row["id"], most.opened), "code": code(group)}
        page = Page(kind=PageKind.ALERT, fields=fields, channels=channels)
        queue_page(into, group, page, decision, now)
    if news:
        moment, zone = from_ms(now), to.protocol.timezone if to.protocol else "UTC"
        facts = _facts(heard_of, most, moment, zone)
        cases_in(into, to.protocol, moment).hear(group, facts)
    return news


def _channels(heard_of: Iterable[Member], to: Recipients) -> Iterable[str]:
    """Yield the channels of the watches, each once."""
    return dict.fromkeys(name for each in heard_of for name in each.watch.deliver_to or to.channels)


def _facts(heard_of: list[Member], most: Member, moment: datetime, zone: str) -> Facts:
    """Return what a call tree may ask of the group: of the alert that weighs most, but for this.

    A child or a sign of trafficking in any record of the incident counts for all of it.
    """
    facts, *told = (
        facts_of(each.opened, each.watch.case_number, moment, zone) for each in (most, *heard_of)
    )
    return {
        **facts,
        "minor": any(each["minor"] for each in told),
        "indicators": _united(each["indicators"] for each in told),
        "offences": _united(each["offences"] for each in told),
    }


def _united(found: Iterable[Fact]) -> tuple[str, ...]:
    words = (word for each in found if isinstance(each, tuple) for word in each)
    return tuple(dict.fromkeys(words))


def _end(into: Rows, group: bytes, to: Recipients, now: int, gone: str) -> None:
    case = case_of(into, group)
    if gone or (case is not None and case.stage in _UNANSWERED):
        why = gone or "corrected by the agency: no longer one to answer"
        cases_in(into, to.protocol, from_ms(now)).end(group, why)
