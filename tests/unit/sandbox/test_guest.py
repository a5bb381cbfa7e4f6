from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.sandbox.guest import Guest
from caxton.sandbox.host import NO_ROOM
from caxton.sandbox.limits import Limits
from caxton.sandbox.trap import Trap
from caxton.testing.guests import RecordingHost, assemble, guest, guest_text, handle, load, to_end

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.sandbox.engine import Engine
    from tests.unit.sandbox.conftest import Guests

SIZE = 2 * 65536
"""Memory of most guests here."""

ADDRESSES = st.one_of(
    st.integers(-(2**31), 2**31 - 1), st.integers(SIZE - 40, SIZE + 40), st.integers(-40, 40), st.just(2**31 - 1)
)
LENGTHS = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-2, SIZE + 2), st.integers(-40, 40))


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ptr", "length"),
    [
        pytest.param(-1, 1, id="behind-everything"),
        pytest.param(-16, 32, id="wraps-round"),
        pytest.param(-1, -1, id="both-negative"),
        pytest.param(0, -1, id="negative-length"),
        pytest.param(SIZE, 1, id="at-the-end"),
        pytest.param(SIZE - 3, 4, id="across-the-end"),
        pytest.param(0, SIZE + 1, id="longer-than-memory"),
        pytest.param(2**31 - 1, 2**31 - 1, id="both-largest"),
        pytest.param(0, 2**31 - 1, id="largest-length"),
    ],
)
def test_region_outside_memory_is_neither_read_nor_written(guests: Guests, ptr: int, length: int) -> None:
    made, _ = guests.new(assemble(guest_text()))
    assert to_end(made.boot()) == 0
    assert made.read(ptr, length) is None
    assert length < 0 or not made.write(ptr, b"x" * min(length, SIZE + 1))


@pytest.fixture(scope="module")
def made(engine: Engine) -> Generator[Guest]:
    """One guest for many examples; each leaves its memory zero."""
    made = Guest(load(engine, assemble(guest_text())), Limits(), RecordingHost())
    assert to_end(made.boot()) == 0
    yield made
    made.close()


@given(ptr=ADDRESSES, length=LENGTHS)
def test_exactly_the_regions_inside_memory_can_be_read(made: Guest, ptr: int, length: int) -> None:
    start = ptr % 2**32
    inside = length >= 0 and start + length <= SIZE
    found = made.read(ptr, length)
    assert (found is not None) == inside
    assert found is None or found == bytes(length)


@given(ptr=ADDRESSES, data=st.binary(max_size=64))
def test_exactly_the_regions_inside_memory_can_be_written(made: Guest, ptr: int, data: bytes) -> None:
    start = ptr % 2**32
    assert made.write(ptr, data) == (start + len(data) <= SIZE)
    if start + len(data) <= SIZE:
        assert made.read(start, len(data)) == data
        made.write(start, bytes(len(data)))


def test_memory_that_a_guest_grew_can_be_used_at_once(guests: Guests) -> None:
    text = guest_text(
        imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
        handle="""(drop (memory.grow (i32.const 3)))
            (i32.store8 (i32.const 327679) (i32.const 33))
            (call $send (i32.const 327678) (i32.const 2))""",
    )
    made, host = guests.new(assemble(text))
    assert (to_end(made.boot()), made.memory_bytes) == (0, SIZE)
    assert handle(made) == 0
    assert (host.sent, made.memory_bytes) == ([b"\0!"], 5 * 65536)


def test_message_arrives_whole_and_only_it(guests: Guests) -> None:
    text = guest_text(
        imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
        handle="(call $send (local.get $ptr) (local.get $len))",
    )
    made, host = guests.new(assemble(text))
    to_end(made.boot())
    bodies = [b"first, longer", b"x", bytes(range(256)) * 256]
    assert [handle(made, body) for body in bodies] == [0, 0, 0]
    assert host.sent == bodies


# --- caxton_alloc ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bad_alloc", "bad_alloc_end", "bad_alloc_outside", "bad_alloc_wraps"])
def test_message_is_not_written_outside_memory(guests: Guests, name: str) -> None:
    made, _ = guests.new(guest(name))
    to_end(made.boot())
    trap = Trap("bad_allocation", "caxton_alloc returned a region outside its memory")
    assert handle(made, b'{"performative":"inform"}') == trap


def test_message_is_not_written_to_address_zero(guests: Guests) -> None:
    made, _ = guests.new(guest("bad_alloc_zero"))
    to_end(made.boot())
    assert handle(made) == NO_ROOM  # a failure of this message, not the end of the instance
    assert made.read(0, 2) == b"\0\0"


