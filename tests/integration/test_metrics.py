"""What the metrics of a node say of what happened in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from caxton.core.errors.agents import AgentAlreadyExists, DeploymentFailed
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.modules import InvalidWasm
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName
from caxton.observe.metrics import render
from caxton.server.census import STEP, take_census
from caxton.server.metrics import CATALOGUE, read
from caxton.storage.inflight import InFlight
from caxton.testing.guests import example, guest
from caxton.testing.rooms import open_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caxton.agents.supervisor import Supervisor
    from caxton.testing.rooms import LocalNode


class Figures:
    """The metrics of a node, and how they have changed since the last look."""

    def __init__(self, node: LocalNode) -> None:
        self._node = node
        self._before: dict[str, float] = {}

    async def now(self) -> dict[str, float]:
        """`name` or `name{value of each label}` → value; of histograms, their counts."""
        text = (await self._node.rooms.status.metrics()).decode()
        return {
            f"{sample.name}{{{','.join(sample.labels.values())}}}" if sample.labels else sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if not sample.name.endswith(("_bucket", "_sum"))
        }

    async def grown(self, *rooms: str) -> dict[str, float]:
        """By how much what begins so has grown since this was last asked, if it has."""
        before, self._before = self._before, await self.now()
        changes = {name: value - before.get(name, 0) for name, value in self._before.items()}
        wanted = tuple(f"caxton_{room}" for room in rooms)
        return {name.removeprefix("caxton_"): n for name, n in changes.items() if n and name.startswith(wanted)}


@pytest.fixture
async def figures(node: LocalNode) -> Figures:
    figures = Figures(node)
    await figures.grown()
    return figures


async def test_messages_are_counted_from_sending_to_settling(node: LocalNode, figures: Figures) -> None:
    await node.deploy("echo", example("echo"))
    await figures.grown()
    await node.ask("echo", "hello")
    await node.post("echo", "again", message_id="1")
    await node.post("echo", "again", message_id="1")
    await node.wait_for_quiet()
    grown = await figures.grown("messages", "timers", "message_p", "message_l", "handler")
    assert grown == {
        "messages_accepted_total": 2,
        "messages_duplicate_total": 1,
        "messages_sent_total{default,request}": 1,
        "messages_sent_total{default,inform}": 2,  # one posted, and the answer to the request
        "messages_settled_total{handled}": 2,
        "message_processing_duration_seconds_count{handled}": 2,
        "message_latency_seconds_count": 2,
    }


async def test_failures_crashes_and_repetitions_are_told_apart(node: LocalNode, figures: Figures) -> None:
    await node.deploy("fails", guest("returns_nonzero"))
    await node.deploy("traps", guest("trap_unreachable"))
    await figures.grown()
    for name in ("fails", "traps"):
        with pytest.raises(CaxtonError):
            await node.ask(name)
    grown = await figures.grown("errors", "handler", "wasm_traps", "dead_letters_total", "messages_settled")
    assert grown == {
        "errors_total{HANDLER_FAILED}": 1,
        "errors_total{AGENT_CRASHED}": 1,
        "handler_failures_total": 2,
        "wasm_traps_total{unreachable}": 1,
        "dead_letters_total{failed}": 2,
        "messages_settled_total{dead-letter}": 2,
    }
    await node.post("traps")
    await node.wait_for_status("traps", "failed")
    grown = await figures.grown("message_redel", "agent_restarts", "supervisor", "wasm_traps", "message_processing")
    assert grown == {
        "message_redeliveries_total{crashed}": 3,
        "agent_restarts_total{crashed}": 2,  # one before; after the fourth crash within a minute there is none
        "supervisor_escalations_total": 1,
        "wasm_traps_total{unreachable}": 3,
        "message_processing_duration_seconds_count{failed}": 3,
    }


async def test_deployments_are_counted_by_how_they_end(node: LocalNode, figures: Figures) -> None:
    await node.deploy("a", example("echo"))
    await node.replace("a", example("counter"))
    for name, wasm, error in (
        ("a", example("echo"), AgentAlreadyExists),
        ("b", guest("init_fails"), DeploymentFailed),
        ("c", b"no module", InvalidWasm),
    ):
        with pytest.raises(error):
            await node.deploy(name, wasm)
    assert await figures.grown("deployment") == {
        f"{metric}{{{outcome}}}": count
        for metric in ("deployments_total", "deployment_duration_seconds_count")
        for outcome, count in (("deployed", 2), ("conflict", 1), ("failed", 1), ("refused", 1))
    }


async def test_refused_messages_are_counted_by_reason(node: LocalNode, figures: Figures) -> None:
    await node.deploy("a", example("echo"), mailbox_messages=1)
    await node.stop("a")
    await node.post("a")
    await figures.grown()
    for receiver in ("a", "a", "nobody"):
        with pytest.raises(CaxtonError):
            await node.post(receiver)
    assert await figures.grown("sends_refused") == {
        "sends_refused_total{MAILBOX_FULL}": 2,
        "sends_refused_total{UNKNOWN_RECEIVER}": 1,
    }


async def test_age_is_that_of_the_oldest_message_that_waits_anywhere(node: LocalNode, figures: Figures) -> None:
    assert (await figures.now())["caxton_oldest_unsettled_age_seconds"] == 0
    for name in ("young", "old"):
        await node.deploy(name, example("echo"))
        await node.stop(name)
    await node.post("old")
    accepted_us = node.receiver("old").held[0].accepted_us
    await node.post("young")
    now = await figures.now()
    age_us = node.rooms.clock.wall_us() - accepted_us
    assert 0 < now["caxton_oldest_unsettled_age_seconds"] * 1e6 <= age_us
    node.receiver("old").held[0].accepted_us -= 3_600_000_000
    assert (await figures.now())["caxton_oldest_unsettled_age_seconds"] >= 3600
    assert now["caxton_mailbox_messages"] == 2


async def test_commits_say_how_many_messages_they_wrote_and_how_long_the_disk_took(
    node: LocalNode, figures: Figures
) -> None:
    await node.deploy("a", example("echo"))
    await node.stop("a")
    await figures.grown()
    for _ in range(3):
        await node.post("a")
    grown = await figures.grown("journal")
    assert grown["journal_batch_messages_count"] == 3
    assert grown["journal_fsync_duration_seconds_count"] == grown["journal_commits_total"] >= 3
    assert (await figures.now())["caxton_journal_state{ok}"] == 1


async def test_every_metric_of_the_catalogue_is_given_with_its_own_labels(node: LocalNode) -> None:
    given = {metric.name: render(metric, samples) for metric, samples in read(await node.rooms.status.moment())}
    assert list(given) == [figure.metric.name for figure in CATALOGUE]
    for figure in CATALOGUE:
        (family,) = text_string_to_metric_families(given[figure.metric.name])
        assert family.type == figure.metric.kind
        for sample in family.samples:
            assert tuple(label for label in sample.labels if label != "le") == figure.metric.labels


async def test_census_of_many_agents_gives_way_to_others(node: LocalNode) -> None:
    await node.deploy("a", example("echo"))
    (supervisor,) = node.rooms.agents.all_supervisors()
    turns: list[int] = []

    def many() -> Iterator[Supervisor]:
        for n in range(3 * STEP):
            asyncio.get_running_loop().call_soon(turns.append, n)
            yield supervisor

    census = await take_census(many(), ())
    assert (census.instances, census.states["running"]) == (3 * STEP, 3 * STEP)
    assert STEP - 1 in turns  # what was asked for within the first step happened before the end
    assert len(turns) >= 2 * STEP


async def test_redelivery_after_a_crash_of_the_node_is_told_apart(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "n", compiled=compiled_dir) as node:
        await node.deploy("a", example("echo"))
        await node.stop("a")
        await node.post("a")
        seq = node.receiver("a").held[0].seq
    in_flight = InFlight(tmp_path / "n" / "in-flight")
    in_flight.note(seq)
    in_flight.close()
    async with open_node(tmp_path / "n", compiled=compiled_dir) as node:
        assert (await Figures(node).now())["caxton_message_redeliveries_total{restarted}"] == 1


async def test_logs_and_recordings_are_measured_and_lost_lines_counted(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "n", compiled=compiled_dir) as node:
        rooms = node.rooms
        await node.deploy("a", example("echo"), record=True)
        rooms.log.pages.max_bytes = 5 * 1000
        for _ in range(20):
            rooms.log.append(DEFAULT_WORKSPACE, "a", 0, 2, "host", "said")
        rooms.log_writer.close()
        rooms.log.append(DEFAULT_WORKSPACE, "a", 0, 2, "host", "too late to be written")
        now = await Figures(node).now()
        assert 0 < now["caxton_logs_memory_bytes"] == rooms.log.pages.bytes <= 5 * 1000
        assert now["caxton_logs_lines_let_go_total"] == 21 - rooms.log.pages.lines > 0
        on_disk = sum(path.stat().st_size for path in (tmp_path / "n" / "logs").iterdir())
        assert (now["caxton_logs_disk_bytes"], now["caxton_logs_lines_unwritten_total"]) == (on_disk, 1)
        recorded = tmp_path / "n" / "recordings"
        assert now["caxton_recordings"] == len(list(recorded.glob("*.life"))) == 1
        assert now["caxton_recordings_bytes"] == rooms.recordings.used_bytes > len(example("echo"))


async def test_agents_are_meant_to_run_until_somebody_stops_them(node: LocalNode) -> None:
    for name, wasm in (("runs", "spin"), ("stopped", "spin"), ("failed", "trap_unreachable")):
        await node.deploy(name, guest(wasm))
    await node.stop("stopped")
    await node.post("failed")
    await node.wait_for_status("failed", "failed")
    assert node.agents.meant_to_run(DEFAULT_WORKSPACE) == ["failed", "runs"]
    with pytest.raises(WorkspaceNotFound):
        node.agents.meant_to_run(WorkspaceName("other"))
