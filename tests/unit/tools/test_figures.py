from __future__ import annotations

from caxton.observe.metrics import Distribution, Metric, render
from caxton.tools import figures
from caxton.tools.settings import BreakerSettings
from caxton.tools.source import Failure
from tests.unit.tools.fakes import Scene

WEB = ("default", "web")


async def test_calls_circuits_and_tools_are_counted_by_source() -> None:
    scene = await Scene(outcomes=[Failure("unavailable", "gone")], breaker=BreakerSettings(threshold=1)).listed()
    scene.call()
    scene.call()
    scene.call(b"{}")
    assert figures.calls(scene.catalogue) == {(*WEB, "unavailable"): 2, (*WEB, "invalid"): 1}
    assert [key[2] for key, value in figures.circuits(scene.catalogue).items() if value] == ["open"]
    assert figures.transitions(scene.catalogue)[*WEB, "open"] == 1
    assert figures.under_way(scene.catalogue) == figures.queued(scene.catalogue) == {WEB: 0}
    assert figures.tools(scene.catalogue)[*WEB, "approved"] == 1


async def test_durations_are_a_histogram_of_calls_that_were_made() -> None:
    scene = await Scene().listed()
    scene.call()
    scene.call(b"{}")
    found = figures.durations(scene.catalogue)[WEB]
    assert isinstance(found, Distribution)
    assert sum(found.counts) == 1
    metric = Metric("mcp_client_operation_duration_seconds", "histogram", "x", ("workspace", "source"))
    assert '_count{workspace="default",source="web"} 1' in render(metric, figures.durations(scene.catalogue))
