from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.sandbox.trap import Trap
from caxton.testing.guests import assemble, guest_text, handle, to_end

if TYPE_CHECKING:
    from tests.unit.sandbox.conftest import Guests

TABLE = "(type $none (func)) (table 2 funcref) (elem (i32.const 0) $typed) (func $typed (param i32))"


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ("unreachable", "unreachable", "it gave up (unreachable: a failed assertion, panic or abort)"),
        (
            "(i32.div_u (i32.const 1) (i32.const 0))",
            "integer_division_by_zero",
            "it divided by zero",
        ),
        (
            "(i32.div_s (i32.const 0x80000000) (i32.const -1))",
            "integer_overflow",
            "an integer overflowed",
        ),
        (
            "(i32.trunc_f32_s (f32.const nan))",
            "bad_conversion_to_integer",
            "it turned a number into an integer that cannot hold it",
        ),
        ("(i32.load (i32.const 131069))", "memory_out_of_bounds", "it read or wrote outside its memory"),
        ("(i32.load offset=0xffffffff (i32.const -1))", "memory_out_of_bounds", "it read or wrote outside its memory"),
        (
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 131073)) (i32.const 0)",
            "memory_out_of_bounds",
            "it read or wrote outside its memory",
        ),
        (
            "(call_indirect (type $none) (i32.const 2)) (i32.const 0)",
            "table_out_of_bounds",
            "it used a table entry that does not exist",
        ),
        (
            "(call_indirect (type $none) (i32.const 1)) (i32.const 0)",
            "indirect_call_to_null",
            "it called an empty table entry",
        ),
        (
            "(call_indirect (type $none) (i32.const 0)) (i32.const 0)",
            "bad_signature",
            "it called a function by a wrong type",
        ),
    ],
)
def test_trap_is_told_by_kind_reason_and_function(guests: Guests, body: str, kind: str, reason: str) -> None:
    made, _ = guests.new(assemble(guest_text(handle=body, more=TABLE)))
    to_end(made.boot())
    assert handle(made) == Trap(kind, reason, ["handle_message"])


def test_functions_are_told_innermost_first_and_by_number_where_they_have_no_name(guests: Guests) -> None:
    """The module's functions are counted as its author's tools count them: imports first."""
    text = """(module
      (import "caxton" "now_us" (func (result i64)))
      (memory (export "memory") 2)
      (func (export "caxton_alloc") (param i32) (result i32) i32.const 65536)
      (func (export "handle_message") (param i32 i32) (result i32) (call $outer) i32.const 0)
      (func $outer (call 4))
      (func (call $inner))
      (func $inner unreachable))"""
    made, _ = guests.new(assemble(text))
    to_end(made.boot())
    ended = handle(made)
    assert isinstance(ended, Trap)
    assert ended.functions == ["inner", "#4", "outer", "#2"]


def test_name_of_a_function_cannot_forge_a_line_or_flood_the_log(guests: Guests) -> None:
    text = guest_text(
        handle="(call $long)",
        more=r"""(func $long (@name "%s") (result i32) (call $line))
            (func $line (@name "f\nfailed: all is lost\1b[2J") (result i32) unreachable)"""
        % ("x" * 5000),
    )
    made, _ = guests.new(assemble(text))
    to_end(made.boot())
    ended = handle(made)
    assert isinstance(ended, Trap)
    assert ended.functions == ["f\ufffdfailed: all is lost\ufffd[2J", "x" * 100 + "…", "handle_message"]


def test_host_function_that_fails_ends_its_guest_alone(guests: Guests, caplog: pytest.LogCaptureFixture) -> None:
    text = guest_text(
        imports="""(import "caxton" "now_us" (func $now_us (result i64)))
            (import "caxton" "kv_delete" (func $delete (param i32 i32) (result i32)))""",
        handle="""(if (i32.eq (local.get $len) (i32.const 1)) (then (drop (call $now_us))))
            (call $delete (i32.const 0) (i32.const 1))""",
    )
    for body, function in ((b"1", "now_us"), (b"22", "kv_delete")):
        made, host = guests.new(assemble(text))
        to_end(made.boot())
        monkey = _fails(function)
        setattr(host, function, monkey)
        reason = "a host function failed; the server log has the details"
        assert handle(made, body) == Trap("host_error", reason, ["handle_message"])
    assert [vars(record)["action"] for record in caplog.records] == ["sandbox.host_error"] * 2
    other, host = guests.new(assemble(text))
    host.kv[b"\0"] = b"x"
    to_end(other.boot())
    assert handle(other) == 0


def _fails(name: str) -> object:
    def failing(*_: object) -> int:
        raise ZeroDivisionError(name)

    return failing
