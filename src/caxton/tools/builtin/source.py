"""A source made of functions: what the built-in tools have in common.

A function gets the call and answers with an outcome, at once or as a coroutine. What it raises is turned into an answer
here, and a coroutine that outlasts the call's deadline is cancelled: a tool has to end its work then.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.tools.source import Failure, Result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from caxton.tools.source import Call, Outcome, ToolInfo, Trouble

logger = logging.getLogger(__name__)


class ToolError(Exception):
    """The tool did its work and it came to nothing (not found, too large, conflict). Its text is for who called."""


class CannotCall(Exception):
    """There is no answer. Its text is for people, as that of `Failure`."""

    def __init__(self, trouble: Trouble, detail: str, *, cause: str = "") -> None:
        super().__init__(detail)
        self.trouble: Trouble = trouble
        self.detail = detail
        self.cause = cause
        """For whoever runs the server, not for agents; without secrets."""


@dataclass(frozen=True, slots=True)
class BuiltinTool:
    """One tool: how it is described, and what it does."""

    info: ToolInfo
    run: Callable[[Call], Outcome | Awaitable[Outcome]]


def answer(structured: dict[str, Any]) -> Result:
    """A result with `structured`, and the same as JSON text, as MCP wants it."""
    text = msgspec.json.encode(structured).decode()
    return Result(content=[{"type": "text", "text": text}], structured=structured)


def error(text: str) -> Result:
    """The tool says that it failed."""
    return Result(content=[{"type": "text", "text": text}], is_error=True)


def arguments_schema(required: Iterable[str] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema of an object with these properties and no others."""
    return {
        "type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
    }  # fmt: skip


class BuiltinSource:
    """The port `Source` over a table of functions."""

    def __init__(
        self,
        name: str,
        tools: Iterable[BuiltinTool],
        *,
        kind: str,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`kind` says which of the built-in ones it is; `close` is called once, at the end."""
        self.name, self._kind = name, kind
        self._tools = {tool.info.name: tool for tool in tools}
        self._close = close
        self._is_closed = False
        self._last_error = ""
        self._in_flight: set[asyncio.Task[Any]] = set()

    async def list_tools(self) -> list[ToolInfo]:
        return [tool.info for tool in self._tools.values()]

    def call(self, call: Call) -> Outcome | Awaitable[Outcome]:
        tool = self._tools.get(call.tool)
        if tool is None:
            return Failure("not_found", f"{self.name} has no such tool")
        if self._is_closed:
            return Failure("unavailable", f"{self.name} is closed")
        if call.until <= time.monotonic():
            return _timeout(self.name)
        try:
            found = tool.run(call)
        except Exception as exc:  # a wall: whatever a tool does wrong is its answer
            return self._outcome_of(exc)
        return self._wait(found, call.until) if inspect.isawaitable(found) else found

    def view(self) -> Mapping[str, Any]:
        shown: dict[str, Any] = {"state": "closed" if self._is_closed else "running", "builtin": self._kind}
        return {**shown, "last_error": self._last_error} if self._last_error else shown

    def on_change(self, tell: Callable[[], None]) -> None:
        """Its tools never change."""

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        if self._close is not None:
            await self._close()

    async def _wait(self, work: Awaitable[Outcome], until: float) -> Outcome:
        task = asyncio.ensure_future(work)
        self._in_flight.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait((task,), timeout=max(0.0, until - time.monotonic()))
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            task.cancel()  # and is not waited for: ending a query of a server that is gone takes its time
            return _timeout(self.name)
        if task.cancelled():
            return Failure("unavailable", f"{self.name} was closed")
        exc = task.exception()
        return task.result() if exc is None else self._outcome_of(exc)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio would complain of those that nobody waits for

    def _outcome_of(self, exc: BaseException) -> Outcome:
        if isinstance(exc, ToolError):
            return error(str(exc))
        if isinstance(exc, CannotCall):
            self._last_error = exc.cause or self._last_error
            return Failure(exc.trouble, exc.detail)
        logger.error("built-in tool failed", exc_info=exc, extra={"action": "tool.failed", "source": self.name})
        self._last_error = type(exc).__name__
        return Failure("failed", f"{self.name} failed; the server's log has the details")


def _timeout(name: str) -> Failure:
    return Failure("timeout", f"{name} did not answer in time")
