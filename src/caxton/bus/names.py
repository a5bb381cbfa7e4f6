"""Which names there are: agents come, go, and are forgotten, and their mail with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.dead_letters import REMOVED
from caxton.bus.directory import Directory
from caxton.core.crash import crash_point

if TYPE_CHECKING:
    from caxton.bus.journal import Journal
    from caxton.bus.mailbox import Receiver
    from caxton.bus.queues import Queues
    from caxton.bus.redelivery import Redelivery


class Names:
    """The directories of all workspaces."""

    def __init__(self, queues: Queues, redelivery: Redelivery, journal: Journal) -> None:
        self._queues, self._redelivery, self._journal = queues, redelivery, journal
        self._directories: dict[str, Directory] = {}

    def directory(self, workspace: str) -> Directory:
        """Who can be written to in `workspace`; it is made at the first look."""
        found = self._directories.get(workspace)
        if found is None:
            found = self._directories[workspace] = Directory(workspace)
        return found

    def directories(self) -> list[Directory]:
        """Of all workspaces that anybody looked at."""
        return list(self._directories.values())

    def receivers(self) -> list[Receiver]:
        """Of all workspaces; also what keeps the mail of a name without an agent."""
        return [r for directory in self._directories.values() for r in directory.receivers.values()]

    def add(self, receiver: Receiver) -> None:
        """An agent is there. The mail that waited for its name is its own."""
        directory = receiver.directory
        vacancy = directory.receivers.get(receiver.name)
        directory.receivers[receiver.name] = receiver
        directory.capabilities.change(receiver, (), receiver.offers)
        directory.known.add(receiver.name)
        if vacancy is not None:
            for envelope in self._queues.take_all(vacancy):
                self._queues.pass_on(vacancy, receiver, envelope)

    def remove(self, receiver: Receiver) -> None:
        """The agent is gone with its state, its mail becomes dead letters. Later mail waits for the next agent."""
        directory = receiver.directory
        if directory.receivers.pop(receiver.name, None) is receiver:
            directory.capabilities.change(receiver, receiver.offers, ())
        receiver.is_removed = True
        crash_point("remove.begun")
        for pattern in list(receiver.topics):
            directory.subscribe(receiver, pattern, subscribed=False)
        self._journal.forget_agent(receiver.workspace, receiver.name)
        for envelope in self._queues.take_all(receiver):
            if envelope.timer_id < 0:
                self._redelivery.bury(receiver, envelope, REMOVED, None)
        receiver.mailboxes = []
        receiver.timers.clear()

    def forget(self, workspace: str, name: str) -> None:
        """Nobody shall write to `name` any more, which no agent has; mail that waits for it becomes dead letters."""
        directory = self.directory(workspace)
        directory.known.discard(name)
        self._journal.put_name(workspace, name, known=False)
        vacancy = directory.receivers.pop(name, None)
        if vacancy is not None:
            vacancy.is_removed = True
            for envelope in self._queues.take_all(vacancy):
                self._redelivery.bury(vacancy, envelope, REMOVED, None)
