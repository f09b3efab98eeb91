"""What the demo shows, side by side: the agency its records, each partner its alerts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from silenthit.demo.outcome import Outcome, SeenAlert

WIDTH = 132
HEIGHT = 36
EXCHANGE_LINES = 4
DECISION_STYLES = {"hit": "bold red", "possible": "yellow", "discarded": "dim"}
# rich's SVG frame without its @font-face: a picture in a page may load nothing from elsewhere.
_SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@dataclass(frozen=True, slots=True)
class AcceptedRecords:
    """What one call of `silenthit agency publish` answered, and all that it answered."""

    agency: str
    source: str
    count: int


@dataclass(kw_only=True)
class Scene:
    """What is seen so far; renders itself whenever asked, so a live display follows it."""

    partners: Sequence[str]
    watches: dict[str, int]
    step: str = "starting"
    accepted: list[AcceptedRecords] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)  # touches as they lie on the bus
    seen: dict[str, SeenAlert] = field(default_factory=dict)  # by alert id
    outcome: Outcome | None = None
    height: int = HEIGHT
    began: float = field(default_factory=monotonic)

    def __rich__(self) -> RenderableType:
        """Return the whole picture."""
        layout = Layout()
        layout.split_column(
            Layout(self._head(), size=3),
            Layout(name="rooms"),
            Layout(self._exchange(), size=EXCHANGE_LINES + 2),
            Layout(self._foot(), size=4),
        )
        layout["rooms"].split_row(
            Layout(self._agency(), ratio=4),
            *(Layout(self._partner(each), ratio=5) for each in self.partners),
        )
        return layout

    def save_svg(self, path: Path) -> None:
        """Write the picture as it is now, in a terminal of its own size."""
        self.height = max(self.height, HEIGHT)
        console = Console(
            record=True, width=WIDTH, height=self.height, file=io.StringIO(), force_terminal=True
        )
        console.print(self, height=self.height)
        svg = console.export_svg(title="silenthit demo", code_format=_SVG, unique_id="demo")
        path.write_text(svg, encoding="utf-8")

    def _head(self) -> RenderableType:
        way = Text.assemble(
            ("agencies ", "bold cyan"), "── touches ──▶ ",
            ("blind exchange", "bold magenta"), " ── alerts ──▶ ", ("partners", "bold green"),
            ("      nothing flows back", "dim"),
        )  # fmt: skip
        seconds = monotonic() - self.began
        line = Table.grid(expand=True)
        line.add_column()
        line.add_column(justify="right")
        line.add_row(way, Text(f"{self.step}   {seconds:4.1f} s", "dim"))
        return Panel(line, border_style="dim")

    def _agency(self) -> RenderableType:
        lines: list[Text] = []
        before = ""
        for each in self.accepted:
            if each.agency != before:
                lines.append(Text(before := each.agency, "bold", no_wrap=True, overflow="ellipsis"))
            lines.append(
                Text.assemble(
                    ("  ✓ ", "cyan"), f"{each.count} accepted", (f"  {each.source}", "dim")
                )
            )
        head = Text(f"{sum(each.count for each in self.accepted)} records accepted")
        rows = self._room()
        return Panel(
            Group(head, Rule(style="dim"), *lines[-rows:]),
            title="[bold cyan]what the agencies see",
            border_style="cyan",
        )

    def _partner(self, partner: str) -> RenderableType:
        mine = [each for each in list(self.seen.values()) if each.partner == partner]
        head = Text(f"{self.watches.get(partner, 0)} private watches, {len(mine)} alerts opened")
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=9)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for each in mine[-(self._room() // 2) :]:
            style = DECISION_STYLES.get(each.decision, "bold")
            table.add_row(Text(each.decision, style), Text(each.label, "bold"))
            what = f"{each.kind.replace('_', ' ')} {each.record_number}, {each.agency}"
            table.add_row(Text(f"{each.latency_ms:.0f} ms", "dim"), Text(what, "dim"))
        return Panel(
            Group(head, Rule(style="dim"), table),
            title=f"[bold green]what {partner} sees",
            border_style="green",
        )

    def _exchange(self) -> RenderableType:
        lines = [
            Text(each, "magenta", no_wrap=True, overflow="ellipsis")
            for each in self.passing[-EXCHANGE_LINES:]
        ]
        title = "[bold magenta]what the exchange sees"
        return Panel(Group(*lines), title=title, border_style="magenta")

    def _foot(self) -> RenderableType:
        if self.outcome is None:
            told = "Everybody here is a process of its own; only the partners can open an alert."
            return Panel(Text(told, "dim"), border_style="dim")
        return Panel(summary_text(self.outcome), border_style="bold")

    def _room(self) -> int:
        """Lines that the rooms have left: without head, exchange, foot, and their own frame."""
        return max(2, self.height - 3 - (EXCHANGE_LINES + 2) - 4 - 4)


def summary_text(outcome: Outcome) -> Text:
    """Say in two lines what a run came to."""
    found = outcome.summary()
    verdict = (
        ("as worked out by hand", "bold green")
        if outcome.as_expected
        else (f"{len(outcome.missing)} missing, {len(outcome.unexpected)} unexpected", "bold red")
    )
    latency = found["alert_latency_ms"]
    return Text.assemble(
        f"{found['touches']} touches met {found['watches']} watches: {found['alerts']} alerts, ",
        verdict,
        f"\nbroker to vault: {latency['p50']} ms at the median, {latency['p99']} ms at the 99th "
        "percentile",
    )
