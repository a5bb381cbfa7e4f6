"""A clock that the test turns, and an event loop that follows it: fixtures, to import."""

from __future__ import annotations

from typing import Any

import pytest

from caxton.testing.clock import ManualClock, ManualLoop


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def anyio_backend(clock: ManualClock) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": lambda: ManualLoop(clock)}
