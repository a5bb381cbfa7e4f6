"""One conversation of `caxton top`: who waits for whom, and what happened to each message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar, cast

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from caxton.cli.drawing import figures
from caxton.cli.live.screen import LiveScreen, clean
from caxton.client import ApiProblem
from caxton.core.units import format_duration
from caxton.core.views.traces import TraceFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from caxton.client import CaxtonClient
    from caxton.core.views.traces import TraceEvent, TraceView
    from caxton.core.views.waits import CriticalPath, WaitPath

LAST = 200
"""Messages that are shown, the last ones."""

MAX_WHY = 3
"""Waits that the head tells of."""

NOT_FOUND = 404

T = TypeVar("T")

_COLUMNS = ("TIME", "AGENT", "ACT", "STATUS", "TRY", "TOOK", "DETAIL")

_BAD = frozenset({"failed", "crashed", "lost", "dead", "refused"})
_OPEN = frozenset({"waiting", "in hand"})


class Known(NamedTuple):
    """What is known of a conversation; None: nothing of this kind."""

    trace: TraceView | None
    path: CriticalPath | None
    said: dict[str, str]
    """The beginnings of contents, by message id."""


class ConversationScreen(LiveScreen[Known]):
    """See the module."""

    KEYS = "↑↓ scroll  p pause  Esc back  q quit   (caxton trace: the same as text, JSON or a diagram)"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen"), Binding("p,space", "pause")]

    def __init__(self, conversation_id: str) -> None:
        super().__init__()
        self._conversation = conversation_id

    def body(self) -> ComposeResult:
        yield DataTable[Text](id="events", cursor_type="row", zebra_stripes=True)

    def question(self, client: CaxtonClient) -> Known:
        conversation = self._conversation
        trace = _known(lambda: client.trace(TraceFilter(conversation_id=conversation), limit=LAST))
        said = {one.message_id: one.excerpt for one in client.sniffed(conversation, limit=LAST)} if trace else {}
        return Known(trace, _known(lambda: client.why(conversation)), said)

    def show(self, answer: Known) -> None:
        self.head(self._head(answer))
        table = cast("DataTable[Text]", self.query_one("#events"))
        if not table.columns:
            table.add_columns(*_COLUMNS)
        at, scrolled = table.cursor_row, table.scroll_y
        table.clear()
        trace = answer.trace
        events = [] if trace is None else trace.events
        messages = {} if trace is None else {span.id: span.message_id for span in trace.spans}
        for one in events:
            table.add_row(*_cells(one, answer.said.get(messages.get(one.span, ""), "")))
        table.move_cursor(row=min(at, max(len(events) - 1, 0)), animate=False, scroll=False)
        table.scroll_to(y=scrolled, animate=False)

    def _head(self, answer: Known) -> list[Text]:
        trace, path = answer.trace, answer.path
        title = f"conversation {self._conversation}"
        if trace is None and path is None:
            return [clean(title, "bold"), clean("nothing is known of it: it never was, or is forgotten", "yellow")]
        lines = [clean(title if path is None else f"{title}  {path.status}  {path.protocol or 'no protocol'}", "bold")]
        if trace is not None:
            count = len(trace.spans)
            cut = f", the last of {trace.total:,}" if trace.total > count else ""
            lines.append(clean(f"{count:,} message{'s' * (count != 1)}{cut}"))
        return lines if path is None else lines + [clean(_why(one), "yellow") for one in path.paths[:MAX_WHY]]


def _known(ask: Callable[[], T]) -> T | None:
    """The answer, or None if the server knows nothing of what was asked."""
    try:
        return ask()
    except ApiProblem as exc:
        if exc.status != NOT_FOUND:
            raise
        return None


def _why(path: WaitPath) -> str:
    waits = "; ".join(f"{w.waiter} waits for {w.waits_for} ({format_duration(w.waited_s)})" for w in path.waits)
    return f"{waits}: {path.cause.agent} {path.cause.text}"


def _cells(one: TraceEvent, said: str) -> list[Text]:
    at = datetime.fromtimestamp(one.at / 1e6, UTC).isoformat(timespec="milliseconds")
    status = one.status or (f"tool {one.tool}" if one.tool else "")
    values = (
        figures.clock_time(at),
        one.agent,
        one.message or "",
        status,
        str(one.attempt),
        figures.millis(None if one.took_us is None else one.took_us / 1000),
        one.error or one.note or (said if one.status == "sent" else ""),
    )
    style = "red" if one.error or one.status in _BAD else "yellow" if one.status in _OPEN else ""
    return [clean(value, style) for value in values]
