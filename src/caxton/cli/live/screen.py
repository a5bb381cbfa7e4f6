"""A screen that asks the server again and again, and says so when it gets no answer.

Questions are asked in threads of their own, one at a time for each screen, and nobody waits for them: a server that
hangs stops neither the keys nor the end. Answers come back as messages of textual.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from caxton.cli.output import printable
from caxton.core.errors.error import CaxtonError
from caxton.core.units import format_duration
from caxton.core.views.stats import StatsFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.app import ComposeResult

    from caxton.client import CaxtonClient
    from caxton.core.views.stats import AgentFigures, StatsView

T = TypeVar("T")

OVERDUE_S = 2.0
"""An answer that takes longer is missed, and the screen says so."""

NARROW = 110
"""Columns; with fewer there is less to see."""

ADVISED = 100
"""Agents in trouble that are asked for beside those on the screen; three are named."""

NEWS_S = 15.0
"""For so long the screen tells that the server has restarted."""


def clean(text: str, style: str = "") -> Text:
    """Somebody else's text: it can neither steer the terminal nor be markup."""
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


class Feed:
    """A client that is made anew when it failed. Used by one thread at a time for each question."""

    def __init__(self, connect: Callable[[], CaxtonClient]) -> None:
        self._connect = connect
        self._client: CaxtonClient | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def ask(self, question: Callable[[CaxtonClient], T]) -> T:
        """The answer to `question`; raises `CaxtonError`."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            try:
                answer = question(self._client)
            except CaxtonError:
                self._drop()
                raise
            if self._is_closed:
                self._drop()
            return answer

    def close(self) -> None:
        """Close the connections: now, or when the answer that somebody waits for is there."""
        self._is_closed = True
        if self._lock.acquire(blocking=False):
            self._drop()
            self._lock.release()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


def troubled(client: CaxtonClient, seen: StatsView, window_s: float) -> list[AgentFigures]:
    """All agents that advice may name, also those that the screen does not show."""
    if len(seen.agents) >= seen.total:
        return seen.agents
    return client.stats(StatsFilter(troubled=True), window_s=window_s, limit=ADVISED).agents


class LiveApp(App[None]):
    """Frame of the live screens."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #head { height: auto; padding: 0 1; }
    #foot { dock: bottom; height: 2; layout: vertical; }
    #state, #keys { height: 1; padding: 0 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    #keys { color: $text-muted; }
    DataTable { height: 1fr; }
    DataTable > .datatable--header { text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,ctrl+c,ctrl+q", "quit", "quit", priority=False, show=False)]

    def __init__(self, connect: Callable[[], CaxtonClient], *, every_s: float) -> None:
        super().__init__()
        self.feed = Feed(connect)
        self.every_s = every_s

    def on_unmount(self) -> None:
        self.feed.close()

    def show_until_left(self) -> None:
        """Take the terminal, and give it back. An error of ours is raised when the terminal is as it was."""
        self.run()
        if self._exception is not None:
            raise self._exception

    def _fatal_error(self) -> None:
        """Textual would print all local variables, tokens among them; the command's own wall tells of errors."""
        self._close_messages_no_wait()


class LiveScreen(Screen[None], Generic[T]):
    """Subclasses say what to ask (`question`) and what to do with the answer (`show`)."""

    KEYS: ClassVar[str] = ""
    """The keys of the screen, as its last line tells them."""

    class Answered(Message):
        """An answer, or why there is none, came in."""

        def __init__(self, serial: int, answer: Any, error: CaxtonError | None) -> None:
            super().__init__()
            self.serial, self.answer, self.error = serial, answer, error

    def __init__(self) -> None:
        super().__init__()
        self.is_paused = self.is_narrow = False
        self.answers = 0
        """How many came, errors included."""
        self.error: CaxtonError | None = None
        self.answer: T | None = None
        self._serial = 0
        """Of the question that is meant; see `ask_again`."""
        self._asked_at: float | None = None
        self._lost_at: float | None = None
        self._news: tuple[str, float] | None = None

    # --- for subclasses --------------------------------------------------------------------------------------
    # Abstract: textual's metaclass leaves no room for that of `abc`, so who forgets one is told when it is called.

    def question(self, client: CaxtonClient) -> T:
        """What to ask; called in a thread of its own."""
        raise NotImplementedError

    def show(self, answer: T) -> None:
        """Put the answer on the screen."""
        raise NotImplementedError

    def body(self) -> ComposeResult:
        """The widgets between the head and the last two lines."""
        raise NotImplementedError

    def run_of(self, answer: T) -> str | None:
        """Which run of the server the answer is of, if it tells."""
        del answer
        return None

    # --- the frame -------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield from self.body()
        with Horizontal(id="foot"):
            yield Static(id="state")
            yield Static(clean(self.KEYS), id="keys")

    def on_mount(self) -> None:
        self._fit()
        self.set_interval(self.live.every_s, self.ask)
        self.set_interval(1.0, self.tell_state)
        self.ask()

    def on_screen_resume(self) -> None:
        self.ask()

    def on_resize(self) -> None:
        was_narrow = self.is_narrow
        self._fit()
        if self.is_narrow != was_narrow and self.answer is not None:
            self.show(self.answer)

    def _fit(self) -> None:
        self.is_narrow = self.live.size.width < NARROW
        self.set_class(self.is_narrow, "-narrow")

    def action_pause(self) -> None:
        """Let everything stand as it is, or go on."""
        self.is_paused = not self.is_paused
        self.tell_state()
        self.ask()

    def head(self, lines: Iterable[Text]) -> None:
        """Set the lines at the top."""
        self.query_one("#head", Static).update(Text("\n").join(lines))

    # --- asking ----------------------------------------------------------------------------------------------

    @property
    def live(self) -> LiveApp:
        """The frame."""
        return cast("LiveApp", self.app)  # pyright: ignore[reportUnknownMemberType]

    def ask(self) -> None:
        """Ask now, unless an answer is awaited, or nobody looks."""
        if self.is_paused or self._asked_at is not None or not self.is_current:
            return
        self._asked_at = time.monotonic()
        threading.Thread(target=self._ask, args=(self.live.feed, self.question, self._serial), daemon=True).start()

    def ask_again(self) -> None:
        """What is wanted has changed: an answer to the old question that is under way is not shown."""
        self._serial += 1
        self._asked_at = None
        self.tell_state()
        self.ask()

    def _ask(self, feed: Feed, question: Callable[[CaxtonClient], T], serial: int) -> None:
        try:
            answered = self.Answered(serial, feed.ask(question), None)
        except CaxtonError as exc:
            answered = self.Answered(serial, None, exc)
        self.post_message(answered)

    def on_live_screen_answered(self, event: Answered) -> None:
        event.stop()
        if event.serial != self._serial:
            return
        self._asked_at = None
        was_lost, self.error = self.error is not None, event.error
        if event.error is not None:
            self._lost_at = self._lost_at or time.monotonic()
        else:
            self._arrived(event.answer, was_lost=was_lost)
        self.answers += 1
        self.tell_state()

    def _arrived(self, answer: T, *, was_lost: bool) -> None:
        before = None if self.answer is None else self.run_of(self.answer)
        self.answer, self._lost_at = answer, None
        if before is not None and self.run_of(answer) != before:
            self.tell_news("the server has restarted: counts begin anew")
        elif was_lost:
            self.tell_news("connected again")
        if not self.is_paused:
            self.show(answer)

    def tell_news(self, text: str) -> None:
        """Say something for a while."""
        self._news = text, time.monotonic() + NEWS_S

    # --- the state -------------------------------------------------------------------------------------------

    def tell_state(self) -> None:
        """Say how the screen stands with the server."""
        if self.is_mounted:
            self.query_one("#state", Static).update(self.state())

    def state(self) -> Text:
        """The line but one."""
        now = time.monotonic()
        every = f"every {format_duration(self.live.every_s)}"
        if self.error is not None and self._lost_at is not None:
            since = format_duration(max(now - self._lost_at, 1))
            return clean(f"✗ for {since}, asking again {every}: {self.error}", "bold red")
        if self.is_paused:
            return clean("‖ paused: p goes on", "bold yellow")
        if self._asked_at is not None and now - self._asked_at > OVERDUE_S:
            return clean(f"◐ no answer for {format_duration(now - self._asked_at)}", "yellow")
        if self._news is not None and now < self._news[1]:
            return clean(f"ℹ {self._news[0]}", "bold blue")  # noqa: RUF001 - the sign itself
        return clean(f"● live, {every}" if self.answer is not None else "◐ asking", "green")
