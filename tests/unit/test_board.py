from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from consumers.board import Board, Showing
from consumers.canaries import canary_id, place
from consumers.cases import case_of, cases_in
from consumers.open_cases import clock, open_cases
from consumers.partner import Partner
from consumers.roles import Role
from consumers.settings import PartnerSettings
from consumers.vault import Actor
from silenthit.call_tree.escalation import Stage
from silenthit.call_tree.protocol import parse_protocol, to_operator
from tests.partner_room import NOW, Room, mary, watch_on

PROTOCOL = {
    "timezone": "UTC",
    "people": {"reyes": {"channels": ["sms"]}},
    "branches": [{"name": "all", "levels": [{"call": ["reyes"], "within": "30m"}]}],
    "last_resort": {"call": ["reyes"]},
}
WIDE = (140, 40)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room.make(tmp_path)
    made.protocol = parse_protocol(PROTOCOL)
    made.add(watch_on(handling="Do not approach; call SA Reyes."), watch_on(mary(), label="Grey"))
    for registration in made.registrations():
        made.receive(made.alert(made.touch(), registration))
    return made


@pytest.fixture
def board(room: Room) -> Callable[[Role], Board]:
    """The board as somebody with this role sees it."""

    def made(role: Role) -> Board:
        settings = PartnerSettings.model_validate(
            {
                "name": "fbi-ct",
                "bus": {"partner": {"bootstrap_servers": "127.0.0.1:1"}},
                "blinding": {},
            }
        )
        vault = room.vault.as_actor(Actor("reyes", role))
        return Board(Partner(settings, vault, room.protocol))

    return made


def _cells(pilot: Pilot[Any]) -> list[list[str]]:
    table = pilot.app.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(row)] for row in range(table.row_count)]


def _shown(pilot: Pilot[Any]) -> str:
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as captured:
        console.print(pilot.app.screen.query_one(Static).content)
    return captured.get()


async def test_open_cases_are_listed_with_owner_and_clock(
    board: Callable[[Role], Board],
) -> None:
    async with board(Role.ANALYST).run_test(size=WIDE) as pilot:
        rows = _cells(pilot)
        assert sorted(row[3] for row in rows) == ["Blue Heron 1", "Grey"]
        assert {row[7] for row in rows} == {"nobody"}
        assert all(row[8].startswith("climbs") for row in rows)


async def test_a_claim_and_a_close_are_one_key_each(
    room: Room, board: Callable[[Role], Board]
) -> None:
    async with board(Role.ANALYST).run_test(size=WIDE) as pilot:
        chosen = pilot.app.chosen  # type: ignore[attr-defined]
        await pilot.press("c")
        assert [row[7] for row in _cells(pilot)] == ["nobody", "reyes"]
        assert pilot.app.chosen.about == chosen.about, "the cursor stays on its case"  # type: ignore[attr-defined]
        await pilot.press("x")
        await pilot.press(*"done", "enter")
        assert len(_cells(pilot)) == 1
    with room.vault.read() as rows:
        case = case_of(rows, chosen.about)
    assert case is not None
    assert case.stage is Stage.CLOSED


async def test_escape_closes_nothing(board: Callable[[Role], Board]) -> None:
    async with board(Role.ANALYST).run_test(size=WIDE) as pilot:
        await pilot.press("c", "x", "escape")
        assert len(_cells(pilot)) == 2


async def test_show_tells_the_whole_alert_and_goes_back(
    room: Room, board: Callable[[Role], Board]
) -> None:
    async with board(Role.ANALYST).run_test(size=WIDE) as pilot:
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, Showing)
        text = _shown(pilot)
        assert "860-555-0100" in text
        assert "Tanglewood" in text
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, Showing)


async def test_a_refusal_is_told_and_changes_nothing(
    room: Room, board: Callable[[Role], Board]
) -> None:
    about = open_cases(room.vault)[0].about
    with room.vault.write() as into:
        cases_in(into, room.protocol, NOW).claim(about, "okafor")
    async with board(Role.ANALYST).run_test(size=WIDE) as pilot:
        await pilot.press("down", "c")
        assert sorted(row[7] for row in _cells(pilot)) == ["nobody", "okafor"]
        (told,) = pilot.app._notifications
        assert "okafor does" in told.message


async def test_a_missed_canary_is_on_the_board_too(
    room: Room, board: Callable[[Role], Board]
) -> None:
    assert room.protocol is not None
    with room.vault.write() as into:
        place(into, "CT0006400", "Hartford PD", NOW)
        cases_in(into, room.protocol, NOW).open(
            canary_id("CT0006400"), to_operator(room.protocol), ""
        )
    async with board(Role.ANALYST).run_test(size=WIDE) as pilot:
        assert "canary missed" in {row[1] for row in _cells(pilot)}


def test_the_clock_says_what_comes_next(room: Room) -> None:
    case = open_cases(room.vault)[0].case
    assert clock(case, NOW) == "climbs now"
    assert clock(case.model_copy(update={"stage": Stage.LAST_RESORT}), NOW) == "nobody answered"
