"""A vault, open: its transactions, each somebody's and each all or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

from consumers.cells import Cells
from consumers.vault.guard import PROCESS, Actor
from consumers.vault.log import SEEN, Event
from consumers.vault.place import File, Place, Server
from consumers.vault.rows import Rows
from consumers.vault.tables import HEAD, METADATA, SETTINGS
from silenthit.errors import RetryError, SealError, SettingsError

_SENTINEL = b"silenthit vault"
_CLOCK_S = 60.0
BEFORE_VERSIONS = "0001"  # the schema of vaults that were made before schemas had numbers


class Vault:
    """`write` and `read` are its transactions; those of `as_actor` keep to a person's rights."""

    def __init__(self, place: Place, cells: Cells, actor: Actor = PROCESS) -> None:
        """Take what `open` has checked."""
        self.place = place
        self.actor = actor
        self._cells = cells
        self._recorded: set[bytes] = set()  # what this person has been recorded to have seen
        self._ahead: tuple[float, int] | None = None

    @classmethod
    def open(cls, where: Path | str, key: bytes, *, create: bool = False) -> Vault:
        """Open the vault in this SQLite file, or at this PostgreSQL URL.

        Raises SettingsError when it is missing and not to be created, of another schema than this
        program's, or another key's.
        """
        place: Place = File(where, create=create) if isinstance(where, Path) else Server(where)
        vault = cls(place, Cells(key))
        try:
            with _answering():
                _check_schema(place, create=create)
                vault._check_key()
        except BaseException:
            vault.close()
            raise
        return vault

    def as_actor(self, actor: Actor) -> Vault:
        """Return the same vault with transactions of somebody."""
        return Vault(self.place, self._cells, actor)

    @contextmanager
    def write(self) -> Iterator[Rows]:
        """Begin a transaction that may change rows; it is committed at the end of the block.

        Raises RetryError when somebody else keeps the vault busy for 30 s.
        """
        with self._transaction(writes=True) as rows:
            yield rows
            self._record(rows, rows)

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """Begin a transaction that only reads, from one moment's state."""
        with self._transaction(writes=False) as rows:
            yield rows
        if self._fresh(rows):
            with self._transaction(writes=True) as into:
                self._record(rows, into)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else is in such a block, on whatever machine."""
        with _answering(), self.place.alone():
            yield

    def clock(self) -> int:
        """Return the time in ms since the epoch, the same for all who share this vault."""
        now = time.monotonic()
        if self._ahead is None or now - self._ahead[0] > _CLOCK_S:
            with _answering():
                self._ahead = (now, self.place.ahead_ms())
        return time.time_ns() // 1_000_000 + self._ahead[1]

    def close(self) -> None:
        """Close every connection."""
        self.place.engine.dispose()

    def _fresh(self, rows: Rows) -> list[bytes]:
        return [each for each in rows.seen if each not in self._recorded]

    def _record(self, rows: Rows, into: Rows) -> None:
        """Write down whose plaintext a person's transaction opened, once a session."""
        fresh = self._fresh(rows)
        if not fresh:
            return
        about = fresh[0] if len(fresh) == 1 else b""
        seen = Event(who=self.actor.name, seen=tuple(each.hex() for each in fresh))
        into.append([(about, SEEN, seen)], self.clock())
        self._recorded.update(fresh)

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Rows]:
        with _answering():
            fresh = self.place.engine.connect().execution_options(writes=writes)
            with fresh as connection, connection.begin():
                yield Rows(connection, self._cells, self.actor)

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
                "the right one"
            ) from None


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except OperationalError:
        # Its text quotes the statement's parameters.
        raise RetryError(
            "expected the vault to answer, got an error of the database; see that its server is "
            "there, its disk not full and nobody keeps it busy, then try again"
        ) from None


def schema_version(place: Place) -> str | None:
    """Return the number of the schema in a database, none for an empty one."""
    with place.engine.connect().execution_options(writes=False) as connection, connection.begin():
        there = inspect(connection)
        if there.has_table("alembic_version"):
            found = connection.execute(text("SELECT version_num FROM alembic_version"))
            return str(found.scalar_one())
        return BEFORE_VERSIONS if there.has_table("watches") else None


def _check_schema(place: Place, *, create: bool) -> None:
    version = schema_version(place)
    if version == HEAD:
        return
    if version is None:
        if not create:
            raise SettingsError(
                "expected a vault, got an empty database; make one with `silenthit partner init`"
            )
        make_tables(place)
    elif version < HEAD:
        raise SettingsError(
            f"expected a vault of schema {HEAD}, got {version}; copy it with your own means, then "
            "run `silenthit partner upgrade`"
        )
    else:
        raise SettingsError(
            f"expected a vault of schema {HEAD}, got the newer {version}; install the newer "
            "silenthit"
        )


def make_tables(place: Place) -> None:
    """Make every table of the present schema in an empty database."""
    with place.engine.connect() as connection, connection.begin():
        if inspect(connection).has_table("alembic_version"):
            return  # somebody else was quicker
        METADATA.create_all(connection)
        connection.execute(
            text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        )
        made = text("INSERT INTO alembic_version VALUES (:head)")
        connection.execute(made, {"head": HEAD})
