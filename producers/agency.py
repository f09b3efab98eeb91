"""Wire one agency together from its configuration: the one place where its parts meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from producers.intake import Intake
from producers.outbox import Outbox
from producers.publisher import Dispatcher
from producers.records import Rejection
from producers.settings import AgencySettings, read_secret
from producers.touch import Sealer
from silenthit.blinding.access import open_epochs, open_prf
from silenthit.bus.clients import Publisher
from silenthit.settings import load_toml


def load(config: Path) -> AgencySettings:
    """Read agency.toml. Raises SettingsError naming the key."""
    return load_toml(config, AgencySettings)


@contextmanager
def open_outbox(settings: AgencySettings) -> Iterator[Outbox]:
    """Open the outbox for the length of a block."""
    outbox = Outbox(settings.outbox, read_secret(settings.keys.outbox))
    try:
        yield outbox
    finally:
        outbox.close()


def intake(
    settings: AgencySettings,
    outbox: Outbox,
    reject: Callable[[Rejection], None],
    *,
    reinstate: bool = False,
) -> Intake:
    """The way into an outbox."""
    return Intake(
        outbox=outbox,
        record_secret=read_secret(settings.keys.records),
        area_code=settings.area_code,
        retention_years=settings.retention_years,
        narratives=settings.read_narratives,
        reject=reject,
        reinstate=reinstate,
    )


def sealer(settings: AgencySettings) -> Sealer:
    """What turns drafts into touches of the current epoch."""
    return Sealer(
        prf=open_prf(settings.blinding),
        epoch=open_epochs(settings.blinding).current,
        sender=settings.key_id,
        signer=settings.signer(),
        ori=settings.ori,
        agency=settings.name,
        policy=settings.sharing,
    )


@contextmanager
def open_dispatcher(
    settings: AgencySettings, outbox: Outbox, *, confirm_s: float = 130.0
) -> Iterator[Dispatcher]:
    """The way out of an outbox, connected for the length of a block."""
    made, sender = sealer(settings), settings.sender_key()
    bus = Publisher(settings.bus.agency, client_id=f"agency-{settings.ori.lower()}")
    try:
        yield Dispatcher(outbox=outbox, sealer=made, bus=bus, sender=sender, confirm_s=confirm_s)
    finally:
        # What is not confirmed by now is in the outbox, so there is nothing to wait for.
        bus.close(timeout=0.5)
