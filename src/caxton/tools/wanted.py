"""What an agent asks of the broker, and what it waits for when there is no answer yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True, kw_only=True)
class Wanted:
    """One call that an agent asks for; nothing of it is checked. Not changed after it was made."""

    workspace: str
    agent: str
    """Who calls."""
    tool: str
    """`SOURCE.TOOL`."""
    arguments: bytes
    """As the agent gave them: it should be a JSON object."""
    key: str
    """Idempotency key: the same for every repetition of this call, after a crash too."""
    traceparent: str = ""
    """W3C; empty if there is none."""
    depth: int = 0
    """How many calls of agents as tools it stands on."""


class Pending:
    """A call that goes on. Used on the event loop's thread only."""

    __slots__ = ("_told", "is_cancelled", "on_cancel", "result")

    def __init__(self) -> None:
        self.result: bytes | int | None = None
        """What `Broker.call` would have returned at once; None as long as there is none."""
        self.is_cancelled = False
        self.on_cancel: Callable[[], None] | None = None
        """For the broker: called if whoever waits gives up before there is a result."""
        self._told: list[Callable[[], None]] = []

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call back once, when `result` is there: now, if it is. Several are called in the order asked."""
        if self.result is None:
            self._told.append(callback)
        else:
            callback()

    def cancel(self) -> None:
        """Nobody waits any more: callbacks are forgotten, and what can be stopped is. Harmless when it is done."""
        self._told.clear()
        if self.result is None and not self.is_cancelled:
            self.is_cancelled = True
            if self.on_cancel is not None:
                self.on_cancel()

    def settle(self, result: bytes | int) -> None:
        """For the broker: there is a result. The first one counts."""
        if self.result is not None:
            return
        self.result, self.on_cancel = result, None
        told, self._told = self._told, []
        for callback in told:
            callback()
