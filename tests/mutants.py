"""Breaks the code on purpose, one promise at a time, and sees that a test fails each time: `python tests/mutants.py`.

Works in a copy of the tree. A mutant that survives, or whose place is not found any more, is an error. Not part of
`scripts/test`: each mutant is a test run of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUS = ("tests/unit/bus",)
KILLS = ("tests/faults/test_kill.py",)
TALKS = ("tests/unit/conversations",)
LOGS = ("tests/unit/logs",)
OBSERVE = ("tests/unit/observe",)
DESK = ("tests/contract/test_tools.py",)
REPLAYS = ("tests/unit/replay", "tests/integration/test_replay.py", "tests/integration/test_cli_replay.py")
DISK = ("tests/integration/test_disk_faults.py", "tests/integration/test_disk_full.py")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken promise."""

    promise: str
    file: str
    """Below src/caxton."""
    old: str
    new: str
    tests: tuple[str, ...] = BUS


MUTANTS = (
    Mutant(
        "acknowledge before the commit",
        "bus/journal.py",
        "        statements = self._take()\n        if not statements:",
        "        self._tell(waiting)\n        waiting = []\n"
        "        statements = self._take()\n        if not statements:",
    ),
    Mutant(
        "a reply leaves before the commit",
        "bus/replies.py",
        "self._journal.after_commit(partial(waiter.replied, envelope))",
        "waiter.replied(envelope)",
    ),
    Mutant(
        "nested JSON hides behind an escaped quotation mark",
        "messages/codec.py",
        """data.replace(b"\\\\\\\\", b"").replace(b'\\\\"', b"")""",
        """data.replace(b'\\\\"', b"")""",
        ("tests/unit/messages",),
    ),
    Mutant(
        "no fsync at each commit",
        "storage/database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        ("tests/unit/storage",),
    ),
    Mutant(
        "a full disk counts as committed",
        "bus/journal.py",
        "            self._write_again(statements, waiting)\n            return\n",
        "            error = None\n",
        DISK,
    ),
    Mutant(
        "what found no room is forgotten",
        "bus/journal.py",
        "        if self.on_full():\n            self._write(statements, waiting)",
        "        if self.on_full():\n            self._write([], waiting)",
        DISK,
    ),
    Mutant(
        "checkpoints swallow their errors",
        "storage/database.py",
        "            if not _means_full(exc):\n                raise\n            self.failures",
        "            self.failures",
        DISK,
    ),
    Mutant(
        "power cuts lose acknowledged messages",
        "storage/database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        ("tests/integration/test_power_cut.py",),
    ),
    Mutant(
        "a journal that was removed is written on",
        "storage/database.py",
        "            self._check_files()\n",
        "",
        DISK,
    ),
    Mutant(
        "damaged mail is delivered",
        "bus/recovery.py",
        "        if not is_good_message(columns, checksum):",
        "        if False:",
        ("tests/unit/bus/test_disk.py", "tests/integration/test_damage.py"),
    ),
    Mutant(
        "damage is not named",
        "storage/verify.py",
        "    return found == checksum",
        "    return True",
        ("tests/unit/storage", "tests/integration/test_storage.py"),
    ),
    Mutant(
        "a log that is unreadable in its middle is cut there",
        "storage/wal.py",
        "    return commits if commits > 1 else 0",
        "    return 0",
        ("tests/unit/storage",),
    ),
    Mutant(
        "nothing kept is ever let go",
        "bus/retention.py",
        "        self._bundles.popleft()\n",
        "        return []\n",
    ),
    Mutant(
        "a transaction that fails stays half done",
        "storage/database.py",
        'connection.execute("ROLLBACK")',
        'connection.execute("COMMIT")',
        ("tests/unit/storage",),
    ),
    Mutant(
        "messages swapped in the mailbox",
        "bus/queues.py",
        "box.inbox.lane.append(envelope)",
        "box.inbox.lane.appendleft(envelope)",
    ),
    Mutant(
        "dropped when the mailbox is full",
        "bus/turn.py",
        "                self.was_blocked = True\n"
        "                return self._refuse(WOULD_BLOCK, message)\n            self._stage",
        "                return OK\n            self._stage",
        ("tests/unit/bus/test_turn.py",),
    ),
    Mutant(
        "what a failed handler did happens all the same",
        "bus/bus.py",
        '        crash_point("fail.before")\n        turn.release()',
        '        crash_point("fail.before")\n        self._apply(turn)',
    ),
    Mutant(
        "a repeated post is handled again",
        "bus/receipts.py",
        "        return found\n",
        "        return None\n",
    ),
    Mutant(
        "receipts are not kept over a crash",
        "bus/receipts.py",
        "made = Remembered(digest, conversation_id, self._now_us(), durable)\n        if durable:",
        "made = Remembered(digest, conversation_id, self._now_us(), durable)\n        if not durable:",
    ),
    Mutant(
        "an expired message is handled all the same",
        "bus/bus.py",
        "        if envelope.expires_us and self._has_ended(box, envelope):\n            return\n",
        "",
        ("tests/unit/bus/test_lifetimes.py",),
    ),
    Mutant(
        "a message that is to be repeated holds up nobody",
        "bus/inbox.py",
        "            waiting = self.paused.get(envelope.sender)\n            if waiting is None:",
        "            waiting = self.paused.get(envelope.sender)\n            if True:",
    ),
    Mutant(
        "what was in hand at a crash counts no attempt",
        "bus/recovery.py",
        "        bus.redelivery.count_attempt(receiver, envelope, RESTARTED)\n",
        "",
    ),
    Mutant(
        "suspects run together",
        "bus/bus.py",
        "                elif not envelope.is_suspect:\n",
        "                elif True:\n",
    ),
    Mutant(
        "sends of a handler are not journalled",
        "bus/bus.py",
        "            born[envelope.seq] = envelope\n            if target",
        "            if target",
    ),
    Mutant(
        "a dead letter is lost",
        "bus/journal.py",
        "            (_INSERT_DEAD, self._dead),\n",
        "",
    ),
    Mutant(
        "a letter replayed twice gives two messages",
        "services/dead_letters.py",
        "        if row.replayed_us is not None:",
        "        if False:",
        ("tests/unit/bus/test_dead_letters.py",),
    ),
    Mutant(
        "a replay looks before what was replayed last is on disk",
        "services/dead_letters.py",
        "        async with self._changing:\n            await self._journal.commit()\n            with _audited",
        "        if True:\n            with _audited",
        ("tests/unit/bus/test_dead_letters.py",),
    ),
    Mutant(
        "a full store of dead letters takes more",
        "bus/dead_letters.py",
        "            self._intake.close(",
        "            (lambda *_: None)(",
        ("tests/unit/bus/test_dead_letters.py",),
    ),
    Mutant(
        "a rotten dead letter is delivered",
        "services/letters.py",
        "        if checksum is not None and checksum != row.checksum(body):",
        "        if False:",
        ("tests/unit/bus/test_dead_letters.py",),
    ),
    Mutant(
        "a guest may say that a message was replayed",
        "bus/turn.py",
        "        message.replayed = False\n",
        "",
    ),
    Mutant(
        "every message is written",
        "bus/bus.py",
        "            self._journal.born.pop(envelope.seq, None)\n",
        "            pass\n",
    ),
    Mutant(
        "a message that was buried before it was written stays behind as a row",
        "bus/journal.py",
        "            if not envelope.kept:\n                self.born.pop(envelope.seq, None)",
        "            pass",
    ),
    Mutant(
        "a guest may say who sent a message",
        "bus/turn.py",
        "        message.sender = receiver.name\n",
        "        message.sender = message.sender or receiver.name\n",
    ),
    Mutant(
        "attempts are forgotten",
        "bus/journal.py",
        "(_SET_ATTEMPT, [(attempt, seq) for seq, attempt in self._attempts.items()])",
        "(_SET_ATTEMPT, [])",
    ),
    Mutant(
        "two servers on one directory",
        "server/datadir.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        ("tests/unit/server", "tests/integration/test_config_lock.py"),
    ),
    Mutant(
        "a guest that computes is never stopped",
        "sandbox/guest.py",
        "        if self._cpu_ns + now_ns - self._slice_began_ns > self.limits.cpu_time_s * 1e9:",
        "        if False:",
        ("tests/unit/sandbox",),
    ),
    Mutant(
        "a cache file is loaded unchecked",
        "sandbox/compile.py",
        "        if not hmac.compare_digest(mac, self._mac(path.name, compiled)):",
        "        if False:",
        ("tests/unit/sandbox/test_compile.py",),
    ),
    Mutant(
        "the fourth crash is forgiven",
        "agents/lifecycle.py",
        "    if len(crashes) > MAX_RESTARTS:",
        "    if len(crashes) > MAX_RESTARTS + 1:",
        ("tests/unit/agents/test_lifecycle.py",),
    ),
    Mutant(
        "a circuit opens one failure late",
        "core/breaker.py",
        "state.failures < state.policy.threshold",
        "state.failures <= state.policy.threshold",
        ("tests/unit/core/test_breaker.py",),
    ),
    Mutant(
        "a half-open circuit lets one probe too many through",
        "core/breaker.py",
        "return self.probing + self.passed < self.policy.probes",
        "return self.probing + self.passed <= self.policy.probes",
        ("tests/unit/core/test_breaker.py",),
    ),
    Mutant(
        "late results count",
        "core/breaker.py",
        "    if event.generation != state.generation:\n        return state, []\n",
        "",
        ("tests/unit/core/test_breaker.py",),
    ),
    Mutant(
        "the bulkhead holds one call too many",
        "core/breaker.py",
        "if 0 < state.policy.max_calls <= state.calls:",
        "if 0 < state.policy.max_calls < state.calls:",
        ("tests/unit/core/test_breaker.py",),
    ),
    Mutant(
        "an open circuit hands mail over",
        "bus/queues.py",
        "        receiver.is_held = True\n        for box in receiver.mailboxes:\n            box.is_open = False\n",
        "        receiver.is_held = True\n",
        ("tests/unit/agents/test_circuit.py",),
    ),
    Mutant(
        "a handler that is made again gets mail while the circuit is open",
        "bus/queues.py",
        "box.is_open = not box.receiver.is_held",
        "box.is_open = True",
        ("tests/unit/agents/test_circuit.py",),
    ),
    Mutant(
        "a circuit opens mailboxes that are being drained",
        "bus/queues.py",
        "box.is_open = box.is_wanted and box.handler is not None",
        "box.is_open = box.handler is not None",
        ("tests/unit/agents/test_circuit.py",),
    ),
    Mutant(
        "a probe that lasts lets the other replicas begin",
        "bus/bus.py",
        "                box.receiver.supervisor.began(box)",
        "                pass",
        ("tests/unit/agents/test_circuit.py",),
    ),
    Mutant(
        "a handling from before the circuit turned counts",
        "agents/circuit.py",
        "                self._tickets.setdefault(box, None)",
        "                pass",
        ("tests/unit/agents/test_circuit.py",),
    ),
    Mutant(
        "a caller keeps its place in the bulkhead",
        "services/messaging.py",
        "            place.callback(circuit.leave)\n",
        "",
        ("tests/integration/test_circuit.py",),
    ),
    Mutant(
        "changed settings are lost with the server",
        "agents/service.py",
        "            agent.row = msgspec.structs.replace(agent.row, spec=spec)\n            await self._keep(agent)\n"
        "            return settings_of(definition)",
        "            return settings_of(definition)",
        ("tests/integration/test_circuit.py",),
    ),
    Mutant(
        "a change with a bad value is half done",
        "agents/service.py",
        "            definition = define(spec)\n            if patch.record is True",
        "            agent.row = msgspec.structs.replace(agent.row, spec=spec)\n"
        "            definition = define(spec)\n            if patch.record is True",
        ("tests/integration/test_circuit.py",),
    ),
    Mutant(
        "a repeated post is handled again, seen from outside",
        "bus/receipts.py",
        "        return found\n",
        "        return None\n",
        KILLS,
    ),
    Mutant(
        "messages swapped in the mailbox, seen from outside",
        "bus/queues.py",
        "box.inbox.lane.append(envelope)",
        "box.inbox.lane.appendleft(envelope)",
        KILLS,
    ),
    Mutant(
        "sends of a handler are not journalled, seen from outside",
        "bus/bus.py",
        "            born[envelope.seq] = envelope\n            if target",
        "            if target",
        KILLS,
    ),
    Mutant(
        "what was in hand at a crash counts no attempt, seen from outside",
        "bus/recovery.py",
        "        bus.redelivery.count_attempt(receiver, envelope, RESTARTED)\n",
        "",
        ("tests/faults/test_poison.py",),
    ),
    Mutant(
        "what is in hand over a commit is not in flight any more",
        "bus/journal.py",
        "            self.in_flight.note(key)\n",
        "            pass\n",
        ("tests/unit/bus/test_suspects.py",),
    ),
    Mutant(
        "a letter is as old as the machine's clock says",
        "services/letter_purges.py",
        "self._clock.steady_us() - MAX_AGE_US",
        "self._clock.wall_us() - MAX_AGE_US",
        ("tests/faults/test_clock.py",),
    ),
    Mutant(
        "what is kept is as old as the machine's clock says",
        "bus/journal.py",
        "            now_us = self._clock.steady_us()\n            self.kept.add",
        "            now_us = self._clock.wall_us()\n            self.kept.add",
        ("tests/faults/test_clock.py",),
    ),
    Mutant(
        "a lifetime goes by the machine's clock",
        "bus/redelivery.py",
        "self._clock.steady_us() >= envelope.expires_us",
        "self._clock.wall_us() >= envelope.expires_us",
        ("tests/faults/test_clock.py", "tests/unit/bus"),
    ),
    Mutant(
        "priorities are turned round",
        "bus/inbox.py",
        "highest = max(self.others)",
        "highest = min(self.others)",
    ),
    Mutant(
        "a receipt is remembered for ever",
        "bus/receipts.py",
        "            if first.accepted_us >= oldest_us and len(self._found) <= MAX_RECEIPTS:\n                return\n",
        "            return\n",
    ),
    Mutant(
        "a forced stop loses what was in hand",
        "bus/queues.py",
        "            self.put_back(box, turn.envelope)\n",
        "            pass\n",
    ),
    Mutant(
        "a replay leaves the letter where it is",
        "bus/dead_letters.py",
        "        self._journal.add(letter_rows.REPLAYED, *row)\n",
        "",
    ),
    Mutant(
        "a message for memory only is written",
        "bus/postbox.py",
        "            if durable:\n                self._journal.born",
        "            if True:\n                self._journal.born",
    ),
    Mutant(
        "a crash may leave half a migration",
        "storage/schema.py",
        "        with connection:\n            connection.execute(step)",
        "        if True:\n            connection.execute(step)",
        ("tests/faults/test_points.py", "tests/unit/storage"),
    ),
    Mutant(
        "a route without an action is open",
        "security/policy.py",
        "raise Forbidden(",
        "return None  # Forbidden(",
        ("tests/unit/security", "tests/unit/api/test_guard.py"),
    ),
    Mutant(
        "an act that is out of place is delivered",
        "conversations/referee.py",
        "        self._bus.redelivery.bury(None, envelope, PROTOCOL, text)\n",
        "        return True\n",
        TALKS,
    ),
    Mutant(
        "who says something out of place is not told",
        "conversations/referee.py",
        "            self._bus.mail.send(envelope.workspace, envelope.sender, notice, if_room=True)\n",
        "            _ = notice\n",
        TALKS,
    ),
    Mutant(
        "a late proposal reaches the initiator",
        "conversations/referee.py",
        "        if move.after == REJECTED_LATE:",
        "        if not move:",
        TALKS,
    ),
    Mutant(
        "an answer without reference answers a cancel",
        "conversations/rules.py",
        "in_reply_to is not None and talk.cancels is not None and talk.cancels.get(sender) == in_reply_to",
        "talk.cancels is not None and talk.cancels.get(sender) == in_reply_to",
        TALKS,
    ),
    Mutant(
        "deadlines are forgotten by a restart",
        "conversations/deadlines.py",
        """        \"\"\"From now on, on the running loop.\"\"\"\n        self.look()\n""",
        """        \"\"\"From now on, on the running loop.\"\"\"\n""",
        TALKS,
    ),
    Mutant(
        "a conversation leaves memory before it is on disk",
        "conversations/book.py",
        "key in self._changed or not 0 < talk.taken_in <= done",
        "talk.taken_in < 0",
        TALKS,
    ),
    Mutant(
        "a conversation that is over is still waited in",
        "conversations/table.py",
        "        if talk.edges:\n            self.touched[talk.key] = talk\n        else:",
        "        if not talk.edges:",
        TALKS,
    ),
    Mutant(
        "an agent with a timer counts as stuck",
        "conversations/watch.py",
        "            and not receiver.timers\n",
        "",
        TALKS,
    ),
    Mutant(
        "a bidder that was only called may report a result",
        "protocols/contract_net.py",
        """"called": {"propose": "proposed", "refuse": "refused"},""",
        """"called": {"propose": "proposed", "refuse": "refused", "inform": "done"},""",
        ("tests/unit/protocols",),
    ),
    Mutant(
        "copies for several receivers are different messages",
        "bus/turn.py",
        "is_copy=n > 0",
        "is_copy=False",
    ),
    Mutant(
        "torn records are shown",
        "recorder/ring.py",
        "            if _checksum(number, last_us, self._map[begin : begin + length]) != found:",
        "            if False:",
        ("tests/unit/recorder",),
    ),
    Mutant(
        "records are kept after the reply has left",
        "bus/bus.py",
        "            self._resume(self._preempted.popleft())\n        self.flight.end_round()\n",
        "            self._resume(self._preempted.popleft())\n",
        ("tests/unit/bus/test_flight.py",),
    ),
    Mutant(
        "an effect does not tell its cause",
        "bus/bus.py",
        "envelope.accepted_us, turn.now_us, ended_us, size, None,",
        "envelope.accepted_us, ended_us, ended_us, size, None,",
        ("tests/unit/bus/test_flight.py",),
    ),
    Mutant(
        "a conversation is kept in part",
        "recorder/bodies.py",
        "        choice.begin(conversations)\n        if not notable and not plain:",
        "        if not notable and not plain:",
        ("tests/unit/recorder",),
    ),
    Mutant(
        "a file of bodies forgets that a conversation became notable",
        "recorder/choice.py",
        "        kept.notable, kept.is_told = True, False\n        self.notable",
        "        kept.notable = True\n        self.notable",
        ("tests/unit/recorder",),
    ),
    Mutant(
        "bodies are read before they are written",
        "storage/shelf.py",
        "        if self._thread.is_alive():",
        "        if False:",
        ("tests/unit/recorder",),
    ),
    Mutant(
        "errors of a busy node are not exported",
        "telemetry/sieve.py",
        "    if 1 in may_be_wrong:",
        "    if False:",
        ("tests/unit/telemetry",),
    ),
    Mutant(
        "what was kept is kept again with its trace",
        "telemetry/selection.py",
        " if record not in self._kept]",
        "]",
        ("tests/unit/telemetry",),
    ),
    Mutant(
        "what a guest waits for is its own time",
        "sandbox/guest.py",
        "            self._started_ns += self._slice_began_ns - wait.began_ns",
        "            pass",
        ("tests/unit/sandbox",),
    ),
    Mutant(
        "a late answer wakes another handling",
        "bus/bus.py",
        "        if self.queues.waiting.get(box) is pending:",
        "        if self.queues.waiting.get(box):",
        ("tests/unit/bus",),
    ),
    Mutant(
        "a message whose handler waits is not in hand",
        "bus/bus.py",
        "(*self._preempted, *self.queues.waiting)",
        "self._preempted",
        ("tests/unit/bus",),
    ),
    Mutant(
        "a suspect that waits holds up the node",
        "bus/suspects.py",
        "self._node.is_waiting(box) or ",
        "",
        ("tests/unit/bus",),
    ),
    Mutant(
        "a repeated call of a tool has another key",
        "agents/tools.py",
        "            cause = envelope.message_id",
        '            cause = f"{envelope.message_id}@{turn.now_us}"',
        ("tests/unit/agents",),
    ),
    Mutant(
        "notable conversations go like others",
        "recorder/choice.py",
        "            oldest = next(iter(self.plain or self.notable))",
        "            oldest = next(iter(self.notable or self.plain))",
        ("tests/unit/recorder",),
    ),
    Mutant(
        "the agent that takes least gives way when all logs are too much",
        "logs/pages.py",
        "self._by_size[max(size",
        "self._by_size[min(size",
        LOGS,
    ),
    Mutant(
        "all logs together have no bound",
        "logs/pages.py",
        "        while self.bytes > self.max_bytes:\n",
        "        while False:\n",
        LOGS,
    ),
    Mutant(
        "an agent's lines have no bound in bytes",
        "logs/pages.py",
        "while page.bytes > MAX_BYTES or len(records)",
        "while len(records)",
        LOGS,
    ),
    Mutant(
        "escape sequences reach the terminal",
        "logs/line.py",
        "[:MAX_LINE_CHARS].translate(_CONTROL)",
        "[:MAX_LINE_CHARS]",
        LOGS,
    ),
    Mutant(
        "a follower is shown what its pattern leaves out",
        "logs/reader.py",
        "for record in records if self._matches(record)]",
        "for record in records]",
        LOGS,
    ),
    Mutant(
        "lines between the call and the first look are missed",
        "logs/book.py",
        "missing, maxsize, after_seq=start, upto=upto",
        "missing, 0, after_seq=start, upto=upto",
        LOGS,
    ),
    Mutant(
        "a search never gives way",
        "logs/book.py",
        "            await asyncio.sleep(0)\n",
        "",
        LOGS,
    ),
    Mutant(
        "patterns cost what they like",
        "logs/filter.py",
        "    if size > MAX_PROGRAM:",
        "    if False:",
        LOGS,
    ),
    Mutant(
        "lines of removed agents come back after a restart",
        "logs/files.py",
        "if seq > forgotten.get((r[2], r[3]), -1)]",
        "if r[5] != FORGOTTEN]",
        LOGS,
    ),
    Mutant(
        "cleaning loses what memory keeps",
        "logs/files.py",
        "        if sum(len(encode(part, 0)) for part in parts) <= size // 2:",
        "        if False:",
        LOGS,
    ),
    Mutant(
        "damaged log lines are believed",
        "logs/block.py",
        "    if crc32(data) != checksum:",
        "    if False:",
        LOGS,
    ),
    Mutant(
        "a damaged block costs those behind it",
        "logs/block.py",
        "        at = segment.find(_MARK, at + 1)",
        "        break",
        LOGS,
    ),
    Mutant(
        "logs of another version have no bound",
        "logs/files.py",
        "                self._count(number, self._path(number).stat().st_size)",
        "                if self._path(number).read_bytes().startswith(MAGIC):\n"
        "                    self._count(number, self._path(number).stat().st_size)",
        LOGS,
    ),
    Mutant(
        "escape sequences cost a line its text",
        "logs/line.py",
        "text[:MAX_RAW_CHARS]",
        "text[:MAX_LINE_CHARS]",
        LOGS,
    ),
    Mutant(
        "lines nobody asked for push out those that were",
        "logs/reader.py",
        "        if not self._is_wanted(record):",
        "        if False:",
        LOGS,
    ),
    Mutant(
        "a warning about a message out of place does not name it",
        "agents/log_context.py",
        "None if about is None else context_of(about)",
        "None",
        ("tests/integration/test_workspace_settings.py",),
    ),
    Mutant(
        "an open circuit does not say by which message",
        "agents/circuit.py",
        "self._say(WARN, text, 0, failed)",
        "self._say(WARN, text, 0, None)",
        ("tests/unit/agents/test_circuit.py",),
    ),
    Mutant(
        "logs take the journal's last room",
        "logs/files.py",
        "        if self._free_bytes() < MIN_FREE_BYTES:",
        "        if False:",
        LOGS,
    ),
    Mutant(
        "who logs waits for a slow disk, or its lines pile up",
        "logs/writer.py",
        "self._queue.qsize() >= MAX_UNWRITTEN or ",
        "",
        LOGS,
    ),
    Mutant(
        "line ends cost nothing",
        "logs/meter.py",
        ' + EXTRA_LINE_BYTES * text.count(b"\\n", 0, -1)',
        "",
        LOGS,
    ),
    Mutant(
        "what is said of a failure names no message",
        "bus/bus.py",
        "        turn.failed = envelope\n",
        "",
        ("tests/integration/test_logs.py",),
    ),
    Mutant(
        "lines name the message before",
        "agents/log_context.py",
        "if last is None or self._seq != envelope.seq or last[4] != envelope.attempt or last[2] != trace_id:",
        "if last is None:",
        ("tests/integration/test_logs.py",),
    ),
    Mutant(
        "logs are gone after a restart",
        "server/rooms.py",
        "        self.log.restore(self.log_files.load())\n",
        "",
        ("tests/integration/test_logs.py",),
    ),
    Mutant(
        "secrets in tracebacks reach the log",
        "observe/log.py",
        "    return redact(found)",
        "    return {**redact(found), **{k: v for k, v in found.items() if k.startswith('exception')}}",
        OBSERVE,
    ),
    Mutant(
        "facts with telling names are shown",
        "observe/redact.py",
        "REMOVED if not is_plain and is_secret_name(key) else _value(value, depth + 1)",
        "_value(value, depth + 1)",
        OBSERVE,
    ),
    Mutant(
        "a line that cannot be written is printed with its arguments",
        "observe/log.py",
        "    handler = _Handler()",
        "    handler = logging.StreamHandler()",
        OBSERVE,
    ),
    Mutant(
        "callbacks log in the name of the request that began them",
        "observe/context.py",
        "self._facts is not None and self._task is _task_now()",
        "self._facts is not None",
        OBSERVE,
    ),
    Mutant(
        "a handling is acknowledged before it is recorded",
        "agents/recording.py",
        "        if result is not None:\n            self._keep(_outcome(result))\n        return result",
        "        if result is not None:\n            import asyncio\n\n"
        "            asyncio.get_running_loop().call_later(0.2, self._keep, _outcome(result))\n        return result",
        ("tests/integration/test_replay_crash.py",),
    ),
    Mutant(
        "a recording does not go on from the checksum before",
        "replay/file.py",
        "        at, before = at + _FRAME.size + len(content), checksum",
        "        at += _FRAME.size + len(content)",
        REPLAYS,
    ),
    Mutant(
        "damage in a recording is run",
        "replay/file.py",
        "        if _checksum(kind, content, before) != checksum:\n",
        "        if False:\n",
        REPLAYS,
    ),
    Mutant(
        "damage in a recording counts as what a kill cut off",
        "replay/file.py",
        "    if _is_cut_off(content):\n",
        "    if True:\n",
        REPLAYS,
    ),
    Mutant(
        "a recording that is damaged in its middle is identical",
        "replay/file.py",
        "        found.damage, found.end = damage_of(data, exc), None\n",
        "        del exc\n",
        REPLAYS,
    ),
    Mutant(
        "an agent whose recording is damaged did not record",
        "services/recordings.py",
        "                found.look_for_damage(entry)\n",
        "                pass\n",
        REPLAYS,
    ),
    Mutant(
        "a crash loop lets go of the recordings of others",
        "replay/shares.py",
        "        if most is None or share.taken > most.taken:\n",
        "        if most is None:\n",
        REPLAYS,
    ),
    Mutant(
        "recordings are read on the event loop",
        "server/rooms.py",
        "await asyncio.to_thread(self.recordings.load)",
        "self.recordings.load()",
        REPLAYS,
    ),
    Mutant(
        "modules for replays are written on the event loop",
        "agents/service.py",
        "asyncio.ensure_future(asyncio.to_thread(recordings.write_module, sha256, wasm))",
        "asyncio.get_running_loop().create_future(); writing.set_result(recordings.write_module(sha256, wasm))",
        REPLAYS,
    ),
    Mutant(
        "a module whose deployment was given up is not counted",
        "agents/service.py",
        "    await asyncio.shield(writing)\n",
        "    await writing\n",
        REPLAYS,
    ),
    Mutant(
        "a module counts each time it is written",
        "replay/store.py",
        "        if sha256 not in self._modules:\n            self._modules[sha256] = size\n",
        "        if True:\n            self._modules[sha256] = size\n",
        REPLAYS,
    ),
    Mutant(
        "two who write a module write one file",
        "replay/store.py",
        'path.with_suffix(f".{os.urandom(4).hex()}")',
        'path.with_suffix(".new")',
        REPLAYS,
    ),
    Mutant(
        "room for a large recording is made in one go",
        "replay/store.py",
        " or len(gone) == at_most:\n",
        ":\n",
        REPLAYS,
    ),
    Mutant(
        "an empty id is any",
        "cli/replay.py",
        "        if text is not None and not text.strip():\n",
        "        if False:\n",
        REPLAYS,
    ),
    Mutant(
        "a replay that was left early is identical",
        "cli/replay.py",
        "told.is_left = True",
        "told.is_left = False",
        REPLAYS,
    ),
    Mutant(
        "a recording of another format is read",
        "replay/file.py",
        "    if found != FORMAT:",
        "    if found > FORMAT + 2**33:",
        REPLAYS,
    ),
    Mutant(
        "recordings have no bound",
        "replay/store.py",
        "        if self.used_bytes <= self.max_bytes:\n            return False",
        "        if self.used_bytes <= self.max_bytes * 1000:\n            return False",
        REPLAYS,
    ),
    Mutant(
        "one life takes all that recordings may take",
        "replay/store.py",
        "if kind == file.HANDLING and self._entry.size + len(data) > self._store.max_life_bytes:",
        "if kind == file.HANDLING and self._entry.size + len(data) > self._store.max_bytes:",
        REPLAYS,
    ),
    Mutant(
        "half a frame stays on a full disk",
        "replay/store.py",
        "                os.ftruncate(handle, entry.size)",
        "                pass",
        REPLAYS,
    ),
    Mutant(
        "the clock of a recording is not that of the guest",
        "replay/tape.py",
        "                self.at += 1\n                return answer",
        "                self.at += 1\n                return answer + 1 if number == NOW else answer",
        REPLAYS,
    ),
    Mutant(
        "arguments are not compared",
        "replay/tape.py",
        "            if known == number and asked == arguments:",
        "            if known == number:",
        REPLAYS,
    ),
    Mutant(
        "calls that were not made again are not missed",
        "replay/player.py",
        "        if not tape.is_at_its_end:\n            return False",
        "        if not tape.is_at_its_end:\n            return True",
        REPLAYS,
    ),
    Mutant(
        "how a handling ended is not compared",
        "replay/player.py",
        "        return same_end(expected, got)",
        "        return True",
        REPLAYS,
    ),
    Mutant(
        "a fork begins without the state that the recording had made",
        "replay/player.py",
        "        self._world.learn(handling)\n",
        "",
        REPLAYS,
    ),
    Mutant(
        "a life is replayed from its conversation on, not from its start",
        "replay/plan.py",
        "        for n, handling in enumerate(recording.handlings[: last + 1]):",
        "        for n, handling in enumerate(h for h, w in zip(recording.handlings, wanted, strict=True) if w):",
        REPLAYS,
    ),
    Mutant(
        "every agent records",
        "agents/supervisor.py",
        "if definition.record and self._recordings is not None:",
        "if self._recordings is not None:",
        REPLAYS,
    ),
    Mutant(
        "an agent goes on recording when it shall not",
        "agents/supervisor.py",
        '                runner.stop_recording("it was switched off")',
        "                pass",
        REPLAYS,
    ),
    Mutant(
        "an approval is told before it is on disk",
        "services/tools.py",
        "sha256=view.sha256)\n        await self._journal.commit()\n        return view\n\n    async def quarantine",
        "sha256=view.sha256)\n        return view\n\n    async def quarantine",
        DESK,
    ),
    Mutant(
        "a grant is told before it is on disk",
        "services/tools.py",
        "principal, **facts)\n        await self._journal.commit()\n",
        "principal, **facts)\n",
        DESK,
    ),
    Mutant(
        "a tool of a source that is down is approved as it was",
        "services/tools.py",
        "        await self._look(workspace, name)\n        view = self.desk.approve(",
        "        view = self.desk.approve(",
        DESK,
    ),
    Mutant(
        "a server that stops still decides about tools",
        "services/tools.py",
        "        check_workspace(workspace)\n        if not self._is_open:\n            raise ShuttingDown",
        "        check_workspace(workspace)",
        DESK,
    ),
    Mutant(
        "who may only look decides about tools",
        "security/policy.py",
        '    "tools:decide": _TOUCH,',
        '    "tools:decide": _LOOK,',
        ("tests/unit/api/test_tools.py",),
    ),
    Mutant(
        "who may only look lets calls go on",
        "security/policy.py",
        '    "approvals:decide": _TOUCH,',
        '    "approvals:decide": _LOOK,',
        ("tests/unit/api/test_tools.py",),
    ),
    Mutant(
        "what is approved is not what was shown",
        "cli/tools.py",
        "sha256=detail.tool.sha256 if sha256 is None else sha256",
        "sha256=sha256",
        ("tests/integration/test_cli_tools.py",),
    ),
    Mutant(
        "a tool is approved without asking",
        "cli/tools.py",
        "    if not yes and sha256 is None and not _is_sure(name):",
        "    if False:",
        ("tests/integration/test_cli_tools.py",),
    ),
    Mutant(
        "recordings are for everybody who may look",
        "security/policy.py",
        '    "recordings:read": _TOUCH,',
        '    "recordings:read": _LOOK,',
        REPLAYS,
    ),
)


def run_tests(tree: Path, tests: tuple[str, ...]) -> bool:
    """Whether all of them pass in `tree`."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=tree, capture_output=True, check=False).returncode == 0


def survives(mutant: Mutant, tree: Path) -> bool:
    """Apply `mutant`, run its tests, and put the file back."""
    path = tree / "src" / "caxton" / mutant.file
    good = path.read_text(encoding="utf-8")
    if good.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.promise}: its place in {mutant.file} is there {good.count(mutant.old)} times")
    path.write_text(good.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return run_tests(tree, mutant.tests)
    finally:
        path.write_text(good, encoding="utf-8")


def main() -> int:
    """Of the words given, only mutants whose promise has one of them; without any, all."""
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or any(word in mutant.promise for word in sys.argv[1:])]
    survivors = 0
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", "node_modules"))
        for mutant in chosen:
            began = time.monotonic()
            alive = survives(mutant, tree)
            survivors += alive
            sys.stdout.write(
                f"{'SURVIVES' if alive else 'caught  '}  {time.monotonic() - began:5.1f} s  {mutant.promise}\n"
            )
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - survivors} passed, {survivors} failed\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
