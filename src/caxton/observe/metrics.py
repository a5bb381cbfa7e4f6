"""What a metric is, and how all of them are written for Prometheus.

Counting is plain integers in the rooms, reading them costs one pass at a scrape. The text is written here rather than
by a library: a node with every route in use has some thousands of lines, and each millisecond spent on them is one in
which no message is handled.

Source: prometheus.io/docs/instrumenting/exposition_formats (text format 0.0.4).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

DURATION_BUCKETS = 64
"""Of a list that `powers` reads: bucket n counts what took from 2^(n-1) to 2^n µs. There is one for every number of
µs that a clock can give, so that who counts needs no look at bounds: `counts[took_us.bit_length()] += 1`."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds for what people or disks wait for. 0.1 is where the founding documents' alarm stands."""

_FIRST_BUCKET, _LAST_BUCKET = 3, 25
"""8 µs to 33 s; below and above is of no interest by itself."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of docs/reference/metrics.md."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()


class Distribution(NamedTuple):
    """How often a value was how large."""

    bounds: Sequence[float]
    """Upper, inclusive, ascending."""
    counts: Sequence[int]
    """Of the values up to each bound and above the one before; the last is of those above all."""
    total: float
    """Sum of the values."""


Value: TypeAlias = "float | Distribution"
Samples: TypeAlias = "Value | Mapping[str, Value] | Mapping[tuple[str, ...], Value]"
"""The value of a metric without labels; else values by that of the label, or of the labels in their order."""


class Histogram:
    """Counts values that are too rare or too uneven for `powers`; one thread adds to it."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def read(self) -> Distribution:
        """As it is now."""
        return Distribution(self._bounds, tuple(self._counts), self._total)


def powers(counts: Sequence[int]) -> Distribution:
    """Of a list of `DURATION_BUCKETS`, in seconds. The sum is an estimate: half a bucket off at most."""
    total_s = sum(count * 2**n * 0.75e-6 for n, count in enumerate(counts) if count)
    inner = counts[_FIRST_BUCKET + 1 : _LAST_BUCKET + 1]
    merged = (sum(counts[: _FIRST_BUCKET + 1]), *inner, sum(counts[_LAST_BUCKET + 1 :]))
    return Distribution(_POWERS, merged, total_s)


_POWERS = tuple(2**n / 1e6 for n in range(_FIRST_BUCKET, _LAST_BUCKET + 1))


def render(metric: Metric, samples: Samples) -> str:
    """All lines of one metric."""
    lines = [f"# HELP {metric.name} {metric.text}\n# TYPE {metric.name} {metric.kind}\n"]
    for labels, value in _labelled(samples):
        known = _labels(metric.labels, labels)
        if isinstance(value, Distribution):
            lines.append(_histogram(metric.name, known, value))
        else:
            lines.append(f"{metric.name}{f'{{{known}}}' if known else ''} {value}\n")
    return "".join(lines)


def _labelled(samples: Samples) -> Iterable[tuple[tuple[str, ...], Value]]:
    if not isinstance(samples, Mapping):
        yield (), samples
        return
    for labels, value in sorted(samples.items()):
        yield (labels,) if isinstance(labels, str) else labels, value


def _histogram(name: str, labels: str, value: Distribution) -> str:
    begin = f"{name}_bucket{{{labels}{',' if labels else ''}le="
    seen, lines = 0, list[str]()
    for bound, count in zip((*map(_bound, value.bounds), "+Inf"), value.counts, strict=True):
        seen += count
        lines.append(f'{begin}"{bound}"}} {seen}\n')
    own = f"{{{labels}}}" if labels else ""
    lines.append(f"{name}_count{own} {seen}\n{name}_sum{own} {value.total}\n")
    return "".join(lines)


_bound = lru_cache(maxsize=256)(repr)


@lru_cache(maxsize=4096)
def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
