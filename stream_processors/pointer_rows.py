"""How the pointer index lies in Redis: its keys, its rows, and the scripts that write them.

`docs/decisions/pointer-layout.md` says why. One group is what one script writes, on one node of a
cluster: sixteen, by the first four bits of a token or a record id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUPS = 16
PREFIX_BYTES = 2  # of a token, kept beside its record: where to take it out again
ENTRY_BYTES = slice(1, 9)  # of the token; the bucket says the first
ENTRY = np.dtype([("token", "V8"), ("record", "V16")])
BUCKETS = GROUPS << 8
BUCKET_KEYS = [b"t:{%x}%02x" % (each >> 8, each & 0xFF) for each in range(BUCKETS)]
TAGS = [b"{%x}" % number for number in range(GROUPS)]
# Rows are written before the records they name: a crash between leaves rows that lead nowhere, and
# never a record that cannot be found. Each of the two keeps marks of its own.
ROWS, RECORDS = b"rows", b"records"
BOTH = b"rows records"  # where one script writes all groups, there is no between
_BUCKET_HEAD = np.dtype("<u4")  # the bucket within its group in the lowest byte, rows above

# Few long arguments instead of many short ones: packing those was half of a batch's cost.
# KEYS: the tags of groups. ARGV: phases, one or both; marks as partition, offset expected and next
# offset, in digits; then for each group: buckets (u8) with how many rows each gets (u24); the rows;
# record ids with the length of each value (u24) and its seconds to live (u32); the values, which
# begin with the revision (u32) and have `retracted` as byte 22.
# Where a mark is below what the caller expects, Redis has lost writes: nothing is changed.
# A revision that a later one overtook changes nothing, whoever comes late with it.
WRITE = """
local function number(text, at, bytes)
  local value = 0
  for i = at + bytes - 1, at, -1 do value = value * 256 + string.byte(text, i) end
  return value
