"""Coverage: which agencies' canaries come through, and who hears of one that does not."""

from __future__ import annotations

from datetime import datetime

from consumers.canaries import (
    Canary,
    canaries,
    canary_fields,
    canary_watch,
    mark_missed,
    newly_missed,
    place,
)
from consumers.cases import cases_in
from consumers.paging import queue_page
from consumers.partner import Partner
from consumers.placing import add_watches
from consumers.signers import TrustedSigner, trusted
from consumers.times import to_ms
from consumers.vault import Rows
from silenthit.call_tree.pages import Page, PageKind
from silenthit.call_tree.protocol import to_operator
from silenthit.identity.compare import Decision


def ori_of(signer: TrustedSigner) -> str:
    """Return the organisation behind a signer's key id, `<ORI>#<n>`."""
    return signer.key_id.partition("#")[0]


def uncovered(rows: Rows) -> dict[str, str]:
    """Return ORI and name of each trusted agency without a canary watch."""
    known = {each.ori for each in canaries(rows)}
    return {ori_of(each): each.name for each in trusted(rows) if ori_of(each) not in known}


def add_canaries(partner: Partner) -> list[str]:
    """Place a canary watch for each trusted agency that has none; return their ORIs."""
    now = partner.now()
    with partner.vault.read() as rows:
        missing = uncovered(rows)
    if not missing:
        return []
    with partner.blinding() as blinding:
        add_watches(
            partner.vault,
            [canary_watch(ori, now) for ori in missing],
            partner=partner.settings.name,
            epochs=blinding.epochs().watchable,
            prf=blinding.prf,
            now=now,
        )
    with partner.vault.write() as into:
        for ori, name in missing.items():
            place(into, ori, name, now)
    return list(missing)


def call_operator(partner: Partner, since: datetime) -> list[Canary]:
    """Call the operator about each canary that is newly overdue; return them.

    By the call tree, or to the partner's own channels where there is none. `since` is when this
    process began to read.
    """
    now, limit = partner.now(), partner.settings.canary_missed_after
    with partner.vault.read() as rows:
        if not newly_missed(rows, limit, now, since):
            return []
    with partner.vault.write() as into:
        missed = newly_missed(into, limit, now, since)
        for each in missed:
            mark_missed(into, each)
            _call(into, partner, each, now)
    return missed


def _call(into: Rows, partner: Partner, canary: Canary, now: datetime) -> None:
    cases = cases_in(into, partner.protocol, now)
    way = to_operator(partner.protocol) if partner.protocol is not None else None
    cases.open(canary.about, way, "its canary is missed again")
    if way is None:
        fields = {**canary_fields(into, canary.about), "why": "no canary came through in time"}
        page = Page(kind=PageKind.ALERT, fields=fields, channels=partner.settings.deliver_to)
        queue_page(into, canary.about, page, Decision.POSSIBLE, to_ms(now))
