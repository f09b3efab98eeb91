"""The pointer index in Redis: which records hold a token, and where their touch lies in Kafka.

`r:{g}<record id>` holds place, revision and owner of a record's latest touch, and two bytes of each
of its tokens. `t:{g}<bucket>` lists, for all tokens that begin with the same twelve bits, blobs of
rows: the token's second to ninth byte and a record id. A batch of touches adds one blob to each
bucket that it meets, so that Redis has about one command a touch to do and not one a token, and a
token takes some 25 bytes. `{g}`, four bits, keeps what one script writes on one node of a cluster.
`burner-redis` in the process serves the demo; both are held to one contract suite.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis

from schemas.packing import TOKEN, TOKEN_BYTES
from stream_processors.admission import AdmittedTouch, Retraction
from stream_processors.settings import EMBEDDED_REDIS

REMEMBER_S = 90 * 86_400
PREFIX_BYTES = 2
ENTRY_BYTES = slice(1, 9)  # of the token; the bucket says the first
ENTRY = np.dtype([("token", "V8"), ("record", "V16")])
BUCKETS_AT_ONCE = 64  # read together: at a hundred million touches each has some megabytes
_RECORD = struct.Struct("<IHQQBB")
_GROUPS = 16
_BUCKET_KEYS = [b"t:{%x}%02x" % (each >> 8, each & 0xFF) for each in range(_GROUPS << 8)]
_BUCKET_HEAD = np.dtype("<u4")  # the bucket within its group in the lowest byte, rows above

# Few long arguments instead of many short ones: packing those was half of a batch's cost.
# ARGV: buckets (u8) with how many rows each gets (u24); the rows; record ids with the length of
# each value (u24); the values.
_WRITE = """
local at, tag = 1, KEYS[1]
for i = 1, #ARGV[1], 4 do
  local bucket, a, b, c = string.byte(ARGV[1], i, i + 3)
  local size = (a + 256 * b + 65536 * c) * 24
  local key = 't:' .. tag .. string.format('%02x', bucket)
  redis.call('RPUSH', key, string.sub(ARGV[2], at, at + size - 1))
  at = at + size
end
at = 1
for i = 1, #ARGV[3], 19 do
  local a, b, c = string.byte(ARGV[3], i + 16, i + 18)
  local size = a + 256 * b + 65536 * c
  local key = 'r:' .. tag .. string.sub(ARGV[3], i, i + 15)
  redis.call('SET', key, string.sub(ARGV[4], at, at + size - 1))
  at = at + size
