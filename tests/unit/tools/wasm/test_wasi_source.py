"""A WASI command as a source: what it answers, and what happens to one that does not behave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from caxton.sandbox.limits import MIB
from caxton.sandbox.wasi_command import Allowed
from caxton.tools.source import Failure, Result, SourceDown
from caxton.tools.wasm import noise, wasi_source
from tests.unit.tools.wasm.conftest import WORD_COUNT, a_call, text, trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.tools.wasm.conftest import Tools

BRIEF = Allowed(cpu_time_s=0.02)


async def test_tool_of_the_examples_lists_its_tools_and_counts(tools: Tools) -> None:
    source = tools.new(WORD_COUNT)
    assert [tool.name for tool in await source.list_tools()] == ["count", "count_file"]
    outcome = await source.call(a_call("count", text="one two\nthree \u00e9"))
    assert outcome == Result(
        content=[{"type": "text", "text": "1 lines, 4 words, 16 bytes"}],
        structured={"lines": 1, "words": 4, "bytes": 16},
    )


async def test_nothing_runs_before_the_first_call_and_the_instance_is_kept_for_the_next(tools: Tools) -> None:
    source = tools.new()
    assert source.view()["instances"] == 0
    for _ in range(3):
        assert text(await source.call(a_call("echo", a="hello"))) == "hello"
    assert (source.view()["starts"], source.view()["instances"]) == (1, 1)


async def test_calls_at_once_have_instances_of_their_own_up_to_the_concurrency(tools: Tools) -> None:
    source = tools.new(concurrency=2)
    answers = await asyncio.gather(*(source.call(a_call("echo", a=str(n))) for n in range(10)))
    assert [text(answer) for answer in answers] == [str(n) for n in range(10)]
    assert source.view()["starts"] == 2


async def test_arguments_it_does_not_take_are_invalid_and_it_lives_on(tools: Tools) -> None:
    source = tools.new(WORD_COUNT)
    assert trouble(await source.call(a_call("count"))) == "invalid"
    assert trouble(await source.call(a_call("no_such"))) == "not_found"
    assert source.view()["starts"] == 1


# --- hostile -----------------------------------------------------------------------------------------------------


async def test_spin_ends_at_its_cpu_time_while_others_go_on(tools: Tools) -> None:
    spinning, well = tools.new(allowed=Allowed(cpu_time_s=0.2)), tools.new(WORD_COUNT)
    await well.list_tools()
    spin = asyncio.ensure_future(spinning.call(a_call("spin")))
    answered = 0
    while not spin.done():
        assert isinstance(await well.call(a_call("count", text="x")), Result)
        answered += 1
    outcome = await spin
    assert outcome == Failure("timeout", "it computed for more than its 0.2 s of CPU time")
    assert answered > 20


async def test_call_that_is_over_its_deadline_is_ended_and_the_next_one_answered(tools: Tools) -> None:
    source = tools.new(allowed=Allowed(cpu_time_s=100))
    assert await source.call(a_call("spin", within_s=0.05)) == Failure("timeout", "it did not answer in time")
    assert source.view()["instances"] == 0
    assert trouble(await source.call(a_call("silent", within_s=0.05))) == "timeout"


async def test_cancelled_call_ends_its_instance(tools: Tools) -> None:
    source = tools.new()
    await source.call(a_call("echo", a="x"))
    call = asyncio.ensure_future(source.call(a_call("silent")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert source.view()["instances"] == 1
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert source.view()["instances"] == 0
    assert text(await source.call(a_call("echo", a="again"))) == "again"


async def test_tool_that_spins_after_its_answer_loses_its_instance_and_neither_the_answer_nor_the_next_call(
    tools: Tools,
) -> None:
    source = tools.new(allowed=BRIEF)
    assert text(await source.call(a_call("spin_after"))) == "done"
    assert text(await source.call(a_call("echo", a="x"))) == "x"
    assert source.view()["starts"] == 2


async def test_call_that_must_share_an_instance_with_a_spin_fails_with_it(tools: Tools) -> None:
    source = tools.new(allowed=BRIEF, concurrency=1)
    assert text(await source.call(a_call("spin_after"))) == "done"
    assert trouble(await source.call(a_call("echo", a="x"))) == "timeout"
    assert text(await source.call(a_call("echo", a="x"))) == "x"


async def test_memory_bomb_gets_no_more_than_its_memory(tools: Tools) -> None:
    source = tools.new(allowed=Allowed(memory_bytes=4 * MIB))
    assert 0 < int(text(await source.call(a_call("bomb")))) < 4 * MIB
    assert source.view()["memory_bytes"] <= 4 * MIB


async def test_module_that_begins_with_more_memory_than_granted_is_not_started(tools: Tools) -> None:
    source = tools.new(allowed=Allowed(memory_bytes=MIB))
    with pytest.raises(SourceDown, match="its limit is 1048576"):
        await source.list_tools()


async def test_endless_line_is_cut_off_at_the_result_cap(tools: Tools) -> None:
    source = tools.new(max_result_bytes=10_000)
    assert trouble(await source.call(a_call("flood"))) == "too_large"
    assert text(await source.call(a_call("echo", a="x"))) == "x"


async def test_endless_lines_are_ended_and_heard_of_only_in_part(tools: Tools) -> None:
    source = tools.new(allowed=Allowed(cpu_time_s=0.05))
    outcome = await source.call(a_call("chatter"))
    assert trouble(outcome) in ("timeout", "unavailable")
    assert len(tools.heard) <= noise.MAX_NOISE_LINES
    assert set(tools.heard) == {"listen to me"}


async def test_logs_on_stdout_and_stderr_are_noise_and_no_answer(tools: Tools) -> None:
    source = tools.new()
    assert text(await source.call(a_call("noise"))) == "heard"
    assert sorted(tools.heard) == ["log: hello", "on stderr", '\ufffd\ufffd{"jsonrpc"']


@pytest.mark.parametrize("what", ["bad_answer", "deep", "bad_utf8"])
async def test_answer_that_is_none_fails_the_call_only(tools: Tools, what: str) -> None:
    source = tools.new(allowed=Allowed(cpu_time_s=5, host_calls=10_000_000))
    outcome = await source.call(a_call(what, within_s=5 if what == "bad_answer" else 0.5))
    assert trouble(outcome) in ("failed", "timeout")
    assert text(await source.call(a_call("echo", a="x"))) == "x"


async def test_answer_with_a_foreign_id_is_not_taken(tools: Tools) -> None:
    assert text(await tools.new().call(a_call("wrong_id"))) == "yours"


async def test_question_of_the_tool_is_refused(tools: Tools) -> None:
    assert text(await tools.new().call(a_call("asks"))) == "refused"


async def test_many_change_notices_at_once_are_one(tools: Tools) -> None:
    source, told = tools.new(), list[int]()
    source.on_change(lambda: told.append(1))
    assert text(await source.call(a_call("changed"))) == "changed"
    await until(lambda: bool(told))
    assert told == [1]


@pytest.mark.parametrize("what", ["trap", "exit"])
async def test_end_in_the_middle_of_a_call_fails_it_and_the_next_call_has_a_new_instance(
    tools: Tools, what: str
) -> None:
    source = tools.new()
    assert trouble(await source.call(a_call(what))) == "unavailable"
    assert text(await source.call(a_call("echo", a="x"))) == "x"
    assert source.view()["starts"] == 2


async def test_end_again_and_again_makes_the_source_wait_before_it_starts_once_more(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tools.new()
    monkeypatch.setattr(wasi_source, "FIRST_BACK_OFF_S", 1000.0)
    monkeypatch.setattr(wasi_source, "MAX_BACK_OFF_S", 1000.0)
    for _ in range(2):
        await source.call(a_call("trap"))
    outcome = await source.call(a_call("echo", a="x"))
    assert isinstance(outcome, Failure)
    assert outcome.trouble == "unavailable"
    assert "2 times in a row" in outcome.detail
    assert (source.view()["starts"], source.view()["state"]) == (2, "backing off")


async def test_success_forgets_earlier_failures(tools: Tools) -> None:
    source = tools.new()
    for _ in range(5):
        await source.call(a_call("trap"))
        assert text(await source.call(a_call("echo", a="x"))) == "x"


async def test_trap_at_the_start_is_told(tools: Tools) -> None:
    source = tools.new(allowed=Allowed(environment={"DIE_AT_START": "1"}))
    with pytest.raises(SourceDown, match="unreachable"):
        await source.list_tools()
    assert "unreachable" in source.view()["last_error"]


async def test_unknown_revision_is_refused(tools: Tools) -> None:
    source = tools.new(allowed=Allowed(environment={"REVISION": "1999-01-01"}))
    with pytest.raises(SourceDown, match="revision"):
        await source.list_tools()


async def test_endless_list_is_refused(tools: Tools) -> None:
    source = tools.new(allowed=Allowed(environment={"ENDLESS_LIST": "1"}))
    with pytest.raises(SourceDown, match="pages"):
        await source.list_tools()


# --- time --------------------------------------------------------------------------------------------------------


async def test_tool_that_sleeps_holds_nobody_and_is_woken(tools: Tools) -> None:
    source = tools.new()
    sleeps = [source.call(a_call("sleep", a="0", b="50")) for _ in range(5)]
    assert [text(outcome) for outcome in await asyncio.gather(*sleeps)] == ["ok"] * 5


async def test_tool_that_sleeps_too_long_is_ended_at_the_deadline(tools: Tools) -> None:
    source = tools.new()
    assert trouble(await source.call(a_call("sleep", a="1000", within_s=0.05))) == "timeout"


async def test_idle_instances_are_closed_after_a_while(tools: Tools) -> None:
    source = tools.new(idle_timeout_s=0.001)
    assert text(await source.call(a_call("echo", a="x"))) == "x"
    await until(lambda: source.view()["instances"] == 0)
    assert text(await source.call(a_call("echo", a="y"))) == "y"


async def test_closed_source_refuses_and_may_be_closed_again(tools: Tools) -> None:
    source = tools.new()
    waiting = asyncio.ensure_future(source.call(a_call("silent")))
    for _ in range(5):
        await asyncio.sleep(0)
    await source.close()
    await source.close()
    assert trouble(await waiting) == "unavailable"
    assert trouble(await source.call(a_call("echo", a="x"))) == "unavailable"
    assert source.view()["state"] == "closed"


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - a view gives no event
            await asyncio.sleep(0)
