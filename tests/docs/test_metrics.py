"""docs/reference/metrics.md lists the metrics that the server gives, as it gives them."""

from __future__ import annotations

import re
from itertools import pairwise

from caxton.observe.metrics import Metrics, Snapshot
from tests.docs.tables import assert_same, read_page, rows, word, words

PAGE = read_page("reference/metrics.md")

_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? ", re.MULTILINE)


def rendered() -> str:
    snapshot = Snapshot(
        version="1.2.3", agents={"running": 1}, instances=1, wasm_memory_bytes=1, restarts=1, accepted=1, settled=1,
        failures=1, dead_letters=1, dead_letters_bytes=1, dead_letters_buried={"failed": 1}, dead_letters_replayed=1,
        refused=1, mailbox_messages=1, latency_us=[1] * 32, commits=1, rows_written=1,
        circuits={"open": 1}, circuit_transitions={"open": 1}, callers_refused={"CIRCUIT_OPEN": 1},
        conversations_open=3, conversations_ended={"completed": 2, "idle": 1, "too-old": 0, "cancelled": 0},
    conversation_violations=4, conversation_deadlines=5, conversation_late=6, deadlocks=1, deadlocks_found=2,
        uptime_s=1.0, journal_bytes=1, wal_bytes=1, disk_free_bytes=1, commit_us=[1] * 32,
        storage_failures={"io": 1}, storage_causes=(),
    )  # fmt: skip
    return Metrics(lambda: snapshot).render().decode()


TEXT = rendered()
TYPES = dict(re.findall(r"^# TYPE (\w+) (\w+)$", TEXT, re.MULTILINE))
LISTED = {word(row[0]): row for row in rows(PAGE, "Metric", "Type")}


def labels_of(metric: str) -> set[str]:
    samples = [match for match in _SAMPLE.finditer(TEXT) if match["name"] in (metric, f"{metric}_bucket")]
    return {name for match in samples for name in re.findall(r'(\w+)="', match["labels"] or "")}


def test_every_metric_has_a_line_and_every_line_its_metric() -> None:
    assert_same("metrics", code=TYPES, page=[word(row[0]) for row in rows(PAGE, "Metric", "Type")])


def test_types_are_right() -> None:
    assert {name: row[1] for name, row in LISTED.items()} == TYPES


def test_labels_are_right() -> None:
    assert {name: set(words(row[2])) for name, row in LISTED.items()} == {name: labels_of(name) for name in TYPES}


def test_units_in_names_are_those_of_the_page() -> None:
    units = {name: row[3] for name, row in LISTED.items()}
    assert [name for name, unit in units.items() if unit == "bytes"] == [n for n in units if n.endswith("_bytes")]
    assert [name for name, unit in units.items() if unit == "seconds"] == [n for n in units if n.endswith("_seconds")]


def test_bounds_of_the_histogram_are_right() -> None:
    bounds = [float(bound) for bound in re.findall(r'latency_seconds_bucket{le="([\d.e-]+)"', TEXT)]
    assert bounds == [float(bound) for bound in re.findall(r'commit_duration_seconds_bucket{le="([\d.e-]+)"', TEXT)]
    said = f"has {len(bounds)} bounds, from {bounds[0]:.6f} s to {bounds[-1]:.6f} s, each twice the one before"
    assert said in PAGE
    assert all(high == 2 * low for low, high in pairwise(bounds))


def test_metrics_named_in_the_text_exist() -> None:
    assert set(re.findall(r"`(caxton_\w+)", PAGE)) <= set(TYPES)
