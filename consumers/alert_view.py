"""How alerts look in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from consumers.alert_story import Story
from consumers.areas import around, window
from consumers.associations import WARNING
from consumers.opened_alerts import OpenedAlert
from schemas.parts import Subject
from schemas.vocabulary import INDICATORS, NIBRS_OFFENCES
from silenthit.identity.compare import Decision

_STYLE = {"hit": "bold red", "possible": "yellow", "discarded": "dim", "unopened": "magenta"}
_CLOSED = "dim strike"
_WIDE = 110  # narrower terminals do without the agency
_COLUMNS = {  # least width, and share of the width that is left over
    "alert": (8, None),
    "decision": (14, None),
    "label": (12, 3),
    "kind": (12, None),
    "agency": (12, 2),
    "record": (12, None),
    "on": (10, None),
}


def alert_table(found: Sequence[dict[str, Any]], width: int) -> Table:
    """One line an alert, for a terminal of this width."""
    titles = [title for title in _COLUMNS if title != "agency" or width >= _WIDE]
    table = Table(box=None, pad_edge=False, expand=True)
    for title in titles:
        least, share = _COLUMNS[title]
        table.add_column(title, no_wrap=True, min_width=least, ratio=share, overflow="ellipsis")
    for each in found:
        cells = {
            "alert": each["alert_id"][:8],
            "decision": decision_text(each).append(f" {score_text(each)}"),
            "label": each["label"] or each["reason"] or "",
            "kind": (each["kind"] or "").replace("_", " "),
            "agency": each["agency"] or "",
            "record": each["record_number"] or "",
            "on": (each["occurred_at"] or each["received_at"])[:10],
        }
        table.add_row(*(cells[title] for title in titles))
    return table


def alert_line(each: dict[str, Any]) -> Text:
    """One alert as one line of `alerts tail`."""
    told = [each["label"], (each["kind"] or "").replace("_", " "), each["agency"]]
    told += [each["record_number"], "there before the watch" if each["earlier"] else None]
    told += [each["association"]]
    line = Text.assemble(f"{each['received_at'][11:19]}  ", decision_text(each), "  ")
    line.append(f"{score_text(each):>4}  ")
    line.append(" · ".join(filter(None, told)) or f"kept unopened: {each['reason']}")
    return line.append(f"  {each['alert_id'][:8]}", style="dim")


def decision_text(each: dict[str, Any]) -> Text:
    """The decision, or the status that overrules it."""
    if each["status"] in ("withdrawn", "retracted"):
        return Text(f"{each['status']:<9}", style=_CLOSED)
    word = each["decision"] or each["status"]
    return Text(f"{word:<9}", style=_STYLE.get(word, ""))


def score_text(each: dict[str, Any]) -> str:
    """Triage's probability in percent."""
    return "" if each["probability"] is None else f"{each['probability']:.0%}"


def alert_panel(told: Story) -> Panel:
    """Everything that one alert says, what was done about it, and what belongs to it."""
    each, opened = told.head, told.opened
    head = Text.assemble(decision_text(each), f" {score_text(each)}  {each['label'] or ''}")
    title = f"alert {each['alert_id']} · revision {each['revision']}"
    if opened is None:
        gone = Text("Nothing is kept of it: the agency took the record back, or it never opened.")
        return Panel(Group(head, gone, *_history(told.done)), title=title)
    if opened.association is not None:
        head.append(f"\n{each['association']}", style="bold").append(f"\n{WARNING}", style="dim")
    head.append(f"\n{_standing(each)}")
    if told.watch is not None and told.watch.handling:
        head.append(f"\nhandle: {told.watch.handling}", style="bold")
    if opened.common is not None and opened.common.history:
        head.append("\nsent by the agency as history", style="dim")
    around = (
        *_sections(opened),
        *_others(told.group, "same subject, same incident"),
        *_others(told.others, "same watch"),
        *_history(told.done),
    )
    return Panel(Group(head, Text(), *around), title=title)


