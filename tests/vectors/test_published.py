"""The cryptography we stand on gives what its RFCs publish, through the functions that we call."""

from __future__ import annotations

import json
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from voprf import ristretto

from silenthit.blinding import locks, prf

HERE = Path(__file__).parent


def load(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text("utf-8"))


def vectors(name: str) -> pytest.MarkDecorator:
    found = load(name)["vectors"]
    return pytest.mark.parametrize("vector", found, ids=[each["name"] for each in found])


VOPRF = load("rfc9497_ristretto255_voprf")


@pytest.fixture
def evaluator() -> ristretto.Evaluator:
    seed, info = bytes.fromhex(VOPRF["Seed"]), bytes.fromhex(VOPRF["KeyInfo"])
    return ristretto.Evaluator.from_seed(seed, info)


def unhex(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


def expand_message_xmd(message: bytes, dst: bytes) -> bytes:
    """RFC 9380 section 5.3.1 with SHA-512, for 64 bytes: one block."""
    dst += bytes([len(dst)])
    first = sha512(bytes(128) + message + (64).to_bytes(2, "big") + b"\0" + dst).digest()
    return sha512(first + b"\1" + dst).digest()


def test_voprf_secret_key_by_the_text_of_the_rfc() -> None:
    seed, info = bytes.fromhex(VOPRF["Seed"]), bytes.fromhex(VOPRF["KeyInfo"])
    derive_input = seed + len(info).to_bytes(2, "big") + info + b"\0"
    uniform = expand_message_xmd(derive_input, b"DeriveKeyPairOPRFV1-\x01-ristretto255-SHA512")
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(uniform, "little") % order
    assert scalar.to_bytes(32, "little").hex() == VOPRF["skSm"]


def test_voprf_public_key(evaluator: ristretto.Evaluator) -> None:
    # The library does not show the secret key, but that key alone gives this public key.
    assert evaluator.public_key.serialize().hex() == VOPRF["pkSm"]


@vectors("rfc9497_ristretto255_voprf")
def test_voprf_output_of_a_known_input(evaluator: ristretto.Evaluator, vector: Any) -> None:
    outputs = [evaluator.evaluate_known_input(each) for each in unhex(vector["Input"])]
    assert outputs == unhex(vector["Output"])


@vectors("rfc9497_ristretto255_voprf")
def test_voprf_evaluation_of_the_blinded_element(
    evaluator: ristretto.Evaluator, vector: Any
) -> None:
    for blinded, expected in zip(
        unhex(vector["BlindedElement"]), unhex(vector["EvaluationElement"]), strict=True
    ):
        answer = evaluator.evaluate(ristretto.BlindedInput.deserialize(blinded)).serialize()
        assert expected in answer


@vectors("rfc9497_ristretto255_voprf")
def test_voprf_output_through_the_blinded_protocol(
    evaluator: ristretto.Evaluator, vector: Any
) -> None:
    inputs = unhex(vector["Input"])
    pairs = [ristretto.Client.blind(each) for each in inputs]
    clients, blinded = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    answer = evaluator.evaluate_batch(blinded)
    key = ristretto.PublicKey.deserialize(bytes.fromhex(VOPRF["pkSm"]))
    assert list(ristretto.Client.finalize_batch(clients, answer, key)) == unhex(vector["Output"])


def test_voprf_proof_of_another_key_is_refused(evaluator: ristretto.Evaluator) -> None:
    client, blinded = ristretto.Client.blind(b"\0")
    other = ristretto.Evaluator.from_seed(bytes(32), b"another key")
    with pytest.raises(Exception, match=r"(?i)proof"):
        client.finalize(other.evaluate(blinded), evaluator.public_key)


@vectors("rfc3394_aes_key_wrap")
def test_key_wrap(vector: Any) -> None:
    kek, data = bytes.fromhex(vector["KEK"]), bytes.fromhex(vector["KeyData"])
    wrapped = bytes.fromhex(vector["Ciphertext"])
    assert aes_key_wrap(kek, data) == wrapped
    assert aes_key_unwrap(kek, wrapped) == data


@vectors("rfc3394_aes_key_wrap")
def test_key_wrap_detects_every_changed_byte(vector: Any) -> None:
    kek, wrapped = bytes.fromhex(vector["KEK"]), bytes.fromhex(vector["Ciphertext"])
    for place in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[place] ^= 1
        with pytest.raises(InvalidUnwrap):
            aes_key_unwrap(kek, bytes(changed))


@vectors("rfc5869_hkdf_sha256")
def test_hkdf(vector: Any) -> None:
    ikm, salt, info, prk, okm = (
        bytes.fromhex(vector[name]) for name in ("IKM", "salt", "info", "PRK", "OKM")
    )
    length = vector["L"]
    assert HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(ikm) == okm
    assert HKDFExpand(algorithm=SHA256(), length=length, info=info).derive(prk) == okm


def test_hkdf_without_salt_as_we_call_it_is_the_published_empty_salt() -> None:
    vector = load("rfc5869_hkdf_sha256")["vectors"][2]
    ikm, okm = bytes.fromhex(vector["IKM"]), bytes.fromhex(vector["OKM"])
    assert locks.derived(ikm, b"") == okm[: locks.KEY_BYTES]


def test_a_token_is_hkdf_over_the_outputs_of_all_holders() -> None:
    outputs = unhex(VOPRF["vectors"][2]["Output"])
    info = b"silenthit/1/token"
    expected = HKDF(algorithm=SHA256(), length=48, salt=b"", info=info).derive(b"".join(outputs))
    token = prf.token_from_outputs(prf.MatchKeyKind.SSN, outputs)
    assert token.value + token.secret == expected


@vectors("rfc8032_ed25519")
def test_ed25519(vector: Any) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["SecretKey"]))
    message, signature = bytes.fromhex(vector["Message"]), bytes.fromhex(vector["Signature"])
    assert key.public_key().public_bytes_raw().hex() == vector["PublicKey"]
    assert key.sign(message) == signature
    key.public_key().verify(signature, message)
