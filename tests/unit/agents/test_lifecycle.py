from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.agents.lifecycle import (
    MAX_RESTARTS,
    WINDOW_S,
    AllBooted,
    BootAll,
    BootFailed,
    CloseAll,
    Crashed,
    Drain,
    Drained,
    Event,
    Instruction,
    Open,
    OpenAll,
    Phase,
    Reboot,
    Rebooted,
    StartAsked,
    State,
    StopAsked,
    on_event,
)

PHASES: tuple[Phase, ...] = get_args(Phase)


def crash(at: float, *, replica: int = 0) -> Crashed:
    return Crashed(replica, at, "it trapped")


def after(state: State, *events: Event) -> tuple[State, list[Instruction]]:
    """The state after all `events`, and what the last of them asked for."""
    instructions: list[Instruction] = []
    for event in events:
        state, instructions = on_event(state, event)
    return state, instructions


RUNNING = after(State(), StartAsked(), AllBooted())[0]


# --- crashes -----------------------------------------------------------------------------------------------------


def test_fourth_crash_within_a_minute_fails_the_agent() -> None:
    state, instructions = after(RUNNING, crash(100.0), crash(110.0), crash(120.0), crash(159.9))
    assert state == State("failed", reason="4 crashes within 60 s, the last: it trapped")
    assert instructions == [CloseAll(politely=False)]


@pytest.mark.parametrize("last", [160.0, 160.1, 161.0])
def test_fourth_crash_a_minute_after_the_first_does_not(last: float) -> None:
    state, instructions = after(RUNNING, crash(100.0), crash(110.0), crash(120.0), crash(last))
    assert state == State("running", crashes=(110.0, 120.0, last))
    assert instructions == [Reboot(0, 0.4)]


def test_crashes_of_all_replicas_count_together() -> None:
    crashes = [crash(100.0 + n, replica=n) for n in range(4)]
    assert after(RUNNING, *crashes)[0].phase == "failed"


def test_each_crash_in_the_window_doubles_the_delay_of_the_restart() -> None:
    state, delays = RUNNING, list[float]()
    for at in (100.0, 101.0, 102.0, 170.0):
        state, instructions = on_event(state, crash(at, replica=2))
        (reboot,) = instructions
        assert isinstance(reboot, Reboot)
        assert reboot.replica == 2
        delays.append(reboot.delay_s)
    assert delays == [0.1, 0.2, 0.4, 0.1]


def test_failed_agent_that_is_started_has_its_restarts_back() -> None:
    state, _ = after(RUNNING, *(crash(100.0 + n) for n in range(4)), StartAsked(), AllBooted())
    assert state == State("running")
    assert after(state, *(crash(105.0 + n) for n in range(3)))[0].phase == "running"


@given(st.lists(st.floats(0, 90, allow_nan=False), min_size=1, max_size=30))
def test_agent_fails_exactly_when_more_than_three_crashes_lie_within_a_minute(gaps: list[float]) -> None:
    state, times, now = RUNNING, list[float](), 1000.0
    for gap in gaps:
        now += gap
        times.append(now)
        state, _ = on_event(state, crash(now))
        within = [at for at in times if now - at < WINDOW_S]
        assert (state.phase == "failed") == (len(within) > MAX_RESTARTS)
        if state.phase == "failed":
            break


# --- every event in every phase ----------------------------------------------------------------------------------

ROLES: dict[str, Event] = {
    "start": StartAsked(),
    "booted": AllBooted(),
    "boot failed": BootFailed("no"),
    "rebooted": Rebooted(1),
    "crashed": crash(100.0, replica=1),
    "stop": StopAsked(),
    "force": StopAsked(force=True),
    "drained": Drained(),
}

MOVES: dict[tuple[Phase, str], tuple[Phase, list[Instruction]]] = {
    ("loaded", "start"): ("loaded", [BootAll()]),
    ("stopped", "start"): ("loaded", [BootAll()]),
    ("failed", "start"): ("loaded", [BootAll()]),
    ("loaded", "booted"): ("running", [OpenAll()]),
    ("loaded", "boot failed"): ("failed", [CloseAll(politely=False)]),
    ("running", "rebooted"): ("running", [Open(1)]),
    ("running", "crashed"): ("running", [Reboot(1, 0.1)]),
    ("running", "stop"): ("draining", [Drain()]),
    ("draining", "drained"): ("stopped", [CloseAll(politely=True)]),
    ("loaded", "stop"): ("stopped", [CloseAll(politely=False)]),
    ("draining", "stop"): ("stopped", [CloseAll(politely=False)]),
    ("failed", "stop"): ("stopped", [CloseAll(politely=False)]),
    ("loaded", "force"): ("stopped", [CloseAll(politely=False)]),
    ("running", "force"): ("stopped", [CloseAll(politely=False)]),
    ("draining", "force"): ("stopped", [CloseAll(politely=False)]),
    ("failed", "force"): ("stopped", [CloseAll(politely=False)]),
}
"""Everything that may follow; what is not here changes nothing."""


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("phase", PHASES)
def test_what_follows_from_every_event_in_every_phase(phase: Phase, role: str) -> None:
    before = State(phase, reason="because" if phase == "failed" else None)
    state, instructions = on_event(before, ROLES[role])
    if (phase, role) in MOVES:
        assert (state.phase, instructions) == MOVES[phase, role]
    else:
        assert (state, instructions) == (before, [])


# --- every sequence ----------------------------------------------------------------------------------------------

EVENTS = st.one_of(
    st.sampled_from(list(ROLES.values())),
    st.builds(crash, st.floats(0, 300, allow_nan=False), replica=st.integers(0, 3)),
)


@given(st.lists(EVENTS, max_size=40))
def test_no_sequence_of_events_leads_astray(events: list[Event]) -> None:
    """Only moves of the diagram; a reason only with failure; no instance is made but when one is asked for."""
    state = State()
    for event in events:
        before, (state, instructions) = state, on_event(state, event)
        assert state.phase in PHASES
        assert (state.reason is not None) == (state.phase == "failed")
        assert len(state.crashes) <= MAX_RESTARTS
        assert not state.crashes or state.phase in ("running", "draining")
        if (before.phase, state.phase) not in {(p, q) for (p, _), (q, _) in MOVES.items()}:
            assert state.phase == before.phase or (before.phase, state.phase) == ("running", "failed")
        if state.phase in ("stopped", "failed"):
            assert all(isinstance(instruction, CloseAll) for instruction in instructions)


@given(st.lists(EVENTS, max_size=40))
def test_forced_stop_always_ends_in_stopped_with_everything_closed(events: list[Event]) -> None:
    before, _ = after(State(), *events)
    state, instructions = on_event(before, StopAsked(force=True))
    assert state.phase == "stopped"
    assert instructions == ([] if before.phase == "stopped" else [CloseAll(politely=False)])


@given(st.lists(EVENTS, max_size=40))
def test_stop_and_drain_always_end_in_stopped(events: list[Event]) -> None:
    assert after(State(), *events, StopAsked(), Drained())[0].phase == "stopped"


@given(st.lists(EVENTS, max_size=40))
def test_every_agent_that_does_not_run_can_be_started(events: list[Event]) -> None:
    state, _ = after(State(), *events, StopAsked(force=True), StartAsked(), AllBooted())
    assert state == State("running")
