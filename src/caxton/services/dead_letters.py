"""Dead letters for those outside: look, replay, purge. Nothing is answered before it is on disk.

What changes a letter (replay, purge, age) happens under one lock that begins with a commit. So whoever holds it reads
from the journal all that was ever done to letters, and a letter that is replayed twice becomes one message, whoever
asks, at the same time or after a crash.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from caxton.bus.letter_rows import LetterFilter
from caxton.core.crash import crash_point
from caxton.core.errors.dead_letters import DeadLetterNotFound
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.limits import RateLimited
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.token_bucket import TokenBucket
from caxton.core.views.dead_letters import DeadLetterDetail, DeadLetterPage, PurgeReceipt, ReplayReceipt
from caxton.services.letter_purges import LetterPurges
from caxton.services.letters import LetterReader, condition, known_seq, letter_seq, letter_view, replay_receipt

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from caxton.bus.bus import Bus
    from caxton.bus.journal import Journal
    from caxton.bus.postbox import Postbox
    from caxton.core.clock import Clock
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.dead_letters import DeadLetterFilter
    from caxton.security.principal import Principal
    from caxton.storage.database import Database

logger = logging.getLogger(__name__)

MAX_IDS = 100
"""Letters of one replay, and ids of one purge: the bodies of those letters may have 1 MiB each."""

REPLAYS_PER_S = 100.0
REPLAY_BURST = 100
"""A replay adds to what agents get anyway; a flood of old messages must not be what brings them down again."""

_REPLAYS = "replays of dead letters"

Outcome: TypeAlias = "tuple[str, ReplayReceipt | CaxtonError]"
"""A letter's id, and what became of it."""


