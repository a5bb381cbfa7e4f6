"""The families of `/metrics` as OpenTelemetry's metrics: same names, same figures.

Loads OpenTelemetry: import it late.

Counters keep their `_total` and units their suffix, so that a collector that speaks Prometheus gives them the names
that the rules and boards in `ops/` use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from caxton.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.sdk.resources import Resource
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.samples import Sample

_UNITS = {"_seconds": "s", "_bytes": "By", "_ratio": "1"}


class FigureBuilder:
    """See the module. `since_ns`: when counting began, as Unix time."""

    def __init__(self, resource: Resource, since_ns: int) -> None:
        self._resource, self._since_ns = resource, since_ns
        self._scope = InstrumentationScope(names.SCOPE)

    def build(self, families: Iterable[Family], now_ns: int) -> MetricsData:
        """All figures at `now_ns`."""
        metrics = [metric for family in families if (metric := self._metric(family, now_ns)) is not None]
        scope = ScopeMetrics(scope=self._scope, metrics=metrics, schema_url="")
        found = ResourceMetrics(
            resource=self._resource, scope_metrics=[scope], schema_url=self._resource.schema_url or ""
        )
        return MetricsData(resource_metrics=[found])

    def _metric(self, family: Family, now_ns: int) -> Metric | None:
        name, data = family.name, None
        if family.type == "counter":
            name = f"{family.name}_total"
            points = self._points(family, name, now_ns)
            data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True) if points else None
        elif family.type == "histogram":
            points = self._histograms(family, now_ns)
            data = Histogram(points, AggregationTemporality.CUMULATIVE) if points else None
        else:
            points = self._points(family, name, now_ns)
            data = Gauge(points) if points else None
        return None if data is None else Metric(name, family.documentation, _unit(family.name), data)

    def _points(self, family: Family, name: str, now_ns: int) -> list[NumberDataPoint]:
        return [
            NumberDataPoint(dict(sample.labels), self._since_ns, now_ns, _number(sample.value))
            for sample in family.samples
            if sample.name == name
        ]

    def _histograms(self, family: Family, now_ns: int) -> list[HistogramDataPoint]:
        series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
        for sample in family.samples:
            key = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
            series.setdefault(key, []).append(sample)
        return [self._histogram(family.name, dict(key), samples, now_ns) for key, samples in series.items()]

    def _histogram(
        self, name: str, labels: dict[str, str], samples: Sequence[Sample], now_ns: int
    ) -> HistogramDataPoint:
        """Prometheus counts what is at most a bound, OpenTelemetry what is between two."""
        buckets = sorted((float(s.labels["le"]), int(s.value)) for s in samples if s.name == f"{name}_bucket")
        total = next((s.value for s in samples if s.name == f"{name}_sum"), 0.0)
        counts = [count - before for (_, count), before in zip(buckets, [0, *(c for _, c in buckets)], strict=False)]
        count = buckets[-1][1] if buckets else 0
        bounds = [bound for bound, _ in buckets[:-1]]
        nobody_knows = cast("float", None)  # the least and the largest; the encoder leaves them out
        return HistogramDataPoint(
            labels, self._since_ns, now_ns, count, total, counts, bounds, nobody_knows, nobody_knows
        )


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)
