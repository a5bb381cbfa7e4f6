"""Tasks in the key-value state of the agent `tasks`, and how much room they may take there.

Keys: `t/ID` a task, `c/ID` its content, `x/ID/NAME` the result of a bidder, `w/ID` what could not be sent yet,
`i/TIMER` whose deadline a timer is, `r/NAME` the record of a bidder; and, to find tasks without reading them, `o/ID`
for one that is open, with the bytes that it may grow to, and `e/TIME/ID` for one that has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from caxton.bus.mailbox import entry_bytes
from caxton.bus.turn import MAX_KV_BYTES
from caxton.core.errors.tasks import TasksFull
from caxton.natives.tasks.contract import Contract, Say
from caxton.natives.tasks.record import NEWCOMER, Record
from caxton.sandbox.codes import OK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.bus.mailbox import Receiver
    from caxton.bus.turn import Turn
    from caxton.natives.tasks.bid import Figures

MAX_OPEN = 400
"""Each has a timer, and an agent has at most a thousand."""

MAX_OPEN_BYTES = 6 << 20
"""What open tasks may grow to, together: the rest of the agent's state is for those that have ended."""

MAX_STATE_BYTES = MAX_KV_BYTES - (1 << 20)
"""For tasks; the rest is for records and what finds things."""

MAX_ENDED = 1000
RETENTION_US = 7 * 86_400 * 1_000_000
"""How long a task that has ended can be looked at, if there is room so long."""

MAX_RECORDS = 2000
"""Bidders whose outcomes are remembered; the one that was longest without any is forgotten first."""

BIDDER_BYTES = 3 << 10
"""The most that a bidder takes: its name, figures, a reason of 200, a reference of 256 characters, what it is owed."""

TASK_BYTES = 2048
"""The most that a task takes beside its content and its bidders."""

