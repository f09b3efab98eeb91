"""What the service reads of a request before it charges for it, and how it refuses."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from key_holder import metrics
from key_holder.quotas import Refusal
from silenthit.blinding.batches import MOST_BYTES, MOST_ELEMENTS, Batch, Cause, count
from silenthit.blinding.epoch_document import EpochDocument
from silenthit.blinding.epochs import EpochState
from silenthit.errors import InputError

_STATUS = {Cause.QUOTA: 429, Cause.TOO_LARGE: 413, Cause.REPLAYED: 409, Cause.MALFORMED: 400}
_FORBIDDEN = 403


async def read_body(request: Request) -> bytes:
    """Read a request's body, at most what a whole batch needs."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MOST_BYTES:
            raise InputError("expected a smaller batch")
    return bytes(received)


def total(batch: Batch) -> int:
    """How many elements a request asks for."""
    return sum(count(section) for section in batch.sections.values())


def refuse_size(batch: Batch) -> Refusal | None:
    """Say why a batch is too large, or None."""
    if total(batch) <= MOST_ELEMENTS:
        return None
    return Refusal(
        cause=Cause.TOO_LARGE,
        message=f"expected at most {MOST_ELEMENTS} elements in a batch",
        most=MOST_ELEMENTS,
    )


def refuse_epoch(document: EpochDocument, epoch: int) -> Refusal | None:
    """Say why nothing is evaluated in this epoch, or None."""
    entry = document.epochs.get(epoch)
    if entry is None:
        return Refusal(
            cause=Cause.EPOCH_UNKNOWN,
            message=f"expected an epoch of the signed document, got {epoch}",
        )
    if entry.state is EpochState.DESTROYED:
        return Refusal(
            cause=Cause.EPOCH_DESTROYED,
            message=f"the secrets of epoch {epoch} are destroyed; nothing of it can be opened anew",
        )
    return None


def refused(refusal: Refusal) -> Response:
    """Return the answer that tells a client why not, and when to come back."""
    metrics.REFUSED.labels(refusal.cause).inc()
    content = {name: value for name, value in asdict(refusal).items() if value is not None}
    headers = {}
    if refusal.after_s is not None:
        headers["Retry-After"] = str(int(refusal.after_s) + 1)
    return JSONResponse(content, _STATUS.get(refusal.cause, _FORBIDDEN), headers)
