"""A linker for guests that are no agents, some of whose host functions may suspend their guest.

wasmtime asks a suspended call at each of its polls whether it may go on; here the guest itself answers
(`Suspended.go_on`). Nobody polls one that waits for nothing that has come.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import wasmtime
from cffi import FFI

from caxton.sandbox.ffi import NULL, ffi, lib, pointer
from caxton.sandbox.host import GuestStop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caxton.sandbox.engine import Engine
    from caxton.sandbox.imports import HostFunction

_ffi: Any = FFI()
"""Only what `sandbox.ffi` does not declare; plain pointers fit both."""
_ffi.cdef(
    """
    typedef struct { uint8_t kind; union { int32_t i32; int64_t i64; uint64_t size[3]; } of; } val_t;
    typedef bool (*ready_t)(void *env);
    typedef struct { ready_t is_ready; void *env; void *finalizer; } continuation_t;
    typedef void (*async_t)(void *env, void *caller, val_t *args, size_t arg_count, val_t *results,
                            size_t result_count, void **trap, continuation_t *continuation);
    void *wasmtime_linker_define_async_func(void *linker, const char *module, size_t module_length, const char *name,
                                            size_t name_length, void *type, async_t call, void *data,
                                            void *finalizer);
    """
)
_lib: Any = _ffi.dlopen(str(sorted(Path(wasmtime.__file__).parent.glob("*/_*wasmtime.*"))[0]))

_KINDS = {"i": wasmtime.ValType.i32, "l": wasmtime.ValType.i64}


class Suspended(Protocol):
    """A guest that waits in a host function."""

    def go_on(self) -> int | None:
        """The function's result; None to wait on. Called on its fiber, at each poll."""
        ...


class CallsLinker:
    """What one kind of guest may import. One per engine; it must outlive its guests."""

    def __init__(
        self, engine: Engine, offered: Mapping[str, Mapping[str, HostFunction]], *, may_wait: frozenset[str]
    ) -> None:
        """Those named in `may_wait` take and return i32, and suspend their guest by returning None."""
        self._engine = engine
        self._linker = wasmtime.Linker(engine.wasmtime_engine)
        self.handle = pointer(self._linker.ptr())
        self._at_once = _ffi.callback("ready_t", _yes, error=True)
        self._later = _ffi.callback("ready_t", self._is_ready, error=True)
        self._results: dict[Any, Any] = {}
        """Of each suspended guest: where its result goes."""
        self._kept: list[Any] = []
        for module, functions in offered.items():
            for name, function in functions.items():
                self._define(module.encode(), name.encode(), function, may_wait=name in may_wait)

    def forget(self, guest: object) -> None:
        """It is closed, and will never be polled again."""
        self._results.pop(guest, None)

    def _define(self, module: bytes, name: bytes, function: HostFunction, *, may_wait: bool) -> None:
        params = [_KINDS[letter]() for letter in function.params]
        type_ = wasmtime.FuncType(params, [_KINDS[letter]() for letter in function.result])
        if may_wait:
            callback = _ffi.callback("async_t", self._waiting(function))
            define = _lib.wasmtime_linker_define_async_func
        else:
            callback = ffi.callback("host_function_t", self._answering(function), error=NULL)
            define = lib.wasmtime_linker_define_func_unchecked
        error = define(self.handle, module, len(module), name, len(name), pointer(type_.ptr()), callback, NULL, NULL)
        if error != NULL:
            raise AssertionError(f"cannot define {module!r} {name!r}")
        self._kept += [type_, callback]

    def _answering(self, function: HostFunction) -> Callable[..., Any]:
        engine, params, call, has_result = self._engine, function.params, function.call, bool(function.result)

        def host_function(_env: object, _caller: object, values: Any, _count: int) -> Any:
            try:
                guest = _charged(engine.current)
                arguments = [
                    values[4 * n] if kind == "i" else (values[4 * n] & 0xFFFFFFFF) | (values[4 * n + 1] << 32)
                    for n, kind in enumerate(params)
                ]
                answer = call(guest, *arguments)
                if has_result:
                    values[0] = answer
            except GuestStop as stop:
                return engine.stop_guest(stop.kind, stop.reason)
            except Exception as exc:
                return engine.host_function_failed(exc)
            return NULL

        return host_function

    def _waiting(self, function: HostFunction) -> Callable[..., None]:
        engine, call = self._engine, function.call

        def host_function(
            _env: object, _caller: object, args: Any, count: int, results: Any, _n: int, trap: Any, then: Any
        ) -> None:
            then.is_ready, then.env, then.finalizer = self._at_once, NULL, NULL
            results[0].kind = 0
            results[0].of.i32 = 0
            try:
                guest = _charged(engine.current)
                answer = call(guest, *[args[n].of.i32 for n in range(count)])
                if answer is None:
                    self._results[guest] = results
                    then.is_ready = self._later
                else:
                    results[0].of.i32 = answer
            except GuestStop as stop:
                trap[0] = engine.stop_guest(stop.kind, stop.reason)
            except Exception as exc:
                trap[0] = engine.host_function_failed(exc)

        return host_function

    def _is_ready(self, _env: object) -> bool:
        guest: Any = self._engine.current
        answer = guest.go_on()
        if answer is None:
            return False
        self._results.pop(guest)[0].of.i32 = answer
        return True


def _charged(guest: Any) -> Any:
    """The guest that calls, one host call poorer. Raises `GuestStop`."""
    guest.host_calls_left -= 1
    if guest.host_calls_left < 0:
        raise GuestStop("host_calls", guest.too_many_host_calls())
    return guest


def _yes(_env: object) -> bool:
    return True
