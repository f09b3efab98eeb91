"""The one table of topics: who writes, who reads, on which bus, what is kept (design section 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Bus(StrEnum):
    """Two clusters in production: nothing that depends on a watch is ever on the agency's."""

    AGENCY = "agency"
    PARTNER = "partner"


class Role(StrEnum):
    """What an organisation or a process may be to the brokers."""

    AGENCY = "agency"
    PARTNER = "partner"
    MATCH = "match"  # the exchange's matching workers
    ANSWER = "answer"  # the exchange's look-ups and conflicts, with no right to watches
    AUDITOR = "auditor"
    OPERATOR = "operator"  # of the brokers: makes topics and grants rights, reads no topic


DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One row of the table. `name` holds `{org}` where each organisation has a topic of its own."""

    name: str
    key: str
    bus: Bus
    writers: frozenset[Role]
    readers: frozenset[Role]
    partitions: int = 1
    config: dict[str, str] = field(default_factory=dict)

    def of(self, org: str) -> str:
        """Name of this topic for one organisation. Raises ValueError for an unusable name."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", org):
            raise ValueError(
                "expected an organisation name of lower-case letters, digits and hyphens"
            )
        return self.name.format(org=org)


_APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
_COMPACT = {**_APPEND_TIME, "cleanup.policy": "compact"}
_COMPACT_DELETE = {**_APPEND_TIME, "cleanup.policy": "compact,delete"}
_FIVE_YEARS = str(5 * 366 * DAY_MS)


