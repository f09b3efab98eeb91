from __future__ import annotations

import logging

from silenthit.bus.quiet_log import EVERY_S, OncePerMinute, bus_log


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def said(text: str) -> logging.LogRecord:
    return logging.LogRecord("silenthit.bus", logging.ERROR, "", 0, "%s", (text,), None)


def test_what_is_said_again_is_said_once_a_minute_with_how_often_it_was() -> None:
    clock = Clock()
    quiet = OncePerMinute(clock)
    failing = "FAIL [thrd:kafka:9092/1]: Failed to resolve after {} ms"
    assert quiet.filter(said(failing.format(1)))
    assert not any(quiet.filter(said(failing.format(n))) for n in range(2, 1202))
    assert quiet.filter(said("ERROR: 1/1 brokers are down")), "another message is not held back"
    clock.now += EVERY_S
    again = said(failing.format(9))
    assert quiet.filter(again)
    assert again.getMessage() == failing.format(9) + " (and 1,200 more like it)"


def test_messages_of_endless_kinds_take_no_more_memory() -> None:
    quiet = OncePerMinute(Clock())
    words = ("".join(chr(97 + (n >> shift) % 16) for shift in (0, 4, 8)) for n in range(4000))
    assert all(quiet.filter(said(each)) for each in words)
    assert len(quiet._since) <= 256


def test_every_client_logs_through_it_and_it_is_there_once() -> None:
    assert bus_log() is bus_log()
    assert sum(isinstance(each, OncePerMinute) for each in bus_log().filters) == 1
