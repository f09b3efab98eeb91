from __future__ import annotations

from collections.abc import Sequence

import pytest

from silenthit.bus.clients import Message
from silenthit.errors import RetryError
from stream_processors import steady
from stream_processors.admission import Reason, Refused
from stream_processors.steady import persist, take_steadily


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "FIRST_DELAY_S", 0)
    monkeypatch.setattr(steady, "MAX_DELAY_S", 0)


def message(offset: int) -> Message:
    return Message("touches", 0, offset, 1, b"k", b"v")


class Taker:
    """Takes messages; fails on some of them as often as it is told."""

    def __init__(self, failures: dict[int, int], error: Exception) -> None:
        self.failures, self.error = failures, error
        self.taken: list[int] = []
        self.aside: list[Refused] = []

    async def take(self, messages: Sequence[Message]) -> None:
        for each in messages:
            if self.failures.get(each.offset, 0):
                self.failures[each.offset] -= 1
                raise self.error
        self.taken += [each.offset for each in messages]

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        self.aside += refused


async def test_a_failure_that_may_pass_is_retried_for_as_long_as_it_takes() -> None:
    taker = Taker({2: 50}, RetryError("away"))
    await take_steadily([message(1), message(2)], taker.take, taker.set_aside)
    assert taker.taken == [1, 2]
    assert taker.aside == []


async def test_a_bug_on_one_message_sets_that_one_aside_and_takes_the_others() -> None:
    taker = Taker({2: 10_000}, ZeroDivisionError("a bug"))
    await take_steadily([message(n) for n in (1, 2, 3)], taker.take, taker.set_aside)
    assert taker.taken == [1, 3]
    assert [(each.place.offset, each.reason) for each in taker.aside] == [(2, Reason.WORKER_ERROR)]


async def test_a_bug_that_goes_away_costs_nothing() -> None:
    taker = Taker({1: 2}, KeyError("a bug"))
    await take_steadily([message(1)], taker.take, taker.set_aside)
    assert taker.taken == [1]
    assert taker.aside == []


async def test_setting_aside_is_retried_too() -> None:
    taker, away = Taker({1: 10_000}, KeyError("a bug")), [3]

    async def set_aside(refused: Sequence[Refused]) -> None:
        if away[0]:
            away[0] -= 1
            raise RetryError("away")
        await taker.set_aside(refused)

    await take_steadily([message(1)], taker.take, set_aside)
    assert len(taker.aside) == 1


async def test_what_a_message_says_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    taker = Taker({1: 10_000}, ValueError("QUILLFEATHER"))
    from silenthit.logs import configure_logs

    configure_logs()
    await take_steadily([message(1)], taker.take, taker.set_aside)
    logged = capsys.readouterr()
    assert "ValueError" in logged.err
    assert "QUILLFEATHER" not in logged.err + logged.out


async def test_persist_lets_a_bug_through_to_its_caller() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await persist(work, "test")
