"""The engine: settings, the table of imports, the tick that bounds every guest's slice.

One per process. `current` is the guest whose code runs right now; host functions find their caller there, which is
sound because all guests run on one thread: one that waits in a host function is not it until it is polled again.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import threading
import time
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import wasmtime
from wasmtime import _bindings

from caxton.core.errors.modules import SandboxUnavailable
from caxton.sandbox.ffi import NULL, WASMTIME_VERSION, ffi, lib, pointer
from caxton.sandbox.host import NO_ROOM, GuestStop
from caxton.sandbox.imports import CAXTON_IMPORTS, MAX_TRANSFER_BYTES, HostFunction, send_message
from caxton.sandbox.limits import FIBER_STACK_BYTES, MAX_WASM_STACK_BYTES
from caxton.sandbox.trap import Trap
from caxton.sandbox.waiting import waiting_function
from caxton.sandbox.wasi import WASI_IMPORTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.sandbox.host import Caller

logger = logging.getLogger(__name__)

TICK_S = 0.001
"""Length of a slice: a guest that computes longer gives way to the others."""

IMPORTS: dict[str, dict[str, HostFunction]] = {
    "caxton": CAXTON_IMPORTS,
    "wasi_snapshot_preview1": WASI_IMPORTS,
}
"""Everything a guest may import: module, name, function."""

_YIELD = 1
"""wasmtime's `WASMTIME_UPDATE_DEADLINE_YIELD`."""

_SWITCHES: dict[str, bool] = {
    "epoch_interruption": True,
    "wasm_threads": False,
    "shared_memory": False,
    "wasm_tail_call": False,
    "wasm_function_references": False,
    "wasm_gc": False,
    "wasm_simd": False,
    "wasm_relaxed_simd": False,
    "wasm_multi_memory": False,
    "wasm_memory64": False,
    "wasm_wide_arithmetic": False,
    "wasm_exceptions": False,
    "wasm_custom_page_sizes": False,
    "wasm_stack_switching": False,
    "wasm_component_model": False,
    "cranelift_nan_canonicalization": True,  # the same input gives the same output, so that runs can be replayed
    "memory_may_move": False,  # the base address of a guest's memory is kept for its whole life
    "parallel_compilation": False,
}
"""Few features on, as the security checklist has it: what is off cannot have a hole."""

_DRIVER = """
(module
  (import "guest" "alloc" (func $alloc (param i32) (result i32)))
  (import "guest" "handle" (func $handle (param i32 i32) (result i32)))
  (import "driver" "fill" (func $fill (param i32)))
  (func $caxton_deliver (export "deliver") (param $length i32) (result i32) (local $region i32)
    (local.set $region (call $alloc (local.get $length)))
    (if (i32.eqz (local.get $region)) (then (return (i32.const %d))))
    (call $fill (local.get $region))
    (call $handle (local.get $region) (local.get $length)))
  (func $caxton_where (export "where") unreachable))
"""
"""Delivers a message in one call: allocate, let the host write, handle. All of it runs on the guest's fiber, so a
`caxton_alloc` that never returns is suspended like any other guest code.

`where` traps: called in the middle of a guest's slice, its backtrace is that of the guest, which goes on afterwards."""


def _config() -> wasmtime.Config:
    config = wasmtime.Config()
    handle: Any = config.ptr()
    for name, on in _SWITCHES.items():
        getattr(_bindings, f"wasmtime_config_{name}_set")(handle, on)
    _bindings.wasmtime_config_max_wasm_stack_set(handle, MAX_WASM_STACK_BYTES)
    _bindings.wasmtime_config_async_stack_size_set(handle, FIBER_STACK_BYTES)
    return config


def make_wasmtime_engine() -> wasmtime.Engine:
    """An engine with our settings; the compiling child makes the same one."""
    return wasmtime.Engine(_config())


