"""A development certificate authority, for key holders, buses and those who use them.

In production both sign with the authority that their organisation runs already.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from silenthit.errors import InputError, SettingsError

_PEM, _PKCS8, _OPEN = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
_SKEW = timedelta(minutes=5)
_ORGANISATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Authority:
    """A CA's certificate and private key (P-256)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str, now: datetime, days: int = 3650) -> Authority:
        """Make a new authority with this common name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(name)
        builder = _builder(subject, subject, key.public_key(), now, timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        builder = builder.add_extension(_usage(sign_certificates=True), True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False
        )
        return cls(certificate=builder.sign(key, SHA256()), key=key)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Authority:
        """Read an authority. Raises SettingsError when there is no development CA here."""
        try:
            found = load_pem_private_key(key.read_bytes(), None)
            issuer = x509.load_pem_x509_certificate(certificate.read_bytes())
        except (OSError, ValueError):
            raise SettingsError(
                f"expected a development CA in {certificate} and {key}, got none; let the "
                "authority that you use sign, and put what it issued on record"
            ) from None
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise SettingsError(f"expected a P-256 key in {key}, got another kind")
        return cls(certificate=issuer, key=found)

    def server(
        self, hosts: Sequence[str], public: ec.EllipticCurvePublicKey, now: datetime, days: int
    ) -> x509.Certificate:
        """Certify the service for these host names and addresses."""
        names = x509.SubjectAlternativeName([_host(each) for each in hosts])
        builder = self._leaf(_named(hosts[0]), public, now, timedelta(days=days))
        builder = builder.add_extension(names, False)
        return self._signed(builder, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(
        self, organisation: str, public: ec.EllipticCurvePublicKey, now: datetime, valid: timedelta
    ) -> x509.Certificate:
        """Certify an organisation. Raises InputError for an unusable name."""
        if not _ORGANISATION.fullmatch(organisation):
            raise InputError(
                "expected an organisation name or ORI of letters, digits and hyphens, got another"
            )
        builder = self._leaf(_named(organisation), public, now, valid)
        return self._signed(builder, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _leaf(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, valid: timedelta
    ) -> x509.CertificateBuilder:
        builder = _builder(subject, self.certificate.subject, public, now, valid)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return builder.add_extension(issuer, False)

    def _signed(
        self, builder: x509.CertificateBuilder, purpose: x509.ObjectIdentifier
    ) -> x509.Certificate:
        builder = builder.add_extension(_usage(sign_certificates=False), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        return builder.sign(self.key, SHA256())


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key for a certificate."""
    return ec.generate_private_key(ec.SECP256R1())


def csr_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Read the public key of a signing request; its own names are not taken over.

    Raises InputError when the file is no request, is not signed by its key, or not P-256.
    """
    try:
        request = x509.load_pem_x509_csr(path.read_bytes())
    except (OSError, ValueError):
        raise InputError(f"expected a PEM certificate request in {path}, got none") from None
    public = request.public_key()
    if not request.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
        raise InputError(f"expected a request signed by its own P-256 key in {path}, got another")
    return public


def write_certificate(path: Path, certificate: x509.Certificate) -> None:
    """Write PEM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(certificate.public_bytes(_PEM))


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write PEM, to a new file readable by its owner alone."""
    write_private(path, key.private_bytes(_PEM, _PKCS8, _OPEN))


def write_private(path: Path, content: bytes) -> None:
    """Write a new file readable by its owner alone. Raises InputError when there is one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(
            f"expected no file at {path}, got one; move it away or name another"
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    valid: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + valid) - _SKEW)
        .not_valid_after(now + valid)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
