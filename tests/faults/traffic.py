"""What agencies and partners send while things break, and what is there when all is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import pairwise

from confluent_kafka import KafkaException

from schemas import codec
from schemas.messages import Alert, AlertStatus, Quarantined
from schemas.topics import ALERTS, QUARANTINE, SENT, TOUCHES, WATCHES
from silenthit.bus.clients import KafkaSettings, Message, Publisher, TopicReader
from silenthit.bus.connection import UNKNOWN_OFFSET, Delivered, Headers, Place
from silenthit.errors import RetryError
from tests.histories.judge import RANK, Said, Verdict, judge
from tests.histories.on_kafka import Clock
from tests.histories.workers import PARTNERS

LOOK_S = 0.2
# What was sent and what followed from it; `sent` only has to be quiet.
READ = [TOUCHES.name, SENT.name, QUARANTINE.name]
READ += [topic.of(partner) for partner in PARTNERS for topic in (WATCHES, ALERTS)]
APART_MS, STORM_MS = 5_000, 900  # of the judge's time: a storm is within its bound


@dataclass
class Letter:
    """One message and what became of it. It is sent until it is confirmed, as an outbox does."""

    message: Message
    future: Future[Delivered]

    def stored(self) -> Delivered | None:
        """Return where it lies; None while that is open, or when it has to be sent again."""
        failed = not self.future.done() or self.future.exception() is not None
        return None if failed else self.future.result()


@dataclass
class FaultyLog:
    """What `Outside` writes to: brokers that may be away. Nothing waits for them."""

    publisher: Publisher
    clock: Clock = field(default_factory=Clock)
    letters: list[Letter] = field(default_factory=list)

    def append(
        self, topic: str, partition: int, key: bytes, value: bytes | None, headers: Headers = ()
    ) -> None:
        message = Message(topic, partition, -1, self.clock.ms, key, value, tuple(headers))
        self.letters.append(Letter(message, self._send(message)))

    def of(self, topic: str, partition: int = 0) -> list[Message]:
        return [m for m in self.all_of(topic) if m.partition == partition]

    def all_of(self, topic: str) -> list[Message]:
        return [each.message for each in self.letters if each.message.topic == topic]

    def replay(self, topics: Sequence[str]) -> int:
        """Append all that was sent to these topics once more, byte by byte, in its order."""
        again = [each.message for each in self.letters if each.message.topic in topics]
        for m in again:
            self.append(m.topic, m.partition, m.key or b"", m.value, m.headers)
        return len(again)

    def watches(self) -> set[tuple[str, bytes]]:
        """Return the topic and key of every watch that was ever registered."""
        topics = {WATCHES.of(each) for each in PARTNERS}
        sent = (each.message for each in self.letters if each.message.topic in topics)
        return {(message.topic, message.key or b"") for message in sent}

    def insist(self) -> bool:
        """Send again what the brokers refused; whether everything is confirmed."""
        for letter in self.letters:
            if letter.future.done() and letter.future.exception():
                letter.future = self._send(letter.message)
        return all(letter.stored() for letter in self.letters)

    def _send(self, m: Message) -> Future[Delivered]:
        return self.publisher.send(
            m.topic, m.key, m.value, headers=m.headers, partition=m.partition
        )


class Stored:
    """What the topics hold, read on whenever somebody looks; `messages` is what was not judged."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._reader: TopicReader | None = None
        self._positions: dict[Place, int] = {}
        self.messages: list[Message] = []

    def look(self) -> bool:
        """Read what is new; whether there was nothing."""
        try:
            if self._reader is None:
                self._reader = TopicReader(
                    self._kafka, READ, client_id="judge", start=self._positions
                )
            new = self._reader.read(10_000, LOOK_S)
            self._positions |= self._reader.positions()
        except (RetryError, KafkaException):
            self.close()
            return False
        self.messages += new
        return not new and self._reader.caught_up()

    def of(self, topic: str, since: int = 0) -> list[Message]:
        return [m for m in self.messages[since:] if m.topic == topic]

    def read(self, letters: Sequence[Letter]) -> bool:
        """Whether all that is confirmed was read."""
        told = [letter.future.result() for letter in letters]
        return all(
            each.offset < self._positions.get((each.topic, each.partition), 0) for each in told
        )

    def ends(self, topic: str) -> dict[int, int]:
        """Return the offset after the last one read, by partition."""
        return {number: at for (name, number), at in self._positions.items() if name == topic}

    def met(self, registration: bytes, partner: str, since: int) -> set[bytes]:
        """Return the records of which a partner was told for a registration."""
        alerts = (codec.decode(m.value or b"", Alert) for m in self.of(ALERTS.of(partner), since))
        return {alert.record_id for alert in alerts if alert.registration_id == registration}

    def close(self) -> None:
        if self._reader:
            self._reader.close()
            self._reader = None