def fingerprint() -> str:
    """Changes whenever compiled code of another Caxton, wasmtime or machine must not be used here."""
    facts = (
        WASMTIME_VERSION,
        platform.machine(),
        sorted(_SWITCHES.items()),
        MAX_WASM_STACK_BYTES,
        FIBER_STACK_BYTES,
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


class Engine:
    """Everything that guests share."""

    def __init__(self) -> None:
        self.wasmtime_engine = make_wasmtime_engine()
        self.handle = pointer(self.wasmtime_engine.ptr())
        self.ticks = 0
        self.current: Caller | None = None
        self.facts: Callable[[], dict[str, Any]] = dict
        """Which agent and message the current guest is busy with, for the server's log."""
        self._linker = wasmtime.Linker(self.wasmtime_engine)
        self.linker = pointer(self._linker.ptr())
        self._kept: list[Any] = []  # callbacks and types that the library refers to
        try:
            self._define_imports()
        except MemoryError as exc:
            reason = "this process may not make memory executable (systemd's MemoryDenyWriteExecute does that)"
            raise SandboxUnavailable(reason) from exc
        self._driver_module = wasmtime.Module(self.wasmtime_engine, bytes(wasmtime.wat2wasm(_DRIVER % NO_ROOM)))
        self.driver = pointer(self._driver_module.ptr())
        self.deadline = ffi.callback("deadline_t", self._on_deadline, error=NULL)
        self._ticking = threading.Event()
        self._tick_holders = 0
        self._closed = False
        self._ticker: threading.Thread | None = None

    def _define_imports(self) -> None:
        for module, functions in IMPORTS.items():
            for name, function in functions.items():
                if function.may_wait:
                    self._define_waiting(module, name, function)
                else:
                    self._define(module, name, function.params, function.result, self._callback(function))
        self._define("driver", "fill", "i", "", self._fill_callback())

    def hold_ticks(self) -> None:
        """Let time pass for guests until `release_ticks`. Between them an idle engine costs nothing."""
        self._tick_holders += 1
        if self._tick_holders == 1:
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="caxton-epoch", daemon=True)
                self._ticker.start()
            self._ticking.set()

    def release_ticks(self) -> None:
        self._tick_holders -= 1
        if self._tick_holders == 0:
            self._ticking.clear()

    def close(self) -> None:
        """Ends the ticking thread. Guests must be closed before."""
        self._closed = True
        self._ticking.set()
        if self._ticker is not None:
            self._ticker.join(1)

    def _tick(self) -> None:
        while not self._closed:
            self._ticking.wait()
            time.sleep(TICK_S)
            lib.wasmtime_engine_increment_epoch(self.handle)
            self.ticks += 1

    def _define(self, module: str, name: str, params: str, result: str, callback: Any) -> None:
        kinds = {"i": wasmtime.ValType.i32, "l": wasmtime.ValType.i64}
        type_ = wasmtime.FuncType([kinds[p]() for p in params], [kinds[r]() for r in result])
        names = module.encode(), name.encode()
        error = lib.wasmtime_linker_define_func_unchecked(
            self.linker,
            names[0],
            len(names[0]),
            names[1],
            len(names[1]),
            pointer(type_.ptr()),
            callback,
            NULL,
            NULL,
        )
        if error != NULL:
            raise AssertionError(f"cannot define {module}.{name}")
        self._kept += [type_, callback]

    def _define_waiting(self, module: str, name: str, function: HostFunction) -> None:
        type_ = wasmtime.FuncType([wasmtime.ValType.i32()] * len(function.params), [wasmtime.ValType.i32()])
        callback, kept = waiting_function(self, function)
        where, what = module.encode(), name.encode()
        error = lib.wasmtime_linker_define_async_func(
            self.linker, where, len(where), what, len(what), pointer(type_.ptr()), callback, NULL, NULL
        )
        if error != NULL:
            raise AssertionError(f"cannot define {module}.{name}")
        self._kept += [type_, *kept]

    def _callback(self, function: HostFunction) -> Any:
        if function.call is send_message:
            body = _sending(self)
        else:
            body = _two_ints(self, function) if function[:2] == ("ii", "i") else _any_types(self, function)
        return ffi.callback("host_function_t", body, error=NULL)

    def _fill_callback(self) -> Any:
        def fill(_env: object, _caller: object, values: Any, _count: int) -> Any:
            guest: Any = self.current
            ptr, body = values[0], guest.body
            end = ptr + len(body)
            if ptr >= 0 and end <= guest.memory_bytes:
                guest.view[ptr:end] = body
            elif not guest.write(ptr, body):
                return self.stop_guest("bad_allocation", "caxton_alloc returned a region outside its memory")
            return NULL

        return ffi.callback("host_function_t", fill, error=NULL)

    def stop_guest(self, kind: str, reason: str) -> Any:
        """Note why the running guest is stopped; returns the trap that a host function must then return."""
        if self.current is not None:
            self.current.stopped = Trap(kind, reason)
        text = reason.encode()
        return lib.wasmtime_trap_new(text, len(text))

    def host_function_failed(self, error: Exception) -> Any:
        """The wall behind which an error of ours ends one guest and not the server."""
        logger.error("host function failed", exc_info=error, extra={"action": "sandbox.host_error", **self.facts()})
        return self.stop_guest("host_error", "a host function failed; the server log has the details")

    def _on_deadline(self, _context: object, _data: object, delta: Any, kind: Any) -> Any:
        """A slice is over: give way, or end here when the message's time is used up."""
        guest = self.current
        delta[0] = 1
        kind[0] = _YIELD
        if guest is not None and guest.probes:
            self._look(guest)
        over = guest.time_is_over(perf_counter_ns()) if guest is not None else None
        if guest is None or over is None:
            return NULL
        guest.stopped = over
        return lib.wasmtime_error_new(over.reason.encode())

    @staticmethod
    def _look(guest: Caller) -> None:
        """Looking at a guest must not cost it anything, whatever goes wrong."""
        try:
            for probe in guest.probes:
                probe()
        except Exception as exc:
            guest.probes = ()
            logger.error("a probe failed", exc_info=exc, extra={"action": "sandbox.probe_error"})


