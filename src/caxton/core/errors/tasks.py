"""Tasks, which agents bid for."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class TaskNotFound(CaxtonError):
    """No task has this id, or it ended so long ago that it is forgotten."""

    code = "TASK_NOT_FOUND"

    def __init__(self, task_id: str, *, nearest: str | None = None) -> None:
        hint = f"did you mean {quoted(nearest)}?" if nearest else "'caxton task list' shows those that are known"
        super().__init__(f"there is no task {quoted(task_id)}; {hint}")
        self.task_id, self.nearest = task_id, nearest


class TaskIdConflict(CaxtonError):
    """The id belongs to a task that asks for something else."""

    code = "TASK_ID_CONFLICT"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"the task {quoted(task_id)} is there and asks for something else; give this one another id")
        self.task_id = task_id


class TaskEnded(CaxtonError):
    """The task has ended and cannot be cancelled any more."""

    code = "TASK_ENDED"

    def __init__(self, task_id: str, status: str) -> None:
        super().__init__(f"the task {quoted(task_id)} is {status} and cannot be cancelled any more")
        self.task_id, self.status = task_id, status


class TasksFull(CaxtonError):
    """There are as many open tasks as the server keeps, or they need as much room."""

    code = "TASKS_FULL"

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"the open tasks have reached their limit of {limit} {what}; try again once some have ended")
        self.what, self.limit = what, limit
