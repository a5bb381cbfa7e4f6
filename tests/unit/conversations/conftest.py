"""A bus with a referee, on a clock that the test turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.conversations.talk import Talk
from tests.unit.manual import anyio_backend, clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from caxton.testing.clock import ManualClock

__all__ = ["anyio_backend", "clock"]


@pytest.fixture
async def talk(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Talk]:
    made = Talk(tmp_path / "journal.db", clock)
    yield made
    made.close()
