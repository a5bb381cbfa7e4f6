"""Looking at a guest that runs: where it is, a profile of it, and that it notices nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from caxton.core.errors.debugging import ProfilerUnavailable
from caxton.sandbox import profiler as profiler_module
from caxton.sandbox.engine import Engine
from caxton.sandbox.ffi import lib
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import Limits
from caxton.sandbox.profiler import Profiler
from caxton.sandbox.self_check import run_self_check
from caxton.sandbox.trap import MAX_FRAMES, Frame, Trap
from caxton.testing.guests import RecordingHost, assemble, guest_text, handle, load, to_end

if TYPE_CHECKING:
    from tests.unit.sandbox.conftest import Guests

ROUNDS = 200_000_000
"""Several slices on any machine."""

COUNTS = assemble(
    guest_text(
        handle="call $outer",
        more=f"""(func $outer (result i32) (i32.sub (call $inner (i32.const {ROUNDS})) (i32.const {ROUNDS})))
          (func $inner (param i32) (result i32) (local i32)
            (loop $again
              (local.set 1 (i32.add (local.get 1) (i32.const 1)))
              (br_if $again (i32.lt_u (local.get 1) (local.get 0))))
            local.get 1)""",
    )
)
"""Counts in `inner`, called by `outer`, called by `handle_message`; the result is 0 if it counted right."""

NAMELESS = assemble(
    """(module (memory (export "memory") 2)
      (func (export "caxton_alloc") (param i32) (result i32) i32.const 65536)
      (func (export "handle_message") (param i32 i32) (result i32) (loop $again (br $again)) unreachable))"""
)

DEEP = assemble(
    guest_text(
        handle="(call $down (i32.const 500))",
        more="""(func $down (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (loop $again (br $again))))
            (call $down (i32.sub (local.get 0) (i32.const 1))))""",
    )
)

FORGES = assemble(
    guest_text(
        handle="call $evil",
        more=r"""(func $evil (@name "a\1b[31m\0ab") (result i32) (loop $again (br $again)) unreachable)""",
    )
)
"""A function whose name would colour a terminal and begin a new line."""

SHORT = assemble(
    guest_text(
        imports='(import "caxton" "log" (func $log (param i32 i32 i32)))',
        handle="(call $log (i32.const 2) (i32.const 0) (i32.const 1)) (call $work) i32.const 0",
        more="(func $work)",
    )
)
"""Writes a line, and is done after one more call."""


class Looks:
    """A probe that remembers where the guest was."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.seen: list[list[Frame]] = []

    def __call__(self) -> None:
        if frames := self._guest.where():  # a slice may be over before the guest's first function begins
            self.seen.append(frames)

    def first(self) -> list[Frame]:
        """What was seen first, in a guest that never ends."""
        while not self.seen:
            assert self._guest.resume() is None
        return self.seen[0]


def begun(guests: Guests, wasm: bytes, **limits: Any) -> Guest:
    """A guest that is up."""
    guest, _ = guests.new(wasm, **limits)
    assert to_end(guest.boot()) == 0
    return guest


# --- where -------------------------------------------------------------------------------------------------------


def test_a_probe_that_raises_costs_the_guest_nothing_and_is_not_called_again(guests: Guests) -> None:
    guest = begun(guests, COUNTS, cpu_time_s=20, wall_time_s=20)
    probe = mock.Mock(side_effect=RuntimeError("ours"))
    guest.watch(probe)
    assert handle(guest) == 0
    assert (probe.call_count, guest.probes) == (1, ())


def test_where_a_running_guest_is_innermost_first_without_our_own_functions(guests: Guests) -> None:
    guest = begun(guests, COUNTS, cpu_time_s=20, wall_time_s=20)
    looks = Looks(guest)
    guest.watch(looks)
    assert guest.deliver(b"{}") is None
    assert guest.resume() is None
    assert [frame.function for frame in looks.seen[-1]] == ["inner", "outer", "handle_message"]


def test_guest_that_is_looked_at_all_the_time_computes_the_same_and_goes_on_working(guests: Guests) -> None:
    guest = begun(guests, COUNTS, cpu_time_s=20, wall_time_s=20)
    looks = Looks(guest)
    guest.watch(looks)
    for _ in range(3):
        assert handle(guest) == 0
    count = len(looks.seen)
    assert count > 3
    guest.unwatch(looks)
    assert handle(guest) == 0
    assert len(looks.seen) == count


def test_function_without_a_name_is_told_by_its_index(guests: Guests) -> None:
    guest = begun(guests, NAMELESS)
    looks = Looks(guest)
    guest.watch(looks)
    assert guest.deliver(b"{}") is None
    assert [frame.function for frame in looks.first()] == ["#1"]


def test_names_that_would_steer_a_terminal_are_made_harmless(guests: Guests) -> None:
    guest = begun(guests, FORGES)
    looks = Looks(guest)
    guest.watch(looks)
    assert guest.deliver(b"{}") is None
    assert looks.first()[0].function == "a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b"


