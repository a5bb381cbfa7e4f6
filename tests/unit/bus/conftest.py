"""A clock that the test turns, an event loop that follows it, and a bus on both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.bus.rig import Rig
from tests.unit.manual import anyio_backend, clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from caxton.testing.clock import ManualClock

__all__ = ["anyio_backend", "clock"]


@pytest.fixture
async def rig(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Rig]:
    made = Rig(tmp_path / "journal.db", clock)
    yield made
    made.close()
