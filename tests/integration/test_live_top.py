"""The live screen of `caxton top`, with its keys pressed, over the real API on a real socket."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from caxton.cli.live.agent import AgentScreen
from caxton.cli.live.conversation import ConversationScreen
from caxton.cli.live.top import TopApp, TopScreen
from caxton.core.views.stats import StatsFilter
from caxton.recorder.record import FAILED, Record
from caxton.testing.fakes.agents import _view  # pyright: ignore[reportPrivateUsage]
from caxton.testing.fakes.stats import handling, times_view
from caxton.testing.rooms import until
from tests.integration.live import NEVER_S, Server, serving, watching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.client import CaxtonClient
    from caxton.testing.fakes.node import FakeNode


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def top(server: Server, *, every_s: float = NEVER_S, limit: int = 200, **wanted: Any) -> TopApp:
    return TopApp(server.connect, StatsFilter(**wanted), window_s=60, every_s=every_s, limit=limit)


async def test_server_without_agents_is_shown_as_such(server: Server) -> None:
    async with watching(top(server)) as watcher:
        assert (watcher.rows(), "0 agents by rate" in watcher.head()) == ([], True)
        await watcher.press("enter", "down", "up", "s")
        await watcher.look()
        assert watcher.rows() == []
        assert watcher.state().startswith("● live")


async def test_ten_thousand_agents_are_a_page_and_a_count(server: Server) -> None:
    def many(fakes: FakeNode) -> None:
        from caxton.core.views.agents import AgentSpec

        for n in range(10_000):
            name = f"agent-{n:05}"
            fakes.agents.views[name] = _view(AgentSpec(name=name), b"\0asm", revision=1)
        fakes.stats.figures["agent-07777"] = {"rate_per_s": 5.0}

    server.do(many)
    async with watching(top(server)) as watcher:
        assert (len(watcher.rows()), watcher.first()[0]) == (200, "agent-07777")
        assert "200 of 10,000 agents by rate" in watcher.head()
        await watcher.press("slash", *"09999", "enter")
        await until(lambda: watcher.first() == ["agent-09999"])
        assert "1 agent of 10,000 by rate, name contains '09999'" in watcher.head()


async def test_advice_names_agents_that_the_filter_hides(server: Server) -> None:
    server.deploy("good", "bad")
    server.figures("bad", failed_in_window=9, ended_in_window=9)
    async with watching(top(server, match="good")) as watcher:
        assert watcher.first() == ["good"]
        assert "of the handlings fail (bad)" in watcher.head()


async def test_busiest_agent_is_first_and_every_figure_has_its_column(server: Server) -> None:
    server.deploy("idle", "busy")
    server.figures(
        "busy", rate_per_s=12.5, handling=times_view(0.05, 2.5), waiting=times_view(0.1, 900), queue=1234,
        memory_bytes=5 << 20, memory_limit_bytes=10 << 20, restarts=2, failed_in_window=3, circuit="half_open",
    )  # fmt: skip
    async with watching(top(server)) as watcher:
        assert watcher.columns() == [
            "AGENT", "STATE", "RATE/S▼", "P50", "P99", "WAIT P99", "QUEUE", "MEMORY", "RESTARTS", "FAILED", "BREAKER"
        ]  # fmt: skip
        assert watcher.rows()[0] == [
            "busy", "breaker", "12.5", "50µs", "2.5ms", "900ms", "1,234", "5 MiB/10 MiB", "2", "3", "half-open"
        ]  # fmt: skip
        assert watcher.first() == ["busy", "idle"]


async def test_order_is_changed_by_key_and_by_heading(server: Server) -> None:
    server.deploy("a", "b")
    server.figures("b", handling=times_view(1, 500))
    async with watching(top(server, sort="name")) as watcher:
        assert (watcher.first(), watcher.columns()[0]) == (["a", "b"], "AGENT▲")
        await watcher.press("s", "s")
        await until(lambda: watcher.columns()[4] == "P99▼")
        assert watcher.first() == ["b", "a"]
        await watcher.press("S")
        await until(lambda: watcher.columns()[2] == "RATE/S▼")
        await watcher.pilot.click("#agents", offset=(2, 0))
        await until(lambda: watcher.columns()[0] == "AGENT▲")


async def test_filter_narrows_and_escape_widens(server: Server) -> None:
    server.deploy("order-1", "order-2", "billing")
    server.figures("order-2", failed_in_window=1)
    async with watching(top(server)) as watcher:
        await watcher.press("slash", *"ord", "enter")
        await until(lambda: watcher.first() == ["order-1", "order-2"])
        await watcher.press("t")
        await until(lambda: watcher.first() == ["order-2"])
        assert "1 agent of 3 by rate, name contains 'ord', only those in trouble" in watcher.head()
        await watcher.press("escape")
        await until(lambda: len(watcher.first()) == 3)


async def test_filter_that_is_left_changes_nothing_and_brackets_are_text(server: Server) -> None:
    server.deploy("a")
    async with watching(top(server)) as watcher:
        await watcher.press("slash", "x", "escape")
        await watcher.look()
        assert watcher.first() == ["a"]
        await watcher.press("slash", *"[bold", "enter")
        await until(lambda: watcher.first() == [])
        assert "name contains '[bold'" in watcher.head()


async def test_pause_lets_everything_stand(server: Server) -> None:
    server.deploy("a")
    async with watching(top(server)) as watcher:
        await watcher.press("p")
        assert watcher.state().startswith("‖ paused")
        server.deploy("b")
        before = watcher.screen.answers
        watcher.screen.ask()
        await watcher.pilot.pause()
        assert (watcher.first(), watcher.screen.answers) == (["a"], before)
        await watcher.press("p")
        await until(lambda: watcher.first() == ["a", "b"])


async def test_cursor_stays_with_its_agent(server: Server) -> None:
    server.deploy("a", "b", "c")
    async with watching(top(server)) as watcher:
        await watcher.press("down")
        server.figures("a", rate_per_s=0.5)
        server.figures("c", rate_per_s=9.0)
        await watcher.look()
        assert watcher.first() == ["c", "a", "b"]
        screen = watcher.screen
        assert isinstance(screen, TopScreen)
        assert screen.chosen() == "b"


async def test_agent_is_looked_into_and_left_again(server: Server) -> None:
    server.deploy("pong")
    server.figures("pong", queue=7, restarts=1)
    seen = [
        handling("failed", "client:x", "pong", detail="its handler returned 7", attempt=2),
        handling("timer", "pong", "pong", conversation_id=None, message_id="", performative=""),
    ]
    server.do(lambda fakes: fakes.stats.recent.update(pong=seen))
    async with watching(top(server)) as watcher:
        await watcher.press("enter")
        await watcher.arrive(AgentScreen)
        assert watcher.rows() == [
            ["00:00:00.000", "failed", "request", "client:x", "pong", "500µs", "1.5ms", "2", "c-1",
             "its handler returned 7"],
            ["00:00:00.000", "timer", "", "pong", "pong", "500µs", "1.5ms", "1", "-", ""],
        ]  # fmt: skip
        assert "queue 7 of 10,000  restarts 1" in watcher.head()
        await watcher.press("down", "enter")
        assert "belongs to no conversation" in watcher.state()
        await watcher.press("escape")
        await watcher.arrive(TopScreen)


async def test_agent_that_is_removed_meanwhile_is_told(server: Server) -> None:
    server.deploy("pong")
    async with watching(top(server)) as watcher:
        await watcher.press("enter")
        await watcher.arrive(AgentScreen)
        server.do(lambda fakes: fakes.agents.views.clear())
        await watcher.look()
        assert "there is no agent 'pong'" in watcher.state()
        await watcher.press("escape")
        await until(lambda: isinstance(watcher.screen, TopScreen) and watcher.rows() == [])


async def test_conversation_is_looked_into_by_its_id(server: Server) -> None:
    def talk(fakes: FakeNode) -> None:
        fakes.sniff.write("client:x", "pong", "request", conversation_id="c-9", message_id="m-9", excerpt='"hello"')
        times = {"sent_us": 1_000_000, "handed_us": 1_002_000, "ended_us": 1_005_000}
        fakes.traces.records.append(
            Record(
                kind=FAILED, seq=1, workspace="default", sender="client:x", receiver="pong", message_id="m-9",
                conversation_id="c-9", act=b'request"', trace="", attempt=1, size=100, detail="its handler returned 7",
                **times,
            )
        )  # fmt: skip

    server.do(talk)
    async with watching(top(server)) as watcher:
        await watcher.press("c", *"c-9", "enter")
        await watcher.arrive(ConversationScreen)
        assert "1 message" in watcher.head().splitlines()
        found = {row[3]: (row[1], row[2], row[-1]) for row in watcher.rows()}
        assert found["sent"] == ("client:x", "request", '"hello"')
        assert (found["failed"][0], found["failed"][2]) == ("pong", "its handler returned 7")
        await watcher.press("escape")
        await watcher.press("c", *"nobody", "enter")
        await watcher.arrive(ConversationScreen)
        assert "nothing is known of it" in watcher.head()
        assert watcher.rows() == []


async def test_server_that_restarts_is_waited_for_and_told(server: Server) -> None:
    server.deploy("a")
    async with watching(top(server)) as watcher:
        server.went()
        await watcher.look()
        assert "no Caxton server answers" in watcher.state()
        assert watcher.first() == ["a"]  # what was known stays
        await watcher.look()
        server.came()  # at another address
        server.do(lambda fakes: fakes.stats.node.update(run="run-2"))
        server.deploy("b")
        await watcher.look()
        assert (watcher.first(), watcher.state()) == (["b"], "ℹ the server has restarted: counts begin anew")  # noqa: RUF001


async def test_connection_that_breaks_without_a_restart_is_no_restart(server: Server) -> None:
    async with watching(top(server)) as watcher:
        server.went()
        await watcher.look()
        server.came()
        await watcher.look()
        assert watcher.state() == "ℹ connected again"  # noqa: RUF001


async def test_screen_looks_again_by_itself(server: Server) -> None:
    async with watching(top(server, every_s=0.01)) as watcher:
        await watcher.arrive(TopScreen, answers=5)


async def test_server_that_hangs_stops_neither_the_keys_nor_the_end(server: Server) -> None:
    hangs, held, let_go = threading.Event(), threading.Event(), threading.Event()

    def connect() -> CaxtonClient:
        if hangs.is_set():
            held.wait(30)
            let_go.set()
        return server.connect()

    app = TopApp(connect, StatsFilter(), window_s=60, every_s=NEVER_S, limit=5)
    async with watching(app) as watcher:
        server.went()
        await watcher.look()
        hangs.set()
        watcher.screen.ask()
        await watcher.press("p")
        assert watcher.screen.is_paused
        await watcher.press("q")
        await until(lambda: not app.is_running)
    assert not let_go.is_set()
    held.set()


async def test_text_of_others_cannot_steer_the_terminal(server: Server) -> None:
    server.deploy("a")
    evil = "\x1b[2J\x1b]0;owned\x07[red]\u202e"
    server.figures("a", status="failed", reason=evil)
    server.do(lambda fakes: fakes.stats.recent.update(a=[handling("failed", "x", "a", detail=evil)]))
    async with watching(top(server)) as watcher:
        await watcher.press("enter")
        await watcher.arrive(AgentScreen)
        shown = watcher.head() + watcher.rows()[0][-1]
        assert not {"\x1b", "\x07", "\u202e"} & {*shown}
        assert shown.count(r"\x1b[2J") == 2
        assert shown.count("[red]") == 2


async def test_narrow_screen_leaves_columns_out_and_a_wide_one_has_them_again(server: Server) -> None:
    server.deploy("an-agent-with-a-long-name")
    async with watching(top(server), size=(80, 24)) as watcher:
        assert "BREAKER" not in watcher.columns()
        assert watcher.first() == ["an-agent-with-a…"]
        await watcher.pilot.resize_terminal(150, 40)
        await until(lambda: "BREAKER" in watcher.columns())
        assert watcher.first() == ["an-agent-with-a-long-name"]
        await watcher.press("enter")
        await watcher.arrive(AgentScreen)
        assert "an-agent-with-a-long-name" in watcher.head()


async def test_answer_to_an_older_question_is_not_shown(server: Server) -> None:
    server.deploy("a", "b")
    async with watching(top(server)) as watcher:
        old = watcher.screen.Answered(-1, None, None)
        watcher.screen.post_message(old)
        await watcher.look()
        assert watcher.first() == ["a", "b"]


def test_error_of_ours_ends_the_screen_and_shows_no_variables(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_self: object, _answer: object) -> None:
        token = "-".join(["hidden", "token"])
        raise RuntimeError(f"a slip{token[:0]}")

    monkeypatch.setattr(TopScreen, "show", broken)
    app = top(server)
    run = app.run
    monkeypatch.setattr(app, "run", lambda: run(headless=True))
    with pytest.raises(RuntimeError, match="a slip"):
        app.show_until_left()
    assert "hidden-token" not in "".join(capfd.readouterr())
