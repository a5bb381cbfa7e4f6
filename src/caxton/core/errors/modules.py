"""WebAssembly modules that are not hosted, and what it takes to host one."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError


class InvalidWasm(CaxtonError):
    """The bytes are no WebAssembly module that Caxton can host."""

    code = "INVALID_WASM"

    def __init__(self, reason: str) -> None:
        super().__init__(f"this module cannot be hosted: {reason}")
        self.reason = reason


class WasmTooLarge(CaxtonError):
    """The module is over the size limit."""

    code = "WASM_TOO_LARGE"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the module has {size_bytes} bytes, the limit is {limit_bytes}; strip debug information (wasm-strip, -s)"
        )
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class CompileLimitExceeded(CaxtonError):
    """The compiler ran out of its time or memory on this module."""

    code = "COMPILE_LIMIT_EXCEEDED"

    def __init__(self, cpu_s: int, memory_bytes: int) -> None:
        super().__init__(
            f"compiling this module needs more than {cpu_s} s of CPU or {memory_bytes >> 20} MiB; make it smaller"
        )
        self.cpu_s, self.memory_bytes = cpu_s, memory_bytes


class SandboxUnavailable(CaxtonError):
    """The WebAssembly engine on this machine is not the one that Caxton was built for."""

    code = "SANDBOX_UNAVAILABLE"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the sandbox cannot start: {reason}; mend that, or reinstall Caxton with its locked packages")
