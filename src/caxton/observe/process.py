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
    _, resident_pages, *_ = _MEMORY.read_bytes().split()
    max_fds, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Process(
        cpu_s=time.process_time(),
        resident_bytes=int(resident_pages) * _PAGE_BYTES,
        open_fds=_open_fds(),
        max_fds=max_fds,
    )


def _open_fds() -> int:
    """The kernel tells their number as the size of their directory since 6.2; to count 10,000 takes milliseconds."""
    return os.stat(_DESCRIPTORS).st_size or len(os.listdir(_DESCRIPTORS))
