from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from caxton.sandbox import codes
from caxton.tools.broker import MAX_ARGUMENT_BYTES, MAX_REFUSED_PER_S
from caxton.tools.grants import Grant
from caxton.tools.limits import MAX_DEPTH
from caxton.tools.settings import BreakerSettings
from caxton.tools.source import Failure, Result, ToolInfo
from tests.unit.tools.fakes import ANSWER, FOUND, GOOD, SEARCH, Scene, down, result_of, waiting

DOWN = Failure("unavailable", "it does not run")


def later() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


# --- who may call what ------------------------------------------------------------------------------------------------


async def test_answer_that_is_there_at_once_is_returned_at_once() -> None:
    scene = await Scene().listed()
    assert scene.call() == ANSWER
    (call,) = scene.source.calls
    assert (call.tool, call.arguments, call.key, call.until) == ("search", {"query": "x"}, "k", 1030.0)
    assert scene.outcomes() == ["ok"]


async def test_tool_that_is_not_there_is_not_found_and_its_source_not_asked_again() -> None:
    scene = await Scene().listed()
    assert scene.call(tool="web.other") == codes.NOT_FOUND
    assert scene.call(tool="nobody.search") == codes.NOT_FOUND
    assert scene.source.listings == 1


@pytest.mark.parametrize("grant", [Grant(), Grant(required=("web.other", "we.*", "web.sea", "files.*"))])
async def test_tool_that_is_not_granted_is_not_called(grant: Grant) -> None:
    scene = await Scene(grant=grant).listed()
    assert scene.call() == codes.NOT_PERMITTED
    assert scene.call(agent="stranger") == codes.NOT_PERMITTED
    assert scene.call(workspace="other") == codes.NOT_FOUND
    assert scene.source.calls == []


async def test_agent_without_a_grant_does_not_make_a_source_start() -> None:
    scene = Scene(grant=Grant(required=("files.*",)))
    assert scene.call() == codes.NOT_PERMITTED
    await asyncio.sleep(0)
    assert scene.source.listings == 0


@pytest.mark.parametrize("pattern", ["web.search", "web.*", "web.se*"])
async def test_name_and_wildcards_grant(pattern: str) -> None:
    scene = await Scene(grant=Grant(required=(pattern,))).listed()
    assert scene.call() == ANSWER


async def test_another_grant_holds_from_now_on() -> None:
    scene = await Scene().listed()
    assert scene.call() == ANSWER
    scene.broker.grant("default", "a", Grant())
    assert scene.call() == codes.NOT_PERMITTED


async def test_calls_of_agents_as_tools_are_bounded() -> None:
    scene = await Scene().listed()
    assert scene.call(depth=MAX_DEPTH) == ANSWER
    assert scene.call(depth=MAX_DEPTH + 1) == codes.TOO_DEEP


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [b"", b"[]", b"null", b'"x"', b"{", b'{"query":1}', b"{}", b'{"query":"x","more":1}', b'{"query":"\xff"}',
     b'{"query":"x","more":' + b"[" * 70 + b"]" * 70 + b"}", b"[" * 100_000],
)  # fmt: skip
async def test_arguments_against_the_schema_do_not_reach_the_tool(arguments: bytes) -> None:
    scene = await Scene().listed()
    assert scene.call(arguments) == codes.INVALID
    assert scene.source.calls == []


async def test_arguments_that_are_too_deep_do_not_reach_a_tool_that_takes_anything() -> None:
    scene = await Scene(ToolInfo(name="search")).listed()
    assert scene.call(b'{"a":' * 64 + b"1" + b"}" * 64) == ANSWER
    assert scene.call(b'{"a":' * 65 + b"1" + b"}" * 65) == codes.INVALID


async def test_arguments_that_are_too_large_do_not_reach_the_tool() -> None:
    scene = await Scene().listed()
    fill = b"x" * (MAX_ARGUMENT_BYTES - len(GOOD) + 1)
    assert scene.call(b'{"query":"' + fill + b'"}') == ANSWER
    assert scene.call(b'{"query":"' + fill + b'x"}') == codes.TOO_LARGE


