"""Does this machine really run guests? A tiny module is compiled and called, and a spinning one is preempted."""

from __future__ import annotations

from typing import Any

import wasmtime

from caxton.sandbox.engine import Engine
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import Limits
from caxton.sandbox.module import Module
from caxton.sandbox.trap import Trap

_TEXT = """(module
  (memory (export "memory") 2)
  (func (export "caxton_alloc") (param i32) (result i32) i32.const 65536)
  (func (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    (if (i32.eq (i32.load8_u (local.get $ptr)) (i32.const 115)) (then (loop $spin (br $spin))))
    (i32.add (local.get $len) (i32.load8_u (local.get $ptr)))))"""
"""Answers with its message's length plus its first byte; spins for ever when that is an `s`."""

_QUESTION, _ANSWER = b"caxton", 6 + ord("c")


def run_self_check() -> str | None:
    """None if all is well, else what went wrong. Raises what wasmtime or the system raise."""
    engine = Engine()
    engine.hold_ticks()
    try:
        wasm = bytes(wasmtime.wat2wasm(_TEXT))
        compiled = bytes(wasmtime.Module(engine.wasmtime_engine, wasm).serialize())
        module = Module(engine, compiled)
        host: Any = None  # it imports nothing
        guest = Guest(module, Limits(cpu_time_s=0.01), host)
        try:
            return _try(guest)
        finally:
            guest.close()
            module.close()
    finally:
        engine.release_ticks()
        engine.close()


def _try(guest: Guest) -> str | None:
    for _ in guest.boot():
        pass
    answer = guest.deliver(_QUESTION)
    if answer != _ANSWER:
        return f"a guest answered {answer!r} instead of {_ANSWER}"
    ended = guest.deliver(b"spin")
    while ended is None:
        ended = guest.resume()
    if not isinstance(ended, Trap) or ended.kind != "cpu_time":
        return f"a spinning guest was not stopped at its limit ({ended!r})"
    return None