def _delete(days: int) -> dict[str, str]:
    return {**_APPEND_TIME, "cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}


# A worker that was down for long must still find the tombstones.
_TOMBSTONES = {"delete.retention.ms": str(90 * DAY_MS)}

# What was taken back is gone from the brokers' disks a week after its partition's next message.
_FORGETS = {"max.compaction.lag.ms": str(7 * DAY_MS)}

TOUCHES = Topic(
    name="touches",
    key="record id",
    bus=Bus.AGENCY,
    writers=frozenset({Role.AGENCY}),
    readers=frozenset({Role.MATCH, Role.ANSWER}),
    partitions=8,
    config={**_COMPACT_DELETE, **_TOMBSTONES, **_FORGETS, "retention.ms": _FIVE_YEARS},
)
INQUIRIES = Topic(
    name="inquiries.{org}",
    key="inquiry id",
    bus=Bus.AGENCY,
    writers=frozenset({Role.AGENCY}),
    readers=frozenset({Role.ANSWER}),
    config=_delete(7),
)
ANSWERS = Topic(
    name="answers.{org}",
    key="inquiry or record id",
    bus=Bus.AGENCY,
    writers=frozenset({Role.ANSWER}),
    readers=frozenset({Role.AGENCY}),
    config=_delete(7),
)
# An agency's planned operations, and whose of another agency's they are in conflict with.
OPERATIONS = Topic(
    name="operations.{org}",
    key="record id",
    bus=Bus.AGENCY,
    writers=frozenset({Role.AGENCY}),
    readers=frozenset({Role.ANSWER}),
    config={**_COMPACT, **_TOMBSTONES, **_FORGETS},
)
CONFLICTS = Topic(
    name="conflicts.{org}",
    key="conflict id",
    bus=Bus.AGENCY,
    writers=frozenset({Role.ANSWER}),
    readers=frozenset({Role.AGENCY}),
    config={**_COMPACT_DELETE, **_FORGETS, "retention.ms": str(90 * DAY_MS)},
)
CONFLICT_NOTES = Topic(
    name="conflicts",
    key="conflict id, or record id and a mark",
    bus=Bus.AGENCY,
    writers=frozenset({Role.ANSWER}),
    readers=frozenset({Role.ANSWER}),
    config={**_COMPACT, **_TOMBSTONES, **_FORGETS},
)
# Whom a partner looks up depends on whom it watches, so it asks on its own bus.
PARTNER_INQUIRIES = replace(INQUIRIES, bus=Bus.PARTNER, writers=frozenset({Role.PARTNER}))
PARTNER_ANSWERS = replace(ANSWERS, bus=Bus.PARTNER, readers=frozenset({Role.PARTNER}))
PUBLICATIONS = Topic(
    name="publications.{org}",
    key="publication id and epoch",
    bus=Bus.PARTNER,
    writers=frozenset({Role.PARTNER}),
    readers=frozenset({Role.ANSWER}),
    config={**_COMPACT, **_TOMBSTONES},
)
WATCHES = Topic(
    name="watches.{org}",
    key="registration id and epoch",
    bus=Bus.PARTNER,
    writers=frozenset({Role.PARTNER}),
    readers=frozenset({Role.MATCH}),
    config={**_COMPACT, **_TOMBSTONES},
)
ALERTS = Topic(
    name="alerts.{org}",
    key="alert id",
    bus=Bus.PARTNER,
    writers=frozenset({Role.MATCH}),
    readers=frozenset({Role.PARTNER}),
    config={**_COMPACT_DELETE, **_FORGETS, "retention.ms": _FIVE_YEARS},
)
SENT = Topic(
    name="sent",
    key="record id",
    bus=Bus.PARTNER,
    writers=frozenset({Role.MATCH}),
    readers=frozenset({Role.MATCH}),
    partitions=8,  # as many as touches: a worker reads those of the touches it has
    config=_COMPACT,
)
# Whom a partner met: on the brokers for a year, in its vault from then on.
DECONFLICTIONS = Topic(
    name="deconflictions.{org}",
    key="meeting id",
    bus=Bus.PARTNER,
    writers=frozenset({Role.MATCH}),
    readers=frozenset({Role.PARTNER}),
    config={**_COMPACT_DELETE, **_FORGETS, "retention.ms": str(366 * DAY_MS)},
)
MEETINGS = Topic(
    name="meetings",
    key="meeting id, or registration id and epoch",
    bus=Bus.PARTNER,
    writers=frozenset({Role.MATCH}),
    readers=frozenset({Role.MATCH}),
    config={**_COMPACT, **_TOMBSTONES, **_FORGETS},
)
DISCLOSURES = Topic(
    name="disclosures",
    key="chain id",
    bus=Bus.PARTNER,
    # Whoever writes a topic may ask for its end, and this one grows with every match.
    writers=frozenset({Role.MATCH}),
    readers=frozenset({Role.AUDITOR}),
    config={**_APPEND_TIME, "cleanup.policy": "delete", "retention.ms": _FIVE_YEARS},
)
# Of answers: how much is matched is nothing that the answering process may ask.
ANSWER_DISCLOSURES = replace(
    DISCLOSURES, name="answer-disclosures", writers=frozenset({Role.ANSWER})
)
QUARANTINE = Topic(
    name="quarantine",
    key="topic, partition and offset",
    bus=Bus.PARTNER,
    writers=frozenset({Role.MATCH, Role.ANSWER}),
    readers=frozenset({Role.MATCH, Role.AUDITOR}),
    config={**_COMPACT_DELETE, "retention.ms": str(90 * DAY_MS), "retention.bytes": "268435456"},
)

TOPICS = (
    TOUCHES,
    INQUIRIES,
    ANSWERS,
    OPERATIONS,
    CONFLICTS,
    CONFLICT_NOTES,
    PARTNER_INQUIRIES,
    PARTNER_ANSWERS,
    PUBLICATIONS,
    WATCHES,
    ALERTS,
    SENT,
    DECONFLICTIONS,
    MEETINGS,
    DISCLOSURES,
    ANSWER_DISCLOSURES,
    QUARANTINE,
)

# Kafka headers of a message on `touches`: who sent it, and the proof. A tombstone has no value to
# carry its revision and the agency's signature, so those stand in headers too.
HEADER_SENDER = "sender"
HEADER_MAC = "mac"
HEADER_REVISION = "revision"
HEADER_PROOF = "proof"
