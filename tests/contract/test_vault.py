"""What a vault promises, on SQLite and on PostgreSQL: the same code, the same tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Table, inspect, text
from sqlalchemy.exc import DBAPIError

from consumers import catalogue, users
from consumers.backup import back_up, restore_into
from consumers.history import Event, history, write_down
from consumers.placing import (
    add_watches,
    approve_watches,
    change_watch,
    expire_watch,
    expire_watches,
    remove_watch,
    retoken,
)
from consumers.roles import Right, Role
from consumers.states import State
from consumers.vault import (
    ALERTS,
    CASES,
    EVENTS,
    METADATA,
    PAGES,
    REGISTRATIONS,
    SETTINGS,
    SIGNERS,
    USERS,
    WATCHES,
    Actor,
    Rows,
    Vault,
)
from consumers.vault.log import SEEN, check
from consumers.vault.tables import HEAD
from consumers.vault_keys import load_key
from consumers.watch_list import count_watches, listed, waiting_ids, watch_named
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.errors import InputError, RefusedError, SealError, SettingsError
from tests.partner_room import NOW, PARTNER, Room, john, mary, watch_on

CURRENT = Epochs({1: EpochState.CURRENT})
ANALYST = Actor("okafor", Role.ANALYST)
AUDITOR = Actor("ford", Role.AUDITOR)
REGISTRAR = Actor("lee", Role.REGISTRAR)
SUPERVISOR = Actor("reyes", Role.SUPERVISOR)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a vault may be made."""
    if request.param == "sqlite":
        return tmp_path / "vault.sqlite"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def room(where: Path | str, tmp_path: Path) -> Iterator[Room]:
    made = Room.make(tmp_path, where)
    yield made
    made.vault.close()


def _as(room: Room, actor: Actor) -> Room:
    return Room(room.vault.as_actor(actor), room.prf, room.agency)


def test_a_transaction_is_all_or_nothing(room: Room) -> None:
    def change_and_break() -> None:
        with room.vault.write() as into:
            into.put(SIGNERS, b"one", {"private": b"first"})
            into.move_offset("alerts.fbi-ct", 0, 7)
            raise LookupError

    with pytest.raises(LookupError):
        change_and_break()
    with room.vault.read() as rows:
        assert rows.get(SIGNERS, b"one") is None
        assert rows.offsets() == {}


