"""Live figures of a real node."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.agents import AgentNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, AgentName
from caxton.core.views.stats import StatsFilter
from caxton.recorder.recorder import Recorder
from caxton.services import stats
from caxton.testing.guests import example, guest
from caxton.testing.rooms import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.views.stats import AgentFigures, AgentStatsView, StatsView
    from caxton.recorder.record import Record
    from caxton.testing.rooms import LocalNode


async def view(node: LocalNode, *, window_s: float = 60, limit: int = 100, **wanted: object) -> StatsView:
    """As the API asks; never an answer that somebody else was given before."""
    node.rooms.stats._lately.clear()  # pyright: ignore[reportPrivateUsage]
    asked = StatsFilter(**wanted)  # type: ignore[arg-type]
    return await node.rooms.stats.view(DEFAULT_WORKSPACE, asked, window_s=window_s, limit=limit, offset=0)


async def one(node: LocalNode, name: str) -> AgentStatsView:
    return await node.rooms.stats.agent(DEFAULT_WORKSPACE, AgentName(name), window_s=60, limit=50)


def of(found: StatsView, name: str) -> AgentFigures:
    return next(agent for agent in found.agents if agent.name == name)


async def test_agent_that_nobody_knows_is_answered_with_the_nearest(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    with pytest.raises(AgentNotFound) as caught:
        await one(node, "ecko")
    assert caught.value.details()["nearest"] == "echo"


async def test_node_without_agents_has_only_its_own(node: LocalNode) -> None:
    found = await view(node)
    assert ({agent.type for agent in found.agents}, found.node.queue, found.incidents) == ({"native"}, 0, [])
    assert (found.node.rate_per_s, found.node.handling, found.node.status) == (0.0, None, "ready")


async def test_busy_agent_has_rate_times_and_what_it_did_last(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    for n in range(20):
        await node.ask("echo", n)
    found = await view(node)
    echo = of(found, "echo")
    assert (echo.ended_in_window, echo.failed_in_window, echo.handled) == (20, 0, 20)
    assert echo.rate_per_s == pytest.approx(20 / found.window.covered_s, rel=0.01)
    assert echo.handling is not None
    assert echo.waiting is not None
    assert 0 < echo.handling.p50_ms <= echo.handling.p99_ms <= echo.handling.max_ms
    assert (echo.memory_bytes, echo.memory_limit_bytes) == (65536, 10 << 20)
    assert found.agents[0] == echo  # the busiest first
    did = (await one(node, "echo")).recent
    settled = [seen for seen in did if seen.kind == "settled"]
    assert {(seen.sender, seen.receiver, seen.performative) for seen in settled} == {
        ("client:tester", "echo", "request")
    }
    assert len(did) == len(settled) + sum(seen.kind == "replied" for seen in did) == 40
    assert [seen.at for seen in did] == sorted((seen.at for seen in did), reverse=True)


async def test_agent_that_fails_is_in_trouble_with_breaker_queue_and_incidents(node: LocalNode) -> None:
    await node.deploy("bad", guest("returns_nonzero"))
    await node.configure("bad", circuit_breaker={"threshold": 1, "timeout": "1h"})
    await node.post("bad", 1)
    await node.post("bad", 2)
    await until(lambda: node.view("bad").circuit_breaker.state == "open")
    found = await view(node, troubled=True)
    (bad,) = found.agents
    assert (bad.circuit, bad.queue, bad.failed_in_window, bad.failed) == ("open", 2, 1, 1)
    assert (found.matched, found.total, found.node.circuits["open"], found.node.queue) == (1, 4, 1, 2)
    (incident,) = found.incidents
    assert (incident.kind, incident.receiver, incident.detail) == ("failed", "bad", "its handler returned 7")


async def test_crash_counts_as_failure_and_restart(node: LocalNode) -> None:
    await node.deploy("trapper", guest("trap_div"))
    await node.post("trapper", 1)
    await node.wait_for_status("trapper", "failed")
    trapper = of(await view(node), "trapper")
    assert (trapper.status, trapper.restarts, trapper.healthy, trapper.memory_bytes) == ("failed", 3, 0, 0)
    assert trapper.failed_in_window == 4
    assert trapper.reason


async def test_message_that_is_in_hand_is_told_before_it_ends(node: LocalNode) -> None:
    await node.deploy("spin", guest("spin"), timeout="60s", cpu_time="60s")
    await node.post("spin", 1)
    await until(lambda: node.receiver("spin").mailboxes[0].busy)
    spin = of(await view(node), "spin")
    assert (spin.ended_in_window, spin.queue, spin.busy_s is not None) == (0, 1, True)
    await node.stop("spin", force=True)
    assert of(await view(node), "spin").busy_s is None


async def test_mail_for_a_name_without_an_agent_is_told(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    await node.remove("sink")
    await node.post("sink", 1)
    (vacant,) = (await view(node, troubled=True)).agents
    assert (vacant.name, vacant.type, vacant.status, vacant.queue, vacant.healthy) == ("sink", "vacant", "vacant", 1, 0)


async def test_more_records_than_are_looked_at_cut_the_window_short_and_keep_rates_right(
    node: LocalNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "MAX_RECORDS", 10)
    await node.deploy("sink", guest("sink"))
    for n in range(30):
        await node.post("sink", n)
    await node.wait_for_quiet()
    found = await view(node)
    sink = of(found, "sink")
    assert (found.window.is_cut, found.window.records, sink.ended_in_window) == (True, 10, 10)
    assert found.window.covered_s < 60
    assert sink.rate_per_s == pytest.approx(10 / found.window.covered_s, rel=0.01)


async def test_node_without_a_recorder_has_counts_but_no_rates(node: LocalNode) -> None:
    await node.deploy("sink", guest("sink"))
    await node.post("sink", 1)
    await node.wait_for_quiet()
    sources = node.rooms.stats._from  # pyright: ignore[reportPrivateUsage]
    node.rooms.stats._from = replace(sources, recorder=Recorder())  # pyright: ignore[reportPrivateUsage]
    found = await view(node)
    sink = of(found, "sink")
    assert (found.window.is_recorded, sink.rate_per_s, sink.handling, sink.handled) == (False, None, None, 1)


async def test_all_who_ask_at_once_are_given_the_same_answer(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "FRESH_S", 3600.0)
    reads = 0
    recent: Callable[..., list[Record]] = node.rooms.recorder.recent

    def counted(**options: int) -> list[Record]:
        nonlocal reads
        reads += 1
        return recent(**options)

    monkeypatch.setattr(node.rooms.recorder, "recent", counted)
    service = node.rooms.stats
    found = await asyncio.gather(
        *(
            service.view(DEFAULT_WORKSPACE, StatsFilter(sort=sort), window_s=60, limit=9, offset=0)
            for sort in ("rate", "queue", "name", "rate")
        )
    )
    assert (reads, len({id(one.node) for one in found})) == (1, 1)
    await service.view(DEFAULT_WORKSPACE, StatsFilter(), window_s=10, limit=9, offset=0)
    assert reads == 2


async def test_records_are_read_beside_the_event_loop(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, went_on = asyncio.get_running_loop(), asyncio.Event()
    recent: Callable[..., list[Record]] = node.rooms.recorder.recent

    def slow(**options: int) -> list[Record]:
        asyncio.run_coroutine_threadsafe(_set(went_on), loop).result(10)  # only a loop that goes on can do this
        return recent(**options)

    monkeypatch.setattr(node.rooms.recorder, "recent", slow)
    await view(node)
    assert went_on.is_set()


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_another_run_of_the_server_can_be_told(node: LocalNode) -> None:
    found = await view(node)
    assert found.node.run == node.rooms.bus.id_prefix.rstrip("-")
    assert found.node.disk_total_bytes >= found.node.disk_free_bytes > 0
    assert found.node.process_bytes > 1 << 20
