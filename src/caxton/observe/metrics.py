"""Prometheus metrics, read from the rooms' own counters when asked: counting costs the hot path nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Every figure of the node at one moment."""

    version: str
    agents: dict[str, int]
    """By status."""
    instances: int
    wasm_memory_bytes: int
    restarts: int
    accepted: int
    """Messages from outside."""
    settled: int
    failures: int
    """Handlings that failed."""
    dead_letters: int
    """That wait in the journal."""
    dead_letters_bytes: int
    dead_letters_buried: dict[str, int]
    """By reason, in this run."""
    dead_letters_replayed: int
    refused: int
    """Messages from outside that met a full mailbox."""
    circuits: dict[str, int]
    """Agents by the state of their circuit breaker."""
    circuit_transitions: dict[str, int]
    """By the state that was entered."""
    callers_refused: dict[str, int]
    """Callers who would have waited for a reply, by the code of their error."""
    mailbox_messages: int
    latency_us: list[int]
    """Bucket n: messages that waited from 2^(n-1) to 2^n µs before they were handed over."""
    commits: int
    rows_written: int
    journal_bytes: int
    wal_bytes: int
    disk_free_bytes: int
    commit_us: list[int]
    """Bucket n: commits that took from 2^(n-1) to 2^n µs."""
    storage_failures: dict[str, int]
    """By kind."""
    storage_causes: tuple[str, ...]
    """Why nothing new is taken; empty if it is."""
    conversations_open: int
    conversations_ended: dict[str, int]
    """By outcome, in this run."""
    conversation_violations: int
    """Messages out of place."""
    conversation_deadlines: int
    """Answers that did not come in time."""
    conversation_late: int
    """Proposals that came too late and were rejected by the node."""
    deadlocks: int
    """That there are now."""
    deadlocks_found: int
    """In this run."""
    uptime_s: float


_COUNTERS = (
    ("caxton_messages_accepted", "Messages accepted from outside.", "accepted"),
    ("caxton_messages_settled", "Messages and timers whose handling succeeded.", "settled"),
    ("caxton_handler_failures", "Handlings that failed and were undone.", "failures"),
    ("caxton_dead_letters_replayed", "Dead letters handed over again.", "dead_letters_replayed"),
    ("caxton_sends_refused", "Messages from outside refused because the mailbox was full.", "refused"),
    ("caxton_conversation_violations", "Messages out of place in their conversation.", "conversation_violations"),
    ("caxton_conversation_deadlines", "Answers that did not come in time.", "conversation_deadlines"),
    ("caxton_conversation_late", "Proposals after their time, rejected by the node.", "conversation_late"),
    ("caxton_deadlocks", "Circles of agents that wait for each other, found.", "deadlocks_found"),
    ("caxton_agent_restarts", "Instances made again after a crash.", "restarts"),
    ("caxton_journal_commits", "Transactions committed and synced.", "commits"),
    ("caxton_journal_rows", "Rows written by those transactions.", "rows_written"),
)

_GAUGES = (
    ("caxton_instances", "Sandboxes that are up.", "instances"),
    ("caxton_wasm_memory_bytes", "Linear memory of all guests.", "wasm_memory_bytes"),
    ("caxton_journal_bytes", "Pages of the journal that are in use.", "journal_bytes"),
    ("caxton_journal_wal_bytes", "Of the write-ahead log, as much as counts.", "wal_bytes"),
    ("caxton_disk_free_bytes", "Free on the disk of the data directory when it was last looked.", "disk_free_bytes"),
    ("caxton_mailbox_messages", "Messages accepted and not settled.", "mailbox_messages"),
    ("caxton_dead_letters", "Messages given up that wait for somebody.", "dead_letters"),
    ("caxton_dead_letters_bytes", "What they count towards their limit.", "dead_letters_bytes"),
    ("caxton_conversations_open", "Conversations that follow a protocol and go on.", "conversations_open"),
    ("caxton_deadlocked", "Circles of agents that wait for each other, now.", "deadlocks"),
    ("caxton_uptime_seconds", "Since the server started.", "uptime_s"),
)

