"""The rows of a vault within one transaction, private columns in plaintext."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from consumers.cells import Cells
from consumers.vault.guard import PROCESS, Actor, adding, changing, reading
from consumers.vault.log import NO_LINK, Entry, Event, links
from consumers.vault.tables import ALERTS, EVENTS, MEETINGS, OFFSETS, WATCHES

Values = dict[str, Any]
_ID_BYTES = 16
_VIEWED = (WATCHES, ALERTS, MEETINGS)  # whose private cells nobody opens unrecorded


class Rows:
    """The tables within one transaction, as far as its actor may see and change them.

    Every method raises RefusedError for what the actor's role does not allow.
    """

    def __init__(self, connection: Connection, cells: Cells, actor: Actor = PROCESS) -> None:
        self._connection = connection
        self._cells = cells
        self.actor = actor
        self.seen: dict[bytes, None] = {}  # watches and alerts that a person's reading opened

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
        reading(self.actor, table)
        wanted = [table.c.id, *(table.c[name] for name in columns)] if columns else [table]
        query = select(*wanted).where(*where)
        if newest is not None:
            query = query.order_by(table.c.created_at.desc(), table.c.id).limit(newest)
        for row in self._connection.execute(query).mappings().all():
            yield self._opened(table, dict(row))

    def cells(
        self, table: Table, column: str, *where: ColumnElement[bool]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the id and one private cell of many rows, the last id first.

        Each is decrypted when it is asked for, as fast as can be.
        """
        reading(self.actor, table)
        query = select(table.c.id, table.c[column]).where(*where).order_by(table.c.id.desc())
        name, reveal = table.name, self._cells.open
        for row, cell in self._connection.execute(query).all():
            yield row, reveal(name, column, row, cell)

    def count(self, table: Table, *where: ColumnElement[bool]) -> int:
        """Return how many rows meet every condition."""
        reading(self.actor, table)
        query = select(func.count()).select_from(table).where(*where)
        return int(self._connection.execute(query).scalar_one())

    def add(self, table: Table, new: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
        """Write rows that are not there yet, all with the same columns."""
        adding(self.actor, table)
        sealed = [{"id": row, **self._sealed(table, row, values)} for row, values in new]
        if sealed:
            self._connection.execute(insert(table), sealed)

    def change(self, table: Table, *where: ColumnElement[bool], values: Mapping[str, Any]) -> int:
        """Change clear columns of the rows that meet every condition; return how many."""
        changing(self.actor, table)
        return int(self._connection.execute(update(table).where(*where).values(values)).rowcount)

    def put(self, table: Table, row: bytes, values: Mapping[str, Any]) -> None:
        """Write one row: those columns when it is there, else a new one."""
        changing(self.actor, table)
        sealed = self._sealed(table, row, values)
        changed = self._connection.execute(update(table).where(table.c.id == row).values(**sealed))
        if not changed.rowcount:
            self._connection.execute(insert(table).values(id=row, **sealed))

    def swap(self, table: Table, row: bytes, expected: Values, values: Values) -> bool:
        """Change one row if it still has the expected (clear) values; whether it did.

        Of several processes that try, one succeeds, whatever the database's isolation.
        """
        changing(self.actor, table)
        same = [table.c[name] == value for name, value in expected.items()]
        sealed = self._sealed(table, row, values)
        changed = self._connection.execute(
            update(table).where(table.c.id == row, *same).values(**sealed)
        )
        return bool(changed.rowcount)

    def drop(self, table: Table, row: bytes) -> None:
        """Delete one row, if it is there."""
        changing(self.actor, table)
        self._connection.execute(delete(table).where(table.c.id == row))

    def append(self, events: Sequence[tuple[bytes, str, Event]], at: int) -> None:
        """Add to the log: what each is about (an id, or nothing), the action, and the rest."""
        query = select(EVENTS.c.number, EVENTS.c.chain).where(EVENTS.c.number.is_not(None))
        last = self._connection.execute(query.order_by(EVENTS.c.number.desc()).limit(1)).first()
        number, previous = (last.number, last.chain) if last else (0, NO_LINK)
        entries = [
            Entry(number + n, about, at, action, event.model_dump_json().encode())
            for n, (about, action, event) in enumerate(events, start=1)
        ]
        chained = zip(entries, links(self._cells.log_key, previous, entries), strict=True)
        self.add(EVENTS, ((secrets.token_bytes(_ID_BYTES), _columns(*each)) for each in chained))

    def entries(self, *where: ColumnElement[bool]) -> Iterator[tuple[Entry, bytes]]:
        """Yield the entries of the log that meet every condition, in order, each with its link."""
        reading(self.actor, EVENTS)
        query = select(EVENTS).where(EVENTS.c.number.is_not(None), *where)
        for row in self._connection.execute(query.order_by(EVENTS.c.number)).mappings():
            one = self._opened(EVENTS, dict(row))
            about = (one["number"], one["about"], one["at"], one["action"], one["private"])
            yield Entry(*about), one["chain"]

    @property
    def log_key(self) -> bytes:
        """The key that the log is chained with."""
        return self._cells.log_key

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
        if table in _VIEWED and self.actor.role is not None and values.get("private") is not None:
            self.seen[row] = None
        return {
            name: self._cells.open(table.name, name, row, value)
            if _is_private(name) and value is not None
            else value
            for name, value in values.items()
        }


def _is_private(column: str) -> bool:
    return column.startswith("private")


def _columns(entry: Entry, chain: bytes) -> Values:
    return {
        "number": entry.number,
        "about": entry.about,
        "at": entry.at,
        "action": entry.action,
        "chain": chain,
        "private": entry.content,
    }