end
local function moved(marks)
  local later = {}
  for field, expected, after in string.gmatch(ARGV[2], '(%d+) (%d+) (%d+)') do
    local there = tonumber(redis.call('HGET', marks, field) or '0')
    if there < tonumber(expected) then return nil end
    if tonumber(after) > there then later[#later + 1], later[#later + 2] = field, after end
  end
  return later
end
local function add_rows(tag, heads, rows)
  local at = 1
  for i = 1, #heads, 4 do
    local bucket, a, b, c = string.byte(heads, i, i + 3)
    local size = (a + 256 * b + 65536 * c) * 24
    local key = 't:' .. tag .. string.format('%02x', bucket)
    redis.call('RPUSH', key, string.sub(rows, at, at + size - 1))
    at = at + size
  end
end
local function set_records(tag, heads, values)
  local at = 1
  for i = 1, #heads, 23 do
    local a, b, c, d, e, f, g = string.byte(heads, i + 16, i + 22)
    local size = a + 256 * b + 65536 * c
    local key = 'r:' .. tag .. string.sub(heads, i, i + 15)
    local new = string.sub(values, at, at + size - 1)
    local old, stays = redis.call('GET', key), false
    if old then
      local had, has = number(old, 1, 4), number(new, 1, 4)
      stays = had > has or (had == has and string.byte(old, 23) > string.byte(new, 23))
    end
    if not stays then
      redis.call('SET', key, new, 'EX', d + 256 * e + 65536 * f + 16777216 * g)
    end
    at = at + size
  end
end
local marks = {}
for phase in string.gmatch(ARGV[1], '%a+') do
  for _, tag in ipairs(KEYS) do
    local key = 'w:' .. tag .. phase
    marks[key] = moved(key)
    if not marks[key] then return 0 end
  end
end
for key, later in pairs(marks) do
  if #later > 0 then redis.call('HSET', key, unpack(later)) end
end
for i, tag in ipairs(KEYS) do
  local at = 4 * i - 1
  add_rows(tag, ARGV[at], ARGV[at + 1])
  set_records(tag, ARGV[at + 2], ARGV[at + 3])
end
return 1
"""
# KEYS: the tags of groups. ARGV: record ids of each. Returns for each group the marks of the
# records' phase, then the value of each id, in order.
READ = """
local found = {}
for i, tag in ipairs(KEYS) do
  local several = {redis.call('HGETALL', 'w:' .. tag .. 'records')}
  for at = 1, #ARGV[i], 16 do
    several[#several + 1] = redis.call('GET', 'r:' .. tag .. string.sub(ARGV[i], at, at + 15))
  end
  found[i] = several
end
return found
"""
# KEYS: the tags of groups. Returns each partition and its least mark, which is 0 if one lacks it.
LEAST = """
local count, times, least = 0, {}, {}
for _, tag in ipairs(KEYS) do
  for _, phase in ipairs({'rows', 'records'}) do
    local marks = redis.call('HGETALL', 'w:' .. tag .. phase)
    count = count + 1
    for i = 1, #marks, 2 do
      local partition, mark = marks[i], tonumber(marks[i + 1])
      times[partition] = (times[partition] or 0) + 1
      least[partition] = math.min(least[partition] or mark, mark)
    end
  end
end
local found = {}
for partition, mark in pairs(least) do
  if times[partition] < count then mark = 0 end
  found[#found + 1], found[#found + 2] = tonumber(partition), mark
end
return found
"""
# KEYS: a bucket, its group's claims. ARGV: a blob, what is left of it, a partition, who claims it.
# Another worker may have replaced the blob meanwhile: then nothing is changed, and 0 returned. Who
# lost the partition may not know that a later revision holds the token again: it changes nothing.
REPLACE = """
if tonumber(redis.call('HGET', KEYS[2], ARGV[3]) or '0') > tonumber(ARGV[4]) then return 2 end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if ARGV[2] ~= '' then redis.call('RPUSH', KEYS[1], ARGV[2]) end
return 1
"""
CHANGED_MEANWHILE = 0
# KEYS: a group's claims. ARGV: partitions and claims in turn; one that is higher already stays.
CLAIM = """
for i = 1, #ARGV, 2 do
  local there = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
  if there < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 1
"""

Marks = Mapping[int, tuple[int, int]]  # partition: offset expected, next offset


def record_key(record_id: bytes) -> bytes:
    """Return the key of a record's pointer."""
    return b"r:{%x}%b" % (record_id[0] >> 4, record_id)


def claims_key(group: int) -> bytes:
    """Return the key of who owns the partitions, kept in each group beside its rows."""
    return b"c:%b" % TAGS[group]


def packed_marks(marks: Marks) -> bytes:
    """Return the marks as the script reads them."""
    return b";".join(b"%d %d %d" % (partition, *mark) for partition, mark in marks.items())


def bucket_of(token: bytes) -> int:
    """Return the number of a token's bucket: its first twelve bits."""
    return token[0] << 4 | token[1] >> 4


def split(prefixes: bytes) -> list[bytes]:
    """Return each of the prefixes that were packed one after the other."""
    return [prefixes[at : at + PREFIX_BYTES] for at in range(0, len(prefixes), PREFIX_BYTES)]


def bucketed(tokens: NDArray[np.uint8], owners: NDArray[Any]) -> list[tuple[bytes, bytes]]:
    """Return, for each group, its buckets that these tokens, (n, 16), fall into, and their rows."""
    bucket = tokens[:, 0].astype(np.uint16) << 4 | tokens[:, 1] >> 4
    order = np.argsort(bucket, kind="stable")
    entries = np.empty(len(order), ENTRY)
    entries["token"] = np.ascontiguousarray(tokens[:, ENTRY_BYTES]).view("V8")[:, 0]
    entries["record"] = owners
    entries = entries.take(order)
    several = np.bincount(bucket, minlength=BUCKETS)
    numbers = np.flatnonzero(several)
    rows = several[numbers]
    heads = ((numbers & 0xFF) | rows << 8).astype(_BUCKET_HEAD)
    ends = np.cumsum(rows)
    cuts = np.searchsorted(numbers, np.arange(1, GROUPS + 1) << 8)
    groups, start = [], 0
    for cut in cuts.tolist():
        row, end = (int(ends[at - 1]) if at else 0 for at in (start, cut))
        groups.append((heads[start:cut].tobytes(), entries[row:end].tobytes()))
        start = cut
    return groups


def grouped_records(records: Iterable[tuple[bytes, bytes, int]]) -> list[tuple[bytes, bytes]]:
    """Return, for each group, heads and values of its records (id, value, seconds to live)."""
    heads: list[list[bytes]] = [[] for _ in range(GROUPS)]
    values: list[list[bytes]] = [[] for _ in range(GROUPS)]
    sizes: dict[tuple[int, int], bytes] = {}  # of a batch, few different ones
    for record_id, value, live_s in records:
        size = sizes.get((len(value), live_s))
        if size is None:
            size = len(value).to_bytes(3, "little") + live_s.to_bytes(4, "little")
            sizes[len(value), live_s] = size
        group = record_id[0] >> 4
        heads[group].append(record_id + size)
        values[group].append(value)
    return [(b"".join(a), b"".join(b)) for a, b in zip(heads, values, strict=True)]


def held(blob: bytes, tokens: Sequence[bytes]) -> set[tuple[bytes, bytes]]:
    """Return the records in a bucket that hold one of its tokens, with that one's first two bytes.

    `tokens` are at least one, and all of this bucket.
    """
    entries = np.frombuffer(blob, ENTRY)
    wanted = np.frombuffer(b"".join([token[ENTRY_BYTES] for token in tokens]), "<u8")
    wanted = np.sort(wanted)
    numbers = np.ascontiguousarray(entries["token"]).view("<u8")
    at = np.minimum(np.searchsorted(wanted, numbers), len(wanted) - 1)
    found, first = entries[wanted[at] == numbers], tokens[0][:1]
    return {(bytes(each["record"]), first + bytes(each["token"])[:1]) for each in found}


def without(blob: bytes, record_id: bytes, bucket: int, prefixes: set[bytes]) -> bytes | None:
    """Return a blob without a record's entries of these prefixes, None when it has none."""
    entries = np.frombuffer(blob, ENTRY)
    keep = np.ones(len(entries), np.bool_)
    for row in np.flatnonzero(entries["record"] == np.void(record_id)).tolist():
        keep[row] = prefix_of(bucket, entries[row]) not in prefixes
    return None if keep.all() else entries[keep].tobytes()


def prefix_of(bucket: int, entry: np.void) -> bytes:
    """Return the first two bytes of the token of a row."""
    return bytes([bucket >> 4]) + bytes(entry["token"])[:1]
