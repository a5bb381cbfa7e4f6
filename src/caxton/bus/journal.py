"""What must last, gathered between commits and written in one transaction each.

A message is written only if a commit finds it unsettled, so what is born and settled between two commits costs nothing;
and because commits happen between handlers, never within one, what is on disk is always a consistent cut. Nobody
outside hears of anything before the commit that contains it (`after_commit`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from caxton.bus.letter_rows import dead_letter_row
from caxton.bus.retention import Retention
from caxton.core.crash import crash_point
from caxton.core.errors.storage import StorageFailed
from caxton.observe.metrics import Histogram
from caxton.storage.checksum import kv_checksum, message_checksum
from caxton.storage.database import DiskFull
from caxton.storage.inflight import InFlight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from caxton.bus.envelope import Envelope
    from caxton.bus.handler import Crash
    from caxton.core.clock import Clock
    from caxton.storage.database import Database, Row, Statement

logger = logging.getLogger(__name__)

BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Bounds for messages in one transaction."""

IDLE_COMMIT_S = 0.05
"""When nobody outside waits: a longer interval costs nothing but handlers repeated after a crash."""

MAX_CHANGED_ROWS = 1024
"""Commit earlier when so much has gathered, to keep transactions short."""

PRUNE_BUNDLES = 4
"""Of messages that were only kept to be asked for, let go in one commit: more would hold up those who wait for it."""

PRUNE_EVERY_S = 60.0
"""How often other rooms are asked what of theirs may go."""

RETRY_S = 1.0
"""Pause before a transaction that found no room is tried again, if nothing was given up for it."""

