from __future__ import annotations

import threading
from time import perf_counter

import pytest

from caxton.sandbox import engine as room
from caxton.sandbox.engine import Engine, fingerprint


def ticking_threads() -> int:
    return sum(thread.name == "caxton-epoch" for thread in threading.enumerate())


def wait_for_tick(engine: Engine) -> None:
    before, until = engine.ticks, perf_counter() + 5
    while engine.ticks == before:
        assert perf_counter() < until, "time does not pass"


@pytest.mark.parametrize(
    ("what", "value"),
    [("WASMTIME_VERSION", "50.0.2"), ("MAX_WASM_STACK_BYTES", 1), ("FIBER_STACK_BYTES", 1), ("_SWITCHES", {})],
)
def test_fingerprint_changes_with_all_that_compiled_code_depends_on(
    monkeypatch: pytest.MonkeyPatch, what: str, value: object
) -> None:
    before = fingerprint()
    assert before == fingerprint()
    monkeypatch.setattr(room, what, value)
    assert fingerprint() != before


def test_fingerprint_changes_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    monkeypatch.setattr("platform.machine", lambda: "pdp11")
    assert fingerprint() != before


def test_time_passes_as_long_as_somebody_holds_it() -> None:
    engine = Engine()
    engine.hold_ticks()
    engine.hold_ticks()
    wait_for_tick(engine)
    engine.release_ticks()
    wait_for_tick(engine)
    engine.release_ticks()
    engine.hold_ticks()
    wait_for_tick(engine)
    engine.close()


def test_closing_ends_the_ticking_thread_held_or_not() -> None:
    before = ticking_threads()
    for holds in (0, 1, 2):
        engine = Engine()
        for _ in range(holds):
            engine.hold_ticks()
        assert ticking_threads() == before + (holds > 0)
        engine.close()
        assert ticking_threads() == before
