"""What a matching worker reads by assignment: `sent`, watches, and touches to point to again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from schemas.topics import SENT, TOUCHES, WATCHES
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from stream_processors.checkpoint import Positions
from stream_processors.settings import BusSettings

REPLAY_AT_ONCE = 1_000
REPLAY_WAIT_S = 1.0
NEWS_EVERY_S = 0.5
# Each handful reads the whole pointer index; of a million watches it is 5 KB each, too.
WATCHES_AT_ONCE = 50_000


class KafkaLogs:
    """The logs of one worker. One call at a time, but for `sent_news`."""

    def __init__(
        self,
        bus: BusSettings,
        *,
        name: str,
        partners: Callable[[], Sequence[str]],
        applied: Callable[[], Positions],
    ) -> None:
        """`partners` and `applied` say who is enrolled and how far the index has read, now."""
        self._bus, self._name = bus, name
        self._partners, self._applied = partners, applied
        self._sent_positions: dict[tuple[str, int], int] = {}
        self._sent_read = asyncio.Event()
        self._news: list[Message] = []

    async def sent(self) -> list[Message]:
        """Return what `sent` holds since the last call."""
        found = await asyncio.to_thread(self._sent)
        self._sent_read.set()
        return found

    async def sent_news(self) -> list[Message]:
        """Return what more of `sent` has been read by `follow_sent`; it may not be all."""
        found, self._news = self._news, []
        for message in found:
            place = message.topic, message.partition
            self._sent_positions[place] = max(
                message.offset + 1, self._sent_positions.get(place, 0)
            )
        return found

    async def follow_sent(self) -> None:
        """Read on in `sent`, for ever, from where `sent` ended first.

        Beside everything else: touches can't wait for what a broker takes to answer.
        """
        await self._sent_read.wait()
        start = dict(self._sent_positions)
        with await asyncio.to_thread(
            self._reader, self._bus.partner, [SENT.name], "sent-news", start
        ) as reader:
            while True:
                self._news += await asyncio.to_thread(reader.read, REPLAY_AT_ONCE, 0)
                await asyncio.sleep(NEWS_EVERY_S)

    def read(self) -> Positions:
        """Return up to where the worker's index has taken in the watch topics."""
        return self._applied()

    async def watches(self, start: Positions) -> AsyncIterator[list[Message]]:
        """Yield what the watch topics hold from there to what the index has taken in, in order."""
        applied = self._applied()
        with await asyncio.to_thread(self.watch_reader, start) as reader:
            several: list[Message] = []
            ends = iter(reader.read_to_end())
            while (messages := await asyncio.to_thread(next, ends, None)) is not None:
                several += [
                    message
                    for message in messages
                    if message.offset < applied.get((message.topic, message.partition), 0)
                ]
                if len(several) >= WATCHES_AT_ONCE:
                    yield several
                    several = []
            yield several

    async def touches(self, partition: int, start: int, end: int) -> AsyncIterator[list[Message]]:
        """Yield the touches of a partition from one offset up to another, in order."""
        place = TOUCHES.name, partition
        reader = await asyncio.to_thread(
            self._reader, self._bus.agency, [TOUCHES.name], "replay", {place: start}, only=[place]
        )
        with reader:
            while True:
                read = await asyncio.to_thread(reader.read, REPLAY_AT_ONCE, REPLAY_WAIT_S)
                wanted = [message for message in read if message.offset < end]
                if wanted:
                    yield wanted
                # Compaction may have emptied the last places: then the topic's end comes first.
                if len(wanted) < len(read) or not reader.behind():
                    return

    def watch_reader(self, start: Positions) -> TopicReader:
        """Return a reader of every partner's registrations from these positions."""
        topics = [WATCHES.of(partner) for partner in self._partners()]
        return self._reader(self._bus.partner, topics, "watches", start)

    def _sent(self) -> list[Message]:
        found: list[Message] = []
        start = dict(self._sent_positions)
        with self._reader(self._bus.partner, [SENT.name], "sent", start) as reader:
            for messages in reader.read_to_end():
                found += messages
            self._sent_positions |= reader.positions()
        return found

    def _reader(
        self,
        bus: KafkaSettings,
        topics: Sequence[str],
        what: str,
        start: Positions,
        *,
        only: Sequence[tuple[str, int]] | None = None,
    ) -> TopicReader:
        return TopicReader(bus, topics, client_id=f"{self._name}-{what}", start=start, only=only)
