"""One agent of `caxton top`: its figures, and what it did last."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from caxton.cli.drawing import figures
from caxton.cli.live.conversation import ConversationScreen
from caxton.cli.live.screen import LiveScreen, clean
from caxton.core.units import format_duration
from caxton.core.views.stats import AgentFigures, AgentStatsView, HandlingView

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from caxton.client import CaxtonClient

RECENT = 200
"""What is shown of what it did last."""

_COLUMNS = ("TIME", "EVENT", "ACT", "FROM", "TO", "WAITED", "TOOK", "TRY", "CONVERSATION", "DETAIL")

BAD = frozenset({"failed", "crashed", "dead", "refused", "lost"})


class AgentScreen(LiveScreen[AgentStatsView]):
    """See the module."""

    KEYS = "↑↓ choose  Enter conversation  p pause  Esc back  q quit"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen"), Binding("p,space", "pause")]

    def __init__(self, name: str, *, window_s: float) -> None:
        super().__init__()
        self._agent, self._window_s = name, window_s
        self._shown: list[HandlingView] = []

    def body(self) -> ComposeResult:
        yield DataTable[Text](id="recent", cursor_type="row", zebra_stripes=True)

    @property
    def table(self) -> DataTable[Text]:
        return cast("DataTable[Text]", self.query_one("#recent"))

    def question(self, client: CaxtonClient) -> AgentStatsView:
        return client.agent_stats(self._agent, window_s=self._window_s, limit=RECENT)

    def show(self, answer: AgentStatsView) -> None:
        self.head(_head(answer))
        table = self.table
        if not table.columns:
            table.add_columns(*_COLUMNS)
        at, scrolled = table.cursor_row, table.scroll_y
        chosen = self._shown[at] if 0 < at < len(self._shown) else None
        self._shown = answer.recent
        table.clear()
        for one in answer.recent:
            table.add_row(*_cells(one))
        row = answer.recent.index(chosen) if chosen in answer.recent else at
        table.move_cursor(row=min(row, max(len(answer.recent) - 1, 0)), animate=False, scroll=False)
        table.scroll_to(y=scrolled, animate=False)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        conversation = self._shown[event.cursor_row].conversation_id
        if conversation is None:
            self.tell_news("it belongs to no conversation")
            self.tell_state()
        else:
            self.live.push_screen(ConversationScreen(conversation))


def _head(answer: AgentStatsView) -> list[Text]:
    agent = answer.agent
    uptime = "" if agent.uptime_s is None else f"  up {format_duration(agent.uptime_s)}"
    state = f"{agent.name}  {agent.status}, {agent.healthy} of {agent.replicas} up{uptime}"
    lines = [clean(state, "bold" if agent.status == "running" else "bold red")]
    if agent.reason:
        lines.append(clean(f"  {agent.reason}", "red"))
    lines += [
        clean(
            f"{figures.rate(agent.rate_per_s)}/s  handling {figures.span(agent.handling)}"
            f"  waiting {figures.span(agent.waiting)}  ({figures.window(answer.window)})"
        ),
        clean(_counts(agent)),
    ]
    if agent.busy_s is not None:
        lines.append(clean(f"a message has been in hand for {format_duration(agent.busy_s)}", "yellow"))
    if not answer.recent:
        lines.append(clean("nothing happened in this time", "dim"))
    return lines


def _counts(agent: AgentFigures) -> str:
    memory = f"memory {figures.size(agent.memory_bytes)} of {figures.size(agent.memory_limit_bytes)}  "
    return (
        f"{memory if agent.memory_limit_bytes else ''}queue {agent.queue:,} of {agent.queue_limit:,}  "
        f"restarts {agent.restarts}  failed {agent.failed_in_window:,} (of this run {agent.failed:,})  "
        f"handled {agent.handled:,}  breaker {agent.circuit.replace('_', '-')}"
    )


def _cells(one: HandlingView) -> list[Text]:
    values = (
        figures.clock_time(one.at),
        one.kind,
        one.performative,
        one.sender,
        one.receiver,
        figures.millis(one.waited_ms),
        figures.millis(one.handled_ms),
        str(one.attempt),
        one.conversation_id or figures.NONE,
        one.detail or "",
    )
    style = "red" if one.kind in BAD else ""
    return [clean(value, style) for value in values]
