"""Read the watch side: what a partner disclosed of its own, or what a court's key opens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas import codec
from schemas.codec import WireError
from schemas.disclosures import Disclosed, Disclosure
from silenthit.blinding.disclosure_boxes import COMMITMENT_BYTES, Told, open_box
from silenthit.bus.clients import Message
from silenthit.errors import InputError

COURT = 1  # of an entry's boxes


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """An entry, and where it stands: chain, number of the link, index in the link."""

    chain: bytes
    number: int
    index: int
    at: int
    entry: Disclosed
    commitment: bytes  # empty in links from before there were any

    @property
    def place(self) -> tuple[str, int, int]:
        """Return where it stands, as it is written in files."""
        return self.chain.hex(), self.number, self.index

    def shown(self) -> dict[str, Any]:
        """Return it as the auditor reads it and hands it on; the boxes stay sealed."""
        said = self.entry.model_dump(mode="python", exclude={"boxes", "kinds"})
        said |= {"id": self.entry.id.hex(), "records": self.entry.records.hex()}
        said |= {"kinds": list(self.entry.kinds), "boxes": [box.hex() for box in self.entry.boxes]}
        chain, number, index = self.place
        place = {"chain": chain, "number": number, "index": index, "at": self.at}
        return place | said | {"commitment": self.commitment.hex()}


def listed(messages: Iterable[Message]) -> Iterator[Listed]:
    """Yield the entries of links; what is no link is passed over: `verify` says so."""
    for message in messages:
        try:
            link = codec.decode(message.value or b"", Disclosure)
        except WireError:
            continue
        for index, entry in enumerate(link.entries):
            start = index * COMMITMENT_BYTES
            yield Listed(
                chain=link.chain,
                number=link.number,
                index=index,
                at=link.at,
                entry=entry,
                commitment=link.commitments[start : start + COMMITMENT_BYTES],
            )


def opened_by_court(each: Listed, key: X25519PrivateKey) -> dict[str, Any] | None:
    """Return an entry with its watch side; None where its box is not to this key.

    Raises InputError for a box that says something else than what was committed to.
    """
    boxes = each.entry.boxes
    told = open_box(boxes[COURT], key, each.entry.id) if len(boxes) > COURT else None
    if told is None:
        return None
    if each.commitment and told.commitment() != each.commitment:
        raise InputError(
            f"expected what was committed to in chain {each.place[0]}, number {each.number}, got "
            "another; run `silenthit exchange disclosures verify`"
        )
    shown = each.shown()
    del shown["boxes"]
    return shown | {"told": dict(told.content)}


def disclosed(text: str) -> dict[tuple[str, int, int], Told]:
    """Read what a partner disclosed, by place. Raises InputError for another file."""
    found = {}
    try:
        for line in filter(None, map(str.strip, text.splitlines())):
            each: Mapping[str, Any] = json.loads(line)
            place = str(each["chain"]), int(each["number"]), int(each["index"])
            content = {str(name): str(value) for name, value in each["told"].items()}
            found[place] = Told(content, bytes.fromhex(each["opening"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            "expected what `silenthit partner disclose` wrote, one JSON object a line, got another"
        ) from None
    return found
