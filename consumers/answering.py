"""Answering: what people do to a case by link, as the reply server asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from consumers.case_rows import CaseRows
from consumers.cases import case_of, cases_in
from consumers.partner import Partner
from consumers.templates import BODY, TITLE
from consumers.vault import Rows
from silenthit.call_tree.cases import Cases
from silenthit.call_tree.links import Claim, LinkSigner
from silenthit.call_tree.reply_app import Reply, Standing
from silenthit.call_tree.templates import render
from silenthit.errors import RefusedError


@dataclass(frozen=True, slots=True)
class PartnerDesk:
    """The cases of one partner."""

    partner: Partner
    signer: LinkSigner = field(repr=False)

    def read(self, token: str) -> Claim:
        """Return what a token allows. Raises RefusedError: not ours, expired, nobody's any more."""
        claim = self.signer.read(token, self.partner.now())
        protocol = self.partner.protocol
        if protocol is None or claim.person not in protocol.people:
            raise RefusedError(
                "expected a link of somebody in the call tree, got another's; ask the supervisor"
            )
        return claim

    def standing(self, claim: Claim) -> Standing:
        """Return where the case stands."""
        with self.partner.vault.read() as rows:
            return _standing(rows, claim.about)

    def act(self, claim: Claim, reply: Reply) -> Standing:
        """Do it, as the link's person. Raises RefusedError when they may not."""
        with self.partner.vault.write() as into:
            _act(cases_in(into, self.partner.protocol, self.partner.now()), claim, reply)
            return _standing(into, claim.about)


def _act(cases: Cases, claim: Claim, reply: Reply) -> None:
    about, who = claim.about, claim.person
    if reply.action == "claim":
        cases.claim(about, who)
    elif reply.action == "release":
        cases.release(about, who, reply.text)
    elif reply.action == "close":
        cases.close(about, who, reply.text)
    elif reply.action == "snooze":
        cases.snooze(about, who, reply.wait or timedelta(0))
    else:
        cases.note(about, who, reply.text)


def _standing(rows: Rows, about: bytes) -> Standing:
    fields, case = CaseRows(rows).fields(about), case_of(rows, about)
    return Standing(
        title=render(TITLE, fields),
        text=render(BODY, fields),
        stage=case.stage.value.replace("_", " ") if case else "nobody had to hear of it",
        owner=case.owner if case else "",
    )
