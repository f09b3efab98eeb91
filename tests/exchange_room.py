"""An exchange for tests: a matching worker over the in-process Redis and a list for a bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas import codec
from schemas.messages import (
    Alert,
    Quarantined,
    SealedRegistration,
    SubjectTouch,
    TouchHeader,
    WatchRegistration,
    registration_key,
)
from schemas.packing import TOKEN, pack
from schemas.parts import ContactCard, Subject, TouchCommon
from schemas.topics import TOUCHES, WATCHES
from schemas.vocabulary import CoarseKind, MatchKeyKind, TouchKind
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import Token
from silenthit.blinding.sealed_watches import Place, WatchOpener, WatchSeal, watch_key_id
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, sender_headers
from stream_processors.match_worker import MatchWorker
from stream_processors.outgoing import Outgoing
from stream_processors.pointers import EMBEDDED_REDIS, Pointers, open_redis
from stream_processors.sent import SentLog
from stream_processors.watch_index import WatchIndex

HARBOR = SenderKey("MA0130100#1", b"h" * 32)
MILLBROOK = SenderKey("MA0140200#1", b"m" * 32)
SIGNER = Signer(HARBOR.key_id, Ed25519PrivateKey.generate())
EPOCHS = Epochs({1: EpochState.CURRENT, 2: EpochState.PREPARED})
FAR = 4_000_000_000_000
WATCH_KEY = X25519PrivateKey.from_private_bytes(b"w" * 32)
WATCH_KEYS = {watch_key_id(WATCH_KEY.public_key().public_bytes_raw()): WATCH_KEY}


def token(kind: MatchKeyKind, value: str) -> Token:
    """A token as a key holder would give it: equal for equal match keys."""
    digest = sha256(f"{kind}|{value}".encode()).digest()
    return Token(kind, digest[:16], sha256(digest).digest())


def ssn(value: str) -> Token:
    return token(MatchKeyKind.SSN, value)


def identified(number: int | str) -> bytes:
    return sha256(str(number).encode()).digest()[:16]


@cache
def seal_of(partner: str, epoch: int) -> WatchSeal:
    """What a partner seals its registrations of an epoch with, to `WATCH_KEY`."""
    return WatchSeal.fresh(WATCH_KEY.public_key().public_bytes_raw(), partner, epoch)


def sealed(registration: WatchRegistration) -> bytes:
    """A registration as it leaves an edge that was handed the exchange's watch key."""
    key = registration_key(registration.registration_id, registration.epoch)
    place = Place(WATCHES.of(registration.partner), key, registration.partner)
    seal = seal_of(registration.partner, registration.epoch)
    return codec.encode(seal.message(codec.encode(registration), place))


def registration_in(message: Message) -> WatchRegistration:
    """What a message of `watches.*` says, sealed or plain."""
    value, partner = message.value or b"", message.topic.removeprefix("watches.")
    if value.startswith(codec.prefix(SealedRegistration)):
        place = Place(message.topic, message.key or b"", partner)
        value = (
            WatchOpener(WATCH_KEYS).opened(codec.decode(value, SealedRegistration), place) or b""
        )
    return codec.decode(value, WatchRegistration)


def touch_of(
    record: int | str,
    *subjects: Sequence[Token],
    revision: int = 1,
    epoch: int = 1,
    sender: SenderKey = HARBOR,
    kind: CoarseKind = CoarseKind.CONTACT,
    expiry_month: str = "2031-01",
) -> SubjectTouch:
    header = TouchHeader(
        record_id=identified(record),
        revision=revision,
        sender=sender.key_id,
        epoch=epoch,
        expiry_month=expiry_month,
        kind=kind,
    )
    everyone = frozenset(range(len(subjects)))
    card = ContactCard(ori=sender.organisation, agency="Harbor City PD")
    common = TouchCommon(record_number=str(record), kind=TouchKind.INCIDENT)
    parts = [Part(card, everyone), Part(common, everyone)]
    parts += [Part(Subject(), everyone) for _ in subjects]
    return seal(header, subjects, parts, SIGNER)


async def owned() -> bool:
    """Say for the consumer group that the partitions are nobody else's."""
    return True


@dataclass
class Room:
    """A worker, what it wrote, and the offsets of what it is given."""

    worker: MatchWorker = field(init=False)
    written: list[Outgoing] = field(default_factory=list)
    sends: int = 0  # of something
    offset: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.worker = MatchWorker(
            name="w1",
            index=WatchIndex(young_limit=64),
            sent=SentLog(),
            pointers=Pointers(open_redis(EMBEDDED_REDIS)),
            outbound=self,
            keys={key.key_id: key for key in (HARBOR, MILLBROOK)},
            epochs=EPOCHS,
            watch_keys=WATCH_KEYS,
        )

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self.written += messages
        self.sends += bool(messages)

    def message(
        self,
        touch: SubjectTouch | None,
        record: int | str,
        *,
        sender: SenderKey = HARBOR,
        revision: int | None = None,
    ) -> Message:
        """A touch, or its tombstone, as the worker reads it."""
        key, value = identified(record), codec.encode(touch) if touch else None
        headers = sender_headers(sender, key, value, revision)
        return self.raw(TOUCHES.name, key, value, headers)

    def raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> Message:
        self.offset += 1
        return Message(topic, 0, self.offset, 1_000_000 + self.offset, key, value, headers)

    def registration(
        self,
        number: int | str,
        *subjects: Sequence[Token],
        partner: str = "fbi",
        seal: bool = False,
        **more: object,
    ) -> Message:
        rows = [(n, t.kind, t.value) for n, tokens in enumerate(subjects) for t in tokens]
        fields = {
            "registration_id": identified(number),
            "partner": partner,
            "epoch": 1,
            "tokens": pack(rows, TOKEN),
            "kinds": (),
            "expires_at": FAR,
            **more,
        }
        made = WatchRegistration.model_validate(fields)
        value = sealed(made) if seal else codec.encode(made)
        key = registration_key(identified(number), int(str(fields["epoch"])))
        return self.raw(WATCHES.of(partner), key, value)

    async def touched(self, record: int | str, *subjects: Sequence[Token], **more: int) -> None:
        touch = touch_of(record, *subjects, **more)
        await self.worker.take_touches([self.message(touch, record)])

    def alerts(self, partner: str = "fbi") -> list[Alert]:
        topic = f"alerts.{partner}"
        return [codec.decode(m.value, Alert) for m in self.written if m.topic == topic and m.value]

    def reasons(self) -> list[str]:
        found = [m.value for m in self.written if m.topic == "quarantine" and m.value]
        return [codec.decode(value, Quarantined).reason for value in found]
