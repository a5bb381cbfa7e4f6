"""One call on its way through the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from caxton.tools.catalogue import Tool
    from caxton.tools.limits import Caller
    from caxton.tools.source import Call, Outcome
    from caxton.tools.wanted import Pending, Wanted


class Job:
    """What is known of a call, from its check to its end."""

    __slots__ = (
        "arguments", "at_us", "attempts", "began", "call", "caller", "is_over", "marks", "pending", "question", "task",
        "ticket", "timer", "tool", "until", "wanted",
    )  # fmt: skip

    def __init__(
        self, wanted: Wanted, tool: Tool, caller: Caller, arguments: dict[str, Any], began: float, at_us: int
    ) -> None:
        self.wanted, self.tool, self.caller, self.arguments = wanted, tool, caller, arguments
        self.began, self.at_us = began, at_us
        self.until = 0.0
        """Its deadline, monotonic seconds; set when no person has to be waited for any more."""
        self.attempts = 0
        self.marks = tool.source.marks
        """Of its source when its definition was looked at."""
        self.ticket: int | None = None
        """Of the gate, while it is within."""
        self.call: Call | None = None
        self.pending: Pending | None = None
        self.question: str | None = None
        """Of the person that it waits for."""
        self.task: asyncio.Future[Outcome] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.is_over = False

    @property
    def argument_bytes(self) -> int:
        return len(self.wanted.arguments)

    def stop(self) -> None:
        """It is over: nothing that belongs to it happens any more."""
        self.is_over = True
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()
