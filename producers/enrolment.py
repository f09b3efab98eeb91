"""Set up an agency: its keys, its configuration, and what it hands to exchange and partners."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from producers.settings import SECRET_BYTES, AgencySettings, Buses, Keys, read_sender, sender_text
from schemas.topics import Bus, Role
from silenthit.blinding.access import BlindingSettings, install_bundle, key_holder_toml
from silenthit.bus.handover import HandOver, SenderSecret, bus_toml
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import InputError

_TEMPLATE = """\
# An agency of SilentHit. Keys are in keys/: keep a backup that only you can read.
ori = {ori}
name = {name}
timezone = "UTC"        # of times that name none, such as "America/New_York"
area_code = ""          # completes local telephone numbers
retention_years = 5     # the records schedule: how long a touch may be kept
read_narratives = true  # count the people and identifiers that only free text mentions

[sharing]
protected_roles = ["victim"]        # only who watches that very subject reads its part
protect_minors = true
narrative = "unless_protected"      # shared | unless_protected | withheld

# What `silenthit agency run` reads; sql, http, mail and tips too: see docs/sources.md.
# [[sources]]
# name = "rms"
# type = "folder"
# path = "incoming"
# mapping = "rms.toml"    # for CSV and Excel: silenthit agency map FILE > rms.toml

{bus}
{blinding}"""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The files that `create` wrote and that somebody else needs."""

    config: Path
    sender: Path  # SECRET, for the exchange; not written where it made the key itself
    signer: Path  # public, for the partners


def create(
    folder: Path,
    *,
    ori: str,
    name: str,
    bootstrap: str = "",
    bus: Path | None = None,
    local_key: Path | None = None,
    bundles: Sequence[Path] = (),
) -> Enrolled:
    """Write keys, configuration and hand-over files into a folder.

    The broker by its address or by the exchange's hand-over file; either a development key or the
    bundles of the key holders, in their agreed order.

    Raises InputError, having written nothing, when an agency is set up there already or the ORI is
    not one.
    """
    config = folder / "agency.toml"
    if config.exists():
        raise InputError(f"expected no agency in {folder}, got one; choose another folder")
    if bool(local_key) == bool(bundles):
        raise InputError("expected either --key-holder or --local-key, to blind records with")
    if bool(bootstrap) == bool(bus):
        raise InputError("expected either --bootstrap or --bus, to reach the broker")
    access = HandOver.load(bus, Role.AGENCY) if bus else None
    if access and access.name != ori.lower():
        raise InputError("expected a hand-over file for this ORI, got another agency's")
    try:
        settings = AgencySettings(
            ori=ori,
            name=name,
            blinding=BlindingSettings(),
            bus=Buses(
                agency=access.bus[Bus.AGENCY]
                if access
                else KafkaSettings(bootstrap_servers=bootstrap)
            ),
        )
    except ValueError:
        raise InputError(
            "expected an ORI of capital letters and digits, a name and a broker; check the options"
        ) from None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    enrolled = Enrolled(config, folder / "sender.json", folder / "signer.json")
    _write_keys(folder, settings, enrolled, access.sender if access else None)
    written = _TEMPLATE.format(
        ori=json.dumps(ori),
        name=json.dumps(name),
        bus=access.install(folder) if access else bus_toml({Bus.AGENCY: settings.bus.agency}),
        blinding=_blinding(folder, local_key, bundles),
    )
    _write_private(config, written)  # the broker's password may stand in it
    return enrolled


def take_sender_key(settings: AgencySettings, handed_over: Path) -> str:
    """Replace the sender key by the one in this file, in one step. Returns its id.

    Raises InputError for a file that is not of this agency.
    """
    sender = read_sender(handed_over, "")
    if sender.organisation != settings.ori:
        raise InputError(
            f"expected this agency's next sender key in {handed_over}; ask the operator of the "
            "exchange to run `silenthit exchange rotate-sender`"
        )
    beside = settings.keys.sender.with_suffix(".new")
    beside.unlink(missing_ok=True)
    _write_private(beside, sender_text(sender.key_id, sender.secret.hex()))
    beside.replace(settings.keys.sender)
    return sender.key_id


def _blinding(folder: Path, local_key: Path | None, bundles: Sequence[Path]) -> str:
    if local_key is not None:
        return f"[blinding]\nlocal_keys = [{json.dumps(str(local_key.resolve()))}]\n"
    holders = tuple(install_bundle(each, folder / "keys") for each in bundles)
    return key_holder_toml(holders, folder)


def _write_keys(
    folder: Path, settings: AgencySettings, enrolled: Enrolled, agreed: SenderSecret | None
) -> None:
    keys = Keys()
    (folder / keys.records.parent).mkdir(mode=0o700, exist_ok=True)
    signing = Ed25519PrivateKey.generate()
    _write_private(folder / keys.records, secrets.token_hex(SECRET_BYTES))
    _write_private(folder / keys.outbox, secrets.token_hex(SECRET_BYTES))
    _write_sender(folder / keys.sender, settings, enrolled, agreed)
    pem = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_private(folder / keys.signing, pem.decode())
    public = signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    about = {"key_id": settings.key_id, "name": settings.name}
    enrolled.signer.write_text(json.dumps({**about, "public_key": public.hex()}), "utf-8")


def _write_sender(
    path: Path, settings: AgencySettings, enrolled: Enrolled, agreed: SenderSecret | None
) -> None:
    """Keep the sender key that the exchange made, or make one and write it for the exchange."""
    if agreed:
        _write_private(path, sender_text(agreed.key_id, agreed.secret.get_secret_value()))
        return
    secret = secrets.token_hex(SECRET_BYTES)
    _write_private(path, sender_text(settings.key_id, secret))
    handed_over = {"key_id": settings.key_id, "name": settings.name, "secret": secret}
    _write_private(enrolled.sender, json.dumps(handed_over))


def _write_private(path: Path, content: str) -> None:
    """Write a new file that only its owner reads; an older one of the name is never replaced."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"expected no {path}, got one; move it away or choose a folder") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
