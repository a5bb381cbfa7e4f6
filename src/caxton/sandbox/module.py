"""A compiled module, ready to be instantiated many times, and the rules it has to meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import wasmtime

from caxton.core.errors.error import quoted
from caxton.core.errors.modules import InvalidWasm, WasmTooLarge
from caxton.sandbox.engine import IMPORTS, Engine
from caxton.sandbox.ffi import NULL, ffi, lib, pointer
from caxton.sandbox.trap import take_error

if TYPE_CHECKING:
    from caxton.sandbox.limits import Limits

MAX_MODULE_BYTES = 10 << 20
"""Room for a Go or Python guest; the compiler's own limits bind long before for anything hostile."""

PAGE_BYTES = 64 * 1024

_CORE_HEADER = b"\0asm\x01\0\0\0"
_COMPONENT_HEADER = b"\0asm\x0d\0\x01\0"

_REQUIRED = {"caxton_alloc": "i>i", "handle_message": "ii>i"}
_OPTIONAL = {
    "caxton_free": "ii>",
    "agent_init": ">i",
    "agent_shutdown": ">",
    "handle_timer": "i>i",
    "get_capabilities": "ii>i",
    "_initialize": ">",
}


def check_header(wasm: bytes) -> None:
    """Refuse what no compiler should be bothered with. Raises `InvalidWasm`, `WasmTooLarge`."""
    if len(wasm) > MAX_MODULE_BYTES:
        raise WasmTooLarge(len(wasm), MAX_MODULE_BYTES)
    if wasm.startswith(_CORE_HEADER):
        return
    if wasm.startswith(_COMPONENT_HEADER):
        raise InvalidWasm(
            "it is a WebAssembly component; this version hosts core modules (build without componentizing)"
        )
    if not wasm:
        raise InvalidWasm("it is empty")
    if wasm.lstrip()[:1] in (b"(", b";"):
        raise InvalidWasm("it is WebAssembly text; compile it first (wat2wasm)")
    raise InvalidWasm(f"it begins with {quoted(wasm[:8])}, not with the WebAssembly header")


def check_interface(module: wasmtime.Module) -> None:
    """Compare imports and exports with guest interface version 1. Raises `InvalidWasm` that names the first misfit."""
    for item in module.imports:
        _check_import(item)
    exports = {item.name: item.type for item in module.exports}
    for name, wanted in _REQUIRED.items():
        if name not in exports:
            raise InvalidWasm(f"it does not export the function {name}; guests need {', '.join(_REQUIRED)} and memory")
        _check_type("export", name, exports[name], wanted)
    for name, wanted in _OPTIONAL.items():
        if name in exports:
            _check_type("export", name, exports[name], wanted)
    if not isinstance(exports.get("memory"), wasmtime.MemoryType):
        raise InvalidWasm("it does not export its memory under the name 'memory'")


def _check_import(item: wasmtime.ImportType) -> None:
    name = f"{item.module}.{item.name}"
    offered = IMPORTS.get(item.module, {}).get(item.name or "")
    if offered is None:
        raise InvalidWasm(f"it imports {quoted(name)}, which is not offered to guests")
    _check_type("import", name, item.type, f"{offered.params}>{offered.result}")


def _check_type(kind: str, name: str, found: object, wanted: str) -> None:
    if not isinstance(found, wasmtime.FuncType):
        raise InvalidWasm(f"its {kind} {name} is no function")
    got = f"{_letters(found.params)}>{_letters(found.results)}"
    if got != wanted:
        raise InvalidWasm(f"its {kind} {name} has the type {_spelled(got)}, it must be {_spelled(wanted)}")


_LETTERS = {"i32": "i", "i64": "l", "f32": "f", "f64": "d"}


def _letters(types: list[wasmtime.ValType]) -> str:
    return "".join(_LETTERS.get(str(kind), "?") for kind in types)


def _spelled(letters: str) -> str:
    names = {letter: name for name, letter in _LETTERS.items()}
    params, result = (", ".join(names.get(c, "?") for c in part) for part in letters.split(">"))
    return f"({params}) -> {result or '()'}"


class Module:
    """Compiled code of one agent. `close()` once no instance is left."""

    def __init__(self, engine: Engine, compiled: bytes, *, sha256: str = "") -> None:
        """Raises `InvalidWasm` when the module does not fit the guest interface.

        Args:
            engine: that will run it.
            compiled: what the compiler made of it.
            sha256: of the WebAssembly that `compiled` was made from, for those who tell which module it is.
        """
        self.engine = engine
        self.sha256 = sha256
        self._module = wasmtime.Module.deserialize(engine.wasmtime_engine, compiled)
        check_interface(self._module)
        exports = {item.name: item.type for item in self._module.exports}
        self.handle = pointer(self._module.ptr())
        self.exports = frozenset(exports)
        memory = exports["memory"]
        self.min_memory_bytes = memory.limits.min * PAGE_BYTES if isinstance(memory, wasmtime.MemoryType) else 0
        out = ffi.new("void **")
        error = lib.wasmtime_linker_instantiate_pre(engine.linker, self.handle, out)
        if error != NULL:
            raise InvalidWasm(take_error(error).reason)
        self.prepared = out[0]

    def check_limits(self, limits: Limits) -> None:
        """Raises `InvalidWasm` when the module cannot even start within `limits`."""
        if self.min_memory_bytes > limits.memory_bytes:
            raise InvalidWasm(
                f"it starts with {self.min_memory_bytes} bytes of memory, its limit is {limits.memory_bytes}; "
                "raise the limit (--memory) or build it with a smaller stack"
            )

    def close(self) -> None:
        if self.prepared != NULL:
            lib.wasmtime_instance_pre_delete(self.prepared)
            self.prepared = NULL
