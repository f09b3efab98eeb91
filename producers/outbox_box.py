"""How the outbox keeps content from whoever has its file alone: a box a draft, a digest a content.

Two keys are derived from the outbox's own, one for each use.
"""

from __future__ import annotations

import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from producers.touch import Draft
from silenthit.blinding.locks import derived
from silenthit.errors import SettingsError

_NONCE_BYTES = 12


class Box:
    """Encrypts drafts, each bound to its record and revision, and knows the same content again."""

    def __init__(self, key: bytes) -> None:
        """`key` is 32 bytes of keys/outbox.key."""
        self._old_key = key
        self._cipher = AESGCM(derived(key, b"silenthit/1/outbox/content"))
        self._digest_key = derived(key, b"silenthit/1/outbox/digest")

    def digest(self, content: bytes) -> bytes:
        """Return what stands for a content once it is gone."""
        return hmac.digest(self._digest_key, content, "sha256")

    def is_digest(self, digest: bytes, content: bytes) -> bool:
        """Whether a digest is of this content; files of before the two keys have another."""
        old = hmac.digest(self._old_key, b"silenthit/1/digest" + content, "sha256")
        return hmac.compare_digest(digest, self.digest(content)) or hmac.compare_digest(digest, old)

    def closed(self, record_id: bytes, revision: int, content: bytes) -> bytes:
        """Encrypt the JSON of a draft."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, _bound(record_id, revision))

    def opened(self, record_id: bytes, revision: int, box: bytes) -> Draft:
        """Decrypt a draft. Raises SettingsError for another outbox's key."""
        return Draft.model_validate_json(_open(self._cipher, record_id, revision, box))

    def renewed(self, record_id: bytes, revision: int, box: bytes) -> bytes:
        """Encrypt anew what was written when the outbox's key itself was used."""
        content = _open(AESGCM(self._old_key), record_id, revision, box)
        return self.closed(record_id, revision, content)


def _bound(record_id: bytes, revision: int) -> bytes:
    return record_id + revision.to_bytes(4, "big")


def _open(cipher: AESGCM, record_id: bytes, revision: int, box: bytes) -> bytes:
    try:
        return cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], _bound(record_id, revision))
    except InvalidTag:
        raise SettingsError(
            "expected the key that this outbox was written with; restore keys/outbox.key"
        ) from None
