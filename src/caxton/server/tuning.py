"""What the whole process is tuned to; benches and tests that want a server's behaviour use the same."""

from __future__ import annotations

import gc
import sys

SWITCH_INTERVAL_S = 0.0005
"""The HTTP server's threads and the epoch's wait for the interpreter lock; at Python's 5 ms a busy bus would starve
them (3 requests a second were measured, against 1,500)."""

GC_THRESHOLD = 50_000
"""Messages are not tracked by the collector; what is left comes and goes slowly."""


def tune_process() -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GC_THRESHOLD, 20, 50)
