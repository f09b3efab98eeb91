"""The inbox: what becomes of each message on `alerts.<partner>`, once, whatever the order.

`receive` is a function of the vault and one message; its caller commits what it wrote together with
the offset. The state of an alert after any set of messages is that of the highest of them:
revision first, then retracted over active over withdrawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consumers.cases import Cases, facts_of
from consumers.opened_alerts import OpenedAlert
from consumers.paging import page_if_worse
from consumers.registrations import token_secrets
from consumers.templates import public_fields
from consumers.triage import Verdict, triage
from consumers.vault import ALERTS, REGISTRATIONS, UNOPENED, WATCHES, Rows, Values
from consumers.watch_list import from_ms
from consumers.watches import Watch
from schemas.codec import WireError, decode
from schemas.messages import (
    Alert,
    AlertStatus,
    TouchHeader,
    WatchRegistration,
    alert_id,
    registration_key,
)
from schemas.packing import MATCH, TOKEN, pack, rows
from schemas.parts import Identifier
from schemas.rule import satisfies
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.opening import Opened, Sealed, open_touch
from silenthit.bus.clients import Message
from silenthit.call_tree.protocol import Protocol
from silenthit.errors import SealError, UnknownSignerError

_RANK = {AlertStatus.WITHDRAWN: 0, AlertStatus.ACTIVE: 1, AlertStatus.RETRACTED: 2}


class Reason(StrEnum):
    """Why an alert could not be opened."""

    UNDECODABLE = "undecodable"
    UNKNOWN_SCHEMA = "unknown_schema"
    WRONG_KEY = "wrong_key"  # its id is not that of its record and registration
    UNKNOWN_REGISTRATION = "unknown_registration"
    WATCH_REMOVED = "watch_removed"  # its token secrets are gone
    FALSE_MATCHES = "false_matches"  # not our tokens, or too few for the match rule
    WRONG_HEADER = "wrong_header"  # the sealed touch is another record's or revision's
    UNKNOWN_SIGNER = "unknown_signer"
    BROKEN_SEAL = "broken_seal"
    OWN_ERROR = "own_error"  # a fault of this program: report it


class Outcome(StrEnum):
    """What a message did."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"  # seen before, or overtaken by a later revision
    CLOSED = "closed"  # withdrawn or retracted
    UNOPENED = "unopened"


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one message."""

    outcome: Outcome
    alert_id: bytes
    reason: Reason | None = None
    paged: bool = False


class _CannotOpenError(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Inbox:
    """What receiving needs beside the vault's rows."""

    default_channels: tuple[str, ...] = ()
    protocol: Protocol | None = None
    verify_keys: Mapping[str, Ed25519PublicKey] = field(default_factory=dict, repr=False)

    def receive(self, into: Rows, message: Message, now: int) -> Received | None:
        """Write what a message says; None for a tombstone of the broker, which says nothing.

        `now` is the partner's clock in ms. Never raises for what a message holds: what cannot be
        opened is kept with its reason.
        """
        if message.value is None:
            return None
        alert: Alert | None = None
        try:
            alert = _decoded(message)
            return self._take(into, alert, now)
        except _CannotOpenError as error:
            return _keep_unopened(into, message, alert, error.reason, now)

    def _take(self, into: Rows, alert: Alert, now: int) -> Received:
        known = into.get(ALERTS, alert.alert_id)
        if known is not None and _rank(known["revision"], known["status"]) >= _rank(
            alert.revision, alert.status
        ):
            _drop_unopened(into, alert.alert_id, known["revision"])
            return Received(Outcome.UNCHANGED, alert.alert_id)
        if alert.status is not AlertStatus.ACTIVE:
            return _close(into, alert, known, now, self.protocol)
        row, watch = _own_registration(into, alert)
        opened = self._opened(alert, row, watch)
        columns = _columns(alert, row["watch_id"], opened, known, now)
        into.put(ALERTS, alert.alert_id, columns)
        _drop_unopened(into, alert.alert_id, alert.revision)
        anew = known is not None and known["status"] != AlertStatus.ACTIVE
        row = {**columns, "id": alert.alert_id}
        paged = self._page(into, row, opened, watch, now, anew=anew)
        outcome = Outcome.NEW if known is None else Outcome.UPDATED
        return Received(outcome, alert.alert_id, paged=paged)

    def _page(
        self,
        into: Rows,
        columns: Values,
        opened: OpenedAlert,
        watch: Watch,
        now: int,
        *,
        anew: bool,
    ) -> bool:
        fields = public_fields(columns["id"], opened)
        channels = watch.deliver_to or self.default_channels
        paged = page_if_worse(into, columns, fields, channels, now, anew=anew)
        if paged:
            moment = from_ms(now)
            zone = self.protocol.timezone if self.protocol else "UTC"
            facts = facts_of(opened, watch.case_number, moment, zone)
            Cases(into, self.protocol, moment).hear(columns["id"], facts)
        return paged

    def _opened(self, alert: Alert, row: Values, watch: Watch) -> OpenedAlert:
        registration = decode(row["private"], WatchRegistration)
        pairs = _checked_matches(alert, registration.tokens)
        touch = _open(alert, token_secrets(row["private_secrets"]), self.verify_keys)
        if (touch.header.record_id, touch.header.revision) != (alert.record_id, alert.revision):
            raise _CannotOpenError(Reason.WRONG_HEADER)
        own = [pair for pair in pairs if pair[0] in touch.matched]
        items = touch.common.items if touch.common else ()
        kinds = {MatchKeyKind(int(row["kind"])).name.lower() for row in rows(alert.matches, MATCH)}
        return OpenedAlert(
            label=watch.label,
            sender=touch.header.sender,
            coarse_kind=touch.header.kind,
            card=touch.card,
            common=touch.common,
            subjects=touch.subjects,
            matched=tuple(sorted(touch.matched)),
            match_kinds=tuple(sorted(kinds)),
            verdict=_triaged(watch, touch, own, items),
        )


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
    }


