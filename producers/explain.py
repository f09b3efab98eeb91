"""Show an agency what becomes of one of its records, before anybody else sees anything."""

from __future__ import annotations

from collections import Counter
from typing import Any

from producers.sharing import SharingPolicy
from producers.touch import Draft, Entry, Sealer
from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import LOCK, TOKEN, rows
from schemas.vocabulary import MatchKeyKind, Strength, is_strong


def explained(entry: Entry, sealer: Sealer) -> dict[str, Any]:
    """Return, fit for JSON: the record, each subject's match keys, and what the exchange will see.

    Match keys are shown normalised, so that a clerk can see what would match; tokens and their
    secrets are not shown.
    """
    epoch = sealer.current_epoch()
    [touch] = sealer.seal([entry], epoch)
    return {
        "record": entry.draft.record.model_dump(mode="json"),
        "subjects": _subjects(entry.draft, sealer.policy),
        "narrative_shared": sealer.policy.shares_narrative(entry.draft.record.subjects),
        "exchange_sees": _seen(entry, touch, sealer.header(entry, epoch)),
    }


def _subjects(draft: Draft, policy: SharingPolicy) -> list[dict[str, Any]]:
    reach = policy.reach(draft.record.subjects)
    return [
        {
            "role": subject.role.value,
            "mentioned": subject.mentioned,
            "part_read_by": "own watchers" if reach[number] == {number} else "watchers of anybody",
            "match_keys": [
                {
                    "kind": MatchKeyKind(kind).name.lower(),
                    "strength": (Strength.STRONG if is_strong(kind) else Strength.WEAK).value,
                    "value": value,
                }
                for kind, value in draft.keys[number]
            ],
        }
        for number, subject in enumerate(draft.record.subjects)
    ]


def _seen(entry: Entry, touch: SubjectTouch, header: TouchHeader) -> dict[str, Any]:
    kinds = Counter(
        MatchKeyKind(int(kind)).name.lower() for kind in rows(touch.tokens, TOKEN)["kind"]
    )
    return {
        "record_id": header.record_id.hex(),
        "revision": header.revision,
        "sender": header.sender,
        "epoch": header.epoch,
        "expiry_month": header.expiry_month,
        "kind": header.kind.value,
        "subjects": len(entry.draft.record.subjects),
        "tokens_with_padding": dict(sorted(kinds.items())),
        "locks": len(rows(touch.locks, LOCK)),
        "sealed_part_bytes": [len(part) for part in touch.parts],
    }