_INSERT_MESSAGE = (
    "INSERT OR REPLACE INTO messages (seq, workspace, sender, receiver, message_id, conversation_id, attempt, "
    "max_attempts, kept, settled_us, body, priority, expires_us, checksum) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELETE_MESSAGES = "DELETE FROM messages WHERE seq IN (SELECT value FROM json_each(?))"
_SETTLE_KEPT = (
    "UPDATE messages SET settled_us = settled.value ->> 0 FROM json_each(?) AS settled WHERE seq = settled.value ->> 1"
)
_SET_ATTEMPT = "UPDATE messages SET attempt = ? WHERE seq = ?"
_INSERT_DEAD = (
    "INSERT INTO dead_letters (seq, workspace, sender, receiver, message_id, conversation_id, attempts, reason, "
    "last_error, dead_us, body, body_bytes, trap, functions, trace_id, checksum) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_KV = "INSERT OR REPLACE INTO kv (workspace, agent, key, value, checksum) VALUES (?, ?, ?, ?, ?)"
_DELETE_KV = "DELETE FROM kv WHERE workspace = ? AND agent = ? AND key = ?"
_PUT_TIMER = (
    "INSERT OR REPLACE INTO timers (workspace, agent, timer_id, replica, due_us, attempt) VALUES (?, ?, ?, ?, ?, 1)"
)
_SET_TIMER_ATTEMPT = "UPDATE timers SET attempt = ? WHERE workspace = ? AND agent = ? AND timer_id = ?"
_DELETE_TIMER = "DELETE FROM timers WHERE workspace = ? AND agent = ? AND timer_id = ?"
_PUT_TOPIC = "INSERT OR IGNORE INTO subscriptions (workspace, topic, agent) VALUES (?, ?, ?)"
_DELETE_TOPIC = "DELETE FROM subscriptions WHERE workspace = ? AND topic = ? AND agent = ?"
_PUT_NAME = "INSERT OR IGNORE INTO names (workspace, name) VALUES (?, ?)"
_DELETE_NAME = "DELETE FROM names WHERE workspace = ? AND name = ?"


_encode = msgspec.json.Encoder().encode


class Source(Protocol):
    """Rows that are made only when a commit takes them, however often they changed before."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def take(self) -> list[Statement]:
        """For the commit that is being begun."""
        ...


class Journal:
    """Gathers changes and commits them: as soon as the writer is free if somebody waits, else after a while."""

    def __init__(
        self, database: Database, clock: Clock, on_failure: Callable[[Exception], None],
        in_flight: InFlight | None = None,
    ) -> None:  # fmt: skip
        """`on_failure` is called once, on the loop, when a commit fails; nothing is committed after it."""
        self.in_flight = in_flight or InFlight()
        self._database = database
        self._clock = clock
        self._on_failure = on_failure
        self.born: dict[int, Envelope] = {}
        """Accepted and not yet written, by sequence. The bus adds and removes here itself: it is the hottest path."""
        self._deleted: list[int] = []
        self._settled_kept: list[Row] = []
        self._attempts: dict[int, int] = {}
        self._dead: list[Row] = []
        self._kv: dict[tuple[str, str, bytes], bytes | None] = {}
        self._timers: dict[tuple[str, str, int], tuple[int, int] | None] = {}
        self._topics: dict[tuple[str, str, str], bool] = {}
        self._names: dict[tuple[str, str], bool] = {}
        self._statements: list[Statement] = []
        self._inserts: dict[str, list[Row]] = {}
        self.sources: list[Source] = []
        """Of rows that are made only when a commit takes them."""
        self.prunes: list[Callable[[], list[Statement]]] = []
        """What other parts of the bus let go of, asked from time to time."""
        self._waiting: list[Callable[[], None]] = []
        self._told: list[Callable[[], None]] = []
        self._committing: set[asyncio.Future[None]] = set()
        self._writing = False
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self.kept = Retention()
        self.on_full: Callable[[], bool] = lambda: False
        """The disk is full: make room and say whether there is some. What was gathered is kept and tried again."""
        self.on_commit: Callable[[], None] = lambda: None
        self.in_hand: Callable[[], Iterable[int]] = tuple
        """Keys of what is being handled while a commit begins: it goes on being in flight."""
        self._prune_at = 0.0
        self.failed = self._is_closed = False
        self.commits = 0
        self.rows_written = 0
        self.batches = Histogram(BATCHES)
        """Messages that were written together, in one transaction each."""

    # --- changes ---------------------------------------------------------------------------------------------

    def settle(self, envelope: Envelope, now_us: int) -> None:
        """`envelope` is done with; its row goes, or is marked if it is to be kept."""
        if envelope.kept:  # its age must not depend on somebody who sets the machine's clock
            now_us = self._clock.steady_us()
            self.kept.add(envelope.seq, len(envelope.body), now_us)
        envelope.settled_us = now_us
        if not envelope.written:
            if not envelope.kept:
                self.born.pop(envelope.seq, None)
        elif envelope.kept:
            self._settled_kept.append((now_us, envelope.seq))
        else:
            self._deleted.append(envelope.seq)

    def set_attempt(self, envelope: Envelope) -> None:
        """Keep how often `envelope` was tried."""
        if not envelope.written:
            return
        if envelope.timer_id < 0:
            self._attempts[envelope.seq] = max(
                envelope.attempt - envelope.blocked, 2
            )  # those that count, and that it is one more
        else:
            owner = envelope.workspace, envelope.receiver, envelope.timer_id
            self.insert(_SET_TIMER_ATTEMPT, (envelope.attempt, *owner))

    def add_dead_letter(
        self, envelope: Envelope, reason: str, error: str | None, now_us: int, crash: Crash | None = None
    ) -> None:
        """Move `envelope` to the dead letters, in one transaction with its settlement. Called by `bus.dead_letters`."""
        self.settle(envelope, now_us)
        self._dead.append(dead_letter_row(envelope, reason, error, now_us, crash))

    def put_kv(self, workspace: str, agent: str, key: bytes, value: bytes | None) -> None:
        self._kv[workspace, agent, key] = value

    def put_timer(self, workspace: str, agent: str, timer_id: int, due: tuple[int, int] | None) -> None:
        """`due` is (µs, replica), or None when the timer is gone."""
        self._timers[workspace, agent, timer_id] = due

    def put_topic(self, workspace: str, topic: str, agent: str, *, subscribed: bool) -> None:
        self._topics[workspace, topic, agent] = subscribed

    def put_name(self, workspace: str, name: str, *, known: bool) -> None:
        """Whether mail for `name` is taken also while no agent has it."""
        self._names[workspace, name] = known

    def add(self, sql: str, *row: object) -> None:
        """A statement of another room; runs before the changes gathered here, in the same transaction."""
        self._statements.append((sql, [row]))

    def insert(self, sql: str, row: Row) -> None:
        """A row of another part of the bus; those of the same statement are written together."""
        self._inserts.setdefault(sql, []).append(row)

    def forget_agent(self, workspace: str, agent: str) -> None:
        """An agent is removed with its state; its messages are the bus's business."""
        owner = (workspace, agent)
        self._kv = {key: value for key, value in self._kv.items() if key[:2] != owner}
        self._timers = {key: due for key, due in self._timers.items() if key[:2] != owner}
        self._topics = {key: value for key, value in self._topics.items() if (key[0], key[2]) != owner}
        for table in ("kv", "timers", "subscriptions"):
            self.add(f"DELETE FROM {table} WHERE workspace = ? AND agent = ?", workspace, agent)  # noqa: S608

    # --- commits ---------------------------------------------------------------------------------------------

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call back once all that was changed so far is on disk. Never, if the disk fails."""
        self._waiting.append(call)
        if self._soon is None and not self._writing:
            self._soon = asyncio.get_running_loop().call_soon(self._flush)

    def with_commit(self, call: Callable[[], None]) -> None:
        """As `after_commit`, but nobody waits for it: the commit comes when it comes."""
        self._told.append(call)

    async def commit(self) -> None:
        """Wait until all that was changed so far is on disk. Raises `StorageFailed`; what was changed is then lost."""
        if self.failed:
            raise StorageFailed("an earlier commit failed")
        done = asyncio.get_running_loop().create_future()
        self._committing.add(done)
        done.add_done_callback(self._committing.discard)
        self.after_commit(lambda: None if done.done() else done.set_result(None))
        await done

    def touch(self) -> None:
        """Something may have changed: see that it is committed within `IDLE_COMMIT_S`. Cheap; call it once a batch."""
        if self._writing or self.failed:
            return
        changed = self.changed_rows()
        if changed >= MAX_CHANGED_ROWS:
            self._flush()
        elif (changed or self.kept.is_too_much) and self._later is None:
            self._later = asyncio.get_running_loop().call_later(IDLE_COMMIT_S, self._flush)

    def changed_rows(self) -> int:
        return (
            len(self.born) + len(self._deleted) + len(self._settled_kept) + len(self._attempts) + len(self._dead)
            + len(self._kv) + len(self._timers) + len(self._topics) + len(self._statements)
            + len(self._names) + sum(map(len, self._inserts.values())) + sum(map(len, self.sources))
        )  # fmt: skip

    async def aclose(self) -> None:
        """Commit what there is. The database stays open. A full disk makes it wait for room: cancel it then."""
        if not self.failed:
            await self.commit()

    def close(self) -> None:
        """Nothing is committed any more, and nobody hears of what was."""
        self._is_closed = True
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()
        self.in_flight.close()

    def _flush(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._soon = None
        if self._writing or self.failed or self._is_closed:
            return
        crash_point("commit.asked")
        waiting = self._told + self._waiting
        self._told, self._waiting = [], []
        statements = self._take()
        if not statements:
            self._tell(waiting)
            return
        self._writing = True
        self.in_flight.turn()
        for key in self.in_hand():
            self.in_flight.note(key)
        self._write(statements, waiting)

    def _write(self, statements: list[Statement], waiting: list[Callable[[], None]]) -> None:
        if self._is_closed:
            return
        loop = asyncio.get_running_loop()

        def done(error: Exception | None) -> None:
            loop.call_soon_threadsafe(self._committed, statements, waiting, error)

        self._database.write(statements, done)

    def _committed(
        self, statements: list[Statement], waiting: list[Callable[[], None]], error: Exception | None
    ) -> None:
        if isinstance(error, DiskFull) and not self._is_closed:
            self._write_again(statements, waiting)
            return
        self._writing = False
        if self._is_closed:
            return
        if error is not None:
            self._fail(error)
            return
        self.commits += 1
        self.in_flight.committed()
        self.on_commit()
        self._tell(waiting)
        if self._waiting:
            self._flush()
        else:
            self.touch()

    def _write_again(self, statements: list[Statement], waiting: list[Callable[[], None]]) -> None:
        """It was rolled back for want of room. Until it gets through, what changes is gathered for the next one."""
        if self.on_full():
            self._write(statements, waiting)
        else:
            asyncio.get_running_loop().call_later(RETRY_S, self._write, statements, waiting)

    def _tell(self, waiting: list[Callable[[], None]]) -> None:
        crash_point("commit.untold")
        for call in waiting:
            try:
                call()
            except Exception as exc:  # one who cannot be told must not keep it from the others
                logger.error("after a commit", exc_info=exc, extra={"action": "journal.error"})

    def _fail(self, error: Exception) -> None:
        self.failed = True
        logger.critical("commit failed", exc_info=error, extra={"action": "journal.failed"})
        for done in list(self._committing):
            if not done.done():
                done.set_exception(StorageFailed.of(error))
        self._on_failure(error)

    def _take(self) -> list[Statement]:
        """Everything gathered, as statements; what is gathered from now on belongs to the next commit."""
        statements, self._statements = self._statements, []
        for source in self.sources:
            self.rows_written += len(source)
            statements += source.take()
        for sql, rows in (
            (_INSERT_MESSAGE, self._take_born()),
            (_SET_ATTEMPT, [(attempt, seq) for seq, attempt in self._attempts.items()]),
            (_SETTLE_KEPT, _as_list(self._settled_kept)),
            (_DELETE_MESSAGES, _as_list(self._deleted)),
            (_INSERT_DEAD, self._dead),
            (
                _PUT_KV,
                [(*key, value, kv_checksum(*key, value)) for key, value in self._kv.items() if value is not None],
            ),
            (_DELETE_KV, [key for key, value in self._kv.items() if value is None]),
            (_PUT_TIMER, [(*key, due[1], due[0]) for key, due in self._timers.items() if due is not None]),
            (_DELETE_TIMER, [key for key, due in self._timers.items() if due is None]),
            (_PUT_TOPIC, [key for key, subscribed in self._topics.items() if subscribed]),
            (_DELETE_TOPIC, [key for key, subscribed in self._topics.items() if not subscribed]),
            (_PUT_NAME, [key for key, known in self._names.items() if known]),
            (_DELETE_NAME, [key for key, known in self._names.items() if not known]),
            *self._inserts.items(),
        ):
            if rows:
                statements.append((sql, rows))
                self.rows_written += len(rows)
        self.rows_written += max(len(self._deleted) - 1, 0) + max(len(self._settled_kept) - 1, 0)
        self._deleted, self._settled_kept, self._dead = [], [], []
        self._attempts, self._kv, self._timers, self._topics, self._names, self._inserts = {}, {}, {}, {}, {}, {}
        if statements or self.kept.is_too_much:
            self._prune(statements)
        return statements

    def _take_born(self) -> list[Row]:
        rows: list[Row] = []
        if self.born:
            self.batches.add(len(self.born))
        for e in self.born.values():
            e.written = True
            rows.append(
                (
                    e.seq, e.workspace, e.sender, e.receiver, e.message_id, e.conversation_id, e.attempt,
                    e.max_attempts, e.kept, e.settled_us or None, e.body, e.priority, e.expires_us,
                    message_checksum(
                        e.seq, e.workspace, e.sender, e.receiver, e.message_id, e.conversation_id, e.body, e.priority,
                        e.expires_us, int(e.kept),
                    ),
                )
            )  # fmt: skip
        self.born.clear()
        return rows

    def _prune(self, statements: list[Statement]) -> None:
        """Let go of what was only kept to be asked for, as far as that is too much or too old."""
        now_us = self._clock.steady_us()
        bundles, self.kept.begun = PRUNE_BUNDLES + self.kept.begun, 0
        for _ in range(bundles):  # as much as has come, and some more
            seqs = self.kept.let_go(now_us)
            if not seqs:
                break
            statements.append((_DELETE_MESSAGES, _as_list(seqs)))
        now = asyncio.get_running_loop().time()
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY_S
            for prune in self.prunes:
                statements += prune()

    async def prune(self) -> int:
        """Let go of all that is too much or too old, at once; returns how many. Raises `StorageFailed`."""
        before = self.kept.gone
        while seqs := self.kept.let_go(self._clock.steady_us()):
            self._statements.append((_DELETE_MESSAGES, _as_list(seqs)))
            await self.commit()
        return self.kept.gone - before


def _as_list(values: list[Any]) -> list[Row]:
    """One row with all of `values` in it, for json_each."""
    return [(_encode(values).decode(),)] if values else []