def test_of_many_writers_each_sees_what_the_one_before_it_wrote(
    room: Room, where: Path | str, tmp_path: Path
) -> None:
    def count_up() -> None:
        vault = Vault.open(where, load_key(tmp_path / "vault.key"))
        for _ in range(20):
            with vault.write() as into:
                before = into.get(SIGNERS, b"count")
                number = int(before["private"]) if before else 0
                into.put(SIGNERS, b"count", {"private": str(number + 1).encode()})
        vault.close()

    writers = [threading.Thread(target=count_up) for _ in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    with room.vault.read() as rows:
        assert (rows.get(SIGNERS, b"count") or {})["private"] == b"80"


def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(room: Room) -> None:
    with room.vault.read() as rows:
        assert rows.count(SIGNERS) == 1
        with room.vault.write() as into:
            into.put(SIGNERS, b"one", {"private": b"first"})
        assert rows.count(SIGNERS) == 1
    with room.vault.read() as rows:
        assert rows.count(SIGNERS) == 2


def test_of_several_processes_one_at_a_time_is_alone(
    room: Room, where: Path | str, tmp_path: Path
) -> None:
    other = Vault.open(where, load_key(tmp_path / "vault.key"))
    entered = threading.Event()

    def enter() -> None:
        with other.alone():
            entered.set()

    with room.vault.alone():
        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    waiting.join()
    other.close()


def test_a_swap_is_won_once(room: Room) -> None:
    with room.vault.write() as into:
        into.put(CASES, b"a", {"version": 1, "stage": "climbing", "private": b"x"})
    won = []
    for _ in range(2):
        with room.vault.write() as into:
            values = {"version": 2, "private": b"y"}
            won.append(into.swap(CASES, b"a", {"version": 1}, values))
    assert won == [True, False]


def test_another_key_and_an_empty_database_are_refused(
    room: Room, where: Path | str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="the key that belongs to this vault"):
        Vault.open(where, bytes(32))
    with pytest.raises(SettingsError, match="partner init"):
        Vault.open(tmp_path / "elsewhere.sqlite", bytes(32))


def test_the_life_of_a_watch(room: Room) -> None:
    (watch_id,) = room.add(watch_on(john(), mary(), label="Heron"))
    (found,) = listed(room.vault)
    assert (found.state, found.epochs) == ("sending", (1,))
    other = watch_on(mary(), label="Egret")
    change_watch(room.vault, found, other, partner=PARTNER, prf=room.prf, now=NOW)
    assert watch_named(room.vault, "egret").watch_id == watch_id
    with pytest.raises(InputError, match="watch list"):
        watch_named(room.vault, "heron")
    remove_watch(room.vault, watch_id, NOW)
    assert listed(room.vault) == []
    assert [each.state for each in listed(room.vault, removed=True)] == ["removing"]
    with room.vault.read() as rows:
        (row,) = rows.find(REGISTRATIONS)
        assert [each["action"] for each in history(rows, watch_id)] == [
            "added",
            "edited",
            "removed",
        ]
    assert row["state"] == State.REMOVING


def test_a_watch_that_was_not_validated_expires_after_its_grace(room: Room) -> None:
    room.add(watch_on(label="old"))
    assert expire_watches(room.vault, NOW + timedelta(days=96)) == 0
    assert expire_watches(room.vault, NOW + timedelta(days=97)) == 1
    (gone,) = listed(room.vault, removed=True)
    assert gone.state == "removing"
    with room.vault.read() as rows:
        assert history(rows, gone.watch_id)[-1]["action"] == "expired"


def test_a_watch_can_be_let_expire_before_its_time(room: Room) -> None:
    (watch_id,) = room.add()
    expire_watch(room.vault, watch_id, "case closed", NOW)
    with room.vault.write() as into:
        into.change(REGISTRATIONS, REGISTRATIONS.c.epoch == 1, values={"state": State.REMOVED})
        assert history(into, watch_id)[-1]["text"] == "case closed"
    assert [each.state for each in listed(room.vault, removed=True)] == ["expired"]


def test_a_registrars_watch_waits_for_a_supervisor(room: Room) -> None:
    (watch_id,) = _as(room, REGISTRAR).add()
    assert listed(room.vault)[0].state == "waiting"
    assert room.registrations() == []
    assert retoken(room.vault, partner=PARTNER, epochs=CURRENT, prf=room.prf) == 0
    assert waiting_ids(room.vault) == [watch_id]
    with pytest.raises(RefusedError, match="a supervisor"):
        approve_watches(room.vault.as_actor(REGISTRAR), [watch_id], NOW)
    assert approve_watches(room.vault.as_actor(SUPERVISOR), [watch_id], NOW) == 1
    assert approve_watches(room.vault.as_actor(SUPERVISOR), [watch_id], NOW) == 0
    assert retoken(room.vault, partner=PARTNER, epochs=CURRENT, prf=room.prf) == 1
    assert listed(room.vault)[0].state == "sending"
    assert len(room.registrations()) == 1


def test_a_search_finds_label_case_name_and_number_the_newest_first(room: Room) -> None:
    many = [watch_on(john(), label=f"Heron {n}", case_number=f"50A-{n}") for n in range(1203)]
    with room.vault.write() as into:  # their entries alone, to fill pages
        lines = [catalogue.entry(bytes([n >> 8, n & 255]) * 8, w.found_by()) for n, w in
                 enumerate(many)]  # fmt: skip
        assert catalogue.add(into, lines[:700])[-1] == 1
        assert catalogue.add(into, lines[700:])[-1] == 2
    with room.vault.read() as rows:
        found = [int.from_bytes(i[:2]) for i in catalogue.holding(rows, "HERON 12")]
        assert found == sorted((n for n in range(1203) if f"Heron {n}".startswith("Heron 12")),
                               reverse=True)  # fmt: skip
        assert len(list(catalogue.holding(rows, "quillfeather"))) == 1203
        assert len(list(catalogue.holding(rows, "203-555-0142"))) == 1203
        assert len(list(catalogue.holding(rows, "2035550142"))) == 1203
        assert catalogue.labelled(rows, "heron 1") == [bytes([0, 1]) * 8]
        assert list(catalogue.holding(rows, "000000000000")) == []  # ids are not searched


def test_a_list_can_be_limited_and_searched(room: Room) -> None:
    first = room.add(watch_on(label="Heron 1"), watch_on(label="Heron 2"), watch_on(mary()))
    assert len(listed(room.vault, limit=2)) == 2
    assert count_watches(room.vault) == 3
    assert {each.watch.label for each in listed(room.vault, search="heron")} == {
        "Heron 1",
        "Heron 2",
        "Blue Heron 1",
    }
    assert [each.watch_id for each in listed(room.vault, search="oxenbrook")] == [first[2]]
    remove_watch(room.vault, first[2], NOW)
    assert listed(room.vault, search="oxenbrook") == []
    assert len(listed(room.vault, search="oxenbrook", removed=True)) == 1


READS = {
    WATCHES: Right.VIEW_WATCHES,
    REGISTRATIONS: Right.VIEW_WATCHES,
    ALERTS: Right.VIEW_ALERTS,
    CASES: Right.VIEW_ALERTS,
    PAGES: Right.VIEW_ALERTS,
    USERS: Right.MANAGE,
}
CHANGES = {
    WATCHES: Right.CHANGE,
    ALERTS: Right.TRIAGE,
    CASES: Right.TRIAGE,
    SIGNERS: Right.MANAGE,
    USERS: Right.MANAGE,
    SETTINGS: Right.MANAGE,
}


@pytest.mark.parametrize("role", Role)
def test_a_persons_transaction_keeps_to_their_role(room: Room, role: Role) -> None:
    vault = room.vault.as_actor(Actor("somebody", role))

    def reads(table: Table) -> list[Callable[[Rows], object]]:
        return [
            lambda rows: rows.count(table),
            lambda rows: rows.get(table, b"x"),
            lambda rows: list(rows.cells(table, "private")),
        ]

    def changes(table: Table) -> list[Callable[[Rows], object]]:
        return [
            lambda rows: rows.change(table, values={"id": b"x"}),
            lambda rows: rows.put(table, b"x", {"private": b"y"}),
            lambda rows: rows.swap(table, b"x", {}, {"private": b"y"}),
            lambda rows: rows.drop(table, b"x"),
        ]

    for made, rights in ((reads, READS), (changes, CHANGES)):
        for table, right in rights.items():
            for do in made(table):
                with vault.write() as rows:
                    if right not in role.rights:
                        with pytest.raises(RefusedError, match="ask a"):
                            do(rows)
                    elif made is reads:
                        do(rows)
                    else:
                        assert rows.change(table, table.c.id == b"none", values={"id": b"x"}) == 0


@pytest.mark.parametrize("role", Role)
def test_services_keep_to_the_role_too(room: Room, role: Role) -> None:
    (watch_id,) = room.add()
    (before,) = listed(room.vault)
    vault = room.vault.as_actor(Actor("somebody", role))

    def allowed(right: Right, do: object) -> None:
        assert callable(do)
        if right in role.rights:
            do()
        else:
            with pytest.raises(RefusedError, match="ask a"):
                do()

    blind = {"partner": PARTNER, "prf": room.prf, "now": NOW}
    allowed(Right.ENTER, lambda: add_watches(vault, [watch_on()], epochs=(1,), **blind))
    allowed(Right.CHANGE, lambda: change_watch(vault, before, watch_on(mary()), **blind))
    allowed(Right.CHANGE, lambda: approve_watches(vault, [watch_id], NOW))
    allowed(Right.VIEW_WATCHES, lambda: listed(vault, search="heron"))
    allowed(Right.CHANGE, lambda: expire_watch(vault, watch_id, "", NOW))
    allowed(Right.CHANGE, lambda: remove_watch(vault, watch_id, NOW))
    with vault.write() as into:
        allowed(Right.MANAGE, lambda: users.add_user(into, "new", Role.ANALYST, b"s" * 32, NOW))
        allowed(Right.VIEW_ALERTS, lambda: history(into, b"an alert"))


def test_what_a_person_opens_is_written_down_by_the_vault_itself(room: Room) -> None:
    one, two = room.add(watch_on(label="one"), watch_on(label="two"))
    room.receive(room.alert(room.touch(), room.registrations()[0]))
    vault = room.vault.as_actor(ANALYST)
    with vault.read() as rows:
        list(rows.find(WATCHES))
    with vault.read() as rows:
        assert len(list(rows.find(WATCHES, columns=("expires_at",)))) == 2
        (alert,) = rows.find(ALERTS)
    with vault.read() as rows:
        rows.get(ALERTS, alert["id"])  # seen already in this session
    with room.vault.read() as rows:
        seen = [
            Event.model_validate_json(entry.content)
            for entry, _ in rows.entries(EVENTS.c.action == SEEN)
        ]
    assert [(each.who, set(each.seen)) for each in seen] == [
        ("okafor", {one.hex(), two.hex()}),
        ("okafor", {alert["id"].hex()}),
    ]


def test_the_log_is_a_chain_that_shows_any_change(room: Room) -> None:
    (watch_id,) = room.add()
    with room.vault.write() as into:
        for n in range(5):
            write_down(into, watch_id, "noted", Event(who="okafor", text=str(n)), NOW)
    with room.vault.read() as rows:
        entries = list(rows.entries())
        check(rows.log_key, entries)
        for n, (entry, link) in enumerate(entries):
            for changed in (
                entry._replace(at=entry.at + 1),
                entry._replace(about=b"other"),
                entry._replace(action="seen"),
                entry._replace(content=entry.content + b" "),
            ):
                wrong = [*entries[:n], (changed, link), *entries[n + 1 :]]
                with pytest.raises(SealError, match=f"entry {n + 1} "):
                    check(rows.log_key, wrong)
            if n < len(entries) - 1:
                with pytest.raises(SealError, match="taken out"):
                    check(rows.log_key, [*entries[:n], *entries[n + 1 :]])
        with pytest.raises(SealError):
            check(bytes(32), entries)


def test_nobody_changes_or_deletes_what_is_in_the_log(room: Room) -> None:
    room.add()
    with room.vault.write() as into:
        for forbidden in (
            lambda: into.put(EVENTS, b"x", {"private": b"y"}),
            lambda: into.drop(EVENTS, b"x"),
            lambda: into.change(EVENTS, values={"at": 1}),
        ):
            with pytest.raises(RefusedError, match="stay as written"):
                forbidden()
    for statement in ("UPDATE events SET at = 1", "DELETE FROM events"):
        engine = room.vault.place.engine
        with (
            pytest.raises(DBAPIError, match="only appended"),
            engine.connect() as connection,
            connection.begin(),
        ):
            connection.execute(text(statement))


def test_the_database_holds_no_private_text_in_clear(room: Room) -> None:
    room.add(watch_on(john(), handling="do not approach"))
    room.receive(room.alert(room.touch(), room.registrations()[0]))
    with room.vault.write() as into:
        users.add_user(into, "okafor", Role.ANALYST, b"s" * 32, NOW)
    held = b""
    with room.vault.place.engine.connect() as connection:
        for table in METADATA.sorted_tables:
            for row in connection.execute(table.select()):
                held += b"|".join(
                    each if isinstance(each, bytes) else str(each).encode() for each in row
                )
    lowered = held.lower()
    assert b"traffic_stop" not in lowered
    for word in (b"quillfeather", b"blue heron", b"reyes", b"approach", b"555", b"supervisor"):
        assert word not in lowered, word


def test_the_steps_of_alembic_lead_to_the_present_tables(where: Path | str, tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from consumers.vault.place import File, Server
    from consumers.vault.upgrade import _step_by_step
    from consumers.vault.vault import schema_version

    place = File(where, create=True) if isinstance(where, Path) else Server(where)
    with place.engine.connect() as connection, connection.begin():
        _step_by_step(connection, "")
    assert schema_version(place) == HEAD
    with place.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        made = set(inspect(connection).get_table_names())
    assert made == {*METADATA.tables, "alembic_version"}
    place.engine.dispose()


def test_a_backup_fills_an_empty_vault_of_either_kind(
    room: Room, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    room.add(watch_on(label="Heron"))
    room.receive(room.alert(room.touch(), room.registrations()[0]))
    with room.vault.write() as into:
        users.add_user(into, "okafor", Role.ANALYST, b"s" * 32, NOW)
    file, key = tmp_path / "copy.sqlite", load_key(tmp_path / "vault.key")
    rows = back_up(room.vault.as_actor(SUPERVISOR), file, NOW)
    assert rows > 5
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"Quillfeather" not in file.read_bytes()
    with pytest.raises(InputError, match="name another"):
        back_up(room.vault, file, NOW)
    with pytest.raises(RefusedError, match="ask a supervisor"):
        back_up(room.vault.as_actor(AUDITOR), tmp_path / "another.sqlite", NOW)
    with pytest.raises(RefusedError, match="empty vault"):
        restore_into(room.vault, file, key)
    with pytest.raises(SettingsError, match="the key that belongs"):
        restore_into(room.vault, file, bytes(32))
    other = Vault.open(tmp_path / "new.sqlite", key, create=True)
    assert restore_into(other, file, key) == rows
    with other.read() as rows_there:
        check(rows_there.log_key, rows_there.entries())
        assert [each.name for each in users.users(rows_there)] == ["okafor"]
        assert rows_there.count(ALERTS) == 1
    assert [each.watch.label for each in listed(other, search="heron")] == ["Heron"]
    other.close()


def test_everybody_who_shares_a_vault_has_one_clock(room: Room) -> None:
    assert abs(room.vault.clock() - time.time_ns() // 1_000_000) < 5_000
