"""`caxton.api.services.DeadLetterService` in memory: letters that a test puts there. Times stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors.dead_letters import DeadLetterNotFound
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.limits import RateLimited
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE, parse_agent_name
from caxton.core.views.dead_letters import DeadLetterDetail, DeadLetterPage, DeadLetterView, PurgeReceipt, ReplayReceipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from caxton.core.ids import WorkspaceName
    from caxton.core.views.dead_letters import DeadLetterFilter
    from caxton.security.principal import Principal

AT = "2026-01-01T00:00:00.000+00:00"

Outcome = tuple[str, ReplayReceipt | CaxtonError]


class FakeDeadLetters:
    """Letters in a dict, and the same rules.

    Attributes:
        refusing: agents whose letters cannot be replayed now, and why.
        failing: agents that fail on what they are given again: it is a new letter at once.
        tokens: how many replays the rate limit still lets through.
    """

    def __init__(self) -> None:
        self.letters: dict[int, DeadLetterDetail] = {}
        self.refusing: dict[str, Callable[[], CaxtonError]] = {}
        self.failing: set[str] = set()
        self.tokens = 100
        self._last = 0

    def add(self, agent: str, *, reason: str = "failed", sender: str = "client:ada", content: bytes = b"1") -> str:
        """Bury a message; returns the letter's id."""
        self._last += 1
        body = b'{"performative":"inform","sender":"%s","receiver":"%s","content":%s}' % (
            sender.encode(), agent.encode(), content,
        )  # fmt: skip
        self.letters[self._last] = DeadLetterDetail(
            id=str(self._last), workspace=DEFAULT_WORKSPACE, agent=agent, sender=sender, message_id=f"m-{self._last}",
            conversation_id=f"c-{self._last}", reason=reason, explanation=f"it {reason}", attempts=5,
            error="it gave up (unreachable: a failed assertion, panic or abort)", trap="unreachable",
            functions=["burn", "handle_message"], died_at=AT, size_bytes=len(body), trace_id="0af7651916cd43dd" * 2,
            replayed_at=None, replayed_by=None, replayed_as=None, message=msgspec.Raw(body),
        )  # fmt: skip
        return str(self._last)

    async def list(
        self, workspace: WorkspaceName, wanted: DeadLetterFilter, *, replayed: bool, limit: int, after: str | None
    ) -> DeadLetterPage:
        """Those with the larger ids first."""
        fits = _condition(workspace, wanted, replayed)
        below = self._last + 1 if after is None else _seq(after, "after")
        found = [one for seq, one in sorted(self.letters.items(), reverse=True) if seq < below and fits(one)]
        names = DeadLetterView.__struct_fields__
        page = [DeadLetterView(**{name: getattr(one, name) for name in names}) for one in found[:limit]]
        return DeadLetterPage(letters=page, next=page[-1].id if len(found) > limit else None)

    async def get(self, workspace: WorkspaceName, letter_id: str) -> DeadLetterDetail:
        """One of them."""
        _check(workspace)
        if not letter_id.isdecimal() or int(letter_id) not in self.letters:
            raise DeadLetterNotFound(letter_id)
        return self.letters[int(letter_id)]

    async def replay(self, workspace: WorkspaceName, principal: Principal, letter_id: str) -> ReplayReceipt:
        """Nothing receives it here; the letter is marked."""
        letter = await self.get(workspace, letter_id)
        status = "already-replayed"
        if letter.replayed_at is None:
            status = "replayed"
            if refusal := self.refusing.get(letter.agent):
                raise refusal()
            if not self.tokens:
                raise RateLimited("replays of dead letters", 100, 0.01)
            self.tokens -= 1
            again = self.add(letter.agent)
            if letter.agent not in self.failing:
                del self.letters[int(again)]
            letter.replayed_at, letter.replayed_by, letter.replayed_as = AT, principal.name, again
            letter.message = msgspec.Raw(b"null")
        return ReplayReceipt(
            id=letter_id, agent=letter.agent, message_id=letter.message_id, conversation_id=letter.conversation_id,
            replayed_at=AT, replayed_by=letter.replayed_by or "", replayed_as=letter.replayed_as or "", status=status,
        )  # fmt: skip

    async def replay_ids(self, workspace: WorkspaceName, principal: Principal, ids: Sequence[str]) -> list[Outcome]:
        """Each for itself."""
        _check(workspace)
        if not 0 < len(ids) <= 100:
            raise InvalidRequest("too many or none", field="ids")
        outcomes: list[Outcome] = []
        for one in sorted({*ids}):
            try:
                outcomes.append((one, await self.replay(workspace, principal, one)))
            except CaxtonError as exc:
                outcomes.append((one, exc.with_traceback(None)))
        return outcomes

    async def replay_matching(
        self, workspace: WorkspaceName, principal: Principal, wanted: DeadLetterFilter, *,
        after: str | None, through: str | None, limit: int,
    ) -> tuple[list[Outcome], str | None]:  # fmt: skip
        """In the order of ids, until the rate limit is met."""
        fits = _condition(workspace, wanted, False)
        above = 0 if after is None else _seq(after, "after")
        last = self._last if through is None else _seq(through, "through")
        found = [str(seq) for seq, one in sorted(self.letters.items()) if above < seq <= last and fits(one)]
        if not found:
            return [], None
        outcomes = await self.replay_ids(workspace, principal, found[:limit])
        done = [outcome for outcome in outcomes if not isinstance(outcome[1], RateLimited)]
        if not done:
            raise RateLimited("replays of dead letters", 100, 0.01)
        return done, done[-1][0] if len(done) < len(found) else None

    async def purge(self, workspace: WorkspaceName, principal: Principal, letter_id: str) -> PurgeReceipt:
        """Forget it."""
        await self.get(workspace, letter_id)
        return await self.purge_ids(workspace, principal, [letter_id])

    async def purge_ids(self, workspace: WorkspaceName, principal: Principal, ids: Sequence[str]) -> PurgeReceipt:
        """Forget those that there are."""
        del principal
        _check(workspace)
        return self._forget([seq for seq in (_seq(one, "ids") for one in ids) if seq in self.letters])

    async def purge_matching(
        self, workspace: WorkspaceName, principal: Principal, wanted: DeadLetterFilter, *, replayed: bool | None
    ) -> PurgeReceipt:
        """Forget all that match."""
        del principal
        fits = _condition(workspace, wanted, replayed)
        return self._forget([seq for seq, one in self.letters.items() if fits(one)])

    def _forget(self, seqs: Sequence[int]) -> PurgeReceipt:
        gone = [self.letters.pop(seq) for seq in seqs]
        return PurgeReceipt(purged=len(gone), waiting=sum(one.replayed_at is None for one in gone))


def _check(workspace: WorkspaceName) -> None:
    if workspace != DEFAULT_WORKSPACE:
        raise WorkspaceNotFound(workspace)


def _seq(letter_id: str, field: str) -> int:
    if not letter_id.isdecimal():
        raise InvalidRequest("it is no id", field=field)
    return int(letter_id)


def _condition(
    workspace: WorkspaceName, wanted: DeadLetterFilter, replayed: bool | None
) -> Callable[[DeadLetterView], bool]:
    _check(workspace)
    if wanted.agent is not None:
        parse_agent_name(wanted.agent)

    def fits(letter: DeadLetterView) -> bool:
        return (
            wanted.agent in (None, letter.agent)
            and wanted.reason in (None, letter.reason)
            and wanted.sender in (None, letter.sender)
            and wanted.conversation_id in (None, letter.conversation_id)
            and replayed in (None, letter.replayed_at is not None)
        )

    return fits
