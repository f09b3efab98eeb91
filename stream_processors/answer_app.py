"""Wire the answering worker to Kafka and Redis: inquiries in, answers out, on both buses."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog
import uvloop

from schemas.topics import ANSWER_DISCLOSURES, INQUIRIES, PUBLICATIONS, Bus
from silenthit.bus.clients import Message, Publisher, TopicReader
from silenthit.bus.fetch import PlaceReader
from silenthit.errors import RetryError, SettingsError
from silenthit.metrics import Metric, export, serve_metrics
from stream_processors.answer import Answerer
from stream_processors.answer_book import Book
from stream_processors.answer_disclosures import AnswerDisclosures
from stream_processors.answer_positions import Positions
from stream_processors.answer_publications import Publications
from stream_processors.answer_quota import Quota
from stream_processors.answer_touches import KafkaTouches
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.disclosures import Chain
from stream_processors.look_up import LookUp
from stream_processors.look_up_index import LookUpIndex
from stream_processors.outgoing import KafkaOutbound
from stream_processors.pointers import Pointers, open_redis
from stream_processors.settings import EMBEDDED_REDIS, ExchangeSettings, Organisations
from stream_processors.steady import persist

AT_ONCE = 64  # inquiries that are being answered
READ_AT_ONCE = 256
READ_WAIT_S = 0.1
MOST_TRIES = 3
MERGE_EVERY_S = 60.0
CLOSE_S = 3.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What answering on one bus needs."""

    bus: Bus
    outbound: KafkaOutbound = field(repr=False)
    positions: Positions = field(repr=False)


