"""What the operating system says of this process, under the names that Prometheus' own libraries use."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

_DESCRIPTORS = "/proc/self/fd"
_MEMORY = Path("/proc/self/statm")
_PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """At one moment."""

    cpu_s: float
    """Of all its threads since it began."""
    resident_bytes: int
    open_fds: int
    max_fds: int


def read_process() -> Process:
    """Read it; about 20 µs."""
    max_fds, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Process(
        cpu_s=time.process_time(),
        resident_bytes=resident_bytes(),
        open_fds=_open_fds(),
        max_fds=max_fds,
    )


def resident_bytes(statm: Path = _MEMORY) -> int:
    """Memory of this process; 0 where the system does not say."""
    try:
        return int(statm.read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):  # another system than Linux
        return 0


def _open_fds() -> int:
    """The kernel tells their number as the size of their directory since 6.2; to count 10,000 takes milliseconds."""
    return os.stat(_DESCRIPTORS).st_size or len(os.listdir(_DESCRIPTORS))
