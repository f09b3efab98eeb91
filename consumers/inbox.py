"""The inbox: what becomes of each message on `alerts.<partner>`, once, whatever the order.

`receive` is a function of the vault and one message; its caller commits what it wrote together with
the offset. The state of an alert after any set of messages is that of the highest of them:
revision first, then retracted over active over withdrawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consumers import canaries, following
from consumers.cases import cases_in
from consumers.groups import find_group, group_of, incident
from consumers.news import Recipients, tell_news
from consumers.opened_alerts import OpenedAlert
from consumers.opening import CannotOpenError, Reason, decoded, opened_alert, own_registration
from consumers.retracting import proven_by, taken_back, with_retraction
from consumers.times import from_ms
from consumers.unopened import drop_unopened, keep_unopened
from consumers.vault import ALERTS, REGISTRATIONS, WATCHES, Rows, Values
from consumers.watches import Watch
from schemas.messages import Alert, AlertStatus
from silenthit.bus.clients import Message
from silenthit.call_tree.protocol import Protocol
from silenthit.identity.model import Model

_RANK = {AlertStatus.WITHDRAWN: 0, AlertStatus.ACTIVE: 1, AlertStatus.RETRACTED: 2}


class Outcome(StrEnum):
    """What a message did."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"  # seen before, or overtaken by a later revision
    CLOSED = "closed"  # withdrawn or retracted
    UNOPENED = "unopened"
    CANARY = "canary"
    MEETING = "meeting"  # somebody else watches the same, and both agreed to be told
    LET_GO = "let_go"  # by association, and too many carry it: not opened, not kept


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one message."""

    outcome: Outcome
    alert_id: bytes
    reason: Reason | None = None
    paged: bool = False


@dataclass(frozen=True, slots=True)
class Inbox:
    """What receiving needs beside the vault's rows."""

    default_channels: tuple[str, ...] = ()
    protocol: Protocol | None = None
    verify_keys: Mapping[str, Ed25519PublicKey] = field(default_factory=dict, repr=False)
    model: Model | None = None  # of triage; none: the shipped one

    def receive(self, into: Rows, message: Message, now: int) -> Received | None:
        """Write what a message says; None for a tombstone of the broker, which says nothing.

        `now` is the partner's clock in ms. Never raises for what a message holds: what cannot be
        opened is kept with its reason.
        """
        if message.value is None:
            return None
        alert: Alert | None = None
        try:
            alert = decoded(message)
            return self._take(into, alert, now)
        except CannotOpenError as error:
            kept = keep_unopened(into, message, alert, error.reason, now)
            return Received(Outcome.UNOPENED, kept, error.reason)

    def _take(self, into: Rows, alert: Alert, now: int) -> Received:
        known = into.get(ALERTS, alert.alert_id)
        if known is not None and _overtaken(known, alert):
            drop_unopened(into, alert.alert_id, alert.revision)
            return Received(Outcome.UNCHANGED, alert.alert_id)
        if alert.status is not AlertStatus.ACTIVE:
            return self._close(into, alert, known, now)
        row, watch = own_registration(into, alert)
        if _let_go(into, row["watch_id"], watch, alert, from_ms(now)):
            return Received(Outcome.LET_GO, alert.alert_id)
        opened = opened_alert(alert, row, watch, self.verify_keys, self.model)
        if canaries.is_canary(watch):
            return self._canary(into, alert, opened, now)
        columns = _columns(alert, row["watch_id"], opened, known, now)
        columns |= _grouped(into, alert.alert_id, columns, opened, known)
        columns["to_follow"] = following.wants_following(watch, opened)
        into.put(ALERTS, alert.alert_id, columns)
        if known is not None:
            following.hold_to(into, row["watch_id"], alert.alert_id, opened, from_ms(now))
        drop_unopened(into, alert.alert_id, alert.revision)
        anew = known is not None and known["status"] != AlertStatus.ACTIVE
        paged = tell_news(into, columns["group_id"], self._recipients, now, anew=anew)
        outcome = Outcome.NEW if known is None else Outcome.UPDATED
        return Received(outcome, alert.alert_id, paged=paged)

    @property
    def _recipients(self) -> Recipients:
        return Recipients(self.default_channels, self.protocol)

    def _canary(self, into: Rows, alert: Alert, opened: OpenedAlert, now: int) -> Received:
        """Note that it came through; nobody is paged, and a case about its absence ends."""
        ori = opened.sender.partition("#")[0]
        if opened.common is not None and opened.common.canary:
            published = from_ms(alert.appended_at)
            if canaries.arrived(into, ori, published, from_ms(now)):
                cases = cases_in(into, self.protocol, from_ms(now))
                cases.end(canaries.canary_id(ori), "the canary came through again")
        return Received(Outcome.CANARY, alert.alert_id)

    def _close(self, into: Rows, alert: Alert, known: Values | None, now: int) -> Received:
        """Mark withdrawn or retracted, also before the alert came; retracted loses its text."""
        if known is None and _of_canary(into, alert.registration_id):
            return Received(Outcome.CANARY, alert.alert_id)
        columns, owner = _closed(alert, known, now), ""
        if alert.status is AlertStatus.RETRACTED:
            owner = proven_by(alert, known, self.verify_keys)
            taken = with_retraction(known, owner, alert.revision)
            if known is not None and known["private_retractions"] == taken:
                return Received(Outcome.UNCHANGED, alert.alert_id)
            columns |= {"private": None, "private_retractions": taken}
        into.put(ALERTS, alert.alert_id, columns)
        if known is not None and known["watch_id"] is not None:
            gone, at = alert.status is AlertStatus.RETRACTED, from_ms(now)
            following.hold_to(into, known["watch_id"], alert.alert_id, None, at, purge=gone)
        drop_unopened(into, alert.alert_id, alert.revision, owner)
        group = group_of(known) if known is not None else alert.alert_id
        why = f"{alert.status.value} by the agency"
        tell_news(into, group, self._recipients, now, gone=why)
        return Received(Outcome.CLOSED, alert.alert_id)


