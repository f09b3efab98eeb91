"""Every cell of docs/threat-model.md: each party and pair tries all it has, and learns just that.

The target is honest: a touch of another agency about a subject whom another partner watches. The
attackers have a phone book in which the subject is listed, what their own role gives them, and each
other's knowledge. They read the touch if they can; else they try the phone book.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas import codec
from schemas.messages import TouchHeader
from schemas.packing import MATCH, TOKEN, pack, rows
from schemas.parts import ContactCard, Subject, TouchCommon
from schemas.vocabulary import CoarseKind, MatchKeyKind, SubjectRole, TouchKind
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.key_holder_client import KeyHolderClient
from silenthit.blinding.opening import Sealed, open_touch
from silenthit.blinding.prf import LocalKey, Prf, Token
from silenthit.blinding.sealing import Part, Signer, seal
from silenthit.errors import SealError
from silenthit.identity.match_keys import MatchKey
from tests.key_holders import NearbyHolder

PAGE = Path(__file__).resolve().parents[2] / "docs" / "threat-model.md"
SUBJECT = MatchKey(MatchKeyKind.SSN, "219099999")
PHONE_BOOK = [MatchKey(MatchKeyKind.SSN, f"2190999{number:02}") for number in range(90, 100)]
COLUMNS = ("touches", "watches", "hits")


@dataclass(frozen=True, kw_only=True)
class Party:
    """What a role has, beyond what is public."""

    touch: bool = False  # the other agency's touch, as it lies on the bus
    watch: bool = False  # the other partner's registration, as it lies on the bus
    certificate: bool = False  # may ask the key holders
    secrets: frozenset[int] = frozenset()  # of these key holders

    def with_(self, other: Party) -> Party:
        return Party(
            touch=self.touch or other.touch,
            watch=self.watch or other.watch,
            certificate=self.certificate or other.certificate,
            secrets=self.secrets | other.secrets,
        )


PARTIES = {
    "agency": Party(certificate=True),
    "partner": Party(certificate=True),
    "exchange": Party(touch=True, watch=True),
    "key holder 1": Party(secrets=frozenset({0})),
    "key holder 2": Party(secrets=frozenset({1})),
}


@dataclass(frozen=True, kw_only=True)
class World:
    """The target, and what attackers may use of it."""

    holders: tuple[EpochSecrets, ...]
    touch: Sealed = field(repr=False)
    touch_tokens: frozenset[bytes]
    watch_tokens: frozenset[bytes]
    verify: Mapping[str, object]
    ask: Callable[[], tuple[KeyHolderClient, list[NearbyHolder]]]


def _world(folder: Path, holders: int) -> World:
    secrets = tuple(EpochSecrets.generate(1) for _ in range(holders))
    target = LocalKey(*([each] for each in secrets)).tokens(1, [SUBJECT])
    key = Ed25519PrivateKey.generate()
    signer = Signer("VT0040100#1", key)
    header = TouchHeader(
        record_id=bytes(16),
        revision=1,
        sender="VT0040100#1",
        epoch=1,
        expiry_month="2031-11",
        kind=CoarseKind.CUSTODY,
    )
    every = frozenset({0})
    parts = [
        Part(ContactCard(ori="VT0040100", agency="Harbor"), every),
        Part(TouchCommon(record_number="R-1", kind=TouchKind.ARREST), every),
        Part(Subject(role=SubjectRole.ARRESTEE), every),
    ]
    touch = seal(header, [target], parts, signer)
    tokens = frozenset(row["token"].tobytes() for row in rows(touch.tokens, TOKEN))

    def ask() -> tuple[KeyHolderClient, list[NearbyHolder]]:
        nearby = [
            NearbyHolder(folder / f"{number}", [each], name=f"holder{number}")
            for number, each in enumerate(secrets)
        ]
        return KeyHolderClient(nearby), nearby

    return World(
        holders=secrets,
        touch=Sealed(
            header=codec.encode(header),
            matches=touch.tokens,
            locks=touch.locks,
            grants=touch.grants,
            parts=touch.parts,
        ),
        touch_tokens=tokens,
        watch_tokens=frozenset(token.value for token in target),
        verify={signer.key_id: key.public_key()},
        ask=ask,
    )


def _learned(world: World, party: Party, column: str) -> str:
    """What the attackers learn: nothing, a pattern, or the subject by guesses, metered or free."""
    sees = {"touches": party.touch, "watches": party.watch, "hits": party.touch and party.watch}
    if not sees[column]:
        return "nothing"
    for prf, found in _oracles(world, party):
        guessed = [key for key in PHONE_BOOK if _confirmed(world, column, prf.tokens(1, [key])[0])]
        if guessed:
            assert guessed == [SUBJECT]
            return found()
    return "pattern"


def _oracles(world: World, party: Party) -> Sequence[tuple[Prf, Callable[[], str]]]:
    """Every way to evaluate that the attackers have, whether it gives true tokens or not."""
    found: list[tuple[Prf, Callable[[], str]]] = []
    held = [world.holders[number] for number in party.secrets if number < len(world.holders)]
    found += [(LocalKey([each]), lambda: "free guess") for each in held]
    found += [(LocalKey([one], [two]), lambda: "free guess") for one in held for two in held]
    found += [(LocalKey([each], [EpochSecrets.generate(1)]), lambda: "free guess") for each in held]
    if party.certificate:
        client, nearby = world.ask()

        def metered() -> str:
            assert all(len(each.asked) >= 1 for each in nearby), "every key holder was asked"
            return "metered guess"

        found.append((client, metered))
    return found


def _confirmed(world: World, column: str, token: Token) -> bool:
    """Whether a guessed token proves to be the target's."""
    if column == "watches":
        return token.value in world.watch_tokens
    opened = _opens(world, token)
    if column == "touches":
        return opened
    return opened and token.value in world.touch_tokens & world.watch_tokens


