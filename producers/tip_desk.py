"""The tip desk, as the agent sees it: a source that gives no records and makes the calls due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from producers.intake import Take, Tally
from producers.settings import AgencySettings, read_secret
from producers.tip_replies import TipReplies
from producers.tips import FIELDS, Link, Tips, no_link
from silenthit.call_tree.channels import Outlet, open_channel
from silenthit.call_tree.check import Weight, check_protocol
from silenthit.call_tree.links import LinkSigner
from silenthit.call_tree.protocol import Protocol, load_protocol
from silenthit.call_tree.templates import check_template
from silenthit.errors import SettingsError

PURGE_EVERY = timedelta(hours=1)


@dataclass(slots=True)
class TipDesk:
    """Escalates and posts every few seconds; drops, every hour, what was closed long ago."""

    tips: Tips
    outlets: Mapping[str, Outlet]
    kept: timedelta
    link: Link = no_link
    name: str = "tip-desk"
    every_s: float = 5.0
    _purged_at: datetime | None = field(default=None, init=False)

    def poll(self, take: Take, stopped: Callable[[], bool] = lambda: False) -> Tally:  # noqa: ARG002 it gives none
        """Make the calls that are due. Raises RetryError when the file can't be written."""
        self.tips.work(self.outlets, self.link)
        now = self.tips.now()
        if self._purged_at is None or now - self._purged_at >= PURGE_EVERY:
            self.tips.purge(self.kept)
            self._purged_at = now
        return Tally()


def open_tips(settings: AgencySettings) -> Tips:
    """The tips of an agency. Raises SettingsError, InputError for a protocol that can't be used."""
    protocol = sound_protocol(settings) if settings.tips else None
    return Tips(settings.outbox, read_secret(settings.keys.outbox), protocol)


def open_desk(settings: AgencySettings) -> TipDesk:
    """The desk with its channels. Raises SettingsError naming the key."""
    for name, each in settings.channels.items():
        check_template(name, each, public=FIELDS, private=())
    outlets = {name: open_channel(name, each) for name, each in settings.channels.items()}
    assert settings.tips is not None
    tips, kept = open_tips(settings), timedelta(days=settings.tips.keep_closed_days)
    if settings.replies is None:
        return TipDesk(tips, outlets, kept)
    return TipDesk(tips, outlets, kept, open_replies(settings, tips).link)


def open_replies(settings: AgencySettings, tips: Tips) -> TipReplies:
    """What people do by link. Raises SettingsError for a key that is none."""
    assert settings.replies is not None
    return TipReplies(tips, LinkSigner.open(settings.replies))


def sound_protocol(settings: AgencySettings) -> Protocol:
    """Read the call tree for tips. Raises SettingsError when it could leave somebody out."""
    assert settings.tips is not None
    protocol = load_protocol(settings.tips.protocol)
    found = check_protocol(protocol, settings.channels, datetime.now(UTC))
    errors = [each.text for each in found if each.weight is Weight.ERROR]
    if errors:
        raise SettingsError(
            f"expected a sound protocol in {settings.tips.protocol}: {'; '.join(errors)}"
        )
    return protocol
