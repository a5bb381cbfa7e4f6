"""One instance of a guest: its store, its memory, the call in progress.

A call runs on a fiber. `deliver`, `call` and `resume` return the guest's result, a `Trap` when it was stopped (the
instance is then dead and must be closed), or None when its slice is over and `resume` must be called later.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from caxton.sandbox.ffi import NULL, VAL_BYTES, VAL_PAYLOAD_OFFSET, ffi, lib
from caxton.sandbox.host import GuestStop
from caxton.sandbox.imports import MAX_TRANSFER_BYTES
from caxton.sandbox.trap import MAX_FRAMES, Frame, Trap, take_error, take_frames, take_trap

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from caxton.sandbox.host import Host
    from caxton.sandbox.limits import Limits
    from caxton.sandbox.module import Module
    from caxton.sandbox.waiting import Wait

_FIRST_SLICE_TICKS = 2
"""The tick under way is already partly over; with one, every message that meets a tick would be cut short."""

_MAX_TABLES = 4
_INSTANCES = 2
"""The guest and its driver."""

_DRIVER_IMPORTS = ((b"guest", b"alloc"), (b"guest", b"handle"), (b"driver", b"fill"))

_WHERE = "(driver's where)"
"""Its place among the guest's functions; no export that is called has such a name."""

_call_async = lib.wasmtime_func_call_async
_poll = lib.wasmtime_call_future_poll
_delete_future = lib.wasmtime_call_future_delete
_set_deadline = lib.wasmtime_context_set_epoch_deadline

_I32_PER_VAL = VAL_BYTES // 4
_I32_PAYLOAD = VAL_PAYLOAD_OFFSET // 4


