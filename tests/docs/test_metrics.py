"""docs/reference/metrics.md lists the metrics that the server gives, as it gives them."""

from __future__ import annotations

import json
import re
from itertools import pairwise

from caxton.api.targets import Target
from caxton.observe.metrics import DURATION_BUCKETS, powers
from caxton.server.metrics import CATALOGUE
from tests.docs.tables import assert_same, block, read_page, rows, word, words

PAGE = read_page("reference/metrics.md")

METRICS = {figure.metric.name: figure.metric for figure in CATALOGUE}
LISTED = {word(row[0]): row for row in rows(PAGE, "Metric", "Type")}


def test_every_metric_has_a_line_and_every_line_its_metric() -> None:
    assert_same("metrics", code=METRICS, page=[word(row[0]) for row in rows(PAGE, "Metric", "Type")])
    assert list(METRICS) == list(LISTED)  # in the same order


def test_types_are_right() -> None:
    assert {name: row[1] for name, row in LISTED.items()} == {name: one.kind for name, one in METRICS.items()}


def test_labels_are_right() -> None:
    assert {name: tuple(words(row[2])) for name, row in LISTED.items()} == {
        name: (*one.labels, "le") if one.kind == "histogram" else one.labels for name, one in METRICS.items()
    }


def test_names_follow_the_rules_of_prometheus() -> None:
    assert [name for name, one in METRICS.items() if (one.kind == "counter") != name.endswith("_total")] == []
    assert all(re.fullmatch(r"(caxton|process)_[a-z_]+", name) for name in METRICS)


def test_units_in_names_are_those_of_the_page() -> None:
    units = {name.removesuffix("_total"): row[3] for name, row in LISTED.items()}
    assert [name for name, unit in units.items() if unit == "bytes"] == [n for n in units if n.endswith("_bytes")]
    assert [name for name, unit in units.items() if unit == "seconds"] == [n for n in units if n.endswith("_seconds")]


def test_nothing_that_agents_clients_or_messages_bring_along_is_a_label() -> None:
    found = {label for one in METRICS.values() for label in one.labels}
    known = {"workspace", "performative", "outcome", "reason", "kind", "state", "target", "to", "cause", "code"}
    assert found <= known | {"route", "method", "status", "action", "scope", "version", "signal", "source"}


def test_bounds_of_the_histogram_are_right() -> None:
    bounds = powers([0] * DURATION_BUCKETS).bounds
    said = f"have {len(bounds)} bounds, from {bounds[0]:.6f} s to {bounds[-1]:.6f} s, each twice the one before"
    assert said in PAGE
    assert all(high == 2 * low for low, high in pairwise(bounds))


def test_metrics_named_in_the_text_exist() -> None:
    assert set(re.findall(r"`(caxton_\w+)", PAGE)) <= set(METRICS)


def test_example_of_the_discovery_is_one() -> None:
    (target,) = json.loads(block(PAGE, "json"))
    assert tuple(target) == Target.__struct_fields__
