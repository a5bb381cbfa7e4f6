"""What state machines share that play on an event loop whose clock they turn."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from caxton.testing.clock import ManualClock, ManualLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class LoopMachine(RuleBasedStateMachine):
    """A clock, a loop that follows it, and a folder; an error in a callback of the loop is that of the next `run`."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.loop = ManualLoop(self.clock)
        self.loop.set_exception_handler(self._callback_failed)
        self.errors: list[BaseException] = []
        self.folder = tempfile.TemporaryDirectory()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, once it is done."""
        result = self.loop.run_until_complete(work)
        if self.errors:
            raise self.errors[0]
        return result

    def teardown(self) -> None:
        self.loop.close()
        self.folder.cleanup()

    def _callback_failed(self, _loop: object, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or AssertionError(context["message"]))