async def test_record_says_which_rule_was_broken_and_not_what_was_said() -> None:
    scene = await Scene().listed()
    scene.call(b'{"query":12345}')
    (record,) = scene.tool().records
    assert record.outcome == "invalid"
    assert "query" in record.detail
    assert "12345" not in record.detail


# --- rates and budget -------------------------------------------------------------------------------------------------


async def test_agent_that_calls_too_often_is_refused_until_time_has_passed() -> None:
    scene = await Scene(grant=Grant(required=("web.*",), calls_per_s=2)).listed()
    assert [scene.call() for _ in range(3)] == [ANSWER, ANSWER, codes.RATE_LIMITED]
    scene.clock.now += 0.5
    assert [scene.call() for _ in range(2)] == [ANSWER, codes.RATE_LIMITED]


async def test_tool_that_is_called_too_often_is_refused_to_all() -> None:
    scene = await Scene(rate_per_s=1.0).listed()
    scene.broker.grant("default", "b", Grant(required=("web.*",)))
    assert [scene.call(), scene.call(agent="b")] == [ANSWER, codes.RATE_LIMITED]


async def test_tool_that_is_listed_again_has_no_new_tokens() -> None:
    scene = await Scene(rate_per_s=1.0).listed()
    assert scene.call() == ANSWER
    scene.source.tools = [SEARCH, ToolInfo(name="other")]
    await scene.listed()
    assert scene.call() == codes.RATE_LIMITED


async def test_budget_of_calls_is_spent() -> None:
    scene = await Scene(grant=Grant(required=("web.*",), max_calls=2)).listed()
    assert [scene.call() for _ in range(3)] == [ANSWER, ANSWER, codes.BUDGET_SPENT]


async def test_budget_of_cost_is_spent_by_what_each_tool_costs() -> None:
    scene = await Scene(
        SEARCH, ToolInfo(name="dear"), grant=Grant(required=("web.*",), max_cost=1.0), cost=0.25, costs={"dear": 0.75}
    ).listed()
    assert scene.call(tool="web.dear") == ANSWER
    assert scene.call(tool="web.dear") == codes.BUDGET_SPENT
    assert [scene.call(), scene.call()] == [ANSWER, codes.BUDGET_SPENT]


async def test_refused_call_costs_nothing() -> None:
    scene = await Scene(grant=Grant(required=("web.*",), max_calls=1)).listed()
    assert [scene.call(b"{}"), scene.call(), scene.call()] == [codes.INVALID, ANSWER, codes.BUDGET_SPENT]


async def test_budget_is_a_row_for_each_agent_at_a_commit_and_holds_after_a_restart() -> None:
    scene = await Scene(grant=Grant(required=("web.*",), max_calls=3), cost=0.5).listed()
    scene.call()
    scene.call()
    ((sql, rows),) = [statement for source in scene.rows.sources for statement in source.take()]
    assert "tool_budgets" in sql
    assert rows == [("default", "a", 2, 1.0)]
    again = await Scene(
        grant=Grant(required=("web.*",), max_calls=3),
        read=lambda sql, _: [(2, 1.0)] if "tool_budgets" in sql else [],
    ).listed()
    assert [again.call(), again.call()] == [ANSWER, codes.BUDGET_SPENT]


# --- deadlines, repetitions -------------------------------------------------------------------------------------------


async def test_answer_that_comes_later_is_told() -> None:
    scene = await Scene(outcomes=[later]).listed()
    answer = waiting(scene.call())
    assert scene.tool().source.gate.under_way == 1
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    scene.source.calls.clear()
    (job,) = scene.broker.waiting()
    assert job.task is not None
    job.task.set_result(FOUND)
    assert await result_of(answer) == ANSWER
    assert scene.tool().source.gate.under_way == 0