class Guest:
    """An instance. Not yet usable when made: run `boot()` to its end first. `close()` frees everything."""

    __slots__ = (
        "_arg_values",
        "_args",
        "_context",
        "_cpu_ns",
        "_deliver",
        "_ends",
        "_error_out",
        "_functions",
        "_future",
        "_memory",
        "_result",
        "_result_value",
        "_slice_began_ns",
        "_slice_ticks",
        "_slot",
        "_started_ns",
        "_store",
        "_ticks",
        "_trap_out",
        "body",
        "engine",
        "host",
        "host_calls_left",
        "limits",
        "memory_bytes",
        "module",
        "probes",
        "result_bytes",
        "stopped",
        "view",
        "waits",
    )

    def __init__(self, module: Module, limits: Limits, host: Host) -> None:
        self.module = module
        self.engine = module.engine
        self.limits = limits
        self.host = host
        self.host_calls_left = limits.host_calls
        self.body = b""
        self.result_bytes = b""
        self.stopped: Trap | None = None
        self.waits: Wait | None = None
        self.probes: tuple[Callable[[], None], ...] = ()
        self._slice_ticks = _FIRST_SLICE_TICKS
        self.memory_bytes = 0
        self._memory: Any = None
        self.view: Any = bytearray()
        self._future: Any = None
        self._ticks = -1
        self._cpu_ns = self._started_ns = self._slice_began_ns = 0
        self._slot = ffi.new("slot_t *")
        # Kept, because asking the slot for them makes a new object each time.
        self._arg_values, self._result_value = self._slot.args, self._slot.result
        self._args = ffi.cast("int32_t *", self._slot.args) + _I32_PAYLOAD
        self._result = ffi.cast("int32_t *", self._slot.result) + _I32_PAYLOAD
        self._trap_out = ffi.addressof(self._slot, "trap")
        self._error_out = ffi.addressof(self._slot, "error")
        self._ends = ffi.cast("uintptr_t *", self._trap_out)  # both pointers as ints: [0] is the trap, [1] the error
        self._functions: dict[str, Any] = {}
        self._store = lib.wasmtime_store_new(self.engine.handle, NULL, NULL)
        self._context = lib.wasmtime_store_context(self._store)
        lib.wasmtime_store_limiter(self._store, limits.memory_bytes, limits.table_elements, _INSTANCES, _MAX_TABLES, 1)
        lib.wasmtime_store_epoch_deadline_callback(self._store, self.engine.deadline, NULL, NULL)

    # --- life ------------------------------------------------------------------------------------------------

    def boot(self) -> Generator[None, None, int | Trap]:
        """Instantiate and run `_initialize` and `agent_init`; yields at the end of each slice.

        Returns what `agent_init` returned, 0 without one, or the trap that ended it.
        """
        slot = self._slot
        if self.module.prepared == NULL:  # wasmtime would end the process
            raise AssertionError("the guest's module was freed")
        self._arm()
        future = lib.wasmtime_instance_pre_instantiate_async(
            self.module.prepared,
            self._context,
            ffi.addressof(slot, "instance"),
            self._trap_out,
            self._error_out,
        )
        self._result[0] = 0
        ended = yield from self._to_end(self._first_poll(future))
        if isinstance(ended, Trap):
            return ended
        self._link()
        for name in ("_initialize", "agent_init"):
            if name in self.module.exports:
                ended = yield from self._to_end(self.call(name))
                if isinstance(ended, Trap):
                    return ended
        return ended if "agent_init" in self.module.exports else 0

    def run(self, name: str, *arguments: int) -> Generator[None, None, int | Trap]:
        """Call an export; yields at the end of each slice and returns its result."""
        return (yield from self._to_end(self.call(name, *arguments)))

    def close(self) -> None:
        """Free the instance, in the middle of a call too. Closing twice is allowed."""
        if self._store != NULL:
            if self._future is not None:
                _delete_future(self._future)
                self._future = None
            if self.waits is not None:
                self.waits.pending.cancel()
                self.waits = None
            lib.wasmtime_store_delete(self._store)
            self._store = NULL
            self.view = b""
            self.memory_bytes = 0

    # --- calls -----------------------------------------------------------------------------------------------

    def deliver(self, body: bytes) -> int | Trap | None:
        """Hand one message over: `caxton_alloc`, copy, `handle_message`, in one call of the driver."""
        engine = self.engine
        self.body = body
        self._args[0] = len(body)
        self.host_calls_left = self.limits.host_calls
        self._started_ns = 0
        if self._ticks != engine.ticks:
            self._ticks = engine.ticks
            _set_deadline(self._context, self._slice_ticks)
        engine.current = self
        future = _call_async(
            self._context, self._deliver, self._arg_values, 1, self._result_value, 1, self._trap_out, self._error_out
        )
        if not _poll(future):
            self._future = future
            return None
        _delete_future(future)
        if self._ends[0] or self._ends[1] or self.stopped is not None:
            return self._ended()
        return self._result[0]

    def call(self, name: str, *arguments: int) -> int | Trap | None:
        """Call an export of the guest interface; 0 for those without a result."""
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._export(name)
        for n, value in enumerate(arguments):
            self._args[n * _I32_PER_VAL] = value
        self._arm()
        slot = self._slot
        has_result = name not in ("_initialize", "agent_shutdown", "caxton_free")
        self._result[0] = 0
        future = _call_async(
            self._context, ffi.addressof(function.of, "func"), slot.args, len(arguments), slot.result, has_result,
            self._trap_out, self._error_out,
        )  # fmt: skip
        return self._first_poll(future)

    def resume(self) -> int | Trap | None:
        """Let a suspended call go on for a slice."""
        self.engine.current = self
        self._slice_began_ns = perf_counter_ns()
        if self.waits is not None and self.waits.pending.result is not None:
            self._go_on(self.waits)
        done = _poll(self._future)
        self._cpu_ns += perf_counter_ns() - self._slice_began_ns
        if not done:
            return None
        _delete_future(self._future)
        self._future = None
        return self._ended() if self._ends[0] or self._ends[1] or self.stopped is not None else self._result[0]

    def _go_on(self, wait: Wait) -> None:
        """It has waited: that was not its own time, and it gets a whole slice."""
        if self._started_ns:
            self._started_ns += self._slice_began_ns - wait.began_ns
        self._ticks = self.engine.ticks
        _set_deadline(self._context, self._slice_ticks)

    @property
    def is_suspended(self) -> bool:
        return self._future is not None

    # --- memory ----------------------------------------------------------------------------------------------

    def read(self, ptr: int, length: int) -> bytes | None:
        """A copy of guest memory; None when the region is not inside it or is longer than `MAX_TRANSFER_BYTES`.

        `ptr` may be a negative i32.
        """
        ptr &= 0xFFFFFFFF
        end = ptr + length
        if not 0 <= length <= MAX_TRANSFER_BYTES or (end > self.memory_bytes and end > self.refresh_memory()):
            return None
        return self.view[ptr:end]

    def holds(self, ptr: int, length: int) -> bool:
        """Whether the region is inside the guest's memory."""
        return length >= 0 and (ptr & 0xFFFFFFFF) + length <= self.refresh_memory()

    def write(self, ptr: int, data: bytes) -> bool:
        """Copy `data` into guest memory; False when the region is not inside it."""
        ptr &= 0xFFFFFFFF
        end = ptr + len(data)
        if end > self.memory_bytes and end > self.refresh_memory():
            return False
        self.view[ptr:end] = data
        return True

    def refresh_memory(self) -> int:
        """Look again how large the memory has become; bytes. Its base never moves."""
        if self._memory is None:
            raise GuestStop(
                "no_memory", "its start section gave a pointer to a host function; export _initialize instead"
            )
        size = lib.wasmtime_memory_data_size(self._context, self._memory)
        if size != self.memory_bytes:
            base = lib.wasmtime_memory_data(self._context, self._memory)
            self.view = ffi.buffer(base, size)
            self.memory_bytes = size
        return size

    def memory_now(self) -> int:
        """How large the memory is, also if it grew without a word to us; bytes, 0 when there is none."""
        return 0 if self._memory is None or self._store == NULL else self.refresh_memory()

    # --- being looked at -------------------------------------------------------------------------------------

    def watch(self, probe: Callable[[], None]) -> None:
        """Call `probe` at the end of each slice from now on.

        Short handlings are then cut at the next tick too, so that they are seen and not only those that take longer.
        """
        self._set_probes((*self.probes, probe))

    def unwatch(self, probe: Callable[[], None]) -> None:
        """Call it no more; allowed also if it was not called."""
        self._set_probes(tuple(other for other in self.probes if other is not probe))

    def _set_probes(self, probes: tuple[Callable[[], None], ...]) -> None:
        self.probes = probes
        self._slice_ticks = 1 if probes else _FIRST_SLICE_TICKS
        self._ticks = -1  # the next call takes it up

    def where(self) -> list[Frame]:
        """The functions that it is in, innermost first; to be called by a probe only.

        Source: wasmtime has no call for the backtrace of a guest that goes on, but each trap has one, of all that is
        below it too. So a function that traps is called, on a fiber of its own.
        """
        function = self._functions.get(_WHERE)
        if function is None:
            function = self._functions[_WHERE] = ffi.new("extern_t *")
            driver = ffi.addressof(self._slot, "driver")
            lib.wasmtime_instance_export_get(self._context, driver, b"where", 5, function)
        ends = ffi.new("void *[2]")
        future = _call_async(self._context, ffi.addressof(function.of, "func"), NULL, 0, NULL, 0, ends, ends + 1)
        _poll(future)
        _delete_future(future)
        if ends[1] != NULL:
            raise AssertionError(take_error(ends[1]).reason)
        return [] if ends[0] == NULL else take_frames(ends[0], most=MAX_FRAMES)

    def be_sampled(self, profiler: Any, cpu_ns: int) -> None:
        """Add where it is to a profile of wasmtime's; to be called by a probe only."""
        lib.wasmtime_guestprofiler_sample(profiler, self._store, cpu_ns)

    # --- inside ----------------------------------------------------------------------------------------------

    def time_is_over(self, now_ns: int) -> Trap | None:
        """Asked at the end of each slice: the trap to stop with, or None to go on."""
        if not self._started_ns:
            self._started_ns = self._slice_began_ns = now_ns - 1_000_000  # it has run for about a tick
            self._cpu_ns = 0
        if self._cpu_ns + now_ns - self._slice_began_ns > self.limits.cpu_time_s * 1e9:
            return Trap("cpu_time", f"it computed for more than its {self.limits.cpu_time_s:g} s of CPU time")
        if now_ns - self._started_ns > self.limits.wall_time_s * 1e9:
            return Trap("wall_time", f"it took longer than its {self.limits.wall_time_s:g} s")
        return None

    def too_many_host_calls(self) -> str:
        return f"it called host functions more than {self.limits.host_calls} times for one message"

    def _arm(self) -> None:
        """A new call has its whole budget."""
        self.host_calls_left = self.limits.host_calls
        self._started_ns = 0
        self._ticks = self.engine.ticks
        _set_deadline(self._context, self._slice_ticks)

    def _first_poll(self, future: Any) -> int | Trap | None:
        if future == NULL:
            return self._ended()
        self._future = future
        return self.resume()

    def _to_end(self, result: int | Trap | None) -> Generator[None, None, int | Trap]:
        while result is None:
            yield
            result = self.resume()
        return result

    def _link(self) -> None:
        """Find memory and driver. The exports were checked when the module was compiled."""
        slot, context = self._slot, self._context
        self._memory = self._find("memory", ffi.addressof(slot, "memory"))
        self._memory = ffi.addressof(slot.memory.of, "memory")
        self._find("caxton_alloc", slot.link)
        self._find("handle_message", slot.link + 1)
        lib.wasmtime_linker_get(self.engine.linker, context, b"driver", 6, b"fill", 4, slot.link + 2)
        self._add_driver()
        entry = ffi.addressof(slot, "entry")
        lib.wasmtime_instance_export_get(context, ffi.addressof(slot, "driver"), b"deliver", 7, entry)
        self._deliver = ffi.addressof(slot.entry.of, "func")
        self.refresh_memory()

    def _add_driver(self) -> None:
        """Asynchronously, as a store wants it in which a host function may wait; nothing of the driver does."""
        slot, linker = self._slot, lib.wasmtime_linker_new(self.engine.handle)
        for n, (module, name) in enumerate(_DRIVER_IMPORTS):
            error = lib.wasmtime_linker_define(
                linker, self._context, module, len(module), name, len(name), slot.link + n
            )
            if error != NULL:
                raise AssertionError(take_error(error).reason)
        future = lib.wasmtime_linker_instantiate_async(
            linker, self._context, self.engine.driver, ffi.addressof(slot, "driver"), self._trap_out, self._error_out
        )
        _poll(future)
        _delete_future(future)
        lib.wasmtime_linker_delete(linker)
        if slot.error != NULL:
            raise AssertionError(take_error(slot.error).reason)

    def _export(self, name: str) -> Any:
        return self._find(name, ffi.new("extern_t *"))

    def _find(self, name: str, out: Any) -> Any:
        text = name.encode()
        instance = ffi.addressof(self._slot, "instance")
        if not lib.wasmtime_instance_export_get(self._context, instance, text, len(text), out):
            raise AssertionError(f"guest lost its export {name}")
        return out

    def _ended(self) -> Trap:
        """The call ended badly: turn what wasmtime says, and what we know better, into facts."""
        slot, ours = self._slot, self.stopped
        if slot.trap != NULL:
            found = take_trap(slot.trap)
        elif slot.error != NULL:
            found = take_error(slot.error)
        else:
            found = Trap("other", "the call ended without a result")
        slot.trap = slot.error = NULL
        return found if ours is None else Trap(ours.kind, ours.reason, found.functions)
