"""Tasks as the API asks for them. Nothing is answered before it is on disk."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from caxton.bus.turn import Turn
from caxton.core.errors.receivers import CapabilityNotFound, UnknownReceiver
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.tasks import TaskEnded, TaskIdConflict, TaskNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, RESERVED_NAMES
from caxton.core.suggest import nearest
from caxton.natives.tasks.call import MAX_PARTICIPANTS, Call, check_call
from caxton.natives.tasks.store import Task, content_of, find, listed, results_of
from caxton.natives.tasks.view import detail_of, view_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.bus.bus import Bus
    from caxton.bus.directory import Directory
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.tasks import TaskDetail, TaskSpec, TaskView
    from caxton.natives.tasks.agent import TaskAgent
    from caxton.security.principal import Principal

READ_AT_ONCE = 50
"""So many tasks are looked at before others have their turn."""


class TaskService:
    """What callers outside do with tasks (`api.services.TaskService`)."""

    def __init__(self, bus: Bus, journal: Journal, agent: TaskAgent) -> None:
        self._bus, self._journal, self._agent = bus, journal, agent
        self._is_open = True
        self._waiting: dict[str, set[asyncio.Event]] = {}
        """Task → who waits for its end."""
        agent.on_end = self._ending

    def refuse(self) -> None:
        """The node is stopping: take nothing more, and let nobody wait."""
        self._is_open = False
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()

    async def create(
        self, workspace: WorkspaceName, principal: Principal, spec: TaskSpec, *, traceparent: str = ""
    ) -> tuple[TaskDetail, bool]:
        """Call for proposals. Under an id that was used before, the task of then; whether it is new is told.

        Raises: InvalidName, InvalidRequest, InvalidValue, MessageTooLarge, UnknownReceiver, CapabilityNotFound,
            MailboxFull, TasksFull, TaskIdConflict, WorkspaceNotFound, ShuttingDown, or why the node takes nothing now.
        """
        receiver = self._receiver(workspace)
        call = check_call(spec, principal.name)
        digest = call.digest
        task = find(receiver, call.id) if call.id else None
        if task is not None and task.digest != digest:
            raise TaskIdConflict(call.id)
        is_new = task is None
        if task is None:
            self._bus.intake.check()
            call = replace(call, id=call.id or self._bus.message_id(self._bus.next_seq()))
            names = _called(call, self._bus.names.directory(workspace))
            with self._turn(receiver, traceparent) as turn:
                task = self._agent.create(replace(call, names=names), digest, turn)
        await self._journal.commit()
        return self._detail(receiver, task.id), is_new

    async def list(self, workspace: WorkspaceName, *, status: str | None, limit: int) -> list[TaskView]:
        """The open ones, then those that ended, the last first."""
        receiver = self._receiver(workspace)
        await self._journal.commit()
        found: list[TaskView] = []
        for n, task_id in enumerate(listed(receiver)):
            if len(found) == limit:
                break
            if n % READ_AT_ONCE == READ_AT_ONCE - 1:
                await asyncio.sleep(0)
            task = find(receiver, task_id)
            if task is not None and status in (None, task.contract.state):
                found.append(view_of(task))
        return found

    async def get(self, workspace: WorkspaceName, task_id: str, *, wait_s: float | None = None) -> TaskDetail:
        """One task, once it has ended or `wait_s` have passed. Raises `TaskNotFound`, `ShuttingDown`."""
        receiver = self._receiver(workspace)
        if wait_s is not None:
            await self._wait(receiver, task_id, wait_s)
        self._find(receiver, task_id)
        await self._journal.commit()
        return self._detail(receiver, task_id)

    async def cancel(self, workspace: WorkspaceName, task_id: str, *, reason: str = "") -> TaskDetail:
        """End an open task. One that was cancelled before stays so. Raises `TaskNotFound`, `TaskEnded`."""
        receiver = self._receiver(workspace)
        task = self._find(receiver, task_id)
        if task.contract.is_open:
            with self._turn(receiver, "") as turn:
                self._agent.cancel(task, reason, turn)
        elif task.contract.state != "cancelled":
            raise TaskEnded(task_id, task.contract.state)
        await self._journal.commit()
        return self._detail(receiver, task_id)

    # --- inside ----------------------------------------------------------------------------------------------

    async def _wait(self, receiver: Receiver, task_id: str, wait_s: float) -> None:
        event = asyncio.Event()
        self._waiting.setdefault(task_id, set()).add(event)
        try:
            async with asyncio.timeout(wait_s):
                while self._find(receiver, task_id).contract.is_open:
                    await event.wait()
                    self._check_open()
                    event.clear()
        except TimeoutError:
            pass
        finally:
            waiting = self._waiting[task_id]
            waiting.discard(event)
            if not waiting:
                del self._waiting[task_id]

    def _ending(self, _workspace: str, task_id: str) -> None:
        for event in self._waiting.get(task_id, ()):
            self._journal.after_commit(event.set)

    @contextmanager
    def _turn(self, receiver: Receiver, traceparent: str) -> Generator[Turn]:
        """A transaction of the agent outside of any message."""
        turn = Turn(self._bus, receiver.mailboxes[0])
        turn.begin(None, self._bus.now_us())
        turn.trace = traceparent[:36]
        try:
            yield turn
        except BaseException:
            turn.release()
            raise
        self._bus.apply(turn)

    def _receiver(self, workspace: str) -> Receiver:
        if workspace != DEFAULT_WORKSPACE:
            raise WorkspaceNotFound(workspace)
        self._check_open()
        return self._bus.names.directory(workspace).receivers[self._agent.name]

    def _check_open(self) -> None:
        if not self._is_open:
            raise ShuttingDown

    @staticmethod
    def _find(receiver: Receiver, task_id: str) -> Task:
        task = find(receiver, task_id)
        if task is None:
            raise TaskNotFound(task_id, nearest=nearest(task_id, listed(receiver)))
        return task

    def _detail(self, receiver: Receiver, task_id: str) -> TaskDetail:
        task = self._find(receiver, task_id)
        return detail_of(task, content_of(receiver, task_id), results_of(receiver, task))


def _called(call: Call, directory: Directory) -> list[str]:
    """Names of the participants. Of those that offer a capability the least busy, if there are too many."""
    if call.capability:
        offered = directory.capabilities
        able = [one for one in offered.offering(call.capability) if one.name not in RESERVED_NAMES]
        if not able:
            raise CapabilityNotFound(call.capability, offered.nearest(call.capability))
        able.sort(key=lambda one: (not one.is_running, one.messages, one.name))
        return sorted(one.name for one in able[:MAX_PARTICIPANTS])
    for name in call.names:
        if directory.find(name) is None:
            raise UnknownReceiver(name)
    return call.names
