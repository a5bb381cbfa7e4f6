"""libwasmtime's C interface through cffi, for the calls that must be fast.

The `wasmtime` package is used for all the rest (engine settings, types, compiling). Both speak to the same shared
library, so handles may cross. Structs are declared here and checked against the package's own layouts at import: a
different wasmtime refuses to start instead of corrupting memory.

Numbers in and out of a guest are read through integer pointers, not through unions: an element of an `int32_t *` is a
Python int at once, which costs a third of `args[0].i32`. A raw value is 16 bytes, so argument n is at index 4 n.
"""

from __future__ import annotations

import ctypes
import faulthandler
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before any engine exists: enabled later, Python's handler takes the signals that wasmtime turns into traps, and a
# guest that reads out of bounds would end the process.
if not faulthandler.is_enabled():
    faulthandler.enable()

import wasmtime
from cffi import FFI
from wasmtime import _bindings

from caxton.core.errors.modules import SandboxUnavailable

WASMTIME_VERSION = "50.0.1"
"""The one version whose layouts and behaviour were tried."""

ffi: Any = FFI()
ffi.cdef(
    """
    typedef struct { uint64_t store_id; void *private1; } func_t;
    typedef struct { uint64_t store_id; size_t private1; } instance_t;
    typedef struct { uint64_t private1[3]; } memory_t;
    typedef struct { uint8_t kind; union { func_t func; memory_t memory; uint64_t size[3]; } of; } extern_t;
    typedef struct { uint8_t kind; union { int32_t i32; int64_t i64; uint64_t size[3]; } of; } val_t;
    typedef struct { size_t size; uint8_t *data; } byte_vec_t;
    typedef struct { size_t size; void **data; } frame_vec_t;
    typedef struct { byte_vec_t *name; void *module; } profiled_t;

    /* One per instance: all that outlives a call while the guest is suspended. */
    typedef struct {
        val_t args[3];
        val_t result[1];
        void *trap;
        void *error;
        instance_t instance;
        instance_t driver;
        extern_t memory;
        extern_t link[3];
        extern_t entry;
    } slot_t;

    typedef void *(*host_function_t)(void *env, void *caller, int32_t *args_and_result, size_t count);
    typedef bool (*is_ready_t)(void *env);
    typedef struct { is_ready_t is_ready; void *env; void *finalizer; } continuation_t;
    typedef void (*waiting_function_t)(void *env, void *caller, val_t *args, size_t arg_count, val_t *results,
                                       size_t result_count, void **trap, continuation_t *continuation);
    typedef void *(*deadline_t)(void *context, void *data, uint64_t *delta, uint8_t *kind);

    void *wasmtime_store_new(void *engine, void *data, void *finalizer);
    void wasmtime_store_delete(void *store);
    void *wasmtime_store_context(void *store);
    void wasmtime_store_limiter(void *store, int64_t memory_bytes, int64_t table_elements, int64_t instances,
                                int64_t tables, int64_t memories);
    void wasmtime_store_epoch_deadline_callback(void *store, deadline_t call, void *data, void *finalizer);
    void wasmtime_context_set_epoch_deadline(void *context, uint64_t ticks);
    void wasmtime_engine_increment_epoch(void *engine);

    void *wasmtime_linker_define_func_unchecked(void *linker, const char *module, size_t module_length,
                                                const char *name, size_t name_length, void *type,
                                                host_function_t call, void *data, void *finalizer);
    void *wasmtime_linker_define_async_func(void *linker, const char *module, size_t module_length, const char *name,
                                            size_t name_length, void *type, waiting_function_t call, void *data,
                                            void *finalizer);
    void *wasmtime_linker_new(void *engine);
    void wasmtime_linker_delete(void *linker);
    void *wasmtime_linker_define(void *linker, void *context, const char *module, size_t module_length,
                                 const char *name, size_t name_length, extern_t *item);
    void *wasmtime_linker_instantiate_async(void *linker, void *context, void *module, instance_t *instance,
                                            void **trap, void **error);
    void *wasmtime_linker_instantiate_pre(void *linker, void *module, void **prepared);
    bool wasmtime_linker_get(void *linker, void *context, const char *module, size_t module_length, const char *name,
                             size_t name_length, extern_t *item);
    void wasmtime_instance_pre_delete(void *prepared);
    void *wasmtime_instance_pre_instantiate_async(void *prepared, void *context, instance_t *instance, void **trap,
                                                  void **error);
    bool wasmtime_instance_export_get(void *context, instance_t *instance, const char *name, size_t length,
                                      extern_t *item);

    void *wasmtime_func_call_async(void *context, func_t *function, val_t *args, size_t arg_count, val_t *results,
                                   size_t result_count, void **trap, void **error);
    bool wasmtime_call_future_poll(void *future);
    void wasmtime_call_future_delete(void *future);

    uint8_t *wasmtime_memory_data(void *context, memory_t *memory);
    size_t wasmtime_memory_data_size(void *context, memory_t *memory);

    void *wasmtime_trap_new(const char *message, size_t length);
    bool wasmtime_trap_code(void *trap, uint8_t *code);
    void wasm_trap_message(void *trap, byte_vec_t *message);
    void wasm_trap_trace(void *trap, frame_vec_t *frames);
    void wasm_trap_delete(void *trap);
    void *wasmtime_error_new(const char *message);
    void wasmtime_error_message(void *error, byte_vec_t *message);
    void wasmtime_error_wasm_trace(void *error, frame_vec_t *frames);
    void wasmtime_error_delete(void *error);
    byte_vec_t *wasmtime_frame_func_name(void *frame);
    uint32_t wasm_frame_func_index(void *frame);
    size_t wasm_frame_module_offset(void *frame);
    void wasm_frame_vec_delete(frame_vec_t *frames);
    void wasm_byte_vec_delete(byte_vec_t *bytes);

    void *wasmtime_guestprofiler_new(void *engine, byte_vec_t *name, uint64_t interval_ns, profiled_t *modules,
                                     size_t count);
    void wasmtime_guestprofiler_sample(void *profiler, void *store, uint64_t cpu_ns);
    void *wasmtime_guestprofiler_finish(void *profiler, byte_vec_t *out);
    void wasmtime_guestprofiler_delete(void *profiler);
    """
)

