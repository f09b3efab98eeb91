"""The pointer index in Redis: which records hold a token, and where their touch lies in Kafka.

`r:<record id>` holds revision, place, organisation and tokens of the latest revision; `t:<token>`
the ids of the records that hold the token. `burner-redis` in the process serves the demo; both are
held to one contract suite.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from schemas.packing import TOKEN, TOKEN_BYTES, rows
from stream_processors.admission import AdmittedTouch, Retraction
from stream_processors.settings import EMBEDDED_REDIS

REMEMBER_S = 90 * 86_400
_RECORD = struct.Struct("<IHQQB")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointer:
    """Where the latest revision of a record lies, and whose it is."""

    revision: int
    partition: int
    offset: int
    appended_at: int
    organisation: str
    tokens: bytes = field(repr=False)  # 16 bytes each; none once retracted

    @property
    def retracted(self) -> bool:
        """Whether the agency took the record back; only revision and owner are kept then."""
        return not self.tokens

    def packed(self) -> bytes:
        """Return the value of its key in Redis."""
        organisation = self.organisation.encode()
        fixed = (self.revision, self.partition, self.offset, self.appended_at, len(organisation))
        return _RECORD.pack(*fixed) + organisation + self.tokens

    @classmethod
    def unpacked(cls, value: bytes) -> Pointer:
        """Read what `packed` made."""
        revision, partition, offset, appended_at, length = _RECORD.unpack_from(value)
        end = _RECORD.size + length
        return cls(
            revision=revision,
            partition=partition,
            offset=offset,
            appended_at=appended_at,
            organisation=value[_RECORD.size : end].decode(),
            tokens=value[end:],
        )

    @classmethod
    def of(cls, admitted: AdmittedTouch) -> Pointer:
        """Return the pointer of a touch."""
        tokens = rows(admitted.touch.tokens, TOKEN)["token"]
        return cls(
            revision=admitted.revision,
            partition=admitted.place.partition,
            offset=admitted.place.offset,
            appended_at=admitted.place.appended_at,
            organisation=admitted.organisation,
            tokens=tokens.tobytes(),
        )

    @classmethod
    def of_retraction(cls, retraction: Retraction) -> Pointer:
        """Return what is remembered of a record that was taken back."""
        return cls(
            revision=retraction.revision,
            partition=retraction.place.partition,
            offset=retraction.place.offset,
            appended_at=retraction.place.appended_at,
            organisation=retraction.organisation,
            tokens=b"",
        )


def open_redis(url: str) -> Any:
    """Return an asyncio client: of a server by its URL, or of `embedded`, one in the process."""
    if url == EMBEDDED_REDIS:
        from burner_redis import BurnerRedis  # noqa: PLC0415 the demo's alone

        return BurnerRedis()
    return Redis.from_url(url)


class Pointers:
    """The index over a Redis client of either kind."""

    def __init__(self, redis: Any) -> None:
        """`redis` has the commands of redis.asyncio.Redis and returns bytes."""
        self._redis = redis

    async def latest(self, record_ids: Sequence[bytes]) -> dict[bytes, Pointer]:
        """Return the pointers of those records that have one."""
        if not record_ids:
            return {}
        values = await self._redis.mget(*(b"r:" + record_id for record_id in record_ids))
        found = zip(record_ids, values, strict=True)
        return {record_id: Pointer.unpacked(value) for record_id, value in found if value}

    async def put(self, touches: Sequence[AdmittedTouch], before: Mapping[bytes, Pointer]) -> None:
        """Point to these touches; `before` holds what `latest` said of their records."""
        pipeline = self._redis.pipeline()
        for admitted in touches:
            pointer, old = Pointer.of(admitted), before.get(admitted.record_id)
            if old:
                gone = set(_tokens(old.tokens)) - set(_tokens(pointer.tokens))
                _unpoint(pipeline, admitted.record_id, gone)
            for token in _tokens(pointer.tokens):
                pipeline.sadd(b"t:" + token, admitted.record_id)
            pipeline.set(b"r:" + admitted.record_id, pointer.packed())
        await pipeline.execute()

    async def forget(
        self, retractions: Sequence[Retraction], before: Mapping[bytes, Pointer]
    ) -> None:
        """Remove the tokens of retracted records.

        For some time it stays known that the record was taken back, so that an earlier revision
        which arrives again is not new.
        """
        pipeline = self._redis.pipeline()
        for retraction in retractions:
            old = before.get(retraction.record_id)
            if old:
                _unpoint(pipeline, retraction.record_id, _tokens(old.tokens))
            gone = Pointer.of_retraction(retraction).packed()
            pipeline.set(b"r:" + retraction.record_id, gone, ex=REMEMBER_S)
        await pipeline.execute()

    async def holders(self, tokens: Sequence[bytes]) -> set[bytes]:
        """Return the ids of all records that hold one of these tokens."""
        pipeline = self._redis.pipeline()
        for token in tokens:
            pipeline.smembers(b"t:" + token)
        return {record_id for members in await pipeline.execute() for record_id in members}


def _tokens(packed: bytes) -> list[bytes]:
    return [packed[at : at + TOKEN_BYTES] for at in range(0, len(packed), TOKEN_BYTES)]


def _unpoint(pipeline: Any, record_id: bytes, tokens: Iterable[bytes]) -> None:
    for token in tokens:
        pipeline.srem(b"t:" + token, record_id)
