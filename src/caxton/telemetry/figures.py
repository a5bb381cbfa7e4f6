"""The figures of `/metrics` as OpenTelemetry's metrics: same names, same figures.

Loads OpenTelemetry: import it late.

Counters keep their `_total` and units their suffix, so that a collector that speaks Prometheus gives them the names
that the rules and boards in `ops/` use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

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
    from collections.abc import Iterable

    from opentelemetry.sdk.resources import Resource

    from caxton.observe.metrics import Distribution, Samples
    from caxton.observe.metrics import Metric as Named

_UNITS = {"_seconds": "s", "_bytes": "By", "_ratio": "1"}


class FigureBuilder:
    """See the module. `since_ns`: when counting began, as Unix time."""

    def __init__(self, resource: Resource, since_ns: int) -> None:
        self._resource, self._since_ns = resource, since_ns
        self._scope = InstrumentationScope(names.SCOPE)

    def build(self, figures: Iterable[tuple[Named, Samples]], now_ns: int) -> MetricsData:
        """All figures at `now_ns`. A metric without any sample is left out."""
        points = [(named, _points(named, samples)) for named, samples in figures]
        metrics = [self._metric(named, some, now_ns) for named, some in points if some]
        scope = ScopeMetrics(scope=self._scope, metrics=metrics, schema_url="")
        found = ResourceMetrics(
            resource=self._resource, scope_metrics=[scope], schema_url=self._resource.schema_url or ""
        )
        return MetricsData(resource_metrics=[found])

    def _metric(self, named: Named, points: list[Point], now_ns: int) -> Metric:
        if named.kind == "histogram":
            spreads = [self._histogram(labels, cast("Distribution", value), now_ns) for labels, value in points]
            data = Histogram(spreads, AggregationTemporality.CUMULATIVE)
        else:
            numbers = [
                NumberDataPoint(labels, self._since_ns, now_ns, _number(cast("float", value)))
                for labels, value in points
            ]
            is_counter = named.kind == "counter"
            data = Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=True) if is_counter else Gauge(numbers)
        return Metric(named.name, named.text, _unit(named.name), data)

    def _histogram(self, labels: dict[str, str], value: Distribution, now_ns: int) -> HistogramDataPoint:
        nobody_knows = cast("float", None)  # the least and the largest; the encoder leaves them out
        return HistogramDataPoint(
            labels, self._since_ns, now_ns, sum(value.counts), value.total, value.counts, value.bounds,
            nobody_knows, nobody_knows,
        )  # fmt: skip


Point: TypeAlias = "tuple[dict[str, str], float | Distribution]"
"""Labels and a value."""


def _points(named: Named, samples: Samples) -> list[Point]:
    if not isinstance(samples, Mapping):
        return [({}, samples)]
    return [
        (dict(zip(named.labels, (key,) if isinstance(key, str) else key, strict=True)), value)
        for key, value in samples.items()
    ]


def _unit(name: str) -> str:
    base = name.removesuffix("_total")
    return next((unit for suffix, unit in _UNITS.items() if base.endswith(suffix)), "")


def _number(value: float) -> int | float:
    """The encoder knows these two types and no others, such as bool."""
    return float(value) if isinstance(value, float) else int(value)
