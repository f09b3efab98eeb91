"""The judge: which alerts a history requires, which it forbids, and which may be or not be.

It knows only what was appended and when. A revision of a record lives from its append to that of
the next higher one, a watch from its append to its next version, its removal or its expiry; what is
appended late, after a higher revision, never lives. A pair overlaps when both live and the match
rule holds: longer than the bound requires an alert, apart by more than the bound forbids it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from schemas import codec
from schemas.messages import (
    Alert,
    AlertStatus,
    SubjectTouch,
    TouchHeader,
    alert_id,
)
from schemas.packing import TOKEN
from schemas.rule import satisfies
from schemas.vocabulary import CoarseKind
from silenthit.bus.clients import Message
from silenthit.bus.sender import tombstone_revision
from stream_processors.expiry import expires_at
from tests.exchange_room import registration_in

BOUND_MS = 1_000
FOREVER = 1 << 60
# As the partner's inbox has it: of one revision, the higher stands.
RANK = {AlertStatus.WITHDRAWN: 0, AlertStatus.ACTIVE: 1, AlertStatus.RETRACTED: 2}


@dataclass(frozen=True)
class Version:
    """A revision of a record, or a version of a watch, and when it lived (ms, end excluded)."""

    number: int
    start: int
    end: int
    tokens: bytes  # none: retracted
    kinds: tuple[CoarseKind, ...] = ()


Said = tuple[bytes, bytes, int]  # record, registration, revision


@dataclass
class Verdict:
    """What is wrong with a history's alerts, and how many were looked at."""

    required: int = 0
    optional: set[Said] = field(default_factory=set)
    may_withdraw: set[Said] = field(default_factory=set)  # last revisions that need not be, but may
    missing: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return self.missing + self.forbidden + self.doubled


def judge(
    touches: Iterable[Message],
    watches: Iterable[Message],
    alerts: Iterable[Message],
    at: Callable[[int], int] = lambda ms: ms,
) -> Verdict:
    """Compare all that was alerted with all that was appended, once everything has settled.

    `at` puts moments (ms) elsewhere, in their order: those of an outage, in which nobody promises
    the bound, closer together than it.
    """
    records = {key: _revisions(each, at) for key, each in _by_key(touches).items()}
    registered = {key: _versions(each, at) for key, each in _by_key(watches).items()}
    told: dict[tuple[bytes, bytes], list[Alert]] = defaultdict(list)
    verdict = Verdict()
    for message in alerts:
        alert = codec.decode(message.value or b"", Alert)
        pair = alert.record_id, alert.registration_id
        told[pair].append(alert)
        if message.key != alert_id(*pair) or alert.alert_id != message.key:
            verdict.doubled.append(f"{_name(pair)}: another alert id")
    for record, revisions in records.items():
        for key, versions in registered.items():
            _judge_pair((record, key[:16]), revisions, versions, told, verdict)
    known = {(record, key[:16]) for record in records for key in registered}
    verdict.forbidden += [f"{_name(pair)}: no such pair" for pair in told.keys() - known]
    return verdict


def _judge_pair(
    pair: tuple[bytes, bytes],
    revisions: Sequence[Version],
    versions: Sequence[Version],
    told: dict[tuple[bytes, bytes], list[Alert]],
    verdict: Verdict,
) -> None:
    alerts = told.get(pair, [])
    active = {alert.revision for alert in alerts if alert.status is AlertStatus.ACTIVE}
    longest = {
        each.number: max((_overlap(each, v) for v in versions if _meets(each, v)), default=-FOREVER)
        for each in revisions
        if each.tokens
    }
    for number, overlap in longest.items():
        if overlap > BOUND_MS:
            verdict.required += 1
            if number not in active:
                verdict.missing.append(f"{_name(pair)}: revision {number}")
        elif overlap >= -BOUND_MS:
            verdict.optional.add((*pair, number))
    verdict.forbidden += [
        f"{_name(pair)}: revision {number}"
        for number in active
        if longest.get(number, -FOREVER) < -BOUND_MS
    ]
    if active:
        _judge_end(pair, revisions[-1], versions, longest, alerts, verdict)
    elif max(longest.values(), default=-FOREVER) >= -BOUND_MS:
        verdict.may_withdraw.add((*pair, revisions[-1].number))


