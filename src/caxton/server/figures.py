"""The families of `/metrics` as names and values, for those who do not read Prometheus' text."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

    from caxton.telemetry.figures import Samples, Spread


class Named(NamedTuple):
    """What a metric is."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...]


class Distribution(NamedTuple):
    """How often a value was how large; see `telemetry.figures.Spread`."""

    bounds: list[float]
    counts: list[int]
    total: float


def figures_of(families: Iterable[Metric]) -> Iterable[tuple[Named, Samples]]:
    """All of them."""
    for family in families:
        kind = cast("Literal['counter', 'gauge', 'histogram']", family.type)
        if kind == "histogram":
            yield Named(family.name, kind, family.documentation, ()), _distribution(family.samples)
            continue
        labels = tuple(family.samples[0].labels) if family.samples else ()
        name = f"{family.name}_total" if kind == "counter" else family.name
        values: dict[tuple[str, ...], float | Spread] = {
            tuple(sample.labels.values()): sample.value for sample in family.samples if sample.name == name
        }
        yield Named(name, kind, family.documentation, labels), values


def _distribution(samples: list[Sample]) -> Distribution:
    """Prometheus counts what is at most a bound."""
    buckets = [(float(sample.labels["le"]), int(sample.value)) for sample in samples if "le" in sample.labels]
    seen = [0, *(count for _, count in buckets)]
    counts = [count - before for before, count in pairwise(seen)]
    total = next((sample.value for sample in samples if sample.name.endswith("_sum")), 0.0)
    return Distribution([bound for bound, _ in buckets[:-1]], counts, total)
