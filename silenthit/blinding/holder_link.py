"""The link to one key holder: mutual TLS, one connection kept, retries, refusals by their cause."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from silenthit.blinding.batches import (
    EPOCHS_PATH,
    EVALUATE_PATH,
    MEDIA_TYPE,
    MOST_ELEMENTS,
    PURPOSE_HEADER,
    Cause,
    Purpose,
)
from silenthit.blinding.epoch_document import EpochDocument, verified_document
from silenthit.errors import (
    InputError,
    QuotaError,
    RefusedError,
    RetryError,
    SettingsError,
    SilentHitError,
)

_AWAY = (OSError, http.client.HTTPException)
_LONGEST_WAIT_S = 86_400.0  # a quota is one of a day


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a client waits: for an answer, between attempts, for a quota to refill."""

    timeout_s: float = 10.0
    attempts: int = 4
    backoff_s: float = 0.2  # doubled with each attempt, times 0.5 to 1.5 at random
    quota_s: float = 5.0  # a longer wait for the quota is the caller's
    refresh_s: float = 30.0  # how old the epoch document may be


@dataclass(kw_only=True)
class HolderLink:
    """One key holder, as one organisation reaches it. Not for several threads at once."""

    name: str
    url: str
    ca: Path
    certificate: Path
    key: Path
    signer: bytes  # pinned public key, 32 bytes
    purpose: Purpose = Purpose.LIVE
    patience: Patience = field(default_factory=Patience)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    most: int = MOST_ELEMENTS  # elements a batch; the key holder may ask for fewer
    _connection: http.client.HTTPSConnection | None = None
    _document: EpochDocument | None = None
    _fetched: float = 0.0

    def document(self, *, fresh: bool = False) -> EpochDocument:
        """Return the epoch document, fetched again when it is old.

        Raises RefusedError when the pinned signer did not sign it or it is older than one already
        seen, RetryError when the key holder is away.
        """
        age = self.clock() - self._fetched
        if self._document is None or fresh or age > self.patience.refresh_s:
            found = verified_document(self._retried("GET", EPOCHS_PATH, lambda: None), self.signer)
            if self._document is not None and found.version < self._document.version:
                raise RefusedError(
                    f"expected version {self._document.version} or later of the epoch document of "
                    f"{self.name}, got {found.version}; ask the key holder why it went back"
                )
            self._document, self._fetched = found, self.clock()
        return self._document

    def evaluate(self, body: Callable[[], bytes]) -> bytes:
        """Send a batch and return the answer; `body` packs it, with a new batch id each time."""
        return self._retried("POST", EVALUATE_PATH, body)

    def send(self, body: bytes) -> None:
        """Send a batch without waiting, so that several key holders work at once."""
        self._send("POST", EVALUATE_PATH, body)

    def receive(self) -> bytes:
        """Return the answer to what `send` sent. Raises as the key holder refuses."""
        return self._receive()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _retried(self, method: str, path: str, body: Callable[[], bytes | None]) -> bytes:
        waited_for_quota = 0.0
        attempt = 0
        while True:
            kept = self._connection is not None
            try:
                self._send(method, path, body())
                return self._receive()
            except QuotaError as error:
                waited_for_quota += error.after_s
                if waited_for_quota > self.patience.quota_s:
                    raise
                self.sleep(error.after_s)
            except RetryError:
                if kept:  # closed for being idle, most likely: at once, on a new connection
                    self.close()
                    continue
                attempt += 1
                if attempt >= self.patience.attempts:
                    raise
                self.sleep(self.patience.backoff_s * 2**attempt * random.uniform(0.5, 1.5))

    def _send(self, method: str, path: str, body: bytes | None) -> None:
        headers = {"Content-Type": MEDIA_TYPE, PURPOSE_HEADER: self.purpose.value}
        kept = self._connection is not None
        try:
            self._connected().request(method, path, body, headers)
        except _AWAY as error:
            self.close()
            if kept:  # the key holder had closed a connection that was idle
                self._send(method, path, body)
                return
            raise self._away(error) from None

    def _receive(self) -> bytes:
        assert self._connection is not None
        try:
            response = self._connection.getresponse()
            content = response.read()
        except _AWAY as error:
            self.close()
            raise self._away(error) from None
        if response.status == HTTPStatus.OK:
            return content
        raise self._refusal(response.status, content)

    def _connected(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            address = urlsplit(self.url)
            self._connection = http.client.HTTPSConnection(
                address.hostname or "",
                address.port,
                timeout=self.patience.timeout_s,
                context=self._tls(),
            )
        return self._connection

    def _tls(self) -> ssl.SSLContext:
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError):
            raise SettingsError(
                f"expected certificates in {self.ca}, {self.certificate} and a key in {self.key}; "
                f"ask the key holder {self.name} for a bundle (`silenthit keyholder certify`)"
            ) from None
        if certificate.not_valid_after_utc <= datetime.now(UTC):
            raise self._expired()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def _expired(self) -> RefusedError:
        return RefusedError(
            f"expected a client certificate in force, got an expired one ({self.certificate}); ask "
            f"the key holder {self.name} for another"
        )

    def _away(self, error: Exception) -> SilentHitError:
        """Say what a connection's failure means: refused by the handshake, or nobody there."""
        text = str(error).lower()
        if isinstance(error, ssl.SSLCertVerificationError):
            return RefusedError(
                f"expected the key holder {self.name} to prove itself by {self.ca}, got: "
                f"{error.verify_message}; do not go on before you know who answered"
            )
        if isinstance(error, ssl.SSLError) and "certificate expired" in text.replace("_", " "):
            return self._expired()
        if isinstance(error, ssl.SSLError) and "alert" in text:
            return RefusedError(
                f"expected the key holder {self.name} to accept this client certificate, got a TLS "
                f"alert ({error.reason}); ask the key holder for another certificate"
            )
        if isinstance(
            error, (http.client.RemoteDisconnected, ConnectionResetError, ssl.SSLEOFError)
        ):
            # asyncio ends a failed handshake without an alert, so the two look alike from here.
            return RetryError(
                f"expected an answer of the key holder {self.name} at {self.url}, got a closed "
                "connection; it went down, or it does not accept this client certificate: try "
                "again later, then ask the key holder"
            )
        return RetryError(
            f"expected an answer of the key holder {self.name} at {self.url}, got "
            f"{type(error).__name__}; records wait until it is back, commands may be tried again"
        )

    def _refusal(self, status: int, content: bytes) -> SilentHitError:
        try:
            fields = json.loads(content)
            cause, message = Cause(fields["cause"]), str(fields["message"])
            after = min(max(0.0, float(fields.get("after_s", 60.0))), _LONGEST_WAIT_S)
            most = int(fields.get("most", self.most // 2))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self.close()
            return RetryError(
                f"expected an answer of the key holder {self.name}, got HTTP status {status}; try "
                "again later"
            )
        text = f"key holder {self.name}: {message} ({cause.value})"
        if cause is Cause.QUOTA:
            return QuotaError(f"{text}; come back in {after:.0f} s", after_s=after)
        if cause is Cause.TOO_LARGE:
            self.most = max(1, min(self.most - 1, most))
            return TooLargeError(text)
        if cause in (Cause.EPOCH_UNKNOWN, Cause.MALFORMED):
            return (SettingsError if cause is Cause.EPOCH_UNKNOWN else InputError)(text)
        return RefusedError(text)


class TooLargeError(InputError):
    """The key holder takes smaller batches; `HolderLink.most` says how large."""