class Answering:
    """One answering worker: its parts and its tasks."""

    def __init__(self, settings: ExchangeSettings, *, name: str) -> None:
        """Build the parts; nothing is read before `run`."""
        self._settings, self._name = settings, name
        self._organisations = Organisations.load(settings.organisations)
        self._redis = open_redis(settings.redis)
        self._publications = Publications()
        # Somebody waits for each answer, and what comes at once is sent at once all the same.
        self._publishers = {
            bus: Publisher(settings.bus.of(bus), client_id=name, linger_ms=0) for bus in Bus
        }
        self._room = asyncio.Semaphore(AT_ONCE)
        keys = self._organisations.sender_keys()
        self._reader = PlaceReader(settings.bus.agency, client_id=f"{name}-touches")
        self._index = LookUpIndex(self._redis, Pointers(self._redis))
        self._look_up = LookUp(
            index=self._index,
            touches=KafkaTouches(self._reader),
            publications=self._publications,
            keys=keys,
            epochs=settings.known_epochs(),
        )
        partner_bus = KafkaOutbound(self._publishers[Bus.PARTNER])
        self._chain = Chain(
            self._disclosing(),
            process=f"{name}-answer",
            heads=settings.data,
            topic=ANSWER_DISCLOSURES,
        )
        self._disclosures = AnswerDisclosures(self._chain, partner_bus)
        self.answerer = Answerer(
            name=name,
            look_up=self._look_up,
            quota=Quota(self._redis, settings.look_up),
            book=Book(settings.data),
            set_aside=partner_bus,
            disclosures=self._disclosures,
            keys=keys,
            partners=self._organisations.partners,
        )

    async def run(self, ready: Callable[[], None]) -> None:
        """Answer until cancelled; `ready` is called once every publication is known."""
        known = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_organisations())
                tasks.create_task(self._follow_publications(known))
                tasks.create_task(self._keep_index())
                await known.wait()
                for bus in Bus:
                    tasks.create_task(self._answer(self._desk(bus), tasks))
                ready()
        finally:
            await self._close_disclosures()
            for publisher in self._publishers.values():
                publisher.close()
            await self._redis.aclose()

    def _disclosing(self) -> DisclosureSettings:
        return self._settings.disclosures.knowing(self._organisations.disclosure_keys)

    async def _close_disclosures(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._disclosures.close()
        except (TimeoutError, RetryError):
            log.warning("disclosures not closed")

    def _desk(self, bus: Bus) -> Desk:
        outbound = KafkaOutbound(self._publishers[bus])
        return Desk(bus=bus, outbound=outbound, positions=Positions(self._redis, bus.value))

    async def _answer(self, desk: Desk, tasks: asyncio.TaskGroup) -> None:
        """Answer one bus's inquiries, for ever; after a fault go on at what was not answered."""
        while True:
            await persist(partial(self._answer_on, desk, tasks), "inquiries")

    async def _answer_on(self, desk: Desk, tasks: asyncio.TaskGroup) -> None:
        """Read one bus's inquiries and answer each in a task of its own, so many at a time."""
        start = await desk.positions.load()
        with TopicReader(
            self._settings.bus.of(desk.bus),
            self._inquiry_topics(desk.bus),
            client_id=f"{self._name}-inquiries",
            start=start,
        ) as reader:
            while True:
                await asyncio.to_thread(reader.add_topics, self._inquiry_topics(desk.bus), start)
                for message in await asyncio.to_thread(reader.read, READ_AT_ONCE, READ_WAIT_S):
                    await self._room.acquire()
                    desk.positions.begun(message)
                    tasks.create_task(self._answer_one(desk, message))

    async def _answer_one(self, desk: Desk, message: Message) -> None:
        try:
            await self._answered(desk, message)
            await persist(partial(desk.positions.finished, message), "positions")
        finally:
            self._room.release()

    async def _answered(self, desk: Desk, message: Message) -> None:
        """Answer; what a fault of ours keeps from being answered is set aside at last."""
        for attempt in range(MOST_TRIES):
            try:
                return await persist(partial(self.answerer.take, message, desk.outbound), "inquiry")
            except Exception:
                log.exception("not answered", attempt=attempt)
        return await persist(partial(self.answerer.give_up, message), "quarantine")

    async def _follow_publications(self, known: asyncio.Event) -> None:
        """Read every partner's publications from the beginning, and go on reading, for ever."""
        while True:
            await persist(partial(self._take_publications, known), "publications")

    async def _take_publications(self, known: asyncio.Event) -> None:
        with TopicReader(
            self._settings.bus.partner,
            self._publication_topics(),
            client_id=f"{self._name}-publications",
        ) as reader:
            while True:
                await asyncio.to_thread(reader.add_topics, self._publication_topics())
                messages = await asyncio.to_thread(reader.read, READ_AT_ONCE, READ_WAIT_S)
                refused = self._publications.take(messages)
                if refused:
                    await persist(partial(self.answerer.refuse, refused), "quarantine")
                if not reader.behind():
                    known.set()

    async def _keep_index(self) -> None:
        """Keep the lists of the pointer index short, for ever."""

        async def merge() -> None:
            merged = await self._index.merge()
            if merged:
                log.info("pointers merged", buckets=merged)

        while True:
            await persist(merge, "merge")
            await asyncio.sleep(MERGE_EVERY_S)

    async def _follow_organisations(self) -> None:
        """Notice who was enrolled, whose keys changed, and who left."""
        path, seen = self._settings.organisations, 0.0
        while True:
            changed = path.stat().st_mtime if path.exists() else 0.0
            if changed != seen:
                seen = changed
                self._organisations = self._organisations.reread(path)
                keys = self._organisations.sender_keys()
                self._look_up.keys = self.answerer.keys = keys
                self.answerer.partners = self._organisations.partners
                self._chain.settings = self._disclosing()
                self._publications.keep(frozenset(self._publication_topics()))
            await asyncio.sleep(1.0)

    def _inquiry_topics(self, bus: Bus) -> list[str]:
        known = self._organisations
        if bus is Bus.PARTNER:
            return [INQUIRIES.of(name) for name in known.partners]
        oris = {key.organisation.lower() for key in known.sender_keys().values()}
        return [INQUIRIES.of(ori) for ori in sorted(oris)]

    def _publication_topics(self) -> list[str]:
        return [PUBLICATIONS.of(name) for name in self._organisations.partners]


def answer_until_told(settings: ExchangeSettings, *, name: str, ready_file: Path | None) -> None:
    """Run one answering worker until SIGTERM or Ctrl-C.

    Raises SettingsError for a Redis in the process: the pointers are another process's.
    """
    if settings.redis == EMBEDDED_REDIS:
        raise SettingsError(
            'expected a Redis server, got `redis = "embedded"`, which no second process can read; '
            "set `redis` to its redis:// address"
        )
    settings.data.mkdir(parents=True, exist_ok=True)

    def ready() -> None:
        if ready_file is not None:
            ready_file.touch()

    async def until_told() -> None:
        answering = Answering(settings, name=name)
        if settings.metrics_port is not None:
            _show_metrics(answering.answerer, settings.metrics_port)
        task = asyncio.create_task(answering.run(ready))
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    uvloop.run(until_told())


def _show_metrics(answerer: Answerer, port: int) -> None:
    tally = answerer.tally
    export(
        {
            Metric.LOOK_UPS: lambda: tally.answered,
            Metric.LOOK_UPS_OVER_QUOTA: lambda: tally.over_quota,
            Metric.LOOK_UPS_REFUSED: lambda: tally.refused,
        }
    )
    serve_metrics(port)
