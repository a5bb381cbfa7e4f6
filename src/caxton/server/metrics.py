"""The catalogue: every metric of the node, and where its figure is read when somebody asks.

A new one is a line here and a line in docs/reference/metrics.md. Rules: base units, `_total` for what only grows, and
labels with a few values that are known beforehand; never a name or id that agents, clients or messages bring along.

Source: prometheus.io/docs/practices/naming.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caxton.core.errors.limits import RateLimited
from caxton.core.errors.receivers import BulkheadFull, CircuitOpen
from caxton.observe.metrics import Metric, powers, render
from caxton.telemetry.settings import SIGNALS
from caxton.tools import figures as tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from caxton.observe.metrics import Histogram, Kind, Samples
    from caxton.observe.process import Process
    from caxton.server.census import Census
    from caxton.server.rooms import Rooms

AGENT_STATES = ("loaded", "running", "draining", "stopped", "failed")
CIRCUIT_STATES = ("closed", "open", "half_open")
JOURNAL_STATES = ("ok", "read-only", "failed")

CAUSES = ("dead-letters-full", "disk-full", "journal-full", "log-full")
"""Of a closed intake, that have a sample also while they are not there; others only while they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the figures are read from."""

    rooms: Rooms
    census: Census
    process: Process
    version: str
    now_us: int
    """Wall clock."""
    started_s: float
    """Wall clock, seconds since 1970."""
    uptime_s: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric and how it is read."""

    metric: Metric
    read: Callable[[Moment], Samples]


def _counter(name: str, text: str, read: Callable[[Moment], Samples], *labels: str) -> Figure:
    return _figure("counter", name, text, read, labels)


def _gauge(name: str, text: str, read: Callable[[Moment], Samples], *labels: str) -> Figure:
    return _figure("gauge", name, text, read, labels)


def _times(name: str, text: str, read: Callable[[Moment], Samples], *labels: str) -> Figure:
    return _figure("histogram", name, text, read, labels)


def _figure(kind: Kind, name: str, text: str, read: Callable[[Moment], Samples], labels: tuple[str, ...]) -> Figure:
    return Figure(Metric(name if name.startswith("process_") else f"caxton_{name}", kind, text, labels), read)


# --- what is read of several rooms ---------------------------------------------------------------------------


def _sent(m: Moment) -> Samples:
    directories = m.rooms.bus.names.directories()
    return {(d.workspace, act): count for d in directories for act, count in d.sent.items()}


def _errors(m: Moment) -> Samples:
    """What went wrong on our side or the agents', wherever it was seen."""
    bus = m.rooms.bus
    return {"AGENT_CRASHED": bus.crashes, "HANDLER_FAILED": bus.failures - bus.crashes, **m.rooms.meter.errors}


def _oldest(m: Moment) -> Samples:
    oldest_us = m.census.oldest_us
    return 0.0 if oldest_us is None else max(m.now_us - oldest_us, 0) / 1e6


def _journal_state(m: Moment) -> Samples:
    state = "failed" if m.rooms.journal.failed else "read-only" if m.rooms.disk.is_read_only else "ok"
    return {known: int(known == state) for known in JOURNAL_STATES}


def _closed(m: Moment) -> Samples:
    causes = m.rooms.bus.intake.causes
    return {cause: int(cause in causes) for cause in {*CAUSES, *causes}}


def _circuit_states(m: Moment) -> Samples:
    return {("agent", state): m.census.circuits[state] for state in (*CIRCUIT_STATES, "off")}


def _rate_limited(m: Moment) -> Samples:
    return {
        "agent-messages": m.rooms.bus.flight.refusals[RateLimited.code],
        "dead-letter-replays": m.rooms.meter.refusals[RateLimited.code],
    }


def _read_all(histograms: dict[str, Histogram]) -> Samples:
    return {label: histogram.read() for label, histogram in histograms.items()}


def _not_exported(m: Moment) -> Samples:
    nothing: dict[str, float] = dict.fromkeys(SIGNALS, 0)
    return nothing if m.rooms.telemetry is None else {**nothing, **m.rooms.telemetry.dropped}