def _let_go(into: Rows, watch_id: bytes, watch: Watch, alert: Alert, now: datetime) -> bool:
    """Whether a followed watch was let go, or is now, because too many carry what it is for."""
    if watch.association is None:
        return False
    if not watch.association.let_go:
        why = following.too_widely_carried(watch, alert)
        if not why:
            return False
        following.let_go_of(into, watch_id, why, now)
    return True


def _columns(
    alert: Alert, watch_id: bytes, opened: OpenedAlert, known: Values | None, now: int
) -> Values:
    first = {"received_at": now, "earlier": alert.earlier} if known is None else {}
    return first | {
        "registration_id": alert.registration_id,
        "record_id": alert.record_id,
        "watch_id": watch_id,
        "revision": alert.revision,
        "status": alert.status.value,
        "decision": opened.decision.value,
        "probability": opened.verdict.probability if opened.verdict else None,
        "appended_at": alert.appended_at,
        "updated_at": now,
        "private": opened.model_dump_json().encode(),
        "private_retractions": None,
    }


def _grouped(
    into: Rows, alert_id: bytes, columns: Values, opened: OpenedAlert, known: Values | None
) -> Values:
    """Return the columns of its group, which an alert that stands keeps."""
    found = {**columns, "incident": incident(into, columns["watch_id"], opened)}
    stood = known is not None and known["status"] == AlertStatus.ACTIVE
    group = group_of(known) if known and stood else find_group(into, alert_id, found, opened)
    return {"incident": found["incident"], "group_id": group}


def _overtaken(known: Values, alert: Alert) -> bool:
    """Whether what is known of an alert outranks, or equals, what comes now."""
    taken = taken_back(known, alert)
    if taken is not None:
        return taken
    return _rank(known["revision"], known["status"]) >= _rank(alert.revision, alert.status)


def _rank(revision: int, status: str) -> tuple[int, int]:
    return revision, _RANK[AlertStatus(status)]


def _of_canary(into: Rows, registration_id: bytes) -> bool:
    low = registration_id + bytes(4)
    ours = (REGISTRATIONS.c.id >= low, REGISTRATIONS.c.id <= registration_id + b"\xff" * 4)
    for row in into.find(REGISTRATIONS, *ours, columns=("watch_id",)):
        watch = into.get(WATCHES, row["watch_id"])
        return watch is not None and canaries.is_canary(Watch.model_validate_json(watch["private"]))
    return False


def _closed(alert: Alert, known: Values | None, now: int) -> Values:
    columns: Values = {
        "revision": max(alert.revision, known["revision"]) if known else alert.revision,
        "status": alert.status.value,
        "updated_at": now,
    }
    if known is None:
        columns |= {
            "registration_id": alert.registration_id,
            "record_id": alert.record_id,
            "appended_at": alert.appended_at,
            "received_at": now,
            "earlier": alert.earlier,
            "group_id": alert.alert_id,
        }
    return columns
