from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.messages import InvalidMessage
from caxton.messages.codec import decode_message
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import MIB, Limits
from caxton.sandbox.trap import Trap
from caxton.testing.guests import RecordingHost, assemble, guest, guest_text, handle, load, to_end

if TYPE_CHECKING:
    from caxton.sandbox.engine import Engine
    from tests.unit.sandbox.conftest import Guests

NOW_US = '(import "caxton" "now_us" (func $now_us (result i64)))'


# --- time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "function"), [("spin", "handle_message"), ("spin_alloc", "caxton_alloc"), ("log_flood", "handle_message")]
)
def test_message_that_computes_too_long_is_stopped(guests: Guests, name: str, function: str) -> None:
    made, _ = guests.new(guest(name), cpu_time_s=0.05)
    assert to_end(made.boot()) == 0
    began = perf_counter()
    assert handle(made) == Trap("cpu_time", "it computed for more than its 0.05 s of CPU time", [function])
    assert 0.045 < perf_counter() - began < 1


@pytest.mark.parametrize(("name", "function"), [("spin_start", "start"), ("spin_init", "agent_init")])
def test_start_that_computes_too_long_is_stopped(guests: Guests, name: str, function: str) -> None:
    made, _ = guests.new(guest(name), cpu_time_s=0.05)
    assert to_end(made.boot()) == Trap("cpu_time", "it computed for more than its 0.05 s of CPU time", [function])


def test_shutdown_that_computes_too_long_is_stopped(guests: Guests) -> None:
    made, _ = guests.new(guest("spin_shutdown"), cpu_time_s=0.05)
    to_end(made.boot())
    ended = to_end(made.run("agent_shutdown"))
    assert isinstance(ended, Trap)
    assert (ended.kind, ended.functions) == ("cpu_time", ["agent_shutdown"])


def test_message_that_takes_too_long_is_stopped_though_it_hardly_computed(guests: Guests) -> None:
    """Others had the processor meanwhile."""
    made, _ = guests.new(guest("spin"), wall_time_s=0.05)
    to_end(made.boot())
    result, slices = made.deliver(b"{}"), 1
    others_until = perf_counter() + 0.06
    while perf_counter() < others_until:
        pass
    while result is None:
        result, slices = made.resume(), slices + 1
    assert result == Trap("wall_time", "it took longer than its 0.05 s", ["handle_message"])
    assert slices < 30


def test_each_message_has_the_whole_time(guests: Guests) -> None:
    made, _ = guests.new(guest("slow_cpu"), cpu_time_s=0.4, wall_time_s=5)
    to_end(made.boot())
    began = perf_counter()
    count = 0
    while perf_counter() - began < 0.6:
        assert handle(made) == 0
        count += 1
    assert count > 1


def test_guest_that_computes_long_gives_way_after_about_a_millisecond(guests: Guests) -> None:
    made, _ = guests.new(guest("spin"), cpu_time_s=30, wall_time_s=30)
    to_end(made.boot())
    slices_s: list[float] = []
    began = perf_counter()
    assert made.deliver(b"{}") is None
    for _ in range(50):
        slices_s.append(perf_counter() - began)
        began = perf_counter()
        assert made.resume() is None
    assert sorted(slices_s)[25] < 0.02


# --- host calls --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        (NOW_US, "(drop (call $now_us))"),
        (
            '(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
            "(drop (call $send (i32.const 0) (i32.const 1)))",
        ),
        (
            '(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))',
            "(drop (call $yield))",
        ),
    ],
    ids=["now_us", "send_message", "wasi"],
)
def test_one_host_call_too_many_ends_the_guest_and_each_message_has_all_of_them(
    guests: Guests, imports: str, call: str
) -> None:
    text = guest_text(
        imports=imports,
        handle=f"""(local $n i32)
            (loop $again {call}
              (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (local.get $len))))
            i32.const 0""",
    )
    made, _ = guests.new(assemble(text), host_calls=7)
    to_end(made.boot())
    assert [handle(made, bytes(7)) for _ in range(3)] == [0, 0, 0]
    reason = "it called host functions more than 7 times for one message"
    assert handle(made, bytes(8)) == Trap("host_calls", reason, ["handle_message"])


# --- stack -------------------------------------------------------------------------------------------------------


def test_recursion_without_end_is_stopped_and_its_trace_is_short(guests: Guests) -> None:
    made, _ = guests.new(guest("recursion"))
    to_end(made.boot())
    assert handle(made) == Trap("stack_overflow", "it called too deeply (stack overflow)", ["deeper"] * 20)


