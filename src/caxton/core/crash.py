"""Places where a test may end the process: `CAXTON_CRASH_AT=name:n` kills it the n-th time `name` is passed.

The process ends as by kill -9: nothing is flushed or closed. Without the variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "CAXTON_CRASH_AT"


def _read() -> tuple[str, int] | None:
    name, _, count = os.environ.get(VARIABLE, "").partition(":")
    return (name, int(count or 1)) if name else None


_armed = _read()
_passed = 0

ARMED = _armed is not None
"""For the hottest paths, which ask this before they call."""


def crash_point(name: str) -> None:
    """End the process here if that is what was asked for."""
    if _armed is not None and _armed[0] == name:
        _crash()


def _crash() -> None:
    global _passed
    _passed += 1
    if _armed is not None and _passed >= _armed[1]:
        os.kill(os.getpid(), signal.SIGKILL)