# --- boot --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ended"),
    [
        ("init_fails", 5),
        (
            "trap_init",
            Trap("unreachable", "it gave up (unreachable: a failed assertion, panic or abort)", ["agent_init"]),
        ),
        ("trap_start", Trap("unreachable", "it gave up (unreachable: a failed assertion, panic or abort)", ["start"])),
    ],
)
def test_guest_that_does_not_start_says_why(guests: Guests, name: str, ended: int | Trap) -> None:
    made, _ = guests.new(guest(name))
    assert to_end(made.boot()) == ended


def test_host_function_with_a_pointer_during_the_start_section_ends_the_guest_alone(
    guests: Guests, caplog: pytest.LogCaptureFixture
) -> None:
    """Its memory cannot be found before it is instantiated; that is its author's to know, and no error of ours."""
    text = guest_text(
        imports='(import "caxton" "log" (func $log (param i32 i32 i32)))',
        more="(func $start (call $log (i32.const 2) (i32.const 0) (i32.const 4))) (start $start)",
    )
    made, host = guests.new(assemble(text))
    ended = to_end(made.boot())
    assert isinstance(ended, Trap)
    assert (ended.kind, ended.functions, host.lines) == ("no_memory", ["start"], [])
    assert not caplog.records


def test_initialize_runs_before_init_and_both_before_the_first_message(guests: Guests) -> None:
    text = guest_text(
        imports='(import "caxton" "set_timer" (func $note (param i64) (result i32)))',
        handle="(call $note (i64.const 3))",
        more="""(func (export "agent_init") (result i32) (i32.sub (call $note (i64.const 2)) (i32.const 2)))
            (func (export "_initialize") (drop (call $note (i64.const 1))))""",
    )
    made, host = guests.new(assemble(text))
    assert to_end(made.boot()) == 0
    assert handle(made) == 3
    assert list(host.timers.values()) == [1, 2, 3]


# --- closing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["spin", "spin_alloc", "slow_cpu"])
def test_guest_can_be_closed_in_the_middle_of_a_message(guests: Guests, name: str) -> None:
    other, _ = guests.new(guest("sink"))
    to_end(other.boot())
    made, _ = guests.new(guest(name))
    to_end(made.boot())
    assert made.deliver(b"{}") is None
    assert made.is_suspended
    made.close()
    made.close()
    assert handle(other) == 0


@pytest.mark.parametrize("name", ["spin_start", "spin_init"])
def test_guest_can_be_closed_in_the_middle_of_its_start(guests: Guests, name: str) -> None:
    made, _ = guests.new(guest(name))
    steps = made.boot()
    next(steps)
    steps.close()
    made.close()


def test_guest_whose_module_was_freed_does_not_end_the_process(engine: Engine) -> None:
    module = load(engine, guest("sink"))
    made = Guest(module, Limits(), RecordingHost())
    module.close()
    with pytest.raises(AssertionError):
        to_end(made.boot())
    made.close()


def test_instance_lives_on_when_its_module_is_freed(engine: Engine) -> None:
    module = load(engine, guest("sink"))
    made = Guest(module, Limits(), RecordingHost())
    to_end(made.boot())
    module.close()
    assert handle(made) == 0
    made.close()


def test_guest_that_was_never_booted_can_be_closed(guests: Guests) -> None:
    made, _ = guests.new(guest("sink"))
    made.close()


def test_two_thousand_guests_leave_nothing_behind(engine: Engine) -> None:
    """Every fourth of them is closed in the middle of a message, every fourth after a trap."""
    modules = [load(engine, guest(name)) for name in ("sink", "trap_oob", "sink", "recursion")]
    spin = load(engine, guest("spin"))
    _come_and_go(engine, [*modules, spin], 100)
    before = _footprint()
    _come_and_go(engine, [*modules, spin], 2000)
    after = _footprint()
    assert after[0] - before[0] < 20, (before, after)
    assert after[1] - before[1] < 4 << 20, (before, after)


def _come_and_go(engine: Engine, modules: list[object], count: int) -> None:
    for n in range(count):
        module = modules[n % 4] if n % 100 else modules[4]
        made = Guest(module, Limits(), RecordingHost())  # type: ignore[arg-type]
        to_end(made.boot())
        made.deliver(b"{}")
        made.close()


def _footprint() -> tuple[int, int]:
    """Memory maps, and resident bytes, of this process."""
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("\n"), int(resident.split()[1]) * 1024