async def test_tool_that_hangs_is_left_at_the_deadline() -> None:
    hangs = later()
    scene = await Scene(outcomes=[lambda: hangs], timeout_s=0.01).listed()
    assert await result_of(scene.call()) == codes.TIMED_OUT
    assert hangs.cancelled()
    assert scene.outcomes() == ["timed_out"]
    assert scene.tool().source.gate.under_way == 0


async def test_late_answer_after_the_deadline_changes_nothing() -> None:
    async def deaf() -> Result:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return FOUND
        return FOUND

    scene = await Scene(outcomes=[deaf], timeout_s=0.01).listed()
    answer = scene.call()
    assert await result_of(answer) == codes.TIMED_OUT
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await result_of(answer) == codes.TIMED_OUT
    assert scene.outcomes() == ["timed_out"]


async def test_who_gives_up_stops_the_call() -> None:
    hangs = later()
    scene = await Scene(outcomes=[lambda: hangs], concurrency=1).listed()
    waiting(scene.call()).cancel()
    assert hangs.cancelled()
    assert scene.outcomes() == ["cancelled"]
    assert scene.tool().source.gate.under_way == 0
    assert scene.broker.waiting() == []


async def test_coroutine_of_a_call_that_is_given_up_at_once_leaves_nothing_behind() -> None:
    async def never() -> Result:
        return FOUND

    scene = await Scene(outcomes=[never]).listed()
    waiting(scene.call()).cancel()
    await asyncio.sleep(0)
    assert scene.outcomes() == ["cancelled"]


@pytest.mark.parametrize("trouble", ["unavailable", "timeout"])
async def test_idempotent_call_without_an_answer_is_repeated_once(trouble: Any) -> None:
    failure = Failure(trouble, "it broke")
    scene = await Scene(outcomes=[failure, FOUND], retries=1, idempotent=("search",)).listed()
    assert scene.call() == ANSWER
    assert [call.key for call in scene.source.calls] == ["k", "k"]
    (record,) = scene.tool().records
    assert record.attempts == 2


async def test_idempotent_call_is_not_repeated_twice() -> None:
    scene = await Scene(outcomes=[DOWN], retries=1, idempotent=("search",)).listed()
    assert scene.call() == codes.UNAVAILABLE
    assert len(scene.source.calls) == 2


async def test_repetition_of_a_call_that_takes_time_is_one_too() -> None:
    async def breaks() -> Failure:
        return DOWN

    scene = await Scene(outcomes=[breaks, breaks, FOUND], retries=1, idempotent=("search",)).listed()
    assert await result_of(scene.call()) == codes.UNAVAILABLE
    assert len(scene.source.calls) == 2


@pytest.mark.parametrize(
    "settings", [{}, {"retries": 1}, {"idempotent": ("search",)}, {"retries": 1, "idempotent": ("other",)}]
)
async def test_call_that_is_not_idempotent_is_never_repeated(settings: dict[str, Any]) -> None:
    said = ToolInfo(name="search", input_schema=SEARCH.input_schema, is_idempotent=True, is_read_only=True)
    scene = await Scene(said, outcomes=[DOWN, FOUND], **settings).listed()
    assert scene.call() == codes.UNAVAILABLE
    assert len(scene.source.calls) == 1


@pytest.mark.parametrize("hint", ["is_idempotent", "is_read_only"])
async def test_source_is_believed_only_where_the_operator_says_so(hint: str) -> None:
    said = msgspec.structs.replace(SEARCH, **{hint: True})
    scene = await Scene(said, outcomes=[DOWN, FOUND], retries=1, trust_annotations=True).listed()
    assert scene.call() == ANSWER


@pytest.mark.parametrize("trouble", ["invalid", "failed", "too_large", "refused", "not_found"])
async def test_failure_that_is_an_answer_is_not_repeated(trouble: Any) -> None:
    scene = await Scene(outcomes=[Failure(trouble, "no"), FOUND], retries=1, idempotent=("search",)).listed()
    assert isinstance(scene.call(), int)
    assert len(scene.source.calls) == 1


