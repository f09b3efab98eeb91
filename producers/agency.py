"""Wire one agency together from its configuration: the one place where its parts meet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from producers.agent import Agent, Server, Source
from producers.canary import Canary, canary_id
from producers.intake import Intake
from producers.ledger import Ledger
from producers.operation_publisher import OperationPublisher
from producers.outbox import Outbox
from producers.pace import Pace
from producers.publisher import Dispatcher
from producers.records import Record, Rejection
from producers.settings import AgencySettings, FolderSettings, QuerySettings, read_secret
from producers.sharing import SharingPolicy
from producers.sources.folder import Folder
from producers.sources.mapping import ColumnMapping
from producers.touch import Sealer, record_id
from silenthit.blinding.access import open_client, open_epochs, open_prf
from silenthit.bus.clients import Publisher
from silenthit.errors import SettingsError
from silenthit.settings import load_toml

if TYPE_CHECKING:
    from producers.conflict_desk import ConflictDesk
    from producers.tips import Tips

_log = structlog.get_logger(__name__)


def load(config: Path) -> AgencySettings:
    """Read agency.toml. Raises SettingsError naming the key."""
    return load_toml(config, AgencySettings)


@contextmanager
def open_outbox(settings: AgencySettings) -> Iterator[Outbox]:
    """Open the outbox for the length of a block."""
    limit = settings.outbox_max_mb * 2**20
    outbox = Outbox(
        settings.outbox,
        read_secret(settings.keys.outbox),
        max_bytes=limit,
        keep=timedelta(days=settings.outbox_keep_days),
    )
    try:
        yield outbox
    finally:
        outbox.close()


def intake(
    settings: AgencySettings,
    outbox: Outbox,
    *,
    reinstate: bool = False,
    history: bool = False,
) -> Intake:
    """The way into an outbox."""
    return Intake(
        outbox=outbox,
        record_secret=read_secret(settings.keys.records),
        area_code=settings.area_code,
        retention_years=settings.retention_years,
        narratives=settings.read_narratives,
        policy=settings.sharing,
        reinstate=reinstate,
        history=history,
        tips=_tips(settings),
        operations=settings.operations,
    )


def check_operation(settings: AgencySettings, outbox: Outbox, record: Record) -> None:
    """Refuse an operation beyond the agency's ceilings. Raises InputError naming the ceiling."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    ident = record_id(read_secret(settings.keys.records), record.number)
    settings.operations.check(record, outbox.operations.new_since(today, ident))


def _tips(settings: AgencySettings) -> Tips | None:
    if settings.tips is None:
        return None
    from producers.tip_desk import open_tips  # noqa: PLC0415 only who takes tips needs it

    return open_tips(settings)


def _desk(settings: AgencySettings) -> tuple[Source, ...]:
    if settings.tips is None:
        return ()
    from producers.tip_desk import open_desk  # noqa: PLC0415

    return (open_desk(settings),)


def conflict_desk(settings: AgencySettings, outbox: Outbox) -> ConflictDesk:
    """What tells of conflicts with other agencies' operations; connected while one stands."""
    from producers.conflict_desk import ConflictDesk  # noqa: PLC0415 it brings triage
    from producers.conflicts import Conflicts  # noqa: PLC0415
    from silenthit.look_up.signers import trusted  # noqa: PLC0415

    own = settings.signer()
    return ConflictDesk(
        bus=settings.bus.agency,
        ori=settings.ori,
        conflicts=Conflicts(settings.outbox, read_secret(settings.keys.outbox)),
        operations=outbox.operations,
        keys=lambda: trusted(settings.signers) | {own.key_id: own.key.public_key()},
        tips=_tips(settings),
    )


