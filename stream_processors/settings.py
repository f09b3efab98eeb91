"""What the exchange is configured with, and which organisations are enrolled."""

from __future__ import annotations

import json
import os
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from schemas.topics import Bus, Role
from silenthit.blinding.deconfliction_key import DeconflictionKey, load_private_key
from silenthit.blinding.disclosure_key import DisclosureKey, PublicKey
from silenthit.blinding.epoch_feed import EpochFeed
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.bus.admin import is_embedded
from silenthit.bus.clients import KafkaSettings
from silenthit.bus.handover import HandOver
from silenthit.bus.sender import SenderKey
from silenthit.errors import InputError, SettingsError
from stream_processors.answer_quota import LookUpSettings
from stream_processors.conflict_settings import ConflictSettings
from stream_processors.deconfliction_settings import DeconflictionSettings
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.watch_bounds import WatchBounds
from stream_processors.watch_keys import WatchKeys

log = structlog.get_logger(__name__)

EMBEDDED_REDIS = "embedded"
SECRET_BYTES = 32


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BusSettings(_Frozen):
    """The two clusters; one may serve as both outside production."""

    agency: KafkaSettings
    partner: KafkaSettings

    def of(self, bus: Bus) -> KafkaSettings:
        """Return the settings of one of the two."""
        return self.agency if bus is Bus.AGENCY else self.partner


class EpochSource(_Frozen):
    """One key holder's signed epoch document, and the public key (hex) that signs it."""

    document: Path
    signer: str = Field(pattern=r"^[0-9a-f]{64}$")


class ExchangeSettings(_Frozen):
    """`exchange.toml`."""

    name: str = "exchange"
    bus: BusSettings
    # redis:// or redis+cluster:// URL, which may hold a password, or one in the process
    redis: str = Field(default=EMBEDDED_REDIS, repr=False)
    epochs: dict[int, EpochState] = {1: EpochState.CURRENT}
    key_holders: tuple[EpochSource, ...] = ()  # in place of `epochs`, in the agreed order
    organisations: Path = Path("organisations.json")
    data: Path = Path("data")  # the worker's own files
    authority: Path = Path("authority")  # ca.crt and ca.key of the buses' development authority
    look_up: LookUpSettings = LookUpSettings()
    conflicts: ConflictSettings = ConflictSettings()
    deconfliction: DeconflictionSettings = DeconflictionSettings()
    disclosures: DisclosureSettings = DisclosureSettings()  # whose keys the record is sealed to
    deconfliction_key: Path = Path(
        "keys/deconfliction.key"
    )  # private; partners have the public one
    watch_keys: Path = Path("keys/watches")  # private, a file each; partners seal to the newest
    watch_bounds: WatchBounds = WatchBounds()
    metrics_port: int | None = None  # of a worker's page for Prometheus, on the loopback interface

    def reached_by(self, handed_over: Path | None) -> ExchangeSettings:
        """Return the same settings with a process's own access to the brokers, where given."""
        if handed_over is None:
            return self
        bus = HandOver.load(handed_over, Role.MATCH, Role.ANSWER).bus
        agency = bus[Bus.AGENCY]  # of one without rights on the other bus this is all there is
        reached = BusSettings(agency=agency, partner=bus.get(Bus.PARTNER, agency))
        return self.model_copy(update={"bus": reached})

    def public_deconfliction_key(self) -> DeconflictionKey | None:
        """Return what partners seal to, none where this exchange has no key of its own."""
        if not self.deconfliction_key.exists():
            return None
        public = load_private_key(self.deconfliction_key).public_key().public_bytes_raw()
        newest = WatchKeys(self.watch_keys).newest
        return DeconflictionKey(
            key=public.hex(),
            settles_s=self.deconfliction.settles_s,
            watches=newest.public.hex() if newest else None,
        )

    @property
    def snapshot(self) -> Path:
        """The watch index as a worker of this host last wrote it."""
        return self.data / "watches.snapshot"

    def known_epochs(self) -> Epochs:
        """Return the state of every epoch, as the key holders declare them where they are named."""
        if not self.key_holders:
            return Epochs(self.epochs)
        sources = [(each.document, bytes.fromhex(each.signer)) for each in self.key_holders]
        return Epochs(EpochFeed(sources))


