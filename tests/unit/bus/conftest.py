"""A clock that the test turns, an event loop that follows it, and a bus on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.testing.clock import ManualClock, ManualLoop
from tests.unit.bus.rig import Rig

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def anyio_backend(clock: ManualClock) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": lambda: ManualLoop(clock)}


@pytest.fixture
async def rig(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Rig]:
    made = Rig(tmp_path / "journal.db", clock)
    yield made
    made.close()
