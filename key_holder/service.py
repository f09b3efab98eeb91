"""The service: evaluates batches of blinded elements for certified organisations, nothing else.

    GET  /v1/epochs     the signed epoch document
    POST /v1/evaluate   a batch (silenthit/blinding/batches.py) → outputs and one proof a class

One process evaluates on one core: the library holds the interpreter's lock meanwhile. Backfill
waits for live batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from key_holder import log, metrics
from key_holder.alarm import count_hour
from key_holder.answers import read_body, refuse_epoch, refuse_size, refused, total
from key_holder.custody import Custody
from key_holder.database import transaction
from key_holder.peer import EXTENSION, Peer
from key_holder.quotas import Refusal, charge, charge_booking, refuse_replay
from key_holder.registry import refuse_peer
from key_holder.settings import KeyHolderConfig
from schemas.vocabulary import TokenClass
from silenthit.blinding.batches import (
    EPOCHS_PATH,
    EVALUATE_PATH,
    MEDIA_TYPE,
    PURPOSE_HEADER,
    Batch,
    Cause,
    Purpose,
    count,
    decode_request,
    elements,
    encode_answer,
)
from silenthit.blinding.epoch_document import EpochDocument, verified_document
from silenthit.blinding.epochs import EpochState
from silenthit.errors import InputError, SettingsError

RELOAD_S = 0.5
_LOG = structlog.get_logger("key_holder")


@dataclass(kw_only=True)
class Service:
    """The application's state: the book, the secrets' custody, the document in force."""

    config: KeyHolderConfig
    custody: Custody
    book: sqlite3.Connection
    signer: bytes  # public key, 32 bytes
    now: Callable[[], float] = time.time
    _document: EpochDocument = field(init=False)
    _served: bytes = field(init=False)
    _read_at: tuple[int, int] = (0, 0)
    _live_waiting: int = 0
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._quiet.set()
        self.reload()

    def reload(self) -> None:
        """Read the epoch document when it has changed, and drop destroyed epochs' secrets."""
        found = self.config.epochs.stat()
        read_at = (found.st_mtime_ns, found.st_ino)
        if read_at == self._read_at:
            return
        self._served = self.config.epochs.read_bytes()
        self._document = verified_document(self._served, self.signer)
        self._read_at = read_at
        for epoch, entry in self._document.epochs.items():
            if entry.state is EpochState.DESTROYED:
                self.custody.forget(epoch)
        _LOG.info("epochs", version=self._document.version)

    def check_custody(self) -> None:
        """Raise SettingsError unless custody holds just the secrets that the document declares."""
        for epoch, entry in self._document.epochs.items():
            declared = dict(entry.public_keys)
            if declared and self.custody.public_keys(epoch) != declared:
                raise SettingsError(
                    f"expected the secrets of epoch {epoch} that the signed document declares, got "
                    "others; restore them with `silenthit keyholder backup restore`"
                )

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route(EPOCHS_PATH, self.epochs, methods=["GET"]),
                Route(EVALUATE_PATH, self.evaluate, methods=["POST"]),
            ],
            lifespan=self._lifespan,
        )

    async def epochs(self, request: Request) -> Response:
        """Serve the signed document."""
        refusal = self._refuse_peer(request)
        if isinstance(refusal, Refusal):
            return refused(refusal)
        self.reload()
        return Response(self._served, media_type="application/json")

    async def evaluate(self, request: Request) -> Response:
        """Check, charge, log, evaluate."""
        began = self.now()
        peer = self._refuse_peer(request)
        if isinstance(peer, Refusal):
            return refused(peer)
        try:
            purpose = Purpose(request.headers.get(PURPOSE_HEADER, Purpose.LIVE))
            batch = decode_request(await read_body(request))
            refusal = self._admit(peer, batch, purpose)
            if refusal is not None:
                return refused(refusal)
            answer = await self._evaluated(batch, purpose)
        except (InputError, ValueError):
            return refused(
                Refusal(
                    cause=Cause.MALFORMED,
                    message="expected a whole batch of ristretto255 elements, got other bytes; "
                    "update the client",
                )
            )
        metrics.ELEMENTS.labels(peer.organisation, purpose).inc(total(batch))
        metrics.SECONDS.observe(max(0.0, self.now() - began))
        return Response(answer, media_type=MEDIA_TYPE)

    def _refuse_peer(self, request: Request) -> Peer | Refusal:
        peer: Peer | None = request.scope.get("extensions", {}).get(EXTENSION)
        if peer is None:
            return Refusal(
                cause=Cause.CERTIFICATE_UNKNOWN,
                message="expected a client certificate naming an organisation, got none",
            )
        return refuse_peer(self.book, peer, self.now()) or peer

    def _admit(self, peer: Peer, batch: Batch, purpose: Purpose) -> Refusal | None:
        """Charge and log a batch that may be evaluated; say why not otherwise."""
        self.reload()
        refusal = refuse_size(batch) or refuse_epoch(self._document, batch.epoch)
        if refusal is not None:
            return refusal
        now, who = self.now(), peer.organisation
        counts = {of: count(section) for of, section in batch.sections.items()}
        with transaction(self.book):
            refusal = refuse_replay(self.book, batch.batch_id, now)
            if refusal is None and purpose is Purpose.BACKFILL:
                refusal = charge_booking(self.book, who, counts, now)
            elif refusal is None:
                refusal = charge(self.book, who, self.config.quotas.of(who), counts, now)
            if refusal is None:
                self._record(who, batch.epoch, counts, purpose=purpose, now=now)
        return refusal

    def _record(
        self,
        who: str,
        epoch: int,
        counts: Mapping[TokenClass, int],
        *,
        purpose: Purpose,
        now: float,
    ) -> None:
        named = {of.name.lower(): number for of, number in counts.items()}
        log.append(
            self.book, now, "batch", organisation=who, epoch=epoch, purpose=purpose, counts=named
        )
        total = sum(counts.values())
        live = purpose is Purpose.LIVE
        if live and count_hour(self.book, self.config.alarm, who, total, now):
            log.append(self.book, now, "alarm", organisation=who)
            metrics.ALARMS.labels(who).inc()
            _LOG.warning("asks_far_more_than_usual", organisation=who)

    async def _evaluated(self, batch: Batch, purpose: Purpose) -> bytes:
        """Evaluate at once what is live; what is not waits until nothing live does."""
        if purpose is Purpose.LIVE:
            self._live_waiting += 1
            self._quiet.clear()
            try:
                await asyncio.sleep(0)
                return self._outputs(batch)
            finally:
                self._live_waiting -= 1
                if not self._live_waiting:
                    self._quiet.set()
        await self._quiet.wait()
        return self._outputs(batch)

    def _outputs(self, batch: Batch) -> bytes:
        outputs = {
            of: self.custody.evaluate(batch.epoch, of, elements(section))
            for of, section in batch.sections.items()
        }
        return encode_answer(Batch(epoch=batch.epoch, batch_id=batch.batch_id, sections=outputs))

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch_document())
        yield
        watching.cancel()

    async def _watch_document(self) -> None:
        """Drop a destroyed epoch's secrets even when nobody asks."""
        while True:
            await asyncio.sleep(RELOAD_S)
            try:
                self.reload()
            except Exception:  # noqa: BLE001 the document may come back
                _LOG.error("epoch_document_unreadable", path=str(self.config.epochs))
