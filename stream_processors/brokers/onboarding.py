"""Bring an organisation or a process to the brokers, and end what it may do there.

Its proof (certificate or password), its topics, its rights and its quotas, all from the table of
topics; what the organisation needs of it is one hand-over file.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, not in its __all__
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from schemas.topics import WATCHES, Bus, Role
from silenthit.bus.admin import BROKERS_CHOICE, create_topics
from silenthit.bus.clients import KafkaSettings, Publisher, TopicReader
from silenthit.bus.connection import failure
from silenthit.bus.handover import HandOver
from silenthit.bus.rights import (
    Principal,
    Right,
    buses_of,
    grant,
    granted,
    own_topics,
    revoke,
    rights_of,
)
from silenthit.certificates import Authority, csr_public_key, new_key
from silenthit.errors import InputError
from stream_processors.brokers.quotas import quotas_of, set_quotas, user
from stream_processors.settings import BusSettings

_MECHANISM = "SCRAM-SHA-512"
_ITERATIONS = 8192
_ASK_S = 10.0
TOUCH_BYTES = 5_000  # of most touches; larger ones count for several
TOUCHES_PER_S = 50  # of an agency of which nothing else was said: four million a day
# Bytes a second and broker.
QUOTAS: Mapping[Role, Mapping[str, float]] = {
    Role.AGENCY: {
        "producer_byte_rate": TOUCHES_PER_S * TOUCH_BYTES,
        "consumer_byte_rate": 1e6,
        "request_percentage": 20,
    },
    Role.PARTNER: {"producer_byte_rate": 5e6, "consumer_byte_rate": 20e6, "request_percentage": 50},
}
Proof = dict[str, str]  # librdkafka properties


@dataclass(frozen=True, kw_only=True, slots=True)
class Brokers:
    """Both buses as their operator reaches them, and the authority their certificates come from."""

    buses: BusSettings
    authority: Authority

    def of(self, bus: Bus) -> KafkaSettings:
        """Settings of one bus."""
        return self.buses.agency if bus is Bus.AGENCY else self.buses.partner

    @property
    def ca(self) -> str:
        """Certificate of the authority, PEM."""
        return self.authority.certificate.public_bytes(Encoding.PEM).decode()

    def admit(
        self,
        principal: Principal,
        proof: Proof,
        replication: int = BROKERS_CHOICE,
        touches_per_s: float | None = None,
    ) -> HandOver:
        """Create a principal's topics and grant its rights; return the file to hand over.

        `touches_per_s` is what an agency may send at most; None leaves the quota that it has.
        Raises RefusedError when this is not the operator, RetryError when a broker is away.
        """
        for bus in Bus:
            create_topics(self.of(bus), own_topics(principal, bus), replication=replication)
            grant(self.of(bus), rights_of(principal, bus))
            quotas = _quotas(principal.role, touches_per_s)
            if touches_per_s is None:
                quotas |= quotas_of(self.of(bus), user(principal)) if quotas else {}
            if quotas:
                set_quotas(self.of(bus), user(principal), quotas)
        reached = {
            bus: KafkaSettings(bootstrap_servers=self.of(bus).bootstrap_servers, security=proof)
            for bus in buses_of(principal.role)
        }
        return HandOver(name=principal.name, role=principal.role, bus=reached)

    def certified(self, principal: Principal, valid: timedelta, csr: Path | None = None) -> Proof:
        """Issue a certificate. With a signing request the key stays with who made it."""
        key = new_key()
        public = csr_public_key(csr) if csr else key.public_key()
        certificate = self.authority.client(principal.common_name, public, datetime.now(UTC), valid)
        proof = {
            "security.protocol": "ssl",
            "ssl.ca.pem": self.ca,
            "ssl.certificate.pem": certificate.public_bytes(Encoding.PEM).decode(),
        }
        if csr is None:
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            proof["ssl.key.pem"] = pem.decode()
        return proof

    def with_password(self, principal: Principal) -> Proof:
        """Set a new random password at both buses (SASL/SCRAM over TLS)."""
        password = secrets.token_urlsafe(32)
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        user = principal.common_name
        self._scram(UserScramCredentialUpsertion(user, info, password.encode()))
        return {
            "security.protocol": "sasl_ssl",
            "sasl.mechanism": _MECHANISM,
            "sasl.username": user,
            "sasl.password": password,
            "ssl.ca.pem": self.ca,
        }

    def dismiss(self, principal: Principal) -> None:
        """Take every right, quota and password; a partner's watches leave the exchange.

        What a certificate still proves is worth nothing then. Its topics stay, for the record.
        """
        for bus in Bus:
            theirs = {right for right in granted(self.of(bus)) if right.user == principal.user}
            revoke(self.of(bus), theirs)
            if quotas := QUOTAS.get(principal.role):
                set_quotas(self.of(bus), user(principal), dict.fromkeys(quotas))
        self._scram(
            UserScramCredentialDeletion(principal.common_name, ScramMechanism.SCRAM_SHA_512)
        )
        if principal.role is Role.PARTNER:
            self._forget_watches(principal)

    def _forget_watches(self, principal: Principal) -> None:
        topic = WATCHES.of(principal.name)
        partners = self.of(Bus.PARTNER)
        with TopicReader(partners, [topic], client_id="silenthit-offboard") as reader:
            live: dict[bytes, bool] = {}
            for messages in reader.read_to_end():
                live |= {m.key: m.value is not None for m in messages if m.key is not None}
        publisher = Publisher(partners, client_id="silenthit-offboard")
        gone = [publisher.send(topic, key, None) for key, there in live.items() if there]
        publisher.close()
        for each in gone:  # what was not confirmed raises: a watch must not stay behind in silence
            each.result()

    def _scram(self, change: UserScramCredentialUpsertion | UserScramCredentialDeletion) -> None:
        for settings in {s.bootstrap_servers: s for s in map(self.of, Bus)}.values():
            admin = AdminClient(settings.properties("silenthit-onboarding"))
            for future in admin.alter_user_scram_credentials([change]).values():
                try:
                    future.result(_ASK_S)
                except KafkaException as error:
                    if error.args[0].name() != "RESOURCE_NOT_FOUND":
                        raise failure(error.args[0], "set a password") from None


def differences(
    brokers: Brokers, principals: frozenset[Principal]
) -> dict[Bus, tuple[frozenset[Right], frozenset[Right]]]:
    """Compare the live lists with the table: for each bus what is missing, and what is too much."""
    found = {}
    shared = brokers.of(Bus.AGENCY).bootstrap_servers == brokers.of(Bus.PARTNER).bootstrap_servers
    for bus in Bus:
        buses = tuple(Bus) if shared else (bus,)
        wanted = frozenset(r for p in principals for each in buses for r in rights_of(p, each))
        live = granted(brokers.of(bus))
        found[bus] = (wanted - live, live - wanted)
    return found


def _quotas(role: Role, touches_per_s: float | None) -> dict[str, float]:
    quotas = dict(QUOTAS.get(role, {}))
    if role is Role.AGENCY and touches_per_s is not None:
        quotas["producer_byte_rate"] = touches_per_s * TOUCH_BYTES
    return quotas


def principal_of(role: Role, organisation: str) -> Principal:
    """Name who is meant: an agency by its ORI, in either case. Raises InputError."""
    if role is Role.AGENCY and not organisation.isalnum():
        raise InputError("expected an agency's ORI of letters and digits; give the agency's own")
    return Principal(role, organisation.lower())
