"""Whose touches can wait: of who sends far more than the others, and of nobody else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from silenthit.bus.clients import Message
from stream_processors.shares import LIGHT, TIMES, WINDOW_S, Shares


@dataclass
class Hand:
    """A clock moved by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def of(sender: str) -> Message:
    return Message("touches", 0, 0, 0, b"key", b"value", (("sender", sender.encode()),))


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def shares(hand: Hand) -> Shares:
    return Shares(hand)


def send(shares: Shares, **counts: int) -> None:
    for sender, count in counts.items():
        shares.count([of(sender)] * count)


def heavy(shares: Shares, *senders: str) -> list[str]:
    return [sender for sender in senders if shares.can_wait(of(sender))]


def test_who_sends_far_more_than_the_others_can_wait(shares: Shares) -> None:
    send(shares, b=10, c=10, a=500)
    assert heavy(shares, "a", "b", "c") == ["a"]


def test_one_that_is_alone_never_waits(shares: Shares) -> None:
    send(shares, a=100_000)
    assert heavy(shares, "a") == []


def test_agencies_that_send_alike_do_not_wait_however_much_it_is(shares: Shares) -> None:
    send(shares, a=5_000, b=5_000, c=4_000)
    assert heavy(shares, "a", "b", "c") == []


def test_little_is_no_flood_whoever_else_sends_less(shares: Shares) -> None:
    send(shares, b=1, a=LIGHT)
    assert heavy(shares, "a") == []
    send(shares, a=1)
    assert heavy(shares, "a") == ["a"]


def test_a_large_agency_is_not_heavy_up_to_some_times_the_average(shares: Shares) -> None:
    send(shares, b=20, c=40, a=TIMES * 30)
    assert heavy(shares, "a") == []
    send(shares, a=1)
    assert heavy(shares, "a") == ["a"]


def test_a_flood_stays_one_in_the_next_window_and_is_forgotten_after_it(
    shares: Shares, hand: Hand
) -> None:
    send(shares, b=10, a=500)
    hand.now += WINDOW_S
    send(shares, b=1, a=1)
    assert heavy(shares, "a", "b") == ["a"]
    hand.now += WINDOW_S
    send(shares, b=1, a=1)
    assert heavy(shares, "a", "b") == []


def test_after_silence_nothing_is_remembered(shares: Shares, hand: Hand) -> None:
    send(shares, b=10, a=500)
    hand.now += 2 * WINDOW_S
    send(shares, a=1)
    assert heavy(shares, "a") == []


def test_a_message_without_headers_is_of_nobody(shares: Shares) -> None:
    bare = Message("touches", 0, 0, 0, b"key", b"value")
    send(shares, b=1)
    shares.count([bare] * 500)
    assert shares.can_wait(bare)
    assert heavy(shares, "b") == []


@pytest.mark.parametrize("headers", [(), (("sender", None),), (("sender", b""),)])
def test_whoever_does_not_say_who_it_is_counts_as_one_sender(
    headers: tuple[tuple[str, bytes | None], ...], shares: Shares
) -> None:
    nameless = Message("touches", 0, 0, 0, b"key", b"value", headers)  # type: ignore[arg-type]
    send(shares, one=LIGHT, other=LIGHT)
    shares.count([nameless] * (TIMES * LIGHT + 1))
    assert shares.can_wait(nameless)
    assert not shares.can_wait(of("one"))


def test_of_a_long_name_only_its_beginning_is_held(shares: Shares) -> None:
    send(shares, one=1, other=1)
    shares.count([of("x" * 100_000)] * (LIGHT + 1))
    assert shares.can_wait(of("x" * 200_000))
