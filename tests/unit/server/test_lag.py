"""The event loop's lag: what is late is seen, what is in time is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from caxton.server.lag import EVERY_S, LoopLag
from tests.unit.manual import anyio_backend, clock

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.testing.clock import ManualClock


__all__ = ["anyio_backend", "clock"]


@pytest.fixture
def lag() -> Generator[LoopLag]:
    lag = LoopLag()
    yield lag
    lag.close()


async def looked(lag: LoopLag) -> int:
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    return sum(lag.seen.read().counts)


async def test_loop_that_is_held_up_is_late_by_as_much(lag: LoopLag, clock: ManualClock) -> None:
    lag.start()
    clock.advance(EVERY_S + 3.0)
    assert await looked(lag) == 1
    assert lag.seen.read().total == pytest.approx(3.0)


async def test_loop_that_is_in_time_has_no_lag(lag: LoopLag, clock: ManualClock) -> None:
    lag.start()
    for n in range(1, 4):
        clock.advance(EVERY_S)
        assert await looked(lag) == n
    assert lag.seen.read().total == pytest.approx(0.0)


async def test_nothing_is_looked_at_after_its_end(lag: LoopLag, clock: ManualClock) -> None:
    lag.start()
    lag.close()
    clock.advance(10 * EVERY_S)
    assert await looked(lag) == 0
