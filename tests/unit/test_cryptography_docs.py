"""docs/security.md names every primitive in use, and no other is in use."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "silenthit", "producers", "consumers", "key_holder", "stream_processors")
# As the code writes it, and as the table does.
KNOWN = {
    "ristretto": "ristretto255",
    "hpke": "HPKE",
    "x25519": "X25519",
    "scrypt": "scrypt",
    "AESGCM": "AES-256-GCM",
    "keywrap": "AES key wrap",
    "HKDF": "HKDF-SHA256",
    "hmac": "HMAC-SHA256",
    "sha256": "SHA-256",
    "sha512": "SHA-512",
    "ed25519": "Ed25519",
    "SECP256R1": "ECDSA with P-256",
    "blake2b": "BLAKE2b",
}
OTHERS = re.compile(
    r"\b(md5|sha1|sha3_\w+|sha384|blake2s|pbkdf2\w*|PBKDF2\w*|argon2\w*|Argon2\w*|bcrypt|Fernet|"
    r"ChaCha20\w*|AESSIV|AESCCM|AESOCB3|AESGCMSIV|TripleDES|rsa|dsa|x448|ed448|SECP(?!256R1)\w+|"
    r"Cipher|CBC|ECB|CTR)\b"
)


def code() -> str:
    files = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
    return "\n".join(path.read_text("utf-8") for path in files)


def test_the_table_of_primitives_is_whole() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    section = text.partition("## Cryptography")[2].partition("\n## ")[0]
    first = "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("|"))
    written = code()
    assert {name for name in KNOWN if re.search(rf"\b{name}\b", written)} == KNOWN.keys()
    assert [said for said in KNOWN.values() if said not in first] == []


def test_no_other_primitive_is_in_use() -> None:
    imported = re.findall(r"^\s*(?:from|import) .*|hashlib\.\w+|hashes\.\w+", code(), re.MULTILINE)
    assert len(imported) > 1_000
    assert [line for line in imported if OTHERS.search(line)] == []
