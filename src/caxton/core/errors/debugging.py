"""Looking into an instance."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError


class OutsideMemory(CaxtonError):
    """A part of a guest's memory was asked for that is not there."""

    code = "OUTSIDE_MEMORY"

    def __init__(self, name: str, offset: int, length: int, memory_bytes: int) -> None:
        super().__init__(
            f"{length} bytes at {offset:#x} are outside the memory of agent {name!r}, which has {memory_bytes} bytes "
            f"(up to {memory_bytes:#x}); ask for less or for an earlier offset"
        )
        self.name, self.offset, self.length, self.memory_bytes = name, offset, length, memory_bytes


class ProfileRunning(CaxtonError):
    """The agent is being profiled already."""

    code = "PROFILE_RUNNING"

    def __init__(self, name: str) -> None:
        super().__init__(f"agent {name!r} is being profiled already; try again when that profile has ended")
        self.name = name


class ProfilerUnavailable(CaxtonError):
    """The WebAssembly engine was built without its profiler."""

    code = "PROFILER_UNAVAILABLE"

    def __init__(self, version: str) -> None:
        super().__init__(
            f"this build of wasmtime {version} has no guest profiler; reinstall Caxton with its locked packages, "
            "meanwhile 'caxton debug agent NAME --stack' shows where a busy guest is"
        )
        self.version = version
