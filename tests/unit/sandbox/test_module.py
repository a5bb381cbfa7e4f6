from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import wasmtime

from caxton.core.errors.modules import InvalidWasm, WasmTooLarge
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import MIB, Limits
from caxton.sandbox.module import MAX_MODULE_BYTES, check_header, check_interface
from caxton.testing.guests import RecordingHost, assemble, example, guest, guest_text, handle, load, to_end

if TYPE_CHECKING:
    from caxton.sandbox.engine import Engine

HEADER = b"\0asm\x01\0\0\0"


@pytest.mark.parametrize(
    ("wasm", "reason"),
    [
        (b"", "it is empty"),
        (b"(module)", "it is WebAssembly text; compile it first (wat2wasm)"),
        (b"\n ;; a comment\n(module)", "it is WebAssembly text; compile it first (wat2wasm)"),
        (b"\0asm", r"it begins with b'\x00asm', not with the WebAssembly header"),
        (b"\0asm\x02\0\0\0", r"it begins with b'\x00asm\x02\x00\x00\x00', not with the WebAssembly header"),
        (b"\x7fELF" + bytes(60), r"it begins with b'\x7fELF\x00\x00\x00\x00', not with the WebAssembly header"),
        (
            b"\0asm\x0d\0\x01\0",
            "it is a WebAssembly component; this version hosts core modules (build without componentizing)",
        ),
    ],
)
def test_what_is_no_module_is_refused_before_it_is_compiled(wasm: bytes, reason: str) -> None:
    with pytest.raises(InvalidWasm) as caught:
        check_header(wasm)
    assert (caught.value.code, caught.value.reason) == ("INVALID_WASM", reason)


def test_module_over_the_size_limit_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(WasmTooLarge) as caught:
        check_header(HEADER + bytes(MAX_MODULE_BYTES - 7))
    assert caught.value.details() == {"size_bytes": MAX_MODULE_BYTES + 1, "limit_bytes": MAX_MODULE_BYTES}
    check_header(HEADER + bytes(MAX_MODULE_BYTES - 8))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "missing_alloc",
            "it does not export the function caxton_alloc; guests need caxton_alloc, handle_message and memory",
        ),
        (
            "missing_handle",
            "it does not export the function handle_message; guests need caxton_alloc, handle_message and memory",
        ),
        ("missing_memory", "it does not export its memory under the name 'memory'"),
        ("imported_memory", "it imports 'env.memory', which is not offered to guests"),
        ("unknown_import", "it imports 'env.launch_missiles', which is not offered to guests"),
        ("unknown_caxton_import", "it imports 'caxton.nope', which is not offered to guests"),
        ("wasi_socket", "it imports 'wasi_snapshot_preview1.sock_accept', which is not offered to guests"),
        (
            "wrong_import_type",
            "its import caxton.send_message has the type (i64) -> i64, it must be (i32, i32) -> i32",
        ),
        ("wrong_kind_handle", "its export handle_message is no function"),
        (
            "wrong_signature_handle",
            "its export handle_message has the type (i64) -> i32, it must be (i32, i32) -> i32",
        ),
    ],
)
def test_module_that_does_not_fit_the_interface_is_refused_with_the_misfit(
    engine: Engine, name: str, reason: str
) -> None:
    with pytest.raises(InvalidWasm) as caught:
        check_interface(wasmtime.Module(engine.wasmtime_engine, guest(name)))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("export", "reason"),
    [
        ('(func (export "agent_init"))', "its export agent_init has the type () -> (), it must be () -> i32"),
        (
            '(func (export "handle_timer") (param i64) (result i32) i32.const 0)',
            "its export handle_timer has the type (i64) -> i32, it must be (i32) -> i32",
        ),
        (
            '(func (export "agent_shutdown") (result f64) f64.const 0)',
            "its export agent_shutdown has the type () -> f64, it must be () -> ()",
        ),
        (
            '(func (export "get_capabilities") (param externref))',
            "its export get_capabilities has the type (?) -> (), it must be (i32, i32) -> i32",
        ),
        ('(global (export "_initialize") i32 (i32.const 1))', "its export _initialize is no function"),
    ],
)
def test_optional_export_of_a_wrong_type_is_refused(engine: Engine, export: str, reason: str) -> None:
    with pytest.raises(InvalidWasm) as caught:
        check_interface(wasmtime.Module(engine.wasmtime_engine, assemble(guest_text(more=export))))
    assert caught.value.reason == reason