class DeadLetterService:
    """See the module. `start` it once the database runs; `close` stops looking for old letters."""

    def __init__(self, bus: Bus, postbox: Postbox, journal: Journal, database: Database, clock: Clock) -> None:
        self._letters, self._postbox, self._journal, self._clock = bus.letters, postbox, journal, clock
        self._reader = LetterReader(database)
        self._changing = asyncio.Lock()
        self._purges = LetterPurges(bus.letters, journal, self._reader, clock, self._changing)
        self._bucket = TokenBucket(REPLAYS_PER_S, REPLAY_BURST)
        self._is_open = True
        self.start, self.close, self.prune = self._purges.start, self._purges.close, self._purges.prune

    def refuse(self) -> None:
        """The node is stopping: replay nothing more."""
        self._is_open = False

    # --- looking ---------------------------------------------------------------------------------------------

    async def list(
        self, workspace: WorkspaceName, wanted: DeadLetterFilter, *, replayed: bool, limit: int, after: str | None
    ) -> DeadLetterPage:
        """Letters that wait, or that were replayed, those accepted last first.

        Args:
            workspace: where.
            wanted: which of them.
            replayed: those that were, instead of those that wait.
            limit: how many at most.
            after: only letters below this id.

        Raises:
            InvalidRequest, InvalidName, InvalidValue: a condition breaks its rule.
        """
        meant = self._condition(workspace, wanted, replayed=replayed)
        if after is not None:
            meant = msgspec.structs.replace(meant, below=known_seq(after, "after"))
        await self._journal.commit()
        found = await self._reader.letters(meant, limit=limit + 1)
        more = str(found[limit - 1].seq) if len(found) > limit else None
        return DeadLetterPage(letters=[letter_view(row) for row in found[:limit]], next=more)

    async def get(self, workspace: WorkspaceName, letter_id: str) -> DeadLetterDetail:
        """One letter with its message. Raises `DeadLetterNotFound`, `DeadLetterDamaged`."""
        _check(workspace)
        await self._journal.commit()
        row, body = await self._reader.letter(workspace, letter_id)
        message = msgspec.Raw(body if row.replayed_us is None else b"null")
        return DeadLetterDetail(**msgspec.structs.asdict(letter_view(row)), message=message)

    # --- replay ----------------------------------------------------------------------------------------------

    async def replay(self, workspace: WorkspaceName, principal: Principal, letter_id: str) -> ReplayReceipt:
        """Hand one letter over again, as a new message for its receiver; if that was done before, say so.

        Raises: DeadLetterNotFound, DeadLetterDamaged, RateLimited, UnknownReceiver, MailboxFull, ShuttingDown.
        """
        _check(workspace)
        async with self._changing:
            await self._journal.commit()
            with _audited(workspace, principal) as done:
                receipt = await self._replay_one(workspace, principal, letter_id, done)
                await self._commit_replays()
        return receipt

    async def replay_ids(self, workspace: WorkspaceName, principal: Principal, ids: Sequence[str]) -> list[Outcome]:
        """Each of these letters for itself, in the order of their ids; one that is refused stops no other."""
        _check(workspace)
        _check_ids(ids)
        async with self._changing:
            await self._journal.commit()
            return await self._replay(workspace, principal, sorted({*ids}, key=lambda one: (letter_seq(one) or 0, one)))

    async def replay_matching(
        self, workspace: WorkspaceName, principal: Principal, wanted: DeadLetterFilter, *,
        after: str | None, through: str | None, limit: int,
    ) -> tuple[list[Outcome], str | None]:  # fmt: skip
        """The first `limit` waiting letters that match, above the id `after` and up to `through`.

        Returns:
            What became of each, and the `after` with which to go on: None if these were all. When the rate limit is
            reached, the letters before that are what was done.

        Raises:
            RateLimited: not even the first may be replayed yet.
        """
        meant = msgspec.structs.replace(
            self._condition(workspace, wanted, replayed=False),
            above=None if after is None else known_seq(after, "after"),
            below=None if through is None else known_seq(through, "through") + 1,
        )
        async with self._changing:
            await self._journal.commit()
            found = await self._reader.letters(meant, limit=limit + 1, oldest_first=True)
            outcomes = await self._replay(workspace, principal, [str(row.seq) for row in found[:limit]])
        done = [outcome for outcome in outcomes if not isinstance(outcome[1], RateLimited)]
        if outcomes and not done:
            raise RateLimited(_REPLAYS, REPLAYS_PER_S, self._bucket.wait_s(self._clock.monotonic()))
        return done, done[-1][0] if len(done) < len(found) else None

    async def _replay(self, workspace: WorkspaceName, principal: Principal, ids: list[str]) -> list[Outcome]:
        """With the lock held and everything committed."""
        outcomes: list[Outcome] = []
        with _audited(workspace, principal) as done:
            for letter_id in ids:
                try:
                    outcomes.append((letter_id, await self._replay_one(workspace, principal, letter_id, done)))
                except CaxtonError as exc:  # whose traceback would hold this list, and the list it
                    outcomes.append((letter_id, exc.with_traceback(None)))
            await self._commit_replays()
        return outcomes

    async def _commit_replays(self) -> None:
        crash_point("replay.before_commit")
        await self._journal.commit()
        crash_point("replay.after_commit")

    async def _replay_one(
        self, workspace: WorkspaceName, principal: Principal, letter_id: str, done: list[str]
    ) -> ReplayReceipt:
        """With the lock held and everything committed; a letter that is replayed now is added to `done`."""
        row, body = await self._reader.letter(workspace, letter_id)
        if row.replayed_us is not None:
            by, seq = row.replayed_by or "", row.replayed_seq or 0
            return replay_receipt(row, row.replayed_us, by, seq, "already-replayed")
        if not self._is_open:
            raise ShuttingDown
        # From here on nothing waits: the message and the mark on its letter are in the same commit.
        now = self._clock.monotonic()
        if wait_s := self._bucket.wait_s(now):
            raise RateLimited(_REPLAYS, REPLAYS_PER_S, wait_s)
        envelope = self._postbox.replay(row, body)
        self._bucket.take(now)
        now_us = self._clock.steady_us()
        self._letters.mark_replayed(row, by=principal.name, now_us=now_us, seq=envelope.seq)
        done.append(letter_id)
        return replay_receipt(row, now_us, principal.name, envelope.seq, "replayed")

    # --- purge -----------------------------------------------------------------------------------------------

    async def purge(self, workspace: WorkspaceName, principal: Principal, letter_id: str) -> PurgeReceipt:
        """Delete one letter. Raises `DeadLetterNotFound`."""
        _check(workspace)
        seq = letter_seq(letter_id)
        if seq is None:
            raise DeadLetterNotFound(letter_id)
        meant = LetterFilter(workspace=workspace, seqs=[seq])
        receipt = await self._purges.purge(meant, by=principal.name, said={"ids": [letter_id]})
        if not receipt.purged:
            raise DeadLetterNotFound(letter_id)
        return receipt

    async def purge_ids(self, workspace: WorkspaceName, principal: Principal, ids: Sequence[str]) -> PurgeReceipt:
        """Delete those of these letters that there are."""
        _check(workspace)
        _check_ids(ids)
        meant = LetterFilter(workspace=workspace, seqs=[known_seq(one, "ids") for one in ids])
        return await self._purges.purge(meant, by=principal.name, said={"ids": [*ids]})

    async def purge_matching(
        self, workspace: WorkspaceName, principal: Principal, wanted: DeadLetterFilter, *, replayed: bool | None
    ) -> PurgeReceipt:
        """Delete all letters that match, in one transaction: those that wait (False), were replayed (True), or both.

        Raises: InvalidRequest, InvalidName, InvalidValue.
        """
        meant = self._condition(workspace, wanted, replayed=replayed)
        said = {"filter": msgspec.to_builtins(wanted), "replayed": replayed}
        return await self._purges.purge(meant, by=principal.name, said=said)

    def _condition(self, workspace: WorkspaceName, wanted: DeadLetterFilter, *, replayed: bool | None) -> LetterFilter:
        _check(workspace)
        return condition(workspace, wanted, replayed=replayed, now_us=self._clock.steady_us())


@contextmanager
def _audited(workspace: WorkspaceName, principal: Principal) -> Generator[list[str]]:
    """A list for the ids of letters that are replayed in the block; one line of the log tells of them at its end."""
    done: list[str] = []
    try:
        yield done
    finally:
        if done:
            facts = {"action": "dlq.replay", "principal": principal.name, "workspace": workspace}
            logger.info("dead letters replayed", extra={**facts, "count": len(done), "ids": done})


def _check(workspace: WorkspaceName) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)


def _check_ids(ids: Sequence[str]) -> None:
    if not 0 < len(ids) <= MAX_IDS:
        raise InvalidRequest(f"one request takes 1 to {MAX_IDS} ids, this has {len(ids)}", field="ids")
