from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.values import InvalidValue
from caxton.tools.builtin.options import Options
from caxton.tools.builtin.source import BuiltinSource, BuiltinTool, CannotCall, ToolError, answer, arguments_schema
from caxton.tools.builtin.threads import Threads
from caxton.tools.source import Failure, Result, ToolInfo
from tests.tool_calls import a_call, asked, outcome, outcome_of, said, trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.tools.builtin.threads import Stop
    from caxton.tools.source import Call

INFO = ToolInfo(name="t", input_schema=arguments_schema(), output_schema=arguments_schema(x={}))


def source_of(run: Callable[[Call], Any], **more: Any) -> BuiltinSource:
    return BuiltinSource("s", [BuiltinTool(INFO, run)], kind="test", **more)


def raising(exc: Exception) -> Callable[[Call], Any]:
    def run(_: Call) -> Result:
        raise exc

    return run


async def test_function_that_answers_at_once_is_not_waited_for() -> None:
    source = source_of(lambda call: answer({"x": call.agent}))
    found = source.call(a_call("t", {}))
    assert isinstance(found, Result)
    assert found.structured == {"x": "a"}
    assert await asked(source, "t") == {"x": "a"}


async def test_tool_that_is_not_there_is_not_found() -> None:
    found = await outcome_of(source_of(lambda _: answer({})), a_call("other", {}))
    assert isinstance(found, Failure)
    assert found.trouble == "not_found"


async def test_what_a_function_raises_is_its_answer_and_never_passes() -> None:
    assert await said(source_of(raising(ToolError("not there"))), "t") == "not there"
    assert await trouble(source_of(raising(CannotCall("refused", "no"))), "t") == "refused"
    assert await trouble(source_of(raising(KeyError("hidden"))), "t") == "failed"


async def test_what_a_coroutine_raises_is_its_answer_too() -> None:
    async def run(_: Call) -> Result:
        raise CannotCall("unavailable", "gone", cause="ECONNREFUSED")

    source = source_of(run)
    assert await outcome(source, "t") == Failure("unavailable", "gone")
    assert source.view() == {"state": "running", "builtin": "test", "last_error": "ECONNREFUSED"}


async def test_coroutine_that_outlasts_its_deadline_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def run(_: Call) -> Result:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()
        raise AssertionError

    found = await outcome_of(source_of(run), a_call("t", {}, until=time.monotonic() + 0.02))
    assert isinstance(found, Failure)
    assert found.trouble == "timeout"
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_one_that_will_not_be_cancelled_holds_up_nobody() -> None:
    end = asyncio.Event()

    async def run(_: Call) -> Result:
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue
        return answer({})

    try:
        found = await asyncio.wait_for(outcome_of(source_of(run), a_call("t", {}, until=time.monotonic() + 0.02)), 5)
        assert isinstance(found, Failure)
        assert found.trouble == "timeout"
    finally:
        end.set()


async def test_call_whose_deadline_is_over_does_nothing() -> None:
    found = await outcome_of(source_of(raising(AssertionError())), a_call("t", {}, until=time.monotonic() - 1))
    assert isinstance(found, Failure)
    assert found.trouble == "timeout"


async def test_cancelling_the_caller_cancels_the_tool() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def run(_: Call) -> Result:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()
        raise AssertionError

    task = asyncio.ensure_future(outcome_of(source_of(run), a_call("t", {})))
    await asyncio.wait_for(begun.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_closing_ends_what_runs_once_and_refuses_what_comes_after() -> None:
    closed: list[str] = []

    async def close() -> None:
        closed.append("closed")

    async def run(_: Call) -> Result:
        return await asyncio.get_running_loop().create_future()

    source = source_of(run, close=close)
    task = asyncio.ensure_future(outcome_of(source, a_call("t", {})))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await source.close()
    await source.close()
    assert closed == ["closed"]
    found = await asyncio.wait_for(task, 5)
    assert isinstance(found, Failure)
    assert found.trouble == "unavailable"
    assert await trouble(source, "t") == "unavailable"
    assert source.view()["state"] == "closed"


async def test_work_that_hangs_takes_a_thread_and_the_others_go_on() -> None:
    threads, release = Threads("x", 2), threading.Event()
    hung = asyncio.ensure_future(threads.run(lambda _: release.wait(20), time.monotonic() + 20))
    assert await threads.run(lambda _: threading.current_thread().name, time.monotonic() + 20) == "tool-x"
    assert not hung.done()
    release.set()
    assert await hung is True
    threads.close()


async def test_work_that_is_cancelled_is_told_and_work_that_did_not_begin_never_does() -> None:
    threads, begun, told, did = Threads("x", 1), threading.Event(), threading.Event(), list[str]()

    def work(stop: Stop) -> None:
        stop.on_set = told.set
        begun.set()
        told.wait(20)

    first = asyncio.ensure_future(threads.run(work, time.monotonic() + 20))
    second = asyncio.ensure_future(threads.run(lambda _: did.append("second"), time.monotonic() + 20))
    assert await asyncio.to_thread(begun.wait, 20)
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert told.is_set()
    await threads.run(lambda _: None, time.monotonic() + 20)
    assert did == []
    threads.close()


def test_options_that_are_mistyped_or_unknown_are_refused_and_secrets_are_not_repeated() -> None:
    with pytest.raises(InvalidValue):
        Options({"mode": "rwx"}).choice("mode", "ro", ("ro", "rw"))
    with pytest.raises(InvalidValue):
        Options({"n": True}).count("n", 1, 10)
    with pytest.raises(InvalidValue):
        Options({"n": 11}).count("n", 1, 10)
    with pytest.raises(InvalidValue):
        Options({"s": "2GiB"}).size("s", 1, 1 << 30)
    with pytest.raises(InvalidValue):
        Options({"other": 1}).done()
    with pytest.raises(InvalidValue):
        Options({}).text("path")
    with pytest.raises(InvalidValue) as caught:
        Options({"url": ["pass-word"]}).text("url", is_secret=True)
    assert "pass-word" not in str(caught.value)
