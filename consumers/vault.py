"""The vault: what a partner knows in plaintext, encrypted at rest, and where it has read up to.

    vault = Vault.open(Path("vault.sqlite"), load_key(Path("keys/vault.key")))
    with vault.write() as rows:
        rows.put(SIGNERS, b"CT0015100#1", {"private": b"..."})

SQLite in a file of its owner's alone. Columns whose name begins with `private` are sealed
(`consumers.cells`); the rest says nothing of a subject.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql.elements import ColumnElement

from consumers.cells import Cells
from silenthit.errors import RetryError, SealError, SettingsError

METADATA = MetaData()
_SENTINEL = b"silenthit vault"

SETTINGS = Table(
    "settings",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("private", LargeBinary, nullable=False),
)
WATCHES = Table(
    "watches",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # 16 random bytes
    Column("private", LargeBinary, nullable=False),  # Watch
    Column("private_label", LargeBinary, nullable=False),  # what a list is searched by
    Column("created_at", BigInteger, nullable=False, index=True),  # ms, like every time here
    Column("expires_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
)
REGISTRATIONS = Table(
    "registrations",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # messages.registration_key
    Column("watch_id", LargeBinary, nullable=False, index=True),
    Column("epoch", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),  # registrations.State
    Column("private", LargeBinary),  # WatchRegistration as sent; none once removed
    Column("private_secrets", LargeBinary),  # rows of registrations.SECRET; none once removed
)
ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # alert id
    Column("registration_id", LargeBinary, nullable=False, index=True),
    Column("record_id", LargeBinary, nullable=False),
    Column("watch_id", LargeBinary, index=True),
    Column("revision", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("decision", String(16)),
    Column("probability", Float),
    Column("earlier", Boolean, nullable=False),
    Column("appended_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False, index=True),
    Column("private", LargeBinary),  # OpenedAlert; none: a tombstone, withdrawn or retracted
)
UNOPENED = Table(
    "unopened",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # of the message as it came
    Column("alert_id", LargeBinary, index=True),  # none when it could not even be decoded
    Column("revision", Integer),
    Column("reason", String(32), nullable=False),  # inbox.Reason
    Column("appended_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False, index=True),
    Column("private_key", LargeBinary),
    Column("private", LargeBinary),  # the message's value, to be tried again
)
PAGES = Table(
    "pages",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # alert id and revision
    Column("alert_id", LargeBinary, nullable=False, index=True),
    Column("due_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),  # paging.PageState
    Column("kind", String(16), nullable=False),  # paging.PageKind
    Column("decision", String(16), nullable=False),
    Column("private", LargeBinary, nullable=False),  # Page
)
ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("page_id", LargeBinary, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("private", LargeBinary, nullable=False),  # the channel's name
)
CASES = Table(
    "cases",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # alert id
    Column("version", Integer, nullable=False),
    Column("stage", String(16), nullable=False),  # call_tree.escalation.Stage
    Column("due_at", BigInteger, index=True),
    Column("private", LargeBinary, nullable=False),  # call_tree.escalation.Case
)
EVENTS = Table(
    "events",
    METADATA,
    Column("id", LargeBinary, primary_key=True),
    Column("about", LargeBinary, nullable=False, index=True),  # alert id or watch id
    Column("at", BigInteger, nullable=False),
    Column("action", String(16), nullable=False),
    Column("private", LargeBinary, nullable=False),  # cases.Event
)
SIGNERS = Table(
    "signers",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # key id of an agency
    Column("private", LargeBinary, nullable=False),  # TrustedSigner
)
OFFSETS = Table(
    "offsets",
    METADATA,
    Column("topic", String(128), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)

Values = dict[str, Any]


class Rows:
    """The tables within one transaction, private columns in plaintext."""

    def __init__(self, connection: Connection, cells: Cells) -> None:
        self._connection = connection
        self._cells = cells

    def get(self, table: Table, row: bytes) -> Values | None:
        """Return one row by its id, None when there is none."""
        found = list(self.find(table, table.c.id == row))
        return found[0] if found else None

    def find(
        self,
        table: Table,
        *where: ColumnElement[bool],
        columns: tuple[str, ...] = (),
        newest: int | None = None,
    ) -> Iterator[Values]:
        """Yield the rows that meet every condition, in no particular order.

        `columns` limits what is read, and so what has to be decrypted; `newest` limits it to so
        many by `created_at`, the newest first. Raises SealError when a private cell was changed.
        """
        wanted = [table.c.id, *(table.c[name] for name in columns)] if columns else [table]
        query = select(*wanted).where(*where)
        if newest is not None:
            query = query.order_by(table.c.created_at.desc(), table.c.id).limit(newest)
        for row in self._connection.execute(query).mappings().all():
            yield self._opened(table, dict(row))

    def cells(
        self, table: Table, column: str, *where: ColumnElement[bool]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the id and one private cell of many rows, as fast as they can be decrypted."""
        query = select(table.c.id, table.c[column]).where(*where)
        name, reveal = table.name, self._cells.open
        for row, cell in self._connection.execute(query).all():
            yield row, reveal(name, column, row, cell)

    def count(self, table: Table, *where: ColumnElement[bool]) -> int:
        """Return how many rows meet every condition."""
        query = select(func.count()).select_from(table).where(*where)
        return int(self._connection.execute(query).scalar_one())

    def add(self, table: Table, new: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
        """Write rows that are not there yet, all with the same columns."""
        sealed = [{"id": row, **self._sealed(table, row, values)} for row, values in new]
        if sealed:
            self._connection.execute(insert(table), sealed)

    def change(self, table: Table, *where: ColumnElement[bool], values: Mapping[str, Any]) -> int:
        """Change clear columns of the rows that meet every condition; return how many."""
        return int(self._connection.execute(update(table).where(*where).values(values)).rowcount)

    def put(self, table: Table, row: bytes, values: Mapping[str, Any]) -> None:
        """Write one row: those columns when it is there, else a new one."""
        sealed = self._sealed(table, row, values)
        changed = self._connection.execute(update(table).where(table.c.id == row).values(**sealed))
        if not changed.rowcount:
            self._connection.execute(insert(table).values(id=row, **sealed))

    def swap(self, table: Table, row: bytes, expected: Values, values: Values) -> bool:
        """Change one row if it still has the expected (clear) values; whether it did.

        Of several processes that try, one succeeds, whatever the database's isolation.
        """
        same = [table.c[name] == value for name, value in expected.items()]
        sealed = self._sealed(table, row, values)
        changed = self._connection.execute(
            update(table).where(table.c.id == row, *same).values(**sealed)
        )
        return bool(changed.rowcount)

    def drop(self, table: Table, row: bytes) -> None:
        """Delete one row, if it is there."""
        self._connection.execute(delete(table).where(table.c.id == row))

    def offsets(self) -> dict[tuple[str, int], int]:
        """Return, for each topic and partition, the offset to read next."""
        found = self._connection.execute(select(OFFSETS))
        return {(row.topic, row.partition): row.next_offset for row in found}

    def move_offset(self, topic: str, partition: int, next_offset: int) -> None:
        """Write down where to read on."""
        place = (OFFSETS.c.topic == topic) & (OFFSETS.c.partition == partition)
        values: Values = {"next_offset": next_offset}
        changed = self._connection.execute(update(OFFSETS).where(place).values(**values))
        if not changed.rowcount:
            values |= {"topic": topic, "partition": partition}
            self._connection.execute(insert(OFFSETS).values(**values))

    def _sealed(self, table: Table, row: bytes, values: Mapping[str, Any]) -> Values:
        return {
            name: self._cells.close(table.name, name, row, value)
            if _is_private(name) and value is not None
            else value
            for name, value in values.items()
        }

    def _opened(self, table: Table, values: Values) -> Values:
        row = values["id"]
        return {
            name: self._cells.open(table.name, name, row, value)
            if _is_private(name) and value is not None
            else value
            for name, value in values.items()
        }


class Vault:
    """One vault, open. `write` and `read` are its transactions; each is all or nothing."""

    def __init__(self, engine: Engine, cells: Cells, lock: Path) -> None:
        self._engine = engine
        self._cells = cells
        self._lock = lock

    @classmethod
    def open(cls, path: Path, key: bytes, *, create: bool = False) -> Vault:
        """Open the vault in this SQLite file.

        Raises SettingsError when the file is missing and not to be created, or when the key is
        another vault's.
        """
        _own_file(path, create=create)
        engine = _engine(path)
        METADATA.create_all(engine)
        vault = cls(engine, Cells(key), path.with_suffix(".lock"))
        vault._check_key()
        return vault

    @contextmanager
    def write(self) -> Iterator[Rows]:
        """Begin a transaction that may change rows; it is committed at the end of the block.

        Raises RetryError when another process keeps the vault busy for 30 s.
        """
        with self._transaction(writes=True) as rows:
            yield rows

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """Begin a transaction that only reads, from one moment's state."""
        with self._transaction(writes=False) as rows:
            yield rows

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process on this machine is in such a block."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Rows]:
        try:
            fresh = self._engine.connect().execution_options(writes=writes)
            with fresh as connection, connection.begin():
                yield Rows(connection, self._cells)
        except OperationalError:
            # Its text quotes the statement's parameters.
            raise RetryError(
                "expected the vault to answer, got an error of the database; see that its disk is "
                "not full and that no other process keeps it busy, then try again"
            ) from None

    def _check_key(self) -> None:
        name = b"sentinel"
        try:
            with self.read() as rows:
                if rows.get(SETTINGS, name) is not None:
                    return
            with self.write() as rows:
                rows.put(SETTINGS, name, {"private": _SENTINEL})
        except SealError:
            raise SettingsError(
                "expected the key that belongs to this vault, got another; point `vault_key` to "
                "the right file"
            ) from None


def _is_private(column: str) -> bool:
    return column.startswith("private")


def _own_file(path: Path, *, create: bool) -> None:
    """Make or check the SQLite file; its journal files take its mode."""
    if not create and not path.exists():
        raise SettingsError(f"expected a vault in {path}; make one with `silenthit partner init`")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)), hide_parameters=True, connect_args={"timeout": 30}
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, see below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A transaction that will write takes its lock at once: it then never has to be restarted.
        writes = connection.get_execution_options().get("writes", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
