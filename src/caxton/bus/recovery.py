"""What the journal holds of the bus's own, read once at start."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from caxton.bus.dead_letters import POISON, REMOVED
from caxton.bus.envelope import Envelope
from caxton.bus.redelivery import with_attempt
from caxton.storage.inflight import timer_key
from caxton.storage.verify import is_good_kv, is_good_message, quarantine, unreadable_rows

if TYPE_CHECKING:
    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.storage.database import Database, Row


logger = logging.getLogger(__name__)

_KEYS = {"messages": "seq = ?", "kv": "workspace = ? AND agent = ? AND key = ?"}


def put_aside(database: Database, table: str, key: Row, data: object) -> None:
    """A row is not what was written: it must not be handed to anybody, and goes into the quarantine."""
    quarantine(database, table, _KEYS[table], key, "its checksum does not fit", data, time.time_ns() // 1000)
    shown = "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in key)
    facts = {"action": "storage.quarantined", "table": table, "row": shown}
    logger.error("a row of the journal is damaged and was put aside", extra=facts)


def _query(database: Database, table: str, sql: str) -> list[Row]:
    """The rows of `table`; those that have a text which is none any more are put aside first."""
    try:
        return database.query(sql)
    except UnicodeDecodeError:
        for key, data in unreadable_rows(database.query, table):
            put_aside(database, table, key, data)
        return database.query(sql)


def last_seq(database: Database) -> int:
    """The largest sequence number that is on disk."""
    rows = database.query(
        "SELECT max(coalesce((SELECT max(seq) FROM messages), 0), coalesce((SELECT max(seq) FROM dead_letters), 0))"
    )
    return int(rows[0][0])


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
    count = 0
    for row in _query(
        database,
        "messages",
        "SELECT seq, workspace, sender, receiver, message_id, conversation_id, attempt, max_attempts, kept, body, "
        "priority, expires_us, checksum FROM messages WHERE settled_us IS NULL ORDER BY seq",
    ):
        if not is_good_message(*row[:6], body=row[9], checksum=row[12]):
            put_aside(database, "messages", row[:1], row[9])
            continue
        envelope = Envelope(
            seq=row[0], workspace=row[1], sender=row[2], receiver=row[3], message_id=row[4], conversation_id=row[5],
            attempt=row[6], kept=bool(row[8]), body=row[9], accepted_us=bus.now_us(), written=True,
            priority=row[10], expires_us=row[11],
        )  # fmt: skip
        receiver = bus.directory(envelope.workspace).find(envelope.receiver)
        if receiver is None:
            bus.redelivery.bury(None, envelope, REMOVED, None)
            continue
        if envelope.attempt > 1:  # the row's body is that of the first attempt
            envelope.body = with_attempt(envelope)
        receiver.take_room(len(envelope.body))
        if envelope.expires_us:
            bus.redelivery.watch(receiver, envelope)
        count += 1
        if envelope.seq in in_flight:
            _suspect(bus, receiver, envelope)
        else:
            bus.enqueue(receiver, envelope)
    return count


def load_kept(database: Database, journal: Journal) -> None:
    """Count what is only kept to be asked for."""
    journal.kept.load(
        database.query(
            "SELECT seq, length(body), settled_us FROM messages WHERE kept = 1 AND settled_us IS NOT NULL "
            "ORDER BY settled_us, seq"
        )
    )


def _suspect(bus: Bus, receiver: Receiver, envelope: Envelope) -> None:
    if envelope.attempt >= envelope.max_attempts:
        bus.redelivery.end(receiver, envelope, POISON, None)
    else:
        bus.redelivery.count_attempt(receiver, envelope)
        bus.suspects.add(receiver, envelope)


def load_timers(database: Database, bus: Bus, in_flight: frozenset[int] = frozenset()) -> None:
    """Set the timers again; those that are overdue fire at once, those that were in hand as suspects."""
    for workspace, agent, timer_id, replica, due_us, attempt in database.query(
        "SELECT workspace, agent, timer_id, replica, due_us, attempt FROM timers ORDER BY due_us"
    ):
        receiver = bus.directory(workspace).receivers.get(agent)
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
            bus.timers.add(due_us, receiver, timer_id)


def load_topics(database: Database, bus: Bus) -> None:
    """Restore the subscriptions."""
    for workspace, pattern, agent in database.query("SELECT workspace, topic, agent FROM subscriptions"):
        receiver = bus.directory(workspace).receivers.get(agent)
        if receiver is not None:
            bus.directory(workspace).subscribe(receiver, pattern, subscribed=True)


def load_names(database: Database, bus: Bus) -> None:
    """Which names were ever deployed; before the mail."""
    for workspace, name in database.query("SELECT workspace, name FROM names"):
        bus.directory(workspace).known.add(name)