def _others(others: Sequence[dict[str, Any]], title: str) -> Iterator[Panel]:
    lines = [
        " ".join(
            filter(
                None,
                (
                    (each["occurred_at"] or each["appended_at"])[:10],
                    (each["kind"] or each["status"]).replace("_", " "),
                    each["agency"],
                    each["record_number"],
                    each["decision"],
                    each["alert_id"][:8],
                ),
            )
        )
        for each in others
    ]
    if lines:
        yield Panel(Text("\n".join(lines)), title=title, title_align="left")


def _standing(each: dict[str, Any]) -> str:
    if each["owner"] and each["stage"] == "owned":
        return f"{each['owner']} answers for it"
    told = {"climbing": "nobody answers for it yet", "last_resort": "nobody answered", None: ""}
    return told.get(each["stage"], str(each["stage"]))


def _history(done: Sequence[dict[str, Any]]) -> Iterator[Panel]:
    lines = [
        " ".join(filter(None, (each["at"][:16].replace("T", " "), each["action"], each["who"])))
        + (f": {each['text']}" if each["text"] else "")
        for each in done
    ]
    if lines:
        yield Panel(Text("\n".join(lines)), title="done", title_align="left")


def _sections(opened: OpenedAlert) -> Iterator[Panel]:
    reasons = opened.verdict.reasons if opened.verdict else ("No matched subject may be seen.",)
    matched = f"match keys in common: {', '.join(opened.match_kinds)}"
    lines = reasons if opened.near_a_place else (*reasons, matched)
    yield Panel(Text("\n".join(lines)), title="why", title_align="left")
    if opened.card:
        card = opened.card
        lines = (card.agency, card.unit, card.name, card.phone, card.email)
        case = f"case {card.case_number}" if card.case_number else ""
        above = f"supervisor: {card.supervisor}" if card.supervisor else ""
        text = Text("\n".join(filter(None, (*lines, above, case))))
        call = "call before it begins" if opened.near_a_place else "call"
        yield Panel(text, title=call, title_align="left")
    yield Panel(Text(_touch(opened)), title="touch", title_align="left")
    for number, subject in sorted(opened.subjects.items()):
        title = f"{subject.role.value}{_mark(opened, number)}"
        yield Panel(Text(_subject(subject)), title=title, title_align="left")


def _mark(opened: OpenedAlert, number: int) -> str:
    if opened.verdict is None or opened.verdict.touch_subject != number:
        return ""
    sure = opened.decision is Decision.HIT
    return " (the one watched)" if sure else " (compared with the one watched)"


def _touch(opened: OpenedAlert) -> str:
    common = opened.common
    if common is None:
        return f"{opened.kind} (the agency shows no more)"
    at = f"{common.occurred_at:%Y-%m-%d %H:%M %Z}" if common.occurred_at else "time not given"
    lines = [f"{opened.kind.replace('_', ' ')}, record {common.record_number}, {at}", common.place]
    lines += [f"planned for {window(common.area)}, {around(common.area)}"] if common.area else []
    lines += [f"{code} {NIBRS_OFFENCES.get(code, '')}" for code in common.offences]
    lines += [_indicator(key) for key in common.indicators]
    lines += [f"{item.kind.value}: {item.value} {item.issuer}" for item in common.items]
    return "\n".join(filter(None, (*lines, common.narrative)))


def _indicator(key: str) -> str:
    known = INDICATORS.get(key)
    return f"{known.element.value}: {known.meaning}" if known else key


def _subject(subject: Subject) -> str:
    names = []
    for name in subject.names:
        text = name.full or " ".join(filter(None, (name.given, name.middle, name.surname)))
        names.append(text if name.kind.value == "legal" else f"{text} ({name.kind.value})")
    lines = [", ".join(names)]
    lines += [f"born {', '.join(subject.birth_dates)}"] if subject.birth_dates else []
    lines += ["minor"] if subject.minor else []
    lines += [
        " ".join(filter(None, (f"{each.kind.value}:", each.value, each.issuer)))
        for each in subject.identifiers
    ]
    return "\n".join(filter(None, lines))
