"""Which request a line of the server's log belongs to: facts that its task carries, read only when a line is written.

They count for that task alone. A context variable by itself would not do: callbacks and tasks that a request begins
inherit it, so the pump, once woken by a request, would log in its name for as long as there is work.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Work:
    """One request; to be ended, or what it refers to is kept by whoever inherited it."""

    __slots__ = ("_facts", "_task")

    def __init__(self, facts: Callable[[], dict[str, Any]]) -> None:
        self._facts: Callable[[], dict[str, Any]] | None = facts
        self._task = asyncio.current_task()

    def end(self) -> None:
        """Nothing is logged in its name any more."""
        self._facts = self._task = None

    def facts(self) -> dict[str, Any]:
        """Its facts, if it is this task's."""
        return self._facts() if self._facts is not None and self._task is _task_now() else {}


_work: ContextVar[Work | None] = ContextVar("caxton_work", default=None)


def begin(facts: Callable[[], dict[str, Any]]) -> Work:
    """From now on this task logs with what `facts` returns."""
    work = Work(facts)
    _work.set(work)
    return work


def facts_now() -> dict[str, Any]:
    """The facts of whatever logs now."""
    work = _work.get()
    return {} if work is None else work.facts()


def _task_now() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # another thread
        return None
