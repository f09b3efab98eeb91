"""Upgrading a vault: the steps of `migrations`, then what needs the key. All of it or nothing."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select, update

from consumers import catalogue
from consumers.cells import Cells
from consumers.vault.log import NO_LINK, Entry, links
from consumers.vault.place import File, Place, Server
from consumers.vault.rows import Rows
from consumers.vault.tables import EVENTS, HEAD, WATCHES
from consumers.vault.vault import BEFORE_VERSIONS, Vault, schema_version
from consumers.watches import Watch
from silenthit.errors import SettingsError


def upgrade_vault(where: Path | str, key: bytes) -> tuple[str, str]:
    """Bring a vault up to the present schema; return the schema it had, and the one it has.

    Raises SettingsError for none, a newer one or another's key. An upgraded vault stays as it is.
    """
    place: Place = File(where) if isinstance(where, Path) else Server(where)
    try:
        with place.alone():
            before = schema_version(place)
            if before is not None and before < HEAD:
                with place.engine.connect() as connection, connection.begin():
                    _step_by_step(connection, before)
                    _with_the_key(connection, Cells(key))
        Vault.open(where, key).close()
    finally:
        place.engine.dispose()
    return before or "", HEAD


def _step_by_step(connection: Connection, before: str, until: str = "head") -> None:
    try:
        from alembic import command  # noqa: PLC0415 only for an upgrade
        from alembic.config import Config  # noqa: PLC0415 the same
    except ModuleNotFoundError:
        raise SettingsError(
            "expected the module alembic to upgrade the vault with, got none; run "
            "`pip install alembic`"
        ) from None
    config = Config()
    config.set_main_option("script_location", "consumers.vault:migrations")
    config.attributes["connection"] = connection
    if before == BEFORE_VERSIONS:
        command.stamp(config, before)
    command.upgrade(config, until)


def _with_the_key(connection: Connection, cells: Cells) -> None:
    """Do what SQL cannot: chain what was written before there was a chain, list what is listed."""
    rows = Rows(connection, cells)
    _chain(connection, rows, cells)
    missing = list(rows.find(WATCHES, WATCHES.c.page.is_(None)))
    if missing:
        every = sorted(rows.find(WATCHES), key=lambda row: (int(row["created_at"]), row["id"]))
        read = ((row["id"], Watch.model_validate_json(row["private"])) for row in every)
        catalogue.rebuild(rows, ((i, catalogue.entry(i, watch.found_by())) for i, watch in read))


def _chain(connection: Connection, rows: Rows, cells: Cells) -> None:
    loose = sorted(rows.find(EVENTS, EVENTS.c.number.is_(None)), key=lambda e: (e["at"], e["id"]))
    if not loose:
        return
    last = connection.execute(
        select(EVENTS.c.number, EVENTS.c.chain)
        .where(EVENTS.c.number.is_not(None))
        .order_by(EVENTS.c.number.desc())
        .limit(1)
    ).first()
    number, previous = (last.number, last.chain) if last else (0, NO_LINK)
    entries = [
        Entry(n, event["about"], event["at"], event["action"], event["private"])
        for n, event in enumerate(loose, start=number + 1)
    ]
    chained = links(cells.log_key, previous, entries)
    for event, entry, link in zip(loose, entries, chained, strict=True):
        values = {"number": entry.number, "chain": link}
        connection.execute(update(EVENTS).where(EVENTS.c.id == event["id"]).values(values))
