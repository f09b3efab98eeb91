"""Wire deconfliction to Kafka: watches in, meetings out, both partners' at the same moment.

One such process; a second one takes over from the first. After any fault it begins anew from the
topics, which hold all that was told.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas import codec
from schemas.codec import WireError
from schemas.deconfliction import FirstSeen, Told
from schemas.messages import WatchRegistration
from schemas.topics import DECONFLICTIONS, MEETINGS, WATCHES
from silenthit.blinding.deconfliction_key import load_private_key
from silenthit.blinding.sealed_watches import WatchOpener
from silenthit.blinding.slots import Slot, open_slot, slot_place
from silenthit.bus.clients import Delivered, Message, Publisher, TopicReader
from silenthit.bus.rights import DECONFLICTING
from silenthit.bus.together import Together
from silenthit.errors import RefusedError, RetryError
from stream_processors.admission import (
    WAITING,
    AdmittedWatch,
    Refused,
    Removal,
    admit_watch,
    waits_for,
)
from stream_processors.deconfliction import Deconfliction, Encounter
from stream_processors.deconfliction_book import Book
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.disclosures import Chain
from stream_processors.settings import ExchangeSettings, Organisations
from stream_processors.watch_keys import WatchKeys

READ_AT_ONCE = 512
READ_WAIT_S = 0.25
SWEEP_EVERY_S = 600.0
MOST_WAITING = 1_000
_LONGEST_WAIT_S = 10.0
_MEETING_KEY_BYTES = 16

log = structlog.get_logger(__name__)


class Deconflicting:
    """One run of the process, from an empty memory to the next fault."""

    def __init__(self, settings: ExchangeSettings, key: X25519PrivateKey, *, name: str) -> None:
        """Nothing is read before `run`."""
        self._settings, self._key, self._name = settings, key, name
        self._bus = settings.bus.partner
        self._state = Deconfliction(settings.deconfliction)
        self._epochs = settings.known_epochs()
        self._opener = WatchOpener(WatchKeys(settings.watch_keys))
        self._organisations = Organisations.load(settings.organisations)
        self._book = Book(settings.data)
        self._disclosures = Chain(
            self._disclosing(), process=f"{name}-deconflict", heads=settings.data
        )
        self._swept = time.monotonic()
        self._waiting: dict[tuple[str, bytes], Message] = {}  # the first of each topic and cause

    def run(self, stop: threading.Event, ready: Callable[[], None]) -> None:
        """Tell until `stop` is set; `ready` is called once every watch is known.

        Raises RetryError or RefusedError, after which a new run goes on.
        """
        client = f"{self._name}-deconflict"
        with (
            Together(self._bus, client_id=client, name=DECONFLICTING) as together,
            Publisher(self._bus, client_id=client) as publisher,
        ):
            self._recall(client)
            with TopicReader(self._bus, self._topics(), client_id=client) as reader:
                while not stop.is_set():
                    self._organisations = self._organisations.reread(self._settings.organisations)
                    self._disclosures.settings = self._disclosing()
                    reader.add_topics(self._topics())
                    self._take(reader.read(READ_AT_ONCE, READ_WAIT_S), publisher)
                    if not reader.behind():  # else a refusal may not have been read yet
                        ready()
                        self._tell(together)
                        self._sweep(publisher)
                        self._check_waiting()
            links = self._disclosures.close()
            together.send([(link.topic, link.key, link.value) for link in links])
            self._disclosures.confirmed(links)

    def _disclosing(self) -> DisclosureSettings:
        return self._settings.disclosures.knowing(self._organisations.disclosure_keys)

    def _topics(self) -> list[str]:
        return [WATCHES.of(partner) for partner in self._organisations.partners]

    def _recall(self, client: str) -> None:
        """Read who was told, and since when each registration is known."""
        with TopicReader(self._bus, [MEETINGS.name], client_id=client) as reader:
            for messages in reader.read_to_end():
                for message in messages:
                    self._state.remember(message.key or b"", _remembered(message))

    def _take(self, messages: Sequence[Message], publisher: Publisher) -> None:
        written: list[Future[Delivered]] = []
        for message in messages:
            admitted = self._admitted(message)
            if isinstance(admitted, AdmittedWatch):
                registration = admitted.registration
                entry = self._state.see(registration, message.timestamp_ms)
                if entry is not None:
                    value = codec.encode(entry)
                    written.append(publisher.send(MEETINGS.name, message.key, value))
                self._state.take(registration, self._opened(registration))
            elif isinstance(admitted, Removal) and self._state.forget(admitted.key):
                written.append(publisher.send(MEETINGS.name, admitted.key, None))
            elif _waits(admitted) and len(self._waiting) < MOST_WAITING:
                self._waiting.setdefault((message.topic, waits_for(message)), message)
        if written:
            publisher.flush()
        for each in written:
            each.result()

    def _admitted(self, message: Message) -> AdmittedWatch | Removal | Refused:
        return admit_watch(message, self._epochs, self._opener)

    def _check_waiting(self) -> None:
        """Raise RetryError once an epoch or a watch key is known for which registrations waited."""
        if not all(_waits(self._admitted(message)) for message in self._waiting.values()):
            raise RetryError("expected what every registration waits for, got them now; begin anew")

    def _opened(self, registration: WatchRegistration) -> Slot | None:
        place = slot_place(registration.registration_id, registration.epoch, registration.partner)
        return open_slot(self._key, registration.slot, place)

    def _tell(self, together: Together) -> None:
        now, held = time.time_ns() // 1_000_000, set(self._state.held)
        for each in self._state.due(now):
            sides = [(side.partner, side.registration_id) for side in each.told.sides]
            links = self._disclosures.meeting(each.told.meeting_id, sides)
            together.send(
                [
                    *((link.topic, link.key, link.value) for link in links),
                    *(
                        (DECONFLICTIONS.of(partner), each.told.meeting_id, codec.encode(message))
                        for partner, message in each.messages
                    ),
                    (MEETINGS.name, each.told.meeting_id, codec.encode(each.told)),
                ]
            )
            self._disclosures.confirmed(links)
            self._state.remember(each.told.meeting_id, each.told)
            self._write_down(each, now)
        for meeting in self._state.held - held:
            self._book.write(at=now, meeting=meeting, partners=(), what="held")

    def _write_down(self, each: Encounter, now: int) -> None:
        partners = tuple(side.partner for side in each.told.sides)
        what = "told" if each.told.at == now else "updated"
        self._book.write(at=now, meeting=each.told.meeting_id, partners=partners, what=what)

    def _sweep(self, publisher: Publisher) -> None:
        """Forget the meetings of watches that are gone, once no day's count needs them."""
        if time.monotonic() - self._swept < SWEEP_EVERY_S:
            return
        self._swept = time.monotonic()
        for meeting in self._state.over(time.time_ns() // 1_000_000):
            publisher.send(MEETINGS.name, meeting, None)
            self._state.remember(meeting, None)
        publisher.flush()


def _waits(judged: AdmittedWatch | Removal | Refused) -> bool:
    return isinstance(judged, Refused) and judged.reason in WAITING


def _remembered(message: Message) -> FirstSeen | Told | None:
    if message.value is None:
        return None
    try:
        if len(message.key or b"") == _MEETING_KEY_BYTES:
            return codec.decode(message.value, Told)
        return codec.decode(message.value, FirstSeen)
    except WireError as error:
        log.warning("entry not read", reason=error.reason, offset=message.offset)
        return None


def deconflict_until_told(
    settings: ExchangeSettings, *, name: str, ready_file: Path | None
) -> None:
    """Run the process until SIGTERM or Ctrl-C. Raises SettingsError without its own key."""
    key, stop = load_private_key(settings.deconfliction_key), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings.data.mkdir(parents=True, exist_ok=True)

    def ready() -> None:
        if ready_file is not None and not ready_file.exists():
            ready_file.touch()

    wait = 0.5
    while not stop.is_set():
        try:
            Deconflicting(settings, key, name=name).run(stop, ready)
        except (RetryError, RefusedError) as error:
            log.warning("beginning anew", error=type(error).__name__, remedy=str(error))
            stop.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)
