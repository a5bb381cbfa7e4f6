"""Metrics: the text says what was counted, and Prometheus' own reader reads it so."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from caxton.observe.metrics import DURATION_BUCKETS, Distribution, Histogram, Metric, powers, render

if TYPE_CHECKING:
    from caxton.observe.metrics import Samples

KINDS = Metric("k_total", "counter", "By kind.", ("kind",))
TIMES = Metric("t_seconds", "histogram", "Times.")


def samples(metric: Metric, values: Samples) -> dict[tuple[str, ...], float]:
    """(name, value of each label…) → value, as a Prometheus server would read it."""
    (family,) = text_string_to_metric_families(render(metric, values))
    assert (family.type, family.documentation) == (metric.kind, metric.text)
    return {(sample.name, *sample.labels.values()): sample.value for sample in family.samples}


def buckets(counts: Distribution) -> dict[float, float]:
    """Upper bound → how many were not above it."""
    return {
        float(labels[0]): value
        for (name, *labels), value in samples(TIMES, counts).items()
        if name == "t_seconds_bucket"
    }


def test_value_without_labels_is_one_line_under_its_help_and_type() -> None:
    metric = Metric("x", "gauge", "How much.")
    assert render(metric, 7) == "# HELP x How much.\n# TYPE x gauge\nx 7\n"


def test_metric_of_which_nothing_was_counted_has_only_its_head() -> None:
    assert render(KINDS, {}) == "# HELP k_total By kind.\n# TYPE k_total counter\n"


def test_values_of_several_labels_are_told_apart() -> None:
    metric = Metric("x_total", "counter", "X.", ("a", "b"))
    assert samples(metric, {("1", "2"): 3, ("2", "1"): 4}) == {("x_total", "1", "2"): 3, ("x_total", "2", "1"): 4}


def test_labels_that_are_not_as_many_as_declared_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        render(KINDS, {("a", "b"): 1})


@given(st.text())
def test_any_text_may_be_the_value_of_a_label(text: str) -> None:
    assert samples(KINDS, {text: 1}) == {("k_total", text): 1}


def test_value_at_a_bound_counts_below_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.1, 0.11, 1.0, 5.0):
        histogram.add(value)
    assert buckets(histogram.read()) == {0.1: 1, 1.0: 3, inf: 4}
    found = samples(TIMES, histogram.read())
    assert (found["t_seconds_count",], found["t_seconds_sum",]) == (4, pytest.approx(6.21))


def test_what_was_read_of_a_histogram_does_not_change_any_more() -> None:
    histogram = Histogram()
    before = histogram.read()
    histogram.add(1)
    assert (sum(before.counts), sum(histogram.read().counts)) == (0, 1)


def test_buckets_of_powers_only_grow_and_none_is_left_out() -> None:
    found = buckets(powers([1] * DURATION_BUCKETS))
    assert [found[bound] for bound in sorted(found)] == sorted(found.values())
    assert found[inf] == samples(TIMES, powers([1] * DURATION_BUCKETS))["t_seconds_count",] == DURATION_BUCKETS
    assert found[8e-6] == 4  # what took less than 1, 2, 4 and 8 µs


def test_what_took_a_millisecond_is_in_the_bucket_above_and_not_below() -> None:
    counts = [0] * DURATION_BUCKETS
    counts[(1000).bit_length()] += 1
    found = buckets(powers(counts))
    assert (found[0.000512], found[0.001024]) == (0, 1)
    assert 0.0005 < samples(TIMES, powers(counts))["t_seconds_sum",] < 0.001024


@pytest.mark.parametrize("took_us", [0, 1, -5, 40_000_000, 1 << 60, -(1 << 60)])
def test_no_clock_can_give_a_time_that_has_no_bucket(took_us: int) -> None:
    counts = [0] * DURATION_BUCKETS
    counts[took_us.bit_length()] += 1
    assert sum(powers(counts).counts) == 1
