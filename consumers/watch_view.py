"""How a watch looks in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from consumers.areas import window
from consumers.watch_list import Listed
from schemas.parts import Subject


def watch_panel(each: Listed) -> Panel:
    """Return everything that a watch says, in plaintext."""
    head = Text("\n".join(f"{name:<13}{text}" for name, text in _about(each) if text))
    people = [
        Panel(Text("\n".join(_lines(subject))), title=f"subject {number}", title_align="left")
        for number, subject in enumerate(each.watch.subjects, start=1)
    ]
    title = f"{each.watch.label} · {each.state} · {each.watch_id.hex()[:8]}"
    return Panel(Group(head, *people), title=title)


def _about(each: Listed) -> Iterator[tuple[str, str]]:
    watch = each.watch
    yield "handling", watch.handling
    yield "case", watch.case_number
    yield "legal basis", f"{watch.legal_basis}, stated by {watch.stated_by or 'nobody'}"
    yield "owner", watch.owner + (f", {watch.backup} stands in" if watch.backup else "")
    yield "place", watch.area.where if watch.area else ""
    yield "time", window(watch.area.plan) if watch.area else ""
    yield "kinds", ", ".join(watch.kinds) or "all"
    yield "people hear", _heard(each)
    yield "channels", ", ".join(watch.deliver_to) or "the default"
    yield "deconflict", _shown(each)
    yield "placed", f"{each.created_at:%Y-%m-%d %H:%M} UTC"
    yield "validated", f"{watch.reviewed_at:%Y-%m-%d}" if watch.reviewed_at else ""
    by_itself = "by itself" if watch.ends_with_its_time else "unless it is renewed"
    yield "expires", f"{watch.expires_at:%Y-%m-%d}, {by_itself}"
    yield "ends", f"{watch.ends_at:%Y-%m-%d}" if watch.ends_at else ""
    yield "removed", f"{each.removed_at:%Y-%m-%d %H:%M} UTC" if each.removed_at else ""


def _shown(each: Listed) -> str:
    card = each.watch.shows
    if card is None:
        return "no"
    said = filter(None, (card.agency, card.name, card.phone, card.email, card.case_number))
    since = each.watch.stated_since(each.created_at)
    return f"shown as {', '.join(said)}; basis stated {since:%Y-%m-%d %H:%M} UTC"


def _heard(each: Listed) -> str:
    watch = each.watch
    of = "of hits only" if watch.page_from == "hit" else "of hits and possible ones"
    return of + (f", from {watch.min_score:.0%} on" if watch.min_score else "")


def _lines(subject: Subject) -> Iterator[str]:
    for name in subject.names:
        text = name.full or " ".join(
            filter(None, (name.given, name.middle, name.surname, name.suffix))
        )
        yield text if name.kind.value == "legal" else f"{text} ({name.kind.value})"
    if subject.birth_dates:
        yield f"born {', '.join(subject.birth_dates)}"
    if subject.minor:
        yield "minor"
    for each in subject.identifiers:
        yield " ".join(filter(None, (f"{each.kind.value}:", each.issuer, each.value)))
