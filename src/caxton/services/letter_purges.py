"""The end of dead letters: because somebody says so, or because they are too old. The account goes with the journal."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

from caxton.bus import letter_rows
from caxton.core.crash import crash_point
from caxton.core.errors.error import CaxtonError
from caxton.core.views.dead_letters import PurgeReceipt

if TYPE_CHECKING:
    from caxton.bus.dead_letters import DeadLetters
    from caxton.bus.journal import Journal
    from caxton.bus.letter_rows import LetterFilter
    from caxton.core.clock import Clock
    from caxton.services.letters import LetterReader

logger = logging.getLogger(__name__)

MAX_AGE_US = 7 * 86_400 * 1_000_000
"""A letter that nobody replayed for a week is let go, and so is the memory of one that somebody did."""

MAX_REPLAYED = 100_000
"""Letters that were replayed and are still remembered, so that the same replay is known again."""

LOOK_FOR_OLD_S = 60.0
PRUNED_AT_ONCE = 1000
"""Letters deleted for their age in one transaction: others wait for it."""

HOST = "caxton"
"""Who purged, when it was the server itself."""


class LetterPurges:
    """Deletes letters, under the lock that is held by whatever changes them."""

    def __init__(
        self, letters: DeadLetters, journal: Journal, reader: LetterReader, clock: Clock, changing: asyncio.Lock
    ) -> None:
        self._letters, self._journal, self._reader, self._clock = letters, journal, reader, clock
        self._changing = changing
        self._next_look: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Let go of what is too old, now and from time to time."""
        loop = asyncio.get_running_loop()
        self._next_look = loop.call_later(LOOK_FOR_OLD_S, self.start)
        self._keep(loop.create_task(self._look()))

    def close(self) -> None:
        """Nothing happens by itself any more."""
        if self._next_look is not None:
            self._next_look.cancel()
        for task in self._tasks:
            task.cancel()

    async def purge(self, wanted: LetterFilter, *, by: str, said: dict[str, Any]) -> PurgeReceipt:
        """Delete all that is meant, in one transaction. `said` is what was asked for, for the log."""
        condition, parameters = letter_rows.where(wanted)
        # A task of its own: somebody who hangs up must not leave the account behind the journal.
        work = asyncio.get_running_loop().create_task(self._delete(condition, parameters, by))
        self._keep(work)
        letters, waiting = await asyncio.shield(work)
        if letters:
            facts = {"action": "dlq.purge", "principal": by, "workspace": wanted.workspace, **said}
            logger.info("dead letters purged", extra={**facts, "count": letters, "waiting": waiting})
        return PurgeReceipt(purged=letters, waiting=waiting)

    async def prune(self) -> None:
        """Let go of letters that are too old, and of replayed ones that are too many."""
        letters = waiting = 0
        while gone := await self._delete_old():
            letters, waiting = letters + gone[0], waiting + gone[1]
        ((replayed,),) = await self._reader.rows(_COUNT_REPLAYED)
        if replayed > MAX_REPLAYED:
            gone = await self._delete(_REPLAYED_LONG_AGO, [replayed - MAX_REPLAYED], HOST)
            letters += gone[0]
        if letters:
            facts = {"action": "dlq.pruned", "count": letters, "waiting": waiting}
            logger.info("dead letters let go", extra=facts)

    async def _look(self) -> None:
        try:
            await self.prune()
        except CaxtonError:  # the disk has failed, and the node is stopping for it
            logger.warning("old dead letters stay", extra={"action": "dlq.not_pruned"})

    async def _delete_old(self) -> tuple[int, int] | None:
        """Some of the letters that are too old; None if there is none. Asking costs no commit."""
        before_us = self._clock.steady_us() - MAX_AGE_US
        ((oldest_us,),) = await self._reader.rows(letter_rows.OLDEST)
        if oldest_us is None or oldest_us >= before_us:
            return None
        return await self._delete(_OLD, [before_us, PRUNED_AT_ONCE], HOST)

    async def _delete(self, condition: str, parameters: list[Any], by: str) -> tuple[int, int]:
        """In one transaction; how many went, and how many of those waited."""
        async with self._changing:
            mark = random.getrandbits(62)
            now_us = self._clock.wall_us()
            for sql, row in letter_rows.purge(condition, parameters, mark=mark, now_us=now_us, by=by):
                self._journal.add(sql, *row)
            crash_point("purge.before_commit")
            await self._journal.commit()
            crash_point("purge.after_commit")
            ((letters, waiting, size),) = await self._reader.rows(letter_rows.PURGED, mark)
            self._letters.gone(waiting, size)
        return letters, waiting

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_OLD = "seq IN (SELECT seq FROM dead_letters WHERE dead_us < ? ORDER BY dead_us LIMIT ?)"
_COUNT_REPLAYED = "SELECT count(*) FROM dead_letters WHERE replayed_us IS NOT NULL"
_REPLAYED_LONG_AGO = "seq IN (SELECT seq FROM dead_letters WHERE replayed_us IS NOT NULL ORDER BY replayed_us LIMIT ?)"