def test_import_of_an_offered_name_as_something_else_than_a_function_is_refused(engine: Engine) -> None:
    text = guest_text(imports='(import "caxton" "log" (global i32))')
    with pytest.raises(InvalidWasm) as caught:
        check_interface(wasmtime.Module(engine.wasmtime_engine, assemble(text)))
    assert caught.value.reason == "its import caxton.log is no function"


def test_name_of_a_refused_import_cannot_carry_control_characters(engine: Engine) -> None:
    text = guest_text(imports=r'(import "env" "\1b[2Jgone\n" (func))')
    with pytest.raises(InvalidWasm) as caught:
        check_interface(wasmtime.Module(engine.wasmtime_engine, assemble(text)))
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize("wasm", [guest("topic_subscriber"), example("echo")], ids=["topic_subscriber", "echo"])
def test_module_cut_short_within_a_section_is_refused(engine: Engine, wasm: bytes) -> None:
    """Cut between two sections it may be another good module: one without data, or without names."""
    whole = section_ends(wasm)
    for end in set(range(0, len(wasm), max(1, len(wasm) // 300))) - whole:
        with pytest.raises((InvalidWasm, wasmtime.WasmtimeError)):  # the child turns the latter into the former
            check(engine, wasm[:end])


def check(engine: Engine, wasm: bytes) -> None:
    check_header(wasm)
    check_interface(wasmtime.Module(engine.wasmtime_engine, wasm))


def section_ends(wasm: bytes) -> set[int]:
    ends, at = {len(HEADER)}, len(HEADER)
    while at < len(wasm):
        at, size, shift = at + 1, 0, 0
        while True:  # LEB128
            byte = wasm[at]
            at, size, shift = at + 1, size | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        at += size
        ends.add(at)
    return ends


def test_mutated_modules_are_refused_or_run_within_their_limits(engine: Engine) -> None:
    """Whatever still compiles is run: it may trap, it may not harm the process or outlive its time."""
    good, dice = guest("topic_subscriber"), random.Random(2)  # noqa: S311 - the same mutants in every run
    limits, ran = Limits(cpu_time_s=0.005, wall_time_s=0.5), 0
    for _ in range(400):
        wasm = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            wasm[dice.randrange(8, len(wasm))] = dice.randrange(256)
        try:
            module = load(engine, bytes(wasm))
            module.check_limits(limits)
        except (InvalidWasm, wasmtime.WasmtimeError):
            continue
        made = Guest(module, limits, RecordingHost())
        if to_end(made.boot()) == 0:
            handle(made)
            ran += 1
        made.close()
    assert ran > 20


def test_module_that_starts_with_more_memory_than_its_limit_is_refused(engine: Engine) -> None:
    module = load(engine, guest("memory_bomb_min"))
    with pytest.raises(InvalidWasm) as caught:
        module.check_limits(Limits())
    assert caught.value.reason == (
        "it starts with 2147483648 bytes of memory, its limit is 10485760; "
        "raise the limit (--memory) or build it with a smaller stack"
    )


def test_module_that_starts_with_exactly_its_limit_is_accepted(engine: Engine) -> None:
    module = load(engine, assemble(guest_text(memory="16")))
    module.check_limits(Limits(memory_bytes=MIB))
    with pytest.raises(InvalidWasm):
        module.check_limits(Limits(memory_bytes=MIB - 1))