# --- results ----------------------------------------------------------------------------------------------------------


async def test_error_of_the_tool_itself_is_a_result() -> None:
    scene = await Scene(outcomes=[Result(content=[], is_error=True)]).listed()
    assert scene.call() == b'{"content":[],"isError":true}'
    assert scene.outcomes() == ["error"]


async def test_result_that_is_too_large_does_not_reach_the_agent() -> None:
    scene = await Scene(outcomes=[FOUND], max_result_bytes=len(ANSWER)).listed()
    assert scene.call() == ANSWER
    scene = await Scene(outcomes=[FOUND], max_result_bytes=len(ANSWER) - 1).listed()
    assert scene.call() == codes.TOO_LARGE


@pytest.mark.parametrize("structured", [None, {}, {"n": "one"}])
async def test_result_that_lies_about_its_schema_does_not_reach_the_agent(structured: dict[str, Any] | None) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    info = ToolInfo(name="search", output_schema=schema)
    scene = await Scene(info, outcomes=[Result(structured=structured)]).listed()
    assert scene.call() == codes.FAILED
    scene = await Scene(info, outcomes=[Result(structured={"n": 1})]).listed()
    assert json.loads(scene.call()) == {"content": [], "structuredContent": {"n": 1}}  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [[{"type": "text", "text": "\ud800"}], [{"x": object()}]])
async def test_result_that_is_no_json_is_a_failure(content: list[dict[str, Any]]) -> None:
    scene = await Scene(outcomes=[Result(content=content)]).listed()
    assert scene.call() == codes.FAILED


async def test_source_that_raises_is_a_failure_and_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    async def raises() -> Result:
        raise ZeroDivisionError

    scene = await Scene(outcomes=[KeyError("x"), raises]).listed()
    assert scene.call() == codes.FAILED
    assert await result_of(scene.call()) == codes.FAILED
    assert [record.message for record in caplog.records] == ["a source of tools raised"] * 2


# --- breaker and bulkhead ---------------------------------------------------------------------------------------------


async def test_source_that_fails_is_left_alone_and_tried_again() -> None:
    scene = await Scene(outcomes=[DOWN], breaker=BreakerSettings(threshold=2, timeout_s=10.0)).listed()
    assert [scene.call() for _ in range(3)] == [codes.UNAVAILABLE] * 3
    assert len(scene.source.calls) == 2
    scene.clock.now += 10
    scene.source.outcomes.append(FOUND)
    scene.source.outcomes.popleft()
    assert scene.call() == ANSWER
    assert scene.desk.sources("default")[0].circuit == "closed"


async def test_failures_that_are_answers_do_not_open_the_circuit() -> None:
    scene = await Scene(outcomes=[Failure("invalid", "no")], breaker=BreakerSettings(threshold=1)).listed()
    assert [scene.call(), scene.call()] == [codes.INVALID] * 2
    assert len(scene.source.calls) == 2


async def test_source_that_hangs_is_left_alone_too() -> None:
    scene = await Scene(outcomes=[later], timeout_s=0.01, breaker=BreakerSettings(threshold=1)).listed()
    assert await result_of(scene.call()) == codes.TIMED_OUT
    assert scene.call() == codes.UNAVAILABLE


async def test_caller_who_gives_up_tells_nothing_of_the_source() -> None:
    scene = await Scene(outcomes=[later, FOUND], breaker=BreakerSettings(threshold=1)).listed()
    waiting(scene.call()).cancel()
    assert scene.call() == ANSWER


async def test_calls_beyond_the_bulkhead_wait_in_order() -> None:
    futures: list[asyncio.Future[Any]] = []

    def hang() -> asyncio.Future[Any]:
        futures.append(later())
        return futures[-1]

    scene = await Scene(outcomes=[hang], concurrency=2).listed()
    answers = [waiting(scene.call(key=str(n))) for n in range(4)]
    assert [call.key for call in scene.source.calls] == ["0", "1"]
    futures[1].set_result(FOUND)
    assert await result_of(answers[1]) == ANSWER
    assert [call.key for call in scene.source.calls] == ["0", "1", "2"]
    answers[3].cancel()
    futures[0].set_result(FOUND)
    assert await result_of(answers[0]) == ANSWER
    assert len(scene.source.calls) == 3
    futures[2].set_result(FOUND)
    assert await result_of(answers[2]) == ANSWER


