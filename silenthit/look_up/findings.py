"""What a look-up found: points of contact in plaintext, grouped, the most recent first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.inquiries import AnswerBody
from schemas.parts import ContactCard
from silenthit.blinding.cards import OpenedCard, open_card
from silenthit.errors import SealError, UnknownSignerError

Caller = tuple[str, str, str, str, str, str, bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class PointOfContact:
    """Somebody to call, and what they had to do with the subject, the latest first."""

    ori: str
    agency: str
    unit: str = field(repr=False)
    name: str = field(repr=False)
    phone: str = field(repr=False)
    email: str = field(repr=False)
    published: bool  # a partner chose to be found; the name is as it chose
    touches: tuple[dict[str, str], ...] = field(repr=False)  # kind, month, case_number

    @property
    def latest(self) -> str:
        """Month of the latest touch, empty where unknown."""
        return self.touches[0]["month"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """All of one answer."""

    contacts: tuple[PointOfContact, ...]
    more: bool  # older touches were left out
    unknown_signers: Mapping[str, int]  # ORI to how many cards wait for that agency's key
    unopened: int  # cards that did not open: to be reported to the exchange


def findings(
    body: AnswerBody,
    token_secrets: Mapping[bytes, bytes],
    verify_keys: Mapping[str, Ed25519PublicKey],
) -> Findings:
    """Open every card of an answer; what does not open is counted, never shown."""
    opened: list[OpenedCard] = []
    unknown: Counter[str] = Counter()
    unopened = 0
    for sealed in body.cards:
        try:
            opened.append(open_card(sealed, token_secrets, verify_keys))
        except UnknownSignerError as error:
            unknown[error.organisation] += 1
        except SealError:
            unopened += 1
    return Findings(
        contacts=_grouped(opened), more=body.more, unknown_signers=unknown, unopened=unopened
    )


def _grouped(opened: Iterable[OpenedCard]) -> tuple[PointOfContact, ...]:
    groups: dict[Caller, list[ContactCard]] = {}
    for each in opened:
        groups.setdefault(_caller(each), []).append(each.card)
    contacts = [_contact(caller, cards) for caller, cards in groups.items()]
    return tuple(sorted(contacts, key=lambda each: each.latest, reverse=True))


def _caller(each: OpenedCard) -> Caller:
    card = each.card
    return (
        card.ori,
        card.agency,
        card.unit,
        card.name,
        card.phone,
        card.email,
        each.published,
    )


def _contact(caller: Caller, cards: Iterable[ContactCard]) -> PointOfContact:
    ori, agency, unit, name, phone, email, published = caller
    touches = [
        {
            "kind": card.kind.value if card.kind else "",
            "month": card.month,
            "case_number": card.case_number,
        }
        for card in cards
    ]
    return PointOfContact(
        ori=ori,
        agency=agency,
        unit=unit,
        name=name,
        phone=phone,
        email=email,
        published=published,
        touches=tuple(sorted(touches, key=lambda each: each["month"], reverse=True)),
    )


def as_json(found: Findings) -> dict[str, Any]:
    """Return findings as plain values for machines."""
    return {
        "contacts": [
            {
                "ori": each.ori,
                "agency": each.agency,
                "unit": each.unit,
                "name": each.name,
                "phone": each.phone,
                "email": each.email,
                "published": each.published,
                "touches": list(each.touches),
            }
            for each in found.contacts
        ],
        "more": found.more,
        "unknown_signers": dict(found.unknown_signers),
        "unopened": found.unopened,
    }


def as_text(found: Findings) -> str:
    """Return findings for a person: whom to call, the most recent first."""
    lines = [line for each in found.contacts for line in _said(each)]
    if not found.contacts:
        lines.append("Nobody has shared a touch of this subject.")
    if found.more:
        lines.append("Older touches were left out; call the above, or ask with fewer identifiers.")
    for ori, count in found.unknown_signers.items():
        lines.append(
            f"{ori}: {count} not shown, because its signature can't be checked here; import its "
            "signer.json (`trust`)."
        )
    if found.unopened:
        lines.append(f"{found.unopened} did not open; report it to the exchange.")
    return "\n".join(lines)


def _said(each: PointOfContact) -> list[str]:
    who = ", ".join(filter(None, (each.agency, each.unit, each.name)))
    how = ", ".join(filter(None, (each.phone, each.email)))
    mark = "  (asks to be called)" if each.published else f"  ({each.ori})"
    touches = [
        "  " + "  ".join(filter(None, (t["month"], t["kind"].replace("_", " "), t["case_number"])))
        for t in each.touches
    ]
    return [f"{who}{mark}", f"  {how}" if how else "  no number given", *filter(str.strip, touches)]
