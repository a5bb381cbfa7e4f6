"""Metrics: the Prometheus text says what the snapshot says."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from caxton.observe.metrics import Metrics, Snapshot

SNAPSHOT = Snapshot(
    version="1.2.3",
    agents={"running": 3, "failed": 1},
    instances=4,
    wasm_memory_bytes=262144,
    restarts=2,
    accepted=10,
    settled=20,
    failures=3,
    circuits={"closed": 2, "open": 1, "off": 1},
    circuit_transitions={"open": 5, "half_open": 4, "closed": 1},
    callers_refused={"CIRCUIT_OPEN": 7},
    dead_letters=1,
    dead_letters_bytes=1,
    dead_letters_buried={"failed": 1},
    dead_letters_replayed=1,
    refused=5,
    mailbox_messages=7,
    latency_us=[0] * 32,
    commits=9,
    rows_written=90,
    journal_bytes=4096,
    wal_bytes=8192,
    disk_free_bytes=1 << 30,
    commit_us=[0] * 32,
    storage_failures={"full": 2, "io": 0},
    storage_causes=("disk-full",),
    conversations_open=3,
    conversations_ended={"completed": 2, "idle": 1, "too-old": 0, "cancelled": 0},
    conversation_violations=4,
    conversation_deadlines=5,
    conversation_late=6,
    deadlocks=1,
    deadlocks_found=2,
    uptime_s=1.5,
)


def samples(snapshot: Snapshot) -> dict[str, float]:
    """`name{labels}` → value, as a Prometheus server would read it."""
    text = Metrics(lambda: snapshot).render().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_every_figure_is_told_under_its_name() -> None:
    found = samples(SNAPSHOT)
    assert {name: value for name, value in found.items() if "latency" not in name and "duration" not in name} == {
        "caxton_messages_accepted_total": 10,
        "caxton_messages_settled_total": 20,
        "caxton_handler_failures_total": 3,
        "caxton_dead_letters_total{reason=failed}": 1,
        "caxton_dead_letters": 1,
        "caxton_dead_letters_bytes": 1,
        "caxton_dead_letters_replayed_total": 1,
        "caxton_sends_refused_total": 5,
        "caxton_agent_restarts_total": 2,
        "caxton_journal_commits_total": 9,
        "caxton_journal_rows_total": 90,
        "caxton_conversations_open": 3,
        "caxton_conversations_total{outcome=completed}": 2,
        "caxton_conversations_total{outcome=idle}": 1,
        "caxton_conversations_total{outcome=too-old}": 0,
        "caxton_conversations_total{outcome=cancelled}": 0,
        "caxton_conversation_violations_total": 4,
        "caxton_conversation_deadlines_total": 5,
        "caxton_conversation_late_total": 6,
        "caxton_deadlocked": 1,
        "caxton_deadlocks_total": 2,
        "caxton_instances": 4,
        "caxton_wasm_memory_bytes": 262144,
        "caxton_mailbox_messages": 7,
        "caxton_journal_bytes": 4096,
        "caxton_journal_wal_bytes": 8192,
        "caxton_disk_free_bytes": 1 << 30,
        "caxton_uptime_seconds": 1.5,
        "caxton_agents{status=failed}": 1,
        "caxton_agents{status=running}": 3,
        "caxton_journal_failures_total{kind=full}": 2,
        "caxton_journal_failures_total{kind=io}": 0,
        "caxton_intake_closed{cause=disk-full}": 1,
        "caxton_intake_closed{cause=journal-full}": 0,
        "caxton_intake_closed{cause=log-full}": 0,
        "caxton_build_info{version=1.2.3}": 1,
        "caxton_circuit_breaker_state{state=closed}": 2,
        "caxton_circuit_breaker_state{state=open}": 1,
        "caxton_circuit_breaker_state{state=half_open}": 0,
        "caxton_circuit_breaker_state{state=off}": 1,
        "caxton_circuit_breaker_transitions_total{to=closed}": 1,
        "caxton_circuit_breaker_transitions_total{to=open}": 5,
        "caxton_circuit_breaker_transitions_total{to=half_open}": 4,
        "caxton_callers_refused_total{code=CIRCUIT_OPEN}": 7,
        "caxton_callers_refused_total{code=BULKHEAD_FULL}": 0,
    }


def test_latency_buckets_only_grow_and_none_is_left_out() -> None:
    counts = [1] * 32
    found = samples(replace(SNAPSHOT, latency_us=counts))
    buckets = {
        float(name.split("le=")[1].rstrip("}")): value
        for name, value in found.items()
        if "latency_seconds_bucket" in name
    }
    assert [buckets[bound] for bound in sorted(buckets)] == sorted(buckets.values())
    assert buckets[float("inf")] == found["caxton_message_latency_seconds_count"] == 32
    assert buckets[8e-6] == 4  # what waited less than 1, 2, 4 and 8 µs


def test_message_that_waited_a_millisecond_is_in_the_bucket_above_and_not_below() -> None:
    counts = [0] * 32
    counts[(1000).bit_length()] = 1
    found = samples(replace(SNAPSHOT, latency_us=counts))
    assert found["caxton_message_latency_seconds_bucket{le=0.000512}"] == 0
    assert found["caxton_message_latency_seconds_bucket{le=0.001024}"] == 1
    assert 0.0005 < found["caxton_message_latency_seconds_sum"] < 0.001024


def test_figures_are_those_of_the_moment_they_are_asked_for() -> None:
    now = [SNAPSHOT]
    metrics = Metrics(lambda: now[0])
    before = metrics.render()
    now[0] = replace(SNAPSHOT, settled=21)
    assert b"caxton_messages_settled_total 20.0" in before
    assert b"caxton_messages_settled_total 21.0" in metrics.render()
