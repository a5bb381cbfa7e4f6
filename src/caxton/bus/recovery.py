"""What the journal holds of the bus's own, read once at start."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from caxton.bus.dead_letters import POISON, REMOVED
from caxton.bus.envelope import Envelope, accepted_us, trace_of
from caxton.bus.redelivery import RESTARTED, with_attempt
from caxton.recorder.record import LOST
from caxton.storage.inflight import timer_key
from caxton.storage.verify import is_good_kv, is_good_message, quarantine, unreadable_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.storage.database import Database, Row


logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 10_000

_UNSETTLED = (
    "SELECT seq, workspace, sender, receiver, message_id, conversation_id, body, priority, expires_us, kept, checksum, "
    "attempt FROM messages NOT INDEXED WHERE (settled_us IS NULL OR settled_us < 2 OR kept = 0) AND seq > ? "
    "ORDER BY seq LIMIT ?"
)
"""One that is not kept is gone when it is settled, and nothing was settled in 1970: one bit makes a NULL into a 0."""
_KEYS = {"messages": "seq = ?", "kv": "workspace = ? AND agent = ? AND key = ?"}


def put_aside(database: Database, table: str, key: Row, data: object) -> None:
    """A row is not what was written: it must not be handed to anybody, and goes into the quarantine."""
    quarantine(database, table, _KEYS[table], key, "its checksum does not fit", data, time.time_ns() // 1000)
    shown = "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in key)
    facts = {"action": "storage.quarantined", "table": table, "row": shown}
    logger.error("a row of the journal is damaged and was put aside", extra=facts)


def _query(database: Database, table: str, sql: str, parameters: Row) -> list[Row]:
    """The rows of `table`; those that have a text which is none any more are put aside first."""
    try:
        return database.query(sql, parameters)
    except UnicodeDecodeError:
        for key, data in unreadable_rows(database.query, table):
            put_aside(database, table, key, data)
        return database.query(sql, parameters)


def last_seq(database: Database) -> int:
    """The largest sequence number that was seen outside: of messages, and of dead letters, whose id it is."""
    rows = database.query(
        "SELECT max(seq) FROM messages UNION ALL SELECT max(seq) FROM dead_letters "
        "UNION ALL SELECT max(last_seq) FROM dead_letter_purges"
    )
    return max(found or 0 for (found,) in rows)


def load_state(database: Database, receiver: Receiver) -> None:
    """Key-value state of one agent."""
    owner = (receiver.workspace, receiver.name)
    for key, value, checksum in database.query(
        "SELECT key, value, checksum FROM kv WHERE workspace = ? AND agent = ?", owner
    ):
        if is_good_kv(*owner, key, value, checksum):
            receiver.put(key, value)
        else:
            put_aside(database, "kv", (*owner, key), value)


def load_mail(database: Database, bus: Bus, in_flight: frozenset[int] = frozenset()) -> int:
    """Queue every unsettled message for its receiver, as often tried as before; returns their number.

    One whose receiver is gone becomes a dead letter. What was in hand when the node ended otherwise than by a stop
    (`in_flight`) has had one attempt, and is suspected of having ended it. Nobody waits for a reply any more, so all
    have as many attempts as any message.
    """
    queued, now_us = 0, bus.now_us()
    receivers: dict[tuple[str, str], Receiver | None] = {}
    known = dict[str, str]().setdefault  # a million rows name the same few agents: one text for each
    for row in _unsettled(database):
        *columns, checksum, attempt = row
        seq, workspace, sender, name, message_id, conversation_id, body, priority, expires_us, kept = columns
        if not is_good_message(columns, checksum):
            put_aside(database, "messages", (seq,), body)
            continue
        envelope = Envelope(
            seq, known(workspace, workspace), known(sender, sender), known(name, name), message_id, conversation_id,
            body, accepted_us(body, now_us), attempt, kept=bool(kept), written=True, priority=priority,
            expires_us=expires_us,
        )  # fmt: skip
        owner = workspace, name
        if owner not in receivers:
            receivers[owner] = bus.names.directory(workspace).find(name)
        receiver = receivers[owner]
        if receiver is None:
            bus.redelivery.bury(None, envelope, REMOVED, None)
            continue
        queued += 1
        if attempt > 1:  # the row's body is that of the first attempt
            envelope.body = with_attempt(envelope)
        receiver.take_room(len(envelope.body))
        if envelope.expires_us:
            bus.redelivery.watch(receiver, envelope)
        if seq in in_flight:
            _suspect(bus, receiver, envelope)
        else:
            bus.queues.enqueue(receiver, envelope)
    return queued


def _unsettled(database: Database) -> Iterator[Row]:
    """Rows of messages in their order; some at a time, because all of them together would take twice the memory."""
    after = -1
    while rows := _query(database, "messages", _UNSETTLED, (after, ROWS_AT_ONCE)):
        after = rows[-1][0]
        yield from rows


def load_kept(database: Database, journal: Journal) -> None:
    """Count what is only kept to be asked for."""
    journal.kept.load(
        database.query(
            "SELECT seq, length(body), settled_us FROM messages WHERE kept = 1 AND settled_us >= 2 "
            "ORDER BY settled_us, seq"
        )
    )


def _suspect(bus: Bus, receiver: Receiver, envelope: Envelope) -> None:
    envelope.trace = trace_of(envelope)
    bus.flight.note(LOST, envelope)
    if envelope.attempt >= envelope.max_attempts:
        bus.redelivery.end(receiver, envelope, POISON, None)
    else:
        envelope.is_suspect = True
        bus.redelivery.count_attempt(receiver, envelope, RESTARTED)
        if envelope.timer_id < 0:
            bus.queues.enqueue(receiver, envelope)
        else:
            bus.queues.enqueue_timer(receiver, envelope)


def load_timers(database: Database, bus: Bus, in_flight: frozenset[int] = frozenset()) -> None:
    """Set the timers again; those that are overdue fire at once, those that were in hand as suspects."""
    for workspace, agent, timer_id, replica, due_us, attempt in database.query(
        "SELECT workspace, agent, timer_id, replica, due_us, attempt FROM timers ORDER BY due_us"
    ):
        receiver = bus.names.directory(workspace).receivers.get(agent)
        if receiver is None:
            continue
        receiver.timers[timer_id] = (due_us, replica)
        receiver.next_timer_id = max(receiver.next_timer_id, timer_id + 1)
        if timer_key(workspace, agent, timer_id) in in_flight:
            envelope = Envelope(
                0, workspace, agent, agent, "", None, b"", due_us, attempt=attempt, timer_id=timer_id, written=True
            )
            _suspect(bus, receiver, envelope)
        else:
            bus.timers.add(due_us, (receiver, timer_id))


def load_topics(database: Database, bus: Bus) -> None:
    """Restore the subscriptions."""
    for workspace, pattern, agent in database.query("SELECT workspace, topic, agent FROM subscriptions"):
        receiver = bus.names.directory(workspace).receivers.get(agent)
        if receiver is not None:
            bus.names.directory(workspace).subscribe(receiver, pattern, subscribed=True)


def load_names(database: Database, bus: Bus) -> None:
    """Which names were ever deployed; before the mail."""
    for workspace, name in database.query("SELECT workspace, name FROM names"):
        bus.names.directory(workspace).known.add(name)
