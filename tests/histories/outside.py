"""What agencies and partners do in a history: touches, revisions, retractions, watches, edits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any

from schemas import codec
from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN, pack
from schemas.topics import TOUCHES, WATCHES
from schemas.vocabulary import CoarseKind, MatchKeyKind
from silenthit.blinding.prf import Token
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, sender_headers
from tests.exchange_room import FAR, HARBOR, identified, token, touch_of
from tests.exchange_room import sealed as sealed_registration

KINDS = (CoarseKind.CONTACT, CoarseKind.CUSTODY)
Subjects = tuple[tuple[Token, ...], ...]


@lru_cache(maxsize=20_000)
def sealed(  # noqa: PLR0917 what its cache goes by
    record: str,
    revision: int,
    subjects: Subjects,
    kind: CoarseKind,
    month: str,
    sender: SenderKey = HARBOR,
) -> tuple[bytes, bytes, tuple[tuple[str, bytes], ...]]:
    touch = touch_of(
        record, *subjects, revision=revision, sender=sender, kind=kind, expiry_month=month
    )
    key, value = identified(record), codec.encode(touch)
    return key, value, sender_headers(sender, key, value)


@dataclass
class Outside:
    """Everybody who writes to the exchange, with what they hold back to send late."""

    random: Random
    log: Any  # a MemoryLog, or what looks like one
    partitions: int
    records: int
    watches: int
    weights: Sequence[int] = (40, 25, 7, 8, 10, 7, 3)
    name: str = ""  # tells the people of several histories on one exchange apart
    sender: SenderKey = HARBOR
    sealing: Collection[str] = ()  # partners that were handed `exchange_room.WATCH_KEY`
    revisions: dict[str, int] = field(default_factory=dict)
    late: list[tuple[bytes, bytes | None, tuple[tuple[str, bytes], ...]]] = field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        self._strong = [token(MatchKeyKind.SSN, self.name + each) for each in "abcd"]
        self._weak = [token(MatchKeyKind.FULL_NAME, self.name + each) for each in "xy"]
        self._weak += [token(MatchKeyKind.ADDRESS, self.name + each) for each in "uv"]

    def act(self) -> None:
        """Do one thing."""
        acts = [self._revise, self._watch, self._retract, self._unwatch, self._repeat]
        acts += [self._release, self._watch_again]
        self.random.choices(acts, self.weights)[0]()

    def release_all(self) -> None:
        while self.late:
            self._release()

    def _revise(self) -> None:
        record = self._record()
        month = self._month() if self.random.random() < 0.2 else "2031-01"
        kind = self.random.choice(KINDS)
        message = sealed(record, self._next(record), self._subjects(), kind, month, self.sender)
        self._send_or_hold(message)

    def _retract(self) -> None:
        record = self._record()
        revision, key = self._next(record), identified(record)
        self._send_or_hold((key, None, sender_headers(self.sender, key, None, revision)))

    def _repeat(self) -> None:
        sent = self.log.all_of(TOUCHES.name)
        if sent:
            self._again(self.random.choice(sent))

    def _again(self, message: Message) -> None:
        self.log.append(
            message.topic, message.partition, message.key or b"", message.value, message.headers
        )

    def _release(self) -> None:
        if self.late:
            self._send(self.late.pop(self.random.randrange(len(self.late))))

    def _watch(self) -> None:
        number, partner = self._registration()
        now = self.log.clock.ms
        expires = self.random.choices(
            [FAR, now + self.random.randrange(100, 9_000), now - self.random.randrange(5_000)],
            [70, 25, 5],
        )[0]
        registration = WatchRegistration(
            registration_id=identified(number),
            partner=partner,
            epoch=1,
            tokens=pack(
                [(n, t.kind, t.value) for n, each in enumerate(self._subjects()) for t in each],
                TOKEN,
            ),
            kinds=(self.random.choice(KINDS),) if self.random.random() < 0.2 else (),
            expires_at=expires,
        )
        key = registration_key(registration.registration_id, 1)
        seals = partner in self.sealing
        value = sealed_registration(registration) if seals else codec.encode(registration)
        self.log.append(WATCHES.of(partner), 0, key, value)

    def _unwatch(self) -> None:
        number, partner = self._registration()
        self.log.append(WATCHES.of(partner), 0, registration_key(identified(number), 1), None)

    def _watch_again(self) -> None:
        held = self.log.of(WATCHES.of(self.random.choice(["fbi", "hsi"])))
        if held:
            self._again(self.random.choice(held))

    def _send_or_hold(
        self, message: tuple[bytes, bytes | None, tuple[tuple[str, bytes], ...]]
    ) -> None:
        if self.random.random() < 0.15:
            self.late.append(message)
        else:
            self._send(message)

    def _send(self, message: tuple[bytes, bytes | None, tuple[tuple[str, bytes], ...]]) -> None:
        key, value, headers = message
        self.log.append(TOUCHES.name, key[0] % self.partitions, key, value, headers)

    def _record(self) -> str:
        return f"{self.name}r{self.random.randrange(self.records)}"

    def _registration(self) -> tuple[str, str]:
        number = self.random.randrange(self.watches)
        return f"{self.name}w{number}", ("fbi", "hsi")[number % 2]

    def _next(self, record: str) -> int:
        self.revisions[record] = self.revisions.get(record, 0) + 1
        return self.revisions[record]

    def _month(self) -> str:
        return f"{self.log.clock.now():%Y-%m}"

    def _subjects(self) -> Subjects:
        return tuple(self._tokens() for _ in range(self.random.choice([1, 1, 2])))

    def _tokens(self) -> tuple[Token, ...]:
        tokens = self.random.sample(self._strong, self.random.choice([0, 1, 1, 2]))
        weak = self.random.sample(self._weak, self.random.choice([0, 1, 2, 2]))
        return tuple(tokens + weak) or (self.random.choice(self._strong),)
