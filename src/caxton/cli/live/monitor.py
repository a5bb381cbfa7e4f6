"""The screen of `caxton monitor`: the whole server as curves, bars and a few lines."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal
from textual.widget import Widget

from caxton.cli.advice import advise
from caxton.cli.drawing import figures
from caxton.cli.drawing.curves import CURVES, Curve, Point, as_count, point
from caxton.cli.drawing.plot import bar, ceiling, plot
from caxton.cli.live.screen import LiveApp, LiveScreen, clean, troubled
from caxton.core.views.stats import AgentFigures, HandlingView, NodeFigures, StatsView

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from caxton.client import CaxtonClient

REMEMBERED = 1000
"""Points of a curve: more columns than a terminal has."""

AGENTS = 20

INCIDENTS = 100
"""Of what went wrong, the last ones."""

TALL = 40
"""Lines; with fewer there is room for one piece of advice, else for `MUCH_ADVICE`."""

MUCH_ADVICE = 3

_WITH_STATE = 50
"""Columns of the panel of agents that has room for their state."""

_BAR = 12
_NEAR, _FULL = 0.7, 0.9
"""Of a limit, where a bar becomes yellow and red."""


class MonitorApp(LiveApp):
    """See the module."""

    TITLE = "caxton monitor"

    def __init__(self, connect: Callable[[], CaxtonClient], *, window_s: float, every_s: float) -> None:
        super().__init__(connect, every_s=every_s)
        self.monitor = MonitorScreen(window_s=window_s)

    def on_mount(self) -> None:
        self.push_screen(self.monitor)


class Panel(Widget):
    """Lines in a frame; what does not fit is left out."""

    def __init__(self, *, id: str, title: str) -> None:
        super().__init__(id=id, classes="panel")
        self.border_title = title
        self._write: Callable[[int], list[Text]] = lambda _width: []

    def put(self, write: Callable[[int], list[Text]]) -> None:
        """Show what `write` makes for a number of columns."""
        self._write = write
        self.refresh()

    def render(self) -> Text:
        return Text("\n").join(self._write(self.size.width)[: max(self.size.height, 1)])


class PlotPanel(Widget):
    """One curve in a frame."""

    def __init__(self, curve: Curve, points: deque[Point]) -> None:
        super().__init__(id=curve.id, classes="plot")
        self._curve, self._points = curve, points

    def update(self) -> None:
        """Draw the last points."""
        curve = self._curve
        last = curve.value(self._points[-1]) if self._points else None
        self.border_title = f"{curve.title} {curve.text(last)}"
        shown = self._values()
        self.border_subtitle = f"top {curve.text(ceiling(shown))}" if any(shown) else ""
        self.refresh()

    def _values(self) -> list[float | None]:
        values = [self._curve.value(point) for point in self._points]
        return values[-self.size.width :] if self.size.width else values

    def render(self) -> Text:
        lines = plot(self._values(), width=self.size.width, height=max(self.size.height, 1))
        return Text("\n".join(lines), style=self._curve.colour, no_wrap=True)


class MonitorScreen(LiveScreen[StatsView]):
    """See the module."""

    KEYS = "p pause  q quit   (caxton top: look into agents; caxton status: what to do about warnings)"
    CSS = """
    #plots { grid-size: 4 2; height: 3fr; min-height: 8; }
    .plot, .panel { border: round $primary; border-title-color: $text; border-subtitle-color: $text-muted; }
    #panels { height: 4fr; min-height: 7; }
    #agents { width: 5fr; }
    #resources { width: 42; }
    #activity { width: 5fr; }
    .plot, .panel { text-wrap: nowrap; text-overflow: ellipsis; }
    MonitorScreen.-narrow #plots { grid-size: 3 2; }
    MonitorScreen.-narrow #waiting, MonitorScreen.-narrow #cpu { display: none; }
    MonitorScreen.-narrow #activity { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("p,space", "pause")]

    def __init__(self, *, window_s: float) -> None:
        super().__init__()
        self._window_s = window_s
        self.points: deque[Point] = deque(maxlen=REMEMBERED)
        self._node: NodeFigures | None = None
        self._troubled: list[AgentFigures] = []
        self._incidents: list[HandlingView] = []
        """All that this screen was told of, the last first: the window is shorter than what one wants to know."""

    def body(self) -> ComposeResult:
        with Grid(id="plots"):
            for curve in CURVES:
                yield PlotPanel(curve, self.points)
        with Horizontal(id="panels"):
            yield Panel(id="agents", title="busiest agents")
            yield Panel(id="resources", title="resources")
            yield Panel(id="activity", title="what went wrong")

    def question(self, client: CaxtonClient) -> StatsView:
        found = client.stats(window_s=self._window_s, limit=AGENTS)
        self._troubled = troubled(client, found, self._window_s)
        return found

    def run_of(self, answer: StatsView) -> str:
        return answer.node.run

    def show(self, answer: StatsView) -> None:
        node = answer.node
        self.points.append(point(self._node, node))
        self._node = node
        new = [one for one in answer.incidents if one not in self._incidents]
        self._incidents = [*new, *self._incidents][:INCIDENTS]
        self.head(_head(answer, self._troubled, MUCH_ADVICE if self.live.size.height >= TALL else 1))
        for panel in self.query(PlotPanel):
            panel.update()
        self.query_one("#agents", Panel).put(partial(_agents, answer))
        self.query_one("#resources", Panel).put(partial(_resources, node, self.points[-1]))
        self.query_one("#activity", Panel).put(partial(_activity, self._incidents, answer.window.is_recorded))