def test_deep_recursion_shows_the_innermost_functions_only(guests: Guests) -> None:
    guest = begun(guests, DEEP)
    looks = Looks(guest)
    guest.watch(looks)
    assert guest.deliver(b"{}") is None
    assert {frame.function for frame in looks.first()} == {"down"}
    assert len(looks.first()) == MAX_FRAMES - 1  # one is ours


def test_limits_still_end_a_guest_that_is_looked_at(guests: Guests) -> None:
    guest = begun(guests, NAMELESS, cpu_time_s=0.05)
    guest.watch(Looks(guest))
    ended = handle(guest)
    assert isinstance(ended, Trap)
    assert ended.kind == "cpu_time"


# --- profile -----------------------------------------------------------------------------------------------------


def functions(profile: dict[str, Any]) -> set[str]:
    """Names of all functions that were found."""
    (thread,) = profile["threads"]
    return {thread["stringArray"][name] for name in thread["funcTable"]["name"]}


def test_profile_has_the_functions_that_ran_and_a_sample_for_each_slice(guests: Guests) -> None:
    guest = begun(guests, COUNTS, cpu_time_s=20, wall_time_s=20)
    profiler = Profiler(guest.module, "counter")
    profiler.watch(guest)
    assert handle(guest) == 0
    profiler.stop()
    assert handle(guest) == 0  # not in the profile any more
    taken = profiler.samples
    profile = json.loads(profiler.finish())
    assert taken > 1
    assert (profile["meta"]["product"], profile["threads"][0]["samples"]["length"]) == ("counter", taken)
    assert functions(profile) == {"inner", "outer", "handle_message"}
    profiler.close()


def test_short_handlings_are_seen_too() -> None:
    engine = Engine()  # with time that passes only when the guest logs

    class TicksOnLog(RecordingHost):
        """Its clock goes on by one tick with each line."""

        def log(self, level: int, text: bytes, source: str) -> None:
            lib.wasmtime_engine_increment_epoch(engine.handle)
            engine.ticks += 1

    guest = Guest(load(engine, SHORT), Limits(), TicksOnLog())
    assert to_end(guest.boot()) == 0
    profiler = Profiler(guest.module, "short")
    assert (handle(guest), profiler.samples) == (0, 0)
    profiler.watch(guest)
    assert (handle(guest), profiler.samples) == (0, 1)
    profiler.stop()
    assert (handle(guest), profiler.samples) == (0, 1)
    assert functions(json.loads(profiler.finish())) == {"work", "handle_message"}
    guest.close()
    engine.close()


def test_instance_of_another_module_is_not_sampled(guests: Guests) -> None:
    guest, other = begun(guests, COUNTS), begun(guests, NAMELESS)
    profiler = Profiler(guest.module, "counter")
    profiler.watch(other)
    assert other.probes == ()
    profiler.close()


def test_guest_that_ends_while_it_is_profiled_leaves_a_whole_profile(guests: Guests) -> None:
    guest = begun(guests, NAMELESS, cpu_time_s=0.05)
    profiler = Profiler(guest.module, "ends")
    profiler.watch(guest)
    assert isinstance(handle(guest), Trap)
    guest.close()
    profiler.stop()
    assert json.loads(profiler.finish())["threads"][0]["samples"]["length"] > 1


def test_a_full_profile_takes_no_more(guests: Guests) -> None:
    guest = begun(guests, COUNTS, cpu_time_s=20, wall_time_s=20)
    with mock.patch.object(profiler_module, "MAX_SAMPLES", 2):
        profiler = Profiler(guest.module, "full")
        profiler.watch(guest)
        assert handle(guest) == 0
        profiler.stop()
        assert json.loads(profiler.finish())["threads"][0]["samples"]["length"] == 2


def test_wasmtime_without_a_profiler_is_said_so(guests: Guests) -> None:
    guest = begun(guests, COUNTS)

    class Without:
        """A library that lacks it."""

    with mock.patch.object(profiler_module, "lib", Without()), pytest.raises(ProfilerUnavailable):
        Profiler(guest.module, "x")


def test_nobody_looking_leaves_slices_as_they_are(guests: Guests) -> None:
    guest = begun(guests, COUNTS)
    assert guest.probes == ()
    looks = Looks(guest)
    guest.watch(looks)
    guest.unwatch(looks)
    guest.unwatch(looks)
    assert (guest.probes, guest._slice_ticks) == ((), 2)  # pyright: ignore[reportPrivateUsage]


# --- the self-check ----------------------------------------------------------------------------------------------


def test_self_check_finds_nothing_wrong_here() -> None:
    assert run_self_check() is None


def test_self_check_notices_guests_that_answer_wrongly(engine: Engine) -> None:
    with mock.patch("caxton.sandbox.self_check._ANSWER", 7):
        assert "instead of 7" in (run_self_check() or "")
