"""What the writer thread says, awaited on the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def answer_of(ask: Callable[[Callable[[T | Exception], None]], None]) -> T:
    """The answer to `ask`, which hands what it is given to one of `Database`'s methods as `done`.

    Raises: the answer, if it is an exception.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def arrived(value: T | Exception) -> None:
        if answer.done():  # whoever asked is gone
            return
        if isinstance(value, Exception):
            answer.set_exception(value)
        else:
            answer.set_result(value)

    ask(lambda value: _tell(loop, arrived, value))
    return await answer


def _tell(loop: asyncio.AbstractEventLoop, arrived: Callable[[T | Exception], None], value: T | Exception) -> None:
    loop.call_soon_threadsafe(arrived, value)
