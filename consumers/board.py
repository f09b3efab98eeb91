"""The board: a full-screen view of the open cases, their owners and clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.console import ConsoleRenderable
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Header, Input, Label, Static

from consumers.alert_story import story
from consumers.alert_view import alert_panel
from consumers.cases import cases_in
from consumers.open_cases import OpenCase, clock, open_cases
from consumers.partner import Partner
from silenthit.call_tree.cases import Cases
from silenthit.call_tree.escalation import Stage
from silenthit.errors import SilentHitError

_REFRESH_S = 1.0
_COLUMNS = ("case", "decision", "score", "label", "kind", "agency", "alerts", "owner", "clock")
_STYLE = {"hit": "bold red", "possible": "yellow"}


class Asking(ModalScreen[str | None]):
    """Asks for one line of text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Never mind")]
    DEFAULT_CSS = (
        "Asking {align: center middle} Asking Input {width: 70%} Asking Label {width: 70%}"
    )

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Label(self._question)
        yield Input()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return what was typed."""
        self.dismiss(event.value)


class Showing(ModalScreen[None]):
    """Shows one case in full."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Back", priority=True)
    ]

    def __init__(self, content: ConsoleRenderable) -> None:
        super().__init__()
        self._content = content

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with VerticalScroll():
            yield Static(self._content)
        yield Footer()


class Board(App[None]):
    """Open cases, the most urgent first; keys act on the one under the cursor."""

    TITLE = "SilentHit"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "claim", "Claim"),
        Binding("r", "release", "Release"),
        Binding("x", "close", "Close"),
        Binding("n", "note", "Note"),
        Binding("s", "show", "Show"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, partner: Partner) -> None:
        super().__init__()
        self._partner = partner
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._lines: list[OpenCase] = []
        self._cells: list[list[Text]] = []

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Header()
        yield self._table
        yield Footer()

    def on_mount(self) -> None:
        """Fill the table, and again every second."""
        self._table.add_columns(*_COLUMNS)
        self.sub_title = f"{self._partner.settings.name}, {self._partner.who}"
        self.look()
        self.set_interval(_REFRESH_S, self.look)

    def look(self) -> None:
        """Read the open cases again; the cursor stays on its case."""
        try:
            lines = open_cases(self._partner.vault)
        except SilentHitError as error:
            self.notify(str(error), severity="error")
            return
        chosen, self._lines = self.chosen, lines
        cells = [self._row(each) for each in lines]
        if cells == self._cells:
            return
        self._cells = cells
        self._table.clear()
        for row in cells:
            self._table.add_row(*row)
        abouts = [each.about for each in lines]
        if chosen is not None and chosen.about in abouts:
            self._table.move_cursor(row=abouts.index(chosen.about))

    @property
    def fault(self) -> Exception | None:
        """What ended it, if it was not the user."""
        return self._exception

    @property
    def chosen(self) -> OpenCase | None:
        """The case under the cursor."""
        row = self._table.cursor_row
        return self._lines[row] if 0 <= row < len(self._lines) else None

    def _row(self, each: OpenCase) -> list[Text]:
        fields, case = each.fields, each.case
        decision = fields.get("decision", "")
        owner = Text(case.owner) if case.stage is Stage.OWNED else Text("nobody", style="red")
        plain = [fields.get(name, "") for name in ("score", "label", "kind", "agency")]
        return [
            Text(each.about.hex()[:8]),
            Text(decision, style=_STYLE.get(decision, "magenta")),
            *map(Text, plain),
            Text(str(each.alerts or "")),
            owner,
            Text(clock(case, self._partner.now())),
        ]

    def on_data_table_row_selected(self) -> None:
        """Show a case on Enter or a click."""
        self.action_show()

    def action_claim(self) -> None:
        """Answer for it."""
        self._do(lambda cases, about: cases.claim(about, self._partner.who))

    def action_release(self) -> None:
        """Answer for it no more."""
        self._ask("Why do you release it?", Cases.release)

    def action_close(self) -> None:
        """Be done with it."""
        self._ask("What came of it?", Cases.close)

    def action_note(self) -> None:
        """Write something down."""
        self._ask("Note", Cases.note)

    def action_show(self) -> None:
        """Show it in full."""
        chosen = self.chosen
        if chosen is None:
            return
        if not chosen.alerts:
            self.notify("It is about a canary; see `silenthit coverage`.")
            return
        try:
            told = story(self._partner.vault, chosen.fields["alert_id"], self._partner.now())
        except SilentHitError as error:
            self.notify(str(error), severity="error")
            return
        self.push_screen(Showing(alert_panel(told)))

    def _ask(self, question: str, change: Callable[[Cases, bytes, str, str], None]) -> None:
        chosen = self.chosen
        if chosen is None:
            return
        about = chosen.about

        def answered(text: str | None) -> None:
            if text is not None:
                self._do(lambda cases, _: change(cases, about, self._partner.who, text))

        self.push_screen(Asking(question), answered)

    def _fatal_error(self) -> None:
        """End without the traceback that textual would print: its locals quote subject data."""
        self._close_messages_no_wait()

    def _do(self, change: Callable[[Cases, bytes], None]) -> None:
        chosen, ours = self.chosen, self._partner
        if chosen is None:
            return
        try:
            with ours.vault.write() as into:
                change(cases_in(into, ours.protocol, ours.now()), chosen.about)
        except SilentHitError as error:
            self.notify(str(error), severity="error")
        self.look()
