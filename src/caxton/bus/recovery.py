"""What the journal holds of the bus's own, read once at start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.envelope import Envelope
from caxton.bus.redelivery import REMOVED, with_attempt

if TYPE_CHECKING:
    from caxton.bus.bus import Bus
    from caxton.bus.mailbox import Receiver
    from caxton.storage.database import Database


def last_seq(database: Database) -> int:
    """The largest sequence number that is on disk."""
    rows = database.query(
        "SELECT max(coalesce((SELECT max(seq) FROM messages), 0), coalesce((SELECT max(seq) FROM dead_letters), 0))"
    )
    return int(rows[0][0])


def load_state(database: Database, receiver: Receiver) -> None:
    """Key-value state of one agent."""
    for key, value in database.query(
        "SELECT key, value FROM kv WHERE workspace = ? AND agent = ?", (receiver.workspace, receiver.name)
    ):
        receiver.put(key, value)


def load_mail(database: Database, bus: Bus) -> int:
    """Queue every unsettled message for its receiver, as often tried as before; returns their number.

    One whose receiver is gone becomes a dead letter.
    """
    count = 0
    for row in database.query(
        "SELECT seq, workspace, sender, receiver, message_id, conversation_id, attempt, max_attempts, kept, body, "
        "priority, expires_us "
        "FROM messages WHERE settled_us IS NULL ORDER BY seq"
    ):
        envelope = Envelope(
            seq=row[0], workspace=row[1], sender=row[2], receiver=row[3], message_id=row[4], conversation_id=row[5],
            attempt=row[6], max_attempts=row[7], kept=bool(row[8]), body=row[9], accepted_us=bus.now_us(), written=True,
            priority=row[10], expires_us=row[11],
        )  # fmt: skip
        receiver = bus.directory(envelope.workspace).receivers.get(envelope.receiver)
        if receiver is None:
            bus.redelivery.bury(None, envelope, REMOVED, None)
            continue
        if envelope.attempt > 1:  # the row's body is that of the first attempt
            envelope.body = with_attempt(envelope)
        receiver.messages += 1
        receiver.bytes += len(envelope.body)
        bus.enqueue(receiver, envelope)
        if envelope.expires_us:
            bus.redelivery.watch(receiver, envelope)
        count += 1
    return count


def load_timers_and_topics(database: Database, bus: Bus) -> None:
    """Set the timers again (those that are overdue fire at once) and restore the subscriptions."""
    for workspace, agent, timer_id, replica, due_us in database.query(
        "SELECT workspace, agent, timer_id, replica, due_us FROM timers ORDER BY due_us"
    ):
        receiver = bus.directory(workspace).receivers.get(agent)
        if receiver is not None:
            receiver.timers[timer_id] = (due_us, replica)
            receiver.next_timer_id = max(receiver.next_timer_id, timer_id + 1)
            bus.timers.add(due_us, receiver, timer_id)
    for workspace, topic, agent in database.query("SELECT workspace, topic, agent FROM subscriptions"):
        bus.directory(workspace).change_topic(topic, agent, subscribed=True)
        receiver = bus.directory(workspace).receivers.get(agent)
        if receiver is not None:
            receiver.topics.add(topic)
