"""Opening: what an alert says in plaintext, or the reason for which it cannot be opened.

The exchange is not believed: the matches have to be one's own tokens and satisfy the rule, the id
has to be that of record and registration, the seal the agency's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consumers.opened_alerts import OpenedAlert
from consumers.registrations import token_secrets
from consumers.triage import Verdict, triage, triage_place, weightier
from consumers.vault import REGISTRATIONS, WATCHES, Rows, Values
from consumers.watches import Watch
from schemas.codec import WireError, decode
from schemas.messages import Alert, TouchHeader, WatchRegistration, alert_id, registration_key
from schemas.packing import MATCH, TOKEN, pack, rows
from schemas.parts import Identifier, Subject
from schemas.rule import satisfies
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.opening import Opened, Sealed, open_touch
from silenthit.bus.clients import Message
from silenthit.errors import SealError, UnknownSignerError
from silenthit.identity.model import Model


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
    UNPROVEN_RETRACTION = "unproven_retraction"  # no signature of the agency: nothing is purged
    OWN_ERROR = "own_error"  # a fault of this program: report it


class CannotOpenError(Exception):
    """An alert that is kept unopened, and why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def decoded(message: Message) -> Alert:
    """Read a message. Raises CannotOpenError unless it is an alert under its own key."""
    try:
        alert = decode(message.value or b"", Alert)
    except WireError as error:
        raise CannotOpenError(Reason(error.reason)) from None
    expected = alert_id(alert.record_id, alert.registration_id)
    if alert.alert_id != expected or message.key != expected:
        raise CannotOpenError(Reason.WRONG_KEY)
    return alert


def own_registration(into: Rows, alert: Alert) -> tuple[Values, Watch]:
    """Return an alert's registration and its watch. Raises CannotOpenError for none."""
    try:
        epoch = decode(alert.header, TouchHeader).epoch
    except WireError:
        raise CannotOpenError(Reason.BROKEN_SEAL) from None
    row = into.get(REGISTRATIONS, registration_key(alert.registration_id, epoch))
    watch = into.get(WATCHES, row["watch_id"]) if row else None
    if row is None or watch is None:
        raise CannotOpenError(Reason.UNKNOWN_REGISTRATION)
    known = Watch.model_validate_json(watch["private"])
    let_go = known.association is not None and known.association.let_go
    if row["private_secrets"] is None and not let_go:
        raise CannotOpenError(Reason.WATCH_REMOVED)
    return row, known


def opened_alert(
    alert: Alert,
    row: Values,
    watch: Watch,
    verify_keys: Mapping[str, Ed25519PublicKey],
    model: Model | None = None,
) -> OpenedAlert:
    """Open and triage an alert of one's own registration. Raises CannotOpenError, saying why."""
    registration = decode(row["private"], WatchRegistration)
    pairs = _checked_matches(alert, registration.tokens)
    touch = _open(alert, token_secrets(row["private_secrets"]), verify_keys)
    if (touch.header.record_id, touch.header.revision) != (alert.record_id, alert.revision):
        raise CannotOpenError(Reason.WRONG_HEADER)
    own = [pair for pair in pairs if pair[0] in touch.matched]
    items = touch.common.items if touch.common else ()
    kinds = {MatchKeyKind(int(row["kind"])).name.lower() for row in rows(alert.matches, MATCH)}
    return OpenedAlert(
        label=watch.label,
        sender=touch.header.sender,
        coarse_kind=touch.header.kind,
        card=touch.card,
        common=touch.common,
        subjects=_people(touch),
        matched=tuple(sorted(touch.matched)),
        match_kinds=tuple(sorted(kinds)),
        verdict=_triaged(watch, touch, own, items, model),
        association=watch.association,
    )


def _checked_matches(alert: Alert, own_tokens: bytes) -> list[tuple[int, int]]:
    """Hold the exchange's matches to the match rule with one's own tokens; return the pairs."""
    try:
        claimed = rows(alert.matches, MATCH)
    except ValueError:
        raise CannotOpenError(Reason.FALSE_MATCHES) from None
    seen = {(int(r["touch_subject"]), int(r["kind"]), r["token"].tobytes()) for r in claimed}
    try:
        found = satisfies(pack(sorted(seen), TOKEN), own_tokens) if seen else ()
    except (KeyError, ValueError):  # a kind that is not on the list
        raise CannotOpenError(Reason.FALSE_MATCHES) from None
    counted = {(m.touch_subject, m.watch_subject, m.kind, m.token) for m in found}
    stated = {
        (int(r["touch_subject"]), int(r["watch_subject"]), int(r["kind"]), r["token"].tobytes())
        for r in claimed
    }
    if not stated or not stated <= counted:
        raise CannotOpenError(Reason.FALSE_MATCHES)
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
        raise CannotOpenError(Reason.UNKNOWN_SIGNER) from None
    except SealError:
        raise CannotOpenError(Reason.BROKEN_SEAL) from None


def _people(touch: Opened) -> dict[int, Subject]:
    """The subjects without the one that only stands for an operation's place and time."""
    if touch.common is None or touch.common.area is None:
        return touch.subjects
    return {number: each for number, each in touch.subjects.items() if each != Subject()}


def _triaged(
    watch: Watch,
    touch: Opened,
    pairs: list[tuple[int, int]],
    items: Sequence[Identifier],
    model: Model | None,
) -> Verdict | None:
    """Triage, but no record however odd may stop the stream: it is kept to be tried again."""
    people = [pair for pair in pairs if pair[1] < len(watch.subjects)]
    places = [pair for pair in pairs if pair[1] >= len(watch.subjects)]
    try:
        found = triage(watch.subjects, touch.subjects, people, items, model=model)
        if watch.area is not None and places:
            near = triage_place(watch.area, touch.common, places[0])
            found = weightier(found, near) if people else near
    except Exception:  # noqa: BLE001 its text may quote the record
        raise CannotOpenError(Reason.OWN_ERROR) from None
    return found.by_association() if found and watch.association else found
