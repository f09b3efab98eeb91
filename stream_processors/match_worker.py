"""The order of things in a matching worker: admit, match, say who is told, tell them, point.

Everything here is awaited to its confirmation before the touch is acknowledged, and everything is
idempotent, so a crash anywhere only repeats what was done. Kafka and Redis are handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas.messages import Alert, Sent, registration_key
from silenthit.blinding.epochs import Epochs
from silenthit.blinding.sealed_watches import WatchOpener
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey
from silenthit.errors import RetryError
from stream_processors.admission import (
    WAITING,
    AdmittedTouch,
    AdmittedWatch,
    Reason,
    Refused,
    Removal,
    Retraction,
    admit_watch,
)
from stream_processors.batch_admission import Admitted, BatchAdmission
from stream_processors.carriers import with_carriers
from stream_processors.disclosures import Chain
from stream_processors.early_watches import EarlyWatches
from stream_processors.expiry import expires_at
from stream_processors.matching import Candidate, alert, match_batch
from stream_processors.outgoing import Outbound, Outgoing
from stream_processors.pointers import Pointer, Pointers
from stream_processors.quarantine import quarantined
from stream_processors.rounds import Round, records, rounds
from stream_processors.sent import SentLog, sent_for, sent_retracted
from stream_processors.shares import Shares
from stream_processors.telling import alert_message, sent_messages, takings_back, withdrawals
from stream_processors.under_way import Batch, Left
from stream_processors.watch_index import Change, Gone, WatchIndex

SOME, MANY = 64, 256  # touches, whose admission takes some ms: not at once, and not in the loop
FLOOD_AT_ONCE = 8  # touches of one that sends far more than the others, pointed to together

_One = TypeVar("_One")

NO_KEYS: Mapping[bytes, X25519PrivateKey] = {}


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a worker did, for its metrics."""

    touches: int = 0
    retractions: int = 0
    stale: int = 0
    alerts: int = 0
    quarantined: int = 0


