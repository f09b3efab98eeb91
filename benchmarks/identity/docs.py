"""The tables of docs/identity.md, written between its markers."""

from __future__ import annotations

import re
from pathlib import Path

from rich.table import Table

from benchmarks.identity.linkage import KindScores
from schemas.vocabulary import MATCH_KEY_KINDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "identity.md"
_HEADINGS = (
    "kind",
    "strength",
    "fields",
    "recall alone",
    "pairs only it finds",
    "false candidates",
)


def _rows(kinds: list[KindScores]) -> list[tuple[str, ...]]:
    facts = MATCH_KEY_KINDS
    return [
        (
            each.kind.name,
            facts[each.kind].strength.value,
            ", ".join(sorted(facts[each.kind].fields)),
            f"{each.recall:.4f}",
            str(each.only),
            f"{each.false_candidates:.4f}",
        )
        for each in kinds
    ]


def kinds_table(kinds: list[KindScores]) -> Table:
    """The table of match-key kinds for a terminal."""
    table = Table(*_HEADINGS)
    for row in _rows(kinds):
        table.add_row(*row)
    return table


def write(kinds: list[KindScores], results: dict[str, dict[str, float]]) -> None:
    """Replace both tables in docs/identity.md."""
    columns = list(next(iter(results.values())))
    sets = [(name, *(f"{row[column]:.4f}" for column in columns)) for name, row in results.items()]
    page = PAGE.read_text("utf-8")
    page = _replaced(page, "kinds", _HEADINGS, _rows(kinds))
    page = _replaced(page, "sets", ("set", *columns), sets)
    PAGE.write_text(page, "utf-8")


def _replaced(page: str, name: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    marked = rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)"
    return re.sub(marked, lambda found: f"{found[1]}{table}\n{found[2]}", page, flags=re.DOTALL)
