"""The pointer index in Redis: which records hold a token, and where their touch lies in Kafka.

    await pointers.holders(tokens)   -> ids of the records whose latest touch holds one of them
    await pointers.latest(ids)       -> Pointer of each: partition, offset, revision, owner

`r:{g}<record id>` holds place, revision and owner of a record's latest touch, and two bytes of each
of its tokens; it expires with the touch. `t:{g}<bucket>` lists, for all tokens that begin with the
same twelve bits, blobs of rows: the token's second to ninth byte and a record id. A batch of
touches adds one blob to each bucket that it meets, so that Redis has about one command a touch to
do and not one a token. `w:{g}<phase>` marks up to which offset of each partition all is there.
`burner-redis` in the process serves the demo; both are held to one contract suite.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import numpy as np
from redis.asyncio import Redis, RedisCluster

from schemas.packing import TOKEN, TOKEN_BYTES
from schemas.vocabulary import CoarseKind
from silenthit.clock import Clock, SystemClock
from silenthit.errors import RetryError
from stream_processors.admission import AdmittedTouch, Retraction
from stream_processors.expiry import expires_at
from stream_processors.pointer_rows import (
    BOTH,
    BUCKET_KEYS,
    CHANGED_MEANWHILE,
    CLAIM,
    GROUPS,
    LEAST,
    PREFIX_BYTES,
    READ,
    RECORDS,
    REPLACE,
    ROWS,
    TAGS,
    WRITE,
    Marks,
    bucket_of,
    bucketed,
    claims_key,
    grouped_records,
    held,
    packed_marks,
    split,
    without,
)
from stream_processors.settings import EMBEDDED_REDIS

CLUSTER = "+cluster"  # after the scheme of a URL
MOST_S = 2**32 - 1
REMEMBER_S = 90 * 86_400
MOST_CLAIM = 2**53  # of who owns no partitions and works alone: a rebuild
BUCKETS_AT_ONCE = 64  # read together: at a hundred million touches each has some megabytes
_RECORD = struct.Struct("<IHQQBBB")
# Who asked is for who watches, and a plan for who has to be told: neither is found by asking.
UNFOUND = frozenset({CoarseKind.INQUIRY, CoarseKind.OPERATION})
_NOTHING: tuple[bytes, bytes] = (b"", b"")


class TailLostError(RetryError):
    """Redis lost writes that it had confirmed: replay the pointers, then try again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointer:
    """Where the latest revision of a record lies, and whose it is."""

    revision: int
    partition: int
    offset: int
    appended_at: int
    organisation: str
    retracted: bool = False  # the agency took the record back
    found: bool = True  # by look-ups; look-back finds every kind
    prefixes: bytes = field(repr=False, default=b"")  # of its tokens, 2 bytes each

    def packed(self) -> bytes:
        """Return the value of its key in Redis."""
        organisation = self.organisation.encode()
        fixed = (self.revision, self.partition, self.offset, self.appended_at)
        lead = _RECORD.pack(*fixed, self.retracted, len(organisation), self.found)
        return lead + organisation + self.prefixes

    @classmethod
    def unpacked(cls, value: bytes) -> Pointer:
        """Read what `packed` made."""
        *fixed, retracted, length, found = _RECORD.unpack_from(value)
        end = _RECORD.size + length
        return cls(
            revision=fixed[0],
            partition=fixed[1],
            offset=fixed[2],
            appended_at=fixed[3],
            organisation=value[_RECORD.size : end].decode(),
            retracted=bool(retracted),
            found=bool(found),
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
    """Return an asyncio client: of a server or a cluster by its URL, or of `embedded`, one in here.

    Any node of a cluster leads to the others: `redis+cluster://host:port`, `rediss+cluster://…`.
    """
    if url == EMBEDDED_REDIS:
        from burner_redis import BurnerRedis  # noqa: PLC0415 the demo's alone

        return BurnerRedis()
    scheme, _, rest = url.partition("://")
    if scheme.endswith(CLUSTER):
        return RedisCluster.from_url(f"{scheme.removesuffix(CLUSTER)}://{rest}")
    return Redis.from_url(url)


class Pointers:
    """The index over a Redis client of either kind."""

    def __init__(
        self, redis: Any, clock: Clock | None = None, *, scattered: bool | None = None
    ) -> None:
        """`redis` has the commands of redis.asyncio.Redis and returns bytes.

        `scattered` says whether its groups lie on several nodes; by default, a cluster's do.
        """
        self._redis, self._clock = redis, clock or SystemClock()
        if scattered is None:
            scattered = isinstance(redis, RedisCluster)
        self._scattered = scattered
        self._reached: dict[int, int] = {}
        self._claims: dict[int, int] = {}

    async def claim(self, claims: Mapping[int, int]) -> None:
        """Own these partitions, by the numbers that their checkpoints gave.

        From now on nobody with a lower number takes rows of their records out.
        """
        self._claims = dict(claims)
        await self.claim_again()

    async def claim_again(self) -> None:
        """Write down the claims, which a Redis without its tail may have forgotten."""
        told = [b"%d" % each for claim in self._claims.items() for each in claim]
        pipeline = self._redis.pipeline()
        for group in range(GROUPS if told else 0):
            pipeline.eval(CLAIM, 1, claims_key(group), *told)
        await pipeline.execute()

    async def reached(self) -> dict[int, int]:
        """Return, for each partition, up to which offset Redis holds everything."""
        several = [
            dict(zip(found[::2], found[1::2], strict=True))
            for found in await self._of_groups(LEAST, TAGS)
        ]
        partitions = set().union(*several)
        return {each: min(marks.get(each, 0) for marks in several) for each in partitions}

    def vouched(self) -> dict[int, int]:
        """Return what Redis is expected to hold: what `vouch` said, and what was put since."""
        return dict(self._reached)

    def vouch(self, reached: Mapping[int, int]) -> None:
        """Expect Redis to hold these partitions up to these next offsets, and no others.

        From now on `put`, `forget` and `check` raise TailLostError when it does not.
        """
        self._reached = dict(reached)

    async def advance(self, partition: int, after: int) -> None:
        """Say that there is nothing to point to in a partition before this offset."""
        marks = {partition: (self._reached.get(partition, 0), after)}
        empty = [(_NOTHING, _NOTHING)] * GROUPS
        await self._write(empty, marks)

    async def latest(self, record_ids: Sequence[bytes]) -> dict[bytes, Pointer]:
        """Return the pointers of those records that have one.

        Raises TailLostError when one of their groups lacks records that `vouch` and later writes
        spoke of.
        """
        groups: list[list[bytes]] = [[] for _ in range(GROUPS)]
        for record_id in record_ids:
            groups[record_id[0] >> 4].append(record_id)
        asked = [group for group in groups if group]
        if not asked:
            return {}
        tags = [TAGS[group[0][0] >> 4] for group in asked]
        found: dict[bytes, Pointer] = {}
        expected = self.vouched()  # by now: more may be written until the answer is here
        answers = chain.from_iterable(await self._of_groups(READ, tags, map(b"".join, asked)))
        for group, (marks, *values) in zip(asked, answers, strict=True):
            there = dict(zip(map(int, marks[::2]), map(int, marks[1::2]), strict=True))
            _expect(expected, there)
            found |= {
                record_id: Pointer.unpacked(value)
                for record_id, value in zip(group, values, strict=True)
                if value
            }
        return found

    async def _of_groups(
        self, script: str, tags: Sequence[bytes], given: Iterable[bytes] = ()
    ) -> list[Any]:
        """Have a script read groups, with what is given of each: at once if they lie together."""
        if not self._scattered:
            return [await self._redis.eval(script, len(tags), *tags, *given)]
        pipeline, own = self._redis.pipeline(), [(each,) for each in given] or repeat(())
        for tag, more in zip(tags, own, strict=False):
            pipeline.eval(script, 1, tag, *more)
        answers: list[Any] = await pipeline.execute()
        return answers

    async def check(self) -> None:
        """Raise TailLostError unless Redis holds what `vouch` and later writes said."""
        if expected := self.vouched():
            _expect(expected, await self.reached())

    async def put(
        self,
        touches: Sequence[AdmittedTouch],
        before: Mapping[bytes, Pointer],
        *,
        gone: Sequence[Retraction] = (),
        anew: bool = False,
    ) -> None:
        """Point to these touches, and no more to what was retracted; each record is in one list.

        `before` holds what `latest` said of their records. With `anew` also by tokens that their
        records hold already: one node of a cluster may have lost the rows, and another not the
        record. For some time it stays known that a record was taken back, so that an earlier
        revision which arrives again is not new. All of it is marked at once.
        Raises TailLostError, having changed nothing, when Redis lost what was written before.
        """
        if not touches and not gone:
            return
        for retraction in gone:
            old = before.get(retraction.record_id)
            if old:
                await self._unpoint(retraction, split(old.prefixes))
        rows, records = await self._pointed(touches, before, anew=anew)
        records += [
            (each.record_id, Pointer.of_retraction(each).packed(), REMEMBER_S) for each in gone
        ]
        groups = list(zip(rows, grouped_records(records), strict=True))
        await self._write(groups, self._marks([*touches, *gone]))

    async def forget(
        self, retractions: Sequence[Retraction], before: Mapping[bytes, Pointer]
    ) -> None:
        """Remove the tokens of retracted records."""
        await self.put([], before, gone=retractions)

    async def _pointed(
        self, touches: Sequence[AdmittedTouch], before: Mapping[bytes, Pointer], *, anew: bool
    ) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes, int]]]:
        """Return the rows of touches by group, and their records; take out what they dropped."""
        tokens = np.frombuffer(b"".join([touch.tokens for touch in touches]), TOKEN)["token"]
        counts = [len(touch.tokens) // TOKEN.itemsize for touch in touches]
        values = np.frombuffer(np.ascontiguousarray(tokens).tobytes(), np.uint8)
        values = values.reshape(-1, TOKEN_BYTES)
        prefixes = values[:, :PREFIX_BYTES].tobytes()
        records, new, start = [], np.ones(len(values), np.bool_), 0
        about = self._about(touches)
        for touch, count in zip(touches, counts, strict=True):
            own = prefixes[PREFIX_BYTES * start : PREFIX_BYTES * (start + count)]
            found, live_s = about[id(touch.clear)]
            records.append((touch.record_id, _packed(touch, own, found=found), live_s))
            old = before.get(touch.record_id) if before else None
            if old is not None:
                kept = set(split(old.prefixes))
                # Of two revisions, equal prefixes may be of different tokens: a row too many is
                # harmless, one too few loses the record.
                if not anew and self._vouched_for(old) and _same(old, touch, own):
                    new[start : start + count] = False
                await self._unpoint(touch, kept - set(split(own)))
            start += count
        owners = np.frombuffer(b"".join([touch.record_id for touch in touches]), "V16")
        owners = np.repeat(owners, counts)
        if not new.all():
            values, owners = values[new], owners[new]
        return bucketed(values, owners), records

    def _vouched_for(self, old: Pointer) -> bool:
        """Whether its rows are there: of a write that failed, some nodes may hold the record."""
        return old.offset < self._reached.get(old.partition, 0)

    async def holders(self, tokens: Sequence[bytes]) -> set[bytes]:
        """Return the ids of all records whose latest touch holds one of these tokens.

        Of a token, nine bytes are compared; whoever reads the touch again sees the whole.
        """
        wanted: dict[int, list[bytes]] = {}
        for token in set(tokens):
            wanted.setdefault(bucket_of(token), []).append(token)
        buckets = sorted(wanted)
        found: set[tuple[bytes, bytes]] = set()
        for start in range(0, len(buckets), BUCKETS_AT_ONCE):
            several = buckets[start : start + BUCKETS_AT_ONCE]
            for bucket, blobs in zip(several, await self.blobs(several), strict=True):
                found |= held(b"".join(blobs), wanted[bucket])
        latest = await self.latest(sorted({record_id for record_id, _ in found}))
        return {
            record_id
            for record_id, prefix in found
            if record_id in latest and prefix in split(latest[record_id].prefixes)
        }

    async def blobs(self, buckets: Sequence[int]) -> list[list[bytes]]:
        """Return the blobs of each of these buckets."""
        pipeline = self._redis.pipeline()
        for bucket in buckets:
            pipeline.lrange(BUCKET_KEYS[bucket], 0, -1)
        blobs: list[list[bytes]] = await pipeline.execute()
        return blobs

    async def _unpoint(self, each: AdmittedTouch | Retraction, prefixes: Iterable[bytes]) -> None:
        """Take its record out of the buckets of these tokens."""
        partition = each.place.partition
        owner = (b"%d" % partition, b"%d" % self._claims.get(partition, MOST_CLAIM))
        buckets = sorted({bucket_of(prefix) for prefix in prefixes})
        own = set(prefixes)
        while buckets:
            again = []
            for bucket, blobs in zip(buckets, await self.blobs(buckets), strict=True):
                keys = BUCKET_KEYS[bucket], claims_key(bucket >> 8)
                for blob in blobs:
                    left = without(blob, each.record_id, bucket, own)
                    if left is None:
                        continue
                    changed = await self._redis.eval(REPLACE, 2, *keys, blob, left, *owner)
                    if changed == CHANGED_MEANWHILE:
                        again.append(bucket)
            buckets = sorted(set(again))

    def _marks(self, each: Sequence[AdmittedTouch | Retraction]) -> Marks:
        ends: dict[int, int] = {}
        for one in each:
            partition, offset = one.place.partition, one.place.offset
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        return {each: (self._reached.get(each, 0), after) for each, after in ends.items()}

    async def _write(
        self, groups: Sequence[tuple[tuple[bytes, bytes], tuple[bytes, bytes]]], marks: Marks
    ) -> None:
        """Write every group's rows, then every group's records, and move the marks."""
        packed = packed_marks(marks)
        if not self._scattered:
            given = chain.from_iterable((*rows, *records) for rows, records in groups)
            done = [await self._redis.eval(WRITE, GROUPS, *TAGS, BOTH, packed, *given)]
        else:
            done = await self._write_scattered(groups, packed)
        if not all(done):
            raise TailLostError("expected the pointers written before, got fewer; replay them")
        for partition, (expected, after) in marks.items():
            if partition in self._reached:
                self._reached[partition] = max(expected, after)

    async def _write_scattered(
        self, groups: Sequence[tuple[tuple[bytes, bytes], tuple[bytes, bytes]]], packed: bytes
    ) -> list[int]:
        """Write a group at a time: rows first, so that no record is there that cannot be found."""
        pipeline = self._redis.pipeline()
        for tag, (rows, _) in zip(TAGS, groups, strict=True):
            pipeline.eval(WRITE, 1, tag, ROWS, packed, *rows, *_NOTHING)
        for tag, (_, records) in zip(TAGS, groups, strict=True):
            pipeline.eval(WRITE, 1, tag, RECORDS, packed, *_NOTHING, *records)
        done: list[int] = await pipeline.execute()
        return done

    def _about(self, touches: Iterable[AdmittedTouch]) -> dict[int, tuple[bool, int]]:
        """Return, for each clear header (by id: many share one), what its records need of it.

        Whether look-ups find them, and in how many seconds their month is over.
        """
        now = self._clock.now().timestamp()
        several = {id(touch.clear): touch.clear for touch in touches}
        return {
            number: (
                clear.kind not in UNFOUND,
                max(1, min(MOST_S, int((expires_at(clear.expiry_month) or 0) / 1000 - now))),
            )
            for number, clear in several.items()
        }


def _expect(vouched: Mapping[int, int], there: Mapping[int, int]) -> None:
    if any(there.get(partition, 0) < after for partition, after in vouched.items()):
        raise TailLostError("expected the pointers written before, got fewer; replay them")


def _same(old: Pointer, touch: AdmittedTouch, prefixes: bytes) -> bool:
    return (old.revision, old.prefixes) == (touch.revision, prefixes)


def _packed(touch: AdmittedTouch, prefixes: bytes, *, found: bool) -> bytes:
    place, owner = touch.place, touch.organisation.encode()
    fixed = touch.revision, place.partition, place.offset, place.appended_at, 0, len(owner), found
    return _RECORD.pack(*fixed) + owner + prefixes
