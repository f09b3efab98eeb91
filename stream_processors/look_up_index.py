"""Ask the pointer index about few tokens: Redis looks through their buckets itself.

A look-back reads whole buckets, for thousands of tokens at once. For the few tokens of an inquiry
that would be megabytes; a script sends back the rows that were asked for. The lists of blobs grow
by one blob a batch of touches: `merge` keeps them short, in the background.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from stream_processors.pointer_rows import (
    BUCKET_KEYS,
    ENTRY,
    ENTRY_BYTES,
    PREFIX_BYTES,
    bucket_of,
    split,
)
from stream_processors.pointers import Pointer, Pointers

MOST_ROWS = 5_000  # of one token, the latest: a shelter's phone stands in more records than that
ID_BYTES = 16
CHUNK_BYTES = 2_730 * ENTRY.itemsize  # 64 KiB
MERGE_FROM = 64  # blobs in a list
_KEYS_AT_ONCE = 512

# KEYS: a bucket. ARGV: how many rows of a token at most, then eight bytes of each token.
# Returns for each token its record ids, the latest blob's first.
_FIND = """
local blobs, found = redis.call('LRANGE', KEYS[1], 0, -1), {}
for t = 2, #ARGV do
  local ids = {}
  for b = #blobs, 1, -1 do
    local at = string.find(blobs[b], ARGV[t], 1, true)
    while at do
      local beside = (at - 1) % 24
      if beside == 0 then ids[#ids + 1] = string.sub(blobs[b], at + 8, at + 23) end
      at = string.find(blobs[b], ARGV[t], at + (beside == 0 and 24 or 1), true)
    end
    if #ids >= tonumber(ARGV[1]) then break end
  end
  found[t - 1] = table.concat(ids)
end
return found
"""
# KEYS: a bucket. ARGV: bytes of a chunk, how many blobs are many. Chunks come first in a list; the
# short blobs behind them, if they are many, are put together. Returns how many there were.
_MERGE = """
local length, size = redis.call('LLEN', KEYS[1]), tonumber(ARGV[1])
local blobs, at = {}, length
while at > 0 do
  local blob = redis.call('LINDEX', KEYS[1], at - 1)
  if #blob >= size then break end
  table.insert(blobs, 1, blob)
  at = at - 1
end
if #blobs <= tonumber(ARGV[2]) then return 0 end
local rest = table.concat(blobs)
if at == 0 then redis.call('DEL', KEYS[1]) else redis.call('LTRIM', KEYS[1], 0, at - 1) end
for i = 1, #rest, size do redis.call('RPUSH', KEYS[1], string.sub(rest, i, i + size - 1)) end
return #blobs
"""


class LookUpIndex:
    """The pointer index, read for inquiries."""

    def __init__(self, redis: Any, pointers: Pointers, *, check_every_s: float = 1.0) -> None:
        """`redis` has the commands of redis.asyncio.Redis; `pointers` are over the same."""
        self._redis, self._pointers = redis, pointers
        self._check_every_s, self._checked_at = check_every_s, -math.inf

    async def holders(self, tokens: Sequence[bytes]) -> dict[bytes, dict[bytes, Pointer]]:
        """Return, for each token, the pointers of records to be found that hold it, by record id.

        Of a token nine bytes are compared; whoever reads the touch again sees the whole.
        Raises TailLostError while Redis lacks pointers that it had.
        """
        await self._check()
        ids = await self._found(sorted(set(tokens)))
        latest = await self._pointers.latest(
            sorted({each for some in ids.values() for each in some})
        )
        return {
            token: {
                each: latest[each]
                for each in some
                if each in latest and _holds(latest[each], token)
            }
            for token, some in ids.items()
        }

    async def merge(self) -> int:
        """Put together the short blobs of every bucket that has many; return how many buckets had.

        What was put together before is not read again.
        """
        merged = 0
        async for key in self._long():
            sizes = b"%d" % CHUNK_BYTES, b"%d" % MERGE_FROM
            merged += bool(await self._redis.eval(_MERGE, 1, key, *sizes))
        return merged

    async def _check(self) -> None:
        """Refuse to answer from less than there was; what comes in later is expected from now."""
        now = time.monotonic()
        if now - self._checked_at >= self._check_every_s:
            await self._pointers.check()
            self._pointers.vouch(await self._pointers.reached())
            self._checked_at = now

    async def _long(self) -> AsyncIterator[bytes]:
        for start in range(0, len(BUCKET_KEYS), _KEYS_AT_ONCE):
            keys = BUCKET_KEYS[start : start + _KEYS_AT_ONCE]
            pipeline = self._redis.pipeline()
            for key in keys:
                pipeline.llen(key)
            for key, length in zip(keys, await pipeline.execute(), strict=True):
                if length > MERGE_FROM:
                    yield key

    async def _found(self, tokens: Sequence[bytes]) -> dict[bytes, list[bytes]]:
        buckets: dict[int, list[bytes]] = {}
        for token in tokens:
            buckets.setdefault(bucket_of(token), []).append(token)
        pipeline = self._redis.pipeline()
        for bucket, wanted in buckets.items():
            entries = (token[ENTRY_BYTES] for token in wanted)
            pipeline.eval(_FIND, 1, BUCKET_KEYS[bucket], b"%d" % MOST_ROWS, *entries)
        answers = await pipeline.execute() if buckets else []
        return {
            token: _ids(packed)
            for wanted, several in zip(buckets.values(), answers, strict=True)
            for token, packed in zip(wanted, several, strict=True)
        }


def _ids(packed: bytes) -> list[bytes]:
    each = (packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES))
    return list(dict.fromkeys(each))[:MOST_ROWS]


def _holds(pointer: Pointer, token: bytes) -> bool:
    live = pointer.found and not pointer.retracted
    return live and token[:PREFIX_BYTES] in split(pointer.prefixes)
