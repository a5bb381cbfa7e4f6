"""Where conversations are: the recent ones in memory, the others in the journal only.

A conversation leaves memory only after the commit that wrote it, so memory and journal together always know all of
them. What begins and ends between two commits is never written, as with messages; the last of those are remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol, TypeAlias

from caxton.conversations.conversation import COLUMNS, SAVE, load, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from caxton.bus.journal import Source
    from caxton.conversations.conversation import Conversation, Key
    from caxton.storage.database import Row, Statement

MAX_IN_MEMORY = 20_000
"""Conversations that go on; those of which nothing was heard for longest are in the journal only."""

MAX_ENDED = 4096
"""Conversations that are over, in memory: to answer what comes late, and those who ask what happened."""

MAX_PAIRS = 200_000
"""Participants of the conversations in memory, together: one can have ten thousand."""

MAX_OVER = 200_000
"""Conversations that are over, and in the journal, which are known there: twice what it keeps."""

_FIND = f"SELECT {COLUMNS} FROM conversations WHERE workspace = ? AND id = ?"  # noqa: S608
_WAKING = (
    "SELECT wake_us, workspace, id FROM conversations WHERE ended_us IS NULL AND wake_us < ? "
    "AND (wake_us, workspace, id) > (?, ?, ?) ORDER BY wake_us, workspace, id LIMIT ?"
)
_RECENT = f"SELECT {COLUMNS} FROM conversations WHERE ended_us IS NULL ORDER BY last_us DESC LIMIT ?"  # noqa: S608
_KEYS = "SELECT workspace, id FROM conversations WHERE ended_us IS NULL"
_END_ALL = "UPDATE conversations SET ended_us = ?, outcome = ? WHERE workspace = ? AND ended_us IS NULL"
_OVER = "SELECT workspace, id FROM conversations WHERE ended_us IS NOT NULL ORDER BY ended_us"


Edges: TypeAlias = tuple[tuple[str, str], ...]
"""(who waits, for whom)."""


Waking: TypeAlias = tuple[int, str, str]
"""(when something is due, workspace, id)."""


class Commits(Protocol):
    """What the book needs of the journal."""

    commits: int
    """How many are done."""
    sources: list[Source]


class Book:
    """See the module. All methods run on the event loop's thread."""

    def __init__(self, journal: Commits, read: Callable[[str, Row], list[Row]]) -> None:
        """`read` asks the journal as of its last commit."""
        self._journal, self._read = journal, read
        self.idle_us, self.max_age_us = 24 * 3_600_000_000, 7 * 24 * 3_600_000_000
        """How long nothing may be said, and how long a conversation may last."""
        self.max_in_memory = MAX_IN_MEMORY
        self._talks: dict[Key, Conversation] = {}
        self._asleep: dict[str, dict[int, Edges | None]] = {}
        """Those that go on in the journal only: workspace → hash of the key (a text takes more) → edges in the graph.

        None: of an earlier run, so they have none there yet.
        """
        self._changed: dict[Key, Conversation] = {}
        self._also: list[Statement] = []
        self._ended: OrderedDict[Key, Conversation] = OrderedDict()
        self.on_sleep: Callable[[Conversation], None] = lambda _: None
        """Told of each conversation that leaves memory; sees that its edges are right."""
        self.on_wake: Callable[[Conversation], None] = lambda _: None
        """Told of each conversation that comes back from the journal of an earlier run."""
        self._over: dict[int, None] = {}
        """Hashes of the keys of those that are over, in the journal, oldest first; some may be gone there."""
        self.pairs = 0
        """Participants of those that go on and are in memory."""
        self._looked_at = -1
        journal.sources.append(self)

    def __len__(self) -> int:
        """Rows that the next commit will take."""
        return len(self._changed) + len(self._also)

    @property
    def open(self) -> int:
        """Conversations that go on."""
        return len(self._talks) + sum(map(len, self._asleep.values()))

    def in_memory(self) -> Iterator[Conversation]:
        """Those that go on and are in memory."""
        return iter(self._talks.values())

    def ended(self) -> Iterable[Conversation]:
        """The last that ended, oldest first."""
        return self._ended.values()

    def find(self, key: Key) -> Conversation | None:
        """The conversation, also if it is over and not forgotten."""
        talk = self._talks.get(key)
        if talk is not None:
            return talk
        if self._asleep and hash(key) in self._asleep.get(key[0], ()):
            return self._wake(key)
        talk = self._ended.get(key)
        if talk is None and self._over and hash(key) in self._over:
            return self._recall(key)
        return talk

    def add(self, talk: Conversation) -> None:
        """A conversation begins. If one of that id is over, this takes its place, in the journal too."""
        before = self._ended.pop(talk.key, None)
        if before is not None:
            talk.taken_in = before.taken_in
        self._talks[talk.key] = talk
        self._changed[talk.key] = talk
        if len(self._talks) > self.max_in_memory or self.pairs > MAX_PAIRS:
            self._make_room()

    def is_waited_for(self, key: Key) -> bool:
        """Whether there may be something due for it: it goes on, and if it is in memory somebody has a deadline."""
        talk = self._talks.get(key)
        return hash(key) in self._asleep.get(key[0], ()) if talk is None else bool(talk.due)

    def changed(self, talk: Conversation) -> None:
        """Something was said in it."""
        self._changed[talk.key] = talk

    def end(self, talk: Conversation, *, keep: bool) -> None:
        """It is over. It is written if it ever was, or shall be kept for those outside who ask."""
        key = talk.key
        self.pairs -= len(talk.pairs) if self._talks.pop(key, None) is not None else 0
        if keep or talk.taken_in:
            self._changed[key] = talk
            self._over[hash(key)] = None
            if len(self._over) > MAX_OVER:
                del self._over[next(iter(self._over))]
        else:
            self._changed.pop(key, None)
        self._remember(talk)

    def _remember(self, talk: Conversation) -> None:
        self._ended[talk.key] = talk
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)

    def end_asleep(self, workspace: str, now_us: int, outcome: str) -> None:
        """Those of a workspace that go on in the journal only are over there, all at once with the next commit."""
        self._asleep.pop(workspace, None)
        self._also.append((_END_ALL, [(now_us, outcome, workspace)]))

    def take(self) -> list[Statement]:
        """See `bus.journal.Source`."""
        also, self._also = self._also, []
        if not self._changed:
            return also
        number = self._journal.commits + 1
        rows: list[Row] = []
        for talk in self._changed.values():
            talk.taken_in = number
            rows.append(row_of(talk, self.idle_us, self.max_age_us))
        self._changed.clear()
        return [*also, (SAVE, rows)]

    def load(self, query: Callable[[str, Row], list[Row]]) -> list[Conversation]:
        """Take up what an earlier run left; returns those that are in memory now."""
        for workspace, id_ in query(_KEYS, ()):
            self._asleep.setdefault(str(workspace), {})[hash((str(workspace), str(id_)))] = None
        self._over = {hash((str(workspace), str(id_))): None for workspace, id_ in query(_OVER, ())}
        return [self._take_in(row) for row in query(_RECENT, (self.max_in_memory,))]

    def waking(self, before_us: int, behind: Waking, limit: int) -> list[Waking]:
        """Those that go on, in memory or not, for which something is due before `before_us`, as of the last commit.

        In the order of (when, workspace, id), the first `limit` behind `behind`.
        """
        rows = self._read(_WAKING, (before_us, *behind, limit))
        return [(int(str(when_us)), str(workspace), str(id_)) for when_us, workspace, id_ in rows]

    def _recall(self, key: Key) -> Conversation | None:
        """One that is over, from the journal: what comes too late for it may have been long on its way."""
        rows = self._read(_FIND, key)
        talk = load(rows[0]) if rows else None
        if talk is None or not talk.ended_us:
            return None
        talk.taken_in = 1
        self._remember(talk)
        return talk

    def _wake(self, key: Key) -> Conversation | None:
        rows = self._read(_FIND, key)
        return self._take_in(rows[0]) if rows else None  # another key can have the same hash

    def _take_in(self, row: Row) -> Conversation:
        talk = load(row)
        talk.taken_in = 1
        key = talk.key
        edges = self._asleep.get(key[0], {}).pop(hash(key), None)
        if talk.ended_us:
            return talk
        self._talks[key] = talk
        self.pairs += len(talk.pairs)
        if edges is None:
            self.on_wake(talk)
        else:
            talk.edges = edges
        if len(self._talks) > self.max_in_memory or self.pairs > MAX_PAIRS:
            self._make_room(keep=talk)
        return talk

    def _make_room(self, keep: Conversation | None = None) -> None:
        """Let go of those of which nothing was heard since the last look, and that are on disk.

        One look at each commit is enough: what stays is waiting for that.
        """
        done = self._journal.commits
        if done == self._looked_at:
            return
        self._looked_at = done
        wanted, most_pairs = self.max_in_memory - self.max_in_memory // 8, MAX_PAIRS - MAX_PAIRS // 8
        for key in list(self._talks):
            talk = self._talks.pop(key)
            if talk is keep or key in self._changed or not 0 < talk.taken_in <= done or talk.is_recent:
                talk.is_recent = False
                self._talks[key] = talk  # behind the others
                continue
            self.on_sleep(talk)
            self._asleep.setdefault(key[0], {})[hash(key)] = talk.edges
            self.pairs -= len(talk.pairs)
            if len(self._talks) <= wanted and self.pairs <= most_pairs:
                return
