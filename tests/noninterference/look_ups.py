"""Look-ups in rounds: as many officers as a round has ask at once, each timed on its own.

An answer leaves at a tick, so that one look-up after the other takes some 100 ms each. Those of a
round wait for their ticks together, and what the machine does meanwhile is the same for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Producer

from schemas import codec
from schemas.inquiries import Answer, AnswerBody
from schemas.topics import ANSWERS
from silenthit.blinding.envelope import open_sealed
from silenthit.bus.clients import KafkaSettings, TopicReader
from tests.noninterference.people import CIRCLES, LookUp, Sent, Writer, drawn

ROUND = 20
SHARES = (0.25, 0.75)  # of watched in a round: what they cost all in it shows between rounds
PATIENCE_S = 30.0
POLL_S = 0.01


class Asking:
    """An agency's connections, for many look-ups at once."""

    def __init__(self, bus: KafkaSettings, organisation: str) -> None:
        self._producer = Producer(bus.properties("look-ups", acks="all", linger_ms=0))
        self._reader = TopicReader(
            bus, [ANSWERS.of(organisation)], client_id="look-ups", from_end=True,
            discover_every=3_600,
        )  # fmt: skip

    def ask(self, several: Sequence[LookUp]) -> None:
        """Hand over each touch, upon its acknowledgement its inquiry, and wait for the answers."""
        for each in several:
            each.started = time.perf_counter()
            self._hand_over(each.touch, partial(self._acknowledged, each))
        # No answer leaves before a tick; by then every inquiry has been handed over.
        self._until(lambda: all(each.asked for each in several), self._producer.poll)
        waiting = {each.inquiry.key: each for each in several}
        self._until(lambda: not waiting, partial(self._take, waiting))
        self._producer.poll(0)

    def _take(self, waiting: dict[bytes, LookUp], timeout: float) -> None:
        for message in self._reader.read(1, timeout):
            answered = time.perf_counter()
            each = waiting.pop(message.key or b"", None)
            if each is not None:
                each.answered, each.answer = answered, message.value or b""

    def _acknowledged(self, each: LookUp, error: Any, _: Any) -> None:
        assert error is None, error
        each.asked = time.perf_counter()
        self._hand_over(each.inquiry)

    def _hand_over(self, sent: Sent, then: Callable[[Any, Any], None] | None = None) -> None:
        self._producer.produce(
            sent.topic, sent.value, sent.key, headers=sent.headers, on_delivery=then
        )

    def _until(self, done: Callable[[], bool], poll: Callable[[float], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, "expected every answer in time"
            poll(POLL_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._producer.flush(PATIENCE_S)
        self._reader.close()


def asked(
    asking: Asking, writer: Writer, rounds: int, seed: int, shares: Sequence[float] = SHARES
) -> list[LookUp]:
    """Ask in rounds about people as a coin has it; every look-up finds somebody's card.

    Of those in a round one of these shares is watched.
    """
    random = Random(seed)
    found: list[LookUp] = []
    for number in range(rounds):
        circle, share = random.choice(CIRCLES), random.choice(shares)
        several = [
            writer.look_up(drawn(random, circle, share), f"inquiry {seed} {number} {each}")
            for each in range(ROUND)
        ]
        asking.ask(several)
        assert all(map(_found, several))
        found += several
    return found


def _found(each: LookUp) -> bool:
    answer = codec.decode(each.answer, Answer)
    opened = open_sealed(each.reply_key, answer.sealed, each.inquiry.key)
    return bool(codec.decode(opened, AnswerBody).cards)
