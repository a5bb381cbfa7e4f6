"""All of a node's conversations: puts the parts of this room together, reads them back at start."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from caxton.conversations.book import Book
from caxton.conversations.deadlines import Deadlines
from caxton.conversations.referee import Referee
from caxton.conversations.settings import OFF, ConversationSettings
from caxton.conversations.table import Table
from caxton.conversations.watch import DeadlockWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.bus.bus import Bus
    from caxton.bus.envelope import Envelope
    from caxton.bus.journal import Journal
    from caxton.conversations.settings import Mode
    from caxton.core.clock import Clock
    from caxton.storage.database import Row, Statement

KEEP_ENDED_US = 7 * 86_400 * 1_000_000
KEEP_ENDED_ROWS = 100_000
"""How long conversations that are over are kept in the journal, and how many."""

_PRUNE_OLD = "DELETE FROM conversations WHERE ended_us < ?"
_PRUNE_MANY = (
    "DELETE FROM conversations WHERE ended_us <= "
    "(SELECT ended_us FROM conversations WHERE ended_us IS NOT NULL ORDER BY ended_us DESC LIMIT 1 OFFSET ?)"
)
_MODES = "SELECT workspace, conversation_mode FROM workspace_settings WHERE conversation_mode IS NOT NULL"
_SET_MODE = "INSERT OR REPLACE INTO workspace_settings (workspace, conversation_mode) VALUES (?, ?)"


class Conversations:
    """Made with the bus, loaded before mail is handled, started with the loop."""

    def __init__(
        self, bus: Bus, journal: Journal, clock: Clock, read: Callable[[str, Row], list[Row]],
        say: Callable[[str, str, str, Envelope | None], None],
        settings: ConversationSettings | None = None,
    ) -> None:  # fmt: skip
        """Put the parts together.

        Args:
            bus: gets its referee here.
            journal: what changes is written with its commits.
            clock: for deadlines.
            read: asks the journal as of its last commit, at once.
            say: `say(workspace, agent, text, about)` writes a warning, about a message or none, into an agent's log.
            settings: of the node.
        """
        settings = settings or ConversationSettings()
        self._journal, self._clock = journal, clock
        self.book = Book(journal, read)
        self.book.idle_us, self.book.max_age_us = settings.idle_us, settings.max_age_us
        self.table = Table(self.book)
        self.deadlines = Deadlines(bus, self.table, clock)
        self.watch = DeadlockWatch(bus, self.table, clock, say)
        self.referee = bus.referee = Referee(bus, self.table, self.deadlines, self.watch, clock, say)
        self.referee.mode = settings.mode
        journal.prunes.append(self._prune)

    def load(self, query: Callable[[str, Row], list[Row]]) -> None:
        """Take up what an earlier run left."""
        self.book.load(query)
        for workspace, mode in query(_MODES, ()):
            self.referee.modes[str(workspace)] = cast("Mode", mode)

    def start(self) -> None:
        """Deadlines pass from now on."""
        self.deadlines.start()
        self.watch.arm()

    def close(self) -> None:
        self.deadlines.close()
        self.watch.close()

    def set_mode(self, workspace: str, mode: Mode | None) -> None:
        """How strictly the conversations of `workspace` are watched; None: as the node says. The next commit has it.

        With `off`, those that are open are over: what is said in them from now on is unknown.
        """
        if mode is None:
            self.referee.modes.pop(workspace, None)
        else:
            self.referee.modes[workspace] = mode
        self._journal.add(_SET_MODE, workspace, mode)
        if (mode or self.referee.mode) == OFF:
            self.table.end_all(workspace, self._clock.steady_us())

    def _prune(self) -> list[Statement]:
        return [
            (_PRUNE_OLD, [(self._clock.steady_us() - KEEP_ENDED_US,)]),
            (_PRUNE_MANY, [(KEEP_ENDED_ROWS,)]),
        ]
