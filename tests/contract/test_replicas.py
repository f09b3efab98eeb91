"""Several inbox processes on one vault: whatever they do at once, nobody is called twice."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from consumers.cases import case_of, cases_in
from consumers.history import history
from consumers.inbox import Outcome
from consumers.paging import post_pages
from consumers.receiving import receive_batch
from consumers.times import to_ms
from consumers.vault import ALERTS, Vault
from consumers.vault_keys import load_key
from silenthit.call_tree.channels import ChannelSettings, Outlet
from silenthit.call_tree.escalation import Stage
from silenthit.call_tree.protocol import parse_protocol
from silenthit.errors import RefusedError
from tests.partner_room import NOW, PARTNER, Room, as_message

REPLICAS, ALERTS_SENT, CODE = 3, 6, 8  # digits of a code
PEOPLE = ("reyes", "okafor", "lin")
PROTOCOL = parse_protocol(
    {
        "timezone": "UTC",
        "people": {name: {"channels": [name]} for name in PEOPLE},
        "branches": [
            {"name": "all", "levels": [{"call": [name], "within": "10m"} for name in PEOPLE[:2]]}
        ],
        "last_resort": {"call": ["lin"], "every": "30m", "times": 2},
    }
)


class Phones:
    """Counts the calls: by person, cause and alert."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()

    def outlets(self) -> dict[str, Outlet]:
        return {name: Outlet(_Phone(self, name), _SETTINGS) for name in (*PEOPLE, "desk")}

    def ring(self, name: str, body: str) -> None:
        with self._lock:
            why, code = body.rpartition("|")[::2]
            self.calls[name, why, code] += 1


class _Phone:
    def __init__(self, phones: Phones, name: str) -> None:
        self._phones, self._name = phones, name

    def post(self, title: str, body: str, key: str) -> None:
        self._phones.ring(self._name, body)


_SETTINGS = ChannelSettings(url=SecretStr("json://x"), body="{why}|{code}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Room, list[Vault]]]:
    """A room, and its vault opened by each process."""
    sqlite = request.param == "sqlite"
    where = tmp_path / "vault.sqlite" if sqlite else request.getfixturevalue("postgres_url")
    room = Room.make(tmp_path, where)
    room.add()
    key = load_key(tmp_path / "vault.key")
    vaults = [Vault.open(where, key) for _ in range(REPLICAS)]
    yield room, vaults
    for each in (room.vault, *vaults):
        each.close()


def _at_once(steps: list[Callable[[], None]]) -> None:
    ready, failed = threading.Barrier(len(steps)), list[BaseException]()

    def run(step: Callable[[], None]) -> None:
        ready.wait()
        try:
            step()
        except BaseException as error:  # noqa: BLE001 for the test to raise
            failed.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in steps]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failed:
        raise failed[0]


def _work(vault: Vault, phones: Phones, now: Any) -> Callable[[], None]:
    """What an inbox process does at that time."""

    def step() -> None:
        with vault.write() as into:
            cases_in(into, PROTOCOL, now).escalate()
        post_pages(vault, phones.outlets(), lambda: to_ms(now))

    return step


class Replica:
    """As much of a partner as receiving asks for."""

    def __init__(self, vault: Vault) -> None:
        self.vault, self.protocol, self.model = vault, PROTOCOL, None
        self.settings: Any = self
        self.name, self.deliver_to = PARTNER, ("desk",)

    def clock(self) -> int:
        return to_ms(NOW)


def test_nobody_is_called_twice_whoever_works_and_claims_at_once(
    replicas: tuple[Room, list[Vault]],
) -> None:
    room, vaults = replicas
    chance, phones = random.Random(7), Phones()
    registration = room.registrations()[0]
    alerts = [
        room.alert(room.touch(record=f"H-{number}"), registration) for number in range(ALERTS_SENT)
    ]
    messages = [as_message(alert, offset=number) for number, alert in enumerate(alerts)]
    outcomes: Counter[Outcome] = Counter()

    def receive(vault: Vault) -> None:
        for message in messages:
            (received,) = receive_batch(Replica(vault), [message])  # type: ignore[arg-type]
            outcomes[received.outcome] += 1

    _at_once([lambda vault=each: receive(vault) for each in vaults])  # type: ignore[misc]
    assert outcomes[Outcome.NEW] == ALERTS_SENT
    assert outcomes[Outcome.UNCHANGED] == ALERTS_SENT * (REPLICAS - 1)

    claimed: Counter[bytes] = Counter()

    def claim(vault: Vault, about: bytes, who: str, now: Any) -> None:
        try:
            with vault.write() as into:
                cases_in(into, PROTOCOL, now).claim(about, who)
        except RefusedError:
            return
        claimed[about] += 1

    half = [alert.alert_id for alert in alerts[: ALERTS_SENT // 2]]
    moments = chance.sample(range(0, 30, 10), len(half))
    for minutes in range(0, 80, 10):
        now = NOW + timedelta(minutes=minutes)
        steps = [_work(each, phones, now) for each in vaults]
        if minutes in moments:
            about = half.pop()
            steps += [
                lambda vault=vault, who=who, about=about, now=now: claim(vault, about, who, now)  # type: ignore[misc]
                for vault, who in zip(vaults, PEOPLE, strict=True)
            ]
        _at_once(steps)
    assert set(claimed.values()) == {1}
    repeated = {key: times for key, times in phones.calls.items() if times > 1}
    assert repeated == {}
    pages = [key for key in phones.calls if key[0] == "desk" and len(key[2]) == CODE]
    assert len(pages) == ALERTS_SENT
    _check_histories(room, [alert.alert_id for alert in alerts], claimed)


def _check_histories(room: Room, abouts: list[bytes], claimed: Counter[bytes]) -> None:
    """What was written down is what was done: nobody was called after a claim."""
    with room.vault.read() as rows:
        assert rows.count(ALERTS) == ALERTS_SENT
        for about in abouts:
            done = [each["action"] for each in history(rows, about)]
            case = case_of(rows, about)
            assert case is not None
            if about in claimed:
                assert done[-1] == "claimed"
                assert case.stage is Stage.OWNED
            else:
                assert done == ["opened", "called", "called", "called", "called"]
                assert case.stage is Stage.LAST_RESORT
