"""Waiting for another process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE_S = 30.0
EVERY_S = 0.02
"""Another process gives no event to wait on, only answers: so it is asked again after a pause, and never for ever."""


def until(answer: Callable[[], T], *, patience_s: float = PATIENCE_S) -> T:
    """Ask until the answer is truthy, and return it."""
    deadline = time.monotonic() + patience_s
    while not (found := answer()):
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(EVERY_S)
    return found