def _opens(world: World, token: Token) -> bool:
    matches = [
        (index, int(row["subject"]), 0, int(row["kind"]), row["token"].tobytes())
        for index, row in enumerate(rows(world.touch.matches, TOKEN))
        if row["token"].tobytes() == token.value
    ]
    sealed = Sealed(
        header=world.touch.header,
        matches=pack(list[tuple[int | bytes, ...]](matches), MATCH),
        locks=world.touch.locks,
        grants=world.touch.grants,
        parts=world.touch.parts,
    )
    try:
        return open_touch(sealed, {token.value: token.secret}, world.verify).common is not None  # type: ignore[arg-type]
    except SealError:
        return False


def _cells(heading: str) -> list[tuple[str, str, str]]:
    """Rows of the table under a heading: party or parties, column, what the page says."""
    section = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 1 + len(COLUMNS) and not re.match(r"who|-", cells[0]):
            found += [
                (cells[0], column, cell) for column, cell in zip(COLUMNS, cells[1:], strict=True)
            ]
    return found


def _checked(cell: tuple[str, str, str], folder: Path, holders: int) -> None:
    who, column, said = cell
    party = Party()
    for name in who.split(" + "):
        party = party.with_(PARTIES[name])
    learned = _learned(_world(folder, holders), party, column)
    assert said == f"{learned} `[{who}-{column}]`"


def _named(cells: list[tuple[str, str, str]]) -> list[object]:
    return [pytest.param(each, id=f"{each[0]}-{each[1]}") for each in cells]


@pytest.mark.parametrize("cell", _named(_cells("Two key holders")))
def test_two(cell: tuple[str, str, str], tmp_path: Path) -> None:
    _checked(cell, tmp_path, holders=2)


@pytest.mark.parametrize("cell", _named(_cells("One key holder")))
def test_one(cell: tuple[str, str, str], tmp_path: Path) -> None:
    _checked(cell, tmp_path, holders=1)


def test_every_party_and_every_pair_has_its_row() -> None:
    names = list(PARTIES)
    pairs = {f"{a} + {b}" for place, a in enumerate(names) for b in names[place:]}
    pairs -= {f"{name} + {name}" for name in names if name not in ("agency", "partner")}
    assert {who for who, _, _ in _cells("Two key holders")} >= {*names, *pairs}