def _sending(engine: Engine) -> Callable[..., Any]:
    """`send_message` without the frames between: it is on the path of every message."""

    def host_function(_env: object, _caller: object, values: Any, _count: int) -> Any:
        try:
            guest: Any = engine.current
            guest.host_calls_left -= 1
            if guest.host_calls_left < 0:
                return engine.stop_guest("host_calls", guest.too_many_host_calls())
            ptr, length = values[0], values[4]
            end = ptr + length
            if ptr >= 0 and 0 <= length <= MAX_TRANSFER_BYTES and end <= guest.memory_bytes:
                values[0] = guest.host.send_message(guest.view[ptr:end])
            else:
                values[0] = send_message(guest, ptr, length)
        except GuestStop as stop:
            return engine.stop_guest(stop.kind, stop.reason)
        except Exception as exc:
            return engine.host_function_failed(exc)
        return NULL

    return host_function


def _two_ints(engine: Engine, function: HostFunction) -> Callable[..., Any]:
    """The commonest shape, (i32, i32) -> i32, without loops: it is on the path of every message."""
    call = function.call

    def host_function(_env: object, _caller: object, values: Any, _count: int) -> Any:
        try:
            guest: Any = engine.current
            guest.host_calls_left -= 1
            if guest.host_calls_left < 0:
                return engine.stop_guest("host_calls", guest.too_many_host_calls())
            values[0] = call(guest, values[0], values[4])
        except GuestStop as stop:
            return engine.stop_guest(stop.kind, stop.reason)
        except Exception as exc:
            return engine.host_function_failed(exc)
        return NULL

    return host_function


def _any_types(engine: Engine, function: HostFunction) -> Callable[..., Any]:
    params, result, call, _ = function

    def host_function(_env: object, _caller: object, values: Any, _count: int) -> Any:
        try:
            guest: Any = engine.current
            guest.host_calls_left -= 1
            if guest.host_calls_left < 0:
                return engine.stop_guest("host_calls", guest.too_many_host_calls())
            arguments = [
                values[4 * n] if kind == "i" else (values[4 * n] & 0xFFFFFFFF) | (values[4 * n + 1] << 32)
                for n, kind in enumerate(params)
            ]
            answer = call(guest, *arguments)
            if result:
                values[0] = _signed(answer)
                if result == "l":
                    values[1] = _signed(answer >> 32)
        except GuestStop as stop:
            return engine.stop_guest(stop.kind, stop.reason)
        except Exception as exc:
            return engine.host_function_failed(exc)
        return NULL

    return host_function


def _signed(value: int) -> int:
    """The low 32 bits as WebAssembly's i32."""
    value &= 0xFFFFFFFF
    return value - 0x1_0000_0000 if value & 0x8000_0000 else value
