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
# Each handful reads the whole pointer index; of a million watches it is 5 KB each, too.
WATCHES_AT_ONCE = 20_000


class KafkaLogs:
    """The logs of one worker. One call at a time."""

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
        self._news: TopicReader | None = None

    async def sent(self) -> list[Message]:
        """Return what `sent` holds since the last call."""
        return await asyncio.to_thread(self._sent)

    async def sent_news(self) -> list[Message]:
        """Return what more of `sent` is there already; it may not be all."""
        return await asyncio.to_thread(self._sent_news)

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
        self._end_news()
        with self._reader(self._bus.partner, [SENT.name], "sent", self._sent_positions) as reader:
            for messages in reader.read_to_end():
                found += messages
            self._sent_positions |= reader.positions()
        return found

    def _sent_news(self) -> list[Message]:
        """Read on by a reader that stays open: a second's wait for one would be felt."""
        try:
            if self._news is None:
                bus, start = self._bus.partner, self._sent_positions
                self._news = self._reader(bus, [SENT.name], "sent-news", start)
            found = self._news.read(REPLAY_AT_ONCE, 0)
        except Exception:
            self._end_news()
            raise
        self._sent_positions |= self._news.positions()
        return found

    def _end_news(self) -> None:
        if self._news is not None:
            self._news.close()
            self._news = None

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
