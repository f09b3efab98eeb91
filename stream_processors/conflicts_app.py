"""Wire conflicts of operations to Kafka: operations in, word to both agencies at the same moment.

One such process; a second one takes over from the first. After any fault it begins anew from the
topics, which hold all that was told. It has the rights of the process that answers look-ups, and
none on watches.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import structlog

from schemas import codec
from schemas.codec import WireError
from schemas.operations import SEEN_MARK, ConflictNote, OperationSeen
from schemas.topics import CONFLICT_NOTES, CONFLICTS, OPERATIONS
from silenthit.blinding.epochs import EpochState
from silenthit.bus.clients import Delivered, Message, Publisher, TopicReader
from silenthit.bus.rights import CONFLICTS_WRITER
from silenthit.bus.together import Together
from silenthit.errors import RefusedError, RetryError
from stream_processors.admission import ID_BYTES, Refused
from stream_processors.conflict_admission import Ended, admit_operation
from stream_processors.conflict_book import Book
from stream_processors.conflicts import Conflicts, Telling
from stream_processors.settings import ExchangeSettings, Organisations

READ_AT_ONCE = 256
READ_WAIT_S = 0.25
SWEEP_EVERY_S = 600.0
_LONGEST_WAIT_S = 10.0

log = structlog.get_logger(__name__)


class TellingOfConflicts:
    """One run of the process, from an empty memory to the next fault."""

    def __init__(self, settings: ExchangeSettings, *, name: str) -> None:
        """Nothing is read before `run`."""
        self._settings, self._name, self._bus = settings, name, settings.bus.agency
        self._state = Conflicts(settings.conflicts)
        self._epochs = settings.known_epochs()
        self._book = Book(settings.data, settings.conflicts)
        self._organisations = Organisations.load(settings.organisations)
        self._keys = self._organisations.sender_keys()
        self._swept = time.monotonic()

    def run(self, stop: threading.Event, ready: Callable[[], None]) -> None:
        """Tell until `stop` is set; `ready` is called once every operation is known.

        Raises RetryError or RefusedError, after which a new run goes on.
        """
        client = f"{self._name}-conflicts"
        with (
            Together(self._bus, client_id=client, name=CONFLICTS_WRITER) as together,
            Publisher(self._bus, client_id=client) as publisher,
        ):
            self._recall(client)
            with TopicReader(self._bus, self._topics(), client_id=client) as reader:
                while not stop.is_set():
                    self._follow_organisations()
                    reader.add_topics(self._topics())
                    self._take(reader.read(READ_AT_ONCE, READ_WAIT_S), publisher)
                    if not reader.behind():  # else a cancellation may not have been read yet
                        ready()
                        self._tell(together)
                        self._sweep(publisher)

    def _topics(self) -> list[str]:
        oris = {key.organisation.lower() for key in self._keys.values()}
        return [OPERATIONS.of(ori) for ori in sorted(oris)]

    def _follow_organisations(self) -> None:
        self._organisations = self._organisations.reread(self._settings.organisations)
        self._keys = self._organisations.sender_keys()

    def _accepts(self, epoch: int) -> bool:
        """Whether an epoch may be: agencies may hear of a turn before the exchange does."""
        return self._epochs.states.get(epoch) is not EpochState.DESTROYED

    def _recall(self, client: str) -> None:
        """Read who was told of what, and since when each operation is known."""
        with TopicReader(self._bus, [CONFLICT_NOTES.name], client_id=client) as reader:
            for messages in reader.read_to_end():
                for message in messages:
                    self._state.remember(message.key or b"", _remembered(message))

    def _take(self, messages: Sequence[Message], publisher: Publisher) -> None:
        written: list[Future[Delivered]] = []
        for message in messages:
            found = admit_operation(message, self._keys, self._accepts)
            if isinstance(found, Refused):
                log.warning("not taken", reason=found.reason.value, offset=message.offset)
            elif isinstance(found, Ended):
                self._state.end(found)
            else:
                seen = self._state.see(found, message.timestamp_ms)
                if seen is not None:
                    key = found.record_id + SEEN_MARK
                    written.append(publisher.send(CONFLICT_NOTES.name, key, codec.encode(seen)))
                if not self._state.take(found):
                    self._book.refused(found.organisation, message.timestamp_ms)
                elif seen is not None and self._state.held(found, message.timestamp_ms):
                    self._book.held(found.organisation, message.timestamp_ms)
        if written:
            publisher.flush()
        for each in written:
            each.result()

    def _tell(self, together: Together) -> None:
        now = time.time_ns() // 1_000_000
        for each in list(self._state.due(now)):
            self._tell_both(together, each)
            self._state.remember(each.conflict_id, each.note)
            self._book.told(each, self._state, now)

    @staticmethod
    def _tell_both(together: Together, each: Telling) -> None:
        """The one place where agencies are told of each other's operations: all of it, or none."""
        together.send(
            [
                *(
                    (CONFLICTS.of(organisation), each.conflict_id, codec.encode(message))
                    for organisation, message in each.messages
                ),
                (CONFLICT_NOTES.name, each.conflict_id, codec.encode(each.note)),
            ]
        )

    def _sweep(self, publisher: Publisher) -> None:
        """Forget what is long over, once no day's count needs it."""
        if time.monotonic() - self._swept < SWEEP_EVERY_S:
            return
        self._swept = time.monotonic()
        for key in self._state.over(time.time_ns() // 1_000_000):
            publisher.send(CONFLICT_NOTES.name, key, None)
            self._state.remember(key, None)
        publisher.flush()


def _remembered(message: Message) -> ConflictNote | OperationSeen | None:
    if message.value is None:
        return None
    try:
        if len(message.key or b"") == ID_BYTES:
            return codec.decode(message.value, ConflictNote)
        return codec.decode(message.value, OperationSeen)
    except WireError as error:
        log.warning("entry not read", reason=error.reason, offset=message.offset)
        return None


def tell_until_told(settings: ExchangeSettings, *, name: str, ready_file: Path | None) -> None:
    """Run the process until SIGTERM or Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings.data.mkdir(parents=True, exist_ok=True)

    def ready() -> None:
        if ready_file is not None and not ready_file.exists():
            ready_file.touch()

    wait = 0.5
    while not stop.is_set():
        try:
            TellingOfConflicts(settings, name=name).run(stop, ready)
        except (RetryError, RefusedError) as error:
            log.warning("beginning anew", error=type(error).__name__, remedy=str(error))
            stop.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)
