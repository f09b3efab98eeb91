"""Where a vault lies: a SQLite file of its owner's alone, or a PostgreSQL that a squad shares.

Both promise the same: one writer at a time, reading from one moment's state, one holder of the
`alone` lock. What is right on the one is right on the other, from several machines too.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from silenthit.errors import SettingsError

_BUSY_S = 30
_WRITERS, _ALONE = 0x51_1E_47, 0x51_1E_48  # names of advisory locks


class Place(Protocol):
    """A database that holds a vault."""

    engine: Engine

    def alone(self) -> Any:
        """A context: wait until nobody else is in such a block, on whatever machine."""
        ...

    def ahead_ms(self) -> int:
        """By how much the clock that all users of this vault share is ahead of this machine's."""
        ...


class File:
    """A SQLite file. Its users are processes of one machine."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Raises SettingsError when the file is missing and not to be created."""
        if not create and not path.exists():
            raise SettingsError(
                f"expected a vault in {path}; make one with `silenthit partner init`"
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)  # its journal files take its mode
        self._lock = path.with_suffix(".lock")
        self.engine = create_engine(
            URL.create("sqlite", database=str(path)),
            hide_parameters=True,
            connect_args={"timeout": _BUSY_S},
        )
        event.listen(self.engine, "connect", _set_up_file)
        event.listen(self.engine, "begin", _begin_on_file)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process is in such a block."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def ahead_ms(self) -> int:
        """One machine, one clock."""
        return 0


def _set_up_file(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see below
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_on_file(connection: Connection) -> None:
    # A transaction that will write takes its lock at once: it then never has to be restarted.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Server:
    """A PostgreSQL database (and the schema that its search_path begins with)."""

    def __init__(self, url: str) -> None:
        """Take a SQLAlchemy URL; nothing connects yet. Raises SettingsError for another's."""
        self.engine = create_engine(
            _postgresql_url(url),
            hide_parameters=True,
            pool_pre_ping=True,
            connect_args={"application_name": "silenthit", "connect_timeout": 10},
        )
        event.listen(self.engine, "begin", _begin_on_server)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else is in such a block; a holder that dies loses the lock."""
        with self.engine.connect().execution_options(**_NO_TRANSACTION) as connection:
            connection.execute(text(f"SELECT pg_advisory_lock({_ALONE}, {_SCHEMA})"))
            try:
                yield
            finally:
                connection.invalidate()  # closes it, and so lets go of the lock, whatever happened

    def ahead_ms(self) -> int:
        """Ask for the server's time."""
        with self.engine.connect().execution_options(**_NO_TRANSACTION) as connection:
            began = time.time_ns()
            seconds = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())"))
            there = int(seconds.scalar_one() * 1000)
            return there - (began + time.time_ns()) // 2_000_000


_NO_TRANSACTION: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "writes": None}
_SCHEMA = "hashtext(current_schema())"


def _postgresql_url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        url = URL.create("none")
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise SettingsError(
            "expected `vault_url` to be that of a PostgreSQL database, got another; write "
            "postgresql://USER@HOST/DATABASE, and its password into PGPASSWORD or ~/.pgpass"
        )
    return url.set(drivername="postgresql+psycopg")


def _begin_on_server(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", True)
    if writes is None:
        return
    if writes:
        # As SQLite has it: one writer at a time, who sees all that was committed before.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_BUSY_S}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS}, {_SCHEMA})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
