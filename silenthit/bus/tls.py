"""The same TLS and SASL settings, for asyncio's Kafka clients."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from silenthit.bus.settings import KafkaSettings
from silenthit.errors import SettingsError

# Each piece stands in the settings themselves (`….pem`) or in a file (`….location`).
_CA, _CERTIFICATE, _KEY = "ssl.ca", "ssl.certificate", "ssl.key"
_SASL = {
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
}
_KNOWN = {
    "security.protocol",
    *_SASL,
    *(f"{piece}.{form}" for piece in (_CA, _CERTIFICATE, _KEY) for form in ("pem", "location")),
}


def aiokafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the keyword arguments of an aiokafka client that mean what `security` says.

    Raises SettingsError for a property that has no equal there: nothing is left out in silence.
    """
    security = settings.security
    unknown = security.keys() - _KNOWN
    if unknown:
        raise SettingsError(
            f"expected TLS and SASL properties in `security`, got {', '.join(sorted(unknown))}, "
            "which the exchange's workers can't use; remove it"
        )
    protocol = security.get("security.protocol", "plaintext").upper()
    options: dict[str, Any] = {
        ours: security[name] for name, ours in _SASL.items() if name in security
    }
    options["security_protocol"] = protocol
    if protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(security)
    return options


def ssl_context(security: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that checks the broker's name, TLS 1.2 or later.

    Raises SettingsError when a certificate or key can't be read.
    """
    try:
        context = ssl.create_default_context(cadata=_piece(security, _CA) or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _prove(context, _piece(security, _CERTIFICATE), _piece(security, _KEY))
    except (OSError, ValueError):
        # Not chained: an error of the reader may quote what it read.
        raise SettingsError(
            "expected PEM certificates and a key in `security`, got others; ask the operator of "
            "the exchange for a new hand-over file"
        ) from None
    return context


def _prove(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load our own certificate, which Python reads from files alone."""
    if not certificate:
        return
    with TemporaryDirectory(prefix="silenthit-") as folder:  # mode 0700
        file = Path(folder) / "own.pem"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as writing:
            writing.write(f"{certificate}\n{key}")
        context.load_cert_chain(file)


def _piece(security: Mapping[str, str], name: str) -> str:
    if pem := security.get(f"{name}.pem"):
        return pem
    location = security.get(f"{name}.location")
    return Path(location).read_text("ascii") if location else ""
