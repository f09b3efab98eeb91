"""Backups: every table copied, sealed as it is, into a SQLite file; and back into an empty vault.

Cells are bound to table, column and row but not to a database, so a backup of a file can fill a
PostgreSQL, and the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from consumers.roles import Right
from consumers.vault import METADATA, SETTINGS, Vault
from consumers.vault.log import Event
from consumers.vault.place import File, Place
from consumers.vault.vault import make_tables
from silenthit.errors import InputError, RefusedError

_AT_ONCE = 500


def back_up(vault: Vault, file: Path, now: datetime) -> int:
    """Copy a vault to a new file of its owner's alone; return the number of rows.

    Raises InputError when the file is there already.
    """
    vault.actor.need(Right.MANAGE)
    if file.exists():
        raise InputError(f"expected a new file, got {file}, which is there already; name another")
    with vault.write() as into:
        said = Event(who=vault.actor.name, text=f"to {file}")
        into.append([(b"", "backed up", said)], round(now.timestamp() * 1000))
    copy = File(file, create=True)
    make_tables(copy)
    try:
        with _begun(vault.place, writes=False) as source, _begun(copy, writes=True) as target:
            return _copy(source, target)
    finally:
        copy.engine.dispose()


def restore_into(vault: Vault, file: Path, key: bytes) -> int:
    """Fill an empty vault from a backup of the same key; return the number of rows.

    Raises RefusedError when the vault holds anything, SettingsError when the key is another's.
    """
    backup = Vault.open(file, key)
    try:
        with (
            _begun(backup.place, writes=False) as source,
            _begun(vault.place, writes=True) as target,
        ):
            for table in METADATA.sorted_tables:
                held = target.execute(select(func.count()).select_from(table)).scalar_one()
                if held and table is not SETTINGS:
                    raise RefusedError(
                        "expected an empty vault to restore into, got one that is in use; move it "
                        "away first, or name another in partner.toml"
                    )
            target.execute(SETTINGS.delete())  # the mark of its key, which the backup has too
            return _copy(source, target)
    finally:
        backup.close()


@contextmanager
def _begun(place: Place, *, writes: bool) -> Iterator[Connection]:
    with place.engine.connect().execution_options(writes=writes) as connection, connection.begin():
        yield connection


def _copy(source: Connection, target: Connection) -> int:
    copied = 0
    for table in METADATA.sorted_tables:
        for batch in _batches(source, table):
            target.execute(insert(table), batch)
            copied += len(batch)
    return copied


def _batches(source: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    found = source.execution_options(stream_results=True).execute(select(table)).mappings()
    for rows in found.partitions(_AT_ONCE):
        yield [dict(row) for row in rows]
