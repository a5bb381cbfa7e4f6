"""The dashboard of `caxton monitor`, over the real API on a real socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.cli.drawing.curves import CURVES
from caxton.cli.live.monitor import MonitorApp, MonitorScreen, Panel, PlotPanel
from caxton.testing.fakes.stats import handling, times_view
from tests.integration.live import NEVER_S, Server, Watcher, serving, watching

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def monitor(server: Server) -> MonitorApp:
    return MonitorApp(server.connect, window_s=10, every_s=NEVER_S)


def node(server: Server, **fields: Any) -> None:
    server.do(lambda fakes: fakes.stats.node.update(fields))


def panel(watcher: Watcher, name: str) -> list[str]:
    return watcher.screen.query_one(f"#{name}", Panel).render().plain.splitlines()


def curve(watcher: Watcher, name: str) -> tuple[str, str]:
    """Its title, and the last column of what is drawn, from the bottom up."""
    found = watcher.screen.query_one(f"#{name}", PlotPanel)
    lines = found.render().plain.splitlines()
    return str(found.border_title), "".join(line[-1] for line in reversed(lines)).strip()


async def test_server_without_agents_has_a_dashboard(server: Server) -> None:
    async with watching(monitor(server)) as watcher:
        assert panel(watcher, "agents")[1].startswith("no agents")
        assert panel(watcher, "activity") == ["nothing"]
        assert curve(watcher, "errors") == ("errors -", "")
        assert "no agents" in watcher.head()


async def test_curves_are_what_happened_between_two_looks(server: Server) -> None:
    node(server, uptime_s=10, handled=100, commits=10, queue=5, handling=times_view(1, 4))
    async with watching(monitor(server)) as watcher:
        node(server, uptime_s=12, handled=180, failed=20, commits=14, queue=10, handling=times_view(1, 8))
        await watcher.look()
        assert curve(watcher, "messages")[0] == "messages 50.0/s"
        assert curve(watcher, "commits")[0] == "commits 2.0/s"
        assert curve(watcher, "errors")[0] == "errors 10.0/s"
        title, drawn = curve(watcher, "queue")
        assert (title, {*drawn}) == ("queue 10", {"█"})
        assert curve(watcher, "handling")[0] == "handling p99 8ms"


async def test_restart_is_told_and_makes_no_false_curve(server: Server) -> None:
    node(server, uptime_s=1000, handled=1_000_000)
    async with watching(monitor(server)) as watcher:
        server.went()
        await watcher.look()
        assert "no Caxton server answers" in watcher.state()
        server.came()
        node(server, run="run-2", uptime_s=1001, handled=3, rate_per_s=1.5)
        await watcher.look()
        assert curve(watcher, "messages")[0] == "messages 1.5/s"
        assert "the server has restarted" in watcher.state()


async def test_agents_have_messages_a_minute(server: Server) -> None:
    server.deploy("busy", "idle")
    server.figures("busy", rate_per_s=2.5, handling=times_view(1, 90), queue=3)
    async with watching(monitor(server)) as watcher:
        lines = panel(watcher, "agents")
        assert lines[0].split() == ["agent", "msg/min", "p99", "queue", "state"]
        assert lines[1].split() == ["busy", "150", "90ms", "3", "running"]


async def test_resources_are_bars_of_their_limits(server: Server) -> None:
    node(
        server, journal_bytes=500, journal_limit_bytes=1000, disk_free_bytes=0, disk_total_bytes=100, memory_bytes=0,
        memory_limit_bytes=0,
    )  # fmt: skip
    async with watching(monitor(server)) as watcher:
        lines = {line.split()[0]: line.split() for line in panel(watcher, "resources")}
        assert lines["journal"][1:3] == ["██████░░░░░░", "50%"]
        assert lines["disk"][1:3] == ["████████████", "100%"]
        assert lines["guests"][1:3] == ["░░░░░░░░░░░░", "0%"]


async def test_what_went_wrong_stays_when_the_window_has_moved_on(server: Server) -> None:
    first, second = handling("failed", "a", "b", detail="one"), handling("dead", "a", "b", message_id="m-2")

    def incidents(*seen: Any) -> None:
        server.do(lambda fakes: fakes.stats.incidents.__setitem__(slice(None), seen))

    incidents(first)
    async with watching(monitor(server)) as watcher:
        incidents(second, first)
        await watcher.look()
        incidents(second)
        await watcher.look()
        assert [line.split(" ")[1] for line in panel(watcher, "activity")] == ["dead:", "failed:"]


async def test_warnings_stand_at_the_top_with_what_to_do(server: Server) -> None:
    node(server, deadlocks=2, causes=["disk-full"])
    async with watching(monitor(server)) as watcher:
        assert "caxton conversation deadlocks" in watcher.head()
    async with watching(monitor(server), size=(80, 24)) as watcher:
        assert "free disk space" in watcher.head()
        assert "deadlocks" not in watcher.head()  # there is room for the gravest


async def test_small_terminal_shows_fewer_curves(server: Server) -> None:
    async with watching(monitor(server), size=(80, 24)) as watcher:
        shown = [curve.id for curve in CURVES if watcher.screen.query_one(f"#{curve.id}").display]
        assert shown == ["messages", "handling", "queue", "memory", "commits", "errors"]
        assert all(watcher.screen.query_one(f"#{name}").size.height >= 2 for name in shown)
        await watcher.pilot.resize_terminal(150, 40)
        await watcher.pilot.pause()
        assert watcher.screen.query_one("#cpu").display


async def test_dashboard_pauses_and_ends(server: Server) -> None:
    app = monitor(server)
    async with watching(app) as watcher:
        await watcher.press("space")
        assert watcher.state().startswith("‖ paused")
        screen = watcher.screen
        assert isinstance(screen, MonitorScreen)
        assert len(screen.points) == 1
        await watcher.press("q")
        assert not app.is_running