T = TypeVar("T")


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task as it is kept."""

    id: str
    contract: Contract
    created_by: str
    digest: str
    """Of what was asked for: the same id with another digest is another task."""
    mark: str = ""
    """Random, in the id of its conversation: who guesses that could take it first, and nobody could be called.

    Empty in tasks of older versions."""
    capability: str = ""
    """By which the bidders were found."""
    timer_id: int = -1
    """Of `contract.due_us`."""
    unkept: dict[str, str] = {}
    """Bidders whose result is not kept → why."""


class Result(msgspec.Struct, frozen=True):
    """What a winner brought."""

    name: str
    content: bytes
    actual: Figures


def conversation_of(task: Task) -> str:
    """The conversation in which a task is negotiated."""
    return f"task-{task.id}:{task.mark}" if task.mark else f"task-{task.id}"


def task_of(conversation_id: str | None) -> str | None:
    """Which task a conversation would be about, if there is one of its mark; None if about something else."""
    if conversation_id is None or not conversation_id.startswith("task-"):
        return None
    return conversation_id.removeprefix("task-").partition(":")[0]


class Ledger:
    """Reads and changes tasks within one turn. What is changed happens when the turn does."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._receiver = turn.receiver

    # --- tasks -----------------------------------------------------------------------------------------------

    def get(self, task_id: str) -> Task | None:
        return self._get(f"t/{task_id}", Task)

    def add(self, task: Task, content: bytes) -> None:
        """Keep a new task. Raises `TasksFull`."""
        need = len(content) + TASK_BYTES + BIDDER_BYTES * len(task.contract.bidders)
        if len(list(_ids(self._receiver, b"o/"))) >= MAX_OPEN:
            raise TasksFull("tasks", MAX_OPEN)
        if self._reserved + need > MAX_OPEN_BYTES or not self._make_room(need):
            raise TasksFull("bytes", MAX_OPEN_BYTES)
        self._set(f"c/{task.id}", content)
        self._set(f"o/{task.id}", b"%d" % need)
        self.put(task)

    def put(self, task: Task) -> None:
        """Keep a task as it is now."""
        self._set(f"t/{task.id}", msgspec.json.encode(task))
        if not task.contract.is_open and self._turn.kv_get(f"o/{task.id}".encode()) is not None:
            self._delete(f"o/{task.id}")
            self._set(_ended_key(task), b"")
            self._prune(task.contract.ended_us)

    def content(self, task_id: str) -> bytes:
        """What is to be done, as JSON."""
        return self._turn.kv_get(f"c/{task_id}".encode()) or b"null"

    # --- results ---------------------------------------------------------------------------------------------

    def keep_result(self, task_id: str, name: str, content: bytes) -> bool:
        """False when there is no room for it."""
        if not self._make_room(len(content) + 256):
            return False
        self._set(f"x/{task_id}/{name}", content)
        return True

    # --- what could not be sent yet --------------------------------------------------------------------------

    def owed(self, task_id: str) -> list[Say]:
        return self._get(f"w/{task_id}", list[Say]) or []

    def set_owed(self, task_id: str, said: list[Say]) -> None:
        if said:
            self._set(f"w/{task_id}", msgspec.json.encode(said))
        else:
            self._delete(f"w/{task_id}")

    def owing(self) -> list[str]:
        """Tasks for which something could not be sent yet."""
        return sorted(_ids(self._receiver, b"w/"))

    # --- timers ----------------------------------------------------------------------------------------------

    def task_of_timer(self, timer_id: int) -> str | None:
        found = self._turn.kv_get(b"i/%d" % timer_id)
        return None if found is None else found.decode()

    def set_task_of_timer(self, timer_id: int, task_id: str | None) -> None:
        if task_id is None:
            self._delete(f"i/{timer_id}")
        else:
            self._set(f"i/{timer_id}", task_id.encode())

    # --- records ---------------------------------------------------------------------------------------------

    def record(self, name: str) -> Record:
        return self._get(f"r/{name}", Record) or NEWCOMER

    def put_record(self, name: str, record: Record) -> None:
        """Keep it, and forget that of whoever had no outcome for longest if there are too many."""
        if self._turn.kv_get(f"r/{name}".encode()) is None:
            names = [key for key in self._receiver.kv if key.startswith(b"r/")]
            if len(names) >= MAX_RECORDS:
                oldest = min(names, key=lambda key: msgspec.json.decode(self._receiver.kv[key], type=Record).at_us)
                self._turn.kv_delete(oldest)
        self._set(f"r/{name}", msgspec.json.encode(record))

    # --- room ------------------------------------------------------------------------------------------------

    @property
    def _reserved(self) -> int:
        return sum(int(value) for key, value in self._receiver.kv.items() if key.startswith(b"o/"))

    def _prune(self, now_us: int) -> None:
        """Let go of what ended too long ago, and of the oldest if there are too many."""
        ended = sorted(_ended(self._receiver))
        over = len(ended) + 1 - MAX_ENDED
        for n, (at_us, task_id) in enumerate(ended):
            if n < over or at_us + RETENTION_US <= now_us:
                self._forget(task_id, at_us)

    def _make_room(self, need: int) -> bool:
        """Let go of tasks that have ended, oldest first, until `need` more bytes leave room for the open ones."""
        free = MAX_STATE_BYTES - self._receiver.kv_bytes - self._reserved
        for at_us, task_id in sorted(_ended(self._receiver)):
            if free >= need:
                break
            free += self._forget(task_id, at_us)
        return free >= need

    def _forget(self, task_id: str, at_us: int) -> int:
        """Returns the bytes that become free."""
        task = self.get(task_id)
        names = task.contract.bidders if task is not None else ()
        keys = [f"e/{at_us:020d}/{task_id}", f"t/{task_id}", f"c/{task_id}", f"w/{task_id}"]
        return sum(map(self._delete, [*keys, *(f"x/{task_id}/{name}" for name in names)]))

    # --- the turn --------------------------------------------------------------------------------------------

    def _get(self, key: str, kind: type[T]) -> T | None:
        found = self._turn.kv_get(key.encode())
        return None if found is None else msgspec.json.decode(found, type=kind)

    def _set(self, key: str, value: bytes) -> None:
        if self._turn.kv_set(key.encode(), value) != OK:
            raise AssertionError(f"no room for {key}, though it was reserved")

    def _delete(self, key: str) -> int:
        """Returns the bytes that become free."""
        name = key.encode()
        size = entry_bytes(name, self._turn.kv_get(name))
        if size:
            self._turn.kv_delete(name)
        return size


# --- reading what happened ---------------------------------------------------------------------------------------


def find(receiver: Receiver, task_id: str) -> Task | None:
    """A task as it is, outside of any turn."""
    found = receiver.kv.get(f"t/{task_id}".encode())
    return None if found is None else msgspec.json.decode(found, type=Task)


def content_of(receiver: Receiver, task_id: str) -> bytes:
    """What is to be done, as JSON."""
    return receiver.kv.get(f"c/{task_id}".encode(), b"null")


def results_of(receiver: Receiver, task: Task) -> list[Result]:
    """What the winners brought, in order of name; those that were not kept as null."""
    return [
        Result(name, receiver.kv.get(f"x/{task.id}/{name}".encode(), b"null"), bidder.actual)
        for name, bidder in sorted(task.contract.bidders.items())
        if bidder.state == "done"
    ]


def listed(receiver: Receiver) -> list[str]:
    """Ids of all tasks: the open ones by name, then those that have ended, the last first."""
    return [*sorted(_ids(receiver, b"o/")), *(task_id for _, task_id in sorted(_ended(receiver), reverse=True))]


def _ids(receiver: Receiver, prefix: bytes) -> Iterator[str]:
    return (key[len(prefix) :].decode() for key in receiver.kv if key.startswith(prefix))


def _ended(receiver: Receiver) -> Iterator[tuple[int, str]]:
    for found in _ids(receiver, b"e/"):
        at_us, _, task_id = found.partition("/")
        yield int(at_us), task_id


def _ended_key(task: Task) -> str:
    return f"e/{task.contract.ended_us:020d}/{task.id}"
