"""The screen of `caxton top`: agents, put in order, narrowed, and looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import msgspec
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Input, Static

from caxton.cli.advice import advise
from caxton.cli.drawing import figures
from caxton.cli.live.agent import AgentScreen
from caxton.cli.live.conversation import ConversationScreen
from caxton.cli.live.screen import LiveApp, LiveScreen, clean, troubled
from caxton.core.units import format_duration
from caxton.core.views.stats import SORTS, AgentFigures, StatsFilter, StatsView

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from caxton.client import CaxtonClient

WINDOWS_S = (10.0, 60.0, 300.0, 3600.0)
"""Those that `w` goes through."""

_WORDS = frozenset({"AGENT", "STATE", "BREAKER"})
"""Columns that begin at the left."""


class TopApp(LiveApp):
    """See the module."""

    TITLE = "caxton top"

    def __init__(
        self, connect: Callable[[], CaxtonClient], wanted: StatsFilter, *, window_s: float, every_s: float, limit: int
    ) -> None:
        super().__init__(connect, every_s=every_s)
        self.top = TopScreen(wanted, window_s=window_s, limit=limit)

    def on_mount(self) -> None:
        self.push_screen(self.top)


class TopScreen(LiveScreen[StatsView]):
    """Agents, the busiest first unless asked otherwise."""

    KEYS = "↑↓ choose  Enter look into  s/S sort  / filter  t troubled  w window  c conversation  p pause  q quit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort(1)"),
        Binding("S", "sort(-1)"),
        Binding("slash", "filter"),
        Binding("escape", "clear"),
        Binding("t", "troubled"),
        Binding("w", "window"),
        Binding("c", "conversation"),
        Binding("p,space", "pause"),
    ]

    def __init__(self, wanted: StatsFilter, *, window_s: float, limit: int) -> None:
        super().__init__()
        self.wanted, self.window_s, self._limit = wanted, window_s, limit
        self._troubled: list[AgentFigures] = []
        self._drawn: tuple[str, bool] | None = None
        """The order and the width for which the columns were made."""

    def body(self) -> ComposeResult:
        yield DataTable[Text](id="agents", cursor_type="row", zebra_stripes=True)

    @property
    def table(self) -> DataTable[Text]:
        return cast("DataTable[Text]", self.query_one("#agents"))

    def question(self, client: CaxtonClient) -> StatsView:
        found = client.stats(self.wanted, window_s=self.window_s, limit=self._limit)
        self._troubled = troubled(client, found, self.window_s)
        return found

    def run_of(self, answer: StatsView) -> str:
        return answer.node.run

    def show(self, answer: StatsView) -> None:
        self.head(self._head(answer))
        table = self.table
        chosen = self.chosen()
        at, scrolled = table.cursor_row, table.scroll_y
        self._draw_columns()
        table.clear()
        for agent in answer.agents:
            table.add_row(*self._cells(agent), key=agent.name)
        names = [agent.name for agent in answer.agents]
        # The cursor stays with its agent; from the first row it moves nowhere, since that is where one looks.
        row = names.index(chosen) if at > 0 and chosen in names else min(at, max(len(names) - 1, 0))
        table.move_cursor(row=row, animate=False, scroll=False)
        table.scroll_to(y=scrolled, animate=False)

    def chosen(self) -> str | None:
        """The agent that the cursor stands on."""
        table = self.table
        if not table.row_count:
            return None
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value

    def _draw_columns(self) -> None:
        wanted = self.wanted.sort, self.is_narrow
        if self._drawn == wanted:
            return
        self._drawn = wanted
        self.table.clear(columns=True)
        for column in self._columns():
            is_sorted = column.sort == self.wanted.sort
            arrow = ("▲" if column.sort == "name" else "▼") if is_sorted else ""
            justify = "left" if column.title in _WORDS else "right"
            label = Text(f"{column.title}{arrow}", justify=justify, style="reverse" if is_sorted else "")
            self.table.add_column(label, key=column.title)

    def _columns(self) -> list[figures.Column]:
        return [column for column in figures.COLUMNS if column.is_narrow or not self.is_narrow]

    def _head(self, answer: StatsView) -> list[Text]:
        node, found = answer.node, answer.window
        lines = [
            clean(figures.server_line(node), "bold" if node.status == "ready" else "bold red"),
            clean(figures.traffic_line(node, found), "yellow" if found.is_cut or not found.is_recorded else ""),
            clean(self._narrowed(answer), "cyan"),
        ]
        if advice := advise(node, self._troubled):
            more = f"  (+{len(advice) - 1} more: caxton status)" if len(advice) > 1 else ""
            lines.append(clean(f"⚠ {advice[0].text}: {advice[0].todo}{more}", "yellow"))
        return lines

    def _narrowed(self, answer: StatsView) -> str:
        shown = len(answer.agents)
        one = "agent" if answer.matched == 1 else "agents"
        which = f"{shown:,} of {answer.matched:,} {one}" if shown < answer.matched else f"{shown:,} {one}"
        of_all = f" of {answer.total:,}" if answer.matched < answer.total else ""
        name = f", name contains {self.wanted.match!r}" if self.wanted.match else ""
        trouble = ", only those in trouble" if self.wanted.troubled else ""
        return f"{which}{of_all} by {self.wanted.sort}{name}{trouble}"

    def _cells(self, agent: AgentFigures) -> list[Text]:
        cells: list[Text] = []
        values = figures.narrow_cells(agent) if self.is_narrow else figures.cells(agent)
        for column, cell in zip(self._columns(), values, strict=True):
            text = clean(cell, _style(column.title, agent))
            text.justify = "left" if column.title in _WORDS else "right"
            cells.append(text)
        return cells

    # --- keys ------------------------------------------------------------------------------------------------

    def _want(self, **changes: object) -> None:
        """Ask for something else, at once; also while the screen is paused."""
        self.wanted = msgspec.structs.replace(self.wanted, **changes)
        self.is_paused = False
        self.ask_again()

    def action_sort(self, step: int) -> None:
        """Put them in another order."""
        self._want(sort=SORTS[(SORTS.index(self.wanted.sort) + step) % len(SORTS)])

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        if (sort := self._columns()[event.column_index].sort) is not None:
            self._want(sort=sort)

    def action_troubled(self) -> None:
        """Only those that somebody should look at, or all."""
        self._want(troubled=not self.wanted.troubled)

    def action_clear(self) -> None:
        """All agents again."""
        if self.wanted.match or self.wanted.troubled:
            self._want(match="", troubled=False)

    def action_window(self) -> None:
        """Look back over another time."""
        self.window_s = next((one for one in WINDOWS_S if one > self.window_s), WINDOWS_S[0])
        self.tell_news(f"rates and times are those of the last {format_duration(self.window_s)}")
        self._want()

    def action_filter(self) -> None:
        """Ask for a part of a name."""

        def given(text: str | None) -> None:
            if text is not None:
                self._want(match=text[:128])

        self.live.push_screen(Prompt("Only agents whose name contains:", self.wanted.match), given)

    def action_conversation(self) -> None:
        """Ask for a conversation, and look into it."""

        def given(text: str | None) -> None:
            if text:
                self.live.push_screen(ConversationScreen(text))

        self.live.push_screen(Prompt("Conversation id:", ""), given)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if (name := event.row_key.value) is not None:
            self.live.push_screen(AgentScreen(name, window_s=self.window_s))


class Prompt(ModalScreen["str | None"]):
    """One line of text; None if it was left."""

    CSS = """
    Prompt { align: center middle; }
    #prompt { width: 60; max-width: 90%; height: auto; border: round $accent; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)")]

    def __init__(self, question: str, value: str) -> None:
        super().__init__()
        self._question, self._value = question, value

    def compose(self) -> ComposeResult:
        with Vertical(id="prompt"):
            yield Static(clean(self._question))
            yield Input(self._value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())


def _style(column: str, agent: AgentFigures) -> str:
    """What should catch the eye."""
    match column:
        case "STATE" if agent.status in ("failed", "vacant") or agent.circuit == "open":
            return "bold red"
        case "STATE" if agent.type == "native":
            return "dim"
        case "STATE" if agent.status != "running" or agent.healthy < agent.replicas or agent.busy_s is not None:
            return "yellow"
        case "QUEUE" if agent.is_backlog:
            return "bold yellow"
        case "FAILED" if agent.failed_in_window:
            return "bold red"
        case "BREAKER" if agent.circuit in ("open", "half_open"):
            return "bold red" if agent.circuit == "open" else "bold yellow"
        case "MEMORY" if agent.memory_limit_bytes and agent.memory_bytes >= 0.9 * agent.memory_limit_bytes:
            return "yellow"
        case _:
            return ""
