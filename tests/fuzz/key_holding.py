"""The key holder: what organisations post to it, and what a hostile one answers them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from starlette.requests import Request

from key_holder.custody import FileCustody
from key_holder.database import open_book, transaction
from key_holder.lifecycle import load_signer, signer_public
from key_holder.peer import EXTENSION, Peer
from key_holder.registry import register
from key_holder.service import Service
from key_holder.settings import KeyHolderConfig
from key_holder.setup import Address, found
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.batches import (
    ELEMENT_BYTES,
    EVALUATE_PATH,
    ID_BYTES,
    PROOF_BYTES,
    PURPOSE_HEADER,
    Batch,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.key_holder_client import KeyHolderClient
from silenthit.errors import InputError, QuotaError, RefusedError, SilentHitError
from silenthit.identity.match_keys import MatchKey
from tests.fuzz.folder import folder
from tests.key_holders import NearbyHolder

NOW = 1_800_000_000
PEER = Peer(organisation="VT0040100", serial="1", not_after=NOW + 1.0)
ANSWERS = {200, 400, 403, 409, 413, 429}
OUTPUT_BYTES = ELEMENT_BYTES + PROOF_BYTES  # of one element, as there is one of each class
MOST_LOGGED = 5_000  # requests, before the book begins anew
ASKED = [MatchKey(MatchKeyKind.SSN, "219451234"), MatchKey(MatchKeyKind.PHONE, "+16175550123")]


def keyholder(data: bytes) -> None:
    """Requests at the service; then the same bytes as the answer of a key holder."""
    for decode, encode in ((decode_request, encode_request), (decode_answer, encode_answer)):
        _packed_again(data, decode, encode)
    purpose = "backfill" if data[:1] == b"\1" else "live" if data[:1] else ""
    for body in (data, _SERVICE.fresh(data)):
        assert _SERVICE.status(body, purpose) in ANSWERS
    assert _SERVICE.status(data, data[:9].decode("latin-1")) in ANSWERS
    _answered(data)
    for status in (400, 403, 409, 413, 429, 500):
        refusal = _LINK._refusal(status, data)
        assert isinstance(refusal, SilentHitError)
        assert not isinstance(refusal, QuotaError) or 0 <= refusal.after_s < float("inf")
        assert _LINK.most >= 1


def _packed_again(
    data: bytes, decode: Callable[[bytes], Batch], encode: Callable[[Batch], bytes]
) -> None:
    with suppress(InputError):
        assert encode(decode(data)) == data


def _answered(data: bytes) -> None:
    """An answer whole, then one whose outputs this is: no token is ever made of it."""
    for outputs in (None, data):
        _LINK.says, _LINK.outputs = data, outputs
        with suppress(RefusedError), _panics_unseen():
            _CLIENT.tokens(1, ASKED)
            raise AssertionError("tokens of an answer that nobody proved")
        assert not _CLIENT._cache


@contextmanager
def _panics_unseen() -> Iterator[None]:
    """The library says on standard error, past Python's, that a proof does not verify."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _Lying(NearbyHolder):
    """A key holder that answers what it likes."""

    says: bytes = b""
    outputs: bytes | None = None

    def receive(self) -> bytes:
        if self.outputs is None:
            return self.says
        asked = decode_request(self.asked.pop())
        sections = {
            of: self.outputs.ljust(OUTPUT_BYTES, b"\0")[:OUTPUT_BYTES] for of in asked.sections
        }
        return encode_answer(Batch(epoch=1, batch_id=asked.batch_id, sections=sections))

    def evaluate(self, body: Callable[[], bytes]) -> bytes:
        self.asked = [body()]
        return self.receive()


@dataclass(kw_only=True)
class _Served:
    """A service without a server; its clock stands still."""

    config: KeyHolderConfig
    requests: int = 0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        book = open_book(None)
        with transaction(book):
            register(book, PEER, NOW - 1.0)
        self.service = Service(
            config=self.config,
            custody=FileCustody(self.config.secrets),
            book=book,
            signer=signer_public(load_signer(self.config.signer_key)),
            now=lambda: NOW,
        )

    def fresh(self, data: bytes) -> bytes:
        """A batch of now and of the epoch in force, its sections this."""
        self.requests += 1
        if self.requests % MOST_LOGGED == 0:
            self.service.book.close()
            self.begin()
        number = (NOW * 1000).to_bytes(8, "big") + self.requests.to_bytes(ID_BYTES - 8, "big")
        return b"SHQ1" + (1).to_bytes(4, "big") + number + data

    def status(self, body: bytes, purpose: str) -> int:
        """What it answers to a body in two chunks."""
        half = len(body) // 2
        chunks = [
            {"type": "http.request", "body": body[:half], "more_body": True},
            {"type": "http.request", "body": body[half:], "more_body": False},
        ]

        async def receive() -> dict[str, object]:
            return chunks.pop(0)

        scope = {
            "type": "http",
            "method": "POST",
            "path": EVALUATE_PATH,
            "headers": [(PURPOSE_HEADER.lower().encode(), purpose.encode("latin-1"))],
            "extensions": {EXTENSION: PEER},
        }
        answer = self.loop.run_until_complete(self.service.evaluate(Request(scope, receive)))
        return answer.status_code


_SECRETS = EpochSecrets.generate(1)
_SERVICE = _Served(
    config=found(
        folder() / "holder",
        "federal",
        Address(host="127.0.0.1", port=8443, names=["127.0.0.1"]),
        _SECRETS,
    )
)
_LINK = _Lying(folder() / "lying", [_SECRETS])
_CLIENT = KeyHolderClient([_LINK])