def check_redis(settings: ExchangeSettings) -> None:
    """Refuse the Redis in the process beside a broker that remembers.

    Raises SettingsError: after a restart the broker would go on where it was, and look-back would
    miss every touch before. RetryError when the broker does not answer.
    """
    if settings.redis == EMBEDDED_REDIS and not is_embedded(settings.bus.agency):
        raise SettingsError(
            'expected a Redis server beside Apache Kafka, got `redis = "embedded"`, which '
            "forgets at each restart; set `redis` to its redis:// address"
        )


class Agency(_Frozen):
    """An enrolled agency: its sender key's id, "<ORI>#<n>", and secret (hex)."""

    key_id: str
    secret: SecretStr
    name: str = ""

    @field_validator("secret")
    @classmethod
    def _whole(cls, secret: SecretStr) -> SecretStr:
        if len(bytes.fromhex(secret.get_secret_value())) != SECRET_BYTES:
            raise ValueError(f"expected {SECRET_BYTES} bytes in hexadecimal")
        return secret


class Organisations(_Frozen):
    """Who is enrolled: agencies with their sender keys, partners by name."""

    agencies: tuple[Agency, ...] = ()
    partners: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()  # common names of workers and auditors at the brokers
    disclosure_keys: dict[str, PublicKey] = {}  # of partners: what their disclosures are sealed to

    @classmethod
    def load(cls, path: Path) -> Organisations:
        """Read the directory of organisations; empty when there is none yet."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except ValueError:
            # Validation errors quote their input, which holds keys: not chained.
            raise SettingsError(
                f"expected a directory of organisations in {path}; restore it from its backup"
            ) from None

    def reread(self, path: Path) -> Organisations:
        """Return what the directory says now; while it can't be read, who was known stays known."""
        try:
            return self.load(path)
        except (SettingsError, OSError) as error:
            log.warning("organisations not read", path=str(path), error=type(error).__name__)
            return self

    def save(self, path: Path) -> None:
        """Replace the directory in one step, readable by its owner alone."""
        content = {
            "agencies": [
                {"key_id": a.key_id, "secret": a.secret.get_secret_value(), "name": a.name}
                for a in self.agencies
            ],
            "partners": list(self.partners),
            "processes": list(self.processes),
            "disclosure_keys": self.disclosure_keys,
        }
        beside = path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def sender_keys(self) -> dict[str, SenderKey]:
        """Return every agency's sender key by its id."""
        return {
            agency.key_id: SenderKey(agency.key_id, bytes.fromhex(agency.secret.get_secret_value()))
            for agency in self.agencies
        }

    def with_agency(self, handed_over: Path) -> Organisations:
        """Enrol the agency that wrote this hand-over file. Raises InputError for another file."""
        try:
            agency = Agency.model_validate_json(handed_over.read_bytes())
        except (OSError, ValueError):
            raise InputError(
                f"expected an agency's sender.json in {handed_over}; ask it to run "
                "`silenthit agency init` and hand over the file"
            ) from None
        others = tuple(a for a in self.agencies if a.key_id != agency.key_id)
        return self.model_copy(update={"agencies": (*others, agency)})

    def with_partner(self, name: str) -> Organisations:
        """Enrol a partner by its name."""
        return self.model_copy(update={"partners": tuple(sorted({*self.partners, name}))})

    def with_disclosure_key(self, found: DisclosureKey) -> Organisations:
        """Take a partner's key in place of an earlier one. Raises InputError for a stranger's."""
        if found.partner not in self.partners:
            raise InputError(
                f"expected the key of a partner that is enrolled, got {found.partner}'s; enrol it "
                "first with `silenthit exchange enrol partner`"
            )
        keys = {**self.disclosure_keys, found.partner: found.key}
        return self.model_copy(update={"disclosure_keys": keys})
