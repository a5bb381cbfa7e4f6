"""A bus with a referee, on a clock that the test turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.testing.clock import ManualClock, ManualLoop
from tests.unit.conversations.talk import Talk

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
async def talk(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Talk]:
    made = Talk(tmp_path / "journal.db", clock)
    yield made
    made.close()
