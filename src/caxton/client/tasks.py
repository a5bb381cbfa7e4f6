"""Calls about tasks: delegate, look, cancel."""

from __future__ import annotations

import msgspec

from caxton.client.transport import Timeout, Transport
from caxton.core.ids import parse_task_id
from caxton.core.views.tasks import TaskDetail, TaskList, TaskSpec, TaskView

_PATH = "/api/v1/tasks"

_WAIT_MARGIN_S = 10.0
"""How much later than the server's own deadline the client gives up: its answer says more."""


class TaskCalls(Transport):
    """What can be done with tasks."""

    def create_task(self, spec: TaskSpec) -> TaskDetail:
        """Call for proposals. Without an answer nobody knows whether that was done; under an `id` ask again.

        Raises:
            ApiProblem: UNKNOWN_RECEIVER, TASKS_FULL, TASK_ID_CONFLICT, …
        """
        return self._decode(self._request("POST", _PATH, body=msgspec.json.encode(spec)), TaskDetail)

    def tasks(self, *, status: str | None = None, limit: int | None = None) -> list[TaskView]:
        """The open ones, then those that ended, the last first."""
        return self._get(_PATH, TaskList, {"status": status, "limit": limit}).tasks

    def task(self, task_id: str, *, wait_s: float | None = None) -> TaskDetail:
        """One task: at once, or when it has ended or `wait_s` (at most 300) have passed."""
        path = f"{_PATH}/{parse_task_id(task_id)}"
        if wait_s is None:
            return self._get(path, TaskDetail)
        timeout = Timeout(wait_s + _WAIT_MARGIN_S)
        return self._decode(self._request("GET", path, query={"wait": f"{wait_s:g}s"}, timeout=timeout), TaskDetail)

    def cancel_task(self, task_id: str, *, reason: str = "") -> TaskDetail:
        """End an open task. Asked twice it is done once."""
        path = f"{_PATH}/{parse_task_id(task_id)}/cancel"
        return self._post(path, {"reason": reason}, TaskDetail)
