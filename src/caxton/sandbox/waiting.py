"""Host functions in which a guest may wait: it alone is suspended, until there is an answer.

wasmtime asks such a function's continuation at each poll of the call whether it is ready. Nobody polls a guest that
waits: who made it wait hears from the `Pending` when to go on.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from caxton.sandbox.ffi import NULL, ffi
from caxton.sandbox.host import GuestStop, Pending
from caxton.sandbox.imports import take

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.sandbox.engine import Engine
    from caxton.sandbox.imports import HostFunction


class Wait:
    """One guest in one such function."""

    __slots__ = ("began_ns", "handle", "pending", "results")

    def __init__(self, pending: Pending, results: Any) -> None:
        self.pending, self.results = pending, results
        self.began_ns = perf_counter_ns()
        self.handle: Any = ffi.new_handle(self)
        """For the library; valid as long as this object lives, so the guest keeps it."""


def waiting_function(engine: Engine, function: HostFunction) -> tuple[Any, list[Any]]:
    """`function`, which takes i32 and returns one, for wasmtime; and what must live as long as the engine."""
    at_once = ffi.callback("is_ready_t", _at_once, error=True)
    later = ffi.callback("is_ready_t", _is_ready(engine), error=True)
    call = function.call

    def body(
        _env: object, _caller: object, args: Any, count: int, results: Any, _n: int, trap: Any, continuation: Any
    ) -> None:
        continuation.is_ready, continuation.env, continuation.finalizer = at_once, NULL, NULL
        results[0].kind = 0
        results[0].of.i32 = 0
        try:
            guest: Any = engine.current
            guest.host_calls_left -= 1
            if guest.host_calls_left < 0:
                trap[0] = engine.stop_guest("host_calls", guest.too_many_host_calls())
                return
            answer = call(guest, *[args[n].of.i32 for n in range(count)])
            if isinstance(answer, int):
                results[0].of.i32 = answer
                return
            guest.waits = wait = Wait(answer, results)
            continuation.is_ready, continuation.env = later, wait.handle
        except GuestStop as stop:
            trap[0] = engine.stop_guest(stop.kind, stop.reason)
        except Exception as exc:
            trap[0] = engine.host_function_failed(exc)

    callback = ffi.callback("waiting_function_t", body)
    return callback, [at_once, later, callback]


def _at_once(_env: object) -> bool:
    return True


def _is_ready(engine: Engine) -> Callable[[Any], bool]:
    def is_ready(env: Any) -> bool:
        wait: Wait = ffi.from_handle(env)
        result = wait.pending.result
        if result is None:
            return False
        guest: Any = engine.current
        wait.results[0].of.i32 = take(guest, result)
        guest.waits = None
        return True

    return is_ready