@contextmanager
def open_sealer(settings: AgencySettings, *, history: bool = False) -> Iterator[Sealer]:
    """What turns drafts into touches of the current epoch; a key holder is asked only when used.

    For `history` it is asked on the booking for old records, after live traffic.
    """
    blinding = settings.blinding
    if history:
        blinding = blinding.model_copy(update={"backfill": True})
    with closing(open_client(blinding)) if blinding.key_holders else nullcontext() as client:
        epochs = client.epochs if client else partial(open_epochs, blinding)
        yield Sealer(
            prf=client or open_prf(blinding),
            current_epoch=lambda: epochs().current,
            sender=settings.sender_key().key_id,
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
    sender = settings.sender_key()
    with open_sealer(settings) as made, open_sealer(settings, history=True) as slow:
        bus = Publisher(settings.bus.agency, client_id=f"agency-{settings.ori.lower()}")
        try:
            yield Dispatcher(
                outbox=outbox,
                sealer=made,
                history_sealer=slow,
                operations=OperationPublisher(
                    outbox=outbox, sealer=made, bus=bus, sender=sender, confirm_s=confirm_s
                ),
                pace=Pace(settings.history_per_s),
                bus=bus,
                sender=sender,
                confirm_s=confirm_s,
            )
        finally:
            # What is not confirmed by now is in the outbox, so there is nothing to wait for.
            bus.close(timeout=0.5)


def sources(settings: AgencySettings, ledger: Ledger) -> tuple[Source, ...]:
    """Every source of the configuration. Raises SettingsError for a mapping that does not fit."""
    return tuple(_source(each, settings, ledger) for each in settings.sources)


def _source(
    source: FolderSettings | QuerySettings, settings: AgencySettings, ledger: Ledger
) -> Source:
    mapping = load_toml(source.mapping, ColumnMapping) if source.mapping else ColumnMapping()
    if isinstance(source, FolderSettings):
        return Folder(
            name=source.name,
            every_s=source.every_s,
            path=source.path,
            mapping=mapping,
            timezone=settings.zone,
        )
    from producers.sources.sql import Query  # noqa: PLC0415 only who polls a database needs it

    return Query(
        name=source.name,
        every_s=source.every_s,
        url=_url(source),
        query=source.query,
        modified=source.modified,
        since=source.since,
        overlap=timedelta(seconds=source.overlap_s),
        mapping=mapping,
        timezone=settings.zone,
        ledger=ledger,
        reject=partial(_log_rejection, source.name),
    )


def _url(source: QuerySettings) -> str:
    url = os.environ.get(source.url_env, "") if source.url_env else source.url.get_secret_value()
    if not url:
        raise SettingsError(
            f"expected the database of source {source.name} in `url`, or in the environment "
            "variable that `url_env` names"
        )
    return url


def _log_rejection(source: str, rejection: Rejection) -> None:
    _log.warning("not taken", source=source, reason=str(rejection))


@contextmanager
def open_agent(settings: AgencySettings) -> Iterator[Agent]:
    """Everything that `agency run` needs, for the length of a block."""
    with open_outbox(settings) as outbox, open_dispatcher(settings, outbox) as dispatcher:
        ledger = Ledger(settings.outbox)
        try:
            yield Agent(
                outbox=outbox,
                intake=intake(settings, outbox),
                dispatcher=dispatcher,
                ledger=ledger,
                canary_id=canary_id(read_secret(settings.keys.records)),
                sources=(
                    *sources(settings, ledger),
                    *_canaries(settings, outbox),
                    *_desk(settings),
                    conflict_desk(settings, outbox),
                ),
                backfill=frozenset(each.name for each in settings.sources if each.history),
                servers=_servers(settings, outbox),
            )
        finally:
            ledger.close()


def _canaries(settings: AgencySettings, outbox: Outbox) -> tuple[Source, ...]:
    if not settings.canary:
        return ()
    unhindered = replace(intake(settings, outbox), policy=SharingPolicy())
    return (Canary(intake=unhindered, ori=settings.ori, now=lambda: datetime.now(UTC)),)


def _servers(settings: AgencySettings, outbox: Outbox) -> tuple[Server, ...]:
    from producers.servers import servers  # noqa: PLC0415 only who serves something needs it

    return servers(settings, intake(settings, outbox))
