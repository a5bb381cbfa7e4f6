"""`caxton.api.services.TaskService` in memory: nobody bids unless a test says so. Time stands still."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors.receivers import CapabilityNotFound, UnknownReceiver
from caxton.core.errors.tasks import TaskEnded, TaskIdConflict, TaskNotFound, TasksFull
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.suggest import nearest
from caxton.natives.tasks.call import check_call
from caxton.natives.tasks.contract import CancelAsked, Event, Outlook, begin, on_event
from caxton.natives.tasks.record import NEWCOMER
from caxton.natives.tasks.store import Result, Task
from caxton.natives.tasks.view import detail_of, view_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.ids import WorkspaceName
    from caxton.core.views.tasks import TaskDetail, TaskSpec, TaskView
    from caxton.security.principal import Principal

AT_US = 1_800_000_000_000_000
_OUTLOOK = Outlook(lambda _: NEWCOMER, lambda _: True)


class FakeTasks:
    """Tasks in a dict, and the same rules.

    Attributes:
        limit: how many may be open.
        waits: what was waited for: (task, seconds).
    """

    def __init__(self, is_there: Callable[[str], bool]) -> None:
        """`is_there` says which agents there are; each has the capability that is called as it is."""
        self._is_there = is_there
        self._tasks: dict[str, tuple[Task, bytes]] = {}
        self._results: dict[str, list[Result]] = {}
        self.limit = 400
        self.waits: list[tuple[str, float]] = []

    def clear(self) -> None:
        """There never was a task."""
        self._tasks.clear()
        self._results.clear()
        self.waits.clear()

    def happens(self, task_id: str, event: Event, *results: Result) -> None:
        """Let `event` happen to a task, and these be its results."""
        task, content = self._tasks[task_id]
        contract, _ = on_event(task.contract, event, _OUTLOOK)
        self._tasks[task_id] = msgspec.structs.replace(task, contract=contract), content
        self._results[task_id] = [*results]

    async def create(
        self, workspace: WorkspaceName, principal: Principal, spec: TaskSpec, *, traceparent: str = ""
    ) -> tuple[TaskDetail, bool]:
        """Nobody answers."""
        _check(workspace)
        call = check_call(spec, principal.name)
        if call.id in self._tasks:
            if self._tasks[call.id][0].digest != call.digest:
                raise TaskIdConflict(call.id)
            return self._detail(call.id), False
        if call.capability and not self._is_there(call.capability):
            raise CapabilityNotFound(call.capability, [])
        for name in call.names:
            if not self._is_there(name):
                raise UnknownReceiver(name)
        if sum(task.contract.is_open for task, _ in self._tasks.values()) >= self.limit:
            raise TasksFull("tasks", self.limit)
        digest, call = call.digest, replace(call, id=call.id or f"t{len(self._tasks) + 1}")
        contract, _ = begin(
            call.names or [call.capability], call.rule, now_us=AT_US, call_us=call.call_us, work_us=call.work_us
        )
        task = Task(
            id=call.id, contract=contract, created_by=call.created_by, digest=digest, capability=call.capability
        )
        self._tasks[call.id] = task, call.content
        return self._detail(call.id), True

    async def list(self, workspace: WorkspaceName, *, status: str | None, limit: int) -> list[TaskView]:
        """The open ones first."""
        _check(workspace)
        tasks = [task for task, _ in self._tasks.values() if status in (None, task.contract.state)]
        return [view_of(task) for task in sorted(tasks, key=lambda task: not task.contract.is_open)[:limit]]

    async def get(self, workspace: WorkspaceName, task_id: str, *, wait_s: float | None = None) -> TaskDetail:
        """At once, however long it may wait."""
        _check(workspace)
        if wait_s is not None:
            self.waits.append((task_id, wait_s))
        return self._detail(task_id)

    async def cancel(self, workspace: WorkspaceName, task_id: str, *, reason: str = "") -> TaskDetail:
        """Nobody is told."""
        _check(workspace)
        state = self._detail(task_id).status
        if not self._tasks[task_id][0].contract.is_open and state != "cancelled":
            raise TaskEnded(task_id, state)
        self.happens(task_id, CancelAsked(AT_US, reason))
        return self._detail(task_id)

    def _detail(self, task_id: str) -> TaskDetail:
        if task_id not in self._tasks:
            raise TaskNotFound(task_id, nearest=nearest(task_id, self._tasks))
        task, content = self._tasks[task_id]
        return detail_of(task, content, self._results.get(task_id, []))


def _check(workspace: str) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)
