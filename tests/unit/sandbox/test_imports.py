from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING

import pytest

from caxton.sandbox.codes import INVALID, NOT_FOUND, TOO_LARGE
from caxton.sandbox.engine import IMPORTS
from caxton.sandbox.imports import MAX_LOG_LINE_BYTES, MAX_RANDOM_BYTES, MAX_TRANSFER_BYTES
from caxton.sandbox.trap import Trap
from caxton.testing.guests import assemble, guest, guest_text, handle, to_end

if TYPE_CHECKING:
    from caxton.testing.guests import RecordingHost
    from tests.unit.sandbox.conftest import Guests

WAT_TYPES = {"i": "i32", "l": "i64"}
EVERY_IMPORT = [(module, name) for module, functions in IMPORTS.items() for name in functions]

I32_VALUES = (0, 1, -1, 16, 131071, 131072, 0x7FFFFFFF, -0x80000000, 65536)
I64_VALUES = (0, -1, 2**63 - 1, -(2**63), 1_000_000)


def import_line(module: str, name: str) -> str:
    function = IMPORTS[module][name]
    params = "".join(f" {WAT_TYPES[kind]}" for kind in function.params)
    results = "".join(f" {WAT_TYPES[kind]}" for kind in function.result)
    return f'(import "{module}" "{name}" (func ${name} (param{params}) (result{results})))'


@pytest.mark.parametrize(("module", "name"), EVERY_IMPORT, ids=[name for _, name in EVERY_IMPORT])
def test_no_arguments_whatever_make_a_host_function_fail(guests: Guests, module: str, name: str) -> None:
    """Nor do they write outside the guest: a neighbour's memory stays as it was."""
    function, dice = IMPORTS[module][name], random.Random(name)  # noqa: S311 - the same calls in every run
    values = [I32_VALUES if kind == "i" else I64_VALUES for kind in function.params]
    some = set(product(*values)) if len(values) < 3 else {tuple(map(dice.choice, values)) for _ in range(400)}
    drop = "(drop {})" if function.result else "{}"
    calls = [
        drop.format(
            f"(call ${name} "
            + " ".join(
                f"({WAT_TYPES[kind]}.const {value})" for kind, value in zip(function.params, arguments, strict=True)
            )
            + ")"
        )
        for arguments in sorted(some)
    ]
    neighbour, _ = guests.new(guest("sink"))
    to_end(neighbour.boot())
    text = guest_text(imports=import_line(module, name), handle="\n".join([*calls, "i32.const 0"]))
    made, host = guests.new(assemble(text))
    host.kv[b""] = host.kv[b"\0"] = b"value"
    to_end(made.boot())
    ended = handle(made)
    assert ended == 0 or (isinstance(ended, Trap) and ended.kind == "exit"), ended
    assert neighbour.read(0, 17 * 65536) == bytes(17 * 65536)


@pytest.mark.parametrize("name", ["bad_pointer_send", "bad_pointer_others"])
def test_wrong_pointers_are_answered_with_errors(guests: Guests, name: str) -> None:
    made, host = guests.new(guest(name))
    to_end(made.boot())
    assert handle(made) == 0
    assert host.sent == []


def run(guests: Guests, name: str, body: str, *, memory: str = "2", more: str = "") -> tuple[int | Trap, RecordingHost]:
    """What `handle_message` returns that calls the import `name` with "hello" at 16 and "world" at 32."""
    data = '(data (i32.const 16) "hello") (data (i32.const 32) "world")'
    imports = "\n".join(import_line("caxton", part) for part in name.split())
    made, host = guests.new(assemble(guest_text(imports=imports, handle=body, more=data + more, memory=memory)))
    to_end(made.boot())
    return handle(made), host


def test_argument_too_long_to_be_copied_is_refused(guests: Guests) -> None:
    long = MAX_TRANSFER_BYTES + 1
    result, host = run(guests, "send_message", f"(call $send_message (i32.const 0) (i32.const {long}))", memory="80")
    assert (result, host.sent) == (TOO_LARGE, [])
    result, host = run(
        guests, "kv_set", f"(call $kv_set (i32.const 16) (i32.const 5) (i32.const 0) (i32.const {long}))", memory="80"
    )
    assert (result, host.kv) == (TOO_LARGE, {})
    for name in ("kv_get", "kv_delete", "call_tool", "subscribe", "unsubscribe"):
        result, _ = run(guests, name, f"(call ${name} (i32.const 0) (i32.const {long}))", memory="80")
        assert result == INVALID, name


def test_longest_argument_is_copied_whole(guests: Guests) -> None:
    long = MAX_TRANSFER_BYTES
    result, host = run(guests, "send_message", f"(call $send_message (i32.const 8) (i32.const {long}))", memory="80")
    assert (result, [len(data) for data in host.sent]) == (0, [long])


