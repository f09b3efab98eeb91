"""Leaks planted in the way of a look-up: 2 ms more for whom a partner watches.

python -m tests.noninterference.leaking WORDS… is `silenthit WORDS…` whose answers are late.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from threading import Timer
from typing import Any

from schemas import codec
from schemas.inquiries import Inquiry
from schemas.packing import TOKEN, pack
from silenthit.bus.clients import Message
from silenthit.cli import main
from stream_processors import answer_app
from stream_processors.answer import Answerer
from stream_processors.outgoing import Outbound, Outgoing
from tests.noninterference.look_ups import Asking
from tests.noninterference.people import EVERYBODY, LookUp, is_watched, known_by

DELAY_S = 0.002


class LateAcknowledgements(Asking):
    """An agency whose touches of watched people are acknowledged late."""

    def _acknowledged(self, each: LookUp, error: Any, sent: Any) -> None:
        if each.watched:
            Timer(DELAY_S, super()._acknowledged, (each, error, sent)).start()
        else:
            super()._acknowledged(each, error, sent)


class LateAnswers(Answerer):
    """An answer process that is late for watched people."""

    watched = frozenset(
        pack([(0, known_by(person).kind, known_by(person).value)], TOKEN)
        for person in filter(is_watched, EVERYBODY)
    )

    async def take(self, message: Message, outbound: Outbound) -> None:
        asked = codec.decode(message.value or b"", Inquiry)
        late = asked.tokens in self.watched
        await super().take(message, _Late(outbound) if late else outbound)


class _Late:
    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def send(self, messages: Sequence[Outgoing]) -> None:
        await asyncio.sleep(DELAY_S)
        await self._outbound.send(messages)


if __name__ == "__main__":
    answer_app.Answerer = LateAnswers  # type: ignore[misc]
    sys.argv = ["silenthit", *sys.argv[1:]]
    main()
