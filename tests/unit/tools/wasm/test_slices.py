from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from caxton.tools.wasm.slices import Slices

if TYPE_CHECKING:
    from caxton.sandbox.engine import Engine


class Counting:
    """Computes for some slices, and writes down when."""

    def __init__(self, name: str, slices: int, log: list[str], then: asyncio.Event) -> None:
        self._name, self._left, self._log, self._then = name, slices, log, then

    def run_slice(self) -> bool:
        self._log.append(self._name)
        self._left -= 1
        if not self._left:
            self._then.set()
        return self._left > 0


async def test_one_slice_is_run_in_each_round_of_the_loop(engine: Engine) -> None:
    slices, log, done = Slices(engine), list[str](), [asyncio.Event(), asyncio.Event()]
    slices.add(Counting("a", 3, log, done[0]))
    slices.add(Counting("b", 2, log, done[1]))

    def other_work() -> None:
        log.append("-")
        if not all(event.is_set() for event in done):
            asyncio.get_running_loop().call_soon(other_work)

    asyncio.get_running_loop().call_soon(other_work)
    async with asyncio.timeout(5):
        for event in done:
            await event.wait()
    assert "".join(log).rstrip("-") == "a-b-a-b-a"


async def test_what_stands_in_line_already_is_not_added_again(engine: Engine) -> None:
    slices, log, done = Slices(engine), list[str](), asyncio.Event()
    once = Counting("a", 1, log, done)
    slices.add(once)
    slices.add(once)
    async with asyncio.timeout(5):
        await done.wait()
    await asyncio.sleep(0)
    assert log == ["a"]


async def test_guest_that_was_current_is_so_again_after_a_slice(engine: Engine) -> None:
    slices, done = Slices(engine), asyncio.Event()
    before = engine.current

    class Taking(Counting):
        def run_slice(self) -> bool:
            engine.current = None if before is not None else object()  # type: ignore[assignment]
            return super().run_slice()

    slices.add(Taking("a", 1, [], done))
    async with asyncio.timeout(5):
        await done.wait()
    assert engine.current is before
