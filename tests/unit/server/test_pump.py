"""The pump: works while there is work, gives way after each slice, rests when there is none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from caxton.server.pump import QUIET_S, SLICE_S, Pump
from tests.unit.manual import anyio_backend, clock

if TYPE_CHECKING:
    from caxton.bus.bus import Bus
    from caxton.sandbox.engine import Engine
    from caxton.testing.clock import ManualClock


__all__ = ["anyio_backend", "clock"]


class Ticks:
    """The part of an engine that a pump sees: who holds its clock running."""

    def __init__(self) -> None:
        self.holders = 0

    def hold_ticks(self) -> None:
        self.holders += 1

    def release_ticks(self) -> None:
        self.holders -= 1
        assert self.holders >= 0


class Work:
    """The part of a bus that a pump sees."""

    def __init__(self) -> None:
        self.slices_left = 0
        self.budgets: list[float] = []
        self.fails = False

    @property
    def has_work(self) -> bool:
        return self.slices_left > 0

    def pump(self, budget_s: float) -> None:
        self.budgets.append(budget_s)
        self.slices_left -= 1
        if self.fails:
            raise RuntimeError("a bug of ours")


def new_pump() -> tuple[Pump, Ticks, Work]:
    ticks, work = Ticks(), Work()
    pump = Pump(cast("Engine", ticks))
    pump.attach(cast("Bus", work))
    return pump, ticks, work


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_others_get_their_turn_between_any_two_slices() -> None:
    pump, _, work = new_pump()
    work.slices_left = 5
    pump.wake()
    seen: list[int] = []
    for _ in range(8):
        await asyncio.sleep(0)
        seen.append(len(work.budgets))
    assert seen == [1, 2, 3, 4, 5, 5, 5, 5]
    assert work.budgets == [SLICE_S] * 5


async def test_being_woken_often_makes_one_slice() -> None:
    pump, _, work = new_pump()
    for _ in range(100):
        pump.wake()
    await turns(5)
    assert len(work.budgets) == 1


async def test_clock_of_the_guests_runs_while_there_is_work_and_a_little_longer(clock: ManualClock) -> None:
    pump, ticks, work = new_pump()
    work.slices_left = 3
    pump.wake()
    assert ticks.holders == 1
    await turns(10)
    clock.advance(QUIET_S * 0.9)
    await turns(3)
    assert ticks.holders == 1
    pump.wake()  # a sparse message: it starts nothing anew
    await turns(3)
    clock.advance(QUIET_S * 0.9)
    await turns(3)
    assert ticks.holders == 1
    clock.advance(QUIET_S)
    await turns(3)
    assert ticks.holders == 0


async def test_after_a_rest_it_can_be_woken_again(clock: ManualClock) -> None:
    pump, ticks, work = new_pump()
    for _ in range(3):
        pump.wake()
        await turns(3)
        clock.advance(QUIET_S)
        await turns(3)
    assert (len(work.budgets), ticks.holders) == (3, 0)


async def test_closed_pump_does_nothing_more() -> None:
    pump, ticks, work = new_pump()
    work.slices_left = 100
    pump.wake()
    await turns(3)
    pump.close()
    done = len(work.budgets)
    pump.wake()
    await turns(5)
    assert (len(work.budgets), ticks.holders) == (done, 0)


async def test_bug_in_one_slice_does_not_end_the_pump() -> None:
    pump, _, work = new_pump()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    work.fails, work.slices_left = True, 1
    pump.wake()
    await turns(3)
    work.fails = False
    pump.wake()
    await turns(3)
    assert len(work.budgets) == 2


async def test_paused_it_hands_over_nothing_and_goes_on_where_it_was(clock: ManualClock) -> None:
    pump, _, work = new_pump()
    work.slices_left = 10
    pump.wake()
    await turns(3)
    done = len(work.budgets)
    pump.pause()
    pump.wake()
    await turns(5)
    assert len(work.budgets) == done
    pump.resume()
    await turns(20)
    assert len(work.budgets) == 10


async def test_resumed_without_work_it_rests() -> None:
    pump, _, work = new_pump()
    pump.pause()
    pump.resume()
    await turns(3)
    assert work.budgets == []
