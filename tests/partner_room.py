"""A partner's room for tests: its vault, an agency that seals touches, an exchange in one line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consumers.inbox import Inbox, Received
from consumers.placing import add_watches
from consumers.registrations import token_secrets
from consumers.signers import TrustedSigner, trust, verify_keys
from consumers.vault import REGISTRATIONS, Vault
from consumers.vault_keys import generate_key, load_key
from consumers.watches import Watch
from schemas import codec
from schemas.messages import (
    Alert,
    AlertStatus,
    SubjectTouch,
    TouchHeader,
    WatchRegistration,
    alert_id,
)
from schemas.packing import MATCH, pack
from schemas.parts import ContactCard, Identifier, PersonName, Subject, TouchCommon
from schemas.rule import satisfies
from schemas.vocabulary import COARSE_KIND, IdentifierKind, SubjectRole, TouchKind
from silenthit.blinding.prf import EpochSecrets, LocalKey
from silenthit.blinding.retractions import retraction_proof
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.bus.clients import Message
from silenthit.call_tree.protocol import Protocol
from silenthit.identity.match_keys import match_keys

PARTNER = "fbi-ct"
ORI = "CT0006400"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)


def john(**more: Any) -> Subject:
    return Subject(
        role=SubjectRole.SUSPECT,
        names=(PersonName(surname="Quillfeather", given="John"),),
        birth_dates=("1980-01-02",),
        identifiers=(
            Identifier(kind=IdentifierKind.PHONE, value="203-555-0142"),
            Identifier(kind=IdentifierKind.SSN, value="219-09-9999"),
        ),
        **more,
    )


def mary() -> Subject:
    return Subject(
        role=SubjectRole.WITNESS,
        names=(PersonName(surname="Oxenbrook", given="Mary"),),
        birth_dates=("1991-07-30",),
    )


def watch_on(*subjects: Subject, **more: Any) -> Watch:
    fields = {
        "label": "Blue Heron 1",
        "legal_basis": "affidavit of SA Reyes",
        "stated_by": "SA Reyes",
        "case_number": "50A-NH-1",
        "subjects": subjects or (john(),),
        "expires_at": NOW + timedelta(days=90),
    }
    return Watch.model_validate({**fields, **more})


@dataclass
class Room:
    """One partner and one agency."""

    vault: Vault
    prf: LocalKey
    agency: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    channels: tuple[str, ...] = ("desk",)
    protocol: Protocol | None = None

    @classmethod
    def make(cls, folder: Path, where: Path | str | None = None) -> Room:
        """With a vault in the folder, or at this URL of a PostgreSQL."""
        generate_key(folder / "vault.key")
        key = load_key(folder / "vault.key")
        vault = Vault.open(where or folder / "vault.sqlite", key, create=True)
        room = cls(vault, LocalKey([EpochSecrets.generate(1)]))
        room.trust_agency()
        return room

    def signer(self) -> TrustedSigner:
        key = self.agency.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return TrustedSigner(key_id=f"{ORI}#1", name="Hartford PD", public_key=key.hex())

    def trust_agency(self) -> None:
        with self.vault.write() as into:
            trust(into, self.signer())

    def add(self, *watches: Watch) -> list[bytes]:
        added = watches or (watch_on(),)
        return add_watches(self.vault, added, partner=PARTNER, epochs=(1,), prf=self.prf, now=NOW)

    def registrations(self) -> list[WatchRegistration]:
        with self.vault.read() as rows:
            found = [row["private"] for row in rows.find(REGISTRATIONS) if row["private"]]
        return [codec.decode(each, WatchRegistration) for each in found]

    def secrets(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with self.vault.read() as rows:
            for row in rows.find(REGISTRATIONS):
                found |= token_secrets(row["private_secrets"])
        return found

    def touch(
        self,
        *subjects: Subject,
        revision: int = 1,
        record: str = "H-1",
        case: str = "",
        at: datetime = NOW,
        **common_fields: bool,
    ) -> SubjectTouch:
        present = subjects or (john(), mary())
        header = TouchHeader(
            record_id=record_id(record),
            revision=revision,
            sender=f"{ORI}#1",
            epoch=1,
            expiry_month="2028-01",
            kind=COARSE_KIND[TouchKind.TRAFFIC_STOP],
        )
        common = TouchCommon(
            record_number=record,
            kind=TouchKind.TRAFFIC_STOP,
            occurred_at=at,
            place="12 Tanglewood Ave",
            narrative="Stopped for a broken tail light; Quillfeather was calm.",
            **common_fields,
        )
        card = ContactCard(ori=ORI, agency="Hartford PD", phone="860-555-0100", case_number=case)
        everyone = frozenset(range(len(present)))
        parts = [Part(card, everyone), Part(common, everyone)]
        parts += [Part(subject, everyone) for subject in present]
        tokens = [self.prf.tokens(1, match_keys(subject)) for subject in present]
        return seal(header, tokens, parts, Signer(f"{ORI}#1", self.agency))

    def alert(self, touch: SubjectTouch, registration: WatchRegistration, **changed: Any) -> Alert:
        """What the exchange makes of a candidate."""
        header = codec.decode(touch.header, TouchHeader)
        matches = satisfies(touch.tokens, registration.tokens)
        return Alert.model_validate(
            {
                "alert_id": alert_id(header.record_id, registration.registration_id),
                "registration_id": registration.registration_id,
                "record_id": header.record_id,
                "revision": header.revision,
                "status": AlertStatus.ACTIVE,
                "earlier": False,
                "appended_at": NOW_MS,
                "header": touch.header,
                "matches": pack(list(matches), MATCH),
                "locks": touch.locks,
                "grants": touch.grants,
                "parts": touch.parts,
                **changed,
            }
        )

    def notice(
        self,
        registration: WatchRegistration,
        status: AlertStatus,
        *,
        revision: int = 1,
        record: str = "H-1",
    ) -> Alert:
        return Alert(
            alert_id=alert_id(record_id(record), registration.registration_id),
            registration_id=registration.registration_id,
            record_id=record_id(record),
            revision=revision,
            status=status,
            earlier=False,
            appended_at=NOW_MS,
            proof=retraction_proof(Signer(f"{ORI}#1", self.agency), record_id(record), revision),
        )

    def receive(self, alert: Alert | bytes, *, now: int = NOW_MS) -> Received | None:
        return self.receive_message(as_message(alert), now=now)

    def receive_message(self, message: Message, *, now: int = NOW_MS) -> Received | None:
        with self.vault.write() as into:
            inbox = Inbox(self.channels, self.protocol, verify_keys(into))
            return inbox.receive(into, message, now)


def record_id(record: str) -> bytes:
    return sha256(record.encode()).digest()[:16]


def as_message(alert: Alert | bytes, *, offset: int = 0) -> Message:
    key = alert.alert_id if isinstance(alert, Alert) else b"k" * 16
    value = codec.encode(alert) if isinstance(alert, Alert) else alert
    return Message(f"alerts.{PARTNER}", 0, offset, NOW_MS, key, value)