def _head(answer: StatsView, troubled: list[AgentFigures], advice: int) -> list[Text]:
    node = answer.node
    lines = [clean(figures.server_line(node), "bold" if node.status == "ready" else "bold red")]
    if not answer.window.is_recorded or answer.window.is_cut:
        lines.append(clean(figures.window(answer.window), "yellow"))
    return lines + [clean(f"⚠ {one.text}: {one.todo}", "yellow") for one in advise(node, troubled)[:advice]]


def _agents(answer: StatsView, width: int) -> list[Text]:
    """The busiest, with messages a minute."""
    has_state = width >= _WITH_STATE
    most = max(min(width - 28 - (11 if has_state else 0), 40), 8)
    state = "  state" if has_state else ""
    lines = [clean(f"{'agent':<{most}} {'msg/min':>9} {'p99':>8} {'queue':>7}{state}", "bold")]
    for agent in answer.agents:
        per_min = None if agent.rate_per_s is None else agent.rate_per_s * 60
        row = figures.cells(agent)
        name = figures.shortened(agent.name, most)
        state = f"  {row[1]}" if has_state else ""
        line = f"{name:<{most}} {as_count(per_min):>9} {row[4]:>8} {row[6]:>7}{state}"
        is_bad = agent.status == "failed" or agent.circuit == "open" or agent.failed_in_window > 0
        lines.append(clean(line, "red" if is_bad else "dim" if not agent.rate_per_s else ""))
    if not answer.agents:
        lines.append(clean("no agents: 'caxton deploy FILE.wasm' deploys one", "dim"))
    elif answer.total > len(answer.agents):
        lines.append(clean(f"and {answer.total - len(answer.agents):,} more", "dim"))
    return lines


def _resources(node: NodeFigures, last: Point, _width: int) -> list[Text]:
    disk_used = node.disk_total_bytes - node.disk_free_bytes
    size = figures.size
    return [
        _resource("disk", disk_used, node.disk_total_bytes, f"{size(node.disk_free_bytes)} free"),
        _resource("journal", node.journal_bytes, node.journal_limit_bytes, size(node.journal_bytes)),
        _resource("its log", node.wal_bytes, node.wal_limit_bytes, size(node.wal_bytes)),
        _resource("guests", node.memory_bytes, node.memory_limit_bytes, size(node.memory_bytes)),
        _resource("mail", node.queue, node.queue_limit, figures.number(node.queue)),
        _resource("dead", node.dead_letters_bytes, node.dead_letters_limit_bytes, f"{node.dead_letters:,} letters"),
        clean(f"{'process':<9}{size(node.process_bytes)}, {_cpu(last.cpu)}"),
        clean(f"{'breakers':<9}{figures.counted(node.circuits)}"),
        clean(f"{'talks':<9}{node.conversations_open:,} open, {node.deadlocks} deadlocked"),
    ]


def _cpu(cpu: float | None) -> str:
    return "cpu -" if cpu is None else f"cpu {cpu:.0%}"


def _resource(name: str, used: float, limit: float, text: str) -> Text:
    ratio = used / limit if limit else 0.0
    colour = "red" if ratio >= _FULL else "yellow" if ratio >= _NEAR else "green"
    return Text.assemble(f"{name:<9}", (bar(ratio, width=_BAR), colour), f" {ratio:>4.0%} ", clean(text))


def _activity(incidents: list[HandlingView], is_recorded: bool, _width: int) -> list[Text]:
    if not incidents:
        return [clean("nothing" if is_recorded else "nothing is known: the flight recorder is off", "dim")]
    return [clean(figures.incident_line(one), "red") for one in incidents]
