"""What the whole process is tuned to; benches and tests that want a server's behaviour use the same."""

from __future__ import annotations

import gc
import sys

SWITCH_INTERVAL_S = 0.0005
"""How long the HTTP server's threads and the epoch's wait for the interpreter lock while Python code computes. Guest
calls give it up anyway, so a bus busy with guests serves 2,000 requests a second at Python's own 5 ms as well; it is
for the Python in between."""

GC_THRESHOLD = 50_000
"""Messages are not tracked by the collector; what is left comes and goes slowly."""


def tune_process() -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GC_THRESHOLD, 20, 50)
