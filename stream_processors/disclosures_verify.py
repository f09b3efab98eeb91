"""Check the chains of disclosures: nothing missing, altered, forked or cut off."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from schemas import codec
from schemas.codec import WireError
from schemas.disclosures import FIRST, HEAD_BYTES, Disclosure, Event
from silenthit.bus.clients import Message
from silenthit.errors import InputError

NUMBER_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What is wrong, and where: `chain` in hex."""

    chain: str
    number: int
    what: str


@dataclass(frozen=True, slots=True)
class Head:
    """A link that was there: its chain, number and SHA-256."""

    chain: bytes
    number: int
    hash: bytes

    @classmethod
    def of(cls, packed: bytes) -> Head:
        """Unpack what a first link says of its predecessor. Raises ValueError for another size."""
        if len(packed) != HEAD_BYTES:
            raise ValueError(f"expected {HEAD_BYTES} bytes of a head, got {len(packed)}")
        return cls(packed[:16], int.from_bytes(packed[16:20], "big"), packed[20:])


@dataclass(slots=True)
class Seen:
    """What was read of one chain."""

    process: str = ""
    hashes: dict[int, bytes] = field(default_factory=dict)
    previous: dict[int, bytes] = field(default_factory=dict)
    entries: int = 0
    repeated: int = 0  # links that arrived twice, the same
    opened: bool = False
    last: Event = Event.OPEN


class Verifier:
    """Takes in the topic from its start, then says what is wrong."""

    def __init__(self, noted: Iterable[Head] = ()) -> None:
        """`noted` are heads that the auditor saw before: they must be there still."""
        self.chains: dict[bytes, Seen] = {}
        self._must = [(head, "cut off: a head noted before is gone") for head in noted]
        self._faults: list[Fault] = []

    def take(self, messages: Iterable[Message]) -> None:
        """Take in messages in their order."""
        for message in messages:
            key, value = message.key or b"", message.value or b""
            try:
                link = codec.decode(value, Disclosure)
            except WireError:
                self._fault(key, -1, f"altered: offset {message.offset} is no link")
                continue
            if link.chain != key:
                self._fault(link.chain, link.number, "altered: its key names another chain")
            self._take(link, sha256(value).digest())

    def _take(self, link: Disclosure, digest: bytes) -> None:
        seen = self.chains.setdefault(link.chain, Seen(process=link.process))
        known = seen.hashes.get(link.number)
        if known is not None:
            if known == digest:
                seen.repeated += 1
            else:
                self._fault(link.chain, link.number, "forked: two links have this number")
            return
        if link.process != seen.process:
            self._fault(link.chain, link.number, "altered: its process is another")
        if link.number >= max(seen.hashes, default=-1):
            seen.last = link.event
        seen.hashes[link.number], seen.previous[link.number] = digest, link.previous
        seen.entries += len(link.entries)
        if link.number == 0:
            seen.opened = link.event is Event.OPEN
            if link.before:
                self._expect(link)

    def _expect(self, link: Disclosure) -> None:
        try:
            head = Head.of(link.before)
        except ValueError:
            self._fault(link.chain, 0, "altered: its predecessor's head is none")
            return
        self._must.append((head, f"cut off: {link.process} had gone further at its next start"))

    def faults(self) -> list[Fault]:
        """Return all that is wrong with what was taken in."""
        found = list(self._faults)
        for chain, seen in self.chains.items():
            found += _broken(chain, seen)
        for head, what in self._must:
            there = self.chains.get(head.chain)
            if there is None or there.hashes.get(head.number) != head.hash:
                found.append(Fault(chain=head.chain.hex(), number=head.number, what=what))
        return found

    def heads(self) -> list[Head]:
        """Return the last link of each chain, to be noted."""
        return [
            Head(chain, max(seen.hashes), seen.hashes[max(seen.hashes)])
            for chain, seen in self.chains.items()
        ]

    def _fault(self, chain: bytes, number: int, what: str) -> None:
        self._faults.append(Fault(chain=chain.hex(), number=number, what=what))


def _broken(chain: bytes, seen: Seen) -> list[Fault]:
    """Say where links are missing, or don't hang together."""
    found, name = [], chain.hex()
    if 0 in seen.hashes and not seen.opened:
        found.append(Fault(chain=name, number=0, what="altered: its first link opens nothing"))
    before, expected = FIRST, 0
    for number in sorted(seen.hashes):
        if number != expected:
            found.append(Fault(chain=name, number=expected, what="missing"))
        elif seen.previous[number] != before:
            what = "altered: it, or the link before, is not what was written"
            found.append(Fault(chain=name, number=number, what=what))
        before, expected = seen.hashes[number], number + 1
    return found


def load_heads(path: Path) -> list[Head]:
    """Read noted heads. Raises InputError for a file that holds none."""
    try:
        return [Head.of(bytes.fromhex(each)) for each in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError):
        raise InputError(
            f"expected heads in {path}; note them with `silenthit exchange disclosures verify "
            "--note`"
        ) from None


def save_heads(path: Path, heads: Iterable[Head]) -> None:
    """Write heads, in place of those that the file had, in one step."""
    packed = [
        (each.chain + each.number.to_bytes(NUMBER_BYTES, "big") + each.hash).hex() for each in heads
    ]
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(packed, indent=1), "utf-8")
    beside.replace(path)