def test_host_functions_have_room_however_deep_the_guest_is(guests: Guests) -> None:
    """Python runs above the guest's frames on the same stack; a process without room for it would simply end."""
    text = guest_text(
        imports=NOW_US,
        handle="(call $deeper)",
        more="""(func $deeper (result i32)
            (drop (call $now_us))
            (i32.add (call $deeper) (i32.const 1)))""",
    )
    made, _ = guests.new(assemble(text))
    to_end(made.boot())
    ended = handle(made)
    assert isinstance(ended, Trap)
    assert ended.kind == "stack_overflow"
    assert made.host_calls_left < 95_000, "it was not deep at all"


class ReadingHost(RecordingHost):
    """Reads what is sent, as a real host does."""

    def send_message(self, data: bytes) -> int:
        with pytest.raises(InvalidMessage):
            decode_message(data)
        return super().send_message(data)


def test_reader_of_deep_json_has_room_however_deep_the_guest_is(engine: Engine) -> None:
    """It recurses itself, on the guest's stack; the length of a message says how deep the guest goes first."""
    json = '{"performative":"inform","content":' + "[" * 60_000
    text = guest_text(
        imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
        handle="(call $deeper (local.get $len))",
        more=f"""(func $deeper (param $n i32) (result i32)
              (if (result i32) (local.get $n)
                (then (i32.mul (call $deeper (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
                (else (call $send (i32.const 16) (i32.const {len(json)})))))
            (data (i32.const 16) "{json.replace('"', chr(92) + '"')}")""",
    )
    module, host = load(engine, assemble(text)), ReadingHost()
    deepest, too_deep = 1, 65536
    while too_deep - deepest > 1:
        depth = (deepest + too_deep) // 2
        made = Guest(module, Limits(), host)
        to_end(made.boot())
        ended = handle(made, bytes(depth))
        made.close()
        assert ended == 0 or (isinstance(ended, Trap) and ended.kind == "stack_overflow")
        deepest, too_deep = (depth, too_deep) if ended == 0 else (deepest, depth)
    assert deepest > 5000
    assert host.sent


def test_honest_recursion_is_deep_enough(guests: Guests) -> None:
    text = guest_text(
        handle="(i32.sub (call $sum (i32.const 5000)) (i32.const 12502500))",
        more="""(func $sum (param $n i32) (result i32)
            (if (result i32) (local.get $n)
              (then (i32.add (local.get $n) (call $sum (i32.sub (local.get $n) (i32.const 1)))))
              (else (i32.const 0))))""",
    )
    made, _ = guests.new(assemble(text))
    to_end(made.boot())
    assert handle(made) == 0


# --- memory and tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("memory_bytes", "pages"), [(10 * MIB, b"160"), (MIB, b"16"), (MIB + 65535, b"16")])
def test_memory_grows_up_to_its_limit_and_no_further(guests: Guests, memory_bytes: int, pages: bytes) -> None:
    made, host = guests.new(guest("memory_grow"), memory_bytes=memory_bytes)
    to_end(made.boot())
    assert handle(made) == 0
    assert host.lines == [(2, pages, "guest")]


def test_guest_that_starts_with_too_much_memory_does_not_start(guests: Guests) -> None:
    made, _ = guests.new(guest("memory_bomb_min"))
    ended = to_end(made.boot())
    assert isinstance(ended, Trap)
    assert ended.reason == "memory minimum size of 32768 pages exceeds memory limits"


@pytest.mark.parametrize(("table_elements", "found"), [(10_000, b"1"), (65_536, b"1"), (65_537, b"65537")])
def test_table_grows_up_to_its_limit_and_no_further(guests: Guests, table_elements: int, found: bytes) -> None:
    made, host = guests.new(guest("table_grow"), table_elements=table_elements)
    to_end(made.boot())
    assert handle(made) == 0
    assert host.lines == [(2, found, "guest")]


def test_guest_that_starts_with_too_large_a_table_does_not_start(guests: Guests) -> None:
    made, _ = guests.new(assemble(guest_text(more="(table 10001 funcref)")))
    ended = to_end(made.boot())
    assert isinstance(ended, Trap)
    assert ended.reason == "table minimum size of 10001 elements exceeds table limits"


def test_guest_with_too_many_tables_does_not_start(guests: Guests) -> None:
    made, _ = guests.new(assemble(guest_text(more="(table 1 funcref)" * 5)))
    ended = to_end(made.boot())
    assert isinstance(ended, Trap)
    assert "table count too high" in ended.reason