@dataclass(frozen=True)
class Span:
    """One schedule: how many messages came before its storm, and when quiet began and ended, in ms.

    What is said again is counted from the storm on.
    """

    storm: int
    moments: Sequence[int]


@dataclass
class Findings:
    """What the judge says of one schedule. Only the first three are faults."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        said = ", ".join(
            f"{what} {count:,}" for what, count in sorted(self.counts.items()) if count
        )
        return (
            f"{said}; lost {len(self.lost)}, duplicated {len(self.duplicated)}, "
            f"unexplained {len(self.unexplained)}"
        )

    @property
    def faults(self) -> list[str]:
        named = {"lost": self.lost, "duplicated": self.duplicated, "unexplained": self.unexplained}
        return [f"{name}: {each}" for name, several in named.items() for each in several]


def judged(
    log: FaultyLog, stored: Stored, span: Span, inboxes: Sequence[Inbox], beacons: set[bytes]
) -> Findings:
    """Compare what the partners hold with what was sent in one schedule; then it is judged.

    Between a storm's begin and the quiet after it nobody promises the bound.
    """
    touches = sorted(
        stored.of(TOUCHES.name), key=lambda message: (message.partition, message.offset)
    )
    watches = [m for each in PARTNERS for m in stored.of(WATCHES.of(each))]
    registered = {(topic, key[:16]) for topic, key in log.watches() if key[:16] not in beacons}
    watches = [m for m in watches if (m.topic, (m.key or b"")[:16]) in registered]
    new = [(m, number >= span.storm) for number, m in enumerate(stored.messages)]
    found, alerts = Findings(), []
    for inbox in inboxes:
        alerts += inbox.judge(found, new, registered, beacons)
    verdict = judge(touches, watches, alerts, squeezed(span.moments))
    found.lost += verdict.missing
    found.duplicated += verdict.doubled
    found.unexplained += verdict.forbidden
    for inbox in inboxes:
        inbox.optional |= verdict.optional
        inbox.may_withdraw |= verdict.may_withdraw
    found.lost += _lost_by_brokers(log, stored.messages)
    _count(found, verdict, touches, watches)
    for message in stored.of(QUARANTINE.name):
        reason = codec.decode(message.value or b"", Quarantined).reason
        if reason != "expired":
            found.unexplained.append(f"quarantined: {reason}")
    stored.messages.clear()
    return found


def squeezed(moments: Sequence[int]) -> Callable[[int], int]:
    """Return a time in which each storm is shorter than the judge's bound, and no quiet is."""
    placed = [(moments[0], 0)]
    for number, (_, end) in enumerate(pairwise(moments)):
        placed.append((end, placed[-1][1] + (APART_MS if number % 2 else STORM_MS)))

    def at(ms: int) -> int:
        if ms > placed[-1][0]:
            return ms - placed[-1][0] + placed[-1][1] + APART_MS
        for (begin, shown), (end, shown_end) in pairwise(placed):
            if begin <= ms <= end:
                return shown + (ms - begin) * (shown_end - shown) // max(1, end - begin)
        return ms - placed[0][0] - APART_MS

    return at