def _judge_end(  # noqa: PLR0917 the judge's own
    pair: tuple[bytes, bytes],
    last: Version,
    versions: Sequence[Version],
    longest: dict[int, int],
    alerts: Sequence[Alert],
    verdict: Verdict,
) -> None:
    """What the partner's inbox must say in the end, where it holds the pair at all."""
    stands = max(((a.revision, RANK[a.status]) for a in alerts), default=(0, 0))
    if not last.tokens:
        wanted = {(last.number, RANK[AlertStatus.RETRACTED])}
    elif longest[last.number] > BOUND_MS:
        wanted = {(last.number, RANK[AlertStatus.ACTIVE])}
    elif longest[last.number] >= -BOUND_MS or not _watched_through(last.start, versions):
        verdict.may_withdraw.add((*pair, last.number))
        return
    elif last.end <= last.start:
        return  # it had expired when it came
    else:
        wanted = {(last.number, RANK[AlertStatus.WITHDRAWN])}
    if stands not in wanted:
        verdict.missing.append(f"{_name(pair)}: ends with {stands}, not {wanted}")


def _watched_through(at: int, versions: Sequence[Version]) -> bool:
    """Whether one version lived long before and after, so that it was asked for certain."""
    return any(v.start < at - BOUND_MS and v.end > at + BOUND_MS for v in versions)


def _overlap(a: Version, b: Version) -> int:
    return min(a.end, b.end) - max(a.start, b.start)


def _meets(touch: Version, watch: Version) -> bool:
    wanted = not watch.kinds or touch.kinds[0] in watch.kinds
    return wanted and _satisfies(touch.tokens, watch.tokens)


@lru_cache(maxsize=100_000)
def _satisfies(touch: bytes, watch: bytes) -> bool:
    # Of people that have nothing to do with each other there are many; the rule is slow to read.
    return not _rows(touch).isdisjoint(_rows(watch)) and bool(satisfies(touch, watch))


@lru_cache(maxsize=10_000)
def _rows(tokens: bytes) -> frozenset[bytes]:
    """Return what has to be in common: rows without their subject."""
    size = TOKEN.itemsize
    return frozenset(tokens[at + 1 : at + size] for at in range(0, len(tokens), size))


def _by_key(messages: Iterable[Message]) -> dict[bytes, list[Message]]:
    found: dict[bytes, list[Message]] = defaultdict(list)
    for message in messages:
        found[message.key or b""].append(message)
    return found


def _revisions(messages: Sequence[Message], at: Callable[[int], int]) -> list[Version]:
    """The revisions that ever lived, in order."""
    lived: list[tuple[int, int, SubjectTouch | None]] = []
    for message in messages:
        touch = codec.decode(message.value, SubjectTouch) if message.value else None
        number = (
            codec.decode(touch.header, TouchHeader).revision
            if touch
            else tombstone_revision(dict(message.headers)) or 0
        )
        if not lived or number > lived[-1][0]:
            lived.append((number, at(message.timestamp_ms), touch))
    ends = [start for _, start, _ in lived[1:]] + [FOREVER]
    return [_revision(*each, end, at) for each, end in zip(lived, ends, strict=True)]


def _revision(
    number: int, start: int, touch: SubjectTouch | None, end: int, at: Callable[[int], int]
) -> Version:
    if touch is None:
        return Version(number, start, end, b"")
    header = codec.decode(touch.header, TouchHeader)
    month = expires_at(header.expiry_month)
    assert month
    return Version(number, start, min(end, at(month)), touch.tokens, (header.kind,))


def _versions(messages: Sequence[Message], at: Callable[[int], int]) -> list[Version]:
    ends = [at(message.timestamp_ms) for message in messages[1:]] + [FOREVER]
    versions = []
    for message, end in zip(messages, ends, strict=True):
        if message.value is not None:
            watch = registration_in(message)
            until = min(end, at(watch.expires_at))
            start = at(message.timestamp_ms)
            versions.append(Version(message.offset, start, until, watch.tokens, watch.kinds))
    return versions


def _name(pair: tuple[bytes, bytes]) -> str:
    return f"{pair[0].hex()[:6]} and {pair[1].hex()[:6]}"