class MatchWorker:
    """Matches touches with watches. One call at a time, but for batches of touches."""

    def __init__(
        self,
        *,
        name: str,
        index: WatchIndex,
        sent: SentLog,
        pointers: Pointers,
        outbound: Outbound,
        keys: dict[str, SenderKey],
        epochs: Epochs,
        watch_keys: Mapping[bytes, X25519PrivateKey] = NO_KEYS,
        disclosures: Chain | None = None,
        shares: Shares | None = None,
    ) -> None:
        """`keys` are the enrolled agencies' sender keys by id; the owner may replace them.

        `watch_keys` open sealed registrations; `disclosures` records who is told; `shares` says of
        which agencies touches can wait.
        """
        self.name, self.index, self.sent, self.pointers = name, index, sent, pointers
        self.keys, self.epochs = keys, epochs
        self._opener = WatchOpener(watch_keys)
        self.shares = shares or Shares()
        self.tally = Tally()
        # Records of which another told an earlier revision while a later one was being told here.
        self.overtaken: set[bytes] = set()
        self.early = EarlyWatches(self._judged)
        self._outbound, self._disclosures = outbound, disclosures
        self._admission, self._admission_of_many = BatchAdmission(), BatchAdmission()
        self._many = asyncio.Lock()  # one thread at a time

    async def take_touches(self, messages: Sequence[Message], batch: Batch | None = None) -> None:
        """Match messages of `touches`; on return everything that follows from them is confirmed.

        They are a `batch` of several that are under way at once; without one, of none else.
        """
        batch = batch or Batch()
        hurried, rest = self._parted(messages, batch)
        first, *more = await self._rounds(hurried)
        told = await self._told(first)
        can_wait = bool(rest) and all(map(self.shares.can_wait, rest))
        batch.told(Left(told=told, rest=rest, rounds=more, can_wait=can_wait))
        await batch.to_be_first()
        if not batch.is_done:
            await self._end(batch)

    def _parted(
        self, messages: Sequence[Message], batch: Batch
    ) -> tuple[Sequence[Message], list[Message]]:
        """Part a batch into what is told at once and what has to wait, or can, until its end.

        Neither an agency that sends one record again and again makes the others wait, nor one that
        sends very many. Of one record all or nothing waits.
        """
        records = {message.key for message in messages if message.key is not None}
        waiting: set[bytes | None] = {*batch.begin(records)}
        waiting.update(message.key for message in messages if self.shares.can_wait(message))
        if not waiting:
            return messages, []
        hurried = [message for message in messages if message.key not in waiting]
        return hurried, [message for message in messages if message.key in waiting]

    async def _end(self, batch: Batch) -> None:
        """Do what is left of a batch that is first, and of those behind it as far as they are."""
        if batch.left and batch.left.can_wait:
            await batch.linger()
        together = batch.together()
        left = [each.left for each in together if each.left]
        first, *more = await self._rounds([each for one in left for each in one.rest])
        told = [one.told for one in left]
        flood = batch if any(one.can_wait for one in left) else None
        if any(one.rest and not one.can_wait for one in left):
            batch.gives_way_s = 0.0
        if flood:
            piece = _piece(first)
            while len(first) > piece:
                await flood.give_way()
                told.append(await self._told(first[:piece]))
                first = first[piece:]
            await flood.give_way()
        await self._finish(told, first, flood)
        for several in (*more, *left[-1].rounds):
            await self._finish([], several)
        for each in together:
            each.is_done = True

    async def _rounds(self, messages: Sequence[Message]) -> list[list[Admitted]]:
        """Admit messages; many in a thread, so that what Redis sends meanwhile can come in."""
        known = self.keys, self.epochs.accepts_touch
        if len(messages) >= MANY:
            async with self._many:
                admitted = await asyncio.to_thread(self._admission_of_many.admit, messages, *known)
        else:
            admitted = self._admission.admit(messages[:SOME], *known)
            for start in range(SOME, len(messages), SOME):
                await asyncio.sleep(0)
                admitted += self._admission.admit(messages[start : start + SOME], *known)
        found = rounds(admitted)
        self.tally.stale += len(admitted) - sum(map(len, found))
        return found

    async def point_again(self, messages: Sequence[Message]) -> None:
        """Write the pointers of touches that were matched before; nobody is told anything."""
        admitted = self._admission.admit(messages, self.keys, self.epochs.accepts_touch)
        for several in rounds(admitted):
            before = await self.pointers.latest(sorted(records(several)))
            sorted_out = self._sort_out(several, before)
            await self.pointers.put(sorted_out.touches, before, gone=sorted_out.gone, anew=True)

    async def take_again(self, messages: Sequence[Message], at: int) -> None:
        """Tell whoever holds these records how they stand, unless they have expired by `at`."""
        admitted = self._admission.admit(messages, self.keys, self.epochs.accepts_touch)
        live = [
            each
            for each in admitted
            if not isinstance(each, AdmittedTouch)
            or at < (expires_at(each.clear.expiry_month) or 0)
        ]
        await self._finish([], live)

    async def take_watches(self, messages: Sequence[Message]) -> list[AdmittedWatch]:
        """Put registrations into the index and removed ones out.

        Return those that are new, in their last version. A registration of an epoch, or sealed to
        a key, that is not known here yet is quarantined, and kept to be taken when it is.
        """
        refused: list[Refused] = []
        changes: list[Change] = []
        judged = [self._judged(message) for message in messages]
        for message, each in zip(messages, judged, strict=True):
            self.early.forget(message)
            match each:
                case AdmittedWatch(registration=registration):
                    changes.append(registration)
                case Removal(partner=partner, key=key):
                    changes.append(Gone(partner, key))
                case Refused(reason=reason) as refusal:
                    refused.append(refusal)
                    if reason in WAITING:
                        self.early.keep(message)
        self.index.apply(changes)
        await self.set_aside(refused)
        return self._still_live(judged)

    def _judged(self, message: Message) -> AdmittedWatch | Removal | Refused:
        return admit_watch(message, self.epochs, self._opener)

    def live_watches(self, messages: Iterable[Message]) -> list[AdmittedWatch]:
        """Of messages read, return the latest of each registration that the index holds."""
        return self._still_live(self._judged(message) for message in messages)

    def _still_live(
        self, judged: Iterable[AdmittedWatch | Removal | Refused]
    ) -> list[AdmittedWatch]:
        latest = {watched(each): each for each in judged if isinstance(each, AdmittedWatch)}
        there = self.index.there(list(latest))
        return [watch for watch, live in zip(latest.values(), there, strict=True) if live]

    async def take_earlier(
        self, touches: Sequence[AdmittedTouch], watches: Collection[Gone]
    ) -> None:
        """Match touches that were there before some watches of the index; alerts say `earlier`."""
        current = []
        for admitted in touches:
            prior = self.sent.get(admitted.record_id)
            if prior is None or (prior.revision <= admitted.revision and not prior.retracted):
                current.append(admitted)
        told = []
        for admitted, found in zip(current, match_batch(current, self.index), strict=True):
            new = tuple(each for each in found if each.watched.key in watches)
            if new:
                told.append((admitted, new))
        await self._send(await self._write_down(told, [], earlier=True))

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        """Quarantine what was refused."""
        if refused:
            await self._outbound.send([quarantined(each, self.name) for each in refused])
            self.tally.quarantined += len(refused)

    async def _take_round(self, admitted: Sequence[AdmittedTouch | Retraction | Refused]) -> Round:
        """Match, and write down whom it concerns; return what is left to do."""
        ids = [each.record_id for each in admitted if not isinstance(each, Refused)]
        before = await self.pointers.latest(ids)
        sorted_out = self._sort_out(admitted, before)
        found = match_batch(sorted_out.touches, self.index) if sorted_out.touches else []
        told = list(zip(sorted_out.touches, found, strict=True))
        sorted_out.alerts = await self._write_down(told, sorted_out.retractions, earlier=False)
        return sorted_out

    async def _told(self, several: Sequence[Admitted]) -> Round:
        """Tell whom touches of different records concern; return what is to be pointed to."""
        told = await self._take_round(several)
        await self._send_out(told)
        return told

    async def _finish(
        self, told: Sequence[Round], rest: Sequence[Admitted], flood: Batch | None = None
    ) -> None:
        """Tell whom the rest concerns, and point to all: Kafka and Redis at once.

        All are of different records. A mark says that everything before it is there.
        """
        last = await self._take_round(rest)
        several = [*told, last]
        if last.alerts or last.refused:
            await _both(self._send_out(last), self._point(several, flood))
        else:
            await self._point(several, flood)
        for one in several:
            self.tally.stale += one.stale
            self.tally.touches += len(one.touches)
            self.tally.retractions += len(one.retractions)

    async def _point(self, several: Sequence[Round], flood: Batch | None) -> None:
        """Point to rounds of different records.

        All at once; with a flood of one sender among them in pieces, in the order of their places,
        each in a lull if one comes: Redis does one thing at a time, and nobody waits for it long.
        """
        before = {key: each for one in several for key, each in one.before.items()}
        pointed: list[AdmittedTouch | Retraction] = []
        for one in several:
            pointed += [*one.touches, *one.gone]
        piece = len(pointed) or 1
        if flood:
            pointed.sort(key=lambda each: each.place)
            piece = _piece(pointed)
        for start in range(0, len(pointed), piece):
            if flood:
                await flood.give_way()
            few = pointed[start : start + piece]
            await self.pointers.put(
                [each for each in few if isinstance(each, AdmittedTouch)],
                before,
                gone=[each for each in few if isinstance(each, Retraction)],
            )

    def _sort_out(
        self,
        admitted: Iterable[AdmittedTouch | Retraction | Refused],
        before: dict[bytes, Pointer],
    ) -> Round:
        """Refuse others' records and what had expired, drop what a later revision overtook."""
        result = Round(before=before)
        for each in admitted:
            if isinstance(each, Refused):
                result.refused.append(each)
                continue
            pointed, told = before.get(each.record_id), self.sent.get(each.record_id)
            known = [one for one in (pointed, told) if one] if pointed or told else ()
            if any(_owner(one) != each.organisation for one in known):
                result.refused.append(Refused(each.place, Reason.FOREIGN_RECORD))
            elif any(_overtook(one, each) for one in known):
                result.stale += 1
            elif isinstance(each, Retraction):
                result.retractions.append(each)
            elif fault := _untimely(each):
                result.refused.append(Refused(each.place, fault))
                # It overtakes what came before it, and what comes late, all the same.
                result.forgotten.append(
                    Retraction(each.place, each.organisation, each.record_id, each.revision)
                )
            else:
                result.touches.append(each)
        return result

    async def _send_out(self, sorted_out: Round) -> None:
        await self._send(sorted_out.alerts)
        await self.set_aside(sorted_out.refused)

    async def _send(self, alerts: Sequence[Outgoing]) -> None:
        await self._outbound.send(alerts)
        self.tally.alerts += len(alerts)

    async def _write_down(
        self,
        touches: Sequence[tuple[AdmittedTouch, tuple[Candidate, ...]]],
        retractions: Sequence[Retraction],
        *,
        earlier: bool,
    ) -> list[Outgoing]:
        """Write down who is told, and meanwhile count carriers; return the alerts to be sent."""
        sents: list[Sent] = []
        alerts: list[tuple[str, Alert]] = []
        touches = [(a, found) for a, found in touches if found or self.sent.get(a.record_id)]
        for admitted, candidates in touches:
            prior = self.sent.get(admitted.record_id)
            sents.append(sent_for(admitted, candidates, prior))
            alerts += [(c.watched.partner, alert(admitted, c, earlier=earlier)) for c in candidates]
            if not earlier:
                alerts += withdrawals(admitted, candidates, prior, self.index)
        for retraction in retractions:
            prior = self.sent.get(retraction.record_id)
            if prior is not None:
                sents.append(sent_retracted(retraction, prior))
                alerts += takings_back(retraction, prior)
        if not sents:
            return []
        links = self._disclosed(alerts, sents)
        written = sent_messages(sents, [*(admitted for admitted, _ in touches), *retractions])
        writing = self._outbound.send([*written, *links])
        alerts = await _both(with_carriers(alerts, self.pointers), writing)
        if self._disclosures and links:
            self._disclosures.confirmed(links)
        self.overtaken.update(sent.record_id for sent in sents if self.sent.put(sent))
        return [alert_message(partner, each) for partner, each in alerts]

    def _disclosed(
        self, alerts: Sequence[tuple[str, Alert]], sents: Sequence[Sent]
    ) -> list[Outgoing]:
        """Return the record of what is about to be told; nothing told costs nothing."""
        if self._disclosures is None or not alerts:
            return []
        return self._disclosures.alerts(alerts, {sent.record_id: sent.sender for sent in sents})


