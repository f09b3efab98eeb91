"""Carriers: of how many records an alert's phone, car or handle is, so that nobody follows a town.

A partner may go on from a phone to whoever carries it next. That of a shelter or a bus company
leads to strangers, and only the exchange can tell: each matched token of the item class gets one
byte, the number's power of two. Nothing else of those records is told, and nothing is counted for
a touch that satisfies no watch, nor for tokens that stand for a person, which nobody follows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from schemas.messages import Alert
from schemas.packing import MATCH, UNCOUNTED, rows
from schemas.vocabulary import MATCH_KEY_KINDS, Strength, TokenClass
from stream_processors.pointer_rows import bucket_of, held, split
from stream_processors.pointers import Pointers

MOST_COUNTED = 1 << 12  # whoever has more has more than anybody follows
_COUNTED = {
    kind
    for kind, facts in MATCH_KEY_KINDS.items()
    if facts.strength is Strength.STRONG and facts.token_class is TokenClass.ITEM
}


async def with_carriers(
    told: Sequence[tuple[str, Alert]], pointers: Pointers
) -> list[tuple[str, Alert]]:
    """Return alerts, each with its partner, with the counts of their matched tokens filled in."""
    tokens = {token for _, each in told for token in _countable(each) if token}
    if not tokens:
        return list(told)
    found = await _holders(sorted(tokens), pointers)
    return [(partner, _filled(each, found)) for partner, each in told]


def _countable(alert: Alert) -> list[bytes]:
    """Return the token of each match row, an empty one where it is not counted."""
    return [
        row["token"].tobytes() if int(row["kind"]) in _COUNTED else b""
        for row in rows(alert.matches, MATCH)
    ]


def _filled(alert: Alert, found: dict[bytes, Collection[bytes]]) -> Alert:
    """The touch itself counts too: when it comes, nobody points to it yet."""
    tokens = _countable(alert)
    if not any(tokens):
        return alert
    counts = (len({alert.record_id, *found[token]}) if token else 0 for token in tokens)
    return alert.model_copy(update={"carriers": bytes(map(power_of_two, counts))})


def power_of_two(count: int) -> int:
    """Return b where count is from 2**b to below 2**(b+1), UNCOUNTED for none."""
    return min(count, MOST_COUNTED).bit_length() - 1 if count else UNCOUNTED


async def _holders(tokens: Sequence[bytes], pointers: Pointers) -> dict[bytes, Collection[bytes]]:
    """Return, for each token, the records whose latest touch holds it; of very many, some."""
    buckets = sorted({bucket_of(token) for token in tokens})
    blobs = dict(zip(buckets, await pointers.blobs(buckets), strict=True))
    written = {
        token: [record for record, _ in held(b"".join(blobs[bucket_of(token)]), [token])][
            : 2 * MOST_COUNTED
        ]
        for token in tokens
    }
    latest = await pointers.latest(sorted({each for some in written.values() for each in some}))
    return {
        token: [
            each for each in some if each in latest and token[:2] in split(latest[each].prefixes)
        ]
        for token, some in written.items()
    }