async def test_thousand_calls_that_wait_for_a_source_that_answers_at_once_end_in_one_loop() -> None:
    first = later()
    scene = await Scene(outcomes=[lambda: first, FOUND], concurrency=1).listed()
    scene.broker.grant("default", "a", Grant(required=("web.*",), calls_per_s=10_000))
    answers = [waiting(scene.call()) for _ in range(5_000)]
    first.set_result(FOUND)
    assert await result_of(answers[-1]) == ANSWER
    assert {answer.result for answer in answers} == {ANSWER}


async def test_calls_in_line_are_refused_when_the_circuit_opens() -> None:
    first = later()
    scene = await Scene(outcomes=[lambda: first, FOUND], concurrency=1, breaker=BreakerSettings(threshold=1)).listed()
    answers = [scene.call() for _ in range(2_000 // 20)]
    first.set_result(DOWN)
    assert [await result_of(answer) for answer in answers] == [codes.UNAVAILABLE] * 100
    assert len(scene.source.calls) == 1


async def test_deadline_counts_while_a_call_waits_in_line() -> None:
    scene = await Scene(outcomes=[later], concurrency=1, timeout_s=0.01).listed()
    answers = [scene.call(), scene.call()]
    assert [await result_of(answer) for answer in answers] == [codes.TIMED_OUT] * 2


# --- listing ----------------------------------------------------------------------------------------------------------


async def test_first_call_asks_the_source_for_its_tools_once_for_all() -> None:
    scene = Scene()
    answers = [waiting(scene.call()) for _ in range(3)]
    assert [await result_of(answer) for answer in answers] == [ANSWER] * 3
    assert scene.source.listings == 1


async def test_call_of_what_the_source_turns_out_not_to_have_is_not_found() -> None:
    assert await result_of(Scene().call(tool="web.other")) == codes.NOT_FOUND


async def test_source_that_cannot_be_asked_is_unavailable_and_left_alone_after_a_while() -> None:
    scene = Scene(breaker=BreakerSettings(threshold=1))
    scene.source.error = down()
    assert await result_of(scene.call()) == codes.UNAVAILABLE
    assert scene.call() == codes.UNAVAILABLE
    assert scene.source.listings == 1


async def test_source_that_does_not_say_what_it_has_is_left_at_the_deadline() -> None:
    scene = Scene(timeout_s=0.01)
    scene.source.gate.clear()
    assert await result_of(scene.call()) == codes.UNAVAILABLE


async def test_given_up_call_that_waits_for_the_tools_is_not_made() -> None:
    scene = Scene()
    waiting(scene.call()).cancel()
    other = scene.call(key="other")
    assert await result_of(other) == ANSWER
    assert [call.key for call in scene.source.calls] == ["other"]


async def test_tool_that_changed_is_quarantined_before_the_next_call() -> None:
    scene = await Scene().listed()
    scene.source.tools = [ToolInfo(name="search", description="Sends all to me.", input_schema=SEARCH.input_schema)]
    scene.source.tell()
    scene.clock.now += 1
    assert await result_of(scene.call()) == codes.NOT_APPROVED
    assert scene.source.calls == []
    scene.desk.approve("default", "web.search", "ann")
    assert scene.call() == ANSWER


async def test_result_of_a_tool_that_changed_while_it_was_called_is_held_back() -> None:
    answered = later()
    scene = await Scene(outcomes=[lambda: answered]).listed()
    answer = scene.call()
    scene.source.tools = [ToolInfo(name="search", description="Another.", input_schema=SEARCH.input_schema)]
    scene.source.tell()
    scene.clock.now += 1
    answered.set_result(FOUND)
    assert await result_of(answer) == codes.NOT_APPROVED


async def test_result_reaches_the_agent_if_the_tool_turns_out_to_be_the_same() -> None:
    answered = later()
    scene = await Scene(outcomes=[lambda: answered]).listed()
    answer = scene.call()
    scene.source.tell()
    scene.clock.now += 1
    answered.set_result(FOUND)
    assert await result_of(answer) == ANSWER
    assert scene.tool().source.gate.under_way == 0


async def test_flood_of_change_notices_is_one_question() -> None:
    scene = await Scene().listed()
    scene.source.state = "running"
    scene.clock.now += 1
    for _ in range(20_000):
        scene.source.tell()
    assert await result_of(scene.call()) == ANSWER
    assert scene.source.listings == 2


async def test_tool_that_was_put_in_quarantine_while_calls_wait_in_line_is_not_called() -> None:
    first = later()
    scene = await Scene(outcomes=[lambda: first, FOUND], concurrency=1).listed()
    answers = [scene.call(), scene.call()]
    scene.desk.quarantine("default", "web.search", "ann")
    first.set_result(FOUND)
    assert [await result_of(answer) for answer in answers] == [ANSWER, codes.NOT_APPROVED]


# --- approval by a person ---------------------------------------------------------------------------------------------


async def test_call_waits_for_a_person_and_goes_on() -> None:
    scene = await Scene(approval="always").listed()
    answer = waiting(scene.call(b'{"query":"x"}'))
    (question,) = scene.desk.approvals("default")
    assert (question.agent, question.tool, question.arguments) == ("a", "web.search", '{"query":"x"}')
    assert scene.source.calls == []
    scene.desk.answer("default", question.id, "ann", is_granted=True)
    assert answer.result == ANSWER
    assert scene.desk.approvals("default") == []
    waiting(scene.call()).cancel()


async def test_call_that_is_denied_is_not_made() -> None:
    scene = await Scene(approval="always", grant=Grant(required=("web.*",), max_calls=1)).listed()
    answer = waiting(scene.call())
    (question,) = scene.desk.approvals("default")
    scene.desk.answer("default", question.id, "ann", is_granted=False)
    assert answer.result == codes.NOT_APPROVED
    assert scene.source.calls == []
    assert scene.tool().records[-1].detail == "denied by ann"


async def test_nobody_answers_is_no() -> None:
    scene = await Scene(approval="always", approval_timeout_s=0.01).listed()
    assert await result_of(scene.call()) == codes.NOT_APPROVED
    assert scene.desk.approvals("default") == []
    assert scene.source.calls == []


async def test_deadline_of_the_tool_begins_when_the_person_has_answered() -> None:
    scene = await Scene(approval="always").listed()
    waiting(scene.call())
    scene.clock.now += 200
    (question,) = scene.desk.approvals("default")
    scene.desk.answer("default", question.id, "ann", is_granted=True)
    assert scene.source.calls[0].until == 1230.0


async def test_question_is_withdrawn_when_its_caller_is_gone() -> None:
    scene = await Scene(approval="always").listed()
    waiting(scene.call()).cancel()
    assert scene.desk.approvals("default") == []


async def test_first_use_is_asked_once_for_each_agent_and_definition() -> None:
    scene = await Scene(approval="first-use").listed()
    scene.broker.grant("default", "b", Grant(required=("web.*",)))
    waiting(scene.call())
    (question,) = scene.desk.approvals("default")
    scene.desk.answer("default", question.id, "ann", is_granted=True)
    assert scene.call() == ANSWER
    waiting(scene.call(agent="b")).cancel()
    scene.source.tools = [ToolInfo(name="search", description="Another.", input_schema=SEARCH.input_schema)]
    await scene.listed()
    scene.desk.approve("default", "web.search", "ann")
    waiting(scene.call()).cancel()


async def test_first_use_that_was_allowed_holds_after_a_restart() -> None:
    scene = await Scene(approval="first-use").listed()
    waiting(scene.call())
    (question,) = scene.desk.approvals("default")
    scene.desk.answer("default", question.id, "ann", is_granted=True)
    ((_, row),) = [one for one in scene.rows.written if "tool_approvals" in one[0]]
    again = await Scene(approval="first-use", read=lambda sql, _: [row[:4]] if "tool_approvals" in sql else []).listed()
    assert again.call() == ANSWER


async def test_denied_first_use_is_asked_again() -> None:
    scene = await Scene(approval="first-use").listed()
    waiting(scene.call())
    (question,) = scene.desk.approvals("default")
    scene.desk.answer("default", question.id, "ann", is_granted=False)
    waiting(scene.call()).cancel()


async def test_tool_that_changes_while_a_person_thinks_is_not_called() -> None:
    scene = await Scene(approval="always").listed()
    answer = waiting(scene.call())
    (question,) = scene.desk.approvals("default")
    scene.source.tools = [ToolInfo(name="search", description="Another.", input_schema=SEARCH.input_schema)]
    await scene.listed()
    scene.desk.answer("default", question.id, "ann", is_granted=True)
    assert answer.result == codes.NOT_APPROVED
    assert scene.source.calls == []


# --- the rest ---------------------------------------------------------------------------------------------------------


async def test_person_tests_a_tool_without_grant_budget_and_approval() -> None:
    from caxton.tools.wanted import Wanted

    scene = await Scene(approval="always").listed()
    wanted = Wanted(workspace="default", agent="ann", tool="web.search", arguments=GOOD, key="t")
    assert scene.broker.test(wanted) == ANSWER
    scene.desk.quarantine("default", "web.search", "ann")
    assert scene.broker.test(wanted) == codes.NOT_APPROVED


async def test_removed_agent_is_forgotten_and_its_calls_end() -> None:
    hangs = later()
    scene = await Scene(outcomes=[lambda: hangs]).listed()
    answer = waiting(scene.call())
    scene.broker.forget("default", "a")
    assert answer.result == codes.NOT_PERMITTED
    assert hangs.cancelled()
    assert scene.call() == codes.NOT_PERMITTED
    assert len([one for one in scene.rows.written if one[0].startswith("DELETE")]) == 2


async def test_removed_source_ends_and_its_calls_with_it() -> None:
    scene = await Scene(outcomes=[later], concurrency=1).listed()
    answers = [waiting(scene.call()) for _ in range(2)]
    await scene.broker.remove("default", "web")
    assert scene.source.is_closed
    assert codes.UNAVAILABLE in {answer.result for answer in answers}
    assert None not in {answer.result for answer in answers}
    assert scene.call() == codes.NOT_FOUND


async def test_stop_refuses_what_waits_and_closes_sources() -> None:
    scene = await Scene(outcomes=[later], concurrency=1).listed()
    asked = await Scene(approval="always").listed()
    answers = [scene.call(), scene.call(), asked.call()]
    await scene.broker.aclose()
    await asked.broker.aclose()
    assert [waiting_answer.result for waiting_answer in answers] == [codes.UNAVAILABLE] * 3  # type: ignore[union-attr]
    assert scene.source.is_closed
    assert len(scene.source.calls) == 1


async def test_refusals_of_an_agent_in_a_loop_leave_a_bounded_number_of_records() -> None:
    scene = await Scene().listed()
    for _ in range(MAX_REFUSED_PER_S + 50):
        scene.call(b"{}")
    assert scene.broker.unrecorded == 50
    scene.clock.now += 1
    scene.call(b"{}")
    assert scene.broker.unrecorded == 50


async def test_refusal_is_told_with_its_reason() -> None:
    scene = await Scene().listed()
    told: list[tuple[str, str]] = []
    scene.broker.on_refused = lambda wanted, outcome, detail: told.append((wanted.agent, outcome))
    scene.call(b"{}")
    scene.call(tool="web.other")
    assert told == [("a", "invalid"), ("a", "not_found")]
