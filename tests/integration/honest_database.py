"""A database whose disk may fail, one transaction at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.bus.rig import StepDatabase

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.storage.database import Statement


class HonestDatabase(StepDatabase):
    """Hands errors of the disk to the journal, and does the rest of the writer thread's work at once."""

    def let_go(self) -> list[Statement]:
        statements, done = self.asked.pop(0)
        try:
            self._transaction(statements)
        except Exception as exc:
            done(exc)
        else:
            done(None)
        return statements

    def run(self, work: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
        done(work(self._connection))
