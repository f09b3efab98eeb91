"""Setting up: a new key holder's folder, and the bundle that an organisation gets."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from key_holder.custody import FileCustody
from key_holder.database import open_book, transaction
from key_holder.lifecycle import Lifecycle, load_signer, signer_public
from key_holder.peer import peer_of
from key_holder.registry import register
from key_holder.settings import CONFIG_NAME, KeyHolderConfig, load_config
from silenthit.blinding.bundle import BUNDLE_NAME, KeyHolderSettings, bundle_toml
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.certificates import (
    Authority,
    csr_public_key,
    new_key,
    write_certificate,
    write_key,
    write_private,
)
from silenthit.errors import InputError, SettingsError

SERVER_DAYS = 825
_CONFIG = """\
name = "{name}"
host = "{host}"
port = {port}
url = "{url}"

# Elements of each class that an organisation may have evaluated; see docs/keyholder.md.
[quotas.default]
person = {{ per_minute = 6000, per_day = 300000, burst = 12000 }}
item = {{ per_minute = 6000, per_day = 300000, burst = 12000 }}
place_time = {{ per_minute = 6000, per_day = 60000, burst = 12000 }}

# [quotas.organisations.MASF00100]
# person = {{ per_minute = 600, per_day = 20000 }}

[alarm]
factor = 8.0
floor = 2000
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a key holder listens, and by which names it is reached."""

    host: str
    port: int
    names: Sequence[str]

    @property
    def url(self) -> str:
        """How clients reach it: by the first name."""
        return f"https://{self.names[0]}:{self.port}"


def found(folder: Path, name: str, address: Address, secrets: EpochSecrets) -> KeyHolderConfig:
    """Make a new key holder's folder: configuration, CA, certificate, signer, first epoch.

    Raises InputError when the folder holds a key holder already.
    """
    path = folder / CONFIG_NAME
    if path.exists():
        raise InputError(f"expected no key holder in {folder}, got one; name another folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC)
    signer = Ed25519PrivateKey.generate()
    write_private(folder / "signer.key", signer.private_bytes_raw().hex().encode())
    authority = Authority.create(f"{name} key holder development CA", now)
    write_key(folder / "ca" / "ca.key", authority.key)
    write_certificate(folder / "ca" / "ca.crt", authority.certificate)
    key = new_key()
    write_key(folder / "tls" / "server.key", key)
    certificate = authority.server(address.names, key.public_key(), now, SERVER_DAYS)
    write_certificate(folder / "tls" / "server.crt", certificate)
    path.write_text(
        _CONFIG.format(name=name, host=address.host, port=address.port, url=address.url), "utf-8"
    )
    config = load_config(path)
    custody = FileCustody(config.secrets)
    custody.keep(secrets)
    open_lifecycle(config, custody).begin(secrets.epoch)
    return config


def renew_certificate(config: KeyHolderConfig) -> datetime:
    """Issue the service's certificate anew, for the same names and key. Returns until when."""
    authority = Authority.load(config.client_ca, config.client_ca_key)
    try:
        held = x509.load_pem_x509_certificate(config.tls_certificate.read_bytes())
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        raise SettingsError(
            f"expected the service's certificate in {config.tls_certificate}, got none; restore it"
        ) from None
    hosts = [str(each) for each in names.get_values_for_type(x509.DNSName)]
    hosts += [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    public = held.public_key()
    if not isinstance(public, EllipticCurvePublicKey):
        raise SettingsError("expected a P-256 key in the service's certificate, got another kind")
    renewed = authority.server(hosts, public, datetime.now(UTC), SERVER_DAYS)
    write_certificate(config.tls_certificate, renewed)
    return renewed.not_valid_after_utc


def open_lifecycle(config: KeyHolderConfig, custody: FileCustody | None = None) -> Lifecycle:
    """Gather what the steps of an epoch's life need."""
    return Lifecycle(
        config=config,
        custody=custody or FileCustody(config.secrets),
        book=open_book(config.database),
        signer=load_signer(config.signer_key),
    )


def certify(
    config: KeyHolderConfig,
    organisation: str,
    out: Path,
    *,
    csr: Path | None = None,
    valid: timedelta,
    url: str | None = None,
) -> Path:
    """Issue a client certificate, put it on record, and write the bundle. Returns its TOML file.

    With a signing request the organisation's key stays with it: it puts the key beside.
    """
    authority = Authority.load(config.client_ca, config.client_ca_key)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_path = out / f"{organisation}.key"
    if csr is not None:
        public = csr_public_key(csr)
    else:
        key = new_key()
        public = key.public_key()
    certificate = authority.client(organisation, public, datetime.now(UTC), valid)
    if csr is None:
        write_key(key_path, key)
    write_certificate(out / f"{organisation}.crt", certificate)
    write_certificate(out / "ca.crt", authority.certificate)
    put_on_record(open_book(config.database), certificate)
    bundle = KeyHolderSettings(
        name=config.name,
        url=url or config.url,
        signer=signer_public(load_signer(config.signer_key)).hex(),
        ca=out.resolve() / "ca.crt",
        certificate=out.resolve() / f"{organisation}.crt",
        key=key_path.resolve(),
    )
    file = out / BUNDLE_NAME
    file.write_text(bundle_toml(bundle, out), "utf-8")
    return file


def put_on_record(book: sqlite3.Connection, certificate: x509.Certificate) -> None:
    """Register a certificate, this CA's or another's. Raises InputError for one without a name."""
    peer = peer_of(certificate.public_bytes(Encoding.DER))
    if peer is None:
        raise InputError("expected a certificate with one common name, the organisation's")
    try:
        with transaction(book):
            register(book, peer, datetime.now(UTC).timestamp())
    except sqlite3.IntegrityError:
        raise InputError(f"expected a new certificate, got one on record: {peer.serial}") from None
