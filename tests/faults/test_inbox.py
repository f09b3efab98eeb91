"""What counts as said again, told twice, or told of nothing that anybody sent."""

from __future__ import annotations

from itertools import count

from schemas import codec
from schemas.messages import Alert, AlertStatus, alert_id
from schemas.topics import ALERTS, WATCHES
from silenthit.bus.clients import Message
from tests.exchange_room import identified
from tests.faults.traffic import Findings, Inbox

OFFSETS = count()
OWN = {(WATCHES.of("fbi"), identified("watch"))}


def told(
    record: str,
    watch: str,
    revision: int = 1,
    told_as: bytes | None = None,
    status: AlertStatus = AlertStatus.ACTIVE,
) -> Message:
    found = told_as or alert_id(identified(record), identified(watch))
    alert = Alert(
        alert_id=found,
        registration_id=identified(watch),
        record_id=identified(record),
        revision=revision,
        status=status,
        appended_at=1,
        earlier=False,
    )
    place = ALERTS.of("fbi"), 0, next(OFFSETS), 1
    return Message(*place, found, codec.encode(alert))


def found(messages: list[Message], since: int = 0) -> Findings:
    inbox, findings = Inbox("fbi"), Findings()
    earlier = {(WATCHES.of("fbi"), identified("earlier watch"))}
    inbox.judge(Findings(), [(each, False) for each in messages[:since]], earlier, set())
    inbox.judge(findings, [(each, True) for each in messages[since:]], OWN, set())
    return findings


def test_an_alert_that_is_repeated_is_held_once() -> None:
    findings = found([told("r", "watch"), told("r", "watch"), told("r", "watch", revision=2)])
    assert findings.faults == []
    assert findings.counts["said again"] == 1


def test_a_pair_under_two_alert_ids_is_held_twice() -> None:
    findings = found([told("r", "watch"), told("r", "watch", told_as=identified("other"))])
    assert len(findings.duplicated) == 1


def test_what_was_told_before_may_be_said_again_and_nothing_new_of_it() -> None:
    before = told("r", "earlier watch")
    assert found([before, told("r", "earlier watch")], since=1).faults == []
    assert len(found([before, told("r", "earlier watch", revision=2)], since=1).unexplained) == 1


def test_what_might_have_been_told_before_may_be_told_late() -> None:
    inbox, findings = Inbox("fbi"), Findings()
    inbox.optional.add((identified("r"), identified("earlier watch"), 1))
    for revision in (1, 2):
        inbox.judge(findings, [(told("r", "earlier watch", revision), True)], OWN, set())
    assert len(findings.unexplained) == 1


def test_a_withdrawal_of_a_revision_that_stands_is_nothing_new() -> None:
    before = told("r", "earlier watch", 2)
    same = told("r", "earlier watch", 2, status=AlertStatus.WITHDRAWN)
    assert found([before, same], since=1).faults == []
    next_one = told("r", "earlier watch", 3, status=AlertStatus.WITHDRAWN)
    assert len(found([before, next_one], since=1).unexplained) == 1
