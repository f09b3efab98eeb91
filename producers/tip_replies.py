"""Tips' cases behind the reply server: what people do to one by the link in their message."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from producers.tip_rows import short
from producers.tips import TITLE, Tips
from silenthit.call_tree.links import Claim, LinkSigner
from silenthit.call_tree.reply_app import Reply, Standing
from silenthit.call_tree.templates import render


@dataclass(frozen=True, slots=True)
class TipReplies:
    """The tips of one agency, as `silenthit.call_tree.reply_app` asks for them."""

    tips: Tips
    signer: LinkSigner = field(repr=False)

    def link(self, about: bytes, person: str) -> str:
        """The link of somebody for a tip, in a message sent now."""
        return self.signer.link(about, person, self.tips.now())

    def read(self, token: str) -> Claim:
        """Return what a token allows. Raises RefusedError: not ours, expired, nobody's any more."""
        claim = self.signer.read(token, self.tips.now())
        self.tips.person(claim.person)
        return claim

    def standing(self, claim: Claim) -> Standing:
        """Return where the tip stands; never what it says."""
        case, tip_id = self.tips.standing(claim.about), short(claim.about)
        return Standing(
            title=render(TITLE, {"tip_id": tip_id}),
            text=f"silenthit agency tips show {tip_id}",
            stage=case.stage.value.replace("_", " "),
            owner=case.owner,
        )

    def act(self, claim: Claim, reply: Reply) -> Standing:
        """Do it, as the link's person. Raises RefusedError when they may not."""
        about, who = claim.about, claim.person
        if reply.action == "claim":
            self.tips.claim(about, who)
        elif reply.action == "release":
            self.tips.release(about, who, reply.text)
        elif reply.action == "close":
            self.tips.close(about, who, reply.text)
        elif reply.action == "snooze":
            self.tips.snooze(about, who, reply.wait or timedelta(0))
        else:
            self.tips.note(about, who, reply.text)
        return self.standing(claim)
