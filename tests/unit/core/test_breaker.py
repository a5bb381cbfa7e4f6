"""The circuit breaker: what opens it, what it lets through, and what it does not listen to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.core.breaker import (
    Admit,
    Asked,
    Changed,
    Elapsed,
    Ended,
    Event,
    Instruction,
    Policy,
    Refuse,
    Renewed,
    State,
    Wake,
    on_event,
)

POLICY = Policy(threshold=3, timeout_s=10.0, probes=2, max_calls=4)


def after(state: State, *events: Event) -> tuple[State, list[Instruction]]:
    """The state after all `events`, and what the last of them asked for."""
    instructions: list[Instruction] = []
    for event in events:
        state, instructions = on_event(state, event)
    return state, instructions


def call(state: State, at: float, *, works: bool | None) -> tuple[State, list[Instruction]]:
    """A call that is admitted and ends at once."""
    state, (answer,) = on_event(state, Asked(at))
    assert answer == Admit(state.generation)
    return on_event(state, Ended(state.generation, works, at))


def opened(policy: Policy = POLICY, at: float = 100.0) -> State:
    """After as many failures as it takes."""
    state = State(policy)
    for _ in range(policy.threshold):
        state, _ = call(state, at, works=False)
    assert state.phase == "open"
    return state


# --- closed ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 20))
def test_opens_at_the_failure_that_reaches_the_threshold_and_not_before(threshold: int) -> None:
    state = State(Policy(threshold=threshold, timeout_s=7.0))
    for failures in range(1, threshold):
        state, instructions = call(state, 1.0, works=False)
        assert (state.phase, state.failures, instructions) == ("closed", failures, [])
    state, instructions = call(state, 2.0, works=False)
    assert (state.phase, state.failures, state.until, instructions) == ("open", threshold, 9.0, [Wake(7.0)])


def test_one_success_makes_the_failures_before_it_count_no_more() -> None:
    state = State(POLICY)
    for works in (False, False, True, False, False):
        state, _ = call(state, 1.0, works=works)
    assert (state.phase, state.failures) == ("closed", 2)


def test_call_that_tells_nothing_counts_neither_way() -> None:
    state = State(POLICY)
    for works in (False, None, False, None):
        state, _ = call(state, 1.0, works=works)
    assert (state.phase, state.failures, state.calls) == ("closed", 2, 0)


def test_threshold_of_zero_never_opens_and_counts_nothing() -> None:
    state = State(Policy(threshold=0))
    for _ in range(1000):
        state, _ = call(state, 1.0, works=False)
    assert state == State(Policy(threshold=0))


# --- open --------------------------------------------------------------------------------------------------------


def test_while_open_nothing_is_admitted_and_the_remaining_time_is_told() -> None:
    state = opened(at=100.0)
    for at, left in ((100.0, 10.0), (104.0, 6.0), (109.75, 0.25)):
        asked, instructions = on_event(state, Asked(at))
        assert (asked, instructions) == (state, [Refuse("open", left)])


def test_once_the_timeout_has_passed_a_call_is_admitted_whether_somebody_woke_it_or_not() -> None:
    state = opened(at=100.0)
    for woken in (state, on_event(state, Elapsed(110.0))[0]):
        asked, instructions = on_event(woken, Asked(110.0))
        assert (asked.phase, instructions) == ("half_open", [Admit(asked.generation)])


def test_being_woken_too_early_asks_for_the_rest_of_the_time() -> None:
    state = opened(at=100.0)
    assert on_event(state, Elapsed(109.5)) == (state, [Wake(0.5)])


@pytest.mark.parametrize("phase", ["closed", "half_open"])
def test_being_woken_when_it_is_not_open_changes_nothing(phase: str) -> None:
    state = State(POLICY) if phase == "closed" else after(opened(), Elapsed(110.0))[0]
    assert state.phase == phase
    assert on_event(state, Elapsed(500.0)) == (state, [])


# --- half-open ---------------------------------------------------------------------------------------------------


def test_as_many_calls_as_there_are_probes_are_let_through_and_then_none() -> None:
    state, _ = after(opened(), Elapsed(110.0), Asked(110.0), Asked(110.0))
    assert on_event(state, Asked(110.0)) == (state, [Refuse("open", 0.0)])
    state, _ = on_event(state, Ended(state.generation, True, 111.0))
    assert on_event(state, Asked(111.0))[1] == [Refuse("open", 0.0)], "one passed, one is under way: that is both"


def test_closes_when_all_probes_have_succeeded() -> None:
    state, _ = on_event(opened(), Elapsed(110.0))
    state, _ = call(state, 110.0, works=True)
    assert state.phase == "half_open"
    state, instructions = call(state, 111.0, works=True)
    assert (state.phase, state.failures, instructions) == ("closed", 0, [])


def test_one_probe_that_fails_opens_it_for_the_whole_timeout_again() -> None:
    state, _ = on_event(opened(), Elapsed(110.0))
    state, _ = call(state, 110.0, works=True)
    state, instructions = call(state, 112.0, works=False)
    assert (state.phase, state.until, state.failures, instructions) == ("open", 122.0, 4, [Wake(10.0)])


def test_probe_that_tells_nothing_gives_its_place_to_another() -> None:
    state, _ = on_event(opened(replace(POLICY, probes=1)), Elapsed(110.0))
    state, _ = call(state, 110.0, works=None)
    assert on_event(state, Asked(111.0))[1] == [Admit(state.generation)]


# --- late results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("works", [True, False])
def test_result_of_a_call_from_before_it_opened_changes_neither_open_nor_half_open_nor_closed(works: bool) -> None:
    state, _ = after(State(POLICY), Asked(99.0))
    old = state.generation
    for _ in range(POLICY.threshold):
        state, _ = call(state, 100.0, works=False)
    half, _ = on_event(state, Elapsed(110.0))
    closed = call(call(half, 110.0, works=True)[0], 110.0, works=True)[0]
    for now in (state, half, closed):
        assert on_event(now, Ended(old, works, 120.0)) == (replace(now, calls=now.calls - 1), [])


def test_failure_of_a_probe_from_an_earlier_try_does_not_spoil_the_next() -> None:
    state, _ = after(opened(), Elapsed(110.0), Asked(110.0), Asked(110.0))
    first_try = state.generation
    state, _ = on_event(state, Ended(first_try, False, 111.0))
    state, _ = on_event(state, Elapsed(121.0))
    assert on_event(state, Ended(first_try, False, 122.0)) == (replace(state, calls=0), [])


# --- bulkhead ----------------------------------------------------------------------------------------------------


def test_one_call_more_than_the_bulkhead_holds_is_refused_until_one_ends() -> None:
    state, _ = after(State(POLICY), *[Asked(1.0)] * 4)
    assert on_event(state, Asked(1.0)) == (state, [Refuse("full", 0.0)])
    state, _ = on_event(state, Ended(state.generation, None, 2.0))
    assert on_event(state, Asked(2.0))[1] == [Admit(state.generation)]


def test_calls_of_an_earlier_generation_keep_their_places() -> None:
    state, _ = after(State(replace(POLICY, threshold=1)), *[Asked(1.0)] * 4)
    state, _ = after(state, Ended(state.generation, False, 1.0), Elapsed(11.0), Asked(11.0))
    assert (state.phase, state.calls) == ("half_open", 4)
    assert on_event(state, Asked(11.0))[1] == [Refuse("full", 0.0)]


# --- other settings, other instances -------------------------------------------------------------------------------


def test_shorter_timeout_lets_an_open_one_be_tried_at_once() -> None:
    state = opened(at=100.0)
    changed, instructions = on_event(state, Changed(replace(POLICY, timeout_s=2.0), 105.0))
    assert (changed.phase, instructions) == ("half_open", [])


def test_longer_timeout_keeps_an_open_one_shut_for_the_rest_of_it() -> None:
    changed, instructions = on_event(opened(at=100.0), Changed(replace(POLICY, timeout_s=60.0), 105.0))
    assert (changed.phase, changed.until, instructions) == ("open", 160.0, [Wake(55.0)])


def test_lower_threshold_counts_the_failures_that_were() -> None:
    state, _ = call(State(replace(POLICY, threshold=5)), 1.0, works=False)
    state, _ = call(state, 1.0, works=False)
    state, _ = on_event(state, Changed(replace(POLICY, threshold=2), 1.0))
    assert state.phase == "closed", "nothing has failed since"
    assert call(state, 2.0, works=False)[0].phase == "open"


@pytest.mark.parametrize("phase", ["closed", "open", "half_open"])
def test_switching_it_off_closes_it(phase: str) -> None:
    states = {"closed": call(State(POLICY), 1.0, works=False)[0], "open": opened()}
    states["half_open"] = on_event(states["open"], Elapsed(110.0))[0]
    off, instructions = on_event(states[phase], Changed(Policy(threshold=0), 110.0))
    assert (off.phase, off.failures, instructions) == ("closed", 0, [])


def test_fewer_probes_than_have_succeeded_already_close_it() -> None:
    state, _ = on_event(opened(), Elapsed(110.0))
    state, _ = call(state, 110.0, works=True)
    assert on_event(state, Changed(replace(POLICY, probes=1), 111.0))[0].phase == "closed"


def test_what_was_replaced_begins_closed_and_its_predecessors_results_do_not_count() -> None:
    state, _ = on_event(State(replace(POLICY, threshold=1)), Asked(1.0))
    old = state.generation
    state, _ = on_event(state, Renewed())
    assert on_event(state, Ended(old, False, 2.0)) == (replace(state, calls=0), [])
    renewed, _ = on_event(opened(), Renewed())
    assert (renewed.phase, renewed.failures) == ("closed", 0)


# --- whatever happens --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """Time that passes, and what happens then."""

    seconds: float
    what: str
    """ask, end, wake, change, renew."""
    which: int
    """Which of the calls under way ends."""
    works: bool | None
    policy: Policy


POLICIES = st.builds(
    Policy,
    threshold=st.integers(0, 4),
    timeout_s=st.sampled_from([0.5, 2.0, 10.0]),
    probes=st.integers(1, 3),
    max_calls=st.integers(0, 5),
)
STEPS = st.builds(
    Step,
    seconds=st.sampled_from([0.0, 0.25, 1.0, 3.0]),
    what=st.sampled_from(["ask", "ask", "ask", "ask", "end", "end", "end", "end", "wake", "change", "renew"]),
    which=st.integers(0, 10),
    works=st.sampled_from([True, False, False, None]),
    policy=POLICIES,
)


def happen(state: State, step: Step, now: float, running: list[int]) -> tuple[State, list[Instruction]]:
    """What `step` does; `running` has the generations of the calls under way."""
    match step.what:
        case "ask":
            state, instructions = on_event(state, Asked(now))
            running += [one.generation for one in instructions if isinstance(one, Admit)]
            return state, instructions
        case "end" if running:
            return on_event(state, Ended(running.pop(step.which % len(running)), step.works, now))
        case "change":
            return on_event(state, Changed(step.policy, now))
        case "renew":
            return on_event(state, Renewed())
        case _:
            return on_event(state, Elapsed(now))


@given(POLICIES, st.lists(STEPS, max_size=60))
def test_promises_hold_whatever_happens(policy: Policy, steps: list[Step]) -> None:
    state, now, running = State(policy), 50.0, list[int]()
    for step in steps:
        now += step.seconds
        before, (state, instructions) = state, happen(state, step, now, running)
        policy = state.policy
        probes = running.count(state.generation)
        assert state.calls == len(running)
        if step.what == "ask" and any(isinstance(one, Admit) for one in instructions):
            assert not policy.max_calls or len(running) <= policy.max_calls, "the bulkhead holds"
            assert state.phase != "half_open" or probes <= policy.probes, "never more than the probes are under way"
        if state.phase == "half_open":
            assert state.probing == probes
        if state.phase == "open":
            assert before.phase == "open" or step.what == "end", "only a failure opens it"
            assert state.until <= max(before.opened_at, now) + policy.timeout_s, "never longer than the timeout"
        if before.phase != "open" == state.phase:
            assert instructions == [Wake(policy.timeout_s)], "whoever drives it is told when to look again"
        assert policy.threshold or state.phase == "closed"


@given(POLICIES, st.lists(STEPS, max_size=40))
def test_after_its_timeout_an_open_one_always_admits_a_call_that_the_bulkhead_holds(
    policy: Policy, steps: list[Step]
) -> None:
    state, now, running = State(policy), 50.0, list[int]()
    for step in steps:
        now += step.seconds
        state, _ = happen(state, step, now, running)
    if state.phase == "open":
        answer = on_event(replace(state, calls=0), Asked(state.until))[1]
        assert answer == [Admit(state.generation + 1)]


@given(POLICIES, st.lists(STEPS, max_size=40), st.booleans())
def test_result_of_another_generation_never_changes_anything_but_the_number_of_calls(
    policy: Policy, steps: list[Step], works: bool
) -> None:
    state, now, running = State(policy), 50.0, list[int]()
    for step in steps:
        now += step.seconds
        state, _ = happen(state, step, now, running)
    for generation in set(running) - {state.generation}:
        ended, instructions = on_event(state, Ended(generation, works, now))
        assert (replace(ended, calls=state.calls), instructions) == (state, [])
