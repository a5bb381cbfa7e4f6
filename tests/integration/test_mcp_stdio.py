"""MCP servers as programs, real ones: what goes well, and what they may do without harm to anybody else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from caxton.tools.mcp.stdio import Command, StdioSource
from caxton.tools.source import Failure, Result, SourceDown
from tests.integration.mcp_talks import CLOCK, LONG_S, Heard, call, care, hostile, is_alive, kind, text_of
from tests.patience import until

if TYPE_CHECKING:
    from pathlib import Path

SOON_S = 0.3
"""For what must not happen."""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """As a server runs."""
    return "asyncio", {"use_uvloop": True}


def trouble(outcome: object) -> str:
    assert isinstance(outcome, Failure), outcome
    return outcome.trouble


# --- what goes well ------------------------------------------------------------------------------------------

REVISIONS = pytest.mark.parametrize(
    ("words", "mode", "revision"),
    [((), "auto", "2026-07-28"), ((), "legacy", "2025-11-25"), (("2025-06-18",), "legacy", "2025-06-18")],
)


@REVISIONS
async def test_server_of_each_revision_lists_all_its_pages_answers_and_tells_of_changes(
    words: tuple[str, ...], mode: str, revision: str
) -> None:
    async with kind(*words, mode=mode) as it:
        changed = asyncio.Event()
        it.on_change(changed.set)
        tools = {tool.name: tool for tool in await it.list_tools()}
        assert it.view()["revision"] == revision
        assert len(tools) == 8
        assert tools["add"].output_schema is not None
        assert (tools["add"].is_idempotent, tools["env"].is_read_only) == (True, True)
        assert await call(it, "add", a=1, b=2) == Result(
            content=[{"type": "text", "text": "done"}], structured={"sum": 3}
        )
        assert await call(it, "fail") == Result(content=[{"type": "text", "text": "it is Sunday"}], is_error=True)
        assert text_of(await call(it, "change")) == "changed"
        async with asyncio.timeout(LONG_S):
            await changed.wait()
        assert "new" in [tool.name for tool in await it.list_tools()]


@REVISIONS
async def test_call_that_is_given_up_is_taken_back_from_the_server(
    words: tuple[str, ...], mode: str, revision: str
) -> None:
    heard = Heard()
    async with kind(*words, mode=mode, heard=heard) as it:
        waiting = asyncio.create_task(call(it, "wait"))
        await heard.wait_for("waits")
        waiting.cancel()
        await heard.wait_for("was taken back")
        assert json.loads(text_of(await call(it, "meta")))["cancelled"] == 1


async def test_server_is_told_who_asks_again_and_of_which_trace() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with kind() as it:
        meta = json.loads(text_of(await call(it, "meta", traceparent=trace)))["meta"]
    assert (meta["caxton/idempotency-key"], meta["traceparent"]) == ("k1", trace)


async def test_progress_is_seen_and_keeps_no_call_alive_past_its_deadline() -> None:
    heard = Heard()
    async with kind(heard=heard) as it:
        await it.list_tools()
        asked = asyncio.create_task(call(it, "steps", within=2.0))
        await heard.wait_for("steps are done")
        async with asyncio.timeout(LONG_S):
            while it.view()["under_way"][0]["progress"] != 3:  # noqa: ASYNC110 - it comes by another way
                await asyncio.sleep(0)
        assert it.view()["under_way"] == [{"tool": "steps", "agent": "a", "progress": 3.0, "total": 4.0}]
        assert trouble(await asked) == "timeout"


async def test_auto_falls_back_to_the_handshake_of_an_older_server() -> None:
    async with hostile(mode="auto") as it:
        assert [tool.name for tool in await it.list_tools()] == ["echo", "again", "big"]
        assert it.view()["revision"] == "2025-06-18"


async def test_many_calls_at_once_get_their_own_answers() -> None:
    async with hostile() as it:
        outcomes = await asyncio.gather(*(call(it, "echo", n=n) for n in range(100)))
        assert [json.loads(text_of(outcome))["n"] for outcome in outcomes] == list(range(100))
        assert it.view()["starts"] == 1


# --- what it is given ----------------------------------------------------------------------------------------


async def test_its_environment_is_exactly_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the node")
    async with kind(env={"GIVEN": "1"}) as it:
        environment = json.loads(text_of(await call(it, "env")))
    environment.pop("LC_CTYPE", None)  # Python's own
    assert environment == {"GIVEN": "1"}


async def test_it_gets_no_open_file_of_the_node(tmp_path: Path) -> None:
    secret = (tmp_path / "secret").open("w")
    os.set_inheritable(secret.fileno(), True)
    with secret:
        async with hostile() as it:
            await it.list_tools()
            assert sorted(os.listdir(f"/proc/{it.view()['pid']}/fd")) == ["0", "1", "2"]


async def test_its_view_shows_the_command_and_no_secret() -> None:
    command = Command(name="server", arguments=("--token=abcdef123456", "x-hidden99-y"), env={"KEY": "hidden99"})
    view = StdioSource("it", command, CLOCK, care()).view()
    assert view["command"][0] == "server"
    assert view["environment"] == ["KEY"]
    assert "hidden99" not in json.dumps(view)
    assert "abcdef123456" not in json.dumps(view)
    assert (view["state"], view["pid"]) == ("idle", None)


# --- how it lives --------------------------------------------------------------------------------------------


async def test_nothing_is_started_before_the_first_call() -> None:
    async with hostile() as it:
        assert (it.state, it.view()["starts"]) == ("idle", 0)
        await it.list_tools()
        assert (it.state, it.view()["starts"]) == ("running", 1)


async def test_command_that_is_not_found_is_said_to_whoever_calls() -> None:
    it = StdioSource("it", Command(name="no-such-program"), CLOCK, care())
    assert await call(it, "echo") == Failure("unavailable", "it did not start: command not found: no-such-program")
    with pytest.raises(SourceDown, match="is started again"):
        await it.list_tools()
    await it.close()


@pytest.mark.parametrize(
    ("tool", "why"),
    [("die", "it exited with code 3"), ("half", "it exited with code 4"), ("killed", "it was killed by signal 9")],
)
async def test_call_ends_at_once_when_its_server_dies_and_the_server_comes_back_after_a_while(
    tool: str, why: str
) -> None:
    async with hostile(jitter=lambda: 1.0) as it:
        ended = _ended(it)
        assert trouble(await call(it, tool)) == "unavailable"
        await ended
        assert (it.state, it.view()["last_error"]) == ("waiting", why)
        CLOCK.skip_back_off()
        assert text_of(await call(it, "echo")) == "{}"
        assert (it.view()["restarts"], it.state) == (1, "running")


async def test_back_off_grows_with_each_death_and_who_calls_meanwhile_hears_at_once() -> None:
    async with hostile("die_first") as it:
        waits: list[float] = []
        for _ in range(3):
            assert trouble(await call(it, "echo")) == "unavailable"
            waits.append(it.view()["retry_in_s"])
            starts = it.view()["starts"]
            assert trouble(await call(it, "echo")) == "unavailable"
            assert it.view()["starts"] == starts
            CLOCK.skip_back_off()
        assert waits[0] < waits[1] < waits[2]
        assert it.view()["last_error"] == "it exited with code 5"


async def test_server_that_hangs_in_its_handshake_is_ended_after_its_time() -> None:
    heard = Heard()
    async with hostile("hang_first", "deaf", heard=heard, start_s=0.5) as it:
        asked = asyncio.create_task(call(it, "echo"))
        await heard.wait_for("hangs")
        pid = it.view()["pid"]
        assert trouble(await asked) == "unavailable"
        assert it.view()["last_error"] in (
            "it has not shaken hands within 0.5 s",
            "its handshake failed (error -32001)",
        )
        assert not is_alive(pid)


async def test_caller_does_not_wait_for_the_start_past_its_deadline() -> None:
    async with hostile("hang_first") as it:
        assert trouble(await call(it, "echo", within=SOON_S)) == "timeout"
        assert it.state == "starting"


async def test_server_of_an_unknown_revision_is_not_spoken_with() -> None:
    async with hostile("antique") as it:
        assert trouble(await call(it, "echo")) == "unavailable"
        assert it.view()["last_error"] == "its handshake failed (RuntimeError)"


async def test_server_that_nobody_calls_is_closed_and_started_again_when_somebody_does() -> None:
    async with hostile(idle_s=0.05) as it:
        await it.list_tools()
        pid = it.view()["pid"]
        await _ended(it)
        assert (it.state, it.view()["failures"]) == ("idle", 0)
        assert not is_alive(pid)
        assert text_of(await call(it, "echo")) == "{}"
        assert (it.view()["starts"], it.view()["restarts"]) == (2, 0)


async def test_server_that_works_is_not_idle() -> None:
    heard = Heard()
    async with hostile(idle_s=0.02, heard=heard) as it:
        asked = asyncio.create_task(call(it, "silent", within=SOON_S))
        await heard.wait_for("is silent")
        assert trouble(await asked) == "timeout"
        assert it.view()["starts"] == 1


async def test_tools_are_looked_at_again_when_a_server_was_started_again() -> None:
    changed = asyncio.Event()
    async with hostile() as it:
        it.on_change(changed.set)
        ended = _ended(it)
        await call(it, "die")
        await ended
        assert not changed.is_set()
        CLOCK.skip_back_off()
        await call(it, "echo")
        assert changed.is_set()


@pytest.mark.parametrize("habit", ["polite", "deaf"])
async def test_closing_ends_the_server_with_all_it_started(habit: str) -> None:
    async with hostile(habit) as it:
        child = int(text_of(await call(it, "child")))
        pid = it.view()["pid"]
        assert (is_alive(pid), is_alive(child)) == (True, True)
        async with asyncio.timeout(LONG_S):
            await it.close()
        assert not is_alive(pid)
        until(lambda: not is_alive(child))
        assert it.state == "closed"
        assert trouble(await call(it, "echo")) == "unavailable"
        await it.close()


async def test_closing_ends_calls_under_way() -> None:
    heard = Heard()
    async with hostile(heard=heard) as it:
        asked = asyncio.create_task(call(it, "silent"))
        await heard.wait_for("is silent")
        await it.close()
        assert trouble(await asked) == "unavailable"


async def test_server_that_dies_takes_with_it_what_it_started() -> None:
    async with hostile() as it:
        child = int(text_of(await call(it, "child")))
        ended = _ended(it)
        await call(it, "die")
        await ended
        until(lambda: not is_alive(child))


async def test_death_is_noticed_although_somebody_else_holds_the_output() -> None:
    heard = Heard()
    async with hostile(heard=heard) as it:
        ended = _ended(it)
        outcome = await call(it, "orphan")
        orphan = int((await heard.wait_for("orphan")).split()[1])
        try:
            await ended
        finally:
            os.kill(orphan, signal.SIGKILL)
        assert trouble(outcome) == "unavailable"
        assert it.view()["last_error"] == "it exited with code 0"


# --- what it says ---------------------------------------------------------------------------------------------


async def test_hanging_server_costs_its_caller_no_more_than_the_deadline() -> None:
    heard = Heard()
    async with hostile("deaf", heard=heard) as it:
        assert trouble(await call(it, "hang", within=SOON_S)) == "timeout"
        assert heard.texts == ["hangs"]


async def test_server_that_does_not_read_does_not_hold_up_whoever_gives_up() -> None:
    async with hostile() as it:
        asked = [call(it, "hang", within=1.0)]
        asked += [call(it, "echo", within=1.0, text="x" * 200_000) for _ in range(100)]
        assert {trouble(outcome) for outcome in await asyncio.gather(*asked)} == {"timeout"}


async def test_answer_that_is_too_large_is_the_failure_of_its_call_alone() -> None:
    heard = Heard()
    async with hostile(heard=heard) as it:
        other = asyncio.create_task(call(it, "silent", within=2.0))
        await heard.wait_for("is silent")
        assert trouble(await call(it, "big", bytes=50_000_000)) == "too_large"
        assert len(text_of(await call(it, "big", bytes=4_000_000))) == 4_000_000
        assert trouble(await other) == "timeout"
        assert it.view()["starts"] == 1


async def test_endless_line_ends_the_server() -> None:
    async with hostile() as it:
        ended = _ended(it)
        assert trouble(await call(it, "endless")) == "unavailable"
        await ended
        assert it.view()["last_error"] == "it wrote a line without end"


@pytest.mark.parametrize(
    ("tool", "noise"),
    [("utf8", ["\ufffd\ufffd no text"]), ("logs", ["INFO: working", '{"half":', "[1,2]", '"text"'])],
)
async def test_what_is_no_message_is_told_as_noise_and_the_call_is_answered(tool: str, noise: list[str]) -> None:
    heard = Heard()
    async with hostile("greets", heard=heard) as it:
        assert text_of(await call(it, tool)) == "ok"
        assert heard.lines == [("stdout", line) for line in ["starting up...", *noise]]


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("utf8_answer", "failed"),
        ("shape", "failed"),
        ("input", "failed"),
        ("refuse", "invalid"),
        ("unheard_of", "not_found"),
    ],
)
async def test_bad_answer_fails_its_call_at_once_and_no_other(tool: str, expected: str) -> None:
    async with hostile() as it:
        assert trouble(await call(it, tool)) == expected
        assert text_of(await call(it, "echo")) == "{}"
        assert it.view()["starts"] == 1


async def test_what_a_server_says_of_an_error_is_heard_by_people_and_not_by_agents() -> None:
    heard = Heard()
    async with hostile(heard=heard) as it:
        outcome = await call(it, "refuse")
    assert "secret text" not in str(outcome)
    assert ("protocol", "error -32602: secret text of the server") in heard.lines


async def test_late_answer_after_a_call_was_given_up_is_nobodys() -> None:
    heard = Heard()
    async with hostile(heard=heard) as it:
        assert trouble(await call(it, "late", within=SOON_S)) == "timeout"
        await heard.wait_for("was told")
        assert len(json.loads(text_of(await call(it, "answer_late")))) == 1
        assert text_of(await call(it, "echo", n=1)) == '{"n": 1}'


async def test_answer_to_another_id_is_nobodys() -> None:
    async with hostile() as it:
        assert trouble(await call(it, "wrong_id", within=SOON_S)) == "timeout"
        assert text_of(await call(it, "echo")) == "{}"


async def test_flood_of_notices_is_told_as_few_changes() -> None:
    told: list[int] = []
    async with hostile() as it:
        it.on_change(lambda: told.append(1))
        assert text_of(await call(it, "flood", notices=20_000)) == "ok"
        assert text_of(await call(it, "echo")) == "{}"
        assert 1 <= len(told) <= 5


async def test_flood_of_progress_does_not_extend_a_call() -> None:
    async with hostile() as it:
        assert trouble(await call(it, "progress", within=0.5, times=20_000)) == "timeout"


async def test_changed_description_is_noticed() -> None:
    changed = asyncio.Event()
    async with hostile() as it:
        it.on_change(changed.set)
        before = await it.list_tools()
        await call(it, "change")
        async with asyncio.timeout(LONG_S):
            await changed.wait()
        assert [tool.description for tool in await it.list_tools()] != [tool.description for tool in before]


@pytest.mark.parametrize(
    ("habit", "why"),
    [("pages", "more than 100 pages"), ("many", "more than 1000 tools"), ("bad_list", "breaks the protocol")],
)
async def test_list_of_tools_has_an_end(habit: str, why: str) -> None:
    async with hostile(habit) as it:
        with pytest.raises(SourceDown, match=why):
            await it.list_tools()
        assert text_of(await call(it, "echo")) == "{}"


async def test_server_without_external_tools_never_loads_the_sdk() -> None:
    script = (
        "import sys, caxton.server.wiring, caxton.tools.mcp.stdio, caxton.tools.mcp.http;"
        "sys.exit(any(name in sys.modules for name in ('mcp', 'mcp_types', 'httpx2')))"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await child.wait() == 0


def _ended(it: StdioSource) -> asyncio.Task[None]:
    """Done when the server that runs, or the next one if none does, has been put away."""

    async def ended() -> None:
        async with asyncio.timeout(LONG_S):
            while it.life is None or it.life.task is None:  # noqa: ASYNC110 - it starts in the same loop
                await asyncio.sleep(0)
            await asyncio.wait({it.life.task})

    return asyncio.create_task(ended())
