"""Where guests spend their time: wasmtime's own guest profiler, fed at the end of each slice.

While nobody profiles there is no profiler, and guests are not looked at. While somebody does, each tick (1 ms) of an
agent's computing adds one sample; time in host functions counts for the code that called them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caxton.core.errors.debugging import ProfilerUnavailable
from caxton.sandbox.engine import TICK_S
from caxton.sandbox.ffi import NULL, WASMTIME_VERSION, ffi, lib
from caxton.sandbox.trap import take_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.sandbox.guest import Guest
    from caxton.sandbox.module import Module

INTERVAL_NS = int(TICK_S * 1e9)

MAX_SAMPLES = 1_000_000
"""More is not taken; a quarter of an hour of computing, about 40 MB."""


class Profiler:
    """Samples all instances of one module into one profile. Ends with `finish` or `close`."""

    def __init__(self, module: Module, name: str) -> None:
        """Raises `ProfilerUnavailable`: this wasmtime was built without it."""
        self.module = module
        self.samples = 0
        text = name.encode()
        self._text = ffi.new("uint8_t[]", text)
        self._name = ffi.new("byte_vec_t *", {"size": len(text), "data": self._text})
        profiled = ffi.new("profiled_t *", {"name": self._name, "module": module.handle})
        try:
            make = lib.wasmtime_guestprofiler_new
        except AttributeError:
            raise ProfilerUnavailable(WASMTIME_VERSION) from None
        self._handle: Any = make(module.engine.handle, self._name, INTERVAL_NS, profiled, 1)
        self._probes: list[tuple[Guest, Callable[[], None]]] = []

    def watch(self, guest: Guest) -> None:
        """Sample `guest` from now on, if it is an instance of the module."""
        if guest.module is self.module and self._handle is not None:

            def sample() -> None:
                if self.samples < MAX_SAMPLES:
                    self.samples += 1
                    guest.be_sampled(self._handle, INTERVAL_NS)

            guest.watch(sample)
            self._probes.append((guest, sample))

    def stop(self) -> None:
        """Sample no more."""
        for guest, probe in self._probes:
            guest.unwatch(probe)
        self._probes.clear()

    def finish(self) -> bytes:
        """The profile as the Firefox profiler reads it: JSON in its processed format. Only after `stop`; any thread."""
        out = ffi.new("byte_vec_t *")
        handle, self._handle = self._handle, None
        error = lib.wasmtime_guestprofiler_finish(handle, out)  # frees it
        if error != NULL:
            raise AssertionError(take_error(error).reason)
        profile = bytes(ffi.buffer(out.data, out.size))
        lib.wasm_byte_vec_delete(out)
        return profile

    def close(self) -> None:
        """Sample no more, without a profile. Allowed after `finish`."""
        self.stop()
        if self._handle is not None:
            lib.wasmtime_guestprofiler_delete(self._handle)
            self._handle = None