CATALOGUE: tuple[Figure, ...] = (
    # --- requests --------------------------------------------------------------------------------------------
    _times(
        "request_duration_seconds",
        "From a request's head to the head of its answer.",
        lambda m: {key: histogram.read() for key, histogram in m.rooms.meter.durations.items()},
        "route", "method", "status",
    ),
    _counter("errors_total", "What failed on the side of the server or its agents, by code.", _errors, "code"),
    _counter(
        "refusals_total",
        "Requests that were wrong or too much, by the code of their answer.",
        lambda m: dict(m.rooms.meter.refusals),
        "code",
    ),
    _counter(
        "auth_failures_total",
        "Requests by somebody who did not prove who they are.",
        lambda m: dict(m.rooms.meter.auth_failures),
        "reason",
    ),
    _counter(
        "authz_denied_total",
        "Requests by somebody who may not do this.",
        lambda m: dict(m.rooms.meter.denied),
        "action",
    ),
    _counter(
        "rate_limited_total", "What was refused because there was too much of it in a second.",
        _rate_limited, "scope",
    ),
    # --- messages --------------------------------------------------------------------------------------------
    _counter("messages_accepted_total", "Messages accepted from clients.", lambda m: m.rooms.postbox.accepted),
    _counter(
        "messages_duplicate_total", "Messages from clients that were accepted before.",
        lambda m: m.rooms.postbox.duplicates,
    ),
    _counter("messages_sent_total", "Messages by what they say.", _sent, "workspace", "performative"),
    _counter(
        "messages_settled_total",
        "Messages that nobody has to handle any more.",
        lambda m: {
            "handled": m.rooms.bus.settled - m.rooms.bus.timers_handled,
            "dead-letter": sum(m.rooms.bus.letters.buried.values()),
        },
        "outcome",
    ),
    _counter("timers_handled_total", "Timers whose handler succeeded.", lambda m: m.rooms.bus.timers_handled),
    _counter("handler_failures_total", "Handlings that failed and were undone.", lambda m: m.rooms.bus.failures),
    _times(
        "message_latency_seconds",
        "From acceptance to handing over. The sum is an estimate.",
        lambda m: powers(m.rooms.bus.latency_us),
    ),
    _times(
        "message_processing_duration_seconds",
        "Of one handling of a message or timer. The sum is an estimate.",
        lambda m: {"handled": powers(m.rooms.bus.handled_us), "failed": powers(m.rooms.bus.failed_us)},
        "outcome",
    ),
    _counter(
        "message_redeliveries_total",
        "Attempts beyond the first, by why there was one.",
        lambda m: dict(m.rooms.bus.redelivery.counted),
        "reason",
    ),
    _counter(
        "sends_refused_total",
        "Messages of clients and agents that were not taken, by code.",
        lambda m: dict(m.rooms.bus.flight.refusals),
        "reason",
    ),
    _gauge("mailbox_messages", "Messages accepted and not settled.", lambda m: m.census.messages),
    _gauge("oldest_unsettled_age_seconds", "How long the oldest of them has waited.", _oldest),
    _gauge("intake_closed", "1 while nothing new is taken.", _closed, "cause"),
    # --- dead letters ----------------------------------------------------------------------------------------
    _gauge("dead_letters", "Messages given up that wait for somebody.", lambda m: m.rooms.bus.letters.count),
    _gauge("dead_letters_bytes", "What they count towards their limit.", lambda m: m.rooms.bus.letters.bytes),
    _gauge(
        "dead_letters_limit_bytes", "From which on no new messages are taken.",
        lambda m: m.rooms.bus.letters.max_bytes,
    ),
    _counter(
        "dead_letters_total", "Messages given up, by reason.",
        lambda m: dict(m.rooms.bus.letters.buried), "reason",
    ),
    _counter("dead_letters_replayed_total", "Dead letters handed over again.", lambda m: m.rooms.bus.letters.replayed),
    # --- conversations ---------------------------------------------------------------------------------------
    _gauge(
        "conversations_open",
        "Conversations that follow a protocol and go on.",
        lambda m: m.rooms.conversation_room.book.open,
    ),
    _counter(
        "conversations_total", "Conversations that ended.",
        lambda m: dict(m.rooms.conversation_room.table.ended), "outcome",
    ),
    _counter(
        "conversation_violations_total",
        "Messages out of place in their conversation.",
        lambda m: m.rooms.conversation_room.referee.violations,
    ),
    _counter(
        "conversation_deadlines_total",
        "Answers that did not come in time.",
        lambda m: m.rooms.conversation_room.deadlines.passed,
    ),
    _counter(
        "conversation_late_total",
        "Proposals after their time, rejected by the node.",
        lambda m: m.rooms.conversation_room.referee.late,
    ),
    _gauge(
        "deadlocked",
        "Circles of agents that wait for each other, now.",
        lambda m: len(m.rooms.conversation_room.watch.found),
    ),
    _counter(
        "deadlocks_total",
        "Circles of agents that wait for each other, found.",
        lambda m: m.rooms.conversation_room.watch.total,
    ),
    # --- agents ----------------------------------------------------------------------------------------------
    _gauge("agents", "Agents by state.", lambda m: {state: m.census.states[state] for state in AGENT_STATES}, "state"),
    _gauge("instances", "Sandboxes that are up.", lambda m: m.census.instances),
    _counter(
        "agent_restarts_total", "Instances made again, by why.",
        lambda m: dict(m.rooms.agents.counted.restarts), "reason",
    ),
    _counter(
        "supervisor_escalations_total",
        "Agents given up because they crashed too often.",
        lambda m: m.rooms.agents.counted.escalations,
    ),
    _counter("wasm_traps_total", "Ends of instances, by kind.", lambda m: dict(m.rooms.agents.counted.traps), "kind"),
    _gauge("wasm_memory_bytes", "Linear memory of all guests.", lambda m: m.census.memory_bytes),
    _times(
        "wasm_compile_duration_seconds",
        "Of compiling one module in the child process.",
        lambda m: _read_all(m.rooms.compiler.durations),
        "outcome",
    ),
    _counter(
        "deployments_total",
        "New agents and new versions of agents.",
        lambda m: {outcome: sum(h.read().counts) for outcome, h in m.rooms.agents.counted.deployments.items()},
        "outcome",
    ),
    _times(
        "deployment_duration_seconds",
        "Of one of them.",
        lambda m: _read_all(m.rooms.agents.counted.deployments),
        "outcome",
    ),
    _gauge("circuit_breaker_state", "Agents by their circuit's state.", _circuit_states, "target", "state"),
    _counter(
        "circuit_breaker_transitions_total",
        "States that circuits entered.",
        lambda m: {state: m.rooms.agents.counted.circuits.transitions[state] for state in CIRCUIT_STATES},
        "to",
    ),
    _counter(
        "callers_refused_total",
        "Callers who could not wait for a reply.",
        lambda m: {
            kind.code: m.rooms.agents.counted.circuits.refused[kind.code] for kind in (CircuitOpen, BulkheadFull)
        },
        "code",
    ),
    # --- tools -----------------------------------------------------------------------------------------------
    _times(
        "mcp_client_operation_duration_seconds",
        "Of one call of a tool that its source was asked. The sum is an estimate.",
        lambda m: tools.durations(m.rooms.tools.desk.catalogue),
        "workspace", "source",
    ),
    _counter(
        "tool_calls_total", "Calls of tools by what came of them.",
        lambda m: tools.calls(m.rooms.tools.desk.catalogue), "workspace", "source", "outcome",
    ),
    _counter(
        "tool_calls_unrecorded_total", "Calls of tools of which no record is on disk.",
        lambda m: m.rooms.tools.desk.unrecorded,
    ),
    _gauge(
        "tool_calls_under_way", "Calls that a source has not answered.",
        lambda m: tools.under_way(m.rooms.tools.desk.catalogue), "workspace", "source",
    ),
    _gauge(
        "tool_calls_queued", "Calls that wait for others of the same source to end.",
        lambda m: tools.queued(m.rooms.tools.desk.catalogue), "workspace", "source",
    ),
    _gauge(
        "tool_circuit_state", "1 for the state of a source's circuit.",
        lambda m: tools.circuits(m.rooms.tools.desk.catalogue), "workspace", "source", "state",
    ),
    _counter(
        "tool_circuit_transitions_total", "States that circuits of sources entered.",
        lambda m: tools.transitions(m.rooms.tools.desk.catalogue), "workspace", "source", "to",
    ),
    _gauge(
        "tools", "Tools by whether they may be called.",
        lambda m: tools.tools(m.rooms.tools.desk.catalogue), "workspace", "source", "state",
    ),
    _gauge(
        "tool_approvals_waiting", "Calls of tools that wait for a person.",
        lambda m: m.rooms.tools.desk.approvals_waiting,
    ),
    # --- journal and disk ------------------------------------------------------------------------------------
    _times(
        "journal_commit_duration_seconds",
        "A transaction with its fsync, and its checkpoint if it had one. The sum is an estimate.",
        lambda m: powers(m.rooms.database.commit_us),
    ),
    _times(
        "journal_fsync_duration_seconds",
        "Its last step alone: writing its pages to the log, and the fsync.",
        lambda m: m.rooms.database.syncs.read(),
    ),
    _times("journal_batch_messages", "Messages written in one transaction.", lambda m: m.rooms.journal.batches.read()),
    _counter("journal_commits_total", "Transactions committed and synced.", lambda m: m.rooms.journal.commits),
    _counter("journal_rows_total", "Rows written by those transactions.", lambda m: m.rooms.journal.rows_written),
    _counter(
        "journal_errors_total",
        "Transactions and checkpoints that failed.",
        lambda m: dict(m.rooms.database.failures),
        "kind",
    ),
    _gauge("journal_state", "1 for the state that it is in.", _journal_state, "state"),
    _gauge("journal_bytes", "Pages of the journal that are in use.", lambda m: m.rooms.database.usage.live_bytes),
    _gauge(
        "journal_limit_bytes", "From which on no new messages are taken.",
        lambda m: m.rooms.disk.limits()["journal"],
    ),
    _gauge(
        "journal_wal_bytes",
        "Of the write-ahead log, as much as counts.",
        lambda m: m.rooms.database.usage.wal_bytes,
    ),
    _gauge(
        "disk_free_bytes",
        "Free on the disk of the data directory when it was last looked.",
        lambda m: m.rooms.disk.free_bytes,
    ),
    _counter("recorder_records_total", "Records that the flight recorder kept.", lambda m: m.rooms.recorder.recorded),
    _counter(
        "recorder_lost_total",
        "Records that it could not keep because of an error.",
        lambda m: m.rooms.recorder.lost,
    ),
    _gauge("recorder_bytes", "Of its ring that are in use.", lambda m: m.rooms.recorder.used_bytes),
    _gauge("logs_memory_bytes", "Of the agents' log lines that are kept in memory.", lambda m: m.rooms.log.pages.bytes),
    _gauge("logs_disk_bytes", "Of their files, unreadable ones included.", lambda m: m.rooms.log_files.bytes),
    _counter(
        "logs_lines_let_go_total",
        "Lines of agents that went because those of all together were too much.",
        lambda m: m.rooms.log.pages.let_go,
    ),
    _counter(
        "logs_lines_unwritten_total",
        "Lines of agents that were not written to disk.",
        lambda m: m.rooms.log_writer.unwritten,
    ),
    _gauge("recordings", "Lives of instances that are recorded for replays.", lambda m: m.rooms.recordings.lives),
    _gauge("recordings_bytes", "What they take, with their modules.", lambda m: m.rooms.recordings.used_bytes),
    _counter(
        "telemetry_dropped_total",
        "What a collector did not get: spans, sets of figures, lines of logs.",
        _not_exported,
        "signal",
    ),
    _counter(
        "telemetry_passed_over_total",
        "Spans that were wanted and for which telemetry.max_spans_per_s had no room.",
        lambda m: 0 if m.rooms.telemetry is None else m.rooms.telemetry.passed_over,
    ),
    # --- the process -----------------------------------------------------------------------------------------
    _times(
        "event_loop_lag_seconds",
        "How late the event loop was, looked at twice a second.",
        lambda m: m.rooms.lag.seen.read(),
    ),
    _gauge("uptime_seconds", "Since the server started.", lambda m: m.uptime_s),
    _gauge("build_info", "Always 1; the version is the label.", lambda m: {m.version: 1}, "version"),
    _counter("process_cpu_seconds_total", "CPU time of the process.", lambda m: m.process.cpu_s),
    _gauge("process_resident_memory_bytes", "Memory of the process.", lambda m: m.process.resident_bytes),
    _gauge("process_open_fds", "Open file descriptors.", lambda m: m.process.open_fds),
    _gauge("process_max_fds", "File descriptors that it may have open.", lambda m: m.process.max_fds),
    _gauge("process_start_time_seconds", "When the server started, since 1970.", lambda m: m.started_s),
)  # fmt: skip


def read(moment: Moment) -> Iterable[tuple[Metric, Samples]]:
    """Every metric with its values."""
    for figure in CATALOGUE:
        yield figure.metric, figure.read(moment)


def text_of(moment: Moment) -> bytes:
    """All of them in Prometheus' text format."""
    return "".join(render(metric, samples) for metric, samples in read(moment)).encode()
