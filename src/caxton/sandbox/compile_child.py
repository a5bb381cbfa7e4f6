"""Compiles one module: WebAssembly on stdin, native code on stdout. Run as a child process with limits on itself.

With the argument `command` it is checked as a WASI command, else as an agent.

A small hostile module can keep the compiler busy for minutes or make it take gigabytes, and wasmtime does not call that
a vulnerability; so it happens here, where the kernel ends it. Exit code 0: compiled; 3: the reason is on stderr.
"""

from __future__ import annotations

import resource
import sys

CPU_S = 20
"""A 4 MiB Go module takes 3 s of CPU here; ten times the largest honest one tried would still be an attack."""

MEMORY_BYTES = 1 << 30
"""Address space. Both compile bombs that were tried ended below 2 s with it."""

REFUSED = 3

MAX_REASON_CHARS = 400


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import wasmtime

    from caxton.core.errors.modules import InvalidWasm
    from caxton.sandbox.engine import make_wasmtime_engine
    from caxton.sandbox.module import check_interface
    from caxton.sandbox.trap import printable
    from caxton.sandbox.wasi_command import check_command

    check = check_command if sys.argv[1:] == ["command"] else check_interface

    try:
        module = wasmtime.Module(make_wasmtime_engine(), sys.stdin.buffer.read())
        check(module)
    except InvalidWasm as refused:
        sys.stderr.write(refused.reason)
        return REFUSED
    except wasmtime.WasmtimeError as refused:
        sys.stderr.write(printable(_causes(str(refused)), MAX_REASON_CHARS))
        return REFUSED
    sys.stdout.buffer.write(module.serialize())
    return 0


def _causes(text: str) -> str:
    """Wasmtime's own words, without its layers. Names that the guest chose are in them."""
    lines = [line.strip().removeprefix("0:").removeprefix("1:").strip() for line in text.splitlines()]
    causes = [line for line in lines if line and line != "Caused by:"]
    return "; ".join(dict.fromkeys(causes))


if __name__ == "__main__":
    sys.exit(main())