def _lost_by_brokers(log: FaultyLog, there: Sequence[Message]) -> list[str]:
    """Name what the brokers had confirmed and do not hold."""
    places = {(m.topic, m.partition, m.offset): m for m in there}
    bodies = {(m.topic, m.partition, m.key, m.value, m.headers) for m in there}
    missing = []
    for letter in log.letters:
        m, told = letter.message, letter.future.result()
        held = places.get((m.topic, m.partition, told.offset))
        right = held is not None and (held.key, held.value) == (m.key, m.value)
        if told.offset == UNKNOWN_OFFSET:
            right = (m.topic, m.partition, m.key, m.value, m.headers) in bodies
        if not right:
            missing.append(f"{m.topic} {m.partition}: confirmed at {told.offset}, not there")
    return missing


def _count(
    found: Findings, verdict: Verdict, touches: Sequence[Message], watches: Sequence[Message]
) -> None:
    found.counts["required"], found.counts["optional"] = verdict.required, len(verdict.optional)
    found.counts["touches"], found.counts["watches"] = len(touches), len(watches)


class Inbox:
    """What a partner was told since the exchange began.

    As in a partner's inbox the highest revision of an id stands, and of one revision what ranks
    higher: a withdrawal, because the watch has been changed since, of a revision that it holds
    changes nothing.
    """

    def __init__(self, partner: str) -> None:
        self._own, self._topic = WATCHES.of(partner), ALERTS.of(partner)
        self._stands: dict[bytes, tuple[int, int]] = {}
        # Of earlier schedules: told or not, then or later.
        self.optional: set[Said] = set()
        self.may_withdraw: set[Said] = set()
        self._ids: dict[tuple[bytes, bytes], set[bytes]] = {}

    def judge(
        self,
        found: Findings,
        new: Iterable[tuple[Message, bool]],
        registered: set[tuple[str, bytes]],
        beacons: set[bytes],
    ) -> list[Message]:
        """Count what was said again; name what is held twice, and what is new of nothing known.

        `new` are messages, and whether it counts when one is said again. Returns those about what
        is registered now. Of earlier schedules only what was said then may be said again, or what
        might have been: look-back over all, by a Redis that lost everything, does so.
        """
        about = []
        for message, counts in new:
            if message.topic != self._topic:
                continue
            alert = codec.decode(message.value or b"", Alert)
            known = (self._own, alert.registration_id) in registered
            if known:
                about.append(message)
            if alert.registration_id in beacons:
                continue
            again = self._take(found, alert)
            found.counts["said again"] += again and counts
            found.counts["alerts"] += not again
            if not again and not known and not self._might_have_been_told(alert):
                what = f"{message.topic}: news of nothing sent now"
                found.unexplained.append(f"{what}: {_said(alert)}")
        return about

    def _might_have_been_told(self, alert: Alert) -> bool:
        what = alert.record_id, alert.registration_id, alert.revision
        if alert.status is AlertStatus.WITHDRAWN:
            return what in self.may_withdraw
        return alert.status is AlertStatus.ACTIVE and what in self.optional

    def _take(self, found: Findings, alert: Alert) -> bool:
        """Hold an alert; whether it changes nothing."""
        now, stood = (alert.revision, RANK[alert.status]), self._stands.get(alert.alert_id)
        ids = self._ids.setdefault((alert.record_id, alert.registration_id), set())
        if ids and alert.alert_id not in ids:
            found.duplicated.append(f"{self._own}: {alert.record_id.hex()[:6]} twice")
        ids.add(alert.alert_id)
        if stood is not None and now <= stood:
            return True
        self._stands[alert.alert_id] = now
        return False


def _said(alert: Alert) -> str:
    """Say which alert it is: records and watches here are nobody's."""
    record, watch = alert.record_id.hex()[:6], alert.registration_id.hex()[:6]
    when = "earlier" if alert.earlier else "live"
    return f"{record} and {watch}, revision {alert.revision}, {alert.status}, {when}"
