"""Why a call into a guest did not end well, as facts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from caxton.sandbox.ffi import NULL, ffi, lib

_CODES = (
    "stack_overflow",
    "memory_out_of_bounds",
    "heap_misaligned",
    "table_out_of_bounds",
    "indirect_call_to_null",
    "bad_signature",
    "integer_overflow",
    "integer_division_by_zero",
    "bad_conversion_to_integer",
    "unreachable",
    "interrupt",
)
"""wasmtime's trap codes in their order (`wasmtime/trap.h`); later ones concern features that are switched off."""

_EXPLAINED = {
    "stack_overflow": "it called too deeply (stack overflow)",
    "memory_out_of_bounds": "it read or wrote outside its memory",
    "table_out_of_bounds": "it used a table entry that does not exist",
    "indirect_call_to_null": "it called an empty table entry",
    "bad_signature": "it called a function by a wrong type",
    "integer_overflow": "an integer overflowed",
    "integer_division_by_zero": "it divided by zero",
    "bad_conversion_to_integer": "it turned a number into an integer that cannot hold it",
    "unreachable": "it gave up (unreachable: a failed assertion, panic or abort)",
}

MAX_NAME_CHARS = 100
"""A name section may hold megabytes, and they would all go into the log."""

MAX_FRAMES = 20
"""Of a backtrace, the innermost; wasmtime collects no more, and a stack overflow has thousands."""

DRIVER_FUNCTIONS = ("caxton_deliver", "caxton_where")
"""Ours, around the guest's own frames; of no use to its author."""

_CAUSE = re.compile(r"Caused by:\s*(?:\d+:\s*)?(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Frame:
    """One function that has been called and has not returned."""

    function: str
    """Its name, fit to be printed; `#n`, its index, if it has none."""
    offset: int
    """Where it is: an offset in the module's bytes."""


@dataclass(frozen=True, slots=True)
class Trap:
    """The end of an instance: it must not be called again."""

    kind: str
    """A code of wasmtime, or `cpu_time`, `wall_time`, `host_calls`, `exit`, `bad_allocation`, `no_memory`,
    `host_error`, `other`."""
    reason: str
    """One sentence's worth, without the agent's name."""
    functions: list[str] = field(default_factory=list[str])
    """Innermost first, fit to be printed; `#n`, its index, for a function without a name."""


def take_trap(trap: Any) -> Trap:
    """The facts of a `wasm_trap_t`, which is freed."""
    code = ffi.new("uint8_t *")
    kind: str = "other"
    if lib.wasmtime_trap_code(trap, code):
        number = int(code[0])
        kind = _CODES[number] if number < len(_CODES) else "other"
    message = _message(lib.wasm_trap_message, trap)
    functions = _functions(lib.wasm_trap_trace, trap)
    lib.wasm_trap_delete(trap)
    return Trap(kind, _EXPLAINED.get(kind, message), functions)


def take_error(error: Any) -> Trap:
    """The facts of a `wasmtime_error_t`, which is freed."""
    message = _message(lib.wasmtime_error_message, error)
    functions = _functions(lib.wasmtime_error_wasm_trace, error)
    lib.wasmtime_error_delete(error)
    return Trap("other", message, functions)


def _message(read: Any, handle: Any) -> str:
    vector = ffi.new("byte_vec_t *")
    read(handle, vector)
    text = bytes(ffi.buffer(vector.data, vector.size)).rstrip(b"\0").decode("utf-8", "replace")
    lib.wasm_byte_vec_delete(vector)
    cause = _CAUSE.search(text)
    return (cause[1] if cause else text).strip().replace("\n", "; ")[:300]


def take_frames(trap: Any, *, most: int) -> list[Frame]:
    """Where the guest was, innermost first; the `wasm_trap_t` is freed."""
    frames = _frames(lib.wasm_trap_trace, trap, most)
    lib.wasm_trap_delete(trap)
    return frames


def _functions(read: Any, handle: Any) -> list[str]:
    return [frame.function for frame in _frames(read, handle, MAX_FRAMES)]


def _frames(read: Any, handle: Any, most: int) -> list[Frame]:
    vector = ffi.new("frame_vec_t *")
    read(handle, vector)
    frames: list[Frame] = []
    for index in range(min(vector.size, most)):
        frame = vector.data[index]
        name = _function_name(frame)
        if name not in DRIVER_FUNCTIONS:
            frames.append(Frame(name, int(lib.wasm_frame_module_offset(frame))))
    lib.wasm_frame_vec_delete(vector)
    return frames


def _function_name(frame: Any) -> str:
    """The guest chose it: a line break in it would begin a line of the host's own in the log."""
    name = lib.wasmtime_frame_func_name(frame)
    if name == NULL:
        return f"#{lib.wasm_frame_func_index(frame)}"
    text = bytes(ffi.buffer(name.data, min(name.size, 4 * MAX_NAME_CHARS + 4))).decode("utf-8", "replace")
    return printable(text, MAX_NAME_CHARS)


def printable(text: str, most: int) -> str:
    """`text` with everything that is not printable replaced, cut to `most` characters."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: most + 1])
    return clean if len(clean) <= most else f"{clean[:most]}…"