def watched(watch: AdmittedWatch) -> Gone:
    """Return the key of what is watched, as the index has it."""
    registration = watch.registration
    key = registration_key(registration.registration_id, registration.epoch)
    return Gone(registration.partner, key)


async def _both(one: Awaitable[_One], other: Awaitable[object]) -> _One:
    """Await two at once, each to its end: a failure of one leaves nothing under way."""
    result, beside = await asyncio.gather(one, other, return_exceptions=True)
    for failed in (beside, result):
        if isinstance(failed, asyncio.CancelledError):
            raise RetryError("expected it done, got it cancelled beneath") from failed
        if isinstance(failed, BaseException):
            raise failed
    return cast("_One", result)


def _piece(flood: Sequence[object]) -> int:
    """Return how much of a flood is taken together: of a very large one no more than ten pieces."""
    return max(FLOOD_AT_ONCE, len(flood) // 8)


def _owner(known: Pointer | Sent) -> str:
    return known.organisation if isinstance(known, Pointer) else known.sender


def _untimely(touch: AdmittedTouch) -> Reason | None:
    """Why a touch can't be kept, None when its time was not over when it came."""
    end = expires_at(touch.clear.expiry_month)
    if end is None:
        return Reason.MALFORMED
    return Reason.EXPIRED if touch.place.appended_at >= end else None


def _overtook(known: Pointer | Sent, each: AdmittedTouch | Retraction) -> bool:
    """Whether what is known of a record makes this revision an old one."""
    if known.revision != each.revision:
        return known.revision > each.revision
    return known.retracted and isinstance(each, AdmittedTouch)