_LAYOUTS: dict[str, Any] = {
    "func_t": _bindings.wasmtime_func,
    "instance_t": _bindings.wasmtime_instance,
    "memory_t": _bindings.wasmtime_memory,
    "extern_t": _bindings.wasmtime_extern,
    "val_t": _bindings.wasmtime_val,
    "byte_vec_t": _bindings.wasm_byte_vec_t,
    "frame_vec_t": _bindings.wasm_frame_vec_t,
    "continuation_t": _bindings.wasmtime_async_continuation_t,
    "profiled_t": _bindings.wasmtime_guestprofiler_modules,
}

RAW_VALUE_BYTES = 16
VAL_BYTES = 32
VAL_PAYLOAD_OFFSET = 8


def check_layouts() -> None:
    """Compare every struct declared here with the installed package's. Raises `SandboxUnavailable`."""
    installed = version("wasmtime")
    if installed != WASMTIME_VERSION:
        raise SandboxUnavailable(f"wasmtime {installed} is installed, {WASMTIME_VERSION} is needed")
    for name, known in _LAYOUTS.items():
        ours, theirs = ffi.sizeof(name), ctypes.sizeof(known)
        if ours != theirs:
            raise SandboxUnavailable(f"wasmtime's {known.__name__} has {theirs} bytes instead of {ours}")
    bindings: Any = _bindings
    sizes = (
        ctypes.sizeof(bindings.wasmtime_val_raw),
        ctypes.sizeof(bindings.wasmtime_val),
        bindings.wasmtime_val.of.offset,
        bindings.wasmtime_extern.of.offset,
    )
    if sizes != (RAW_VALUE_BYTES, VAL_BYTES, VAL_PAYLOAD_OFFSET, ffi.offsetof("extern_t", "of")):
        raise SandboxUnavailable(f"wasmtime lays out its values differently: {sizes}")
    if sys.byteorder != "little":
        raise SandboxUnavailable("only little-endian machines were tried")


def _open_library() -> Any:
    found = sorted(Path(wasmtime.__file__).parent.glob("*/_*wasmtime.*"))
    if not found:
        raise SandboxUnavailable("wasmtime's shared library is missing")
    return ffi.dlopen(str(found[0]))


def pointer(handle: Any) -> Any:
    """A handle of the `wasmtime` package as a cffi pointer. The package's object must outlive its use."""
    return ffi.cast("void *", ctypes.cast(handle, ctypes.c_void_p).value)


check_layouts()
lib: Any = _open_library()
NULL: Any = ffi.NULL