def test_log_takes_the_nearest_level_and_as_much_as_a_line_may_have(guests: Guests) -> None:
    body = """(call $log (i32.const -3) (i32.const 16) (i32.const 5))
        (call $log (i32.const 0) (i32.const 16) (i32.const 5))
        (call $log (i32.const 4) (i32.const 16) (i32.const 0))
        (call $log (i32.const 77) (i32.const 32) (i32.const 5))
        (call $log (i32.const 2) (i32.const 16) (i32.const 100000))
        (call $log (i32.const 2) (i32.const 16) (i32.const -1))
        i32.const 0"""
    _, host = run(guests, "log", body)
    assert [(level, text[:5], len(text)) for level, text, _ in host.lines] == [
        (0, b"hello", 5),
        (0, b"hello", 5),
        (4, b"", 0),
        (4, b"world", 5),
        (2, b"hello", MAX_LOG_LINE_BYTES),
    ]


@pytest.mark.parametrize("wall_us", [1_700_000_000_000_000, 0x1_FFFF_FFFF, 0x7FFF_FFFF_8000_0000, 0])
def test_now_arrives_whole(guests: Guests, wall_us: int) -> None:
    text = guest_text(imports=import_line("caxton", "now_us"), handle=f"(i64.eq (call $now_us) (i64.const {wall_us}))")
    made, host = guests.new(assemble(text))
    host.wall_us = wall_us
    to_end(made.boot())
    assert handle(made) == 1


@pytest.mark.parametrize(
    ("length", "filled"), [(8, 8), (MAX_RANDOM_BYTES, MAX_RANDOM_BYTES), (MAX_RANDOM_BYTES + 1, 0), (-1, 0), (0, 0)]
)
def test_random_fills_as_many_bytes_as_asked_or_none(guests: Guests, length: int, filled: int) -> None:
    text = guest_text(
        imports=import_line("caxton", "random"),
        handle=f"(call $random (i32.const 100) (i32.const {length})) i32.const 0",
    )
    made, _ = guests.new(assemble(text))
    to_end(made.boot())
    assert handle(made) == 0
    assert made.read(99, filled + 2) == b"\0" + b"\xa5" * filled + b"\0"


def test_timer_has_its_whole_delay_and_no_negative_one(guests: Guests) -> None:
    result, host = run(guests, "set_timer", "(call $set_timer (i64.const 0x180000000))")
    assert (result, host.timers) == (1, {1: 0x1_8000_0000})
    result, host = run(guests, "set_timer", "(call $set_timer (i64.const -1))")
    assert (result, host.timers) == (INVALID, {})
    assert run(guests, "cancel_timer", "(call $cancel_timer (i32.const 1))")[0] == NOT_FOUND


def test_value_is_read_back_in_parts_and_never_beyond_its_end(guests: Guests) -> None:
    body = """(drop (call $kv_set (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 5)))
        (if (i32.ne (call $kv_get (i32.const 16) (i32.const 5)) (i32.const 5)) (then (return (i32.const 1))))
        (if (i32.ne (call $read_result (i32.const 100) (i32.const 3)) (i32.const 3)) (then (return (i32.const 2))))
        (if (i32.ne (call $read_result (i32.const 200) (i32.const 99)) (i32.const 5)) (then (return (i32.const 3))))
        (if (i32.ne (call $read_result (i32.const 300) (i32.const -5)) (i32.const 0)) (then (return (i32.const 4))))
        (call $send_message (i32.const 100) (i32.const 300))"""
    result, host = run(guests, "kv_set kv_get read_result send_message", body)
    assert (result, host.kv) == (0, {b"hello": b"world"})
    assert host.sent == [b"wor" + bytes(97) + b"world" + bytes(195)]


def test_key_that_is_not_there_is_not_found(guests: Guests) -> None:
    assert run(guests, "kv_get", "(call $kv_get (i32.const 16) (i32.const 5))")[0] == NOT_FOUND
    assert run(guests, "kv_delete", "(call $kv_delete (i32.const 16) (i32.const 5))")[0] == NOT_FOUND
    assert run(guests, "read_result", "(call $read_result (i32.const 16) (i32.const 5))")[0] == 0


def test_result_of_a_tool_is_read_like_a_value(guests: Guests) -> None:
    body = """(if (i32.ne (call $call_tool (i32.const 16) (i32.const 5)) (i32.const 5)) (then (return (i32.const 1))))
        (drop (call $read_result (i32.const 100) (i32.const 5)))
        (call $send_message (i32.const 100) (i32.const 5))"""
    result, host = run(guests, "call_tool read_result send_message", body)
    assert (result, host.sent) == (0, [b"hello"])


def test_topics_are_handed_over(guests: Guests) -> None:
    body = """(drop (call $subscribe (i32.const 16) (i32.const 5)))
        (drop (call $subscribe (i32.const 32) (i32.const 5)))
        (call $unsubscribe (i32.const 16) (i32.const 5))"""
    result, host = run(guests, "subscribe unsubscribe", body)
    assert (result, host.topics) == (0, {b"world"})
