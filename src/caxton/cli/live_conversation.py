"""One conversation of `caxton top`: who waits for whom, and what was said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from caxton.cli.live_screen import LiveScreen, clean
from caxton.client import ApiProblem
from caxton.core.units import format_duration

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from caxton.client import CaxtonClient
    from caxton.core.views.messages import Sighting
    from caxton.core.views.waits import CriticalPath, WaitPath

LAST = 500
"""Messages that are shown, the last ones."""

_COLUMNS = ("TIME", "EVENT", "ACT", "FROM", "TO", "TRY", "REASON", "CONTENT")


class Seen(NamedTuple):
    """What is known of a conversation."""

    messages: list[Sighting]
    path: CriticalPath | None
    """None: neither a state nor a message of it is kept."""


class ConversationScreen(LiveScreen[Seen]):
    """See the module."""

    KEYS = "↑↓ scroll  p pause  Esc back  q quit"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen"), Binding("p,space", "pause")]

    def __init__(self, conversation_id: str) -> None:
        super().__init__()
        self._conversation = conversation_id

    def body(self) -> ComposeResult:
        yield DataTable[Text](id="said", cursor_type="row", zebra_stripes=True)

    def question(self, client: CaxtonClient) -> Seen:
        messages = client.sniffed(self._conversation, limit=LAST)
        try:
            return Seen(messages, client.why(self._conversation))
        except ApiProblem as exc:
            if exc.code != "CONVERSATION_NOT_FOUND":
                raise
            return Seen(messages, None)

    def show(self, answer: Seen) -> None:
        self.head(self._head(answer))
        table = cast("DataTable[Text]", self.query_one("#said"))
        if not table.columns:
            table.add_columns(*_COLUMNS)
        at, scrolled = table.cursor_row, table.scroll_y
        table.clear()
        for one in answer.messages:
            table.add_row(*_cells(one))
        table.move_cursor(row=min(at, max(len(answer.messages) - 1, 0)), animate=False, scroll=False)
        table.scroll_to(y=scrolled, animate=False)

    def _head(self, answer: Seen) -> list[Text]:
        path, count = answer.path, len(answer.messages)
        kept = f"{count} message{'s' * (count != 1)}" if count < LAST else f"the last {LAST} messages"
        if path is None:
            return [
                clean(f"conversation {self._conversation}", "bold"),
                clean(f"{kept} remembered; it follows no protocol, or is long over, or nobody knows it"),
            ]
        protocol = path.protocol or "no protocol"
        lines = [
            clean(f"conversation {self._conversation}  {path.status}  {protocol}", "bold"),
            clean(f"{kept} remembered, {format_duration(path.duration_s)} from the first to the last"),
        ]
        return lines + [clean(_why(one), "yellow") for one in path.paths[:3]]


def _why(path: WaitPath) -> str:
    waits = "; ".join(f"{w.waiter} waits for {w.waits_for} ({format_duration(w.waited_s)})" for w in path.waits)
    return f"{waits}: {path.cause.agent} {path.cause.text}"


def _cells(one: Sighting) -> list[Text]:
    at = datetime.fromtimestamp(one.timestamp / 1e6, UTC).isoformat(timespec="milliseconds")
    values = (
        at[11:23],
        one.event,
        one.performative,
        one.sender,
        one.receiver,
        str(one.attempt),
        one.reason or "",
        one.excerpt,
    )
    style = "" if one.event == "sent" else "red"
    return [clean(value, style) for value in values]