def _rank(revision: int, status: str) -> tuple[int, int]:
    return revision, _RANK[AlertStatus(status)]


def _decoded(message: Message) -> Alert:
    try:
        alert = decode(message.value or b"", Alert)
    except WireError as error:
        raise _CannotOpenError(Reason(error.reason)) from None
    expected = alert_id(alert.record_id, alert.registration_id)
    if alert.alert_id != expected or message.key != expected:
        raise _CannotOpenError(Reason.WRONG_KEY)
    return alert


def _own_registration(into: Rows, alert: Alert) -> tuple[Values, Watch]:
    try:
        epoch = decode(alert.header, TouchHeader).epoch
    except WireError:
        raise _CannotOpenError(Reason.BROKEN_SEAL) from None
    row = into.get(REGISTRATIONS, registration_key(alert.registration_id, epoch))
    watch = into.get(WATCHES, row["watch_id"]) if row else None
    if row is None or watch is None:
        raise _CannotOpenError(Reason.UNKNOWN_REGISTRATION)
    if row["private_secrets"] is None:
        raise _CannotOpenError(Reason.WATCH_REMOVED)
    return row, Watch.model_validate_json(watch["private"])


def _checked_matches(alert: Alert, own_tokens: bytes) -> list[tuple[int, int]]:
    """Hold the exchange's matches to the match rule with one's own tokens; return the pairs."""
    try:
        claimed = rows(alert.matches, MATCH)
    except ValueError:
        raise _CannotOpenError(Reason.FALSE_MATCHES) from None
    seen = {(int(r["touch_subject"]), int(r["kind"]), r["token"].tobytes()) for r in claimed}
    try:
        found = satisfies(pack(sorted(seen), TOKEN), own_tokens) if seen else ()
    except (KeyError, ValueError):  # a kind that is not on the list
        raise _CannotOpenError(Reason.FALSE_MATCHES) from None
    counted = {(m.touch_subject, m.watch_subject, m.kind, m.token) for m in found}
    stated = {
        (int(r["touch_subject"]), int(r["watch_subject"]), int(r["kind"]), r["token"].tobytes())
        for r in claimed
    }
    if not stated or not stated <= counted:
        raise _CannotOpenError(Reason.FALSE_MATCHES)
    return sorted({(theirs, ours) for theirs, ours, _, _ in stated})


def _open(
    alert: Alert, secrets: Mapping[bytes, bytes], verify_keys: Mapping[str, Ed25519PublicKey]
) -> Opened:
    sealed = Sealed(
        header=alert.header,
        matches=alert.matches,
        locks=alert.locks,
        grants=alert.grants,
        parts=alert.parts,
    )
    try:
        return open_touch(sealed, secrets, verify_keys)
    except UnknownSignerError:
        raise _CannotOpenError(Reason.UNKNOWN_SIGNER) from None
    except SealError:
        raise _CannotOpenError(Reason.BROKEN_SEAL) from None


def _triaged(
    watch: Watch, touch: Opened, pairs: list[tuple[int, int]], items: Sequence[Identifier]
) -> Verdict | None:
    """Triage, but no record however odd may stop the stream: it is kept to be tried again."""
    try:
        return triage(watch.subjects, touch.subjects, pairs, items)
    except Exception:  # noqa: BLE001 its text may quote the record
        raise _CannotOpenError(Reason.OWN_ERROR) from None


def _close(
    into: Rows, alert: Alert, known: Values | None, now: int, protocol: Protocol | None
) -> Received:
    """Mark withdrawn or retracted, also before the alert itself came; retracted loses its text."""
    columns: Values = {
        "revision": alert.revision,
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
        }
    if alert.status is AlertStatus.RETRACTED:
        columns["private"] = None
    into.put(ALERTS, alert.alert_id, columns)
    _drop_unopened(into, alert.alert_id, alert.revision)
    cases = Cases(into, protocol, from_ms(now))
    cases.end(alert.alert_id, f"{alert.status.value} by the agency")
    return Received(Outcome.CLOSED, alert.alert_id)


def _keep_unopened(
    into: Rows, message: Message, alert: Alert | None, reason: Reason, now: int
) -> Received:
    value = message.value or b""
    row = sha256(len(message.key or b"").to_bytes(4, "big") + (message.key or b"") + value)
    columns = {
        "alert_id": alert.alert_id if alert else None,
        "revision": alert.revision if alert else None,
        "reason": reason.value,
        "appended_at": alert.appended_at if alert else message.timestamp_ms,
        "private_key": message.key,
        "private": value,
    }
    known = into.get(UNOPENED, row.digest())
    first = {"received_at": now} if known is None else {}
    into.put(UNOPENED, row.digest(), {**columns, **first})
    return Received(Outcome.UNOPENED, alert.alert_id if alert else row.digest()[:16], reason)


def _drop_unopened(into: Rows, alert_id: bytes, revision: int) -> None:
    """Forget unopened messages of this alert that its state has overtaken."""
    overtaken = (UNOPENED.c.alert_id == alert_id, UNOPENED.c.revision <= revision)
    for row in into.find(UNOPENED, *overtaken, columns=("reason",)):
        into.drop(UNOPENED, row["id"])
