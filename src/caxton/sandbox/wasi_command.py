"""A WASI preview 1 command as a guest: it runs `_start` for all its life, and is suspended whenever it waits for input.

It is driven as other guests are: `boot()`, `start()`, then `resume()` for each slice. `is_waiting` says that there is
nothing to resume it for: it wants input (`feed`) or sleeps until `wakes_ns`. The limits of CPU time and host calls are
for each piece of work, which `renew` begins; wall time is the driver's matter.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import wasmtime

from caxton.core.errors.error import quoted
from caxton.core.errors.modules import InvalidWasm
from caxton.sandbox.async_calls import CallsLinker
from caxton.sandbox.ffi import NULL, ffi, lib, pointer
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import MIB, Limits
from caxton.sandbox.module import PAGE_BYTES
from caxton.sandbox.trap import Trap, take_error
from caxton.sandbox.wasi_calls import COMMAND_IMPORTS, FAULT, MAY_WAIT, SUCCESS, WITH_INPUT
from caxton.sandbox.wasi_files import Files, Granted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from caxton.sandbox.engine import Engine
    from caxton.sandbox.imports import HostFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a command gets; nothing that is not here."""

    arguments: tuple[str, ...] = ()
    """Behind the name, which is always `tool`."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    directories: tuple[Granted, ...] = ()
    memory_bytes: int = 64 * MIB
    cpu_time_s: float = 5.0
    """For each piece of work."""
    host_calls: int = 100_000
    """For each piece of work."""

    def limits(self) -> Limits:
        """As the sandbox knows them."""
        return Limits(
            memory_bytes=self.memory_bytes,
            cpu_time_s=self.cpu_time_s,
            host_calls=self.host_calls,
            wall_time_s=math.inf,
        )


def check_command(module: wasmtime.Module) -> None:
    """Compare imports and exports with what commands have. Raises `InvalidWasm` that names the first misfit."""
    check_imports(module, COMMAND_IMPORTS, "commands")
    exports = {item.name: item.type for item in module.exports}
    start = exports.get("_start")
    if not isinstance(start, wasmtime.FuncType) or start.params or start.results:
        raise InvalidWasm("it does not export the function _start; build it as a command, not as a library")
    if not isinstance(exports.get("memory"), wasmtime.MemoryType):
        raise InvalidWasm("it does not export its memory under the name 'memory'")


def check_imports(module: wasmtime.Module, offered: dict[str, dict[str, HostFunction]], whom: str) -> None:
    """Raises `InvalidWasm` that names the first import that is not offered, or not so."""
    for item in module.imports:
        name = f"{item.module}.{item.name}"
        function = offered.get(item.module, {}).get(item.name or "")
        if function is None:
            raise InvalidWasm(f"it imports {quoted(name)}, which is not offered to {whom}")
        if not isinstance(item.type, wasmtime.FuncType):
            raise InvalidWasm(f"its import {name} is no function")
        found = [_LETTERS.get(str(kind), "?") for kind in item.type.params], [str(k) for k in item.type.results]
        if found != (list(function.params), [_NAMES[letter] for letter in function.result]):
            raise InvalidWasm(f"its import {name} has another type than the one that is offered")


_LETTERS = {"i32": "i", "i64": "l"}
_NAMES = {"i": "i32", "l": "i64"}


class CommandModule:
    """A compiled command. `close()` once no instance is left."""

    def __init__(self, engine: Engine, compiled: bytes) -> None:
        """Raises `InvalidWasm` when it is no command that can be hosted."""
        self.engine = engine
        self.sha256 = ""
        self._module = wasmtime.Module.deserialize(engine.wasmtime_engine, compiled)
        check_command(self._module)
        self.linker = CallsLinker(engine, COMMAND_IMPORTS, may_wait=MAY_WAIT)
        self.handle = pointer(self._module.ptr())
        self.exports: frozenset[str] = frozenset()
        """Of those that the sandbox calls as it boots a guest: none."""
        memory = next(item.type for item in self._module.exports if item.name == "memory")
        self.min_memory_bytes = memory.limits.min * PAGE_BYTES if isinstance(memory, wasmtime.MemoryType) else 0
        out = ffi.new("void **")
        error = lib.wasmtime_linker_instantiate_pre(self.linker.handle, self.handle, out)
        if error != NULL:
            raise InvalidWasm(take_error(error).reason)
        self.prepared = out[0]

    def check_memory(self, limit_bytes: int) -> None:
        """Raises `InvalidWasm` when it cannot even start within `limit_bytes`."""
        if self.min_memory_bytes > limit_bytes:
            raise InvalidWasm(
                f"it starts with {self.min_memory_bytes} bytes of memory, its limit is {limit_bytes}; "
                "raise the limit or build it with a smaller stack"
            )

    def close(self) -> None:
        if self.prepared != NULL:
            lib.wasmtime_instance_pre_delete(self.prepared)
            self.prepared = NULL


class CommandGuest(Guest):
    """One instance of a command."""

    __slots__ = ("_input", "_linker", "_reading", "_start", "_watching", "arguments", "environment", "files", "tell")

    def __init__(self, module: CommandModule, allowed: Allowed, tell: Callable[[int, bytes], None]) -> None:
        """Raises `OSError` if a granted directory is not there.

        Args:
            module: what it runs.
            allowed: what it gets.
            tell: hears what it writes, as (1 or 2, bytes), on its fiber; may raise `GuestStop`.
        """
        self.files = Files(allowed.directories)
        nobody: Any = None  # its functions ask for no host
        as_module: Any = module
        super().__init__(as_module, allowed.limits(), nobody)
        self._linker = module.linker
        self.tell = tell
        self.arguments = [b"tool", *(argument.encode() for argument in allowed.arguments)]
        self.environment = [f"{name}={value}".encode() for name, value in allowed.environment.items()]
        self._input = bytearray()
        self._reading: tuple[list[tuple[int, int]], int] | None = None
        self._watching: tuple[list[tuple[int, int, int]], int, int] | None = None
        self._start: Any = None

    def start(self) -> Generator[None, None, int | Trap]:
        """Boot and run to the end, which for most is never; yields at the end of each slice."""
        ended = yield from self.boot()
        if isinstance(ended, Trap):
            return ended
        self._start = self._export("_start")
        self._arm()
        slot = self._slot
        future = lib.wasmtime_func_call_async(
            self._context, ffi.addressof(self._start.of, "func"), slot.args, 0, slot.result, 0,
            self._trap_out, self._error_out,
        )  # fmt: skip
        return (yield from self._to_end(self._first_poll(future)))

    def close(self) -> None:
        """Free the instance and close its files. Closing twice is allowed."""
        super().close()
        self._linker.forget(self)
        self.files.close_all()

    # --- work ------------------------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Only input or time can make it go on."""
        if self._reading is not None:
            return not self._input
        return self._watching is not None and self._first_event() is None

    @property
    def wants_input(self) -> bool:
        """It reads, and has used all that it got."""
        return self._reading is not None and not self._input

    @property
    def wakes_ns(self) -> int | None:
        """When it goes on by itself, monotonic nanoseconds; None if only input makes it."""
        times = [when for _, _, when in self._watching[0] if when != WITH_INPUT] if self._watching else []
        return min(times, default=None)

    def feed(self, data: bytes) -> None:
        """More of its standard input."""
        self._input += data

    def renew(self) -> None:
        """A new piece of work begins, with the whole of its limits."""
        self._arm()

    # --- what its host functions ask -------------------------------------------------------------------------

    def said(self, fd: int, data: bytes) -> None:
        self.tell(fd, data)

    def await_input(self, iovecs: list[tuple[int, int]], out: int) -> int | None:
        self._reading = (iovecs, out)
        return self.go_on()

    def await_events(self, subscriptions: list[tuple[int, int, int]], events: int, out: int) -> int | None:
        self._watching = (subscriptions, events, out)
        return self.go_on()

    def go_on(self) -> int | None:
        """See `async_calls.Suspended`."""
        if self._reading is not None:
            return self._take_input(*self._reading) if self._input else None
        if self._watching is None:
            return SUCCESS
        event = self._first_event()
        return None if event is None else self._take_event(event, *self._watching[1:])

    def _take_input(self, iovecs: list[tuple[int, int]], out: int) -> int:
        self._reading, done = None, 0
        for ptr, length in iovecs:
            part = bytes(self._input[:length])
            if not self.write(ptr, part):
                return FAULT
            del self._input[: len(part)]
            done += len(part)
        return SUCCESS if self.write(out, done.to_bytes(4, "little")) else FAULT

    def _first_event(self) -> tuple[int, int, int] | None:
        """The first that has come of those it watches for."""
        now = time.monotonic_ns()
        for event in self._watching[0] if self._watching else ():
            if self._input if event[2] == WITH_INPUT else event[2] <= now:
                return event
        return None

    def _take_event(self, event: tuple[int, int, int], events: int, out: int) -> int:
        self._watching = None
        userdata, kind, when = event
        ready = len(self._input) if when == WITH_INPUT else 0
        entry = userdata.to_bytes(8, "little") + bytes([0, 0, kind]) + bytes(5) + ready.to_bytes(8, "little") + bytes(8)
        return SUCCESS if self.write(events, entry) and self.write(out, (1).to_bytes(4, "little")) else FAULT

    def _link(self) -> None:
        """It has no driver: only its memory is needed."""
        self._find("memory", ffi.addressof(self._slot, "memory"))
        self._memory = ffi.addressof(self._slot.memory.of, "memory")
        self.refresh_memory()
