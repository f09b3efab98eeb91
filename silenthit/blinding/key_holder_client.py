"""Tokens by asking the key holders: blinded match keys out, proven outputs back.

    >>> client = KeyHolderClient([link])                     # doctest: +SKIP
    >>> client.tokens(client.epochs().current, match_keys)   # doctest: +SKIP

A key holder sees points of a group that are uniformly random to it; the proof shows that it used
the secret of the epoch and class whose public key its pinned signer declared. With two holders the
same blinded points go to both at once, and the token depends on both outputs.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from threading import Lock

from voprf import ristretto

from schemas.vocabulary import TokenClass
from silenthit.blinding.batches import (
    Batch,
    decode_answer,
    encode_request,
    new_batch_id,
)
from silenthit.blinding.epoch_document import EpochDocument, agreed_epochs
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.holder_link import HolderLink, TooLargeError
from silenthit.blinding.prf import Token, prf_input, token_class, token_from_outputs
from silenthit.errors import InputError, RefusedError, RetryError, SettingsError
from silenthit.identity.match_keys import MatchKey

_CacheKey = tuple[int, bytes]


class KeyHolderClient:
    """A `Prf` whose secrets are with one key holder, or divided between several."""

    def __init__(self, links: Sequence[HolderLink], *, cache_size: int = 16_384) -> None:
        """Take the key holders in their agreed order. Nothing connects before it is needed."""
        self.links = tuple(links)
        self._cache: OrderedDict[_CacheKey, Token] = OrderedDict()
        self._cache_size = cache_size
        self._cache_salt = secrets.token_bytes(32)
        self._lock = Lock()

    def epochs(self, *, fresh: bool = False) -> Epochs:
        """Return the epochs as the key holders declare them.

        Raises RetryError when one is away, RefusedError when its document can't be trusted.
        """
        with self._lock:
            return self._epochs(fresh=fresh)

    def tokens(self, epoch: int, keys: Sequence[MatchKey]) -> list[Token]:
        """Return one token a match key, in order.

        Raises RetryError when a key holder is away, QuotaError when a quota is spent, SettingsError
        for an unknown epoch, RefusedError for a destroyed one, a certificate that is not accepted,
        or a proof that does not verify.
        """
        with self._lock:
            self._check_epoch(epoch)
            named = {key: self._cache_key(epoch, key) for key in keys}
            found = {key: self._cached(name) for key, name in named.items()}
            missing = iter([key for key, token in found.items() if token is None])
            while chunk := list(islice(missing, min(link.most for link in self.links))):
                for key, fresh in zip(chunk, self._asked(epoch, chunk), strict=True):
                    found[key] = fresh
                    self._remember(named[key], fresh)
            return [token for key in keys if (token := found[key]) is not None]

    def close(self) -> None:
        """Close the connections and forget the cached tokens."""
        with self._lock:
            self._cache.clear()
            for link in self.links:
                link.close()

    def _epochs(self, *, fresh: bool = False) -> Epochs:
        return agreed_epochs([link.document(fresh=fresh) for link in self.links])

    def _check_epoch(self, epoch: int) -> None:
        states = self._epochs().states
        if epoch not in states:
            states = self._epochs(fresh=True).states
        if epoch not in states:
            raise SettingsError(
                f"expected an epoch that every key holder declares, got {epoch}; "
                "`silenthit keyholder status` shows them"
            )
        if states[epoch] is EpochState.DESTROYED:
            for name in [name for name in self._cache if name[0] == epoch]:
                del self._cache[name]
            raise RefusedError(
                f"the secrets of epoch {epoch} are destroyed (epoch_destroyed); nothing of it can "
                "be opened anew"
            )

    def _asked(self, epoch: int, keys: Sequence[MatchKey]) -> list[Token]:
        """Ask every key holder, in smaller batches when one of them wants that."""
        try:
            return self._evaluated(epoch, keys)
        except TooLargeError:
            most = min(link.most for link in self.links)
            if len(keys) == 1:
                raise
            most = min(most, len(keys) - 1)
            return [
                token
                for start in range(0, len(keys), most)
                for token in self._asked(epoch, keys[start : start + most])
            ]

    def _evaluated(self, epoch: int, keys: Sequence[MatchKey]) -> list[Token]:
        inputs = _Blinded(epoch, keys)
        outputs = [
            inputs.finalized(answer, link.document(), link.name)
            for link, answer in zip(self.links, self._answers(inputs), strict=True)
        ]
        return [
            token_from_outputs(key.kind, each)
            for key, each in zip(keys, zip(*outputs, strict=True), strict=True)
        ]

    def _answers(self, inputs: _Blinded) -> list[bytes]:
        """Send to all, then read from all; who failed is asked again, alone and with patience."""
        sent: list[HolderLink] = []
        for link in self.links if len(self.links) > 1 else ():
            try:
                link.send(inputs.request())
                sent.append(link)
            except RetryError:
                link.close()
        received: dict[int, bytes] = {}
        try:
            for number, link in enumerate(self.links):
                if link in sent:
                    sent.remove(link)
                    try:
                        received[number] = link.receive()
                    except RetryError:
                        link.close()
                if number not in received:
                    received[number] = link.evaluate(inputs.request)
        finally:
            for link in sent:  # an answer that nobody will read
                link.close()
        return [received[number] for number in range(len(self.links))]

    def _cache_key(self, epoch: int, key: MatchKey) -> _CacheKey:
        """Name a match key without keeping it: a keyed hash under a key of this process."""
        return epoch, blake2b(prf_input(epoch, key), key=self._cache_salt, digest_size=32).digest()

    def _cached(self, name: _CacheKey) -> Token | None:
        token = self._cache.get(name)
        if token is not None:
            self._cache.move_to_end(name)
        return token

    def _remember(self, name: _CacheKey, token: Token) -> None:
        self._cache[name] = token
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)


class _Blinded:
    """Match keys blinded for one question, and how to read the answers."""

    def __init__(self, epoch: int, keys: Sequence[MatchKey]) -> None:
        self._epoch = epoch
        self._positions: dict[TokenClass, list[int]] = {}
        self._clients: list[ristretto.Client] = []
        self._points: list[bytes] = []
        self._batch_ids: set[bytes] = set()
        for position, key in enumerate(keys):
            client, point = ristretto.Client.blind(prf_input(epoch, key))
            self._clients.append(client)
            self._points.append(point.serialize())
            self._positions.setdefault(token_class(key), []).append(position)

    def request(self) -> bytes:
        """Pack the question, under a batch id of its own each time."""
        batch_id = new_batch_id(time.time_ns() // 1_000_000)
        self._batch_ids.add(batch_id)
        sections = {
            of: b"".join(self._points[each] for each in positions)
            for of, positions in self._positions.items()
        }
        return encode_request(Batch(epoch=self._epoch, batch_id=batch_id, sections=sections))

    def finalized(self, answer: bytes, document: EpochDocument, name: str) -> list[bytes]:
        """Verify the proofs and unblind: 64 bytes a match key. Raises RefusedError, naming why."""
        try:
            batch = decode_answer(answer)
        except InputError:
            raise _untrusted(name, "an answer to the batch", "other bytes") from None
        if batch.batch_id not in self._batch_ids:
            raise _untrusted(name, "an answer to this batch", "a replayed one to another batch")
        if batch.epoch != self._epoch:
            raise _untrusted(name, f"epoch {self._epoch}", f"another epoch, {batch.epoch}")
        if batch.sections.keys() != self._positions.keys():
            raise _untrusted(name, "the classes asked for", "others")
        outputs: dict[int, bytes] = {}
        for of, section in batch.sections.items():
            positions = self._positions[of]
            clients = [self._clients[each] for each in positions]
            unblinded = _unblinded(clients, section, document.epochs[self._epoch].public_keys[of])
            if unblinded is None:
                other = self._whose_key(clients, section, document)
                raise _untrusted(
                    name,
                    f"a proof under the key of epoch {self._epoch}, class {of.name.lower()}",
                    other or "a wrong proof, or elements swapped or changed on the way",
                )
            outputs.update(zip(positions, unblinded, strict=True))
        return [outputs[position] for position in range(len(self._clients))]

    def _whose_key(
        self, clients: Sequence[ristretto.Client], section: bytes, document: EpochDocument
    ) -> str | None:
        for epoch, entry in document.epochs.items():
            for of, public in entry.public_keys.items():
                if _unblinded(clients, section, public) is not None:
                    return f"one under another key, of epoch {epoch}, class {of.name.lower()}"
        return None


def _unblinded(
    clients: Sequence[ristretto.Client], section: bytes, public: bytes
) -> list[bytes] | None:
    """Verify and unblind a batch (RFC 9497 Finalize); None when it does not verify."""
    try:
        output = ristretto.VerifiableBatchOutput.deserialize(section)
        key = ristretto.PublicKey.deserialize(public)
        result: list[bytes] = ristretto.Client.finalize_batch(clients, output, key)
    except ValueError:
        return None
    except BaseException as error:
        # voprf 0.2 panics where a proof does not verify; pyo3 gives that as a BaseException.
        if type(error).__name__ != "PanicException":
            raise
        return None
    return result


def _untrusted(name: str, expected: str, got: str) -> RefusedError:
    return RefusedError(
        f"expected {expected} from the key holder {name}, got {got}; the tokens are not used: tell "
        "the key holder"
    )