CAUSES = ("disk-full", "journal-full", "log-full")
"""Those that have a sample also while they are not there; others only while they are."""

CIRCUIT_STATES = ("closed", "open", "half_open")

_FIRST_BUCKET, _LAST_BUCKET = 3, 25
"""8 µs to 33 s; below and above is of no interest by itself."""


class Metrics(Collector):
    """Renders snapshots in the Prometheus text format."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the figures are made when they are asked for."""
        return ()

    def collect(self) -> Iterable[Metric]:
        now = self._snapshot()
        for name, text, field in _COUNTERS:
            yield CounterMetricFamily(name, text, value=getattr(now, field))
        for name, text, field in _GAUGES:
            yield GaugeMetricFamily(name, text, value=getattr(now, field))
        buried = CounterMetricFamily("caxton_dead_letters", "Messages given up, by reason.", labels=["reason"])
        for reason, count in sorted(now.dead_letters_buried.items()):
            buried.add_metric([reason], count)
        yield buried
        ended = CounterMetricFamily("caxton_conversations", "Conversations that ended.", labels=["outcome"])
        for outcome, count in sorted(now.conversations_ended.items()):
            ended.add_metric([outcome], count)
        yield ended
        agents = GaugeMetricFamily("caxton_agents", "Agents by status.", labels=["status"])
        for status, count in sorted(now.agents.items()):
            agents.add_metric([status], count)
        yield agents
        yield from _circuits(now)
        yield _histogram(
            "caxton_message_latency_seconds", "From acceptance to handing over. The sum is an estimate.", now.latency_us
        )
        yield _histogram(
            "caxton_journal_commit_duration_seconds",
            "A transaction with its fsync, and its checkpoint if it had one. The sum is an estimate.",
            now.commit_us,
        )
        failures = CounterMetricFamily(
            "caxton_journal_failures", "Transactions and checkpoints that failed.", labels=["kind"]
        )
        for kind, count in sorted(now.storage_failures.items()):
            failures.add_metric([kind], count)
        yield failures
        closed = GaugeMetricFamily("caxton_intake_closed", "1 while nothing new is taken.", labels=["cause"])
        for cause in sorted({*CAUSES, *now.storage_causes}):
            closed.add_metric([cause], cause in now.storage_causes)
        yield closed
        build = GaugeMetricFamily("caxton_build_info", "Always 1; the version is the label.", labels=["version"])
        build.add_metric([now.version], 1)
        yield build


def _circuits(now: Snapshot) -> Iterable[Metric]:
    states = GaugeMetricFamily("caxton_circuit_breaker_state", "Agents by their circuit's state.", labels=["state"])
    for state in (*CIRCUIT_STATES, "off"):
        states.add_metric([state], now.circuits.get(state, 0))
    yield states
    turns = CounterMetricFamily("caxton_circuit_breaker_transitions", "States that circuits entered.", labels=["to"])
    for state in CIRCUIT_STATES:
        turns.add_metric([state], now.circuit_transitions.get(state, 0))
    yield turns
    refused = CounterMetricFamily("caxton_callers_refused", "Callers who could not wait for a reply.", labels=["code"])
    for code in ("CIRCUIT_OPEN", "BULKHEAD_FULL"):
        refused.add_metric([code], now.callers_refused.get(code, 0))
    yield refused


def _histogram(name: str, text: str, counts: list[int]) -> Metric:
    buckets: list[tuple[str, float]] = []
    seen, total_s = 0.0, 0.0
    for n, count in enumerate(counts):
        seen += count
        total_s += count * (2**n) * 0.75e-6  # the middle of a bucket: the exact sum is not kept
        if _FIRST_BUCKET <= n <= _LAST_BUCKET:
            buckets.append((repr(2**n / 1e6), seen))
    buckets.append(("+Inf", seen))
    family = HistogramMetricFamily(name, text)
    family.add_metric([], buckets, total_s)
    return family