end
"""
# Another worker may have replaced the blob meanwhile: then nothing is changed, and 0 returned.
_REPLACE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if ARGV[2] ~= '' then redis.call('RPUSH', KEYS[1], ARGV[2]) end
return 1
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointer:
    """Where the latest revision of a record lies, and whose it is."""

    revision: int
    partition: int
    offset: int
    appended_at: int
    organisation: str
    retracted: bool = False  # the agency took the record back
    prefixes: bytes = field(repr=False, default=b"")  # of its tokens, 2 bytes each

    def packed(self) -> bytes:
        """Return the value of its key in Redis."""
        organisation = self.organisation.encode()
        fixed = (self.revision, self.partition, self.offset, self.appended_at)
        lead = _RECORD.pack(*fixed, self.retracted, len(organisation))
        return lead + organisation + self.prefixes

    @classmethod
    def unpacked(cls, value: bytes) -> Pointer:
        """Read what `packed` made."""
        *fixed, retracted, length = _RECORD.unpack_from(value)
        end = _RECORD.size + length
        return cls(
            revision=fixed[0],
            partition=fixed[1],
            offset=fixed[2],
            appended_at=fixed[3],
            organisation=value[_RECORD.size : end].decode(),
            retracted=bool(retracted),
            prefixes=value[end:],
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
            retracted=True,
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
        groups: list[list[bytes]] = [[] for _ in range(_GROUPS)]
        for record_id in record_ids:
            groups[record_id[0] >> 4].append(record_id)
        asked = [group for group in groups if group]
        if not asked:
            return {}
        pipeline = self._redis.pipeline()
        for group in asked:
            pipeline.mget(*map(_record_key, group))
        return {
            record_id: Pointer.unpacked(value)
            for group, values in zip(asked, await pipeline.execute(), strict=True)
            for record_id, value in zip(group, values, strict=True)
            if value
        }

    async def put(self, touches: Sequence[AdmittedTouch], before: Mapping[bytes, Pointer]) -> None:
        """Point to these touches; `before` holds what `latest` said of their records."""
        if not touches:
            return
        tokens = np.frombuffer(b"".join([touch.tokens for touch in touches]), TOKEN)["token"]
        counts = [len(touch.tokens) // TOKEN.itemsize for touch in touches]
        values = np.frombuffer(np.ascontiguousarray(tokens).tobytes(), np.uint8)
        values = values.reshape(-1, TOKEN_BYTES)
        prefixes = values[:, :PREFIX_BYTES].tobytes()
        pointers, new, start = [], np.ones(len(values), np.bool_), 0
        for touch, count in zip(touches, counts, strict=True):
            own = prefixes[PREFIX_BYTES * start : PREFIX_BYTES * (start + count)]
            pointers.append(_packed(touch, own))
            old = before.get(touch.record_id)
            if old is not None:
                held = set(_split(old.prefixes))
                new[start : start + count] = [each not in held for each in _split(own)]
                await self._unpoint(touch.record_id, held - set(_split(own)))
            start += count
        owners = np.frombuffer(b"".join([touch.record_id for touch in touches]), "V16")
        pipeline = self._redis.pipeline()
        groups = zip(
            _bucketed(values[new], np.repeat(owners, counts)[new]),
            _records(touches, pointers),
            strict=True,
        )
        for number, (blobs, records) in enumerate(groups):
            if blobs[0] or records[0]:
                pipeline.eval(_WRITE, 1, b"{%x}" % number, *blobs, *records)
        await pipeline.execute()

    async def forget(
        self, retractions: Sequence[Retraction], before: Mapping[bytes, Pointer]
    ) -> None:
        """Remove the tokens of retracted records.

        For some time it stays known that the record was taken back, so that an earlier revision
        which arrives again is not new.
        """
        for retraction in retractions:
            old = before.get(retraction.record_id)
            if old:
                await self._unpoint(retraction.record_id, _split(old.prefixes))
            gone = Pointer.of_retraction(retraction).packed()
            await self._redis.set(_record_key(retraction.record_id), gone, ex=REMEMBER_S)

    async def holders(self, tokens: Sequence[bytes]) -> set[bytes]:
        """Return the ids of all records whose latest touch holds one of these tokens.

        Of a token, nine bytes are compared; whoever reads the touch again sees the whole.
        """
        wanted: dict[int, list[bytes]] = {}
        for token in set(tokens):
            wanted.setdefault(_bucket(token), []).append(token)
        buckets = sorted(wanted)
        found: set[tuple[bytes, bytes]] = set()
        for start in range(0, len(buckets), BUCKETS_AT_ONCE):
            several = buckets[start : start + BUCKETS_AT_ONCE]
            for bucket, blobs in zip(several, await self._blobs(several), strict=True):
                found |= _held(b"".join(blobs), wanted[bucket])
        latest = await self.latest(sorted({record_id for record_id, _ in found}))
        return {
            record_id
            for record_id, prefix in found
            if record_id in latest and prefix in _split(latest[record_id].prefixes)
        }

    async def _blobs(self, buckets: Sequence[int]) -> list[list[bytes]]:
        pipeline = self._redis.pipeline()
        for bucket in buckets:
            pipeline.lrange(_BUCKET_KEYS[bucket], 0, -1)
        blobs: list[list[bytes]] = await pipeline.execute()
        return blobs

    async def _unpoint(self, record_id: bytes, prefixes: Iterable[bytes]) -> None:
        """Take a record out of the buckets of these tokens."""
        buckets = sorted({_bucket(prefix) for prefix in prefixes})
        own = set(prefixes)
        while buckets:
            again = []
            for bucket, blobs in zip(buckets, await self._blobs(buckets), strict=True):
                for blob in blobs:
                    left = _without(blob, record_id, bucket, own)
                    if left is not None and not await self._replace(bucket, blob, left):
                        again.append(bucket)
            buckets = sorted(set(again))

    async def _replace(self, bucket: int, blob: bytes, left: bytes) -> bool:
        return bool(await self._redis.eval(_REPLACE, 1, _BUCKET_KEYS[bucket], blob, left))


def _record_key(record_id: bytes) -> bytes:
    return b"r:{%x}%b" % (record_id[0] >> 4, record_id)


def _packed(touch: AdmittedTouch, prefixes: bytes) -> bytes:
    place, organisation = touch.place, touch.organisation.encode()
    fixed = (touch.revision, place.partition, place.offset, place.appended_at)
    return _RECORD.pack(*fixed, 0, len(organisation)) + organisation + prefixes


def _bucket(token: bytes) -> int:
    return token[0] << 4 | token[1] >> 4


def _split(prefixes: bytes) -> list[bytes]:
    return [prefixes[at : at + PREFIX_BYTES] for at in range(0, len(prefixes), PREFIX_BYTES)]


def _bucketed(tokens: NDArray[np.uint8], owners: NDArray[Any]) -> list[tuple[bytes, bytes]]:
    """Return, for each group, its buckets that these tokens, (n, 16), fall into, and their rows."""
    bucket = tokens[:, 0].astype(np.uint16) << 4 | tokens[:, 1] >> 4
    order = np.argsort(bucket, kind="stable")
    entries = np.empty(len(order), ENTRY)
    entries["token"] = np.ascontiguousarray(tokens[order, ENTRY_BYTES]).view("V8")[:, 0]
    entries["record"] = owners[order]
    numbers, rows = np.unique(bucket[order], return_counts=True)
    heads = ((numbers & 0xFF) | rows.astype(np.uint32) << 8).astype(_BUCKET_HEAD)
    ends = np.cumsum(rows)
    cuts = np.searchsorted(numbers, np.arange(1, _GROUPS + 1) << 8)
    groups, start = [], 0
    for cut in cuts.tolist():
        row, end = (int(ends[at - 1]) if at else 0 for at in (start, cut))
        groups.append((heads[start:cut].tobytes(), entries[row:end].tobytes()))
        start = cut
    return groups


def _records(
    touches: Sequence[AdmittedTouch], pointers: Sequence[bytes]
) -> list[tuple[bytes, bytes]]:
    """Return, for each group, its record ids with the length of each pointer, and the pointers."""
    heads: list[list[bytes]] = [[] for _ in range(_GROUPS)]
    values: list[list[bytes]] = [[] for _ in range(_GROUPS)]
    for touch, pointer in zip(touches, pointers, strict=True):
        group = touch.record_id[0] >> 4
        heads[group] += (touch.record_id, len(pointer).to_bytes(3, "little"))
        values[group].append(pointer)
    return [(b"".join(a), b"".join(b)) for a, b in zip(heads, values, strict=True)]


def _held(blob: bytes, tokens: Sequence[bytes]) -> set[tuple[bytes, bytes]]:
    """Return the records in a bucket that hold one of these tokens, with its first two bytes."""
    entries = np.frombuffer(blob, ENTRY)
    found: set[tuple[bytes, bytes]] = set()
    held = np.ascontiguousarray(entries["token"]).view("<u8")
    for token in tokens:
        same = held == np.frombuffer(token[ENTRY_BYTES], "<u8")[0]
        found |= {(bytes(each), token[:PREFIX_BYTES]) for each in entries["record"][same]}
    return found


def _without(blob: bytes, record_id: bytes, bucket: int, prefixes: set[bytes]) -> bytes | None:
    """Return a blob without a record's entries, None when it has none."""
    entries = np.frombuffer(blob, ENTRY)
    keep = np.ones(len(entries), np.bool_)
    for row in np.flatnonzero(entries["record"] == np.void(record_id)).tolist():
        keep[row] = bytes([bucket >> 4]) + bytes(entries["token"][row])[:1] not in prefixes
    return None if keep.all() else entries[keep].tobytes()
